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
        settings = [row.settings for row in rows]
        self._generators = [torch.Generator().manual_seed(row.seed) for row in rows]
        self._codes = codes
        heat = torch.tensor([one.temperature for one in settings])[:, None]
        self._is_greedy = heat <= 0
        self._heat = heat.masked_fill(self._is_greedy, 1.0)
        self._top_k = torch.tensor([one.top_k if 0 < one.top_k < codes else codes for one in settings])[:, None]
        self._top_p = torch.tensor([one.top_p for one in settings])[:, None]

    def choose(self, logits: Tensor) -> Tensor:
        """Codes (rows,) for logits (rows, vocabulary)."""
        device = logits.device
        scores = logits[:, : self._codes].float() / self._heat.to(device)
        if bool((self._top_k < self._codes).any()):
            least = scores.sort(descending=True).values.gather(1, self._top_k.to(device) - 1)
            scores = scores.masked_fill(scores < least, -torch.inf)
        if bool((self._top_p < 1.0).any()):
            ordered, places = scores.sort(descending=True, stable=True)
            probabilities = ordered.softmax(1)
            dropped = probabilities.cumsum(1) - probabilities >= self._top_p.to(device)
            scores = scores.masked_fill(torch.zeros_like(dropped).scatter(1, places, dropped), -torch.inf)
        drawn = [torch.rand(self._codes, generator=one, dtype=torch.float64) for one in self._generators]
        gumbel = -torch.log(-torch.log(torch.stack(drawn).clamp(1e-300, 1 - 1e-16)))
        return (scores + gumbel.masked_fill(self._is_greedy, 0.0).to(device, scores.dtype)).argmax(1)

    def keep(self, places: Sequence[int]) -> None:
        """Only these rows go on, in this order."""
        self._generators = [self._generators[place] for place in places]
        kept = torch.tensor(places, dtype=torch.long)
        self._is_greedy, self._heat = self._is_greedy[kept], self._heat[kept]
        self._top_k, self._top_p = self._top_k[kept], self._top_p[kept]


class Repetition:
    """What every row has said, and the penalty for saying it again (Keskar et al. 2019, arXiv:1909.05858)."""

    def __init__(self, rows: Sequence[SpeakRow], codes: int, device: torch.device) -> None:
        self._codes = codes
        self._penalties = torch.tensor([row.settings.repetition_penalty for row in rows], device=device)[:, None]
        self._said = torch.zeros(len(rows), codes, dtype=torch.bool, device=device)

    def scores(self, logits: Tensor, end: int, *, may_end: bool) -> Tensor:
        """Scores (rows, codes + 1) of what can be said, the last of them the end, for logits (rows, vocabulary) whose
        first ids are the codes. The end is never penalised; it is out where a row may not end yet.
        """
        scores = logits[:, : self._codes].float()
        penalised = torch.where(scores > 0, scores / self._penalties, scores * self._penalties)
        ends = logits[:, end, None].float() if may_end else torch.full_like(scores[:, :1], -torch.inf)
        return torch.cat([torch.where(self._said, penalised, scores), ends], dim=1)

    def note(self, codes: Tensor) -> None:
        """Each row has said its code (rows,)."""
        self._said.scatter_(1, codes[:, None], True)

    def keep(self, places: Sequence[int]) -> None:
        """Only these rows go on, in this order."""
        kept = torch.tensor(places, dtype=torch.long, device=self._said.device)
        self._penalties, self._said = self._penalties[kept], self._said[kept]
