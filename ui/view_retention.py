"""What the Gate page shows of the disk: what may go and what stays, how the bytes are spent, the trash.

Pure like `view`: records in, HTML out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from engine.types import Retained
from ui import view

if TYPE_CHECKING:
    from engine.inventory import Spent
    from engine.trash import Tombstone

SHORT_BYTES = 10_000_000_000  # below this the page says what a full disk would do


def preview(answers: Sequence[Retained]) -> str:
    """What would happen if somebody confirmed, in two sentences."""
    going = [a for a in answers if not a.keep]
    kept = [a for a in answers if a.keep]
    if not answers:
        return "<p>There are no checkpoints yet.</p>"
    if not going:
        return (
            f"<p>Nothing may go. {view.plural(len(kept), 'checkpoint')} {_stay(kept)}. Without a failing verdict "
            "nothing is ever removed.</p>"
        )
    verb = "moves" if len(going) == 1 else "move"
    room = view.size(sum(a.bytes for a in going))
    first = f"{view.plural(len(going), 'checkpoint')} {verb} to the trash ({room}, with undo)."
    second = f" {len(kept)} {_stay(kept)}." if kept else ""
    return f"<p>{escape(first + second)} Nothing without a verdict is touched.</p>"


def budget(lines: Sequence[Spent], free_bytes: int) -> str:
    """How the disk is spent, what of it may go, and what is left."""
    if not lines:
        return ""
    told = view.table(
        ("on the disk", "how many", "size", "may go"),
        (
            (escape(s.what), str(s.count), _size(s.bytes), _size(s.may_go_bytes) if s.may_go_bytes else "–")
            for s in lines
        ),
        caption="How the disk is spent",
    )
    short = "" if free_bytes > SHORT_BYTES else " Runs pause when a checkpoint would not fit; make room here."
    return (
        f"{told}<p><small>{view.size(free_bytes)} free.{escape(short)} Nothing is ever removed by itself.</small></p>"
    )


def _size(count: int) -> str:
    return f'<span class="em-onerow">{view.size(count)}</span>'


def inspected(told: Sequence[str]) -> str:
    """What is not on the disk as it was published."""
    if not told:
        return f"<p>{view.state('pass', 'Every checkpoint is as it was published.')}</p>"
    return "".join(view.notice(sentence, bad=True) for sentence in told)


def _stay(kept: Sequence[Retained]) -> str:
    counted = Counter(reason for a in kept for reason in a.reasons)
    reasons = "; ".join(reason for reason, _ in counted.most_common(4))
    return f"{'stays' if len(kept) == 1 else 'stay'}{': ' + reasons if reasons else ''}"


def trash(stones: Sequence[Tombstone]) -> str:
    """What lies in the trash, by whom and why, and from when on it may be deleted."""
    lying = view.table(
        ("checkpoint", "may be deleted", "size"),
        ((_stone(s), view.when(s.purge_from()), _size(s.bytes)) for s in stones),
        caption="The trash",
    )
    room = view.size(sum(s.bytes for s in stones))
    return f"{lying}<p><small>{room} lie here and still take room on the disk until they are deleted.</small></p>"


def _stone(stone: Tombstone) -> str:
    """What lies there, who put it there, and behind a fold why: that can be a sentence a scale."""
    verdicts = f", {view.plural(len(stone.verdict_ids), 'verdict')}" if stone.verdict_ids else ""
    return (
        f"{escape(stone.checkpoint_id)}<details><summary>by {escape(stone.by)}{verdicts}</summary>"
        f"<small>{escape(stone.reason)}</small></details>"
    )
