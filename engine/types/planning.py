"""What is known before a run starts: presets, estimates of memory and disk, what preflight finds, what is advised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path

from engine.types.runs import RunConfig

MEMORY_CLASSES = ("weights", "gradients", "optimizer", "activations", "adapter", "reserve")


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Settings of a run for a purpose. `reason` says why these numbers, `source` whose they are."""

    backend: str
    name: str
    purpose: str
    reason: str
    source: str
    config: RunConfig


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """A model that can be fine-tuned, as it is set up here. `variable` names its weights and is empty for the built-in
    one; `weights` is what it says, with the commit for a model of the hub; `lacks` is why it cannot be used, or empty.

    What only its weights tell is empty where they are not here.
    """

    name: str
    title: str
    variable: str = ""
    weights: str = ""
    lacks: str = ""
    version: str = ""  # of the code that speaks
    sample_rate: int = 0  # Hz of its training data
    parts: tuple[str, ...] = ()
    voices: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()  # none: any
    reference: str = ""  # an audio prompt: "none", "optional" or "required"
    mixes_rows: bool = False  # rows of several adapters and scales share a batch
    full_sft: bool = False
    licence: str = ""  # of its weights, where it is known


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A model of the hub that is now in this machine's cache: its name with the commit, its folder, the bytes that were
    downloaded, and the models that can use it with the variable to set for each.
    """

    pinned: str
    path: Path
    downloaded_bytes: int
    variables: Mapping[str, str]


class Level(StrEnum):
    """How much a finding of preflight matters."""

    OK = "ok"
    WARN = "warn"
    REFUSE = "refuse"  # the run is not started, except where the finding names an override


@dataclass(frozen=True, kw_only=True)
class Change:
    """One setting to change, and what that brings. `setting` is a field of `RunConfig`."""

    setting: str
    old: object
    new: object
    effect: str  # "fits", "about 310 MB less"

    @property
    def label(self) -> str:
        """The setting's name on the form."""
        known = {f.name: str(f.metadata["label"]) for f in fields(RunConfig)}
        return known.get(self.setting, self.setting)

    @property
    def text(self) -> str:
        """For example 'Tokens a batch 1500 → 700: fits'."""
        return f"{self.label} {_shown(self.old)} → {_shown(self.new)}: {self.effect}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, kw_only=True)
class PreflightItem:
    """One thing that was looked at before the start. `changes` are computed: any one of them would mend it.

    `override` names the field of `RunConfig` that lets the run start all the same; "" where nothing does.
    """

    check: str
    level: Level
    text: str
    changes: tuple[Change, ...] = ()
    override: str = ""


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """Bytes that a run needs on its device at its worst moment, by class, and what is there.

    `weights` are the frozen and trained base, `adapter` the LoRA matrices, `gradients` and `optimizer` those of what
    is trained, `reserve` the framework's own. All but `activations` and `reserve` are sums of tensors' bytes.
    """

    device: str
    weights: int
    gradients: int
    optimizer: int
    activations: int
    adapter: int
    reserve: int
    free_bytes: int | None = None  # None where it cannot be asked for
    total_bytes: int | None = None  # of the device
    paged_bytes: int = 0  # of the optimizer's state, what moves to the machine's memory when a card is full
    basis: str = "free"  # "free": compared with what is free now; "total": the device is in use by a run that will end

    @property
    def by_class(self) -> Mapping[str, int]:
        """Bytes of each class in the order of MEMORY_CLASSES."""
        return {name: int(getattr(self, name)) for name in MEMORY_CLASSES}

    @property
    def needed_bytes(self) -> int:
        """What must be on the device at once."""
        return sum(self.by_class.values()) - self.paged_bytes

    @property
    def certain_bytes(self) -> int:
        """The classes that are counted rather than estimated."""
        return self.weights + self.gradients + self.optimizer - self.paged_bytes + self.adapter

    @property
    def available_bytes(self) -> int | None:
        """What the run may count on."""
        return self.total_bytes if self.basis == "total" else self.free_bytes


@dataclass(frozen=True, kw_only=True)
class DiskEstimate:
    """Bytes that a run writes. Every checkpoint is kept; the state to resume from only for the last two."""

    checkpoints: int  # how many
    checkpoint_bytes: int  # each, without resume state
    resume_bytes: int  # all resume state together
    features_bytes: int  # of the cache, as far as it is not there yet
    free_bytes: int

    @property
    def needed_bytes(self) -> int:
        """All that the run will write."""
        return self.checkpoints * self.checkpoint_bytes + self.resume_bytes + self.features_bytes


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why something is advised, and who found it out."""

    text: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What to do next with a dataset. `action` is one of engine.advisor.ACTIONS; `preset` does it, "" where no run
    would.
    """

    action: str
    title: str
    reasons: tuple[Reason, ...]
    hints: tuple[Reason, ...] = ()  # about rank, scale and little data
    preset: str = ""


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """Everything that can be said of a run before it starts. `record` is the text of the `run.json` it would have."""

    config: RunConfig
    items: tuple[PreflightItem, ...]
    command: str
    record: str
    steps: int = 0  # about how many the run will have
    memory: MemoryEstimate | None = None  # None for a model whose sizes are not known
    disk: DiskEstimate | None = None
    advice: Advice | None = None

    @property
    def refusals(self) -> tuple[PreflightItem, ...]:
        """What keeps the run from being started."""
        return tuple(item for item in self.items if item.level is Level.REFUSE)

    @property
    def level(self) -> Level:
        """The worst of the items'."""
        found = {item.level for item in self.items}
        return next((level for level in (Level.REFUSE, Level.WARN) if level in found), Level.OK)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a run ended badly: the card on its page.

    `memory_class` is where memory ran out ("loading", "activations", "optimizer", "fragmentation", "machine"), "" for
    another fault. `changes` are in the order in which to try them.
    """

    run_id: str
    reason: str
    exit_status: int | None  # negative: ended by that signal; None where nobody was there to see it
    memory_class: str = ""
    changes: tuple[Change, ...] = ()
    step: int = 0
    log: tuple[str, ...] = field(default=())  # the last lines of train.log
