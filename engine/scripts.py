"""Listening scripts: the fixed texts that every candidate speaks. Shipped ones are JSON in `assets/scripts/`, copies
that people edit lie in the workspace.

Knows the file format, the hash that makes an edited script another script, and the plain text that people edit: a line
a row, `id | tier | text`. A shipped script is never changed, and every version of an edited one is kept by its hash.
Knows nothing of voices, durations or clips.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import durable
from engine.types import BadInput, Line, NotFound, Refused, Script, Tier

SCRIPTS = Path(__file__).resolve().parent.parent / "assets" / "scripts"
DEFAULT = "english"
VERSIONS = "versions"  # every version that was ever saved, by its hash
LANGUAGES = ("en", "zh", "ja", "ko", "de", "fr", "es", "it", "pt", "ru")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True, kw_only=True)
class LineFault:
    """What is wrong with one line of an edited script, counted from 1, and the mend."""

    number: int
    sentence: str


def names(*folders: Path) -> tuple[str, ...]:
    """The scripts in `folders` (without any: the shipped ones), by name; the default one first."""
    found = {path.stem for folder in folders or (SCRIPTS,) for path in folder.glob("*.json")}
    return tuple(sorted(found, key=lambda name: (name != DEFAULT, name)))


def load(name: str, *folders: Path) -> Script:
    """The script `name` of the first of `folders` that has it. Raises NotFound with the known names, BadInput naming
    the file and the line at fault.
    """
    if name not in names(*folders):
        known = ", ".join(names(*folders)) or "none"
        raise NotFound(f"There is no listening script named {name!r}; known are: {known}.")
    return _read(next(path for folder in folders or (SCRIPTS,) if (path := folder / f"{name}.json").is_file()))


def versions(folder: Path) -> Iterator[Script]:
    """Every version of every script that was saved in `folder`."""
    for path in sorted((folder / VERSIONS).glob("*.json")):
        yield _read(path)


def parse(data: Any, *, name: str, where: str) -> Script:
    """A script from its JSON: `{"language", "lines": [{"id", "tier", "text"}]}`; `where` names the source in errors."""
    if not isinstance(data, dict) or not isinstance(data.get("lines"), list) or not data["lines"]:
        raise BadInput(f'The listening script {where} needs "lines", a list with at least one line.')
    lines = tuple(_line(row, f"line {number} of {where}") for number, row in enumerate(data["lines"], 1))
    ids = [line.id for line in lines]
    for line_id in ids:
        if ids.count(line_id) > 1:
            raise BadInput(f"The listening script {where} has the line id {line_id!r} twice; give every line its own.")
    language = str(data.get("language", "en"))
    return Script(name=name, language=language, lines=lines, sha256=sha256(language, lines))


def sha256(language: str, lines: Sequence[Line]) -> str:
    """The hash of the script's canonical JSON: of what is spoken and in which tier, not of the file's layout."""
    rows = [{"id": line.id, "tier": line.tier.value, "text": line.text} for line in lines]
    canonical = json.dumps(
        {"language": language, "lines": rows}, sort_keys=True, separators=(",", ":"), ensure_ascii=True
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


# -------------------------------------------------------------------------------------------------------------- editing
def to_text(script: Script) -> str:
    """A script as people edit it: `id | tier | text`, a line a row."""
    return "\n".join(f"{line.id} | {line.tier} | {line.text}" for line in script.lines)


def faults(text: str) -> tuple[LineFault, ...]:
    """What is wrong with an edited text, line by line; empty when it can be saved."""
    found: list[LineFault] = []
    seen: dict[str, int] = {}
    for number, row in _rows(text):
        try:
            line = _line(row, f"line {number}")
        except BadInput as error:
            found.append(LineFault(number=number, sentence=str(error)))
            continue
        if line.id in seen:
            said = f"The line {number} has the id {line.id!r}, as line {seen[line.id]} has; give every line its own."
            found.append(LineFault(number=number, sentence=said))
        seen.setdefault(line.id, number)
        if not any(character.isalnum() for character in line.text):
            said = f"The line {number} has nothing to say; write at least one word."
            found.append(LineFault(number=number, sentence=said))
    if not seen and not found:
        found.append(LineFault(number=1, sentence="A script needs at least one line: id | tier | text."))
    return tuple(found)


def save(folder: Path, name: str, text: str, *, language: str) -> Script:
    """Keep an edited text as the script `name` of `folder`; what it was before stays under its hash.

    Raises BadInput for a name that cannot be one and for faults of the text (all of them), Refused for a shipped
    script's name.
    """
    if not _NAME.fullmatch(name):
        raise BadInput(f"{name!r} cannot be a script's name; use lower-case letters, digits and hyphens.")
    if name in names():
        raise Refused(f"{name} is a shipped script and is never changed; save your version under another name.")
    if found := faults(text):
        raise BadInput(" ".join(fault.sentence for fault in found))
    rows = [row for _, row in _rows(text)]
    data = {"language": language, "lines": rows}
    script = parse(data, name=name, where=name)
    told = json.dumps(data, indent=2, ensure_ascii=False).encode() + b"\n"
    (folder / VERSIONS).mkdir(parents=True, exist_ok=True)
    durable.write_bytes(folder / VERSIONS / f"{script.sha256}.json", told)
    durable.write_bytes(folder / f"{name}.json", told)
    return script


def _rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            parts = [part.strip() for part in line.replace("\uff5c", "|").split("|", 2)]
            yield number, dict(zip(("id", "tier", "text"), parts, strict=False))


def _read(path: Path) -> Script:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"The listening script {path} is not valid JSON ({error}); mend or restore the file.") from error
    return parse(data, name=path.stem, where=str(path))


def _line(row: Any, where: str) -> Line:
    if not isinstance(row, dict):
        raise BadInput(f'The {where} is not an object with "id", "tier" and "text".')
    fields = {key: str(row.get(key, "")).strip() for key in ("id", "tier", "text")}
    for key, value in fields.items():
        if not value:
            raise BadInput(f"The {where} has no {key}; fill it in.")
    tiers = [tier.value for tier in Tier]
    if fields["tier"] not in tiers:
        raise BadInput(f"The {where} has the tier {fields['tier']!r}; the tiers are {', '.join(tiers)}.")
    return Line(id=fields["id"], tier=Tier(fields["tier"]), text=fields["text"])
