"""Gates as files: those shipped in `assets/gates/`, and a workspace's own in `gates/`, which come first.

Knows names and folders; what a record must be is `gate.record`'s. A file that is written appears whole.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from engine import durable
from engine.gate import record as gate_record
from engine.types import BadInput, Gate, NotFound, Refused, Rule, Tier

SHIPPED = Path(__file__).resolve().parent.parent / "assets" / "gates"
DEFAULT = "three-tiers"
# What verdicts were decided under before rules were kept with them.
BEFORE_KEPT = Gate(
    name=DEFAULT,
    version=1,
    about="The rules before rules were kept with verdicts.",
    measured_tiers=False,
    rules=(
        Rule(tier=Tier.SHORT),
        Rule(tier=Tier.MEDIUM),
        Rule(tier=Tier.LONG, fatal_reasons=("dropped word", "merged word")),
    ),
)


@dataclass(frozen=True, kw_only=True)
class GateFile:
    """Where a gate lies. Shipped ones are never written to."""

    path: Path
    is_shipped: bool

    @property
    def name(self) -> str:
        return self.path.stem


def listing(own: Path | None = None) -> list[GateFile]:
    """The gates that can be chosen, the default first, then by name. `own` is the workspace's folder."""
    found = {path.stem: GateFile(path=path, is_shipped=True) for path in SHIPPED.glob("*.json")}
    if own is not None:
        found |= {path.stem: GateFile(path=path, is_shipped=False) for path in own.glob("*.json")}
    return [found[name] for name in sorted(found, key=lambda name: (name != DEFAULT, name))]


def load(name: str = DEFAULT, own: Path | None = None, *, screeners: Collection[str] | None = None) -> Gate:
    """The gate `name`, the workspace's own before a shipped one. Raises NotFound with the known names, BadInput naming
    the file and the field at fault.
    """
    found = {file.name: file for file in listing(own)}
    if name not in found:
        raise NotFound(f"There is no gate named {name!r}; known are: {', '.join(found)}.")
    return read(found[name].path, screeners=screeners)


def read(path: Path, *, screeners: Collection[str] | None = None) -> Gate:
    """The gate in a file. Raises NotFound, or BadInput naming the file and the field at fault."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFound(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise BadInput(f"{path} is no valid JSON ({error}); mend it, or copy a gate anew.") from error
    gate = gate_record.from_record(data, where=str(path), screeners=screeners)
    if gate.name != path.stem:
        raise BadInput(f"{path}: name is {gate.name!r}; a gate's file has its name, so give {path.stem!r}.")
    return gate


def write(gate: Gate, own: Path) -> Path:
    """Write a gate into the workspace's folder, in place of an earlier version of it. Returns the file."""
    own.mkdir(parents=True, exist_ok=True)
    path = own / f"{gate.name}.json"
    text = json.dumps(gate_record.to_record(gate), indent=2, ensure_ascii=False)
    durable.write_bytes(path, f"{text}\n".encode())
    return path


def must_be_new(gate: Gate, known: Collection[Gate]) -> None:
    """Raises Refused when other rules are known under this name and version: verdicts name both."""
    if any((k.name, k.version) == (gate.name, gate.version) and k != gate for k in known):
        raise Refused(
            f"{gate.name} version {gate.version} is in use with other rules; a changed gate is a new version, so give "
            f"it version {next_version(gate.name, known)}."
        )


def next_version(name: str, known: Collection[Gate]) -> int:
    """The first version that nobody has used under this name."""
    return 1 + max((gate.version for gate in known if gate.name == name), default=0)
