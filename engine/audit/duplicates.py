"""Rows whose audio is there twice: the same file, the same samples, or the same sound encoded otherwise.

Knows content hashes and fingerprints. A second take of the same text is other audio and no duplicate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.audit import fingerprints
from engine.audit.row import RowFacts
from engine.types import AuditFinding


def check(facts: Sequence[RowFacts], matches: Sequence[fingerprints.Match] | None = None) -> Iterator[AuditFinding]:
    """Duplicates, each named at the later row. `matches` are those of the rows' fingerprints, found here when None."""
    raise NotImplementedError
    yield
