"""The data desk's use cases, from a path or an upload to a prepared dataset that a run takes or refuses."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine import dataset, slicing
from engine.audit import voice_activity
from engine.jobs import JobState, Report
from engine.runs import making
from engine.studio import Studio
from engine.types import Action, BadInput, NotFound, PrepareSettings, Refused, RunConfig
from engine.workspace import Workspace
from tests.recordings import make_manifest
from tests.waiting import job_result, wait_until

pytestmark = pytest.mark.usefixtures("tones_are_speech")


@pytest.fixture(name="studio")
def _studio(tmp_path: Path) -> Iterator[Studio]:
    with Studio(Workspace(tmp_path / "home"), clock=lambda: 1000.0, device="cpu") as studio:
        yield studio


def faulty(folder: Path) -> Path:
    """Ten sound rows, then one whose text is a tag, one without text, and a line that is no row."""
    tone = {"audio": "wav/r000.wav"}
    return make_manifest(
        folder, 10, extra_rows=[tone | {"id": "tag", "text": "x [noise]"}, tone | {"id": "none", "text": ""}, "{"]
    )


def prepared(studio: Studio, draft_id: str, **settings: object) -> dataset.Dataset:
    wanted = PrepareSettings(backend="finch", **settings)  # type: ignore[arg-type]
    return studio.dataset(job_result(studio, studio.start_prepare(draft_id, wanted)))


def test_a_source_becomes_a_dataset_on_the_desk(studio: Studio, tmp_path: Path) -> None:
    """Open, audit, decide, prepare: what was decided is in the dataset, and the source is as it was."""
    source = faulty(tmp_path / "source")
    before = {p: p.read_bytes() for p in (tmp_path / "source").rglob("*") if p.is_file()}
    draft = studio.open_source(source, backend="finch")
    assert (draft.row_count, draft.audited) == (12, False)
    assert studio.report(draft.id).findings == ()
    with pytest.raises(Refused, match="audit it first"):
        studio.start_prepare(draft.id, PrepareSettings(backend="finch"))
    assert job_result(studio, studio.start_audit(draft.id)) == draft.id
    report = studio.report(draft.id)
    errors = {f.row: f.check for f in report.findings if f.severity.value == "error"}
    assert errors["none"] in ("empty_text", "duplicate")
    assert "line 13" in errors
    studio.decide(draft.id, ["r001", "r002"], Action.DROP, by="ada")
    studio.decide(draft.id, ["r003"], Action.SET_TEXT, text="What is heard.", by="ada")
    assert {u.id: u.text for u in studio.report(draft.id).manifest.utterances}["r003"] == "What is heard."
    made = prepared(studio, draft.id)
    rows = {u.id: u.text for u in dataset.utterances(made)}
    assert rows["r003"] == "What is heard."
    assert not {"r001", "r002", "none", "line 13"} & set(rows)
    assert made.excluded_count == report.row_count - len(rows)
    assert {p: p.read_bytes() for p in (tmp_path / "source").rglob("*") if p.is_file()} == before


def test_drafts_survive_a_restart(studio: Studio, tmp_path: Path) -> None:
    """Another process finds the audit and the decisions as they were; jobs end with theirs."""
    draft = studio.open_source(faulty(tmp_path / "source"), backend="finch", name="ada")
    job_result(studio, studio.start_audit(draft.id))
    studio.decide(draft.id, ["none"], Action.KEEP, by="ada")
    report, decisions = studio.report(draft.id), studio.decisions(draft.id)
    studio.close()
    with Studio(Workspace(tmp_path / "home"), device="cpu") as again:
        assert [d.id for d in again.drafts()] == [draft.id]
        assert again.draft(draft.id).audited
        assert again.report(draft.id) == report
        assert again.decisions(draft.id) == decisions
        again.take_back(draft.id, ["none"])
        assert again.decisions(draft.id) == {}
        again.discard_draft(draft.id)
        assert again.drafts() == []


def test_decisions_are_checked(studio: Studio, tmp_path: Path) -> None:
    """A foreign row, a kept row without a name, and an action that is none are refused; nothing is decided."""
    draft = studio.open_source(faulty(tmp_path / "source"), backend="finch")
    with pytest.raises(NotFound, match="no row 'r999'"):
        studio.decide(draft.id, ["r001", "r999"], Action.DROP)
    with pytest.raises(Refused, match="needs the name"):
        studio.decide(draft.id, ["r001"], Action.KEEP)
    with pytest.raises(BadInput, match="nothing to decide"):
        studio.decide(draft.id, ["r001"], Action.NONE)
    assert studio.decisions(draft.id) == {}


def test_only_a_drafts_rows_can_be_heard(studio: Studio, tmp_path: Path) -> None:
    """A row's file is found by the row, never by a path; a file that is gone and a foreign id are told."""
    draft = studio.open_source(faulty(tmp_path / "source"), backend="finch")
    assert studio.row_samples_path(draft.id, "r001").name == "r001.wav"
    (tmp_path / "source/wav/r001.wav").unlink()
    for name, row in ((draft.id, "r001"), (draft.id, "../../secret"), ("../" + draft.id, "r002"), ("", "r002")):
        with pytest.raises(NotFound):
            studio.row_samples_path(name, row)


def test_a_run_needs_a_name_for_unresolved_errors(studio: Studio, tmp_path: Path) -> None:
    """A run on a dataset with kept errors is refused with their rows, until somebody accepts it by name."""
    draft = studio.open_source(faulty(tmp_path / "source"), backend="finch")
    job_result(studio, studio.start_audit(draft.id))
    studio.decide(draft.id, ["tag"], Action.KEEP, by="ada")
    made = prepared(studio, draft.id)
    assert made.unresolved >= 1
    with pytest.raises(Refused, match="tag"):
        making.create(tmp_path / "runs", RunConfig(dataset=made.id), now=1.0, dataset=made)
    run = making.create(tmp_path / "runs", RunConfig(dataset=made.id, accepted_by="ada"), now=1.0, dataset=made)
    assert json.loads((run.path / "run.json").read_text())["config"]["accepted_by"] == "ada"


# ----------------------------------------------------------------------------------------------------------- uploads
def test_an_archive_is_unpacked_into_the_draft(studio: Studio, tmp_path: Path) -> None:
    """A zip of a dataset is a draft that does not need the upload any more."""
    faulty(tmp_path / "source")
    with zipfile.ZipFile(tmp_path / "voice.zip", "w") as packed:
        for path in (tmp_path / "source").rglob("*"):
            packed.write(path, Path("voice") / path.relative_to(tmp_path / "source"))
    draft = studio.open_upload([tmp_path / "voice.zip"], backend="finch")
    (tmp_path / "voice.zip").unlink()
    assert (draft.name, draft.row_count) == ("voice", 12)
    assert studio.row_samples_path(draft.id, "r001").is_relative_to(draft.path)


def test_an_archive_cannot_leave_its_folder_or_be_too_large(studio: Studio, tmp_path: Path) -> None:
    """Names that lead out and more bytes than stated are refused, and no draft is left."""
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as packed:
        packed.writestr("../../escaped.txt", "x")
    with zipfile.ZipFile(tmp_path / "large.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.wav", bytes(3_000_000))
    studio.upload_bytes = 1_000_000
    for name in ("bad.zip", "large.zip"):
        with pytest.raises(BadInput):
            studio.open_upload([tmp_path / name], backend="finch")
    assert studio.drafts() == []
    assert list(studio.workspace.drafts.iterdir()) == []
    assert not list(tmp_path.rglob("escaped.txt"))


def test_loose_files_are_an_upload(studio: Studio, tmp_path: Path) -> None:
    """Recordings with their texts, or a manifest with its audio, are copied; two of one name are refused."""
    faulty(tmp_path / "source")
    sounds = sorted((tmp_path / "source/wav").glob("*.wav"))[:3]
    texts = [s.with_suffix(".txt") for s in sounds]
    for text in texts:
        text.write_text("Some words.")
    draft = studio.open_upload([*sounds, *texts], backend="finch", name="loose")
    assert [u.text for u in studio.report(draft.id).manifest.utterances] == ["Some words."] * 3
    (tmp_path / "m.jsonl").write_text('{"audio": "wav/r000.wav", "text": "One."}\n')
    with_manifest = studio.open_upload([*sounds, tmp_path / "m.jsonl"], backend="finch")
    assert with_manifest.row_count == 1
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / sounds[0].name).write_bytes(b"x")
    with pytest.raises(BadInput, match="Two files are named"):
        studio.open_upload([sounds[0], tmp_path / "other" / sounds[0].name], backend="finch")


# ----------------------------------------------------------------------------------------------------------- slicing
def write_recording(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    soundfile.write(path, (0.1 * rng.standard_normal(40 * 16_000)).astype(np.float32), 16_000)


def in_five_second_sentences(samples: np.ndarray[tuple[int], np.dtype[np.float32]]) -> tuple[tuple[float, float], ...]:
    seconds = len(samples) / 16_000
    return tuple((at + 0.5, min(at + 4.5, seconds)) for at in np.arange(0, seconds - 1, 5.0).tolist())


def test_a_recording_becomes_a_draft_and_texts_are_written_down(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slices are rows without texts; Whisper's texts are decisions in its name; without a folder that is refused."""
    monkeypatch.setattr(slicing, "BLOCK_SEC", 100.0)
    monkeypatch.setattr(voice_activity, "speech", in_five_second_sentences)
    for place in ("a", "b"):
        write_recording(tmp_path / place / "talk.wav")
    both = [tmp_path / "a/talk.wav", tmp_path / "b/talk.wav"]
    draft = studio.draft(job_result(studio, studio.start_slicing(both, backend="finch")))
    rows = studio.report(draft.id).manifest.utterances
    assert {u.recording for u in rows} == {"talk", "talk-2"}
    assert {u.text for u in rows} == {""}
    with pytest.raises(Refused, match="--whisper"):
        studio.start_transcribing(draft.id, [rows[0].id])

    class Writer:
        def transcribe(self, samples: object, sample_rate: int, language: str = "") -> str:
            return "As it was said."

    studio.whisper_folder = tmp_path
    monkeypatch.setattr(studio, "_whisper", Writer())
    job_result(studio, studio.start_transcribing(draft.id, [u.id for u in rows[:2]]))
    assert [u.text for u in studio.report(draft.id).manifest.utterances][:3] == ["As it was said."] * 2 + [""]
    assert {d.by for made in studio.decisions(draft.id).values() for d in made} == {"Whisper"}


@pytest.mark.parametrize("kind", ["prepare", "slice", "audit"])
def test_a_cancelled_job_makes_nothing(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """What is cancelled ends at its next step, leaves nothing behind, and is no failure."""
    draft = studio.open_source(faulty(tmp_path / "source"), backend="finch")
    job_result(studio, studio.start_audit(draft.id))
    write_recording(tmp_path / "talk.wav")
    monkeypatch.setattr(Report, "cancelled", lambda self: True)
    start = {
        "prepare": lambda: studio.start_prepare(draft.id, PrepareSettings(backend="finch")),
        "slice": lambda: studio.start_slicing([tmp_path / "talk.wav"], backend="finch"),
        "audit": lambda: studio.start_audit(draft.id),
    }
    job = start[kind]()
    studio.cancel(job)
    wait_until(lambda: studio.job(job).state is not JobState.RUNNING)
    assert studio.job(job).error == ""
    with pytest.raises(NotFound):
        studio.job_result(job)
    assert studio.datasets() == []
    assert len(list(studio.workspace.drafts.iterdir())) == 1


# ----------------------------------------------------------------------------------------------------- without a draft
def test_settings_out_of_bounds_are_refused(studio: Studio, tmp_path: Path) -> None:
    """A share, level or silence that makes no sense is one sentence before anything is read."""
    source = faulty(tmp_path / "source")
    for wrong in ({"validation_share": 0.9}, {"test_share": -0.1}, {"append_silence_sec": 60}, {"loudness_lufs": 3}):
        settings = PrepareSettings(backend="finch", **wrong)  # type: ignore[arg-type]
        with pytest.raises(BadInput, match="should be"):
            studio.prepare(source, settings=settings)


def test_a_dataset_is_never_written_into_its_source(studio: Studio, tmp_path: Path) -> None:
    """The folder that was given stays as it is, also when somebody points the output into it."""
    faulty(tmp_path / "source")
    with pytest.raises(BadInput, match="inside the source"):
        studio.prepare(tmp_path / "source", out=tmp_path / "source/prepared")


def test_every_target_has_settings(studio: Studio) -> None:
    """Whatever backend the page offers can be prepared for."""
    for target in studio.targets():
        assert studio.default_settings(target.name).backend == target.name


def test_rows_go_out_as_another_trainer_wants_them(studio: Studio, tmp_path: Path) -> None:
    """A prepared dataset is exported with the audio's paths."""
    made = studio.prepare(faulty(tmp_path / "source"))
    out = studio.export_rows(made.id, "voxcpm", tmp_path / "out.jsonl")
    told = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(told) == made.train_count
    assert Path(told[0]["audio"]).is_file()
