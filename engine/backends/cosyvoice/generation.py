"""Speech tokens of many texts in one batch: upstream's language model, padded on the left, one step after the other.

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

from engine.backends.cosyvoice.drawing import Chooser
from engine.types import SpeakRow, Stop

LEAST_A_TEXT_TOKEN = 2  # upstream's own bounds (llm.py, `inference`): 2 to 20 speech tokens a text token,
MOST_A_TEXT_TOKEN = 20
USUAL_FACTOR = 3.0  # at the usual `max_factor`


@dataclass(frozen=True, eq=False)
class Asked:
    """What a row asks the language model for: ids before the text, of the text, and speech tokens to go on from."""

    prompt: tuple[int, ...]
    text: tuple[int, ...]
    speech: Tensor
    least: int
    most: int


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
    device = next(llm.parameters()).device
    made = [_embedded(llm, one, device) for one in asked]
    width = max(len(one) for one in made)
    embeds = torch.stack([functional.pad(one, (0, 0, width - len(one), 0)) for one in made])
    mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in made], device=device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    stops = min(llm.stop_token_ids)
    chooser = Chooser(rows, llm.llm_decoder.out_features)
    said: list[list[int]] = [[] for _ in asked]
    open_rows = set(range(len(asked)))
    ends = [Stop.CAP] * len(asked)
    cache = None
    while open_rows:
        told = llm.llm.model(
            inputs_embeds=embeds,
            attention_mask=mask,
            position_ids=positions,
            cache=cache,
            use_cache=True,
            output_hidden_states=True,
        )
        cache = told.cache
        logits = llm.llm_decoder(told.hidden_states[-1][:, -1])
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
        following = torch.tensor([min(token, stops - 1) for token in chosen], device=device)
        embeds = llm.speech_embedding(following)[:, None]
        mask = functional.pad(mask, (0, 1), value=1)
        positions = positions[:, -1:] + 1
    return [Drawn(tuple(own), end) for own, end in zip(said, ends, strict=True)]


def _embedded(llm: Any, asked: Asked, device: torch.device) -> Tensor:
    """(positions, width): start, prompt, text, the task's mark, speech. Version 3 keeps its marks among the tokens."""
    marks = getattr(llm, "llm_embedding", llm.speech_embedding).weight
    ids = torch.tensor([*asked.prompt, *asked.text], device=device)
    return torch.cat(
        [
            marks[llm.sos][None],
            llm.llm.model.model.embed_tokens(ids),
            marks[llm.task_id][None],
            llm.speech_embedding(asked.speech.to(device)),
        ]
    )
