"""Export: what each upstream tool requires is there, and what was written is read back as the same rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import audio, readers, upstream_formats
from engine.types import BadInput, NotFound, Utterance
from tests.readers.sources import RATE, sound


def rows(folder: Path, count: int = 3, **fields: object) -> list[Utterance]:
    """Rows whose names of files are their ids."""
    made = []
    for i in range(count):
        path = sound(folder / f"u{i}.wav", 0.1 + 0.05 * i)
        u = Utterance(id=f"u{i}", audio_path=path, text=f"text {i}", speaker="ada", language="en")
        seconds = audio.probe(path).duration_sec
        made.append(replace(u, duration_sec=seconds, sample_rate=RATE, channels=1, **fields))
    return made


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


CARRIED: dict[str, Callable[[Utterance], tuple[object, ...]]] = {
    "earmark": lambda u: (u.id, u.audio_path, u.text, u.speaker, u.split, u.instruct, u.reference_audio),
    "ljspeech": lambda u: (u.id, u.text, round(u.duration_sec, 3)),
    "qwen3_tts": lambda u: (u.id, u.audio_path, u.text, u.reference_audio),
    "voxcpm": lambda u: (u.id, u.audio_path, u.text, u.reference_audio),
    "cosyvoice": lambda u: (u.id, u.audio_path, u.text, u.speaker, u.instruct),
    "indextts2": lambda u: (u.id, u.audio_path, u.text, u.speaker, u.language),
}


def test_every_format_is_tried() -> None:
    """A format that is offered is one that is read back here."""
    assert CARRIED.keys() == upstream_formats.FORMATS.keys()


@pytest.mark.parametrize("name", CARRIED)
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    """Every field that a format carries comes back the same, and without findings."""
    told = rows(tmp_path / "audio", instruct="calmly", reference_audio=sound(tmp_path / "ref.wav"))
    written = upstream_formats.write(tmp_path / "out" / "rows.jsonl", told, name)
    read = readers.read(written.path)
    assert [CARRIED[name](u) for u in read.utterances] == [CARRIED[name](u) for u in told]
    assert read.faults == ()


@settings(deadline=None, max_examples=30)
@given(
    name=st.sampled_from([n for n in CARRIED if n != "ljspeech"]),
    text=st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=30),
)
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, name: str, text: str) -> None:
    """Quotes, bars, ends of lines and U+2028 in a text break no row; formats of lines make spaces of them."""
    folder = tmp_path_factory.mktemp("e")
    told = [replace(u, text=text) for u in rows(folder / "audio", 2)]
    read = readers.read(upstream_formats.write(folder / "rows.jsonl", told, name).path)
    assert [" ".join(u.text.split()) for u in read.utterances] == [" ".join(text.split())] * 2


def test_qwen3_tts_gets_a_reference(tmp_path: Path) -> None:
    """Every row has `ref_audio`: the one that is given, or the first clip, and what was chosen is said."""
    told = rows(tmp_path)
    made = upstream_formats.write(tmp_path / "a.jsonl", told, "qwen3_tts")
    assert [set(row) for row in lines(made.path)] == [{"audio", "text", "ref_audio"}] * 3
    assert {row["ref_audio"] for row in lines(made.path)} == {str(tmp_path / "u0.wav")}
    assert "the first clip, u0.wav, stands in all 3" in made.notes[0]
    assert "24000 Hz" in made.notes[1]
    given = upstream_formats.write(tmp_path / "b.jsonl", told, "qwen3_tts", reference=sound(tmp_path / "ref.wav"))
    assert {row["ref_audio"] for row in lines(given.path)} == {str(tmp_path / "ref.wav")}
    assert "ref.wav is the reference of the 3 rows that name none" in given.notes[0]


def test_voxcpm_rows_have_equal_keys(tmp_path: Path) -> None:
    """`datasets` wants the same keys everywhere: `ref_audio` is null in rows without, and absent where none has one."""
    told = rows(tmp_path)
    plain = lines(upstream_formats.write(tmp_path / "a.jsonl", told, "voxcpm").path)
    assert plain[0] == {"audio": str(tmp_path / "u0.wav"), "text": "text 0", "duration": 0.1}
    told[1] = replace(told[1], reference_audio=told[0].audio_path)
    mixed = lines(upstream_formats.write(tmp_path / "b.jsonl", told, "voxcpm").path)
    assert [row["ref_audio"] for row in mixed] == [None, str(tmp_path / "u0.wav"), None]


def test_cosyvoice_folder(tmp_path: Path) -> None:
    """The tables agree on ids, every row has a speaker, and CosyVoice 3's sentence stands in `instruct`."""
    told = [replace(u, speaker="") for u in rows(tmp_path / "audio")]
    made = upstream_formats.write(tmp_path / "out", told, "cosyvoice")
    tables = {p.name: p.read_text().splitlines() for p in made.path.iterdir()}
    assert sorted(tables) == ["instruct", "spk2utt", "text", "utt2spk", "wav.scp"]
    assert tables["spk2utt"] == ["speaker u0 u1 u2"]
    assert tables["instruct"][0] == "u0 You are a helpful assistant.<|endofprompt|>"
    assert "3 rows name no speaker" in made.notes[0]
    with pytest.raises(BadInput, match="is there already"):
        upstream_formats.write(tmp_path / "out", told, "cosyvoice")


def test_cosyvoice_cannot_have_spaces_in_paths(tmp_path: Path) -> None:
    """Its tools split lines at spaces and would look for half a path: the row is named and nothing is written."""
    with pytest.raises(BadInput, match="u0: CosyVoice cannot read a path with a space"):
        upstream_formats.write(tmp_path / "out", rows(tmp_path / "my audio"), "cosyvoice")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["voxcpm", "cosyvoice", "ljspeech", "qwen3_tts"])
def test_splits_are_written_apart(tmp_path: Path, name: str) -> None:
    """No upstream tool knows splits within a file: rows held out would be trained on."""
    one, two, three = rows(tmp_path / "audio")
    told = [replace(one, split="validation"), replace(two, split="train"), replace(three, split="train")]
    made = upstream_formats.write(tmp_path / "rows.jsonl", told, name)
    assert [u.id for u in readers.read(made.path).utterances] == ["u1", "u2"]
    assert [[u.id for u in readers.read(p).utterances] for p in made.others] == [["u0"]]
    assert "2 train, 1 validation" in made.notes[-1]


def test_a_row_that_cannot_be_decoded_leaves_nothing(tmp_path: Path) -> None:
    """A folder appears whole or not at all."""
    told = rows(tmp_path / "audio")
    told[1].audio_path.write_bytes(b"nothing")
    with pytest.raises(BadInput, match="cannot be read as audio"):
        upstream_formats.write(tmp_path / "out", told, "ljspeech")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["audio"]


def test_what_cannot_be_written(tmp_path: Path) -> None:
    """An unknown format names the known ones; no rows are no export."""
    with pytest.raises(NotFound, match="known are: earmark, ljspeech, qwen3_tts"):
        upstream_formats.write(tmp_path / "x", rows(tmp_path), "wav2vec")
    with pytest.raises(BadInput, match="no rows to write"):
        upstream_formats.write(tmp_path / "x", [], "voxcpm")
