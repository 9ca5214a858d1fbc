"""What the Tests page shows: what a plan asks, tests with their reviewers' progress, invitations. Pure: records in,
HTML out. While a test runs it shows counts and nothing that anybody answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from engine.types import Design, Invitation, ListeningTest, Order, TrialKind
from ui import view

if TYPE_CHECKING:
    from engine.studio import NewInvitation, Outline, SittingState, TestState

KINDS = {
    TrialKind.PREFERENCE: ("A or B", "Which of two is better, or no difference. The surest way to compare."),
    TrialKind.CMOS: ("CMOS, -3 to +3", "How much better B is than A, in seven steps."),
    TrialKind.MOS: ("MOS, 1 to 5", "One clip at a time, bad to excellent. Not to be compared across tests."),
    TrialKind.MULTI: ("Multi-stimulus, 0 to 100", "Up to eight clips of a line, the base hidden among them."),
    TrialKind.ABX: ("ABX", "Which of two is X? Finds out whether a difference can be heard at all."),
    TrialKind.GATE: ("Pass or fail", "One clip at a time, with reasons. Counts for the gate."),
}  # fmt: skip


def outline(found: Outline, reviewers: int) -> str:
    """What the plan asks of each reviewer."""
    each = view.plural(found.trials, "trial")
    checks = f", {view.plural(found.catches, 'check')} among them" if found.catches else ""
    return (
        f'<p class="em-notice" role="status">{each} for each of {view.plural(reviewers, "reviewer")}{checks}: about '
        f"{max(1, round(found.minutes))} min of listening. Nothing is opened yet.</p>"
    )


def made(test: ListeningTest) -> str:
    """That a test is open, and what comes next."""
    return (
        f'<p class="em-notice" role="status">“{escape(test.name)}” is open for '
        f'{escape(", ".join(test.reviewers))}. They find it under <a href="/listen/">Listen</a>; '
        "who listens elsewhere needs an invitation.</p>"
    )


def dry_run(session_id: str) -> str:
    """Where the engineer tries a test."""
    to = f"/listen/?session={escape(session_id)}"
    return f'<p class="em-notice" role="status">Your dry run waits. It is never counted. <a href="{to}">Open it</a></p>'


def invited(new: NewInvitation) -> str:
    """The link, which is shown this once."""
    who, until = escape(new.invitation.reviewer), view.when(new.invitation.expires_at)
    return (
        f'<div class="em-notice em-stack" role="status"><p>This link is {who}\'s, shown only now; it lasts until '
        f'{until}.</p><p><code data-invite="{escape(new.path)}">{escape(new.path)}</code> '
        '<button type="button" class="em-chip" onclick="navigator.clipboard.writeText(location.origin + '
        "this.previousElementSibling.dataset.invite); this.textContent = 'Copied'\">Copy the link</button></p></div>"
    )


def tests(found: Sequence[TestState], labels: dict[str, str]) -> str:
    """Every test as a card: its plan in a line, and how far each reviewer is."""
    return f'<div class="em-cards">{"".join(_card(state, labels) for state in found)}</div>'


def _card(state: TestState, labels: dict[str, str]) -> str:
    test = state.test
    ended = test.closed_at is not None
    is_done = bool(state.sittings) and state.answered >= state.total
    shape, word = ("none", "ended") if ended else ("pass", "complete") if is_done else ("wait", "open")
    sittings = "".join(_sitting(each) for each in state.sittings)
    heard = ", ".join(labels.get(candidate.id, candidate.id) for candidate in test.candidates)
    return (
        f'<div class="em-card em-stack" data-test="{escape(test.id)}"><div class="em-row em-between">'
        f"<h2>{escape(test.name)}</h2>{view.state(shape, word)}</div>"
        f"<p>{escape(KINDS[test.kind][0])}{_design(test)} · {view.plural(len(test.candidates), 'candidate')} on "
        f"{view.plural(len(test.lines), 'line')}</p><small>{escape(heard)}</small>"
        f"{view.bar(state.answered, state.total, f'{state.answered} of {state.total} answers')}"
        f'<dl class="em-sittings">{sittings}</dl>'
        f"<small>{_dry_runs(state)}made by {escape(test.created_by)} on {view.when(test.created_at)}</small>"
        f"{_downloads(test)}</div>"
    )


def _design(test: ListeningTest) -> str:
    told = ", adaptive (exploration)" if test.design is Design.ADAPTIVE else ""
    told += ", Williams order" if test.order is Order.WILLIAMS else ""
    return told + (f", {test.catch_rate:.0%} checks" if test.catch_rate else "")


def _sitting(each: SittingState) -> str:
    ended = "ended" if each.session.closed_at is not None else "listening" if each.answered else "not begun"
    word = "done" if each.answered >= each.total else ended
    return (
        f"<div><dt>{escape(each.session.reviewer)}</dt><dd>{each.answered} of {each.total} "
        f'<span class="em-quiet">{word}</span></dd></div>'
    )


def _dry_runs(state: TestState) -> str:
    return f"{view.plural(len(state.dry_runs), 'dry run')}, not counted · " if state.dry_runs else ""


def _downloads(test: ListeningTest) -> str:
    links = " ".join(
        f'<a class="em-button" href="/listening-tests/{escape(test.id)}.{kind}" download>{kind.upper()}</a>'
        for kind in ("csv", "parquet", "json")
    )
    return (
        "<details><summary>Everything as data</summary><p><small>Names every candidate: taking it unblinds you, and is "
        f'kept in the record.</small></p><div class="em-row">{links}</div></details>'
    )


def invitations(found: Sequence[tuple[Invitation, str]]) -> str:
    """Invitations and how each stands: valid, expired or revoked."""
    if not found:
        return '<p class="em-quiet">Nobody is invited yet. On this machine reviewers need no invitation.</p>'
    shapes = {"valid": "pass", "expired": "none", "revoked": "fail"}
    rows = (
        (
            escape(each.reviewer),
            view.state(shapes[state], state),
            f"until {view.when(each.expires_at)}",
            escape(each.created_by),
        )
        for each, state in found
    )
    return view.table(("reviewer", "", "lasts", "sent by"), rows, caption="Invitations")
