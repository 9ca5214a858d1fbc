"""Drafts survive whatever happens to the process: rows, audit and decisions are read back as they were."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import drafts
from engine.types import (
    Action,
    AuditFinding,
    AuditReport,
    BadInput,
    Decision,
    Draft,
    Manifest,
    Measurement,
    NotFound,
    Severity,
    Utterance,
)


def rows(folder: Path, count: int = 3) -> Manifest:
    made = tuple(
        Utterance(
            id=f"r{i}",
            audio_path=folder / f"slices/r{i}.flac" if i else Path("/elsewhere/r0.wav"),
            text=f"Text {i} \udce9 \u2028 é",
            duration_sec=1.5,
            start_sec=0.5 if i else None,
            reference_audio=Path("/elsewhere/p.wav") if i else None,
        )
        for i in range(count)
    )
    return Manifest(path=Path("/elsewhere/m.jsonl"), sha256="ab", utterances=made, faults=(finding("line 9"),))


def finding(row: str, check: str = "unreadable") -> AuditFinding:
    return AuditFinding(
        check=check, severity=Severity.ERROR, row=row, explanation="So.", repair="Thus.", action=Action.DROP, other="q"
    )


def measured(row: str) -> Measurement:
    numbers = dict.fromkeys(
        "duration_sec characters_per_sec loudness_lufs peak_dbfs clipped_share noise_floor_dbfs speech_sec "
        "leading_silence_sec trailing_silence_sec longest_pause_sec".split(),
        1.5,
    )
    return Measurement(row=row, snr_db=-math.inf, **numbers)


def made(root: Path, name: str = "ada", now: float = 10.0, count: int = 3) -> Draft:
    folder = drafts.new_folder(root, name, now)
    return drafts.keep(folder, rows(folder, count), source=Path("/elsewhere"), backend="finch", name=name, now=now)


def decision(row: str, action: Action, text: str = "", by: str = "") -> Decision:
    return Decision(row=row, action=action, text=text, by=by, at=1.0)


def test_a_draft_is_read_back_as_it_was_kept(tmp_path: Path) -> None:
    """Rows, faults, findings and measurements are the same after a restart, also when the workspace was moved."""
    draft = made(tmp_path / "drafts")
    found = rows(draft.path)
    assert drafts.rows(draft.path) == found
    assert (draft.row_count, draft.audited, draft.backend) == (3, False, "finch")
    report = AuditReport(
        manifest=found,
        backend="finch",
        findings=(finding("line 9"), finding("r1")),
        measurements={"r0": measured("r0")},
        skipped={"speaker": "why"},
    )
    drafts.save_audit(draft.path, report)
    assert drafts.report(draft.path) == report
    assert drafts.load(draft.path).audited
    (tmp_path / "drafts").rename(tmp_path / "moved")
    moved = tmp_path / "moved" / draft.id
    assert drafts.rows(moved).utterances[1].audio_path == moved / "slices/r1.flac"


def test_drafts_are_listed_newest_first_and_damaged_ones_left_out(tmp_path: Path) -> None:
    """Two drafts of one name and second are two; what cannot be read hides nothing."""
    first, second = made(tmp_path), made(tmp_path)
    third = made(tmp_path, now=20.0)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/draft.json").write_text("{")
    assert [d.id for d in drafts.listing(tmp_path)] == [third.id, second.id, first.id]
    with pytest.raises(BadInput, match="is damaged"):
        drafts.load(tmp_path / "bad")
    with pytest.raises(NotFound, match="open the source again"):
        drafts.load(tmp_path / "none")


def test_the_latest_decision_counts(tmp_path: Path) -> None:
    """A later decision of one row and action replaces the earlier; keeping and dropping exclude one another."""
    folder = made(tmp_path).path
    drafts.decide(folder, [decision("r1", Action.SET_TEXT, "one"), decision("r1", Action.DROP)])
    drafts.decide(folder, [decision("r1", Action.SET_TEXT, "two"), decision("r1", Action.KEEP, by="ada")])
    assert {a: d.text for a, d in drafts.decisions(folder)["r1"].items()} == {Action.SET_TEXT: "two", Action.KEEP: ""}
    drafts.take_back(folder, ["r1"], 2.0)
    assert drafts.decisions(folder) == {}
    drafts.decide(folder, [decision("r1", Action.TRIM)])
    assert list(drafts.decisions(folder)["r1"]) == [Action.TRIM]


@given(cut=st.integers(0, 400))
def test_a_torn_line_is_nobodys_decision(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """Wherever the machine went down, whole lines count, the torn one does not, and deciding goes on behind it."""
    folder = made(tmp_path_factory.mktemp("d")).path
    drafts.decide(folder, [decision(f"r{i}", Action.SET_TEXT, "été") for i in range(3)])
    path = folder / "decisions.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    kept = [json.loads(line)["row"] for line in whole[:cut].split(b"\n")[:-1] if line]
    assert set(kept) <= set(drafts.decisions(folder)) <= {*kept, f"r{len(kept)}"}
    drafts.decide(folder, [decision("r9", Action.DROP)])
    assert "r9" in drafts.decisions(folder)


@given(junk=st.binary(max_size=60))
def test_junk_among_the_decisions_is_passed_over(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    """No bytes in the file keep the other decisions from being read."""
    folder = made(tmp_path_factory.mktemp("d")).path
    drafts.decide(folder, [decision("r0", Action.DROP)])
    with (folder / "decisions.jsonl").open("ab") as file:
        file.write(junk + b'\n{"row": 3, "action": "drop"}\n{"row": "r1", "action": "no such"}\n')
    drafts.decide(folder, [decision("r1", Action.DROP)])
    assert {"r0", "r1"} <= set(drafts.decisions(folder))


def test_a_text_that_was_audited_and_taken_back_is_not_trusted(tmp_path: Path) -> None:
    """What the audit said of a decided text does not hold for the text before it: the row waits for another audit."""
    folder = made(tmp_path).path
    drafts.decide(folder, [decision("r1", Action.SET_TEXT, "typed")])
    before = AuditReport(manifest=drafts.rows(folder), backend="finch", findings=())
    drafts.save_audit(folder, drafts.with_texts(before, drafts.decisions(folder)))
    assert [u.text for u in drafts.report(folder).manifest.utterances][1] == "typed"
    assert drafts.original_texts(folder) == {"r1": before.manifest.utterances[1].text}
    drafts.take_back(folder, ["r1", "r2"], 2.0)
    report = drafts.report(folder)
    assert report.manifest.utterances == before.manifest.utterances
    assert [(f.row, f.repair) for f in report.findings] == [("r1", "Audit the draft again.")]


def test_discarding_and_sweeping_leave_nothing(tmp_path: Path) -> None:
    """A discarded draft is gone with its files; folders that never became drafts are swept, drafts are not."""
    gone, stays = made(tmp_path, "gone"), made(tmp_path, "stays")
    (gone.path / "upload").mkdir()
    drafts.discard(gone.path)
    drafts.new_folder(tmp_path, "begun", 5.0)
    drafts.sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [stays.id]


def test_ten_thousand_rows_are_kept_and_read_in_moments(tmp_path: Path) -> None:
    """A large set stays handy: kept, read and decided in seconds on a slow machine."""
    begun = time.perf_counter()
    folder = made(tmp_path, count=10_000).path
    found = drafts.rows(folder)
    report = AuditReport(
        manifest=found,
        backend="finch",
        findings=tuple(finding(u.id) for u in found.utterances),
        measurements={u.id: measured(u.id) for u in found.utterances},
    )
    drafts.save_audit(folder, report)
    drafts.decide(folder, [decision(u.id, Action.DROP) for u in found.utterances])
    assert len(drafts.report(folder).findings) == len(drafts.decisions(folder)) == 10_000
    assert time.perf_counter() - begun < 20
