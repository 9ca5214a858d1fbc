"""Writes rows as the training tools of other voices want them, for people who clean their data here and train there.

Knows each format's fields and what its tool needs beyond them. Where rows have splits each becomes a file or folder of
its own, since no upstream tool knows splits within one. Everything appears at once, by a rename.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine import audio, durable, manifest
from engine.readers import kaldi
from engine.types import BadInput, NotFound, Utterance

QWEN_REFERENCE_HZ = 24_000
COSYVOICE_MAX_SEC = 30.0
NO_SPEAKER = "speaker"
HEAD_SPLITS = ("train", "")  # the rows that get the name that was asked for


@dataclass(frozen=True, kw_only=True)
class Export:
    """What was written: `path` has the training rows, `others` the other splits. `notes` say what was made up."""

    path: Path
    others: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


# What can be written -> whether that is a folder rather than one file; where each is defined.
FORMATS: Mapping[str, bool] = {
    # engine/manifest.py: one JSONL manifest with every field and the split
    "earmark": False,
    # keithito.com/LJ-Speech-Dataset: metadata.csv (id|text|text) and wavs/<id>.wav, 16 bits
    "ljspeech": True,
    # QwenLM/Qwen3-TTS, finetuning/README.md: JSONL with audio, text, ref_audio; input of prepare_data.py
    "qwen3_tts": False,
    # OpenBMB/VoxCPM, src/voxcpm/training/data.py: JSONL with audio, text, duration and, where rows have one, ref_audio;
    # train_manifest and val_manifest
    "voxcpm": False,
    # FunAudioLLM/CosyVoice, examples/libritts/cosyvoice3/run.sh: a folder with wav.scp, text, utt2spk, spk2utt,
    # instruct; input of tools/make_parquet_list.py
    "cosyvoice": True,
    # Community trainers (index-tts/index-tts publishes none), training_v2 of JarodMica/index-tts: JSONL with id, text,
    # audio, speaker, language, duration; input of their preprocess_data.py
    "indextts2": False,
}


def write(
    path: Path, utterances: Sequence[Utterance], format: str, *, reference: Path | None = None, instruct: str = ""
) -> Export:
    """Write rows to `path` (a file, or a folder where the format is one; it must not exist then).

    `reference` is the audio prompt of rows that have none, `instruct` the style instruction. Paths of audio are
    absolute, for upstream tools read relative ones from wherever they are started. Raises NotFound for an unknown
    format, BadInput naming the row for what it cannot hold.
    """
    if format not in FORMATS:
        raise NotFound(f"There is no format named {format!r}; known are: {', '.join(FORMATS)}.")
    if not utterances:
        raise BadInput("There are no rows to write; choose a dataset with rows.")
    if path.is_dir():
        raise BadInput(f"{path} is there already; give a name that does not exist.")
    if format == "earmark":
        manifest.write(path, utterances)
        return Export(path=path)
    notes: list[str] = []
    ready = _READY[format](utterances, reference, instruct, notes)
    splits = _by_split(ready, notes)
    writer = _WRITERS[format]
    if FORMATS[format]:
        written = _write_folders(path, splits, writer)
    else:
        written = {split: _beside(path, split) for split in splits}
        path.parent.mkdir(parents=True, exist_ok=True)
        for split, rows in splits.items():
            writer(written[split], rows)
    head = next(iter(written.values()))
    return Export(path=head, others=tuple(p for p in written.values() if p != head), notes=tuple(notes))


# -------------------------------------------------------------------------------------------------- what upstream needs
def _as_they_are(
    utterances: Sequence[Utterance], reference: Path | None, instruct: str, notes: list[str]
) -> list[Utterance]:
    return list(utterances)


def _with_references(
    utterances: Sequence[Utterance], reference: Path | None, instruct: str, notes: list[str]
) -> list[Utterance]:
    """Qwen3-TTS needs a `ref_audio` in every row, strongly recommends the same one, and asserts that it has 24 kHz."""
    given = reference or next((u.reference_audio for u in utterances if u.reference_audio), None)
    used = given or utterances[0].audio_path
    rows = [replace(u, reference_audio=u.reference_audio or used) for u in utterances]
    without = sum(u.reference_audio is None for u in utterances)
    if without and given is None:
        notes.append(
            f"No row names a reference, which Qwen3-TTS needs: the first clip, {used.name}, stands in all {without}."
        )
    elif without:
        notes.append(f"{used.name} is the reference of the {without} rows that name none.")
    several = {u.reference_audio for u in rows}
    if len(several) > 1:
        notes.append(f"The rows have {len(several)} references; Qwen3-TTS strongly recommends one for all.")
    for path in sorted(str(p) for p in several):
        rate = audio.probe(Path(path)).sample_rate
        if rate != QWEN_REFERENCE_HZ:
            notes.append(
                f"{Path(path).name} has {rate} Hz and Qwen3-TTS stops at a reference that has not 24000 Hz: prepare "
                "the dataset for Qwen3-TTS, or give a reference of that rate."
            )
            break
    return rows


def _with_speakers(
    utterances: Sequence[Utterance], reference: Path | None, instruct: str, notes: list[str]
) -> list[Utterance]:
    """CosyVoice's tools split lines at spaces: ids, paths and speakers may hold none. Every row needs a speaker."""
    rows = []
    for u in utterances:
        if any(c.isspace() for c in str(_absolute(u.audio_path))):
            raise BadInput(f"{u.id}: CosyVoice cannot read a path with a space in it, {u.audio_path}; move the audio.")
        speaker = "-".join(u.speaker.split()) or NO_SPEAKER
        rows.append(replace(u, id="-".join(u.id.split()), speaker=speaker, instruct=u.instruct or instruct))
    if without := sum(not u.speaker for u in utterances):
        notes.append(f"{without} rows name no speaker; CosyVoice needs one, so it is {NO_SPEAKER!r}.")
    if long := sum(u.duration_sec > COSYVOICE_MAX_SEC for u in utterances):
        notes.append(f"{long} rows are longer than 30 s, of which CosyVoice makes empty speech tokens.")
    if not any(u.instruct for u in rows):
        notes.append("`instruct` holds the fixed sentence that CosyVoice 3 wants before every text.")
    return rows


def _with_ids(
    utterances: Sequence[Utterance], reference: Path | None, instruct: str, notes: list[str]
) -> list[Utterance]:
    """IndexTTS2's pairs are of two clips of one speaker: a speaker with one clip gives none."""
    if without := sum(not u.speaker for u in utterances):
        notes.append(f"{without} rows name no speaker; prompt and target are paired by it, so it is {NO_SPEAKER!r}.")
    notes.append("IndexTTS2 publishes no training code; this is what the community's preprocess_data.py reads.")
    return [replace(u, speaker=u.speaker or NO_SPEAKER) for u in utterances]


_Ready = Callable[[Sequence[Utterance], Path | None, str, list[str]], list[Utterance]]
_READY: Mapping[str, _Ready] = {
    "ljspeech": _as_they_are,
    "qwen3_tts": _with_references,
    "voxcpm": _as_they_are,
    "cosyvoice": _with_speakers,
    "indextts2": _with_ids,
}


# -------------------------------------------------------------------------------------------------------------- writing
def _jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    durable.write_bytes(path, text.encode())


def _qwen3_tts(path: Path, rows: Sequence[Utterance]) -> None:
    _jsonl(
        path,
        [{"audio": _absolute(u.audio_path), "text": u.text, "ref_audio": _absolute(u.reference_audio)} for u in rows],
    )


def _voxcpm(path: Path, rows: Sequence[Utterance]) -> None:
    """All rows have the same keys, as `datasets` wants them: `ref_audio` is null where only other rows have one."""
    told: list[dict[str, Any]] = []
    referring = any(u.reference_audio for u in rows)
    for u in rows:
        row = {"audio": _absolute(u.audio_path), "text": u.text, "duration": round(u.duration_sec, 3)}
        if referring:
            row["ref_audio"] = _absolute(u.reference_audio)
        told.append(row)
    _jsonl(path, told)


def _indextts2(path: Path, rows: Sequence[Utterance]) -> None:
    _jsonl(
        path,
        [
            {
                "id": u.id,
                "text": u.text,
                "audio": _absolute(u.audio_path),
                "speaker": u.speaker,
                "language": u.language,
                "duration": round(u.duration_sec, 3),
            }
            for u in rows
        ],
    )


def _cosyvoice(folder: Path, rows: Sequence[Utterance]) -> None:
    folder.mkdir(parents=True)
    speakers: dict[str, list[str]] = {}
    for u in rows:
        speakers.setdefault(u.speaker, []).append(u.id)
    files = {
        "wav.scp": [f"{u.id} {_absolute(u.audio_path)}" for u in rows],
        "text": [f"{u.id} {' '.join(u.text.split())}" for u in rows],
        "utt2spk": [f"{u.id} {u.speaker}" for u in rows],
        "spk2utt": [f"{speaker} {' '.join(ids)}" for speaker, ids in speakers.items()],
        "instruct": [f"{u.id} {kaldi.framed_instruct(u.instruct)}" for u in rows],
    }
    for name, lines in files.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def _ljspeech(folder: Path, rows: Sequence[Utterance]) -> None:
    (folder / "wavs").mkdir(parents=True)
    lines = []
    for u in rows:
        samples, rate = audio.read(u.audio_path)
        audio.write(folder / "wavs" / f"{u.id}.wav", samples, rate)
        text = " ".join(u.text.replace("|", " ").split())
        lines.append(f"{u.id}|{text}|{text}\n")
    (folder / "metadata.csv").write_text("".join(lines), encoding="utf-8", newline="\n")


_WRITERS: Mapping[str, Callable[[Path, Sequence[Utterance]], None]] = {
    "ljspeech": _ljspeech,
    "qwen3_tts": _qwen3_tts,
    "voxcpm": _voxcpm,
    "cosyvoice": _cosyvoice,
    "indextts2": _indextts2,
}


def _write_folders(
    path: Path, splits: Mapping[str, list[Utterance]], writer: Callable[[Path, Sequence[Utterance]], None]
) -> dict[str, Path]:
    """One folder, or one a split inside of it; written beside and renamed."""
    if path.exists():
        raise BadInput(f"{path} is a file; give the name of a folder that does not exist.")
    path.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".tmp-", dir=path.parent))
    try:
        for split, rows in splits.items():
            writer(building / "export" / split if split else building / "export", rows)
        durable.rename(building / "export", path)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return {split: path / split if split else path for split in splits}


def _by_split(rows: Sequence[Utterance], notes: list[str]) -> dict[str, list[Utterance]]:
    """Rows by split, those to train on first; rows without one are to train on where others have one."""
    if len({u.split for u in rows}) == 1 and rows[0].split in HEAD_SPLITS:
        return {"": list(rows)}
    found: dict[str, list[Utterance]] = {}
    for name in ("train", "validation", "test"):
        there = [u for u in rows if (u.split or "train") == name]
        if there:
            found[name] = there
    if len(found) > 1:
        told = ", ".join(f"{len(there)} {name}" for name, there in found.items())
        notes.append(f"Each split is written by itself: {told}.")
    return found


def _beside(path: Path, split: str) -> Path:
    """`rows.jsonl` for the rows to train on, `rows.validation.jsonl` for the others."""
    return path if split in HEAD_SPLITS else path.with_name(f"{path.stem}.{split}{path.suffix}")


def _absolute(path: Path | None) -> str | None:
    return None if path is None else os.path.normpath(path.absolute())
