"""Which rows of a draft a page shows: a row with all that is known of it, filters, order, pages, counts.

Pure: takes the report and the decisions, returns rows. Written for 10,000 rows with 30,000 findings: a draft is put
together once, a filter is one pass over it. Knows no HTML.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine.types import Action, AuditFinding, AuditReport, Decision, Measurement, Severity, Utterance

PAGE_ROWS = 50
WORST_FIRST = (Severity.ERROR, Severity.WARNING, Severity.INFO)
RANK = {severity: rank for rank, severity in enumerate(WORST_FIRST)}
REPAIRS = frozenset(Action) - {Action.KEEP, Action.DROP, Action.NONE}


class RowState(StrEnum):
    """What becomes of a row as things stand."""

    CLEAN = "clean"  # nothing to decide
    OPEN = "open"  # a fault, and no decision yet
    MENDED = "mended"  # an error that preparing mends by itself
    REPAIR = "repair"
    UNMENDED = "unmended"  # decided about, and preparing still has to leave it out
    KEEP = "keep"
    DROP = "drop"
    LOST = "lost"  # a row of the source that could not be read


@dataclass(frozen=True, kw_only=True)
class DeskRow:
    """One row of a draft. `utterance` is None for one that could not be read. Findings: worst first."""

    index: int
    id: str
    utterance: Utterance | None
    findings: tuple[AuditFinding, ...] = ()
    measurement: Measurement | None = None
    decisions: tuple[Decision, ...] = ()
    state: RowState = RowState.CLEAN

    @property
    def text(self) -> str:
        return self.utterance.text if self.utterance else ""

    @property
    def duration_sec(self) -> float:
        if self.measurement is not None:
            return self.measurement.duration_sec
        return self.utterance.duration_sec if self.utterance else 0.0

    @property
    def worst(self) -> Severity | None:
        return self.findings[0].severity if self.findings else None


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A draft put together: its rows in the source's order, and the findings of the set as a whole."""

    audited: bool = True
    rows: tuple[DeskRow, ...]
    whole: tuple[AuditFinding, ...]
    by_id: Mapping[str, DeskRow]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One number of a row that plots show and filters read. `width` is that of a histogram's bars."""

    name: str
    title: str
    unit: str
    width: float


MEASURES = (
    Measure(name="duration", title="Duration", unit="s", width=0.5),
    Measure(name="rate", title="Characters per second", unit="/s", width=1.0),
    Measure(name="loudness", title="Loudness", unit="LUFS", width=1.0),
    Measure(name="snr", title="Signal to noise", unit="dB", width=2.0),
)


@dataclass(frozen=True, kw_only=True)
class Query:
    """What somebody wants to see. Empty fields do not filter; a page counts from 1.

    Without any filter the rows that want attention are shown: errors, warnings, and what was decided about. Before
    the audit nobody knows which those are, and all rows are shown.
    """

    everything: bool = False
    check: str = ""
    severity: str = ""
    state: str = ""
    search: str = ""
    measure: str = ""
    low: float = -math.inf
    high: float = math.inf
    order: str = "worst"  # "worst" or "source"
    page: int = 1

    @property
    def is_filtered(self) -> bool:
        return bool(self.check or self.severity or self.state or self.search or self.measure)


@dataclass(frozen=True, kw_only=True)
class Found:
    """The rows that a query finds, and how many each filter would."""

    audited: bool
    query: Query
    rows: tuple[DeskRow, ...]
    of: int  # rows of the draft
    checks: Mapping[str, int]  # check -> rows with it, under the other filters
    severities: Mapping[str, int]
    states: Mapping[str, int]

    @property
    def pages(self) -> int:
        return max(1, math.ceil(len(self.rows) / PAGE_ROWS))

    @property
    def page(self) -> int:
        return min(max(1, self.query.page), self.pages)

    @property
    def shown(self) -> tuple[DeskRow, ...]:
        return self.rows[(self.page - 1) * PAGE_ROWS : self.page * PAGE_ROWS]


def desk(
    report: AuditReport,
    decisions: Mapping[str, tuple[Decision, ...]],
    left_out: Collection[str] | None = None,
    *,
    audited: bool = True,
) -> Desk:
    """Put a draft together. Rows that could not be read come last.

    `left_out` are the rows that preparing would leave out as things stand; without it, those with an open error.
    """
    found: dict[str, list[AuditFinding]] = defaultdict(list)
    for finding in report.findings:
        found[finding.row].append(finding)
    for fault in report.manifest.faults:
        if fault not in found[fault.row]:  # a draft that was not audited yet has its reader's faults alone
            found[fault.row].append(fault)
    for own in found.values():
        own.sort(key=lambda f: RANK[f.severity])
    whole = tuple(found.pop("", ()))
    rows = []
    for index, utterance in enumerate(report.manifest.utterances):
        findings, decided = tuple(found.pop(utterance.id, ())), decisions.get(utterance.id, ())
        rows.append(
            DeskRow(
                index=index,
                id=utterance.id,
                utterance=utterance,
                findings=findings,
                measurement=report.measurements.get(utterance.id),
                decisions=decided,
                state=_state(findings, decided, None if left_out is None else utterance.id in left_out),
            )
        )
    for row_id, own in found.items():
        rows.append(DeskRow(index=len(rows), id=row_id, utterance=None, findings=tuple(own), state=RowState.LOST))
    return Desk(audited=audited, rows=tuple(rows), whole=whole, by_id={r.id: r for r in rows})


def _state(findings: Sequence[AuditFinding], decisions: Sequence[Decision], left_out: bool | None) -> RowState:
    actions = {d.action for d in decisions}
    if Action.DROP in actions:
        return RowState.DROP
    if actions:
        if left_out:
            return RowState.UNMENDED
        return RowState.REPAIR if actions & REPAIRS else RowState.KEEP
    if left_out is False and any(f.severity is Severity.ERROR for f in findings):
        return RowState.MENDED
    return RowState.OPEN if any(f.severity is not Severity.INFO for f in findings) else RowState.CLEAN


# ---- filters
def find(desk: Desk, query: Query) -> Found:
    """The rows of a query in its order, with the counts that the filters show."""
    near = [r for r in desk.rows if _is_near(r, query)]
    quiet = desk.audited and not query.everything and not query.is_filtered
    kept = [
        r
        for r in near
        if _has_finding(r, query.check, query.severity)
        and query.state in ("", r.state)
        and not (quiet and not wants_attention(r))
    ]
    checks: Counter[str] = Counter()
    severities: Counter[str] = Counter()
    states: Counter[str] = Counter()
    for row in near:
        if query.state in ("", row.state):
            checks.update({f.check for f in row.findings if query.severity in ("", f.severity)})
            severities.update({str(f.severity) for f in row.findings if query.check in ("", f.check)})
        if _has_finding(row, query.check, query.severity):
            states[row.state] += 1
    if query.order == "worst":
        kept.sort(key=lambda r: RANK[r.worst] if r.worst else len(RANK))
    return Found(
        audited=desk.audited,
        query=query,
        rows=tuple(kept),
        of=len(desk.rows),
        checks=checks,
        severities=severities,
        states=states,
    )


def wants_attention(row: DeskRow) -> bool:
    """Whether a row has more than notes, or somebody decided about it."""
    return row.worst in (Severity.ERROR, Severity.WARNING) or bool(row.decisions)


def _is_near(row: DeskRow, query: Query) -> bool:
    """Whether all filters but those with counts let a row through."""
    wanted = query.search.casefold()
    if wanted and wanted not in row.text.casefold() and wanted not in row.id.casefold():
        return False
    if not query.measure:
        return True
    value = value_of(row, query.measure)
    return not math.isnan(value) and query.low <= value < query.high


def _has_finding(row: DeskRow, check: str, severity: str) -> bool:
    if not check and not severity:
        return True
    return any(check in ("", f.check) and severity in ("", f.severity) for f in row.findings)


def value_of(row: DeskRow, measure: str) -> float:
    """A measure of a row; NaN where it has none."""
    if measure == "duration":
        return row.duration_sec if row.utterance and row.duration_sec else math.nan
    measured = row.measurement
    if measured is None:
        return math.nan
    return {
        "rate": measured.characters_per_sec,
        "loudness": measured.loudness_lufs,
        "snr": measured.snr_db,
    }.get(measure, math.nan)


def neighbours(rows: Sequence[DeskRow], row_id: str) -> tuple[str, str, int]:
    """The rows before and after one, "" where there is none, and its place from 1.

    A row that the filter no longer finds has place 0 and the first row after it.
    """
    at = next((i for i, r in enumerate(rows) if r.id == row_id), None)
    if at is None:
        return "", rows[0].id if rows else "", 0
    return rows[at - 1].id if at else "", rows[at + 1].id if at + 1 < len(rows) else "", at + 1


# ---- decisions
def proposals(rows: Sequence[DeskRow], check: str = "") -> dict[tuple[Action, str], list[str]]:
    """What the findings propose, by action and text; of one check when it is given. Rows without one are not in it.

    Notes propose nothing: preparing takes care of them by itself.
    """
    found: dict[tuple[Action, str], list[str]] = defaultdict(list)
    for row in rows:
        if row.utterance is None:
            continue
        own = [f for f in row.findings if check in ("", f.check) and can_be_chosen(f)]
        if any(f.action is Action.DROP for f in own):  # nothing else matters of a row that goes
            found[Action.DROP, ""].append(row.id)
            continue
        for action, text in dict.fromkeys((f.action, f.text) for f in own):
            found[action, text].append(row.id)
    return dict(found)


def can_be_chosen(finding: AuditFinding) -> bool:
    """Whether a finding proposes something that somebody has to choose."""
    return finding.action not in (Action.NONE, Action.KEEP) and finding.severity is not Severity.INFO


def errors_open(desk: Desk) -> int:
    """Rows with an error that is neither mended nor decided: preparing leaves them out."""
    return sum(r.worst is Severity.ERROR and r.state in (RowState.OPEN, RowState.UNMENDED) for r in desk.rows)
