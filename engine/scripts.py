"""Listening scripts: the fixed texts that every candidate speaks, kept as JSON in `assets/scripts/`.

Knows the file format and the hash that makes an edited script another script. Knows nothing of voices, durations or
clips.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.types import BadInput, Line, NotFound, Script, Tier

SCRIPTS = Path(__file__).resolve().parent.parent / "assets" / "scripts"
DEFAULT = "english"


def names(folder: Path = SCRIPTS) -> tuple[str, ...]:
    """The scripts in `folder`, by name; the default one first."""
    found = sorted(path.stem for path in folder.glob("*.json"))
    return tuple(sorted(found, key=lambda name: name != DEFAULT))


def load(name: str, folder: Path = SCRIPTS) -> Script:
    """The script `name`. Raises NotFound with the known names, BadInput naming the file and the line at fault."""
    path = folder / f"{name}.json"
    if name not in names(folder):
        raise NotFound(f"There is no listening script named {name!r}; known are: {', '.join(names(folder)) or 'none'}.")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"The listening script {path} is not valid JSON ({error}); mend or restore the file.") from error
    return parse(data, name=name, where=str(path))


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
