"""Drawing semantic codes for a batch of texts, each row as if it were alone.

Knows the loop over codes and its cache. Every row draws from a generator of its own, one code at a time: upstream's
three beams would draw from what the whole batch shares. Knows neither references nor adapters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from engine.backends.indextts2.layout import Layout
from engine.backends.transformers_tts.drawing import Chooser
from engine.types import SpeakRow, Stop

LEAST_CODES = 2
SHRINK_BELOW = 0.75  # finished rows leave the batch once fewer than this share of it is alive

Serving = Callable[[Sequence[int]], AbstractContextManager[None]]
"""Opens a block in which the model's batch consists of these rows of the prompts, in this order."""


@dataclass(frozen=True, eq=False)
class Asked:
    """What one row starts from: embeddings (positions, width) up to the text's stop, the most codes it may have, and
    how it draws.
    """

    inputs: Tensor
    cap: int
    row: SpeakRow


@dataclass
class Drawn:
    """The codes of a row, and how they ended."""

    codes: list[int] = field(default_factory=list)
    stop: Stop | None = None


@torch.inference_mode()
def generate(
    voice: Any, asked: Sequence[Asked], serving: Serving, on_step: Callable[[int, int], None] | None = None
) -> list[Drawn]:
    """Draw every row's codes in one batch; rows that are done leave it when that is worth the copy.

    `on_step` is told the codes so far and the most there can be, and may raise to give up.
    """
    drawn, batch = [Drawn() for _ in asked], _Batch(voice, asked)
    longest = max(one.cap for one in asked)
    step = 0
    while batch.rows:
        with serving(batch.rows):
            while True:
                if on_step is not None:
                    on_step(step, longest)
                codes, ended = batch.step(step)
                step += 1
                for place, row in enumerate(batch.rows):
                    _note(drawn[row], codes[place], ended[place], asked[row].cap)
                alive = [place for place, row in enumerate(batch.rows) if drawn[row].stop is None]
                if len(alive) <= SHRINK_BELOW * len(batch.rows):
                    break
        batch.keep(alive)
    return drawn


def _note(row: Drawn, code: int, ended: bool, cap: int) -> None:
    if row.stop is not None:  # done, and still in the batch
        return
    if ended:
        row.stop = Stop.EOS
        return
    row.codes.append(code)
    if len(row.codes) >= cap:
        row.stop = Stop.CAP


class _Batch:
    """The rows that are still drawing: their inputs, masks, cache and generators."""

    def __init__(self, voice: Any, asked: Sequence[Asked]) -> None:
        self.rows = list(range(len(asked)))
        self._voice, self._layout = voice, Layout(voice)
        self._codes = min(voice.start_mel_token, voice.stop_mel_token)
        device = self._layout.device
        self._chooser = Chooser([one.row for one in asked], self._codes + 1)
        self._penalties = torch.tensor([one.row.settings.repetition_penalty for one in asked], device=device)[:, None]
        self._said = torch.zeros(len(asked), self._codes, dtype=torch.bool, device=device)
        start = self._layout.codes(torch.zeros(0, dtype=torch.long), as_spoken=True)
        self._inputs, self._mask = _left_padded([torch.cat([one.inputs, start]) for one in asked])
        self._cache = self._layout.empty_cache()

    def step(self, step: int) -> tuple[list[int], list[bool]]:
        """The next code of every row, and which rows ended instead."""
        if step:
            self._mask = functional.pad(self._mask, (0, 1), value=1)
        found = self._layout.states(self._inputs, self._mask, past_key_values=self._cache, use_cache=True)
        chosen = self._chooser.choose(self._scores(found.last_hidden_state[:, -1], step))
        ended = chosen == self._codes
        codes = chosen.masked_fill(ended, 0)
        self._said.scatter_(1, codes[:, None], True)
        self._inputs = self._layout.next_codes(codes, step)
        return codes.tolist(), ended.tolist()

    def _scores(self, states: Tensor, step: int) -> Tensor:
        """Logits (rows, codes + 1) of what can be said, the last of them the end, after the repetition penalty (Keskar
        et al. 2019, arXiv:1909.05858).
        """
        logits = self._voice.mel_head(self._voice.final_norm(states)).float()
        scores = logits[:, : self._codes]
        penalised = torch.where(scores > 0, scores / self._penalties, scores * self._penalties)
        scores = torch.where(self._said, penalised, scores)
        end = logits[:, self._voice.stop_mel_token, None]
        if step < LEAST_CODES:
            end = torch.full_like(end, -torch.inf)
        return torch.cat([scores, end], dim=1)

    def keep(self, places: Sequence[int]) -> None:
        """Only these rows go on."""
        self.rows = [self.rows[place] for place in places]
        if not self.rows:
            return
        kept = torch.tensor(places, dtype=torch.long, device=self._mask.device)
        self._inputs, self._mask, self._said = self._inputs[kept], self._mask[kept], self._said[kept]
        self._penalties = self._penalties[kept]
        self._chooser.keep(places)
        self._cache.batch_select_indices(kept)


def _left_padded(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Inputs (rows, longest, width) and mask: the rows end together, so all speak from the same column on."""
    width = max(len(row) for row in rows)
    inputs = torch.stack([functional.pad(row, (0, 0, width - len(row), 0)) for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=inputs.device)
    return inputs, mask
