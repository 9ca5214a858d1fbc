"""Kaldi folders: tables of ids, segments cut into clips, and commands that are never run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from engine import audio, readers
from engine.readers import kaldi
from tests.readers.sources import faults, only, sound, texts


def write(folder: Path, files: Mapping[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_the_tables_of_a_folder(tmp_path: Path) -> None:
    """Text, speaker, language and instruction belong to an id; CosyVoice 3's frame is no instruction."""
    path = sound(tmp_path / "a b.wav")
    frame = kaldi.framed_instruct("")
    write(
        tmp_path,
        {
            "wav.scp": f"u1 {path}\nu2\ta b.wav\n",
            "text": "u1 hello  there\nu2 again\n",
            "utt2spk": "u1 ada\nu2 bob\n",
            "utt2lang": "u1 de\n",
            "instruct": f"u1 {frame}\nu2 {kaldi.framed_instruct('speak slowly')}\n",
        },
    )
    one, two = readers.read(tmp_path).utterances
    assert (one.id, one.text, one.speaker, one.language, one.instruct) == ("u1", "hello  there", "ada", "de", "")
    assert (two.audio_path, two.speaker, two.instruct) == (tmp_path / "a b.wav", "bob", "speak slowly")
    assert texts(readers.read(tmp_path / "wav.scp")) == {"u1": "hello  there", "u2": "again"}


def test_a_command_is_never_run(tmp_path: Path) -> None:
    """`command |` is a lost row with the mend; nothing happens."""
    sound(tmp_path / "a.wav")
    told = tmp_path / "told"
    write(tmp_path, {"wav.scp": f"u1 touch {told} |\nu2 a.wav\nu3 x.ark:17\nu4\n", "text": "u1 x\nu2 y\nu9 z\n"})
    read = readers.read(tmp_path)
    assert not told.exists()
    assert texts(read) == {"u2": "y"}
    assert faults(read) == [
        ("wav.scp line 1", "unreadable"),
        ("wav.scp line 3", "unreadable"),
        ("wav.scp line 4", "unreadable"),
        ("text line 3", "missing"),
    ]
    assert "runs none" in read.faults[0].explanation


def test_segments_become_clips(tmp_path: Path) -> None:
    """Each segment is cut into a file of its own and keeps its recording and time code; the source is not touched."""
    sound(tmp_path / "set/talk.wav", 4.0)
    write(
        tmp_path / "set",
        {
            "wav.scp": "talk talk.wav\n",
            "segments": "u1 talk 0.5 1.5\nu2 talk 3.0 -1\nu3 talk 3.0 9.0\nu4 talk 2 1\nu5 gone 0 1\nu6 talk x\n",
            "text": "u1 one\nu2 two\nu3 three\n",
        },
    )
    read = readers.read(tmp_path / "set", cut_into=tmp_path / "cut")
    one, two = read.utterances
    assert (one.recording, one.group, one.start_sec, one.end_sec) == ("talk", "talk", 0.5, 1.5)
    assert (two.start_sec, two.end_sec) == (3.0, 4.0)
    assert [audio.probe(u.audio_path).duration_sec for u in read.utterances] == [1.0, 1.0]
    assert one.audio_path.parent == tmp_path / "cut"
    assert [row for row, _ in faults(read)] == [f"segments line {n}" for n in (3, 4, 5, 6)]
    assert "has no stretch from 3.0 to 9.0" in read.faults[0].explanation


def test_ids_that_stand_twice(tmp_path: Path) -> None:
    """The first line of an id counts, the other is named."""
    sound(tmp_path / "a.wav")
    write(tmp_path, {"wav.scp": "u1 a.wav\nu1 b.wav\n", "text": "u1 x\n"})
    read = readers.read(tmp_path)
    assert texts(read) == {"u1": "x"}
    assert (only(read).row, only(read).check) == ("wav.scp line 2", "duplicate")


def test_folders_named_as_splits(tmp_path: Path) -> None:
    """`train` and `dev` below one folder are one set with splits; paths are seen from a folder above."""
    sound(tmp_path / "data/a.wav")
    for name in ("train", "dev"):
        write(tmp_path / "data" / name, {"wav.scp": f"{name} data/a.wav\n", "text": f"{name} x\n"})
    read = readers.read(tmp_path / "data")
    assert [(u.id, u.split) for u in read.utterances] == [("dev", "validation"), ("train", "train")]
    assert {u.audio_path for u in read.utterances} == {tmp_path / "data/a.wav"}


@pytest.mark.parametrize("plain", ["", "speak slowly"])
def test_the_frame_of_an_instruction(plain: str) -> None:
    """What CosyVoice 3 wants around an instruction goes on and comes off again."""
    assert kaldi.framed_instruct(plain).endswith("<|endofprompt|>")
    assert kaldi.plain_instruct(kaldi.framed_instruct(plain)) == plain
