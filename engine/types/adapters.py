"""What a run writes: checkpoints, their adapters, and the candidates that are judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """What was trained, on disk, a folder a part. `sha256` covers every part's weights and config.

    `kind` "lora" is PEFT's format; "full" is every weight of the parts, where `lora_scale` goes between base and them.
    """

    sha256: str
    path: Path
    backend: str
    base_sha256: str  # of the base model it was trained on: another base refuses it
    voice: str  # base voice it steers
    parts: tuple[str, ...]
    rank: int
    alpha: float
    voice_settings: Mapping[str, float] = field(default_factory=dict)  # for example the target's clock, at scale 1
    kind: str = "lora"


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
        """Whether it is a base model, with no checkpoint laid over it."""
        return self.checkpoint_id is None
