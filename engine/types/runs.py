"""What the run form says, where a run stands, and what it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

MONITORS = ("validation_rising", "gradient_norm", "not_a_number", "talks_to_itself", "unloaded_weights", "drift")


def _field(default: Any, label: str, help_text: str, **bounds: Any) -> Any:
    """A RunConfig field with what the form needs: label, help, and any of minimum, maximum, choices, section."""
    return field(default=default, metadata={"label": label, "help": help_text, **bounds})


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What the run form says. Labels, help and bounds live here once; the form, the CLI and the checks read them.

    A field without a `section` is always shown; the others are folded under their section's name.
    """

    name: str = _field("", "Name", "A short name for this run, for example the voice's.")
    dataset: str = _field("", "Dataset", "A prepared dataset of this workspace.")
    backend: str = _field("finch", "Model", "The base model that is fine-tuned.")
    base_model: str = _field(
        "",
        "Base weights",
        "A folder of weights, or a model's name on the hub; empty for the usual ones.",
        section="What is trained",
    )
    voice: str = _field(
        "", "Base voice", "The voice to start from; empty picks the closest one by pitch.", section="What is trained"
    )
    method: str = _field(
        "lora", "Method", "LoRA trains small adapters; full trains every weight.", choices=("lora", "full")
    )
    parts: tuple[str, ...] = _field(("lm", "decoder"), "Parts", "Which parts of the model are trained.")
    target_modules: tuple[str, ...] = _field(
        (),
        "Target modules",
        "Names of the Linears that get an adapter; none for the model's own list.",
        section="What is trained",
    )
    rank: int = _field(8, "Rank", "LoRA rank: the adapter's capacity.", minimum=1, maximum=256)
    alpha: float = _field(16.0, "Alpha", "LoRA alpha: updates are scaled by alpha / rank.", minimum=0.1, maximum=512.0)
    dropout: float = _field(0.05, "Dropout", "LoRA dropout.", minimum=0.0, maximum=0.5, section="What is trained")
    learning_rate: float = _field(1e-3, "Learning rate", "Peak AdamW rate.", minimum=1e-7, maximum=0.1)
    epochs: int = _field(8, "Epochs", "Passes over the data.", minimum=1, maximum=1000)
    max_steps: int = _field(
        0,
        "Steps at most",
        "The run ends after this many steps; 0 for all epochs.",
        minimum=0,
        maximum=10_000_000,
        section="Steps and batches",
    )
    batch_tokens: int = _field(
        1500,
        "Tokens a batch",
        "Tokens a batch holds at most, padding counted.",
        minimum=100,
        maximum=1_000_000,
        section="Steps and batches",
    )
    accumulation: int = _field(
        1,
        "Batches a step",
        "Gradients of this many batches make one step.",
        minimum=1,
        maximum=256,
        section="Steps and batches",
    )
    warmup_steps: int = _field(
        10, "Warm-up steps", "Steps of linear warm-up.", minimum=0, maximum=10_000, section="Steps and batches"
    )
    max_grad_norm: float = _field(
        1.0,
        "Gradient clip",
        "Gradients are clipped to this norm.",
        minimum=0.01,
        maximum=100.0,
        section="Steps and batches",
    )
    weight_decay: float = _field(
        0.0, "Weight decay", "AdamW weight decay.", minimum=0.0, maximum=1.0, section="Steps and batches"
    )
    save_every: int = _field(
        1,
        "Save every",
        "A checkpoint is kept every so many epochs or steps.",
        minimum=1,
        maximum=100_000,
        section="Checkpoints and monitors",
    )
    save_unit: str = _field(
        "epochs", "Counted in", "Epochs or steps.", choices=("epochs", "steps"), section="Checkpoints and monitors"
    )
    one_part_at_a_time: bool = _field(
        False,
        "One part at a time",
        "Each step teaches one part after the other; only the one at work is on the card: less memory, slower.",
        section="Steps and batches",
    )
    patience: int = _field(
        3,
        "Patience",
        "Validations in a row that may be worse than the best one before it is marked.",
        minimum=1,
        maximum=1000,
        section="Checkpoints and monitors",
    )
    part_patience: int = _field(
        0,
        "Part's patience",
        "Validations that a part's own loss may be worse than its best before it is taught no further; 0 for no end.",
        minimum=0,
        maximum=1000,
        section="Checkpoints and monitors",
    )
    train_loss_floor: float = _field(
        0.0,
        "Loss floor",
        "A train loss below this while validation rises is marked; 0 for no floor.",
        minimum=0.0,
        maximum=100.0,
        section="Checkpoints and monitors",
    )
    stop_when: tuple[str, ...] = _field(
        (),
        "Stop when",
        "Monitors that end the run; the others only mark the curve. Nothing is deleted.",
        choices=MONITORS,
        section="Checkpoints and monitors",
    )
    listen: bool = _field(
        True,
        "Listen at checkpoints",
        "Speaks two short lines at a checkpoint, to see pace and endings drift; costs under 3 % of the time.",
        section="Checkpoints and monitors",
    )
    optimizer: str = _field(
        "adamw",
        "Optimizer",
        "Paged 8-bit AdamW keeps its state in a quarter of the memory; it needs a CUDA card.",
        choices=("adamw", "paged_adamw_8bit"),
        section="Memory and machine",
    )
    precision: str = _field(
        "fp32",
        "Precision",
        "bf16 computes in half the memory; the weights that are trained stay as they are.",
        choices=("fp32", "bf16"),
        section="Memory and machine",
    )
    gradient_checkpointing: bool = _field(
        False,
        "Gradient checkpointing",
        "Computes activations twice to keep fewer of them.",
        section="Memory and machine",
    )
    seed: int = _field(
        42,
        "Seed",
        "Order, dropout and initial adapter weights follow it.",
        minimum=0,
        maximum=2**31 - 1,
        section="Memory and machine",
    )
    device: str = _field("auto", "Device", "auto, cpu, or cuda:0.", section="Memory and machine")
    processes: int = _field(
        1,
        "Processes",
        "Processes that share each step, one a GPU.",
        minimum=1,
        maximum=64,
        section="Memory and machine",
    )
    accepted_by: str = _field(
        "",
        "Accepted by",
        "Your name, to train on a dataset that still has errors; it is kept with the run.",
        section="Checkpoints and monitors",
    )
    weights_accepted_by: str = _field(
        "",
        "Weights accepted by",
        "Your name, to train a base whose first loss is that of a model without its weights; it is kept with the run.",
        section="Checkpoints and monitors",
    )


class RunState(StrEnum):
    """Where a run stands, by its lock and its events."""

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
        """Whether nothing more will come of it by itself."""
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
    alerts: tuple[str, ...] = ()  # what the monitors marked, oldest first
    queue_position: int | None = None  # 1 is next; None when the run does not wait


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of `events.jsonl`. `kind` is one of start, step, validation, checkpoint, alert, note, heartbeat, end."""

    seq: int
    kind: str
    at: float
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Alert:
    """What a monitor marked on a run's curve. `monitor` is one of MONITORS, or "disk"."""

    step: int
    epoch: int
    monitor: str
    text: str
    stops: bool = False


@dataclass(frozen=True, kw_only=True)
class CheckpointMark:
    """Where on the curve a checkpoint was saved."""

    step: int
    epoch: int
    checkpoint_id: str
    val_loss: float | None = None


@dataclass(frozen=True, kw_only=True)
class Series:
    """The curves of a run by step; what a resume did again counts once.

    `parts` holds each part's training loss, `grad_norm` each part's norm before clipping. `throughput` is in tokens a
    second and `memory_bytes` the peak so far; both are 0 where the trainer did not know.
    """

    steps: tuple[int, ...]
    train_loss: tuple[float, ...]
    learning_rate: tuple[float, ...]
    parts: Mapping[str, tuple[float, ...]]
    val_steps: tuple[int, ...]
    val_loss: tuple[float, ...]
    grad_norm: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    throughput: tuple[float, ...] = ()
    memory_bytes: tuple[int, ...] = ()
    alerts: tuple[Alert, ...] = ()
    checkpoints: tuple[CheckpointMark, ...] = ()
