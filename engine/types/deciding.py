"""Gates, verdicts, what is kept, what is promoted and exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from engine.types.adapters import Candidate
from engine.types.speaking import GenerationSettings, Tier


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What one tier asks for: at least `min_pass` passes and at most `max_fail` fails; `fatal_reasons` fail at once."""

    tier: Tier
    min_pass: int = 1
    max_fail: int = 0
    fatal_reasons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Versioned rules: data, not code. A changed gate is a new version."""

    name: str
    version: int
    rules: tuple[Rule, ...]


class Outcome(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Why a tier came out as it did, in a sentence a reviewer understands."""

    tier: Tier
    outcome: Outcome
    passes: int
    fails: int
    explanation: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    id: str
    candidate: Candidate
    gate: str
    gate_version: int
    outcome: Outcome
    findings: tuple[Finding, ...]
    decided_by: str
    decided_at: float
    simulated: bool = False


@dataclass(frozen=True, kw_only=True)
class Retained:
    """What retention says of one checkpoint: keep or not, and every reason for that."""

    checkpoint_id: str
    keep: bool
    reasons: tuple[str, ...]
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """An alias such as `production/robin` pointing at a candidate, with all it takes to sound the same elsewhere."""

    id: str
    alias: str
    candidate: Candidate
    adapter_sha256: str
    base_sha256: str
    settings: GenerationSettings
    harness_version: str
    gate: str
    gate_version: int
    verdict_id: str
    promoted_by: str
    promoted_at: float
    reason: str = ""
    reference_sha256: str = ""  # of the audio prompt; empty for a prompt-free voice
    trainer_version: str = ""  # of the code that trained it: a bug there can look like a property of an epoch

    @property
    def stage(self) -> str:
        return self.alias.partition("/")[0]


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What export wrote: a folder in PEFT's format with model card and checksums. `sha256` is of its checksum list."""

    path: Path
    sha256: str
    files: Mapping[str, str]
    verified: bool
    notes: tuple[str, ...] = ()  # what was spoken to check it, or why nothing was
