"""Audio fingerprints: a 32-bit hash a frame by which shared audio is found among thousands of clips.

Knows band energies and bit errors (Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System", ISMIR 2002).
Knows no text, row or severity: `duplicates` and `overlaps` say what a match means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLE_RATE = 16000
SECONDS_PER_FRAME = 0.016


@dataclass(frozen=True, kw_only=True)
class Match:
    """Two clips of a sequence that share audio: frame `f` of `first` sounds as frame `f + offset` of `second`.

    `first` < `second` are places in the sequence. `shared_sec` is how long they run together, `share` the part of the
    longer clip that this is, `bit_error_rate` 0 for the same bits and about 0.5 for unrelated audio.
    """

    first: int
    second: int
    offset: int
    shared_sec: float
    share: float
    bit_error_rate: float


def fingerprint(samples_16k: NDArray[np.float32]) -> NDArray[np.uint32]:
    """A hash a frame of mono samples at 16 kHz, shape (n,) -> (frames,); 0 where a frame says nothing."""
    raise NotImplementedError


def matches(prints: Sequence[NDArray[np.uint32] | None]) -> tuple[Match, ...]:
    """All pairs of clips that share audio, without comparing all pairs. None stands for a clip without audio."""
    raise NotImplementedError
