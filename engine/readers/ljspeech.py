"""LJSpeech's `metadata.csv`: `id|text` or `id|text|normalised text`, with clips in `wavs` or `clips`; and its kin.

Knows lines of two or three fields between bars, an id that is a path (VITS file lists), and that a file of the same
name may have a header instead, which makes it a `table`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine import audio
from engine.readers import table
from engine.readers.row import Item, Row, Source, guessed, lost
from engine.readers.text_lines import Line, lines
from engine.types import BadInput

SUFFIXES = (".csv", ".tsv", ".txt", ".list")
PREFERRED = ("metadata.csv", "metadata.txt", "metadata.tsv")
FOLDERS = ("wavs", "clips", "wav", "audio", "")


def metadata(path: Path) -> Path | None:
    """A folder's `metadata.csv` or what it may be called instead; None when there is none."""
    return next((path / name for name in PREFERRED if (path / name).is_file()), None)


def file(path: Path) -> Path | None:
    """The table of a path: itself, a folder's `metadata.csv`, or its only table. None when there is none."""
    if path.is_file():
        return path if path.suffix.lower() in SUFFIXES else None
    if named := metadata(path):
        return named
    found = [p for p in sorted(path.iterdir()) if p.suffix.lower() in (".csv", ".tsv", ".list") and p.is_file()]
    return found[0] if len(found) == 1 else None


def source(path: Path) -> Source:
    """The rows of one table. Raises BadInput when the path has none."""
    found = file(path)
    if found is None:
        raise BadInput(f"{path} has several tables or none; give the path of the one that is meant.")
    content = found.read_bytes()
    items = table.rows(content, found.parent) if table.header(content) else rows(content, found.parent)
    return Source(path=found, root=found.parent, items=items, content=content)


def rows(content: bytes, base: Path) -> Iterator[Item]:
    """Each line's row, or the finding of why it is lost."""
    folders = tuple(folder for folder in FOLDERS if (base / folder).is_dir())  # the last, the base itself, is there
    for line in lines(content):
        yield _row(line, base, folders)


def _row(line: Line, base: Path, folders: tuple[str, ...]) -> Item:
    name = f"line {line.number}"
    cells = [cell.strip() for cell in line.text.split("|")]
    if len(cells) not in (2, 3) or not cells[0]:
        found = f"{len(cells)} field{'s' * (len(cells) != 1)}"
        said = f"{name} has {found} where `id|text` or `id|text|normalised text` should be: "
        return lost(
            name,
            f"{said}{line.text.strip()[:60]!r}.",
            "Correct the line, or give the table a header with `audio` and `text`.",
        )
    text = cells[-1] or cells[1]
    return Row(
        base=base,
        line=line.number,
        id=_id(cells[0]),
        audio=_clip(base, folders, cells[0]),
        text=text,
        remarks=() if line.sure else (guessed(name, text),),
    )


def _id(name: str) -> str:
    """A path is no id: the row is then called as its file is."""
    return "" if _is_file_name(name) else name


def _is_file_name(name: str) -> bool:
    return Path(name).suffix.lower() in audio.READABLE + audio.FOREIGN


def _clip(base: Path, folders: tuple[str, ...], name: str) -> str:
    """The clip's path as seen from `base`; where none is there, where LJSpeech would have it."""
    suffixes = ("",) if _is_file_name(name) else audio.READABLE
    if "\0" not in name and len(name) < 200:
        for folder in folders:
            for suffix in suffixes:
                if (base / folder / f"{name}{suffix}").is_file():
                    return f"{folder}/{name}{suffix}" if folder else f"{name}{suffix}"
    return name if _is_file_name(name) else f"{next(iter(folders)) or '.'}/{name}{audio.READABLE[0]}"
