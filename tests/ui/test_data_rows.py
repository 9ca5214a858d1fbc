"""Which rows of a draft are found, in which order, and what a repair would decide."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import pytest

from engine.types import Action, AuditFinding, AuditReport, Decision, Manifest, Measurement, Severity, Utterance
from engine.workspace import Workspace
from tests.ui.fake_studio import FakeStudio
from ui import data_points, data_rows
from ui.data_rows import Desk, Query, RowState

ROWS = tuple(
    Utterance(id=f"r{n}", audio_path=Path(f"r{n}.wav"), text=f"Line number {n}.", duration_sec=float(n))
    for n in range(1, 6)
)


def finding(row: str, check: str = "tags", severity: Severity = Severity.ERROR, **more: object) -> AuditFinding:
    return AuditFinding(check=check, severity=severity, row=row, explanation="Wrong.", repair="Mend it.", **more)  # type: ignore[arg-type]


def desk(*findings: AuditFinding, decisions: dict[str, tuple[Decision, ...]] | None = None) -> Desk:
    lost = tuple(f for f in findings if f.row.startswith("line"))
    manifest = Manifest(path=Path("m.jsonl"), sha256="0", utterances=ROWS, faults=lost)
    return data_rows.desk(AuditReport(manifest=manifest, backend="finch", findings=findings), decisions or {})


def ids(found: data_rows.Found) -> list[str]:
    return [r.id for r in found.rows]


def test_findings_lie_on_their_rows_worst_first() -> None:
    """A row shows its errors before its warnings, whatever order the checks ran in."""
    made = desk(finding("r2", "silence", Severity.WARNING), finding("r2", "tags"), finding("", "little_speech"))
    assert [f.check for f in made.by_id["r2"].findings] == ["tags", "silence"]
    assert [f.check for f in made.whole] == ["little_speech"]
    assert made.by_id["r1"].findings == ()


def test_a_row_that_could_not_be_read_is_a_row_too() -> None:
    """A lost line stands in the table, after the others, and nothing can be decided about it."""
    made = desk(finding("line 17", "encoding"))
    lost = made.rows[-1]
    assert (lost.id, lost.utterance, lost.state) == ("line 17", None, RowState.LOST)
    assert [f.check for f in lost.findings] == ["encoding"], "a reader's fault that the audit repeats is one finding"
    assert data_rows.proposals([lost]) == {}


@pytest.mark.parametrize(
    ("actions", "state"),
    [
        ((), RowState.OPEN),
        ((Action.KEEP,), RowState.KEEP),
        ((Action.STRIP_TAGS,), RowState.REPAIR),
        ((Action.KEEP, Action.TRIM), RowState.REPAIR),
        ((Action.STRIP_TAGS, Action.DROP), RowState.DROP),
    ],
)
def test_a_rows_state_follows_from_its_decisions(actions: tuple[Action, ...], state: RowState) -> None:
    """Dropping wins over repairing, repairing over keeping, and no decision leaves a fault open."""
    made = desk(finding("r1"), decisions={"r1": tuple(Decision(row="r1", action=a) for a in actions)})
    assert made.by_id["r1"].state is state


def test_a_note_alone_waits_for_nobody() -> None:
    """What preparing takes care of is not an open question."""
    assert desk(finding("r1", "sample_rate", Severity.INFO)).by_id["r1"].state is RowState.CLEAN


def test_rows_without_findings_are_shown_when_they_are_asked_for() -> None:
    """The table begins with what wants attention; notes, searches and the whole set are one step away."""
    made = desk(finding("r3"), finding("r2", "sample_rate", Severity.INFO))
    assert ids(data_rows.find(made, Query(severity="info"))) == ["r2"]
    assert ids(data_rows.find(made, Query(search="number 5"))) == ["r5"]
    assert ids(data_rows.find(made, Query())) == ["r3"]
    assert ids(data_rows.find(made, Query(everything=True, order="source"))) == [u.id for u in ROWS]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(check="silence"), ["r2", "r4"]),
        (Query(severity="error"), ["r1", "r2"]),
        (Query(check="silence", severity="error"), []),
        (Query(search="NUMBER 4"), ["r4"]),
        (Query(search="r1"), ["r1"]),
        (Query(state="drop"), ["r1"]),
        (Query(measure="duration", low=2.0, high=4.0), ["r2", "r3"]),
        (Query(measure="snr", low=0.0, high=9.0), []),
    ],
)
def test_each_filter_keeps_what_it_names(query: Query, found: list[str]) -> None:
    """Check and severity are of one finding, search is of text or id, a range leaves its upper end out."""
    made = desk(
        finding("r1"),
        finding("r2"),
        finding("r2", "silence", Severity.WARNING),
        finding("r4", "silence", Severity.WARNING),
        decisions={"r1": (Decision(row="r1", action=Action.DROP),)},
    )
    assert ids(data_rows.find(made, query)) == found


def test_a_filter_counts_what_it_would_show() -> None:
    """The number beside a check is the number of rows that choosing it gives, under the other filters."""
    made = desk(finding("r1"), finding("r2"), finding("r2", "silence", Severity.WARNING))
    for query in (Query(), Query(severity="warning"), Query(check="tags")):
        found = data_rows.find(made, query)
        for check, count in found.checks.items():
            assert len(data_rows.find(made, replace(query, check=check)).rows) == count
        for severity, count in found.severities.items():
            assert len(data_rows.find(made, replace(query, severity=severity)).rows) == count
        for state, count in found.states.items():
            assert len(data_rows.find(made, replace(query, state=state)).rows) == count


def test_the_worst_come_first_and_ties_keep_the_sources_order() -> None:
    """Sorting by what is wrong never shuffles rows that are equally bad."""
    made = desk(finding("r5"), finding("r1", severity=Severity.WARNING), finding("r2"))
    assert ids(data_rows.find(made, Query())) == ["r2", "r5", "r1"]


def test_a_page_beyond_the_last_is_the_last() -> None:
    """An address from before some rows were mended still shows rows."""
    found = data_rows.find(desk(*(finding(u.id) for u in ROWS)), Query(page=99))
    assert (found.page, found.pages, len(found.shown)) == (1, 1, 5)


def test_neighbours_are_those_of_the_filter() -> None:
    """Going on from row to row stays within what is filtered."""
    rows = data_rows.find(desk(finding("r1"), finding("r3"), finding("r5")), Query()).rows
    assert data_rows.neighbours(rows, "r3") == ("r1", "r5", 2)
    assert data_rows.neighbours(rows, "r1") == ("", "r3", 1)
    assert data_rows.neighbours(rows, "r5") == ("r3", "", 3)
    assert data_rows.neighbours(rows, "r2") == ("", "r1", 0), "a row that the filter lost leads back to the first"


def test_a_repair_is_what_the_findings_propose() -> None:
    """Each row gets its own findings' mends once; a row that goes needs no other mend; keeping is never proposed."""
    made = desk(
        finding("r1", action=Action.STRIP_TAGS),
        finding("r1", "silence", action=Action.TRIM),
        finding("r2", action=Action.STRIP_TAGS),
        finding("r3", "empty_text"),
        finding("r4", "duplicate", action=Action.DROP),
        finding("r4", "silence", action=Action.TRIM),
        finding("r5", "transcript_mismatch", action=Action.SET_TEXT, text="What is said."),
        finding("r5", "sample_rate", Severity.INFO, action=Action.RESAMPLE),
    )
    assert data_rows.proposals(made.rows) == {
        (Action.STRIP_TAGS, ""): ["r1", "r2"],
        (Action.TRIM, ""): ["r1"],
        (Action.DROP, ""): ["r4"],
        (Action.SET_TEXT, "What is said."): ["r5"],
    }
    assert data_rows.proposals(made.rows, "silence") == {(Action.TRIM, ""): ["r1", "r4"]}


def test_plots_get_nothing_that_json_cannot_say() -> None:
    """A measure that is not known is null, never NaN or infinity, and lost rows are no points."""
    measured = Measurement(
        row="r1", duration_sec=1.0, characters_per_sec=14.123456, loudness_lufs=-math.inf, peak_dbfs=-3.0,
        clipped_share=0.0, noise_floor_dbfs=-60.0, snr_db=math.nan, speech_sec=0.9, leading_silence_sec=0.0,
        trailing_silence_sec=0.0, longest_pause_sec=0.0,
    )  # fmt: skip
    lost = finding("line 9", "encoding")
    manifest = Manifest(path=Path("m"), sha256="0", utterances=ROWS[:2], faults=(lost,))
    report = AuditReport(manifest=manifest, backend="finch", findings=(lost,), measurements={"r1": measured})
    columns = data_points.columns(data_rows.desk(report, {}))
    values = {m["name"]: m["values"] for m in columns["measures"]}
    assert columns["ids"] == ["r1", "r2"]
    assert values == {"duration": [1.0, 2.0], "rate": [14.12, None], "loudness": [None, None], "snr": [None, None]}


def test_ten_thousand_rows_are_put_together_and_filtered_within_a_second(tmp_path: Path) -> None:
    """A page of a large set is answered while somebody waits: 30,000 findings, search and counts included."""
    studio = FakeStudio(Workspace(tmp_path))
    draft = studio.open_rows(10_000)
    studio.audited(draft.id)
    report = studio.report(draft.id)
    assert len(report.findings) > 30_000
    start = time.perf_counter()
    made = data_rows.desk(report, {})
    found = data_rows.find(made, Query(search="harbour", check="silence"))
    assert time.perf_counter() - start < 1.0
    assert len(found.rows) > 1000
    assert len(found.shown) == data_rows.PAGE_ROWS
