"""The names that fields go by in other people's files, and the row that a mapping of such fields says.

Knows the keys of Qwen3-TTS, VoxCPM, CosyVoice, IndexTTS2, NeMo and Hugging Face data, and which of ours they mean.
Knows no file format: JSONL and tables with a header both come here.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from engine.readers.row import Item, Row, guessed, lost, remark
from engine.readers.text_lines import Line, writable
from engine.types import AuditFinding, Severity

# Ours -> theirs, the most trusted first: where a row has several, the first that says something counts.
KEYS: Mapping[str, tuple[str, ...]] = {
    "audio": (
        *("audio", "audio_path", "audio_file", "audio_filepath", "file_name", "filename"),
        *("file", "wav", "wav_path", "wav_file"),
    ),
    "text": (
        *("text", "transcription", "transcript", "sentence", "normalized_text", "normalised_text", "text_normalized"),
        *("normalized_transcription", "txt", "raw_text", "raw_transcription"),
    ),
    "id": ("id", "utt", "utt_id", "utterance_id", "key", "uid"),
    "speaker": ("speaker", "spk", "speaker_id", "speaker_name", "spk_id"),
    "language": ("language", "lang", "locale", "language_id"),
    "reference_audio": (
        *("ref_audio", "reference_audio", "ref_audio_path", "ref_wav", "prompt_audio", "prompt_wav"),
        "prompt_audio_path",
    ),
    "instruct": ("instruct", "instruction", "instruct_text"),
    "split": ("split", "subset"),
    "group": ("group", "session"),
    "recording": ("recording", "recording_id", "source", "source_audio", "source_file", "original_audio"),
    "start_sec": ("start_sec", "start", "start_time", "begin"),
    "end_sec": ("end_sec", "end", "end_time"),
}
KNOWN = frozenset(name for names in KEYS.values() for name in names)
_SPLIT_NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "devel", "development", "eval"),
    "test": ("test", "testing"),
}
SPLITS: Mapping[str, str] = {theirs: ours for ours, names in _SPLIT_NAMES.items() for theirs in names}
LOOKS_ALIKE = {"path": "audio", "audios": "audio", "sound": "audio", "recording": "audio", "label": "text"}


def row_of(values: Mapping[str, Any], line: Line, base: Path, *, label: str = "", split: str = "") -> Item:
    """The row that a mapping of fields says, or the finding of why it says none."""
    name = label or f"line {line.number}"
    audio, wrong = _text(values, "audio")
    if wrong or not audio:
        return _without_audio(values, name, wrong)
    if audio.startswith(("http://", "https://", "s3://", "gs://", "data:")):
        said = f"{name} names a web address, {audio[:80]!r}, and Earmark downloads nothing."
        return lost(name, said, "Download the audio and name the file.", check="missing")
    offset = values.get("offset")
    if _number(offset):
        said = f"{name} is a piece of {audio} that begins at {offset} s; a row has to be a file of its own."
        return lost(name, said, "Cut the piece into a file, or give a Kaldi folder with `segments`.")
    fields: dict[str, str] = {}
    remarks: list[AuditFinding] = []
    for field in ("text", "id", "speaker", "language", "reference_audio", "instruct", "split", "group", "recording"):
        fields[field], wrong = _text(values, field)
        if wrong and field == "text":
            return lost(name, f"{name}: {wrong}", "Put the text in quotes.")
        if wrong:
            remarks.append(remark("unreadable", f"{name}: {wrong}", "Correct the field; the row is used without it."))
    if "text" not in _said(values) and (hint := _alike(values, "text")):
        remarks.append(remark("unreadable", f"{name} has no `text`; {hint}", _mend("text"), severity=Severity.ERROR))
    fields["split"] = _split(fields["split"], name, remarks) or split
    if not line.sure:
        remarks.append(guessed(name, fields["text"]))
    start, end = _times(values, name, remarks)
    if start is None and fields["recording"] and fields["recording"] == values.get("source"):
        fields["recording"] = ""  # without a time code, `source` is where the data came from
    return Row(
        **fields,  # type: ignore[arg-type]
        base=base,
        line=line.number,
        label=label,
        audio=audio,
        start_sec=start,
        end_sec=end,
        remarks=tuple(remarks),
    )


def knows_audio(names: Iterable[str]) -> bool:
    """Whether one of the names is a key for audio."""
    return any(name in KEYS["audio"] for name in names)


# --------------------------------------------------------------------------------------------------------------- values
def _text(values: Mapping[str, Any], field: str) -> tuple[str, str]:
    """(the field's text, or what is wrong with it). A Hugging Face audio cell is a mapping with a `path`."""
    for key in KEYS[field]:
        value = values.get(key)
        if isinstance(value, Mapping) and field in ("audio", "reference_audio"):
            value = value.get("path")
        if isinstance(value, list) and field == "reference_audio" and value:
            value = value[0]  # Qwen3-TTS takes a list and uses the first
        if value is None or value == "":
            continue
        if isinstance(value, int) and not isinstance(value, bool) and field in ("id", "speaker", "group"):
            value = str(value)[:60]
        if not isinstance(value, str):
            return "", f"`{key}` should be a text in quotes, it is {str(value)[:40]!r}."
        return writable(value).strip(), ""
    return "", ""


def _number(value: object) -> float:
    """A finite number of seconds above 0, else 0."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if math.isfinite(number) and number > 0 else 0.0


def _times(values: Mapping[str, Any], name: str, remarks: list[AuditFinding]) -> tuple[float | None, float | None]:
    given = [
        next((values[k] for k in KEYS[f] if values.get(k) not in (None, "")), None) for f in ("start_sec", "end_sec")
    ]
    if given[0] is None and given[1] is None:
        return None, None
    start, end = _number(given[0]), _number(given[1])
    if start < end:
        return start, end
    said = f"{name}: start and end are {str(given[0])[:40]} and {str(given[1])[:40]}, which is no stretch of time."
    remarks.append(remark("unreadable", said, "Give both in seconds; the row is used without its time code."))
    return None, None


def _split(given: str, name: str, remarks: list[AuditFinding]) -> str:
    if given and given.lower() not in SPLITS:
        said = f"{name} is in a split named {given[:40]!r}; known are train, validation and test."
        remarks.append(remark("unreadable", said, "Correct the name; the row is split anew."))
    return SPLITS.get(given.lower(), "")


# ----------------------------------------------------------------------------------------------------------- wrong keys
def _without_audio(values: Mapping[str, Any], name: str, wrong: str) -> AuditFinding:
    if wrong:
        return lost(name, f"{name}: {wrong}", "Name the audio file in quotes, relative to the manifest.")
    if any(key in values for key in KEYS["audio"]):
        return lost(name, f"{name} names no audio file.", "Name the audio file, relative to the manifest.")
    hint = _alike(values, "audio") or f"its keys are {', '.join(map(repr, list(values)[:8])) or 'none'}."
    return lost(name, f"{name} has no `audio`; {hint}", _mend("audio"))


def _said(values: Mapping[str, Any]) -> set[str]:
    return {field for field, names in KEYS.items() if any(name in values for name in names)}


def _alike(values: Mapping[str, Any], field: str) -> str:
    """A sentence about a key that looks like one of `field`'s, or ""."""
    for key in values:
        lowered = str(key).strip().lower()
        if key in KNOWN and not (field == "audio" and key in LOOKS_ALIKE):
            continue
        if LOOKS_ALIKE.get(lowered) == field or lowered in KEYS[field]:
            return f"`{str(key)[:40]}` looks like `{field}`."
        if close := difflib.get_close_matches(lowered, KEYS[field], n=1, cutoff=0.75):
            return f"`{str(key)[:40]}` looks like `{close[0]}`."
    return ""


def _mend(field: str) -> str:
    return f"Rename the key; known ones are {', '.join(KEYS[field])}."
