"""Gates, verdicts, what is kept, what is promoted and exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from engine.types.adapters import Candidate
from engine.types.listening import REASON_CODES
from engine.types.speaking import GenerationSettings, Tier


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What one tier asks for.

    At least `min_pass` clips must pass, each by `reviewers` different people, and at most `max_fail` may fail;
    `fatal_reasons` fail the tier at once. Only `lines` of the script count, and each of them must pass; without any,
    every line of the tier counts. A flag of a screener in `automatic` fails the tier without a person, until a person
    refutes it.
    """

    tier: Tier
    min_pass: int = 1
    max_fail: int = 0
    reviewers: int = 1
    fatal_reasons: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    automatic: tuple[str, ...] = ()


class Hearing(StrEnum):
    """How a gate lets a candidate be heard."""

    ALONE = "alone"  # one clip a question
    BESIDE_CONTROL = "beside control"  # beside the control's clip of the same line, which is named so


class ControlPrompt(StrEnum):
    """After which audio prompt a control of another model speaks."""

    SAME = "same"  # that of the clip which it is heard beside
    OWN = "own"  # one of its own, whatever the candidates have
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Control:
    """The base of another model as a gate's control. `reference_sha256` is of its own audio prompt, and else empty;
    `base_sha256` of its weights, empty where any will do.
    """

    backend: str
    voice: str
    prompt: ControlPrompt = ControlPrompt.SAME
    reference_sha256: str = ""
    base_sha256: str = ""

    @property
    def candidate(self) -> Candidate:
        """The base whose clips are heard."""
        return Candidate(backend=self.backend, voice=self.voice)


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Versioned rules: data, not code. A changed gate is a new version, and the hash of its record says which.

    `reasons` are those offered to reviewers. The control is each candidate's own base, or the `control` that is named
    here. With `hidden_control` it is asked about too, like any candidate and without its name. `catch_rate` is the
    share of clips that are asked about twice. Only clips of `scripts` (hashes) count; without any, those of every
    script. With `measured_tiers`, a line that the voice's base speaks too fast for its tier does not count for it.
    """

    name: str
    version: int
    rules: tuple[Rule, ...]
    about: str = ""
    reasons: tuple[str, ...] = REASON_CODES
    hearing: Hearing = Hearing.ALONE
    hidden_control: bool = False
    catch_rate: float = 0.0
    scripts: tuple[str, ...] = ()
    measured_tiers: bool = True
    control: Control | None = None

    def rule(self, tier: Tier) -> Rule | None:
        """What the gate asks for in a tier."""
        return next((rule for rule in self.rules if rule.tier is tier), None)


@dataclass(frozen=True, kw_only=True)
class Flag:
    """What a screener says against a clip: evidence for one reason code, about some words of the text.

    `reason` is empty where the screener cannot say which. `words` are empty where it is not about words.
    """

    clip_id: str
    screener: str
    version: int
    reason: str
    words: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The same for the same finding about the same clip."""
        return f"{self.screener}/{self.reason}"


class FlagChoice(StrEnum):
    """What a reviewer says to a flag."""

    YES = "yes"  # confirmed: the reviewer heard it too
    NO = "no"  # refuted
    UNSURE = "cannot tell"


@dataclass(frozen=True, kw_only=True)
class FlagAnswer:
    """What a reviewer said to a flag, after their answer about the clip was stored. Rows are only added."""

    session_id: str
    trial_id: str
    flag: Flag
    choice: FlagChoice
    answered_at: float


class Outcome(StrEnum):
    """What answers come to, for a tier and for a candidate."""

    PASS = "pass"
    FAIL = "fail"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Why a tier came out as it did, in a sentence a reviewer understands, and what is still needed to decide it.

    `passes` and `fails` count answers. `is_disputed`: people disagree, and that is what keeps it undecided.
    """

    tier: Tier
    outcome: Outcome
    passes: int
    fails: int
    explanation: str
    needed: tuple[str, ...] = ()
    is_disputed: bool = False


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The outcome for one candidate under one version of a gate. Superseded by a later one, never edited."""

    id: str
    candidate: Candidate
    gate: str
    gate_version: int
    outcome: Outcome
    findings: tuple[Finding, ...]
    decided_by: str
    decided_at: float
    simulated: bool = False
    gate_sha256: str = ""  # of the rules it was decided under; empty before rules were kept


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
