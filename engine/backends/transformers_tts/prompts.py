"""Texts as a model wants them: through the folder's own chat template and tokenizer.

Knows conversations and special tokens. That a training sequence begins with exactly what speaking begins with is
checked here for each row. Knows no tensors of audio.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.types import BadInput

Turn = dict[str, Any]


def turn(role: str, *items: tuple[str, str]) -> Turn:
    """One turn of a conversation; items are (type, content)."""
    return {"role": role, "content": [{"type": kind, kind: content} for kind, content in items]}


def render(processor: Any, turns: Sequence[Turn], *, ends_with: str = "") -> str:
    """The conversation by the template. `ends_with` is what the model starts from; some templates write it only when
    they are asked for a beginning of the answer. Raises BadInput for a template that does not write it.
    """
    for asked in (False, True):
        try:
            text = str(processor.apply_chat_template(list(turns), tokenize=False, add_generation_prompt=asked))
        except Exception as error:  # jinja and the library raise whatever they like
            raise BadInput(f"The model's chat template fails ({error}); download chat_template.jinja again.") from error
        if text.endswith(ends_with):
            return text
    raise BadInput(
        f"The model's chat template does not end a text with {ends_with}, from which the model speaks; download "
        "chat_template.jinja from where the weights came from."
    )


def checked(text: str, forbidden: Sequence[str], what: str) -> str:
    """`text` without spaces around it. Raises BadInput for one that says nothing or holds a mark of the model's own."""
    if not any(symbol.isalnum() for symbol in text):
        raise BadInput(
            f"{what} has no word in it: it would teach the model to stop whatever it is told; give it words."
        )
    for mark in forbidden:
        if mark in text:
            raise BadInput(f"{what} holds {mark}, which is a mark of the model's own; take it out.")
    return text.strip()


def must_begin_with(whole: Sequence[int], beginning: Sequence[int], what: str) -> None:
    """Raises BadInput where a row would be trained after something else than it is spoken after."""
    if list(whole[: len(beginning)]) != list(beginning):
        raise BadInput(
            f"{what}: the model's chat template puts a text before its audio in training otherwise than in speaking; "
            "download chat_template.jinja from where the weights came from."
        )
