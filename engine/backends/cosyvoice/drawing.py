"""How CosyVoice draws a speech token: nucleus sampling that notices repetition, each row with noise of its own.

Knows upstream's rule (cosyvoice/utils/common.py, `ras_sampling`, after VALL-E 2, Chen et al. 2024, arXiv:2406.05370):
a token from the nucleus, and where it was said in the last ten already, another one from all that are left. Choices
are greedy over logits plus Gumbel noise from the row's generator, which is exactly sampling (Maddison et al. 2014,
arXiv:1411.0030). Noise is drawn on the processor, so that a seed means the same on every device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.types import SpeakRow

WINDOW, LEAST_REPEATS = 10, 1


class Chooser:
    """Chooses one token a row. Temperature 0 takes the most probable one, whatever was said before."""

    def __init__(self, rows: Sequence[SpeakRow], classes: int) -> None:
        self._rows = list(rows)
        self._classes = classes
        self._generators = [torch.Generator().manual_seed(row.seed) for row in rows]

    def keep(self, places: Sequence[int]) -> None:
        """Only the rows at these places go on."""
        self._rows = [self._rows[place] for place in places]
        self._generators = [self._generators[place] for place in places]

    def choose(self, logits: Tensor, said: Sequence[Sequence[int]], refused: Sequence[bool], stops: int) -> list[int]:
        """Tokens for logits (rows, classes). `refused` rows may not stop yet: ids from `stops` on are not for them."""
        scores = logits.float().cpu()
        chosen = []
        for place, row in enumerate(self._rows):
            noise = torch.rand(2, self._classes, generator=self._generators[place], dtype=torch.float64)
            own = scores[place].double()
            if refused[place]:
                own[stops:] = -torch.inf
            chosen.append(_chosen(own, row, said[place], -torch.log(-torch.log(noise.clamp(1e-300, 1 - 1e-16)))))
        return chosen


def _chosen(scores: Tensor, row: SpeakRow, said: Sequence[int], gumbel: Tensor) -> int:
    settings = row.settings
    if settings.temperature <= 0:
        return int(scores.argmax())
    heated = scores / settings.temperature
    token = int((_nucleus(heated, settings.top_p, settings.top_k) + gumbel[0]).argmax())
    if list(said[-WINDOW:]).count(token) >= LEAST_REPEATS:
        heated[token] = -torch.inf
        token = int((heated + gumbel[1]).argmax())
    return token


def _nucleus(scores: Tensor, top_p: float, top_k: int) -> Tensor:
    """The fewest tokens that have `top_p` together, and at most `top_k` of them; the rest are out."""
    ordered, places = scores.sort(descending=True, stable=True)
    probabilities = ordered.softmax(0)
    kept = (probabilities.cumsum(0) - probabilities) < top_p
    if top_k > 0:
        kept[top_k:] = False
    kept[0] = True
    return scores.masked_fill(torch.zeros_like(kept).scatter(0, places, ~kept), -torch.inf)
