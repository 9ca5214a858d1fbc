"""Every random draw of a training from the run's one seed.

A step's generators are set from (seed, step number) before it, so what a step draws does not depend on what was drawn
before: a resumed run needs no saved generator state, and a validation in between changes nothing.
"""

from __future__ import annotations

import hashlib
import random


def derive(seed: int, *names: str | int) -> int:
    """A 31-bit seed for a named purpose; different names give unrelated seeds."""
    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFF_FFFF


def of_batch(seed: int, step: int, place: int) -> int:
    """The seed of one batch of a step. A step's first batch has the step's own, whatever comes after it."""
    return derive(seed, "step", step, "batch", place) if place else derive(seed, "step", step)


def of_validation(seed: int, place: int) -> int:
    """The seed of one validation batch: the same at every validation."""
    return derive(seed, "validation", place) if place else derive(seed, "validation")


def set_generators(seed: int) -> None:
    """Set the generators of Python, NumPy and torch (all devices): a backend may draw from any of them."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
