"""How large a model is, known before it is loaded: what a memory estimate needs, without torch.

Knows how tensors are counted from the header of a safetensors file and what a transformer layer keeps for its backward
pass. A backend whose `info` module has `size()` offers these facts; `engine.memory` computes with them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from engine import backends

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Saved:
    """Numbers that a part keeps for its backward pass, a position.

    `trained` where all weights are trained, `frozen` where only adapters are (their own not counted): a frozen Linear
    does not need its input again. `layer` is one layer's share, `boundary` what is kept between layers when they are
    computed twice (0 where they cannot be), `outputs` what the loss keeps.
    """

    trained: int
    frozen: int
    layer: int = 0
    boundary: int = 0
    outputs: int = 0


@dataclass(frozen=True, kw_only=True)
class PartSize:
    """One part that can be trained. `tensors` are the numbers in each weight; `linears` (inputs, outputs) by name."""

    name: str
    tensors: tuple[int, ...]
    linears: Mapping[str, tuple[tuple[int, int], ...]]
    targets: tuple[str, ...]  # that get an adapter unless the run names others
    saved: Saved
    positions_a_token: float = 1.0  # of the batch's tokens, how many positions this part computes

    @property
    def parameters(self) -> int:
        return sum(self.tensors)

    def adapter_tensors(self, rank: int, targets: Sequence[str]) -> tuple[int, ...]:
        """The numbers in each LoRA matrix, A (rank x inputs) and B (outputs x rank), of the Linears with these names
        (Hu et al. 2021, arXiv:2106.09685).
        """
        adapted = [shape for name in targets for shape in self.linears.get(name, ())]
        return tuple(numbers for inputs, outputs in adapted for numbers in (rank * inputs, outputs * rank))


@dataclass(frozen=True, kw_only=True)
class ModelSize:
    """All of a model: `frozen_parameters` are loaded beside the parts and never trained."""

    parts: tuple[PartSize, ...]
    frozen_parameters: int
    bytes_a_weight: int  # as they are held while training
    tokens_a_second: float  # of a training example, text and speech together, at most
    feature_bytes_a_second: int  # of cached features

    @property
    def parameters(self) -> int:
        return self.frozen_parameters + sum(part.parameters for part in self.parts)


def of(backend: str, base_model: str = "") -> ModelSize | None:
    """A backend's sizes; None where they are not known. Raises NotFound for a backend that is not there."""
    backends.info(backend, base_model)
    module = import_module(backends.INFO[backend])
    if not hasattr(module, "size"):
        return None
    brought = (backend, backends.folder(backend, base_model)) if backend in backends.FOLDERS else ()
    found: ModelSize | None = module.size(*brought)
    return found


def shapes(path: Path) -> Shapes:
    """The shape of every tensor in a safetensors file, by name: 8 bytes of length, then JSON. Reads no weights."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return {name: tuple(told["shape"]) for name, told in header.items() if name != "__metadata__"}


def numbers(found: Shapes) -> tuple[int, ...]:
    """The numbers in each tensor."""
    return tuple(math.prod(shape) for shape in found.values())


def linears(found: Shapes) -> dict[str, tuple[tuple[int, int], ...]]:
    """(inputs, outputs) of every matrix, by the last part of its module's name. Embeddings are among them: whoever
    asks by the names of Linears does not meet them.
    """
    by_name: dict[str, list[tuple[int, int]]] = {}
    for name, shape in found.items():
        if name.endswith(".weight") and len(shape) == 2:
            by_name.setdefault(name.split(".")[-2], []).append((shape[1], shape[0]))
    return {name: tuple(all_of_them) for name, all_of_them in by_name.items()}


def transformer(*, layers: int, width: int, feed_forward: int, outputs: int) -> Saved:
    """What a stack of Llama-like layers keeps a token, with attention that keeps no matrix of scores.

    After Korthikanti et al. 2022 (arXiv:2205.05198, section 4.1), counted anew for this kind of layer: two RMS norms
    keep 4 widths, their outputs 2, queries, keys and values 3, the attention's output 2, the gated feed-forward 4 times
    its own width. With frozen weights the norms keep half, and inputs of Linears nothing. The loss keeps logits and
    their log-softmax.
    """
    full, frozen = 11 * width + 4 * feed_forward, 6 * width + 3 * feed_forward
    return Saved(
        trained=layers * full, frozen=layers * frozen, layer=full, boundary=layers * width, outputs=2 * outputs
    )
