"""What a `SpeechModel` may offer beyond its protocol, an ability a class. Whoever needs one asks with `isinstance`.

Knows no backend, and nothing of what the abilities are used for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from engine.backends.speech_model import SpeechModel
from engine.types import Adapter, Utterance

if TYPE_CHECKING:
    from torch import nn


@runtime_checkable
class RecomputesLayers(Protocol):
    """Offers gradient checkpointing."""

    def checkpointed_layers(self, part: str) -> Sequence[nn.Module]:
        """Layers of a part whose activations are worth computing twice; none where nothing is."""
        ...


@runtime_checkable
class MeasuresClips(Protocol):
    """Can compute what depends on one clip alone, so that a dataset is read piece by piece."""

    def measure(self, utterances: Sequence[Utterance], cache: Path) -> None:
        """Put these clips' measurements into `cache`, where they are not there yet."""
        ...


@runtime_checkable
class CountsLossTokens(Protocol):
    """Knows over how many tokens its loss is a mean, where that is not the example's length."""

    def loss_tokens(self, example: Any) -> int:
        """Tokens of an example that the loss is taken over."""
        ...


@runtime_checkable
class KnowsUnloaded(Protocol):
    """Can tell from a run's own examples where a model without its weights would start."""

    def unloaded_loss(self, examples: Sequence[Any]) -> Mapping[str, float]:
        """By part, the loss with which these examples would begin."""
        ...


@runtime_checkable
class KeepsOnePart(Protocol):
    """Has parts that are of no use to one another, so that a card needs to hold but one."""

    def keep_one_part(self) -> None:
        """From now on the part that computes, or is asked for, is on the device, and no other."""
        ...


@runtime_checkable
class NamesLosses(Protocol):
    """Has losses that do not belong to a part each: all of them teach all parts."""

    def loss_names(self, parts: Sequence[str]) -> tuple[str, ...]:
        """What `loss` returns for these parts, the most telling one first."""
        ...


@runtime_checkable
class TellsSteps(Protocol):
    """Calls `on_step`, where it is set, between two steps of speaking: what it raises ends the speaking there."""

    on_step: Callable[[int, int], None] | None
    """Told the steps so far and the most there can be."""


@runtime_checkable
class ChecksTraining(Protocol):
    """Can prove that its training step teaches what it speaks."""

    def agreement(self, text: str, voice: str) -> float:
        """The share of greedily spoken codes that the training step predicts where it puts them; 1.0 when it is
        right, whatever the weights are.
        """
        ...


@runtime_checkable
class HostsAdapters(Protocol):
    """Keeps the adapters itself: its weights are in another process."""

    def add_adapter(self, adapter: Adapter) -> None:
        """Make an adapter known where the weights are."""
        ...

    def remove_adapter(self, sha256: str) -> None:
        """Let go of one."""
        ...

    def bring_in(self, source: Path, runs_root: Path, *, name: str, now: float, voice: str, part: str) -> Path:
        """`engine.importing.bring_in`, where the weights are; returns the checkpoint's folder."""
        ...

    def close(self) -> None:
        """Free the memory of the weights; the next call loads them again."""
        ...


def loss_names(model: SpeechModel, parts: Sequence[str]) -> tuple[str, ...]:
    """The names of what `model.loss` returns for these parts."""
    return model.loss_names(parts) if isinstance(model, NamesLosses) else tuple(parts)
