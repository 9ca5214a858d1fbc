"""Slices of one recording that share audio, and what that does to a split.

Knows time codes and fingerprints. What to do about a leak across a split is the splitter's: `clusters` tells it which
rows belong together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.audit import fingerprints
from engine.audit.row import RowFacts
from engine.types import AuditFinding


def check(facts: Sequence[RowFacts], matches: Sequence[fingerprints.Match] | None = None) -> Iterator[AuditFinding]:
    """Overlaps, each named at the later row. `matches` are those of the rows' fingerprints, found here when None."""
    raise NotImplementedError
    yield


def clusters(facts: Sequence[RowFacts], matches: Sequence[fingerprints.Match] | None = None) -> list[set[str]]:
    """Ids of rows that share audio, by file, content, time code or fingerprint; sets of two and more, disjoint."""
    raise NotImplementedError
