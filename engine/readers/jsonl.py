"""JSON lines as people have them for Qwen3-TTS, VoxCPM, CosyVoice, IndexTTS2 and NeMo: an object a row.

Knows JSON and which files of a folder are such manifests. The keys are known to `fields`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.readers import fields
from engine.readers.row import Item, Source, lost
from engine.readers.text_lines import Line, lines
from engine.types import BadInput

SUFFIXES = (".jsonl", ".json", ".ndjson")
PREFERRED = ("manifest.jsonl", "metadata.jsonl")


def files(path: Path) -> tuple[tuple[Path, str], ...]:
    """The manifests of a path with the split that their names say; none when there is no such file or no telling."""
    if path.is_file():
        return ((path, ""),) if path.suffix.lower() in SUFFIXES else ()
    for name in PREFERRED:
        if (path / name).is_file():
            return ((path / name, ""),)
    found = sorted(p for p in path.glob("*.jsonl") if p.is_file() and not p.name.startswith("."))
    if len(found) == 1:
        return ((found[0], ""),)
    splits = {p: _split(p.stem) for p in found}
    named = tuple((p, split) for p, split in splits.items() if split)
    return named if len(named) == len(set(splits.values()) - {""}) else ()


def source(path: Path) -> Source:
    """The rows of one manifest, or of a folder's `train.jsonl` and its like. Raises BadInput when there is none."""
    found = files(path)
    if not found:
        raise BadInput(f"{path} has several JSONL files or none; give the path of the one that is meant.")
    root = path if path.is_dir() else path.parent
    if len(found) == 1:
        content = found[0][0].read_bytes()
        return Source(path=found[0][0], root=root, items=rows(content, root), content=content)
    items = (item for p, split in found for item in rows(p.read_bytes(), root, of=f"{p.name} ", split=split))
    return Source(path=path, root=root, items=items)


def rows(content: bytes, base: Path, *, of: str = "", split: str = "") -> Iterator[Item]:
    """Each line's row or finding. A file that is one JSON list of objects is read as if each stood on a line.

    `of` is put before the number in a row's label, where a source has several files.
    """
    for line in lines(content):
        if line.number == 1 and line.text.lstrip().startswith("["):
            listed = _listed(content)
            if listed is not None:
                yield from (_row(value, Line(n, ""), base, of, split) for n, value in enumerate(listed, start=1))
                return
        try:
            value = json.loads(line.text)
        except (ValueError, RecursionError) as error:
            name = f"{of}line {line.number}"
            said = f"{name} is not valid JSON ({str(error)[:80]}): {line.text.strip()[:60]!r}."
            yield lost(name, said, "Correct or remove the line.")
            continue
        yield _row(value, line, base, of, split)


def _row(value: Any, line: Line, base: Path, of: str, split: str) -> Item:
    name = f"{of}line {line.number}"
    if not isinstance(value, dict):
        said = f"{name} is {type(value).__name__} where a JSON object with `audio` and `text` should be."
        return lost(name, said, "Write an object with `audio` and `text`, or remove the line.")
    return fields.row_of(value, line, base, label=name if of else "", split=split)


def _listed(content: bytes) -> list[Any] | None:
    """The values of a file that is one JSON list; None when it is not."""
    try:
        value = json.loads("\n".join(line.text for line in lines(content)))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) else None


def _split(stem: str) -> str:
    """`train`, `my_val`, `train_raw`: the split that a manifest's name says."""
    words = stem.lower().replace("-", "_").replace(".", "_").split("_")
    return next((fields.SPLITS[w] for w in (words[0], words[-1]) if w in fields.SPLITS), "")
