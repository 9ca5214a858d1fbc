"""The audit as a whole: sound speech has no errors, every planted fault is named, and the report is in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import planted
from benchmarks.audit_faults import Found, in_one_copy
from engine import audit, needs, readers
from engine.types import AuditFinding, AuditReport, Manifest, Refused, Severity
from tests.audit import speech
from tests.audit.speech import NEEDS, Spoken, audited, found, rows

UNHEARD = [fault for fault in planted.FAULTS if not fault.hears]
COPIES = 4


@pytest.fixture(scope="module", name="sound")
def _sound(demo: Path) -> Manifest:
    return readers.read(demo)


@pytest.fixture(scope="module", name="before")
def _before(sound: Manifest) -> AuditReport:
    return audited(sound)


def test_sound_speech_has_no_error(before: AuditReport) -> None:
    """Clean rows are not spoken of: no error and no warning."""
    assert [f for f in before.findings if f.severity is not Severity.INFO] == []
    assert before.bad_row_share == 0.0
    assert len(before.measurements) == before.row_count


@pytest.fixture(scope="module", name="planted_apart")
def _planted_apart(sound: Manifest, before: AuditReport, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found]:
    """What was found of each fault: a few faults a copy, each in a row of its own, most rows sound."""
    apart: dict[str, Found] = {}
    for number in range(COPIES):
        faults = UNHEARD[number::COPIES]
        each = [(u.id, fault) for u, fault in zip(sound.utterances[number::3], faults, strict=False)]
        folder = tmp_path_factory.mktemp("planted") / "copy"
        apart |= {one.fault.name: one for one in in_one_copy(sound, each, folder, NEEDS, before)}
    return apart


@pytest.mark.parametrize("name", [fault.name for fault in UNHEARD])
def test_a_planted_fault_is_named(name: str, planted_apart: dict[str, Found]) -> None:
    """Each kind of fault is found at its row, as gravely as it should be, and no other row becomes an error."""
    one = planted_apart[name]
    assert one.newly == ()
    assert one.ok, one.severities


def test_every_check_has_a_planted_fault() -> None:
    """A check whose fault nobody plants may have stopped working."""
    elsewhere = {"unpronounceable", "little_speech"}  # tests of texts and timing
    assert {fault.check for fault in planted.FAULTS} == set(audit.CHECKS) - elsewhere


def test_all_faults_at_once(sound: Manifest, before: AuditReport, tmp_path: Path) -> None:
    """A set full of faults names them all but those that only stand out among sound rows."""
    longest = [u.id for u in sorted(sound.utterances, key=lambda u: -u.duration_sec)]
    each = [(longest[n % len(longest)], fault) for n, fault in enumerate(UNHEARD)]
    together = in_one_copy(sound, each, tmp_path / "copy", NEEDS, before)
    assert [one.fault.name for one in together if not one.ok and one.fault.check != "speaker"] == []


def test_the_readers_faults_are_told_once(spoken: list[Spoken], tmp_path: Path) -> None:
    """What the reader said of a row is in the report, also for rows that were lost, and not said again by a check."""
    read = speech.write(tmp_path, rows(spoken[:4]))
    (tmp_path / "clips" / f"{spoken[1].id}.wav").unlink()
    gone = AuditFinding(
        check="missing", severity=Severity.ERROR, row=spoken[1].id, explanation="Gone.", repair="Find it."
    )
    lost = replace(gone, check="unreadable", row="line 17", explanation="Not JSON.")
    report = audited(replace(read, faults=(gone, lost)))
    assert [f.explanation for f in report.findings if f.check == "missing"] == ["Gone."]
    assert found(report, "line 17") == {"unreadable": "error"}
    assert report.row_count == 5
    assert report.bad_row_share == pytest.approx(2 / 5)


def test_findings_are_in_order(spoken: list[Spoken], tmp_path: Path) -> None:
    """The whole set, lost rows, then the rows in the manifest's order, each with its worst first."""
    spoiled = rows(spoken[:6])
    spoiled[4]["text"] = "[noise] hello"
    spoiled[1]["text"] = ""
    spoiled[4]["samples"] = np.stack([spoiled[4]["samples"]] * 2, axis=1)
    read = speech.write(tmp_path, spoiled)
    lost = AuditFinding(
        check="unreadable", severity=Severity.ERROR, row="line 9", explanation="Broken.", repair="Mend it."
    )
    report = audited(replace(read, faults=(lost,)))
    ids = [row["id"] for row in spoiled]
    assert [(f.row, f.check) for f in report.findings] == [
        ("", "little_speech"),
        ("line 9", "unreadable"),
        (ids[1], "empty_text"),
        (ids[4], "tags"),
        (ids[4], "channels"),
    ]


def test_the_share_of_tainted_steps(spoken: list[Spoken], tmp_path: Path) -> None:
    """One bad row of ten taints 57 % of the steps that take eight rows."""
    spoiled = rows(spoken[:10])
    spoiled[3]["text"] = ""
    report = audited(speech.write(tmp_path, spoiled))
    assert report.bad_row_share == pytest.approx(0.1)
    assert report.tainted_share(8) == pytest.approx(1 - 0.9**8)


def test_limits_and_tags_are_the_backends(spoken: list[Spoken], tmp_path: Path) -> None:
    """The same rows, another backend: other limits, with what upstream drops; its own tags may stay."""
    spoiled = rows(spoken[:3])
    spoiled[1]["samples"] = spoiled[1]["samples"][: int(0.7 * speech.RATE)]
    spoiled[1]["text"] = "Well, yes."
    spoiled[2]["text"] = f"[breath] {spoiled[2]['text']}"
    read = speech.write(tmp_path, spoiled)
    cosy = audited(read, needs=needs.of("cosyvoice3"))
    assert {f.check for f in cosy.findings if f.severity is Severity.ERROR} == {"duration"}
    assert any("drops rows below 1 s" in f.explanation for f in cosy.findings)
    assert {f.check for f in audited(read).findings if f.severity is Severity.ERROR} == {"tags"}
    assert set(cosy.skipped) == {"transcript_mismatch", "unpronounceable"}


def test_progress_counts_rows(sound: Manifest) -> None:
    """Each row is told, from none to all, so that the time left can be said."""
    told: list[tuple[int, int, str]] = []
    audited(sound, on_progress=lambda *one: told.append(one))
    total = len(sound.utterances)
    measuring = [done for done, _, message in told if message == audit.MEASURING]
    assert measuring == list(range(total + 1))
    assert {of for _, of, _ in told} == {total}
    assert told[-1][:2] == (total, total)


def test_a_cancelled_audit_gives_no_report(sound: Manifest) -> None:
    """Half a report would look like a whole one."""
    stop = threading.Event()

    def tell(done: int, total: int, message: str) -> None:
        if done == 2:
            stop.set()

    with pytest.raises(Refused, match="stopped"):
        audited(sound, on_progress=tell, cancelled=stop.is_set)


def test_unpronounceable_texts_are_asked_about_in_workers_too(sound: Manifest) -> None:
    """What cannot travel to a worker is asked afterwards: the report is the same."""
    foreign = replace(sound.utterances[2], text="Привет, мир")
    spoiled = replace(sound, utterances=(*sound.utterances[:2], foreign, *sound.utterances[3:6]))
    finch = needs.of("finch")
    asked = [
        {f.row for f in audit.audit(spoiled, wanted, workers=workers).findings if f.check == "unpronounceable"}
        for wanted in (finch, replace(finch, unpronounceable=lambda text: finch.unpronounceable(text)))  # type: ignore[misc]
        for workers in (0, 1)
    ]
    assert asked == [{foreign.id}] * 4


def test_nothing_of_the_source_is_touched(demo: Path, sound: Manifest) -> None:
    """An audit reads."""

    def state() -> Iterator[tuple[str, int, int]]:
        for path in sorted(demo.parent.rglob("*")):
            yield str(path), path.stat().st_mtime_ns, path.stat().st_size

    before = list(state())
    audited(sound)
    assert list(state()) == before
