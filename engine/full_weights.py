"""Full weights on disk, read for one module, strictly, and laid over a loaded base at any scale.

Knows `full.safetensors` and that a module's own tensors are written to and put back. The file holds what training
changed, and names the tensors that it left as the base's: together they are all of the module's, or it belongs to
another model. Which base that is, `adapter.json` beside it says. Does not know hashes, rows or when.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from engine.adapter_files import FULL_FILE
from engine.types import BadInput, Refused

BASE_KEEPS = "base_keeps"  # in the file's metadata: a JSON list of the names that training left as the base's


def write_part(folder: Path, changed: Mapping[str, Tensor], base_keeps: Iterable[str]) -> None:
    """Write the tensors of one part that training changed, and the names of those that it did not.

    One entry of metadata alone: safetensors writes several in any order, and the same training gives the same bytes.
    """
    kept = sorted(base_keeps)
    metadata = {BASE_KEEPS: json.dumps(kept)} if kept else {"format": "pt"}
    save_file(dict(changed), folder / FULL_FILE, metadata=metadata)


def read_part(folder: Path, module: nn.Module) -> dict[str, Tensor]:
    """The weights of one part that training changed, by their names in `module`, in main memory.

    Raises BadInput when the file is missing or damaged, Refused when a parameter of the module is neither in it nor
    named as the base's, or when it has one too many, or one of another shape.
    """
    path = folder / FULL_FILE
    if not path.is_file():
        raise BadInput(f"{path} is missing: weights are read from safetensors only; copy the whole folder again.")
    try:
        found = load_file(str(path))
        kept = _base_keeps(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(f"{path} is damaged ({error}): copy it again from where it came.") from error
    own = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    if strange := sorted((found.keys() | kept) ^ own.keys()):
        has = "lacks" if strange[0] in own else "has, beyond this model's,"
        raise Refused(f"{path} {has} {strange[0]}: it belongs to another model.")
    for name, tensor in found.items():
        if tuple(tensor.shape) != own[name]:
            raise Refused(f"{name} in {path} has shape {tuple(tensor.shape)} instead of {own[name]}: another model's.")
    return found


def _base_keeps(path: Path) -> frozenset[str]:
    """None in a file from before checkpoints left out what they did not change: it holds everything."""
    with safe_open(str(path), framework="pt") as file:
        told = json.loads((file.metadata() or {}).get(BASE_KEEPS, "[]"))
    if not isinstance(told, list):
        raise ValueError(f"{BASE_KEEPS} is not a list")
    return frozenset(map(str, told))


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
