"""Kaldi's folders, which CosyVoice trains from: `wav.scp`, `text`, `utt2spk`, and `segments`, `utt2lang`, `instruct`.

Knows their lines, `id value`. A command in `wav.scp` (`sox ... |`) is never run. With `segments`, an entry of `wav.scp`
is a long recording and each segment becomes a clip of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.readers.fields import SPLITS
from engine.readers.row import Item, Row, Source, guessed, lost
from engine.readers.text_lines import lines
from engine.types import AuditFinding, BadInput

INSTRUCT_HEAD, INSTRUCT_END = "You are a helpful assistant.", "<|endofprompt|>"  # CosyVoice 3, run.sh stage 0


@dataclass(frozen=True)
class _Value:
    text: str
    line: int
    sure: bool


def folders(path: Path) -> tuple[tuple[Path, str], ...]:
    """The Kaldi folders of a path with their splits: itself, or folders below it that are named as splits."""
    if path.is_file():
        return ((path.parent, ""),) if path.name == "wav.scp" else ()
    if (path / "wav.scp").is_file():
        return ((path, ""),)
    below = sorted(p for p in path.iterdir() if p.name.lower() in SPLITS and (p / "wav.scp").is_file())
    return tuple((p, SPLITS[p.name.lower()]) for p in below)


def source(path: Path) -> Source:
    """The rows of one folder or of one a split. Raises BadInput when there is no `wav.scp`."""
    found = folders(path)
    if not found:
        raise BadInput(f"{path} has no wav.scp; give the folder that holds wav.scp, text and utt2spk.")
    if len(found) == 1 and not found[0][1]:
        return Source(path=found[0][0], root=found[0][0], items=rows(found[0][0]))
    items = (item for folder, split in found for item in rows(folder, of=f"{folder.name}/", split=split))
    return Source(path=path, root=path, items=items)


def rows(folder: Path, *, of: str = "", split: str = "") -> Iterator[Item]:
    """Each utterance's row, or the finding of why it is lost."""
    faults: list[AuditFinding] = []
    audio = _table(folder / "wav.scp", of, faults)
    texts = _table(folder / "text", of, faults)
    speakers, languages, instructs = (_table(folder / name, of, faults) for name in ("utt2spk", "utt2lang", "instruct"))
    segments = _table(folder / "segments", of, faults) if (folder / "segments").is_file() else None
    yield from faults
    for name, value in (segments if segments is not None else audio).items():
        where = f"{of}{'segments' if segments is not None else 'wav.scp'} line {value.line}"
        item = _segment(where, value, audio, folder) if segments is not None else _whole(where, value, folder)
        if isinstance(item, AuditFinding):
            yield item
            continue
        text = texts.get(name, _Value("", 0, True))
        said = f"{of}text line {text.line}"
        yield Row(
            base=item.base,
            line=value.line,
            label=where,
            id=name,
            audio=item.audio,
            text=text.text,
            speaker=speakers[name].text if name in speakers else "",
            language=languages[name].text if name in languages else "",
            split=split,
            recording=item.recording,
            start_sec=item.start_sec,
            end_sec=item.end_sec,
            instruct=plain_instruct(instructs[name].text) if name in instructs else "",
            cut=item.cut,
            remarks=() if text.sure else (guessed(said, text.text),),
        )
    for name in texts.keys() - (segments if segments is not None else audio).keys():
        where = f"{of}text line {texts[name].line}"
        said = f"{where}: {name} has a text and no audio in {'segments' if segments is not None else 'wav.scp'}."
        yield lost(where, said, "Add its audio, or remove the line.", check="missing")


def plain_instruct(told: str) -> str:
    """The instruction within CosyVoice 3's frame; "" for the frame alone, which every row has to have there."""
    return told.strip().removeprefix(INSTRUCT_HEAD).removesuffix(INSTRUCT_END).strip()


def framed_instruct(plain: str) -> str:
    """CosyVoice 3's frame around an instruction."""
    return f"{INSTRUCT_HEAD}{' ' if plain else ''}{' '.join(plain.split())}{INSTRUCT_END}"


def _table(path: Path, of: str, faults: list[AuditFinding]) -> dict[str, _Value]:
    """`id value` by id; the first line of an id counts."""
    found: dict[str, _Value] = {}
    if not path.is_file():
        return found
    for line in lines(path.read_bytes()):
        name, _, text = line.text.strip().replace("\t", " ", 1).partition(" ")
        if name not in found:
            found[name] = _Value(text.strip(), line.number, line.sure)
        else:
            where = f"{of}{path.name} line {line.number}"
            said = f"{where}: {name} already stands in line {found[name].line}; the first one is used."
            faults.append(lost(where, said, "Give each utterance an id of its own.", check="duplicate"))
    return found


def _whole(where: str, value: _Value, folder: Path) -> Row | AuditFinding:
    if problem := _unreadable(value.text):
        return lost(where, f"{where} {problem}", "Write the audio to a file and name that file.")
    return Row(base=folder, line=value.line, audio=value.text, text="")


def _segment(where: str, value: _Value, audio: dict[str, _Value], folder: Path) -> Row | AuditFinding:
    """`recording start end`, in seconds; -1 stands for the end."""
    cells = value.text.split()
    try:
        recording, start, end = cells[0], float(cells[1]), float(cells[2])
    except (IndexError, ValueError):
        recording, start, end = "", math.nan, math.nan
    if not (math.isfinite(start) and start >= 0 and (end == -1 or start < end < math.inf)):
        return lost(where, f"{where} should be `id recording start end`: {value.text[:60]!r}.", "Correct the line.")
    if recording not in audio:
        said = f"{where} is cut from {recording!r}, which wav.scp does not have."
        return lost(where, said, "Add the recording to wav.scp.", check="missing")
    if problem := _unreadable(audio[recording].text):
        said = f"{where}: line {audio[recording].line} of wav.scp {problem}"
        return lost(where, said, "Write the audio to a file and name that file.")
    return Row(
        base=folder,
        line=value.line,
        audio=audio[recording].text,
        text="",
        recording=recording,
        start_sec=start,
        end_sec=None if end == -1 else end,
        cut=True,
    )


def _unreadable(value: str) -> str:
    """Why an entry of wav.scp is no file, or ""."""
    if not value:
        return "names no file."
    if value.endswith("|") or value.startswith("|"):
        return f"is a command, and Earmark runs none: {value[:60]!r}."
    head, colon, offset = value.rpartition(":")
    if colon and offset.isdigit() and head.endswith((".ark", ".scp")):
        return f"points into an archive of Kaldi's: {value[:60]!r}."
    return ""
