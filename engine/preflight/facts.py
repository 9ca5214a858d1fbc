"""What was found out about a run that may be started: all that preflight goes by. Gathers nothing: the studio does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.backends.sizes import ModelSize
from engine.device import Card, DeviceMemory
from engine.types import Dataset


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What was found out about a run that may be started. `row_sec` are seconds of the rows that are trained on.

    `size` and `memory` are None where nobody knows. `uncached_sec` are of all rows whose features are still to be
    computed. `is_leased`: another run has the device and will let go of its memory before this one starts.
    """

    dataset: Dataset
    row_sec: Sequence[float]
    device: str
    size: ModelSize | None
    memory: DeviceMemory | None
    free_disk_bytes: int
    is_leased: bool = False
    uncached_sec: float = 0.0
    full_sft: bool = True
    has_bf16: bool = True
    environment_fault: str = ""  # why the voice cannot be trained as its environment stands
    card: Card | None = None  # the GPU, where the device is one and answers

    @property
    def total_sec(self) -> float:
        return sum(self.row_sec)
