"""What the Data page shows of a draft: its verdict, its views, the settings of a preparation, its jobs.

Pure like `view`: records in, HTML out. The rows themselves are in `view_data_rows`.
"""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import TYPE_CHECKING

from engine.types import Action, AuditReport, Draft, PrepareSettings, Severity
from ui import controls, data_rows, view
from ui import view_data_words as words
from ui.data_rows import Desk, RowState

if TYPE_CHECKING:
    from engine.dataset.repairs import Plan, Step
    from engine.jobs import JobView


def head(draft: Draft, target: str) -> str:
    """The first line of an open draft, with what can be done to all of it."""
    acts = (
        '<div class="em-row em-deskacts"><button type="button" data-act="audit">Audit again</button>'
        '<button type="button" data-act="tab" data-tab="prepare" class="em-primary">Prepare</button></div>'
    )
    return (
        '<div class="em-row em-between em-desktitle"><div class="em-deskname"><a href="?" data-go '
        f'aria-label="All data">Data</a><span aria-hidden="true">/</span><h1>{escape(draft.name or draft.id)}</h1>'
        f'<small>for {escape(target)} · <span class="em-path">{escape(str(draft.source))}</span></small></div>'
        f"{acts if draft.audited else ''}</div>"
    )


def not_audited(draft: Draft, report: AuditReport) -> str:
    """What is said of a draft before its audit."""
    lost = len({f.row for f in report.manifest.faults if f.row and f.severity is Severity.ERROR})
    faults = f" {words.counted(lost, 'row')} could not be read." if lost else ""
    return (
        '<section class="em-card em-verdict"><div class="em-row em-between"><div>'
        f"<h2>{words.counted(report.row_count, 'row')}, not audited yet</h2><p>The audit listens to every row and "
        f"reads every text; it changes nothing.{faults}</p></div>"
        '<button type="button" class="em-primary" data-act="audit">Audit</button></div></section>'
    )


def verdict(report: AuditReport, desk: Desk, rows_a_step: int = words.ROWS_A_STEP) -> str:
    """What the audit says of the set, in words and numbers."""
    counted_findings = Counter(f.severity for f in report.findings)
    p, total = report.bad_row_share, report.row_count
    minutes = sum(r.duration_sec for r in desk.rows) / 60
    told = view.facts(
        (
            ("rows", words.count(total)),
            ("minutes", f"{minutes:,.1f}"),
            ("errors", words.count(counted_findings[Severity.ERROR])),
            ("warnings", words.count(counted_findings[Severity.WARNING])),
            ("notes", words.count(counted_findings[Severity.INFO])),
            ("bad rows, p", words.percent(p)),
        )
    )
    return (
        f'<section class="em-card em-verdict em-stack" data-p="{p:.9f}" data-bad="{len(report.rows_with_errors)}">'
        f'<div>{_sentence(report, desk)}</div><div class="em-figures">{told}{_tainted(report, rows_a_step)}</div>'
        f"{_whole(desk)}{_skipped(report)}"
        "</section>"
    )


def _sentence(report: AuditReport, desk: Desk) -> str:
    bad, still_open = len(report.rows_with_errors), data_rows.errors_open(desk)
    if not bad:
        what = "no warnings either" if not report.findings else "warnings and notes are worth a look"
        return f"<h2>{view.state('pass', 'No row has an error')}</h2><p>Prepare it as it is; {what}.</p>"
    rows = f"{words.counted(bad, 'row')} of {words.count(report.row_count)} {'has' if bad == 1 else 'have'} an error"
    settled = Counter(r.state for r in desk.rows if r.worst is Severity.ERROR)
    parts = [
        (settled[RowState.MENDED], "mended by preparing"),
        (settled[RowState.REPAIR], "repaired"),
        (settled[RowState.KEEP], "kept"),
        (settled[RowState.DROP], "dropped"),
        (settled[RowState.LOST], "unreadable"),
    ]
    done = ", ".join(f"{n:,} {word}" for n, word in parts if n)
    if not still_open:
        return f"<h2>{view.state('pass', rows)}</h2><p>Nothing waits for a decision: {done}.</p>"
    waits = f"{words.counted(still_open, 'row')} {'waits' if still_open == 1 else 'wait'} for a decision"
    return (
        f"<h2>{view.state('fail', rows)}</h2><p>{waits}; preparing leaves out what nobody mended or kept."
        f"{f' The others: {done}.' if done else ''}</p>"
    )


def _tainted(report: AuditReport, rows_a_step: int) -> str:
    """1 - (1 - p)^N with a field for N; `desk.js` keeps the sentence true while somebody types."""
    share = report.tainted_share(rows_a_step)
    return (
        '<p class="em-tainted"><label>With <input type="number" data-rows-a-step min="1" max="100000" step="1" '
        f'value="{rows_a_step}" aria-label="Rows a step"> rows a step,</label> '
        f"<b data-tainted>{words.percent(share)}</b> of the optimizer steps would see a bad row. "
        "<small>1 \u2212 (1 \u2212 p)<sup>N</sup></small></p>"
    )


def _whole(desk: Desk) -> str:
    return "".join(
        f'<p class="em-finding">{view.state(words.SHAPES[f.severity], words.check_name(f.check))} '
        f"{escape(f.explanation)} <small>{escape(f.repair)}</small></p>"
        for f in desk.whole
    )


def _skipped(report: AuditReport) -> str:
    if not report.skipped:
        return ""
    items = "".join(
        f"<li><b>{escape(words.check_name(check))}</b>: {escape(why)}</li>" for check, why in report.skipped.items()
    )
    return (
        f"<details><summary>{words.counted(len(report.skipped), 'check')} did not run, and why</summary>"
        f'<ul class="em-plain">{items}</ul></details>'
    )


def tabs(current: str, found: int, audited: bool) -> str:
    """What can be looked at of a draft."""
    names = [("rows", f"Rows <small>{words.count(found)}</small>"), ("plots", "Plots"), ("prepare", "Prepare")]
    inside = "".join(
        f'<button type="button" role="tab" id="desk-tab-{key}" data-act="tab" data-tab="{key}" '
        f'aria-selected="{str(key == current).lower()}" aria-controls="desk-pane" '
        f'tabindex="{0 if key == current else -1}">{name}</button>'
        for key, name in names
        if audited or key == "rows"
    )
    return f'<div class="em-tabs" role="tablist" aria-label="Views of this draft">{inside}</div>'


# ---- preparing
def prepare_form(draft: Draft, settings: PrepareSettings, target: str) -> str:
    """The settings of a preparation and, below them, what it will do."""
    shares = (0.0, 50.0, 1.0)
    fields = "".join(
        (
            controls.text("Name", "name", value=draft.name, help_text="Of the prepared dataset."),
            controls.number(
                "Append silence, s", "append_silence_sec", settings.append_silence_sec, (0, 5, 0.1),
                help_text="At the end of each clip.",
            ),
            controls.number(
                "Loudness, LUFS", "loudness_lufs", settings.loudness_lufs, (-40, -6, 0.5),
                help_text="Empty: clips keep their levels.",
            ),
            controls.number(
                "Validation, %", "validation_share", 100 * settings.validation_share, shares,
                help_text="Held out to validate.",
            ),
            controls.number(
                "Test, %", "test_share", 100 * settings.test_share, shares, help_text="Held out to the end."
            ),
            controls.number("Seed", "seed", settings.seed, (0, 2**31 - 1, 1), help_text="Of the split."),
        )
    )  # fmt: skip
    trim = controls.check(
        "Trim silence at both ends", "trim", settings.trim, help_text="Of every clip, not only where it was found."
    )
    keep = controls.check(
        "Keep rows whose errors nobody mended", "keep_errors", settings.keep_errors,
        help_text="A run on such a dataset is refused until somebody accepts it by name.",
    )  # fmt: skip
    return (
        f'<form data-form="prepare" class="em-stack" novalidate><h2>Prepare for {escape(target)}</h2>'
        f'<div class="em-fields">{fields}</div>{trim}{keep}<div data-plan></div>'
        '<div class="em-row em-between"><p class="em-quiet em-grow" data-told role="status"></p>'
        '<button class="em-primary">Prepare the dataset</button></div></form>'
    )


def plan(planned: Plan) -> str:
    """What preparing will do to the rows as they are decided now."""
    included = planned.included
    repaired = sum(any(step.action != Action.KEEP for step in row.steps) for row in included)
    out = [row.steps[-1] if row.steps else None for row in planned.rows if not row.included] + list(planned.lost)
    unresolved = sum(bool(row.unresolved) for row in included)
    told = view.facts(
        (
            ("rows in", words.count(len(included))),
            ("of them repaired", words.count(repaired)),
            ("left out", words.count(len(out))),
        )
    )
    why = Counter(_why_out(step) for step in out)
    reasons = " · ".join(f"{n:,} {word}" for word, n in why.most_common())
    left = f'<p class="em-quiet">Left out: {escape(reasons)}.</p>' if reasons else ""
    kept = f"<p>{view.state('fail', words.counted(unresolved, 'row'))} with errors stay in.</p>" if unresolved else ""
    return (
        f'<div class="em-plan">{told}{left}{kept}<p class="em-quiet">Everything becomes mono at the model’s rate in a '
        "new folder; the source stays as it is.</p></div>"
    )


def _why_out(step: Step | None) -> str:
    if step is None:
        return "other"
    if not step.check:
        return f"dropped by {step.by}" if step.by else "dropped by hand"
    return words.check_name(step.check)


# ---- jobs
def job(found: JobView, now: float) -> str:
    """How far a job of the desk is: a bar, the same in words, the time left."""
    name = JOB_NAMES.get(found.kind, found.kind)
    if found.error:
        return view.notice(found.error, bad=True)
    if found.ended_at is not None:
        return f'<p class="em-quiet" role="status">{escape(name)}: {escape(str(found.state))}.</p>'
    told = name
    if found.total:
        told += f": {words.count(found.done)} of {words.count(found.total)}"
    if found.message:
        told += f" · {found.message[:1].lower() + found.message[1:]}"
    left = seconds_left(found, now)
    if left is not None:
        told += f" · about {view.duration(left)} left"
    bar = view.bar(found.done, found.total, told)
    if not found.total:  # nobody knows yet how much it is
        bar = bar.replace('class="em-bar"', 'class="em-bar em-busy"', 1).replace('style="width:0.0%"', "", 1)
    return (
        f'<div class="em-row em-jobline"><div class="em-grow">{bar}</div>'
        f'<button type="button" data-act="cancel" data-job="{escape(found.id)}">Cancel</button></div>'
    )


JOB_NAMES = {
    "audit": "Auditing",
    "prepare": "Preparing",
    "slice": "Cutting at pauses",
    "transcribe": "Recognising texts",
}
TOO_EARLY_SEC = 2.0


def seconds_left(found: JobView, now: float) -> float | None:
    """By the pace so far; None while there is none to go by."""
    spent = now - found.started_at
    if found.ended_at is not None or not found.done or found.done >= found.total or spent < TOO_EARLY_SEC:
        return None
    return spent / found.done * (found.total - found.done)
