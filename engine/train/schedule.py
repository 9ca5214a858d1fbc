"""The learning rate of a step. Pure.

Linear warm-up, then constant. A decaying schedule would tie every checkpoint to the planned number of epochs: epoch 3
of 4 would be another voice than epoch 3 of 12. Since people pick the epoch by ear, each one has to mean the same
however long the run is, and a longer run has to contain the shorter one.
"""

from __future__ import annotations


def learning_rate(step: int, *, peak: float, warmup_steps: int) -> float:
    """The rate of a step (0-based): `peak` times (step + 1) / warmup_steps at first, `peak` from then on."""
    return peak * min(1.0, (step + 1) / max(1, warmup_steps))
