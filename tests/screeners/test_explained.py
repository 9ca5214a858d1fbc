"""The guide's page about measures is what the measures say of themselves."""

from __future__ import annotations

from pathlib import Path

from engine.screeners.explained import page


def test_the_guide_tells_every_measure(repository: Path) -> None:
    """A new or changed measure is told: print the page anew with `python -m engine.screeners.explained`."""
    assert (repository / "docs/user-guide/measures.md").read_text(encoding="utf-8") == page()
