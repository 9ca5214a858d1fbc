"""What the Sweep and Gate pages show of leak checks: what one would cost, how far it is, the gates in words.

Pure like `view`: records in, HTML out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING

from ui import view

if TYPE_CHECKING:
    from engine.jobs import JobView
    from engine.screeners.leakage_gates import LeakGate
    from engine.studio import LeakReport
    from engine.sweep import Plan
    from engine.types import Candidate

NOT_APPLICABLE = "Leak of the reference: not applicable, this voice speaks without a reference."
QUESTIONS = {  # what each gate asks, in a reviewer's words
    "base against tuned": "Are words of the reference heard at the start, and does the base do it too?",
    "blank reference text": "Does speech fall apart when the reference's words are left blank?",
    "trimmed start": "Is the leak over after the first 0.93 s?",
    "boundary": "Do the first sounds go on from the reference's last ones?",
    "boundary tokens": "Do the reference's tokens come again at the start, more than other speech would have it?",
}


def asking() -> str:
    """The part of the sweep's form that asks for a leak check of the same choice."""
    return (
        '<details data-leak-form><summary>Does the reference leak into the start?</summary><p class="em-quiet">Renders '
        "the choice above after its references, and each clip of a checkpoint once more with their words left "
        "blank. Candidate and base are then held against each other, and against the words of another reference.</p>"
        '<div class="em-row em-between"><div data-leak-cost class="em-grow"><p class="em-quiet">Counting …</p></div>'
        '<button type="button" data-act="leaks">Check for leaks</button></div></details>'
    )


def cost(plan: Plan) -> str:
    """What a check would render."""
    missing = len(plan.missing)
    told = view.plural(len(plan.jobs), "clip")
    if not missing:
        return f'<p class="em-quiet">{told}: all of them lie ready, nothing has to be rendered.</p>'
    return (
        f"<p>{told}. To render: <b>{missing}</b>, {view.duration(plan.audio_sec)} of audio, about "
        f"<b>{view.duration(plan.estimate_sec)}</b> and <b>{view.size(plan.estimate_bytes)}</b>.</p>"
    )


def progress(job: JobView | None) -> str:
    """How far the check is that goes on, with a way to end it; how the last one ended, when it did not end well."""
    if job is None:
        return ""
    if job.ended_at is not None:
        return view.notice(f"Leak check: {job.error}", bad=True) if job.error else ""
    bar = view.bar(job.done, job.total, f"Leak check: {job.message or 'starting'}")
    return (
        f'<div class="em-row em-between em-going"><div class="em-grow">{bar}</div>'
        '<button type="button" data-act="cancel-leaks">Cancel</button></div>'
    )


def reports(found: Sequence[LeakReport], label: Callable[[Candidate], str]) -> str:
    """A candidate a line with its gates folded below, what leaks most first; empty before any check."""
    ordered = sorted(found, key=lambda each: -len(_flagged(each)))
    opened = " open" if len(ordered) == 1 else ""
    lines = "".join(
        f'<details{opened}><summary class="em-row em-between"><b>{escape(label(each.candidate))}</b>'
        f"{_together(each)}</summary>{report(each)}</details>"
        for each in ordered
    )
    return f'<div class="em-leak-list">{lines}</div>' if lines else ""


def report(found: LeakReport) -> str:
    """One candidate's gates: what each asks, and its answer."""
    lines = "".join(
        f"<li>{_state(gate.passed)} <b>{escape(QUESTIONS.get(gate.name, gate.name))}</b> "
        f"<small>{escape(_told(found, gate.name, gate.explanation))}</small></li>"
        for gate in found.gates
    )
    many = view.plural(found.clips, "clip")
    after = view.plural(len(found.references), "reference")
    told = f"{many} of {found.script} after {after}, {view.when(found.checked_at)}{f', {found.by}' if found.by else ''}"
    return f'<ul class="em-plain em-leaks">{lines}</ul><p class="em-quiet"><small>{escape(told)}</small></p>'


def summary(found: LeakReport | None, takes: str) -> str:
    """One line for the Gate page; empty where nothing was checked."""
    if takes == "none":
        return escape(NOT_APPLICABLE)
    if found is None:
        return "Leak of the reference: not checked; the Sweep page does it."
    return f"<details><summary>Leak of the reference: {_together(found)}</summary>{report(found)}</details>"


def _flagged(found: LeakReport) -> list[LeakGate]:
    return [gate for gate in found.gates if gate.passed is False]


def _together(found: LeakReport) -> str:
    if failed := _flagged(found):
        return view.state("fail", f"{len(failed)} of {len(found.gates)} gates flagged")
    judged = [gate for gate in found.gates if gate.passed]
    return view.state("pass", f"{len(judged)} of {len(found.gates)} gates clean") if judged else _state(None)


def _state(passed: bool | None) -> str:
    shape, word = {True: ("pass", "clean"), False: ("fail", "flag"), None: ("none", "cannot judge")}[passed]
    return view.state(shape, word)


def _told(found: LeakReport, name: str, explanation: str) -> str:
    return f"{explanation} {found.blank_fault}" if name == "blank reference text" and found.blank_fault else explanation
