"""What the Gate page shows: the matrix of candidates and tiers, what it proves, what may go, the trash.

Pure like `view`: records in, HTML out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from engine.types import Outcome, Promotion, Retained, Tier, Verdict
from ui import view

if TYPE_CHECKING:
    from engine.inventory import Spent
    from engine.studio import MatrixRow, PreferenceRow, TierState
    from engine.trash import Tombstone

TIER_NAMES = {Tier.SHORT: "short 5 s", Tier.MEDIUM: "medium 15 s", Tier.LONG: "long 30 s+"}

# How a state looks beside its word.
SHAPES = {
    "pass": "pass",
    "fail": "fail",
    "in review": "wait",
    "disputed": "split",
    "waiting": "none",
    "no clips": "empty",
}
SHORT_BYTES = 10_000_000_000  # below this the page says what a full disk would do


def matrix(rows: Sequence[MatrixRow], kept: Mapping[str, Retained]) -> str:
    """Candidates down, tiers across: what was heard, what it proves, what keeps the checkpoint."""
    asked = [r for r in rows if any(t.passes or t.fails or t.waiting for t in r.tiers.values())]
    unasked = [r.label for r in rows if r not in asked]
    top = "".join(f'<th scope="col">{h}</th>' for h in ("candidate", *TIER_NAMES.values(), "evidence", "keeps it"))
    groups = [list(own) for _, own in groupby(asked, key=lambda r: r.candidate.checkpoint_id)]
    body = "".join(_matrix_row(row, len(own) if i == 0 else 0, kept) for own in groups for i, row in enumerate(own))
    later = (
        f'<p class="em-quiet" style="margin-top:12px">Not sent to listening: {escape(", ".join(unasked))}.</p>'
        if unasked
        else ""
    )
    return (
        '<div class="em-scroll"><table><caption class="em-visually-hidden">Candidates by tier</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>{later}"
    )


def _matrix_row(row: MatrixRow, span: int, kept: Mapping[str, Retained]) -> str:
    """One candidate; the first of a checkpoint carries what keeps the checkpoint, over all its rows."""
    tiers = "".join(f'<td class="em-tinted em-tight">{tier_state(row.tiers[tier])}</td>' for tier in Tier)
    answer = kept.get(row.candidate.checkpoint_id or "")
    keeps = (
        f"{view.state('fail', 'may go')} <small>{view.size(answer.bytes)}</small>"
        if answer and not answer.keep
        else escape(row.keeps)
    )
    last = f'<td rowspan="{span}">{keeps}</td>' if span else ""
    evidence = f'<td class="em-evidence">{escape(row.evidence)}{_simulated(row)}</td>'
    return f'<tr><th scope="row">{escape(row.label)}</th>{tiers}{evidence}{last}</tr>'


def tier_state(cell: TierState) -> str:
    """One cell by shape and word, with its answers."""
    heard = cell.passes + cell.fails
    told = f" <small>{cell.passes} of {heard}</small>" if heard else ""
    return view.state(SHAPES[cell.state.value], cell.state.value) + told


def _simulated(row: MatrixRow) -> str:
    return ' <small title="Judged by a stated rule, not by a person">simulated</small>' if row.simulated else ""


def retention_preview(answers: Sequence[Retained]) -> str:
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
            (escape(s.what), str(s.count), view.size(s.bytes), view.size(s.may_go_bytes) if s.may_go_bytes else "–")
            for s in lines
        ),
        caption="How the disk is spent",
    )
    short = "" if free_bytes > SHORT_BYTES else " Runs pause when a checkpoint would not fit; make room here."
    return (
        f"{told}<p><small>{view.size(free_bytes)} free.{escape(short)} Nothing is ever removed by itself.</small></p>"
    )


def inspected(told: Sequence[str]) -> str:
    """What is not on the disk as it was published."""
    if not told:
        return f"<p>{view.state('pass', 'Every checkpoint is as it was published.')}</p>"
    return "".join(view.notice(sentence, bad=True) for sentence in told)


def _stay(kept: Sequence[Retained]) -> str:
    counted = Counter(reason for a in kept for reason in a.reasons)
    reasons = "; ".join(reason for reason, _ in counted.most_common(4))
    return f"{'stays' if len(kept) == 1 else 'stay'}{': ' + reasons if reasons else ''}"


def how_sure(rows: Sequence[MatrixRow], preferences: Sequence[PreferenceRow]) -> str:
    """What the best candidate's passes prove, how many would prove more, and what A/B sittings prefer."""
    passed = [r for r in rows if r.outcome is Outcome.PASS and not r.candidate.is_base]
    if passed:
        best = max(passed, key=lambda r: sum(t.passes for t in r.tiers.values()))
        told = (
            f"<p><strong>{escape(best.label)}</strong>: {escape(best.evidence)}. "
            "59 passes in a row are needed to say “above 95 %” with 95 % confidence.</p>"
        )
    else:
        told = "<p>No candidate has passed every tier yet. Each tier needs a pass and no fail.</p>"
    return told + "".join(f"<p>{escape(_preferred(row))}</p>" for row in preferences)


def _preferred(row: PreferenceRow) -> str:
    """One pair's A/B answers in a sentence."""
    found = row.summary
    decided = found.wins + found.losses
    pair = f"{row.first_label} against {row.second_label}"
    who = ", ".join(row.reviewers) + (", simulated" if row.simulated else "")
    if not decided:
        return f"{pair}: {view.plural(found.ties, 'tie')} and no preference ({who})."
    share = f"{found.interval.low:.0%} to {found.interval.high:.0%} with 95 % confidence"
    return (
        f"{pair}: the first preferred {found.wins} of {decided} times ({share}), {view.plural(found.ties, 'tie')} "
        f"({who})."
    )


def trash(stones: Sequence[Tombstone]) -> str:
    """What lies in the trash, by whom and why."""
    return view.table(
        ("checkpoint", "by", "because", "since", "size"),
        (
            (escape(s.checkpoint_id), escape(s.by), escape(s.reason), view.when(s.at), view.size(s.bytes))
            for s in stones
        ),
        caption="The trash",
    )


def verdicts_written(made: Sequence[Verdict]) -> str:
    """What judging changed."""
    if not made:
        return "Nothing new: every answer is in the verdicts already."
    counted = Counter(v.outcome for v in made)
    return "Verdicts written: " + ", ".join(f"{n} {outcome}" for outcome, n in counted.items()) + "."


def promoted(made: Promotion) -> str:
    """That a promotion was made, and the next step."""
    return (
        f'<p class="em-notice" role="status">{escape(made.alias)} is promoted by {escape(made.promoted_by)}. '
        'Next: <a href="/voices">try and export it</a>.</p>'
    )
