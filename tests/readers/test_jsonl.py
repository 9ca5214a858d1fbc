"""JSON lines: the keys of every upstream tool, and broken lines that lose themselves alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine import readers
from engine.types import BadInput, Severity
from tests.readers.sources import faults, only, sound, texts


def write(folder: Path, *rows: Any, name: str = "train.jsonl") -> Path:
    for stem in "ab":
        sound(folder / f"{stem}.wav")
    path = folder / name
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "row",
    [
        {"audio": "a.wav", "text": "hello", "ref_audio": "b.wav"},
        {"audio": {"path": "a.wav", "array": None}, "text": "hello", "duration": float("nan"), "dataset_id": 1},
        {"key": "a", "wav": "a.wav", "txt": "hello", "spk": "ada"},
        {"audio_filepath": "a.wav", "text": "hello", "duration": 1e999},
        {"id": "a", "audio_path": "a.wav", "transcript": "hello", "speaker": "ada", "language": "en"},
        {"file_name": "a.wav", "sentence": "hello"},
    ],
)
def test_the_keys_of_upstream_tools(tmp_path: Path, row: dict[str, Any]) -> None:
    """Qwen3-TTS, VoxCPM, CosyVoice, NeMo, IndexTTS2 and Hugging Face name the same things differently."""
    read = readers.read(write(tmp_path, row))
    assert (texts(read), read.faults) == ({"a": "hello"}, ())
    assert read.utterances[0].duration_sec == pytest.approx(0.1)


def test_optional_fields(tmp_path: Path) -> None:
    """Speaker, language, reference, instruction, split, recording and time code are taken over."""
    row = {"audio": "a.wav", "text": "x", "speaker": 7, "language": "de", "ref_audio": "b.wav", "instruct": "calm"}
    u = readers.read(write(tmp_path, row | {"split": "val", "source": "tape", "start": 1, "end": "2.5"})).utterances[0]
    assert (u.speaker, u.language, u.reference_audio, u.instruct) == ("7", "de", tmp_path / "b.wav", "calm")
    assert (u.split, u.recording, u.group, u.start_sec, u.end_sec) == ("validation", "tape", "tape", 1.0, 2.5)


@pytest.mark.parametrize(
    ("row", "check", "said"),
    [
        ('{"audio": "a.wav", ', "unreadable", "not valid JSON"),
        ("[" * 100_000, "unreadable", "not valid JSON"),
        ('["a.wav", "x"]', "unreadable", "list where a JSON object"),
        ({"path": "a.wav", "text": "x"}, "unreadable", "`path` looks like `audio`"),
        ({"Audio": "a.wav", "text": "x"}, "unreadable", "`Audio` looks like `audio`"),
        ({"adio": "a.wav", "text": "x"}, "unreadable", "`adio` looks like `audio`"),
        ({"text": "x"}, "unreadable", "its keys are 'text'"),
        ({"audio": "", "text": "x"}, "unreadable", "names no audio file"),
        ({"audio": 7, "text": "x"}, "unreadable", "`audio` should be a text"),
        ({"audio": "a.wav", "text": ["x"]}, "unreadable", "`text` should be a text"),
        ({"audio": "https://x.org/a.wav", "text": "x"}, "missing", "web address"),
        ({"audio_filepath": "a.wav", "offset": 12.5, "text": "x"}, "unreadable", "a piece of"),
        ({"audio": "a\0.wav", "text": "x"}, "missing", "cannot be the name of a file"),
    ],
)
def test_a_broken_line_loses_itself_alone(tmp_path: Path, row: Any, check: str, said: str) -> None:
    """The finding names the line and the mend; the other rows are read."""
    good = {"audio": "a.wav", "text": "fine"}
    read = readers.read(write(tmp_path, good, row, {**good, "audio": "b.wav"}))
    found = only(read)
    assert list(texts(read)) == ["a", "b"]
    assert (found.row, found.check, found.severity) == ("line 2", check, Severity.ERROR)
    assert said in found.explanation
    assert found.repair


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"audio": "a.wav", "text": "x", "split": "holdout"}, "known are train, validation and test"),
        ({"audio": "a.wav", "text": "x", "start": 3, "end": 1}, "no stretch of time"),
        ({"audio": "a.wav", "text": "x", "ref_audio": "none.wav"}, "does not exist"),
        ({"audio": "a.wav", "text": "x", "speaker": {}}, "`speaker` should be a text"),
    ],
)
def test_a_doubtful_field_leaves_the_row(tmp_path: Path, row: Any, said: str) -> None:
    """A row is used without the field that makes no sense, and the finding says so."""
    read = readers.read(write(tmp_path, row))
    assert texts(read) == {"a": "x"}
    assert (only(read).row, only(read).severity) == ("a", Severity.WARNING)
    assert said in only(read).explanation


def test_a_misspelt_text_is_named(tmp_path: Path) -> None:
    """A row whose text has another key says which key looks like it."""
    read = readers.read(write(tmp_path, {"audio": "a.wav", "trancription": "x"}))
    assert "`trancription` looks like `transcription`" in only(read).explanation


def test_strange_characters(tmp_path: Path) -> None:
    """A mark at the start, Windows ends of lines, U+2028 in a text and half a character are no faults."""
    sound(tmp_path / "a.wav")
    row = '{"audio": "a.wav", "text": "one\u2028two\\ud83d"}'
    (tmp_path / "m.jsonl").write_bytes(f"\ufeff{row}\r\n\r\n".encode())
    assert texts(readers.read(tmp_path / "m.jsonl")) == {"a": "one\u2028two\ufffd"}


def test_a_line_in_latin_1(tmp_path: Path) -> None:
    """The row is kept with the guess, and the finding proposes it."""
    sound(tmp_path / "a.wav")
    (tmp_path / "m.jsonl").write_bytes('{"audio": "a.wav", "text": "Grüße"}\n'.encode("latin-1"))
    read = readers.read(tmp_path / "m.jsonl")
    assert (only(read).row, only(read).check, only(read).severity) == ("a", "encoding", Severity.ERROR)
    assert only(read).text == texts(read)["a"] == "Grüße"


def test_a_list_and_files_named_as_splits(tmp_path: Path) -> None:
    """One JSON list is read as lines are; train.jsonl and val.jsonl together are one set with splits."""
    rows = [{"audio": "a.wav", "text": "x"}, {"audio": "b.wav", "text": "y"}, 3]
    listed = readers.read(write(tmp_path / "list", json.dumps(rows, indent=1), name="m.json"))
    assert (texts(listed), faults(listed)) == ({"a": "x", "b": "y"}, [("line 3", "unreadable")])
    write(tmp_path / "two", rows[0], "{")
    write(tmp_path / "two", rows[1], name="val.jsonl")
    both = readers.read(tmp_path / "two")
    assert [u.split for u in both.utterances] == ["train", "validation"]
    assert faults(both) == [("train.jsonl line 2", "unreadable")]


def test_nothing_to_read_is_one_sentence(tmp_path: Path) -> None:
    """Where no row can be used, the first fault says why."""
    with pytest.raises(BadInput, match=r"`path` looks like `audio`.*2 rows have such faults"):
        readers.read(write(tmp_path, {"path": "a.wav"}, {"path": "b.wav"}))
    with pytest.raises(BadInput, match="it has no rows"):
        readers.read(write(tmp_path, "", ""))
