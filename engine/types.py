"""The nouns of Earmark: frozen records that every other module speaks in.

Knows the shape of each record and nothing else: no files, no torch, no database, no page. Units are in names (`_sec`,
`_hz`, `_bytes`); times are seconds since the epoch in UTC; ids are strings. `docs/glossary.md` defines the words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# ---------------- errors
class EngineError(Exception):
    """Something a person can mend. The message is one sentence that names the thing and what to do next."""

    exit_code = 1


class BadInput(EngineError):
    """A file, row, field or text that cannot be used as it is."""

    exit_code = 2


class NotFound(EngineError):
    """Something was named that does not exist (any more)."""

    exit_code = 3


class Busy(EngineError):
    """Somebody else holds what is needed: a second app on the workspace, a running render, a running training."""

    exit_code = 4


class Refused(EngineError):
    """The request is understood and not allowed: no passing verdict, a kept checkpoint, an adapter of another base."""

    exit_code = 5


class DiskFull(EngineError):
    """There is not enough free space for what is about to be written; nothing was written."""

    exit_code = 6


# ---------------- data
@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One recorded line with its text. `group` names the source recording: a split never divides a group."""

    id: str
    audio_path: Path
    text: str
    speaker: str = ""
    language: str = "en"
    duration_sec: float = 0.0
    sample_rate: int = 0
    channels: int = 0
    group: str = ""
    split: str = ""  # "train", "validation" or "" when not split yet


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A dataset: a JSONL file of utterances. `sha256` is of the file's bytes."""

    path: Path
    sha256: str
    utterances: tuple[Utterance, ...]

    @property
    def total_sec(self) -> float:
        return sum(u.duration_sec for u in self.utterances)


class Severity(StrEnum):
    ERROR = "error"  # the row cannot be trained on
    WARNING = "warning"  # it can, and probably should not


@dataclass(frozen=True, kw_only=True)
class AuditFinding:
    """One fault of one row: what is wrong and the mend. `row` is the 1-based line of the manifest, 0 the whole set."""

    check: str
    severity: Severity
    row: int
    utterance_id: str
    explanation: str
    repair: str


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    manifest: Manifest
    findings: tuple[AuditFinding, ...]

    @property
    def rows_with_errors(self) -> frozenset[int]:
        return frozenset(f.row for f in self.findings if f.severity is Severity.ERROR and f.row)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A prepared dataset in the workspace: mono audio at the voice's rate and a split manifest."""

    id: str
    path: Path  # its folder; the manifest is `manifest.jsonl` inside
    manifest_sha256: str
    backend: str
    sample_rate: int
    train_count: int
    validation_count: int
    train_sec: float
    excluded_count: int
    source: Path
    created_at: float
    notes: tuple[str, ...] = ()  # what the preparation had to decide: rows left out, a split within one recording


# ---------------- runs
def _field(default: Any, label: str, help_text: str, **bounds: Any) -> Any:
    """A RunConfig field with what the form needs: label, help, and any of minimum, maximum, advanced."""
    return field(default=default, metadata={"label": label, "help": help_text, **bounds})


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What the run form says. Labels, help and bounds live here once; the form, the CLI and the checks read them."""

    name: str = _field("", "Name", "A short name for this run, for example the voice's.")
    dataset: str = _field("", "Dataset", "A prepared dataset of this workspace.")
    backend: str = _field("finch", "Model", "The base model that is fine-tuned.")
    base_model: str = _field("", "Base weights", "A folder of weights; empty for the built-in ones.", advanced=True)
    voice: str = _field("", "Base voice", "The voice to start from; empty picks the closest one by pitch.")
    parts: tuple[str, ...] = _field(("lm", "decoder"), "Parts", "Which parts of the model get an adapter.")
    rank: int = _field(8, "Rank", "LoRA rank: the adapter's capacity.", minimum=1, maximum=128)
    alpha: float = _field(16.0, "Alpha", "LoRA alpha: updates are scaled by alpha / rank.", minimum=0.1, maximum=512.0)
    dropout: float = _field(0.05, "Dropout", "LoRA dropout.", minimum=0.0, maximum=0.5, advanced=True)
    learning_rate: float = _field(1e-3, "Learning rate", "Peak AdamW rate.", minimum=1e-7, maximum=0.1)
    epochs: int = _field(8, "Epochs", "Passes over the data; a checkpoint is kept after each.", minimum=1, maximum=1000)
    batch_tokens: int = _field(
        1500, "Tokens a batch", "Tokens a batch holds at most.", minimum=100, maximum=100_000, advanced=True
    )
    warmup_steps: int = _field(
        10, "Warm-up steps", "Steps of linear warm-up.", minimum=0, maximum=10_000, advanced=True
    )
    max_grad_norm: float = _field(
        1.0, "Gradient clip", "Gradients are clipped to this norm.", minimum=0.01, maximum=100.0, advanced=True
    )
    weight_decay: float = _field(0.0, "Weight decay", "AdamW weight decay.", minimum=0.0, maximum=1.0, advanced=True)
    seed: int = _field(
        42, "Seed", "Order, dropout and initial adapter weights follow it.", minimum=0, maximum=2**31 - 1, advanced=True
    )
    device: str = _field("auto", "Device", "auto, cpu, or cuda:0.", advanced=True)


class RunState(StrEnum):
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    PAUSED = "paused"  # low disk: the trainer waits and says so
    COMPLETED = "completed"
    STOPPED = "stopped"  # asked to, saved, exited 0
    FAILED = "failed"  # said why in its end event
    LOST = "lost"  # nobody holds the lock and no end event was written: killed or crashed

    @property
    def is_over(self) -> bool:
        return self in (RunState.COMPLETED, RunState.STOPPED, RunState.FAILED, RunState.LOST)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training run as its folder tells it."""

    id: str
    path: Path
    config: RunConfig
    state: RunState
    created_at: float
    format_version: int
    step: int = 0
    total_steps: int = 0
    epoch: int = 0
    train_loss: float | None = None
    val_loss: float | None = None
    eta_sec: float | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of `events.jsonl`. `kind` is one of start, step, validation, checkpoint, note, heartbeat, end."""

    seq: int
    kind: str
    at: float
    data: Mapping[str, Any]


# ---------------- checkpoints and adapters
@dataclass(frozen=True, kw_only=True)
class Adapter:
    """LoRA weights on disk in PEFT's format, a folder a part. `sha256` covers every part's weights and config."""

    sha256: str
    path: Path
    backend: str
    base_sha256: str  # of the base model it was trained on: another base refuses it
    voice: str  # base voice it steers
    parts: tuple[str, ...]
    rank: int
    alpha: float
    voice_settings: Mapping[str, float] = field(default_factory=dict)  # for example the target's clock, at scale 1


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a run writes at a step. `id` is `<run_id>@<step, 6 digits>`."""

    id: str
    run_id: str
    step: int
    epoch: int
    path: Path
    adapter: Adapter
    train_loss: float | None
    val_loss: float | None
    bytes: int
    created_at: float


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """The thing that is judged: a checkpoint at a `lora_scale`, or the base model (`checkpoint_id` None, scale 0)."""

    backend: str
    voice: str
    checkpoint_id: str | None = None
    lora_scale: float = 0.0

    @property
    def id(self) -> str:
        if self.checkpoint_id is None:
            return f"base:{self.backend}/{self.voice}"
        return f"{self.checkpoint_id}:{self.lora_scale:g}"

    @property
    def is_base(self) -> bool:
        return self.checkpoint_id is None


# ---------------- scripts and speaking
class Tier(StrEnum):
    SHORT = "short"  # about 5 s
    MEDIUM = "medium"  # about 15 s
    LONG = "long"  # 30 s and more


@dataclass(frozen=True, kw_only=True)
class Line:
    id: str
    tier: Tier
    text: str


@dataclass(frozen=True, kw_only=True)
class Script:
    """The fixed listening text. `sha256` is of its canonical JSON, so an edited script is another script."""

    name: str
    language: str
    lines: tuple[Line, ...]
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The audio prompt of zero-shot cloning, with its transcript. Voices without a prompt have none."""

    audio_path: Path
    text: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class GenerationSettings:
    """How tokens are drawn. `max_factor` caps a chunk at that multiple of its expected length."""

    temperature: float = 0.3
    top_k: int = 30
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    max_factor: float = 3.0


@dataclass(frozen=True, kw_only=True)
class SpeakRow:
    """One row of a batch: a chunk of text and all that its audio may depend on. Nothing else may influence it."""

    text: str
    voice: str
    seed: int
    adapter_sha256: str | None = None
    lora_scale: float = 0.0
    voice_settings: Mapping[str, float] = field(default_factory=dict)
    settings: GenerationSettings = GenerationSettings()
    reference: Reference | None = None


class Stop(StrEnum):
    EOS = "eos"  # the model ended by itself
    CAP = "cap"  # it was cut at the cap: a runaway


@dataclass(frozen=True, kw_only=True)
class Speech:
    """What a row became. `samples` is float32 mono in -1..1, shape (n,)."""

    samples: NDArray[np.float32]
    sample_rate: int
    tokens: int
    stop: Stop
    render_sec: float


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Candidate x line x seed, rendered.

    `path` is named by the content key, the hash of everything that the audio depends on; `id` hashes that key with the
    candidate, the script and the line, so that runs with equal adapters share audio and keep clips of their own.
    """

    id: str
    candidate: Candidate
    adapter_sha256: str | None
    script_sha256: str
    line_id: str
    tier: Tier
    text: str
    seed: int
    path: Path
    sample_rate: int
    duration_sec: float
    stop: Stop
    chunks: int
    settings: GenerationSettings
    harness_version: str
    render_sec: float


@dataclass(frozen=True, kw_only=True)
class Score:
    """One screener's answer about one clip. `passed` None: a fact, not a judgement. Screeners flag; people decide."""

    clip_id: str
    screener: str
    version: int
    value: float
    unit: str
    passed: bool | None
    explanation: str


@dataclass(frozen=True, kw_only=True)
class WordScore:
    """One word of a clip by forced alignment; `state` is ok, dropped, merged, wrong or inserted. Times may be NaN."""

    text: str
    state: str
    start_sec: float
    end_sec: float
    log_posterior: float


# ---------------- listening
class TrialKind(StrEnum):
    GATE = "gate"  # one clip: pass or fail, with reason codes
    PREFERENCE = "preference"  # two clips: A, B or tie


class Choice(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    A = "a"
    B = "b"
    TIE = "tie"


REASON_CODES = (
    "dropped word",
    "merged words",
    "repeated or invented words",
    "too fast",
    "too slow",
    "noise",
    "wrong voice",
    "accent",
    "monotone",
    "bad start or end",
)


@dataclass(frozen=True, kw_only=True)
class Session:
    """One reviewer's blind sitting. `simulated` reviewers follow a stated rule and are never mixed up with people."""

    id: str
    kind: TrialKind
    reviewer: str
    seed: int
    gate: str
    created_at: float
    simulated: bool = False
    closed_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One side of a trial. The token is opaque, one a presentation; the clip id never leaves the server."""

    label: str
    token: str
    clip_id: str


@dataclass(frozen=True, kw_only=True)
class Trial:
    id: str
    session_id: str
    position: int
    kind: TrialKind
    line_id: str
    text: str
    tier: Tier
    slots: tuple[Slot, ...]
    is_catch: bool = False


@dataclass(frozen=True, kw_only=True)
class Response:
    trial_id: str
    session_id: str
    choice: Choice
    reasons: tuple[str, ...]
    note: str
    plays: Mapping[str, int]
    answered_at: float


# ---------------- verdicts and keeping
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


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What export wrote: a folder in PEFT's format with model card and checksums. `sha256` is of its checksum list."""

    path: Path
    sha256: str
    files: Mapping[str, str]
    verified: bool
