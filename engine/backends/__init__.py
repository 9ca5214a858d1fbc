"""What a voice must be able to do: the `SpeechModel` protocol and the table of backends.

Knows how to find a backend by name and nothing about any of them. Nothing is imported until a backend is loaded, so the
list of names is free of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from engine.types import NotFound, SpeakRow, Speech, Utterance

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a backend offers. `parts` are the modules that can carry a LoRA adapter, in the order they run."""

    parts: tuple[str, ...]
    voices: tuple[str, ...]
    languages: tuple[str, ...]
    full_sft: bool = False
    reference: str = "none"  # "none" (prompt-free), "optional" or "required"
    mixes_rows: bool = True  # False: rows of different adapters or scales are rendered one after the other


@dataclass(frozen=True, kw_only=True)
class LoraPart:
    """How PEFT adapts one part: the names of its target modules, and factors on the run's learning rate and rank."""

    name: str
    target_modules: tuple[str, ...]
    learning_rate_factor: float = 1.0


@dataclass(frozen=True, kw_only=True)
class BackendInfo:
    """What is known of a backend before it is loaded, without torch: for forms, audits and lists."""

    name: str
    title: str
    sample_rate: int
    voices: tuple[str, ...]
    parts: tuple[str, ...]
    min_sec: float  # a training clip is at least this long
    max_sec: float  # and at most this long
    unpronounceable: Callable[[str], str | None]  # why a text cannot be spoken, or None
    base_sha256: str  # of the base weights that `load` would load
    version: str  # of the code that speaks: part of every clip's content key


class RowMixer(Protocol):
    """Makes row i of every adapted layer's input use `rows[i]`'s adapter at its scale, inside the `with` block."""

    def using(self, rows: Sequence[SpeakRow]) -> AbstractContextManager[None]: ...


class SpeechModel(Protocol):
    """A loaded base model. All weights stay as loaded: training and speaking change only injected adapters."""

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
        """Named scalar losses, one a part; `seed` None is the deterministic validation pass."""
        ...

    def speak(self, rows: Sequence[SpeakRow], mixer: RowMixer | None = None) -> list[Speech]:
        """Render all rows in one batch. Row i's audio depends on row i alone: its noise has its own generator."""
        ...


# name -> module that has `load(base_model: str, device: str) -> SpeechModel`
BACKENDS: dict[str, str] = {"finch": "engine.backends.finch.speech_model"}
# name -> module that has `info() -> BackendInfo` and imports no torch
INFO: dict[str, str] = {"finch": "engine.backends.finch.info"}


def info(name: str) -> BackendInfo:
    """What is known of a backend without loading it. Raises NotFound with the known names."""
    if name not in INFO:
        raise NotFound(f"There is no backend named {name!r}; known are: {', '.join(sorted(INFO))}.")
    found: BackendInfo = import_module(INFO[name]).info()
    return found


def load(name: str, base_model: str = "", device: str = "cpu") -> SpeechModel:
    """Load a backend's base model. Raises NotFound with the known names."""
    if name not in BACKENDS:
        raise NotFound(f"There is no backend named {name!r}; known are: {', '.join(sorted(BACKENDS))}.")
    model: SpeechModel = import_module(BACKENDS[name]).load(base_model=base_model, device=device)
    return model
