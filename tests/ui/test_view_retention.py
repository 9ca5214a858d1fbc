"""What the disk looks like before anybody confirms."""

from __future__ import annotations

from pathlib import Path

from engine import trash
from engine.types import Retained
from ui import view_retention


def test_retention_says_what_would_happen_and_touches_nothing_unjudged() -> None:
    """Counts, bytes and reasons before anybody confirms."""
    answers = [
        Retained(checkpoint_id="a", keep=False, reasons=("all failed",), bytes=8_300_000),
        Retained(checkpoint_id="b", keep=False, reasons=("all failed",), bytes=8_300_000),
        Retained(checkpoint_id="c", keep=True, reasons=("passed at 0.3",), bytes=8_300_000),
    ]
    told = view_retention.preview(answers)
    assert "2 checkpoints move to the trash (16.6 MB, with undo)" in told
    assert "1 stays: passed at 0.3" in told
    assert "Nothing may go" in view_retention.preview(answers[2:])


def test_altered_checkpoints_are_named() -> None:
    """What is not as it was published is a notice a checkpoint; else it is said that all is well."""
    assert "as it was published" in view_retention.inspected([])
    assert "em-bad" in view_retention.inspected(["step 40 was altered"])


def test_the_trash_says_from_when_on_it_may_be_emptied() -> None:
    """From when on each may be deleted without typing its id, and how much room all of it still takes."""
    stones = [
        trash.Tombstone(
            id=name, checkpoint_id=f"run@{name}", run_id="run", step=1, origin=Path("x"), by="Ada", reason="all failed",
            verdict_ids=("v",), at=0.0, bytes=8_300_000, files={},
        )
        for name in ("1", "2")
    ]  # fmt: skip
    told = view_retention.trash(stones)
    assert "15 Jan 1970" in told
    assert "<summary>by Ada, 1 verdict</summary><small>all failed</small>" in told
    assert "16.6 MB lie here" in told
