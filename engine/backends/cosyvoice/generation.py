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

from engine.backends.cosyvoice import steps
from engine.backends.cosyvoice.drawing import Chooser
from engine.types import SpeakRow, Stop

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


@dataclass(frozen=True)
class Drawn:
    """Speech tokens, and how they ended."""

    tokens: tuple[int, ...]
    stop: Stop


def bounds(text_tokens: int, max_factor: float) -> tuple[int, int]:
    """Fewest and most speech tokens of a text."""
    most = math.ceil(text_tokens * MOST_A_TEXT_TOKEN * max_factor / USUAL_FACTOR)
    return min(LEAST_A_TEXT_TOKEN * text_tokens, most), max(1, most)


@torch.no_grad()
def generate(llm: Any, asked: Sequence[Asked], rows: Sequence[SpeakRow]) -> list[Drawn]:
    """The tokens of every row, until each has ended or reached its cap."""
    made = begun_with(llm, asked)
    width = max(len(one) for one in made)
    embeds = torch.stack([functional.pad(one, (0, 0, width - len(one), 0)) for one in made])
    following = steps.begun(llm, [len(one) for one in made])
    stops = first_stop(llm)
    chooser = Chooser(rows, llm.llm_decoder.out_features)
    said: list[list[int]] = [[] for _ in asked]
    open_rows = set(range(len(asked)))
    ends = [Stop.CAP] * len(asked)
    while open_rows:
        logits = llm.llm_decoder(following.forward(embeds)[:, -1])
        too_early = [len(own) < one.least for own, one in zip(said, asked, strict=True)]
        chosen = chooser.choose(logits, said, too_early, stops)
        for place in sorted(open_rows):
            if chosen[place] >= stops:
                ends[place] = Stop.EOS
                open_rows.discard(place)
                continue
            said[place].append(chosen[place])
            if len(said[place]) >= asked[place].most:
                open_rows.discard(place)
        # rows that have ended go on with any token: nobody looks at them
        drawn = torch.tensor([min(token, stops - 1) for token in chosen], device=embeds.device)
        embeds = llm.speech_embedding(drawn)[:, None]
    return [Drawn(tuple(own), end) for own, end in zip(said, ends, strict=True)]


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
