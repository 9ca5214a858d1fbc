"""Speech tokens of many texts in one batch: what each row's sequence begins with, and how its tokens are drawn.

Upstream speaks one text at a time in a thread whose errors nobody sees. Here the model is called directly, so that
errors surface and the number of tokens and the end are known. Knows no audio and no adapters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from engine.backends import drawn_rows
from engine.backends.cosyvoice import steps
from engine.backends.cosyvoice.drawing import Chooser
from engine.backends.drawn_rows import Drawn, OnStep, Serving
from engine.types import SpeakRow

LEAST_A_TEXT_TOKEN = 2  # upstream's own bounds (llm.py, `inference`): 2 to 20 speech tokens a text token,
MOST_A_TEXT_TOKEN = 20
USUAL_FACTOR = 3.0  # at the usual `max_factor`


@dataclass(frozen=True, eq=False)
class Asked:
    """What a row asks the language model for: ids before the text, of the text, and speech tokens to go on from.

    `speaker` (192,) is heard by version 1 alone: None where it is told in words who speaks.
    """

    prompt: tuple[int, ...]
    text: tuple[int, ...]
    speech: Tensor
    least: int
    most: int
    speaker: Tensor | None = None


def bounds(text_tokens: int, max_factor: float) -> tuple[int, int]:
    """Fewest and most speech tokens of a text."""
    most = math.ceil(text_tokens * MOST_A_TEXT_TOKEN * max_factor / USUAL_FACTOR)
    return min(LEAST_A_TEXT_TOKEN * text_tokens, most), max(1, most)


def generate(
    llm: Any, asked: Sequence[Asked], rows: Sequence[SpeakRow], serving: Serving, on_step: OnStep | None = None
) -> list[Drawn[int]]:
    """The speech tokens of every row, drawn in one batch, until each has ended or reached its cap."""
    return drawn_rows.draw(_Batch(llm, asked, rows), [one.most for one in asked], serving, on_step)


class _Batch:
    """The rows that are still drawing."""

    def __init__(self, llm: Any, asked: Sequence[Asked], rows: Sequence[SpeakRow]) -> None:
        self._llm, self._asked = llm, list(asked)
        self._said: list[list[int]] = [[] for _ in asked]
        self._chooser = Chooser(rows, llm.llm_decoder.out_features)
        self._stops = first_stop(llm)

    def step(self, step: int) -> tuple[list[int], list[bool]]:
        """The next token of every row, and which rows ended instead."""
        if step == 0:  # here, since version 1's encoder of texts carries adapters
            self._embeds, seen = drawn_rows.left_padded(begun_with(self._llm, self._asked))
            self._steps = steps.begun(self._llm, seen)
        logits = self._llm.llm_decoder(self._steps.forward(self._embeds)[:, -1])
        too_early = [len(own) < one.least for own, one in zip(self._said, self._asked, strict=True)]
        chosen = self._chooser.choose(logits, self._said, too_early, self._stops)
        ended = [token >= self._stops for token in chosen]
        for own, token in zip(self._said, chosen, strict=True):
            own.append(token)
        # rows that have ended go on with any token while they are in the batch: nobody looks at them
        following = torch.tensor([min(token, self._stops - 1) for token in chosen], device=self._embeds.device)
        self._embeds = self._llm.speech_embedding(following)[:, None]
        return chosen, ended

    def keep(self, places: Sequence[int]) -> None:
        """Only these rows go on."""
        self._asked, self._said = [self._asked[place] for place in places], [self._said[place] for place in places]
        self._chooser.keep(places)
        kept = torch.tensor(places, dtype=torch.long, device=self._embeds.device)
        self._embeds = self._embeds[kept]
        self._steps.keep(kept)


def first_stop(llm: Any) -> int:
    """The first id that is no sound but an end."""
    found: int = min(getattr(llm, "stop_token_ids", [llm.eos_token]))
    return found


def begun_with(llm: Any, asked: Sequence[Asked]) -> list[Tensor]:
    """(positions, width) of each row: start, speaker where version 1 is told one, prompt and text, the task's mark,
    speech. Version 3 keeps its marks among the tokens.
    """
    device = next(llm.parameters()).device
    marks = getattr(llm, "llm_embedding", llm.speech_embedding).weight
    texts = _texts(llm, [torch.tensor([*one.prompt, *one.text], device=device) for one in asked])
    speakers = [_speaker(llm, one, device) for one in asked]
    return [
        torch.cat(
            [
                marks[llm.sos][None],
                speaker,
                text,
                marks[llm.task_id][None],
                llm.speech_embedding(one.speech.to(device)),
            ]
        )
        for one, text, speaker in zip(asked, texts, speakers, strict=True)
    ]


def _texts(llm: Any, ids: Sequence[Tensor]) -> list[Tensor]:
    """Prompts and texts as the language model wants them: version 1 has an encoder of texts, in which a position does
    not see what follows, so that padding behind a row changes nothing.
    """
    if not hasattr(llm, "text_encoder"):
        return [llm.llm.model.model.embed_tokens(one) for one in ids]
    lengths = torch.tensor([len(one) for one in ids], device=ids[0].device)
    encoded, _ = llm.encode(llm.text_embedding(pad_sequence(list(ids), batch_first=True)), lengths)
    return [row[: len(one)] for row, one in zip(encoded, ids, strict=True)]


def _speaker(llm: Any, asked: Asked, device: torch.device) -> Tensor:
    """(1, width), or (0, width) where there is no place for one."""
    if asked.speaker is None or not hasattr(llm, "spk_embed_affine_layer"):
        return llm.speech_embedding.weight[:0]  # type: ignore[no-any-return]
    found: Tensor = llm.spk_embed_affine_layer(functional.normalize(asked.speaker[None].to(device), dim=1))
    return found
