"""The table of kinds: what a path is, what is said where it is nothing, and that any bytes are answered."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import manifest, readers
from engine.types import BadInput, Manifest
from tests.readers.sources import snapshot, sound, texts

EMPTY = {
    "set.zip": "is an archive; unpack it",
    "talk.wav": "is one recording; slice it",
    "talk.m4a": "is one recording; slice it",
    "paper.pdf": "is no manifest that is known",
}


@pytest.mark.parametrize("name", EMPTY)
def test_files_that_are_no_manifest(tmp_path: Path, name: str) -> None:
    """What can be done with an archive or a single recording is said."""
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(BadInput, match=EMPTY[name]):
        readers.read(tmp_path / name)


@pytest.mark.parametrize("name", ["none", "a\0b", "x" * 5000])
def test_a_path_that_does_not_exist(tmp_path: Path, name: str) -> None:
    """Also an impossible path is answered in a sentence."""
    with pytest.raises(BadInput, match="does not exist; give the path"):
        readers.read(tmp_path / name)


def test_folders_that_cannot_be_told(tmp_path: Path) -> None:
    """An empty folder, and one with several manifests, say what to give."""
    with pytest.raises(BadInput, match="holds no dataset that is known"):
        readers.read(tmp_path)
    for name in ("one.jsonl", "two.jsonl"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(BadInput, match="several JSONL files"):
        readers.read(tmp_path)


def test_a_kind_can_be_named(tmp_path: Path) -> None:
    """The recordings of a folder with a manifest can be read as a folder; a wrong kind is a sentence."""
    sound(tmp_path / "a.wav")
    (tmp_path / "a.txt").write_text("from the text")
    (tmp_path / "m.jsonl").write_text('{"audio": "a.wav", "text": "from the manifest"}')
    assert texts(readers.read(tmp_path)) == {"a": "from the manifest"}
    assert texts(readers.read(tmp_path, kind="folder")) == {"a": "from the text"}
    for kind, said in {"none": "no kind of dataset", "kaldi": "no wav.scp", "huggingface": "no metadata"}.items():
        with pytest.raises(BadInput, match=said):
            readers.read(tmp_path, kind=kind)


def test_a_manifest_is_meant_before_a_stray_table(tmp_path: Path) -> None:
    """A table that lies about does not hide manifest.jsonl; metadata.csv does."""
    (tmp_path / "manifest.jsonl").write_text('{"audio": "a.wav", "text": "x"}')
    (tmp_path / "speakers.csv").write_text("a|b\n")
    assert readers.detect(tmp_path) == "jsonl"
    (tmp_path / "metadata.csv").write_text("a|b\n")
    assert readers.detect(tmp_path) == "ljspeech"


def test_earmarks_own_manifest_reads_alike(tmp_path: Path) -> None:
    """A prepared dataset that is brought again gives the rows that it has."""
    sound(tmp_path / "audio/a_1.0_1.1.wav")
    row = {"id": "a", "audio": "audio/a_1.0_1.1.wav", "text": "x", "split": "test", "group": "g", "recording": "r"}
    (tmp_path / "manifest.jsonl").write_text(json.dumps(row | {"start_sec": 1.0, "end_sec": 1.1}))
    strict, read = manifest.read(tmp_path / "manifest.jsonl"), readers.read(tmp_path)
    assert read.utterances == strict.utterances
    assert read.sha256 == strict.sha256


def test_a_set_that_was_moved(tmp_path: Path) -> None:
    """Audio at another place is used where it was found, and each row says so."""
    sound(tmp_path / "wavs/a.wav")
    (tmp_path / "m.jsonl").write_text('{"audio": "/old/set/wavs/a.wav", "text": "x"}')
    read = readers.read(tmp_path)
    assert read.utterances[0].audio_path == tmp_path / "wavs/a.wav"
    assert [(f.row, f.check, str(f.severity)) for f in read.faults] == [("a", "missing", "warning")]


def test_uploads_lose_their_folders(tmp_path: Path) -> None:
    """Of an upload, a recording beside the manifest is as it should be: that is worth knowing and no warning."""
    sound(tmp_path / "a.wav")
    (tmp_path / "m.jsonl").write_text('{"audio": "wavs/a.wav", "text": "x"}\n{"audio": "/etc/hostname", "text": "y"}')
    read = readers.read(tmp_path, contained=True)
    assert [u.audio_path for u in read.utterances] == [tmp_path / "a.wav"]
    assert [(f.row, f.check, str(f.severity)) for f in read.faults] == [
        *(("a", "missing", "info"), ("line 2", "missing", "error")),
    ]


def test_a_prepared_dataset_is_a_jsonl_folder(tmp_path: Path) -> None:
    """What Earmark wrote is told by its description, whatever else lies there."""
    sound(tmp_path / "audio/a.wav")
    (tmp_path / "manifest.jsonl").write_text('{"audio": "audio/a.wav", "text": "x"}')
    (tmp_path / "dataset.json").write_text("{}")
    (tmp_path / "metadata.csv").write_text("a|b\n")
    assert readers.detect(tmp_path) == "jsonl"


def test_recordings_are_told_by_names(tmp_path: Path) -> None:
    """Time codes in file names become the row's recording, times and group."""
    for name in ("talk_0000.50_0000.60", "talk_0001.00_0001.10", "other_0001.00_0001.10"):
        sound(tmp_path / f"{name}.wav")
        (tmp_path / f"{name}.txt").write_text("x")
    found = [(u.recording, u.group, u.start_sec, u.end_sec) for u in readers.read(tmp_path).utterances]
    assert found == [("other", "other", 1.0, 1.1), ("talk", "talk", 0.5, 0.6), ("talk", "talk", 1.0, 1.1)]


def test_many_rows_are_read_in_seconds(tmp_path: Path) -> None:
    """Reading grows with the rows and no faster: moved audio is looked up in one walk."""
    for i in range(200):
        sound(tmp_path / f"wavs/{i}.wav", 0.01)
    rows = "".join(f'{{"audio": "/old/{i % 200}.wav", "text": "x", "id": "u{i}"}}\n' for i in range(3000))
    (tmp_path / "m.jsonl").write_text(rows)
    read = readers.read(tmp_path)
    assert len(read.utterances) == len(read.faults) == 3000


# ----------------------------------------------------------------------------------------------------------------- fuzz
VALID = {
    "m.jsonl": b'{"audio": "a.wav", "text": "hello", "speaker": "ada", "start": 1, "end": 2}\n{"wav": "b.wav"}\n',
    "metadata.csv": b"a|hello\nb|Dr. X|Doctor X\n",
    "data.csv": b'audio,text,speaker\na.wav,"one, two",ada\nb.wav,three,bob\n',
    "train/metadata.csv": b"file_name,transcription\n../a.wav,hello\nb.wav,x\n",
    "wav.scp": b"u1 a.wav\nu2 b.wav\n",
    "segments": b"u1 u1 0 0.05\nu2 u2 0.01 -1\n",
    "a.txt": b"hello there",
}
mutations = st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=4), st.booleans()), max_size=5)


def mutated(content: bytes, changes: list[tuple[int, bytes, bool]]) -> bytes:
    for at, new, insert in changes:
        at %= len(content) + 1
        content = content[:at] + new + content[at if insert else at + len(new) :]
    return content


def read_or_refused(folder: Path, path: Path, kind: str, cut_into: Path) -> None:
    """Reads; checks that only a manifest or a BadInput comes, and that the source is as it was."""
    before = snapshot(folder)
    with suppress(BadInput):
        read = readers.read(path, kind=kind, cut_into=cut_into)
        assert isinstance(read, Manifest)
        ids = [u.id for u in read.utterances]
        assert len({i.lower() for i in ids}) == len(ids) > 0
        manifest.write(cut_into / "m.jsonl", read.utterances)  # whatever was read can be written
        assert [u.text for u in manifest.read(cut_into / "m.jsonl").utterances] == [u.text for u in read.utterances]
        for fault in read.faults:
            assert fault.explanation
            assert fault.repair
            fault.explanation.encode()
    assert snapshot(folder) == before


@settings(deadline=None, max_examples=150)
@given(name=st.sampled_from(sorted(VALID)), changes=mutations, kind=st.sampled_from(["", *readers.KINDS]))
def test_mutated_files(
    tmp_path_factory: pytest.TempPathFactory, name: str, changes: list[tuple[int, bytes, bool]], kind: str
) -> None:
    """A few changed bytes never give anything but rows, findings or a sentence."""
    folder = tmp_path_factory.mktemp("s")
    sound(folder / "a.wav")
    sound(folder / "train/b.wav")
    (folder / name).write_bytes(mutated(VALID[name], changes))
    if name == "segments":
        (folder / "wav.scp").write_bytes(VALID["wav.scp"])
    read_or_refused(folder, folder, kind, tmp_path_factory.mktemp("c"))


@settings(deadline=None, max_examples=80)
@given(name=st.sampled_from(["m.jsonl", "metadata.csv", "wav.scp", "a.txt", "a.wav"]), content=st.binary(max_size=120))
def test_random_bytes(tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes) -> None:
    """Any bytes at all are answered."""
    folder = tmp_path_factory.mktemp("s")
    sound(folder / "x.wav")
    (folder / name).write_bytes(content)
    read_or_refused(folder, folder, "", tmp_path_factory.mktemp("c"))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(["a.wav", "/", ".."]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
known_keys = st.sampled_from(
    "audio text id speaker language ref_audio instruct split start end source offset path".split()
)


@settings(deadline=None, max_examples=150)
@given(rows=st.lists(st.dictionaries(known_keys | st.text(max_size=4), json_values, max_size=6), max_size=3))
def test_any_values_under_known_keys(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]) -> None:
    """A value of the wrong kind under any key is a finding at most."""
    folder = tmp_path_factory.mktemp("s")
    sound(folder / "a.wav")
    (folder / "m.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    read_or_refused(folder, folder / "m.jsonl", "", tmp_path_factory.mktemp("c"))
