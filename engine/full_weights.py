"""Full weights on disk, read for one module, strictly, and laid over a loaded base at any scale.

Knows `full.safetensors` and that a module's own tensors are written to and put back. Does not know hashes, rows or
when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from engine.adapter_files import FULL_FILE
from engine.types import BadInput, Refused


def read_part(folder: Path, module: nn.Module) -> dict[str, Tensor]:
    """The weights of one part by their names in `module`, in main memory.

    Raises BadInput when the file is missing or damaged, Refused when it lacks a parameter of the module, has one too
    many, or one of another shape.
    """
    path = folder / FULL_FILE
    if not path.is_file():
        raise BadInput(f"{path} is missing: weights are read from safetensors only; copy the whole folder again.")
    try:
        found = load_file(str(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(f"{path} is damaged ({error}): copy it again from where it came.") from error
    own = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    if strange := sorted(found.keys() ^ own.keys()):
        has = "lacks" if strange[0] in own else "has, beyond this model's,"
        raise Refused(f"{path} {has} {strange[0]}: it belongs to another model.")
    for name, shape in own.items():
        if tuple(found[name].shape) != shape:
            raise Refused(f"{name} in {path} has shape {tuple(found[name].shape)} instead of {shape}: another model's.")
    return found


@dataclass(frozen=True, eq=False)
class FullWeights:
    """What a checkpoint changed of one part: the tensors that differ from the base's, in main memory."""

    changed: Mapping[str, Tensor]

    @property
    def bytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in self.changed.values())


def difference(folder: Path, module: nn.Module) -> FullWeights:
    """Read one part and keep what differs from `module`, which must hold the base."""
    own = dict(module.named_parameters())
    read = read_part(folder, module)
    return FullWeights({n: t for n, t in read.items() if not torch.equal(t.to(own[n].dtype), own[n].detach().cpu())})


class Overlay:
    """One module's base with, for a while, other weights over it. The base comes back bit for bit: it was kept.

    Only tensors that some checkpoint changes are kept twice.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._base: dict[str, Tensor] = {}
        self._covered: set[str] = set()

    @torch.no_grad()
    def lay(self, weights: FullWeights, scale: float) -> None:
        """Write `base + scale * (full - base)` over what the checkpoint changed; at scale 1 the full weights
        themselves. What an earlier one changed beyond that is the base's again.
        """
        parameters = dict(self._module.named_parameters())
        self._restore(self._covered - weights.changed.keys(), parameters)
        self._covered &= weights.changed.keys()
        for name, tensor in weights.changed.items():
            parameter = parameters[name]
            if name not in self._base:
                self._base[name] = parameter.detach().clone()
            base = self._base[name]
            self._covered.add(name)
            full = tensor.to(parameter.device, parameter.dtype)
            parameter.copy_(full if scale == 1.0 else torch.lerp(base, full, scale))

    @torch.no_grad()
    def lift(self) -> None:
        """Put the base back."""
        self._restore(self._covered, dict(self._module.named_parameters()))
        self._covered = set()

    def forget(self, wanted: set[str]) -> None:
        """Drop the kept base tensors that no checkpoint needs any more. Call it when nothing is laid over."""
        for name in self._base.keys() - wanted:
            del self._base[name]

    def _restore(self, names: set[str], parameters: Mapping[str, nn.Parameter]) -> None:
        for name in names:
            parameters[name].copy_(self._base[name])
