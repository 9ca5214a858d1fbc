"""What a voice must be able to do: the `SpeechModel` protocol and the table of backends.

Knows how to find a backend by name, and the folder of weights that some need, and nothing about any of them. Nothing is
imported until a backend is loaded, so the list of names is free of torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from engine.backends import folders
from engine.backends.exporter import Exporter
from engine.types import Adapter, GenerationSettings, NotFound, SpeakingSetting, SpeakRow, Speech, Utterance

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.backends.serve.process import Interpreter


INSTRUCTION = "@"  # between a voice and what it is told: it stays with run, adapter, candidate and clip


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
    full_sft: bool = False  # all weights of a part can be trained
    reference: str = "none"  # as `Capabilities` has it, and so the next two
    mixes_rows: bool = True
    languages: tuple[str, ...] = ()  # none: any
    usual: GenerationSettings = field(default_factory=GenerationSettings)  # where nothing else is asked for
    own_settings: tuple[SpeakingSetting, ...] = ()  # what it can be told beside the settings that all have
    unloaded_loss: Mapping[str, float] = field(default_factory=dict)  # by part: a model's without its weights
    tells_tokens: bool = False  # what it speaks comes with the discrete tokens that it was made of
    instructs: bool = False  # a voice followed by INSTRUCTION and some words is one that was told these words

    def has_voice(self, voice: str) -> bool:
        """Whether it has this voice, with an instruction where it can be given any."""
        name, mark, words = voice.partition(INSTRUCTION)
        return voice in self.voices or (self.instructs and name in self.voices and bool(mark and words.strip()))


class RowMixer(Protocol):
    """Makes row i of every adapted layer's input use `rows[i]`'s adapter at its scale, inside the `with` block."""

    def using(self, rows: Sequence[SpeakRow]) -> AbstractContextManager[None]: ...


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
        """Named scalar losses, one a part unless the model names them (`NamesLosses`). Training lowers their sum.

        `seed` None is the deterministic validation pass.
        """
        ...

    def speak(self, rows: Sequence[SpeakRow], mixer: RowMixer | None = None) -> list[Speech]:
        """Render all rows in one batch. Row i's audio depends on row i alone: its noise has its own generator."""
        ...


# What a SpeechModel may offer beyond that, each by itself.
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

    def unloaded_loss(self, examples: Sequence[Any]) -> Mapping[str, float]: ...  # by part


@runtime_checkable
class KeepsOnePart(Protocol):
    """Has parts that are of no use to one another, so that a card needs to hold but one."""

    def keep_one_part(self) -> None: ...  # whichever computes, or is asked for, is on the device; no other is


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

    def add_adapter(self, adapter: Adapter) -> None: ...

    def remove_adapter(self, sha256: str) -> None: ...

    def bring_in(self, source: Path, runs_root: Path, *, name: str, now: float, voice: str, part: str) -> Path:
        """`engine.importing.bring_in`, where the weights are; returns the checkpoint's folder."""
        ...

    def close(self) -> None:
        """Free the memory of the weights; the next call loads them again."""
        ...


def loss_names(model: SpeechModel, parts: Sequence[str]) -> tuple[str, ...]:
    """The names of what `model.loss` returns for these parts."""
    return model.loss_names(parts) if isinstance(model, NamesLosses) else tuple(parts)


# Backends whose weights people bring -> the environment variable that names their folder, or their name on the hub. One
# module may serve several: their `load(name, folder, device)`, `info(name, folder)` and `size(name, folder)` are told
# which and where.
FOLDERS: dict[str, str] = {
    "cosyvoice1": "EARMARK_COSYVOICE1",
    "cosyvoice2": "EARMARK_COSYVOICE2",
    "cosyvoice3": "EARMARK_COSYVOICE3",
    "csm": "EARMARK_CSM",
    "dia": "EARMARK_DIA",
    "indextts2": "EARMARK_INDEXTTS2",
    "pocket_tts": "EARMARK_POCKET_TTS",
    "qwen3_tts": "EARMARK_QWEN3_TTS",
    "voxcpm": "EARMARK_VOXCPM",
    "voxcpm2": "EARMARK_VOXCPM2",
}

# name -> module that has `load(base_model: str, device: str) -> SpeechModel`
BACKENDS: dict[str, str] = {
    "cosyvoice1": "engine.backends.cosyvoice.speech_model",
    "cosyvoice2": "engine.backends.cosyvoice.speech_model",
    "cosyvoice3": "engine.backends.cosyvoice.speech_model",
    "csm": "engine.backends.transformers_tts.speech_model",
    "dia": "engine.backends.transformers_tts.speech_model",
    "pocket_tts": "engine.backends.transformers_tts.speech_model",
    "finch": "engine.backends.finch.speech_model",
    "indextts2": "engine.backends.indextts2.speech_model",
    "qwen3_tts": "engine.backends.qwen3_tts.speech_model",
    "voxcpm": "engine.backends.voxcpm.speech_model",
    "voxcpm2": "engine.backends.voxcpm.speech_model",
}
# name -> module that has `info() -> BackendInfo` and imports no torch
INFO: dict[str, str] = {
    "cosyvoice1": "engine.backends.cosyvoice.info",
    "cosyvoice2": "engine.backends.cosyvoice.info",
    "cosyvoice3": "engine.backends.cosyvoice.info",
    "csm": "engine.backends.transformers_tts.info",
    "dia": "engine.backends.transformers_tts.info",
    "pocket_tts": "engine.backends.transformers_tts.info",
    "finch": "engine.backends.finch.info",
    "indextts2": "engine.backends.indextts2.info",
    "qwen3_tts": "engine.backends.qwen3_tts.info",
    "voxcpm": "engine.backends.voxcpm.info",
    "voxcpm2": "engine.backends.voxcpm.info",
}

# Voices that have an environment of their own -> the folder that declares it: `requirements.txt`, and in
# `requirements-alone.txt` what is installed without what it asks for. Voices of one folder share one.
ENVIRONMENTS: dict[str, Path] = {
    "cosyvoice1": Path(__file__).with_name("cosyvoice"),
    "cosyvoice2": Path(__file__).with_name("cosyvoice"),
    "cosyvoice3": Path(__file__).with_name("cosyvoice"),
    "indextts2": Path(__file__).with_name("indextts2"),
    "qwen3_tts": Path(__file__).with_name("qwen3_tts"),
}

# Licences that go with the weights that people bring, as forms and lists show them before anything is loaded.
LICENCES: dict[str, str] = {
    "cosyvoice1": "Apache 2.0",
    "cosyvoice2": "Apache 2.0",
    "cosyvoice3": "Apache 2.0",
    "indextts2": "bilibili Model Use License: for commercial use, contact its makers",
    "qwen3_tts": "Apache 2.0",
    "voxcpm": "Apache 2.0",
    "voxcpm2": "Apache 2.0",
}

# name -> module that is an `Exporter`; a backend without one is exported in PEFT's format alone
EXPORTERS: dict[str, str] = {
    "cosyvoice1": "engine.backends.cosyvoice.exporting",
    "cosyvoice2": "engine.backends.cosyvoice.exporting",
    "cosyvoice3": "engine.backends.cosyvoice.exporting",
    "csm": "engine.backends.transformers_tts.csm_export",
    "dia": "engine.backends.transformers_tts.dia_export",
    "pocket_tts": "engine.backends.transformers_tts.pocket_tts_export",
    "finch": "engine.backends.finch.exporting",
    "indextts2": "engine.backends.indextts2.exporting",
    "qwen3_tts": "engine.backends.qwen3_tts.exporting",
    "voxcpm": "engine.backends.voxcpm.exporting",
    "voxcpm2": "engine.backends.voxcpm.exporting",
}


def exporter(name: str) -> Exporter | None:
    """What an export of this backend's voices carries; None when there is nothing beyond the adapter."""
    found: Any = import_module(EXPORTERS[name]) if name in EXPORTERS else None
    exporting: Exporter | None = found
    return exporting


def names() -> tuple[str, ...]:
    """The backends that can be used here: built-in ones, then those that somebody named weights for."""
    here = [name for name in INFO if name not in FOLDERS or os.environ.get(FOLDERS[name])]
    return tuple(sorted(here, key=lambda name: (name in FOLDERS, name)))


def folder(name: str, base_model: str = "") -> Path:
    """Where the weights of a backend of FOLDERS are. Raises NotFound with the mend where there are none."""
    return folders.of(name, FOLDERS[name], base_model, os.environ)


def pinned(name: str, base_model: str = "") -> str:
    """The base weights to write down for a run: where they are a model of the hub, its name with the commit."""
    return folders.pinned(FOLDERS[name], base_model, os.environ) if name in FOLDERS else base_model


def info(name: str, base_model: str = "") -> BackendInfo:
    """What is known of a backend without loading it. Raises NotFound with the known names, or where the weights that
    it needs are not there; BadInput where they are not its own.
    """
    if name not in INFO:
        raise NotFound(f"There is no backend named {name!r}; known are: {', '.join(sorted(INFO))}.")
    module: Any = import_module(INFO[name])
    found: BackendInfo = module.info(name, folder(name, base_model)) if name in FOLDERS else module.info()
    return found


def load(name: str, base_model: str = "", device: str = "cpu", interpreter: Interpreter | None = None) -> SpeechModel:
    """Load a backend's base model: into this process, or into one of its own where an interpreter is given, which is
    good for speaking alone. Raises NotFound with the known names, or for weights that are not there.
    """
    if name not in BACKENDS:
        raise NotFound(f"There is no backend named {name!r}; known are: {', '.join(sorted(BACKENDS))}.")
    if interpreter is not None:
        from engine.backends.serve.proxy import ServedModel

        return ServedModel(name, base_model, device, interpreter)
    module: Any = import_module(BACKENDS[name])
    if name in FOLDERS:
        brought: SpeechModel = module.load(name, folder(name, base_model), device)
        return brought
    model: SpeechModel = module.load(base_model=base_model, device=device)
    return model
