"""Each row's own noise: what a row draws follows from its seed, whatever shares its batch.

Knows generators, temperatures and filters. The choice among codes is greedy over filtered logits plus Gumbel noise from
the row's generator, which is exactly sampling (Gumbel-max, Maddison et al. 2014, arXiv:1411.0030). Noise is drawn on
the processor whatever the model's device, so that a seed means the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from engine.types import SpeakRow


class GaussianNoise:
    """Noise of a flow, a row a generator. A row alone draws what torch draws after `torch.manual_seed(row.seed)`."""

    def __init__(self, rows: Sequence[SpeakRow]) -> None:
        self._generators = [torch.Generator().manual_seed(row.seed) for row in rows]
        # the temperature is the noise's variance, as upstream has it
        self._scales = [math.sqrt(max(0.0, row.settings.temperature)) for row in rows]

    def draw(self, like: Tensor) -> Tensor:
        """(rows, size) of the next step, as `like` is."""
        drawn = [
            torch.randn(like.shape[1], generator=generator, dtype=torch.float32) * scale
            for generator, scale in zip(self._generators, self._scales, strict=True)
        ]
        return torch.stack(drawn).to(like.device, like.dtype)


class Chooser:
    """Chooses one code a row: temperature, top-k, top-p, then noise of the row's own generator.

    Temperature 0 takes the most probable one. `codes` is how many a row may choose among; the rest of the logits are
    ids that stand for no sound.
    """

    def __init__(self, rows: Sequence[SpeakRow], codes: int) -> None:
        self._settings = [row.settings for row in rows]
        self._generators = [torch.Generator().manual_seed(row.seed) for row in rows]
        self._codes = codes

    def choose(self, logits: Tensor) -> Tensor:
        """Codes (rows,) for logits (rows, vocabulary)."""
        rows = [self._row(one, index) for index, one in enumerate(logits[:, : self._codes].float())]
        return torch.stack(rows)

    def _row(self, logits: Tensor, index: int) -> Tensor:
        settings = self._settings[index]
        if settings.temperature <= 0:
            return logits.argmax()
        logits = logits / settings.temperature
        if 0 < settings.top_k < self._codes:
            logits = logits.masked_fill(logits < logits.topk(settings.top_k).values[-1], -torch.inf)
        if settings.top_p < 1.0:
            ordered, places = logits.sort(descending=True)
            before = ordered.softmax(0).cumsum(0) - ordered.softmax(0)
            logits = logits.index_fill(0, places[before >= settings.top_p], -torch.inf)
        uniform = torch.rand(self._codes, generator=self._generators[index], dtype=torch.float64)
        gumbel = -torch.log(-torch.log(uniform.clamp(1e-300, 1 - 1e-16)))
        return (logits + gumbel.to(logits.device, logits.dtype)).argmax()
