"""Hugging Face audio folders: metadata at the top or a split, as CSV or JSONL."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import readers
from tests.readers.sources import faults, sound, texts


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_metadata_at_the_top(tmp_path: Path, name: str) -> None:
    """The split of a row is the folder that its file lies in."""
    for split in ("train", "test"):
        sound(tmp_path / split / f"{split}1.wav")
    rows = [("train/train1.wav", "one"), ("test/test1.wav", "two")]
    if name.endswith(".csv"):
        content = "file_name,transcription\n" + "".join(f"{file},{text}\n" for file, text in rows)
    else:
        content = "".join(f'{{"file_name": "{file}", "transcription": "{text}"}}\n' for file, text in rows)
    (tmp_path / name).write_text(content)
    assert readers.detect(tmp_path) == "huggingface"
    read = readers.read(tmp_path)
    assert texts(read) == {"train1": "one", "test1": "two"}
    assert [u.split for u in read.utterances] == ["train", "test"]


@pytest.mark.parametrize("above", ["", "data"])
def test_metadata_a_split(tmp_path: Path, above: str) -> None:
    """Each split's metadata names files from its own folder; a lost row names its file."""
    for split in ("train", "validation"):
        folder = tmp_path / above / split
        sound(folder / "1.wav")
        (folder / "metadata.csv").write_text(f"file_name,text\n1.wav,{split}\nbroken\n")
    read = readers.read(tmp_path)
    assert texts(read) == {"1": "train", "1-2": "validation"}
    assert [u.split for u in read.utterances] == ["train", "validation"]
    prefix = f"{above}/" if above else ""
    assert faults(read) == [(f"{prefix}{s}/metadata.csv line 3", "unreadable") for s in ("train", "validation")]


def test_ljspeech_is_no_audio_folder(tmp_path: Path) -> None:
    """A metadata.csv without `file_name` is LJSpeech's."""
    (tmp_path / "metadata.csv").write_text("a|b\n")
    assert readers.detect(tmp_path) == "ljspeech"
