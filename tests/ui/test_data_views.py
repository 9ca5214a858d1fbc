"""What the Data page says: the verdict, rows, one row, what preparing does, jobs, datasets."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from engine.jobs import JobState, JobView
from engine.types import (
    Action,
    AuditFinding,
    AuditReport,
    Dataset,
    Decision,
    Draft,
    Manifest,
    PrepareSettings,
    Severity,
    Utterance,
)
from engine.workspace import Workspace
from tests.ui.fake_desk import TARGETS
from tests.ui.fake_studio import FakeStudio
from ui import data_rows, view_data, view_data_home, view_data_row, view_data_rows
from ui import view_data_words as words
from ui.data_rows import DeskRow, Query, RowState

BAD = "<script>alert(1)</script>"
DRAFT = Draft(id="robin-1", path=Path("d"), source=Path("/data/robin"), backend="finch", name="robin", row_count=4,
              created_at=0.0, audited=True)  # fmt: skip
JOB = JobView(id="audit-001", kind="audit", state=JobState.RUNNING, done=250, total=1000, message="listening",
              started_at=100.0)  # fmt: skip


def report(*findings: AuditFinding, rows: int = 4, skipped: dict[str, str] | None = None) -> AuditReport:
    utterances = tuple(
        Utterance(id=f"r{n}", audio_path=Path(f"r{n}.wav"), text="What is said.", duration_sec=30.0)
        for n in range(1, rows + 1)
    )
    manifest = Manifest(path=Path("m"), sha256="0", utterances=utterances)
    return AuditReport(manifest=manifest, backend="finch", findings=findings, skipped=skipped or {})


def finding(row: str, severity: Severity = Severity.ERROR, **more: object) -> AuditFinding:
    said = {"check": "tags", "explanation": "A tag.", "repair": "Take it out.", **more}
    return AuditFinding(severity=severity, row=row, **said)  # type: ignore[arg-type]


def verdict(found: AuditReport, decisions: dict[str, tuple[Decision, ...]] | None = None) -> str:
    return view_data.verdict(found, data_rows.desk(found, decisions or {}))


def test_the_verdict_says_p_and_the_tainted_steps() -> None:
    """One bad row in ten and eight rows a step: 57 % of the steps see one."""
    told = verdict(report(finding("r1"), rows=10))
    assert "1 row of 10 has an error" in told
    assert "10 %" in told
    assert "<b data-tainted>57 %</b>" in told
    assert 'data-p="0.100000000"' in told


def test_the_verdict_of_a_sound_set_says_so() -> None:
    """No error is an answer, and it is a disc, not only green."""
    told = verdict(report(finding("r1", Severity.WARNING)))
    assert '<span class="em-state em-pass">No row has an error</span>' in told


def test_the_verdict_turns_when_every_error_is_decided() -> None:
    """What was mended, dropped or kept waits for nobody."""
    found = report(finding("r1"), finding("r2"))
    first = {"r1": (Decision(row="r1", action=Action.STRIP_TAGS),)}
    assert "1 row waits for a decision" in verdict(found, first)
    both = {**first, "r2": (Decision(row="r2", action=Action.DROP),)}
    assert "Nothing waits for a decision: 1 repaired, 1 dropped." in verdict(found, both)


def test_checks_that_did_not_run_are_named_with_the_reason() -> None:
    """Silence about a check would read as a pass."""
    told = verdict(report(skipped={"transcript_mismatch": "No Whisper folder is configured."}))
    assert "1 check did not run" in told
    assert "another text is spoken" in told
    assert "No Whisper folder is configured." in told


@pytest.mark.parametrize(
    ("share", "told"), [(0, "0 %"), (0.0001, "under 0.1 %"), (0.044, "4.4 %"), (0.57, "57 %"), (1.0, "100 %")]
)
def test_shares_are_never_rounded_to_nothing(share: float, told: str) -> None:
    """One bad row among 10,000 is not zero."""
    assert words.percent(share) == told


def test_what_people_wrote_is_escaped() -> None:
    """Names, texts, explanations and paths can hold anything; on the page they are text."""
    row = Utterance(id=BAD, audio_path=Path("a.wav"), text=BAD, recording=BAD, start_sec=1.0, speaker=BAD)
    wrong = finding(BAD, explanation=BAD, repair=BAD, check=BAD, action=Action.STRIP_TAGS, other=BAD)
    kept = Decision(row=BAD, action=Action.KEEP, by=BAD)
    shown = DeskRow(index=0, id=BAD, utterance=row, findings=(wrong,), decisions=(kept,), state=RowState.KEEP)
    desk = data_rows.Desk(rows=(shown,), whole=(wrong,), by_id={BAD: shown})
    query = Query(search=BAD, check=BAD, severity=BAD, state=BAD, everything=True)
    draft = replace(DRAFT, id=BAD, name=BAD, source=Path(BAD), backend=BAD)
    made = dataset(id=BAD, backend=BAD, notes=(BAD,))
    html = [
        view_data.head(draft, BAD),
        view_data.verdict(replace(report(wrong), skipped={BAD: BAD}), desk),
        view_data.prepare_form(draft, PrepareSettings(backend=BAD), BAD),
        view_data.job(replace(JOB, id=BAD, kind=BAD, message=BAD), 0.0),
        view_data.job(replace(JOB, error=BAD), 0.0),
        view_data_rows.table(data_rows.find(desk, replace(query, check="", severity="", state=""))),
        view_data_rows.table(data_rows.find(desk, query), opened=BAD),
        view_data_row.card(BAD, shown, before=BAD, after=BAD, position=(1, 1)),
        view_data_home.home([replace(TARGETS[0], name=BAD, title=BAD)], [draft], [made], [BAD]),
        view_data_home.dataset_ready(made, [BAD]),
        view_data_home.faults_to_find(BAD, BAD),
    ]
    for piece in html:
        assert "<script" not in piece
        assert "alert(1)" in piece or "alert%281%29" in piece


def test_a_row_shows_its_worst_and_how_to_select_it() -> None:
    """Every row of the table can be opened and selected by keyboard, and says its state in a word."""
    found = report(finding("r1"), finding("r1", Severity.INFO, check="sample_rate"))
    desk = data_rows.desk(found, {})
    told = view_data_rows.table(data_rows.find(desk, Query()))
    assert 'data-open-row="r1"' in told
    assert 'type="checkbox" data-select="r1"' in told
    assert "tags in the text</span>" in told
    assert "undecided" in told
    assert "sample rate</span>" not in told, "a note is no news beside an error"
    assert "sample rate</span>" in view_data_rows.table(data_rows.find(desk, Query(severity="info")))


def test_a_page_of_the_table_is_small(tmp_path: Path) -> None:
    """However large the set, a browser gets fifty rows and never the whole."""
    studio = FakeStudio(Workspace(tmp_path))
    draft = studio.open_rows(10_000)
    studio.audited(draft.id)
    desk = data_rows.desk(studio.report(draft.id), {})
    told = view_data_rows.table(data_rows.find(desk, Query(page=3)))
    assert told.count("<tr data-row=") == 50
    assert len(told) < 100_000
    assert "101 to 150 of 10,001 rows" in told


def test_a_card_offers_what_the_findings_propose_and_keeping_needs_a_name() -> None:
    """One button a proposal; a finding without one has none; a warning can be kept, by name."""
    found = report(finding("r1", action=Action.STRIP_TAGS), finding("r1", check="empty_text"))
    row = data_rows.desk(found, {}).by_id["r1"]
    told = view_data_row.card("robin-1", row, before="", after="r2", position=(1, 4))
    assert told.count('data-act="repair-one"') == 1
    assert "Strip tags" in told
    assert 'data-card-act="keep"' in told
    assert "Your name" in told
    assert 'data-next="r2"' in told
    assert 'data-act="prev-row" aria-label="Previous row" title="Previous row (Alt ↑)" disabled' in told


def test_a_decided_card_says_what_will_be_done_and_offers_to_take_it_back() -> None:
    """A repair that was chosen is not offered again."""
    found = report(finding("r1", action=Action.STRIP_TAGS))
    made = data_rows.desk(found, {"r1": (Decision(row="r1", action=Action.STRIP_TAGS, by="Ana"),)})
    told = view_data_row.card("robin-1", made.by_id["r1"], before="", after="", position=(1, 1))
    assert 'data-act="repair-one"' not in told
    assert "will be done" in told
    assert 'data-card-act="take_back"' in told
    assert "by Ana" in told


def test_a_slice_says_where_it_was_cut() -> None:
    """Who types the text of a slice sees the recording and the time code."""
    row = Utterance(
        id="s1", audio_path=Path("s1.flac"), text="", recording="tape.wav", start_sec=83.5, duration_sec=4.0
    )
    shown = DeskRow(index=0, id="s1", utterance=row)
    assert "tape.wav at 1:23.5" in view_data_row.card("d", shown, before="", after="", position=(1, 1))


def test_a_row_that_preparing_mends_or_cannot_mend_says_so() -> None:
    """An error without a decision may be mended by itself; a decision may still not be enough."""
    found = report(finding("r1"), finding("r2"), finding("r3"))
    kept = {"r3": (Decision(row="r3", action=Action.KEEP, by="Ana"),)}
    desk = data_rows.desk(found, kept, left_out={"r2", "r3"})
    assert [desk.by_id[r].state for r in ("r1", "r2", "r3")] == [RowState.MENDED, RowState.OPEN, RowState.UNMENDED]
    told = view_data.verdict(found, desk)
    assert "2 rows wait for a decision" in told
    assert "1 mended by preparing" in told


def test_the_plan_counts_what_preparing_does(studio: FakeStudio) -> None:
    """Dropped, lost and unmended rows are left out, each with its reason; errors stay in only when asked for."""
    draft = studio.open_rows(90)
    studio.audited(draft.id)
    studio.decide(draft.id, ["r055"], Action.DROP, by="Ana")
    told = view_data.plan(studio.planned(draft.id, PrepareSettings(backend="finch")))
    assert "<dt>rows in</dt><dd>87</dd>" in told, "r007 and r019 have errors that nobody mended"
    for why in ("1 missing file", "1 empty text", "1 dropped by Ana", "1 encoding"):
        assert why in told
    kept = view_data.plan(studio.planned(draft.id, PrepareSettings(backend="finch", keep_errors=True)))
    assert "<dt>rows in</dt><dd>88</dd>" in kept, "a file that is missing can never be kept"
    assert "1 row</span> with errors stay in" in kept


def dataset(**changes: object) -> Dataset:
    made = Dataset(
        id="robin", path=Path("p"), manifest_sha256="0", backend="finch", sample_rate=24_000, train_count=90,
        validation_count=10, test_count=0, train_sec=600.0, excluded_count=2, unresolved=0, bad_row_share=0.0,
        source=Path("s"), created_at=0.0,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_dataset_with_unresolved_errors_says_what_a_run_will_ask() -> None:
    """Nobody learns of the refusal only when the run is started."""
    assert "somebody accepts them by name" in view_data_home.dataset_ready(dataset(unresolved=3))
    assert "accepts" not in view_data_home.dataset_ready(dataset())
    shelf = view_data_home.datasets([dataset(unresolved=3)], [])
    assert '<span class="em-state em-fail">3 errors kept</span>' in shelf


def test_a_prepared_dataset_leads_on() -> None:
    """The next step is a run on it, or its rows for another trainer."""
    told = view_data_home.dataset_ready(dataset(), ["voxcpm"])
    assert 'href="/runs?dataset=robin"' in told
    assert 'href="/desk/datasets/robin/export?format=voxcpm"' in told


def test_targets_that_train_here_come_first() -> None:
    """Who cleans data for a model that trains elsewhere finds it, under its own heading."""
    told = view_data_home.home(TARGETS, [], [], [])
    assert told.index("Trained here") < told.index("Finch") < told.index("Cleaned here") < told.index("Qwen3-TTS")


def test_a_job_tells_its_rows_and_the_time_left() -> None:
    """A quarter in 50 seconds: 150 more. Before there is a pace, nothing is promised."""
    told = view_data.job(JOB, 150.0)
    assert "Auditing: 250 of 1,000 · listening" in told
    assert "about 2 min 30 s left" in told
    assert 'aria-valuenow="250"' in told
    assert 'data-act="cancel" data-job="audit-001"' in told
    assert "left" not in view_data.job(JOB, 100.5)
    assert "left" not in view_data.job(replace(JOB, done=0), 150.0)


def test_a_job_that_failed_says_why() -> None:
    """The reason stands where the bar was."""
    told = view_data.job(replace(JOB, state=JobState.FAILED, ended_at=120.0, error="No room: free 3 GB."), 150.0)
    assert "No room: free 3 GB." in told
    assert "em-bad" in told


def test_a_measure_that_is_not_known_is_a_dash(studio: FakeStudio) -> None:
    """No page shows nan."""
    draft = studio.open_rows(3)
    studio.audited(draft.id)
    row = data_rows.desk(studio.report(draft.id), {}).rows[0]
    assert row.measurement is not None
    shown = dict(view_data_row.measures(replace(row.measurement, snr_db=math.nan, loudness_lufs=-math.inf), row))
    assert (shown["signal to noise"], shown["loudness"]) == ("–", "–")
