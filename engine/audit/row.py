"""What one pass over a row's audio leaves behind: the numbers that all checks share. Samples are not kept.

Knows the record and how small it must be (a set may have 10,000 rows and more). Knows no check.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.types import Measurement, Utterance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class RowFacts:
    """A row as it was measured. `measurement` is None where the audio could not be read; `fault` says why."""

    utterance: Utterance
    fault: str = ""
    fault_check: str = ""  # "missing" or "unreadable"
    measurement: Measurement | None = None
    speech: tuple[tuple[float, float], ...] = ()  # (start, end) in seconds, by the voice activity detector
    content_sha256: str = ""  # of the decoded samples: equal for equal audio in another container
    fingerprint: NDArray[np.uint32] | None = None  # a hash a frame, `fingerprints`
    voice: NDArray[np.float32] | None = None  # what tells speakers apart, `speakers`
    unpronounceable: str | None = None  # why the backend cannot say the text; "" if it can, None if it was not asked
