"""Earmark's own manifests: what is written is read back; every fault names its row."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import manifest
from engine.types import BadInput, Utterance
from tests.recordings import make_manifest, write_tone


def test_rows_carry_what_the_file_and_the_audio_say(tmp_path: Path) -> None:
    """Paths are relative to the manifest, durations come from the audio's header, ids from the file's name."""
    path = make_manifest(tmp_path, 3)
    read = manifest.read(path)
    assert [u.id for u in read.utterances] == ["r000", "r001", "r002"]
    assert read.utterances[0].audio_path == tmp_path / "wav/r000.wav"
    assert read.utterances[0].sample_rate == 16_000
    assert read.total_sec == pytest.approx(sum(len(u.text) / 14 for u in read.utterances), abs=0.01)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ('{"audio": "a.wav", "text": ', "line 3: not valid JSON"),
        ('["a.wav", "hello"]', "line 3: expected a JSON object"),
        ('{"text": "hello"}', "line 3: `audio` is missing"),
        ('{"audio": "a.wav", "text": 7}', "line 3: `text` should be a text in quotes"),
        ('{"audio": "a.wav", "text": "x", "split": "dev"}', "line 3: `split` is 'dev'"),
        ('{"audio": "a.wav", "text": "x", "start_sec": "1"}', "line 3: `start_sec` should be a number"),
        ('{"audio": "a.wav", "text": "x", "end_sec": NaN}', "line 3: `end_sec` should be a number"),
        ("[" * 100_000, "line 3: not valid JSON"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, row: str, sentence: str) -> None:
    """A row that cannot be understood is refused with its line number and the mend."""
    with pytest.raises(BadInput, match=sentence):
        manifest.read(make_manifest(tmp_path, 2, extra_rows=[row]))


def test_a_missing_file_is_kept_for_the_audit(tmp_path: Path) -> None:
    """A row without its audio is no fault of the manifest: it is kept with no duration."""
    read = manifest.read(make_manifest(tmp_path, 2, extra_rows=[{"audio": "gone.wav", "text": "hello"}]))
    assert (read.utterances[2].duration_sec, read.utterances[2].sample_rate) == (0.0, 0)


def test_ids_are_unique(tmp_path: Path) -> None:
    """A given id may stand once, saying where it stood first; ids made from file names get a number."""
    for folder in ("a", "b"):
        write_tone(tmp_path / folder / "x.wav", 1.0)
    rows = [{"audio": "a/x.wav", "text": "one"}, {"audio": "b/x.wav", "text": "two"}]
    read = manifest.read(make_manifest(tmp_path, 0, extra_rows=rows))
    assert [u.id for u in read.utterances] == ["x", "x-2"]
    with pytest.raises(BadInput, match="line 2: the id 'k' is already used in line 1"):
        manifest.read(make_manifest(tmp_path, 0, extra_rows=[row | {"id": "k"} for row in rows]))


def test_ids_are_safe_file_names(tmp_path: Path) -> None:
    """An id becomes a file name later, so it may not climb out of a folder."""
    read = manifest.read(
        make_manifest(tmp_path, 0, extra_rows=[{"audio": "a.wav", "text": "x", "id": "../../etc/pass wd"}])
    )
    assert read.utterances[0].id == "etc-pass-wd"


@pytest.mark.parametrize(("content", "sentence"), [(b"\n\n", "has no rows"), (b"\xff\xfe{}", "not UTF-8")])
def test_a_file_that_is_no_manifest(tmp_path: Path, content: bytes, sentence: str) -> None:
    """An empty or binary file is one sentence."""
    (tmp_path / "m.jsonl").write_bytes(content)
    with pytest.raises(BadInput, match=sentence):
        manifest.read(tmp_path / "m.jsonl")


def test_a_missing_manifest_is_one_sentence(tmp_path: Path) -> None:
    """A wrong path is answered with what to give."""
    with pytest.raises(BadInput, match="does not exist; give the path"):
        manifest.read(tmp_path / "m.jsonl")


texts = st.text(st.characters(blacklist_categories=("Cs",)), max_size=40)
seconds = st.none() | st.floats(0, 1e6)


@st.composite
def utterances(draw: st.DrawFn) -> Utterance:
    return Utterance(
        id="",
        audio_path=Path(),
        text=draw(texts),
        speaker=draw(texts),
        group=draw(texts),
        split=draw(st.sampled_from(manifest.SPLITS)),
        recording=draw(texts),
        start_sec=draw(seconds),
        end_sec=draw(seconds),
        instruct=draw(texts),
    )


@settings(deadline=None, max_examples=40)
@given(rows=st.lists(utterances(), min_size=1, max_size=5))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[Utterance]) -> None:
    """Writing and reading returns the same rows, whatever characters their texts hold."""
    folder = tmp_path_factory.mktemp("m")
    told = tuple(
        replace(u, id=f"u{i}", audio_path=folder / f"a/u{i}.wav", reference_audio=folder / "ref.wav", line=i + 1)
        for i, u in enumerate(rows)
    )
    manifest.write(folder / "manifest.jsonl", told)
    assert manifest.read(folder / "manifest.jsonl").utterances == told
    lines = [json.loads(x) for x in (folder / "manifest.jsonl").read_text().split("\n") if x]
    assert all(line["audio"].startswith("a/") for line in lines)


def test_fields_that_say_nothing_are_left_out(tmp_path: Path) -> None:
    """A manifest of a set without time codes, references and instructions has no keys for them."""
    manifest.write(tmp_path / "m.jsonl", [Utterance(id="a", audio_path=tmp_path / "a.wav", text="x")])
    assert list(json.loads((tmp_path / "m.jsonl").read_text())) == "id audio text speaker language group split".split()


def test_audio_elsewhere_keeps_its_path(tmp_path: Path) -> None:
    """A file that does not lie below the manifest is named by its whole path."""
    manifest.write(tmp_path / "set/m.jsonl", [Utterance(id="a", audio_path=tmp_path / "a.wav", text="x")])
    assert manifest.read(tmp_path / "set/m.jsonl").utterances[0].audio_path == tmp_path / "a.wav"
