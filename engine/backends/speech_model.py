"""What a voice must be able to do: the `SpeechModel` protocol, which every backend keeps.

Knows no backend. What a model may do beyond this is in `offers`, each ability by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from engine.types import SpeakRow, Speech, Utterance

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a backend offers. `parts` are the modules that can carry a LoRA adapter, in the order they run."""

    parts: tuple[str, ...]
    voices: tuple[str, ...]
    languages: tuple[str, ...]  # none: any
    full_sft: bool = False
    reference: str = "none"  # "none" (prompt-free), "optional" or "required"
    mixes_rows: bool = True  # False: rows of different adapters or scales are rendered one after the other


@dataclass(frozen=True, kw_only=True)
class LoraPart:
    """How PEFT adapts one part: the names of its target modules, and factors on the run's learning rate and rank."""

    name: str
    target_modules: tuple[str, ...]
    learning_rate_factor: float = 1.0


class RowMixer(Protocol):
    """Makes row i of every adapted layer's input use `rows[i]`'s adapter at its scale, inside the `with` block."""

    def using(self, rows: Sequence[SpeakRow]) -> AbstractContextManager[None]:
        """The block in which row i has its own adapter at its own scale."""
        ...


class SpeechModel(Protocol):
    """A loaded base model. All weights stay as loaded: training and speaking change only injected adapters.

    Full fine-tuning, where `capabilities.full_sft` offers it, changes a part's own weights in the trainer's process.
    """

    name: str
    base_sha256: str
    sample_rate: int
    device: str
    capabilities: Capabilities

    def part(self, name: str) -> nn.Module:
        """The module of a LoRA part; adapters are injected into it in place."""
        ...

    def lora_parts(self) -> tuple[LoraPart, ...]:
        """Target modules of each part, in the order of `capabilities.parts`."""
        ...

    def closest_voice(self, utterances: Sequence[Utterance]) -> str:
        """The base voice to start from when the run does not name one."""
        ...

    def features(self, utterances: Sequence[Utterance], voice: str, cache: Path) -> list[Any]:
        """One training example an utterance, in order; kept in `cache` by the hash of audio and text."""
        ...

    def voice_settings(self, examples: Sequence[Any], voice: str) -> Mapping[str, float]:
        """Numbers about the target that belong to the adapter (for example its clock), at scale 1."""
        ...

    def length(self, example: Any) -> int:
        """Tokens of an example, for packing batches."""
        ...

    def loss(self, examples: Sequence[Any], voice: str, parts: Sequence[str], seed: int | None) -> Mapping[str, Tensor]:
        """Named scalar losses, one a part unless the model offers `NamesLosses`. Training lowers their sum.

        `seed` None is the deterministic validation pass.
        """
        ...

    def speak(self, rows: Sequence[SpeakRow], mixer: RowMixer | None = None) -> list[Speech]:
        """Render all rows in one batch. Row i's audio depends on row i alone: its noise has its own generator."""
        ...
