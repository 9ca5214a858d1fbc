"""Prepared datasets: the source is never touched, all or nothing appears, and the same rows give the same dataset."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine import audio, dataset, locks, needs, readers
from engine.types import (
    Action,
    AuditFinding,
    AuditReport,
    BadInput,
    Dataset,
    Decision,
    DiskFull,
    Line,
    NotFound,
    PrepareSettings,
    Refused,
    Script,
    Severity,
    Tier,
)
from tests.recordings import line, make_manifest, write_tone

FINCH = replace(needs.of("finch"), unpronounceable=None)
SETTINGS = PrepareSettings(backend="finch")


def error(row: str, check: str, **fields: object) -> AuditFinding:
    told: dict[str, object] = {"explanation": f"{check} of {row}.", "repair": "Mend it."}
    return AuditFinding(check=check, severity=Severity.ERROR, row=row, **(told | fields))  # type: ignore[arg-type]


def audited(source: Path, findings: Sequence[AuditFinding] = ()) -> AuditReport:
    """A report of tones, in which no audit would hear speech."""
    return AuditReport(manifest=readers.read(source), backend="finch", findings=tuple(findings))


def prepare(
    source: Path, root: Path, findings: Sequence[AuditFinding] = (), settings: object = SETTINGS, **changes: object
) -> Dataset:
    options: dict[str, object] = {"now": 100.0, "root": root} | changes
    return dataset.prepare(audited(source, findings), settings, FINCH, **options)  # type: ignore[arg-type]


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]


def fingerprints(folder: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_rows_become_mono_flac_at_the_voices_rate(tmp_path: Path) -> None:
    """Every kept row is 16-bit mono FLAC at the rate, with its seconds, and the source is byte for byte the same."""
    source = make_manifest(tmp_path / "source", 12, rate=22_050)
    before = fingerprints(tmp_path / "source")
    told: list[tuple[int, int, str]] = []
    made = prepare(source, tmp_path / "datasets", on_progress=lambda *a: told.append(a))
    header = soundfile.info(made.path / "audio/r003.flac")
    assert (header.samplerate, header.channels, header.subtype) == (16_000, 1, "PCM_16")
    assert (made.train_count + made.validation_count, made.excluded_count) == (12, 0)
    assert made.validation_count >= 1
    assert made.train_sec == pytest.approx(sum(u.duration_sec for u in dataset.utterances(made) if u.split == "train"))
    assert told[-1][:2] == (12, 12)
    assert fingerprints(tmp_path / "source") == before


def test_a_dataset_is_read_back_as_it_was_made(tmp_path: Path) -> None:
    """Loading and listing return what preparing returned; the newest comes first."""
    first = prepare(make_manifest(tmp_path / "a"), tmp_path / "datasets", name="first")
    second = prepare(make_manifest(tmp_path / "b", 5), tmp_path / "datasets", name="second", now=200.0)
    assert dataset.load(first.path) == first
    assert dataset.listing(tmp_path / "datasets") == [second, first]


def test_preparing_twice_is_one_dataset(tmp_path: Path) -> None:
    """The same rows and audio give the same id and no second folder; audio mended in place gives another."""
    source = make_manifest(tmp_path / "source")
    first = prepare(source, tmp_path / "datasets")
    assert prepare(source, tmp_path / "datasets", now=999.0) == first
    (tmp_path / "source/wav/r000.wav").write_bytes((tmp_path / "source/wav/r001.wav").read_bytes())
    assert prepare(source, tmp_path / "datasets").id != first.id
    assert len(list((tmp_path / "datasets").iterdir())) == 2


def test_rows_with_errors_are_left_out_and_counted(tmp_path: Path) -> None:
    """An audited error never reaches a training, and the count says so."""
    source = make_manifest(tmp_path / "source", 6, extra_rows=[{"audio": "gone.wav", "text": "hello there"}])
    made = prepare(source, tmp_path / "datasets", [error("gone", "missing")])
    assert (made.train_count + made.validation_count, made.excluded_count, made.unresolved) == (6, 1, 0)
    assert [(x["row"], x["action"], x["check"]) for x in lines(made.path / "repairs.jsonl")] == [
        ("gone", "drop", "missing")
    ]


def test_a_file_that_breaks_off_is_left_out_and_named(tmp_path: Path) -> None:
    """A file with a sound header whose samples cannot be read is excluded with a note; the rest is prepared."""
    source = make_manifest(tmp_path / "source", 6)
    soundfile.write(tmp_path / "source/wav/r002.flac", soundfile.read(tmp_path / "source/wav/r002.wav")[0], 16_000)
    whole = (tmp_path / "source/wav/r002.flac").read_bytes()
    (tmp_path / "source/wav/r002.flac").write_bytes(whole[: len(whole) // 2])
    source.write_text(source.read_text().replace("r002.wav", "r002.flac"))
    made = prepare(source, tmp_path / "datasets")
    assert made.excluded_count == 1
    assert made.notes[0].startswith("r002 was left out")


def test_too_few_rows_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    """A dataset of one row cannot be split; the refusal leaves no folder."""
    with pytest.raises(BadInput, match="1 usable row"):
        prepare(make_manifest(tmp_path / "source", 1), tmp_path / "datasets")
    assert not (tmp_path / "datasets").exists()


def test_a_full_disk_is_said_before_anything_is_written(tmp_path: Path) -> None:
    """Without room nothing is begun."""
    with pytest.raises(DiskFull, match="make room"):
        prepare(make_manifest(tmp_path / "source"), tmp_path / "datasets", free_bytes=lambda _: 1000)
    assert list((tmp_path / "datasets").iterdir()) == []


def test_a_failure_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    """An interrupted preparation is invisible."""

    def interrupt(done: int, total: int, message: str) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(make_manifest(tmp_path / "source"), tmp_path / "datasets", on_progress=interrupt)
    assert list((tmp_path / "datasets").iterdir()) == []


def test_a_workspace_may_be_moved(tmp_path: Path) -> None:
    """A dataset knows no absolute path to itself."""
    prepare(make_manifest(tmp_path / "source"), tmp_path / "datasets")
    (tmp_path / "datasets").rename(tmp_path / "moved")
    made = dataset.listing(tmp_path / "moved")[0]
    assert all(u.sample_rate == 16_000 for u in dataset.utterances(made))


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"format_version": 99, "content_sha256": ""}', '{"format_version": 1}']
)
def test_a_damaged_or_foreign_description_is_one_sentence(tmp_path: Path, content: str) -> None:
    """A description that cannot be read is refused by name, and does not hide the others from the listing."""
    made = prepare(make_manifest(tmp_path / "source"), tmp_path / "datasets")
    (tmp_path / "datasets/bad").mkdir()
    (tmp_path / "datasets/bad/dataset.json").write_text(content)
    with pytest.raises(BadInput, match=r"prepare (it|the dataset) again"):
        dataset.load(tmp_path / "datasets/bad")
    assert dataset.listing(tmp_path / "datasets") == [made]


def test_an_edited_manifest_is_noticed(tmp_path: Path) -> None:
    """A prepared manifest that was changed is refused: a run's record would no longer say what it was trained on."""
    made = prepare(make_manifest(tmp_path / "source"), tmp_path / "datasets")
    path = made.path / "manifest.jsonl"
    rows = [json.loads(x) for x in path.read_text().splitlines()]
    rows[0]["text"] = "something else"
    path.write_text("\n".join(json.dumps(r) for r in rows))
    with pytest.raises(BadInput, match="was changed after it was prepared"):
        dataset.utterances(made)


def test_no_dataset_is_not_found(tmp_path: Path) -> None:
    """A folder without a description is not a dataset."""
    with pytest.raises(NotFound, match="not a prepared dataset"):
        dataset.load(tmp_path)


# --------------------------------------------------------------------------------------------------------- same bytes
ALL_REPAIRS = PrepareSettings(
    backend="finch", trim=True, append_silence_sec=1.0, loudness_lufs=-23.0, validation_share=0.2, test_share=0.2
)


def test_the_same_input_and_settings_give_the_same_bytes(tmp_path: Path) -> None:
    """Every file of the folder is byte for byte the same, wherever, whenever and by how many processes it is made."""
    source = make_manifest(tmp_path / "source", 8, rate=22_050, groups=4)
    tagged = [error("r001", "tags", action=Action.STRIP_TAGS), error("r002", "boilerplate")]
    for place, workers, now in (("a", 0, 1.0), ("b/c", 2, 2e9)):
        prepare(source, tmp_path, tagged, ALL_REPAIRS, out=tmp_path / place, workers=workers, now=now)
    assert fingerprints_below(tmp_path / "a") == fingerprints_below(tmp_path / "b/c")
    assert dataset.load(tmp_path / "b/c").created_at == 2e9


def fingerprints_below(folder: Path) -> dict[str, str]:
    return {str(Path(name).relative_to(folder)): digest for name, digest in fingerprints(folder).items()}


def test_a_dataset_names_no_file_outside_of_itself(tmp_path: Path) -> None:
    """Audio prompts come along, each once, and no path of the machine stands in the manifest."""
    write_tone(tmp_path / "source/prompt.wav", 1.0)
    source = make_manifest(tmp_path / "source", 3)
    rows = [x | {"ref_audio": "prompt.wav"} for x in lines(source)]
    source.write_text("".join(json.dumps(x) + "\n" for x in rows), encoding="utf-8")
    made = prepare(source, tmp_path / "datasets")
    shutil.rmtree(tmp_path / "source")
    assert str(tmp_path) not in (made.path / "manifest.jsonl").read_text()
    assert {u.reference_audio is not None and u.reference_audio.is_file() for u in dataset.utterances(made)} == {True}
    assert len(list((made.path / "reference").iterdir())) == 1


def test_another_backend_or_setting_is_another_dataset(tmp_path: Path) -> None:
    """A dataset's name tells its content with how it was made: two backends of one rate do not share a folder."""
    source = make_manifest(tmp_path / "source", 4)
    ids = {
        prepare(source, tmp_path / "datasets", settings=settings).id
        for settings in (SETTINGS, replace(SETTINGS, backend="other"), replace(SETTINGS, append_silence_sec=0.5))
    }
    assert len(ids) == 3


def test_where_the_source_lies_changes_its_description_alone(tmp_path: Path) -> None:
    """A copy of the source elsewhere gives the same files but for the `source` of dataset.json, and the same id."""
    made = []
    for place in ("a", "b"):
        source = make_manifest(tmp_path / place / "set", 4, extra_rows=[{"audio": "gone.wav", "text": "hello"}])
        gone = f"{source.parent / 'gone.wav'} does not exist."
        made.append(prepare(source, tmp_path / place, [error("gone", "missing", explanation=gone)]))
    one, two = (fingerprints_below(m.path) for m in made)
    assert {name for name in one if one[name] != two[name]} == {"dataset.json"}
    assert made[0].id == made[1].id


# ------------------------------------------------------------------------------------------------- kept and left out
def test_errors_that_stay_are_counted_and_named(tmp_path: Path) -> None:
    """A row that somebody keeps is in, its errors are in `unresolved`, and a run needs a name for it."""
    source = make_manifest(tmp_path / "source", 4)
    findings = [error("r000", "boilerplate"), error("r001", "text_too_long"), error("r002", "no_speech")]
    keep = [Decision(row="r000", action=Action.KEEP, by="ada"), Decision(row="r001", action=Action.KEEP)]
    made = prepare(source, tmp_path / "datasets", findings, decisions={d.row: [d] for d in keep})
    assert (made.unresolved, made.excluded_count, made.bad_row_share) == (1, 2, 0.5)
    assert dataset.unresolved_rows(made) == ("r000",)
    assert lines(made.path / "unresolved.jsonl")[0]["check"] == "boilerplate"
    assert [x["by"] for x in lines(made.path / "repairs.jsonl") if x["action"] == "keep"] == ["ada"]
    with pytest.raises(Refused, match=r"1 unresolved error.*r000"):
        dataset.must_be_accepted(made, by=" ")
    dataset.must_be_accepted(made, by="ada")


def test_keep_errors_keeps_what_can_be_read(tmp_path: Path) -> None:
    """The setting takes rows with errors in, but nothing can take in a row without audio."""
    source = make_manifest(tmp_path / "source", 4, extra_rows=[{"audio": "gone.wav", "text": "hello there"}])
    findings = [error("r000", "boilerplate"), error("gone", "missing")]
    made = prepare(source, tmp_path / "datasets", findings, replace(SETTINGS, keep_errors=True))
    assert (made.unresolved, made.excluded_count) == (1, 1)


def test_lines_of_the_listening_script_are_kept_out(tmp_path: Path) -> None:
    """A row that says what candidates will be asked to say is left out in any case and punctuation, which is logged."""
    script = Script(
        name="s", language="en", lines=(Line(id="l1", tier=next(iter(Tier)), text=line(2).upper()),), sha256="0"
    )
    made = prepare(make_manifest(tmp_path / "source", 4), tmp_path / "datasets", scripts=[script])
    assert "r002" not in {u.id for u in dataset.utterances(made)}
    [step] = lines(made.path / "repairs.jsonl")
    assert (step["row"], step["check"]) == ("r002", "listening_script")
    assert "line l1 of the listening script s" in str(step["why"])


def test_rows_that_share_audio_are_on_one_side(tmp_path: Path) -> None:
    """A copy of a clip under another name and level goes where the clip goes, though no finding says so."""
    source = make_manifest(tmp_path / "source", 10)
    rng = np.random.default_rng(1)
    noise = np.cumsum(rng.standard_normal(48_000)).astype(np.float32)
    for name, gain in (("r000", 0.8), ("r009", 0.3)):
        audio.write(tmp_path / f"source/wav/{name}.wav", gain * noise / np.abs(noise).max(), 16_000)
    for seed in range(6):
        settings = replace(SETTINGS, seed=seed, validation_share=0.3)
        rows = {u.id: u.split for u in dataset.utterances(prepare(source, tmp_path / "datasets", settings=settings))}
        assert rows["r000"] == rows["r009"]


# ----------------------------------------------------------------------------------------------------------- where to
def test_out_is_the_datasets_folder(tmp_path: Path) -> None:
    """`out` may be missing, empty or hold the equal dataset; anything else is refused and left alone."""
    source = make_manifest(tmp_path / "source", 4)
    (tmp_path / "empty").mkdir()
    first = prepare(source, tmp_path, out=tmp_path / "empty")
    assert first.path == tmp_path / "empty"
    assert prepare(source, tmp_path, out=tmp_path / "empty") == first
    with pytest.raises(BadInput, match="already holds the dataset"):
        prepare(source, tmp_path, settings=replace(SETTINGS, seed=7, trim=True), out=tmp_path / "empty")
    with pytest.raises(BadInput, match="something else"):
        prepare(source, tmp_path, out=tmp_path / "source")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "source"]


KILLED = """
import sys, time
from pathlib import Path
from engine import dataset, needs, readers
from engine.types import AuditReport, PrepareSettings

def slowly(done, total, message):
    print(done, flush=True)
    time.sleep(0.2)

report = AuditReport(manifest=readers.read(Path(sys.argv[1])), backend="finch", findings=())
settings = PrepareSettings(backend="finch")
dataset.prepare(report, settings, needs.of("finch"), root=Path(sys.argv[2]), now=1.0, on_progress=slowly)
"""


def test_a_killed_preparation_leaves_no_dataset_and_is_cleared_up(tmp_path: Path, repository: Path) -> None:
    """After a kill there is no dataset; the next preparation removes what was begun and makes the whole one."""
    source = make_manifest(tmp_path / "source", 12)
    words = [sys.executable, "-c", KILLED, str(source), str(tmp_path / "datasets")]
    child = subprocess.Popen(words, cwd=repository, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout as told:
        while told.readline().strip() != "5":
            assert child.poll() is None
        os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert any((tmp_path / "datasets").iterdir())
    assert dataset.listing(tmp_path / "datasets") == []
    made = prepare(source, tmp_path / "datasets")
    assert [p.name for p in (tmp_path / "datasets").iterdir()] == [made.path.name]


def test_another_preparation_under_way_is_left_alone(tmp_path: Path) -> None:
    """Clearing up takes only what no living process holds."""
    source = make_manifest(tmp_path / "source", 4)
    (tmp_path / "datasets/.tmp-other").mkdir(parents=True)
    with locks.hold(tmp_path / "datasets/.tmp-other.lock", what="a test"):
        prepare(source, tmp_path / "datasets")
        assert (tmp_path / "datasets/.tmp-other").is_dir()
    prepare(source, tmp_path / "datasets", settings=replace(SETTINGS, seed=2))
    assert not (tmp_path / "datasets/.tmp-other").exists()


def test_a_dataset_of_the_first_format_is_read(tmp_path: Path) -> None:
    """What an earlier version prepared stays of use."""
    made = prepare(make_manifest(tmp_path / "source", 4), tmp_path / "datasets")
    path = made.path / "dataset.json"
    told = json.loads(path.read_text())
    for name in ("settings", "test_count", "unresolved", "bad_row_share"):
        del told[name]
    path.write_text(json.dumps(told | {"format_version": 1, "created_at": 5.0}))
    assert dataset.load(made.path) == replace(made, created_at=5.0)
