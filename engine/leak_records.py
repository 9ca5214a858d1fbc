"""What leak checks found, on disk: a file a candidate in `sweeps/leaks/`, the latest check of it.

Knows JSON. Measures nothing: `screeners.leakage_gates` judges, the studio renders.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine import durable
from engine.screeners.leakage_gates import LeakGate
from engine.types import Candidate

FOLDER = "leaks"


@dataclass(frozen=True, kw_only=True)
class LeakReport:
    """The gates over one candidate's clips. `references` are hashes; `blank_fault` says why the voice did not
    speak after a reference without its text.
    """

    candidate: Candidate
    references: tuple[str, ...]
    script: str
    clips: int
    gates: tuple[LeakGate, ...]
    by: str
    checked_at: float
    blank_fault: str = ""


def write(folder: Path, report: LeakReport) -> None:
    """Keep a report in the place of an earlier one about the same candidate. `folder` is that of sweeps."""
    told = asdict(report)
    told["gates"] = [{**asdict(gate), "value": _finite(gate.value)} for gate in report.gates]
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(report.candidate.id.encode()).hexdigest()[:16]
    durable.write_bytes(folder / FOLDER / f"{name}.json", json.dumps(told, indent=1, ensure_ascii=False).encode())


def listing(folder: Path) -> list[LeakReport]:
    """All reports, the latest first; files that cannot be read are left out: a check can be made again."""
    found = []
    for path in (folder / FOLDER).glob("*.json"):
        try:
            found.append(_read(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda each: (-each.checked_at, each.candidate.id))


def _read(told: dict[str, Any]) -> LeakReport:
    gates = tuple(LeakGate(**{**gate, "value": _number(gate["value"])}) for gate in told["gates"])
    return LeakReport(
        **{
            **told,
            "candidate": Candidate(**told["candidate"]),
            "references": tuple(told["references"]),
            "gates": gates,
        }
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value
