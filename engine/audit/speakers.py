"""Another speaker in the set: a row whose voice is far from the others, or two voices under one label.

Knows a voice as numbers and robust statistics. Knows no names of speakers beyond the rows' labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from engine.audit.row import RowFacts
from engine.types import AuditFinding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def vector(samples_16k: NDArray[np.float32], speech: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
    """What tells speakers apart, of mono samples at 16 kHz within `speech` (start, end) in seconds; NaN without speech."""
    raise NotImplementedError


def check(facts: Sequence[RowFacts]) -> Iterator[AuditFinding]:
    """Rows of another voice within a speaker's label, and sets that hold two voices. Few rows are not judged."""
    raise NotImplementedError
    yield
