"""A Hugging Face audio folder: `metadata.csv` or `metadata.jsonl` with `file_name` and a transcription.

Knows that the metadata may lie at the top or in a folder a split (`train`, `test`, `data/train`), and that a split is
told by a folder's name. Source: the documentation of `datasets`, "AudioFolder". The cells are known to `fields`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from engine.readers import jsonl, table
from engine.readers.fields import SPLITS
from engine.readers.row import Item, Row, Source
from engine.types import BadInput

NAMES = ("metadata.csv", "metadata.jsonl")


def files(path: Path) -> tuple[tuple[Path, str], ...]:
    """Metadata files of a folder with their splits: of the top, else of folders that are named as splits."""
    if path.is_file():
        return ((path, ""),) if path.name in NAMES and _names_files(path) else ()
    for folder in (path, path / "data"):
        top = [(folder / name, "") for name in NAMES if (folder / name).is_file() and _names_files(folder / name)]
        if top:
            return (top[0],)
        below = sorted(p for p in folder.glob("*/") if p.name.lower() in SPLITS and not p.is_symlink())
        found = [(p / name, SPLITS[p.name.lower()]) for p in below for name in NAMES if (p / name).is_file()]
        if found := [(p, split) for p, split in found if _names_files(p)]:
            return tuple(found)
    return ()


def source(path: Path) -> Source:
    """The rows of a folder's metadata. Raises BadInput when it has none with a `file_name`."""
    found = files(path)
    if not found:
        raise BadInput(f"{path} has no metadata.csv or metadata.jsonl with a column `file_name`.")
    root = path if path.is_dir() else path.parent
    if len(found) == 1:
        content = found[0][0].read_bytes()
        return Source(path=found[0][0], root=root, items=_rows(*found[0], root, content, of=""), content=content)
    items = (
        item
        for p, split in found
        for item in _rows(p, split, root, p.read_bytes(), of=f"{p.relative_to(root).as_posix()} ")
    )
    return Source(path=path, root=root, items=items)


def _rows(file: Path, split: str, root: Path, content: bytes, of: str) -> Iterator[Item]:
    read = table.rows if file.suffix == ".csv" else jsonl.rows
    for item in read(content, file.parent, of=of, split=split):
        if isinstance(item, Row) and not item.split:
            folders = PurePosixPath(item.audio).parts[:-1]
            told = next((SPLITS[f.lower()] for f in folders if f.lower() in SPLITS), "")
            item = replace(item, split=told)
        yield item


def _names_files(file: Path) -> bool:
    """Whether the metadata has a `file_name`, which tells it from other tables of that name."""
    with file.open("rb") as opened:
        head = opened.read(65536)
    if file.suffix == ".csv":
        told = table.header(head)
        return told is not None and "file_name" in told[1]
    return b'"file_name"' in head
