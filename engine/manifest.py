"""Earmark's own manifest: a JSONL file of recorded lines, as `Utterance` rows.

Knows this one format, which prepared datasets are kept in, and is strict about it: a row that cannot be understood is
an error that names it. What people bring comes through `readers`, which go on after a broken row.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine import audio, durable
from engine.types import BadInput, Manifest, Utterance

SPLITS = ("", "train", "validation", "test")
FIELDS = ("id", "audio", "text", "speaker", "language", "group", "split", "recording", "reference_audio", "instruct")
TIMES = ("start_sec", "end_sec")
MOST_SEC = 1e9  # also keeps out NaN and numbers that no float can hold


def read(path: Path) -> Manifest:
    """Read a manifest; `utterances[i]` is the (i+1)-th row that is not blank, in the file's order.

    Audio paths are relative to the file's folder; a row whose audio cannot be read has a duration of 0. Raises BadInput
    naming the row for a line that is not a JSON object with text fields, for a missing `audio`, an unknown split, and
    an id that is used twice.
    """
    if not path.is_file():
        raise BadInput(f"{path} does not exist; give the path of a JSONL manifest.")
    content = path.read_bytes()
    try:
        # Not splitlines(): a text may hold U+2028 or U+0085, which it would take for the end of a row.
        lines = content.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8.") from error
    utterances = tuple(probed(u) for u in _with_unique_ids(path, _rows(path, lines)))
    if not utterances:
        raise BadInput(f"{path} has no rows; each line should be a JSON object with `audio` and `text`.")
    return Manifest(path=path, sha256=hashlib.sha256(content).hexdigest(), utterances=utterances)


def write(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write utterances as JSONL, with audio paths relative to the file where they lie below its folder.

    Replaces atomically. Fields that say nothing are left out, but for those that every manifest has.
    """
    folder = path.parent.resolve()
    lines = [json.dumps(_as_row(u, folder), ensure_ascii=False) for u in utterances]
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.write_bytes(path, "".join(line + "\n" for line in lines).encode())


def slug(text: str) -> str:
    """A name that is safe as a file name everywhere: letters, digits, dot, dash, underscore; at most 60 characters."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:60] or "unnamed"


def probed(utterance: Utterance) -> Utterance:
    """With what the audio's header says; as it is when the file is missing or no audio."""
    try:
        header = audio.probe(utterance.audio_path)
    except BadInput:
        return utterance
    return replace(
        utterance, duration_sec=header.duration_sec, sample_rate=header.sample_rate, channels=header.channels
    )


# ----------------------------------------------------------------------------------------------------------------- rows
def _as_row(u: Utterance, folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": u.id,
        "audio": _named(u.audio_path, folder),
        "text": u.text,
        "speaker": u.speaker,
        "language": u.language,
        "group": u.group,
        "split": u.split,
    }
    if u.recording:
        row["recording"] = u.recording
    for name in TIMES:
        if (seconds := getattr(u, name)) is not None:
            row[name] = seconds
    if u.reference_audio is not None:
        row["reference_audio"] = _named(u.reference_audio, folder)
    if u.instruct:
        row["instruct"] = u.instruct
    return row


def _named(file: Path, folder: Path) -> str:
    target = file.resolve()
    return target.relative_to(folder).as_posix() if target.is_relative_to(folder) else str(target)


def _rows(path: Path, lines: list[str]) -> Iterator[tuple[int, bool, Utterance]]:
    """Yields (line number, id was given, utterance)."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadInput(
                f"{path.name}, line {number}: not valid JSON ({error}); correct or remove the line."
            ) from error
        if not isinstance(row, dict):
            raise BadInput(
                f"{path.name}, line {number}: expected a JSON object with `audio` and `text`, found "
                f"{type(row).__name__}."
            )
        yield number, bool(row.get("id")), _utterance(path, number, row)


def _utterance(path: Path, number: int, row: Mapping[str, Any]) -> Utterance:
    for name in FIELDS:
        if not isinstance(row.get(name, ""), str):
            raise BadInput(f"{path.name}, line {number}: `{name}` should be a text in quotes, it is {row[name]!r}.")
    if not row.get("audio"):
        raise BadInput(
            f"{path.name}, line {number}: `audio` is missing; name the audio file, relative to the manifest."
        )
    if row.get("split", "") not in SPLITS:
        raise BadInput(
            f"{path.name}, line {number}: `split` is {row['split']!r}; write train, validation, test or leave it out."
        )
    reference = row.get("reference_audio", "")
    return Utterance(
        id=slug(row.get("id") or Path(row["audio"]).stem),
        audio_path=path.parent / row["audio"],
        text=row.get("text", ""),
        speaker=row.get("speaker", ""),
        language=row.get("language", "en"),
        group=row.get("group", ""),
        split=row.get("split", ""),
        recording=row.get("recording", ""),
        start_sec=_seconds(path, number, row, "start_sec"),
        end_sec=_seconds(path, number, row, "end_sec"),
        reference_audio=path.parent / reference if reference else None,
        instruct=row.get("instruct", ""),
        line=number,
    )


def _seconds(path: Path, number: int, row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST_SEC:
        raise BadInput(f"{path.name}, line {number}: `{name}` should be a number of seconds, it is {value!r}.")
    return float(value)


def _with_unique_ids(path: Path, rows: Iterable[tuple[int, bool, Utterance]]) -> Iterator[Utterance]:
    """An id that the manifest gives may stand once; one made from the file's name gets a number when it is taken."""
    first_line: dict[str, int] = {}
    for number, given, utterance in rows:
        name = utterance.id
        if name in first_line and given:
            raise BadInput(
                f"{path.name}, line {number}: the id {name!r} is already used in line {first_line[name]}; give each "
                "row its own."
            )
        count = 2
        while name in first_line:
            name = f"{utterance.id}-{count}"
            count += 1
        first_line[name] = number
        yield replace(utterance, id=name)
