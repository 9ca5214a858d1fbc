"""The voices that are measured: Finch, sixteen adapters of it, and Finch under PEFT's own adapter layers.

The adapters are too weak to change a token, so every way of serving them does the same work: the same texts, the same
tokens, the same seconds of audio. That they do is checked by the caller, not assumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import peft
import torch
from torch import nn

from engine import backends
from engine.adapter_files import write_adapter
from engine.backends.speech_model import SpeechModel
from engine.types import Adapter, GenerationSettings, SpeakRow

COUNT = 16
RANK, ALPHA = 8, 16
WEAK = 1e-5
TEXTS = (
    "The birch canoe slid on the smooth planks.",
    "Glue the sheet to the dark blue background.",
    "It is easy to tell the depth of a well.",
    "These days a chicken leg is a rare dish.",
    "Rice is often served in round bowls.",
    "The juice of lemons makes fine punch.",
    "The box was thrown beside the parked truck.",
    "The hogs were fed chopped corn and garbage.",
    "Four hours of steady work faced us.",
    "A large size in stockings is hard to sell.",
    "The boy was there when the sun rose.",
    "A rod is used to catch pink salmon.",
    "The source of the huge river is the clear spring.",
    "Kick the ball straight and follow through.",
    "Help the woman get back to her feet.",
    "A pot of tea helps to pass the evening.",
)
"""Harvard sentences (IEEE 1969), about two to three seconds each."""


def scale(index: int) -> float:
    """Another scale for every row, 0.1 to 1.6."""
    return 0.1 * (index + 1)


def make_adapters(folder: Path, model: SpeechModel) -> list[Adapter]:
    """Sixteen adapters with random weights, written by PEFT for every part of the model."""
    voice = model.capabilities.voices[0]
    wrapped = {}
    for part in model.lora_parts():
        config = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=list(part.target_modules))
        wrapped[part.name] = peft.get_peft_model(cast(Any, deepcopy(model.part(part.name))), config)
    adapters = []
    for index in range(COUNT):
        generator = torch.Generator().manual_seed(index)
        for name, one in wrapped.items():
            for key, parameter in one.named_parameters():
                if "lora_" in key:
                    parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * WEAK**0.5)
            one.save_pretrained(str(folder / f"{index:02d}" / name))
        adapters.append(
            write_adapter(
                folder / f"{index:02d}",
                backend=model.name,
                base_sha256=model.base_sha256,
                voice=voice,
                parts=model.capabilities.parts,
                rank=RANK,
                alpha=ALPHA,
                voice_settings={},
            )
        )
    return adapters


def rows(voice: str, adapters: Sequence[Adapter | None], scales: Sequence[float]) -> list[SpeakRow]:
    """One row a text; `max_factor` 1 keeps an unlucky runaway from being what is measured."""
    return [
        SpeakRow(
            text=text,
            voice=voice,
            seed=index,
            adapter_sha256=adapter.sha256 if adapter else None,
            lora_scale=at,
            settings=GenerationSettings(max_factor=1.0),
        )
        for index, (text, adapter, at) in enumerate(zip(TEXTS, adapters, scales, strict=True))
    ]


def load_peft(module: nn.Module, folder: Path, name: str = "default") -> peft.PeftModel:
    """`module` with PEFT's own layers and one adapter, ready to speak."""
    # PEFT's types ask for a transformers model; it works with any module.
    return peft.PeftModel.from_pretrained(cast(Any, module), str(folder), adapter_name=name).eval()


class PeftVoice:
    """Finch with all adapters in PEFT's layers, driven by the same generation loop through PEFT's mixed batch."""

    def __init__(self, base_model: str, adapters: Sequence[Adapter]) -> None:
        self.model = backends.load("finch", base_model)
        self.names = {adapter.sha256: adapter.sha256[:16] for adapter in adapters}
        self.parts: list[peft.PeftModel] = []
        for part in self.model.capabilities.parts:
            first, *others = adapters
            wrapped = load_peft(self.model.part(part), first.path / part, self.names[first.sha256])
            for adapter in others:
                wrapped.load_adapter(str(adapter.path / part), adapter_name=self.names[adapter.sha256])
            self.parts.append(wrapped)

    def layers(self) -> list[peft.tuners.lora.LoraLayer]:
        """Every adapted layer of every part."""
        return [m for part in self.parts for m in part.modules() if isinstance(m, peft.tuners.lora.LoraLayer)]

    def set_scale(self, adapter: Adapter, at: float) -> None:
        """The absolute scale of one adapter, in every layer."""
        name = self.names[adapter.sha256]
        for layer in self.layers():
            layer.set_scale(name, at)

    def activate(self, adapter: Adapter) -> None:
        """This adapter for all rows from now on."""
        for part in self.parts:
            part.set_adapter(self.names[adapter.sha256], inference_mode=True)

    @contextmanager
    def using(self, rows: Sequence[SpeakRow]) -> Iterator[None]:
        """PEFT's `adapter_names`, one name a row."""
        names = [self.names[row.adapter_sha256] if row.adapter_sha256 else "__base__" for row in rows]
        with ExitStack() as stack:
            for part in self.parts:
                stack.enter_context(cast(Any, part.base_model)._enable_peft_forward_hooks(adapter_names=names))
            yield


class Unmixed:
    """PEFT's plain layers with whatever adapter is active: serves all rows alike."""

    @contextmanager
    def using(self, rows: Sequence[SpeakRow]) -> Iterator[None]:
        """Nothing to do."""
        yield
