"""Manifests: a JSONL file of recorded lines, or an LJSpeech `metadata.csv`, as `Utterance` rows.

Knows the two formats and the header of each audio file. Judges nothing: a row whose audio cannot be read is kept with a
duration of 0, and `audit` says what is wrong with it.
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

AUDIO_SUFFIXES = (".wav", ".flac")
LJSPEECH_FOLDERS = ("wavs", "clips")
SPLITS = ("", "train", "validation")
FIELDS = ("id", "audio", "text", "speaker", "language", "group", "split")


def read(path: Path) -> Manifest:
    """Read a manifest; `utterances[i]` is the (i+1)-th row that is not blank, in the file's order.

    Audio paths are relative to the file's folder. Raises BadInput naming the row for a line that is not a JSON object
    with text fields, for a missing `audio`, an unknown split, and an id that is used twice.
    """
    if not path.is_file():
        raise BadInput(f"{path} does not exist; give the path of a JSONL manifest or of an LJSpeech metadata.csv.")
    content = path.read_bytes()
    try:
        # Not splitlines(): a text may hold U+2028 or U+0085, which it would take for the end of a row.
        lines = content.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8.") from error
    rows = _ljspeech_rows(path, lines) if path.suffix == ".csv" else _jsonl_rows(path, lines)
    utterances = tuple(_probed(u) for u in _with_unique_ids(path, rows))
    if not utterances:
        raise BadInput(f"{path} has no rows; each line should be a JSON object with `audio` and `text`.")
    return Manifest(path=path, sha256=hashlib.sha256(content).hexdigest(), utterances=utterances)


def write(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write utterances as JSONL, with audio paths relative to the file where they lie below its folder.

    Replaces atomically.
    """
    folder = path.parent.resolve()
    lines = []
    for u in utterances:
        target = u.audio_path.resolve()
        name = target.relative_to(folder).as_posix() if target.is_relative_to(folder) else str(target)
        row = {
            "id": u.id,
            "audio": name,
            "text": u.text,
            "speaker": u.speaker,
            "language": u.language,
            "group": u.group,
            "split": u.split,
        }
        lines.append(json.dumps(row, ensure_ascii=False))
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.write_bytes(path, "".join(line + "\n" for line in lines).encode())


def slug(text: str) -> str:
    """A name that is safe as a file name everywhere: letters, digits, dot, dash, underscore; at most 60 characters."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:60] or "unnamed"


# -------------------------------------------------------------------------------------------------------------- formats
def _jsonl_rows(path: Path, lines: list[str]) -> Iterator[tuple[int, bool, Utterance]]:
    """Yields (line number, id was given, utterance)."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
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
            f"{path.name}, line {number}: `split` is {row['split']!r}; write train, validation or leave it out."
        )
    return Utterance(
        id=slug(row.get("id") or Path(row["audio"]).stem),
        audio_path=path.parent / row["audio"],
        text=row.get("text", ""),
        speaker=row.get("speaker", ""),
        language=row.get("language", "en"),
        group=row.get("group", ""),
        split=row.get("split", ""),
    )


def _ljspeech_rows(path: Path, lines: list[str]) -> Iterator[tuple[int, bool, Utterance]]:
    """`id|text` or `id|text|normalised text`, as the LJSpeech corpus has it; the id's first half is the recording."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        cells = line.split("|")
        if len(cells) not in (2, 3) or not cells[0].strip():
            raise BadInput(
                f"{path.name}, line {number}: expected `id|text` or `id|text|normalised text`, found {len(cells)} "
                "fields."
            )
        name = cells[0].strip()
        text = cells[-1].strip() or cells[1].strip()
        group = name.rpartition("-")[0]
        yield (
            number,
            True,
            Utterance(id=slug(name), audio_path=_ljspeech_clip(path.parent, name), text=text, group=group),
        )


def _ljspeech_clip(folder: Path, name: str) -> Path:
    candidates = [folder / sub / f"{name}{suffix}" for sub in LJSPEECH_FOLDERS for suffix in AUDIO_SUFFIXES]
    return next((c for c in candidates if c.is_file()), candidates[0])


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


def _probed(utterance: Utterance) -> Utterance:
    try:
        header = audio.probe(utterance.audio_path)
    except BadInput:
        return utterance
    return replace(
        utterance, duration_sec=header.duration_sec, sample_rate=header.sample_rate, channels=header.channels
    )
