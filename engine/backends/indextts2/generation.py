"""Drawing semantic codes for a batch of texts, each row as if it were alone.

Knows what a code is computed from, and the cache. Every row draws from a generator of its own, one code at a time:
upstream's three beams would draw from what the whole batch shares. Knows neither references nor adapters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from engine.backends import drawn_rows
from engine.backends.drawing import Chooser, Repetition
from engine.backends.drawn_rows import Drawn, OnStep, Serving
from engine.backends.indextts2.layout import Layout
from engine.types import SpeakRow

LEAST_CODES = 2


@dataclass(frozen=True, eq=False)
class Asked:
    """What one row starts from: embeddings (positions, width) up to the text's stop, the most codes it may have, and
    how it draws.
    """

    inputs: Tensor
    cap: int
    row: SpeakRow


def generate(voice: Any, asked: Sequence[Asked], serving: Serving, on_step: OnStep | None = None) -> list[Drawn[int]]:
    """The semantic codes of every row, drawn in one batch."""
    return drawn_rows.draw(_Batch(voice, asked), [one.cap for one in asked], serving, on_step)


class _Batch:
    """The rows that are still drawing."""

    def __init__(self, voice: Any, asked: Sequence[Asked]) -> None:
        self._voice, self._layout = voice, Layout(voice)
        self._codes = min(voice.start_mel_token, voice.stop_mel_token)
        rows = [one.row for one in asked]
        self._chooser = Chooser(rows, self._codes + 1)
        self._repetition = Repetition(rows, self._codes, self._layout.device)
        start = self._layout.codes(torch.zeros(0, dtype=torch.long), as_spoken=True)
        self._inputs, self._mask = drawn_rows.left_padded([torch.cat([one.inputs, start]) for one in asked])
        self._cache = self._layout.empty_cache()

    def step(self, step: int) -> tuple[list[int], list[bool]]:
        """The next code of every row, and which rows ended instead."""
        if step:
            self._mask = functional.pad(self._mask, (0, 1), value=1)
        found = self._layout.states(self._inputs, self._mask, past_key_values=self._cache, use_cache=True)
        logits = self._voice.mel_head(self._voice.final_norm(found.last_hidden_state[:, -1]))
        end, may_end = self._voice.stop_mel_token, step >= LEAST_CODES
        chosen = self._chooser.choose(self._repetition.scores(logits, end, may_end=may_end))
        ended = chosen == self._codes
        codes = chosen.masked_fill(ended, 0)
        self._repetition.note(codes)
        self._inputs = self._layout.next_codes(codes, step)
        return codes.tolist(), ended.tolist()

    def keep(self, places: Sequence[int]) -> None:
        """Only these rows go on."""
        kept = torch.tensor(places, dtype=torch.long, device=self._mask.device)
        self._inputs, self._mask = self._inputs[kept], self._mask[kept]
        self._repetition.keep(places)
        self._chooser.keep(places)
        self._cache.batch_select_indices(kept)
