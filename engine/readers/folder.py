"""A folder of recordings, each with its text in a file of the same name: `001.wav` and `001.txt`, nested or not.

Knows names alone. The text may lie beside the recording or, with a name that no other text has, elsewhere in the
folder (`wavs/001.wav`, `txt/001.txt`). Links that lead to folders are not followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine import audio
from engine.readers.row import Item, Row, Source, guessed, lost
from engine.readers.text_lines import lines
from engine.types import AuditFinding

TEXT_SUFFIXES = (".txt", ".lab", ".normalized.txt", ".original.txt")  # the two last ones are LibriTTS's
SOUND_SUFFIXES = audio.READABLE + audio.FOREIGN
PAPERS = ("readme", "license", "licence", "notes", "changelog", "requirements", "speakers", "copyright")
MOST_BYTES = 100_000  # of a transcript


@dataclass
class _Tree:
    sounds: list[Path] = field(default_factory=list)
    texts: dict[Path, Path] = field(default_factory=dict)  # the text's path without its suffix -> the text
    by_name: dict[str, list[Path]] = field(default_factory=dict)
    links: list[Path] = field(default_factory=list)  # folders


def has_sound(path: Path) -> bool:
    """Whether a recording lies anywhere in the folder."""
    return any(
        name.lower().endswith(SOUND_SUFFIXES) and not name.startswith(".")
        for _, _, names in os.walk(path)
        for name in names
    )


def source(path: Path) -> Source:
    """A row for every recording in the folder, and a finding for every text without one."""
    return Source(path=path, root=path, items=rows(path))


def rows(root: Path) -> Iterator[Item]:
    """Rows in the order of names."""
    tree = _walked(root)
    stems = [sound.stem.lower() for sound in tree.sounds]
    flat = len(set(stems)) == len(stems)
    used: set[Path] = set()
    for link in tree.links:
        name = link.relative_to(root).as_posix()
        said = f"{name} is a link to another folder and was not followed."
        yield lost(name, said, "Copy the folder itself, or read it by its own path.", check="missing")
    for number, sound in enumerate(tree.sounds, start=1):
        name = sound.relative_to(root).as_posix()
        if not _encodable(name):
            shown = name.encode("utf-8", errors="replace").decode()
            yield lost(shown, f"The name of {shown} is not UTF-8.", "Rename the file.", check="encoding")
            continue
        text: str = ""
        remarks: tuple[AuditFinding, ...] = ()
        if paper := _text_of(sound, tree):
            used.add(paper)
            text, remarks = _read(paper, root)
        given = "" if flat else name.removesuffix(sound.suffix)
        yield Row(base=root, line=number, label=name, id=given, audio=name, text=text, remarks=remarks)
    for paper in sorted(set(tree.texts.values()) - used):
        if not paper.name.lower().startswith(PAPERS):
            name = paper.relative_to(root).as_posix()
            shown = name.encode("utf-8", errors="replace").decode()
            said = f"{shown} has no recording of the same name."
            yield lost(shown, said, "Add the recording, or take the text out of the folder.", check="missing")


def _walked(root: Path) -> _Tree:
    tree = _Tree()
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__MACOSX")
        tree.links += [Path(folder, f) for f in folders if Path(folder, f).is_symlink()]
        for name in sorted(names):
            path = Path(folder, name)
            if name.startswith("."):
                continue
            if name.lower().endswith(SOUND_SUFFIXES):
                tree.sounds.append(path)
            elif name.lower().endswith(TEXT_SUFFIXES):
                bare = _bare(path)
                if bare not in tree.texts or name.lower().endswith(".normalized.txt"):
                    tree.texts[bare] = path
    for bare, path in tree.texts.items():
        tree.by_name.setdefault(bare.name, []).append(path)
    return tree


def _bare(path: Path) -> Path:
    suffix = max((s for s in TEXT_SUFFIXES if path.name.lower().endswith(s)), key=len)
    return path.with_name(path.name[: -len(suffix)])


def _text_of(sound: Path, tree: _Tree) -> Path | None:
    bare = sound.with_name(sound.name[: -len(sound.suffix)])
    if bare in tree.texts:
        return tree.texts[bare]
    named = tree.by_name.get(bare.name, [])
    return named[0] if len(named) == 1 else None


def _read(paper: Path, root: Path) -> tuple[str, tuple[AuditFinding, ...]]:
    """A transcript's lines as one text. A link out of the folder is not followed: the row is without a text then."""
    name = paper.relative_to(root).as_posix()
    real = Path(os.path.realpath(paper))
    if not real.is_relative_to(os.path.realpath(root)):
        said = f"The text {name} is a link that leads out of the folder and was not followed."
        return "", (lost("", said, "Copy the file itself into the folder.", check="missing"),)
    if not real.is_file() or real.stat().st_size > MOST_BYTES:
        said = f"The text {name} is no transcript: it is not there, or longer than {MOST_BYTES:,} bytes."
        return "", (lost("", said, "Write what is said into a file of that name."),)
    content = paper.read_bytes()
    text = " ".join(line.text.strip() for line in lines(content))
    sure = all(line.sure for line in lines(content))
    return text, () if sure else (guessed(f"The text {name}", text),)


def _encodable(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
