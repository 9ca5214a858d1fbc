"""Texts that are not what is spoken, by a recogniser.

Knows how to tell a wrong text from a right one where the recogniser errs a lot, and when it cannot be told. Knows no
recogniser by itself: `builtin` gives the one for English that Earmark brings, `engine.whisper` another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from engine.audit.row import RowFacts
from engine.types import AuditFinding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Hearing(Protocol):
    """One clip as a recogniser heard it: what any number of texts can be held against."""

    transcript: str  # what was heard, in writing; "" where the recogniser writes nothing

    def distance(self, text: str) -> float:
        """How far `text` is from what was heard: 0 or about 0 for the right one, larger for others; NaN: not known."""
        ...


class Recogniser(Protocol):
    """Hears clips. `languages` it can follow, as in `Utterance.language`; none: any."""

    name: str
    languages: tuple[str, ...]

    def hear(self, samples: NDArray[np.float32], sample_rate: int, language: str) -> Hearing:
        """Listen once to mono samples, shape (n,)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What was found, and why some or all rows could not be judged ("" where all were)."""

    findings: tuple[AuditFinding, ...]
    skipped: str = ""


def builtin(folder: Path | None = None) -> Recogniser | None:
    """The recogniser for English that comes with Earmark; None where its weights are not installed."""
    raise NotImplementedError


def judge(
    facts: Sequence[RowFacts],
    recogniser: Recogniser,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> Judged:
    """Every row's text against its audio. `on_progress(done, total, message)` may raise to stop."""
    raise NotImplementedError


def check(
    facts: Sequence[RowFacts],
    recogniser: Recogniser,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> Iterator[AuditFinding]:
    """The findings of `judge`. What it could not judge is not told: `judge` does, for `AuditReport.skipped`."""
    yield from judge(facts, recogniser, on_progress).findings
