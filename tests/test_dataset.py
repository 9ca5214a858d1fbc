"""Prepared datasets: the source is never touched, all or nothing appears, and the same rows give the same dataset."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import soundfile

from engine import audit, dataset, manifest, needs
from engine.types import BadInput, Dataset, DiskFull, NotFound
from tests.recordings import make_manifest


def prepare(source: Path, root: Path, **changes: object) -> Dataset:
    report = audit.audit(manifest.read(source), needs.of("finch"))
    options: dict[str, object] = {"backend": "finch", "sample_rate": 16_000, "now": 100.0} | changes
    return dataset.prepare(report, root=root, **options)  # type: ignore[arg-type]


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
    made = prepare(source, tmp_path / "datasets")
    assert (made.train_count + made.validation_count, made.excluded_count) == (6, 1)


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
