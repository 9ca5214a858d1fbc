"""A promoted voice for tools without a scale knob: alpha that carries the scale, or the weights merged at that scale.

Knows PEFT's files and the arithmetic of LoRA. Reads an adapter, writes new files; never a model in use.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from engine.adapter_files import CONFIG_FILE, FULL, LORA, WEIGHTS_FILE
from engine.types import Adapter, Refused

if TYPE_CHECKING:
    from torch import Tensor, nn

MERGED_FILE = "model.safetensors"


def bake(adapter: Adapter, scale: float, into: Path) -> None:
    """Copy the adapter into `into/<part>` with alpha times `scale`: at 1.0 it then is what it was at `scale`.

    The weights' bytes stay. A rank-stabilised adapter scales by alpha too, so both forms are right (PEFT: scaling =
    alpha / r, or alpha / sqrt(r)). Raises Refused for full weights, which have no alpha, and for alpha patterns, which
    would have to be scaled one by one.
    """
    if adapter.kind != LORA:
        raise Refused("Full weights have no alpha that could carry a scale; export merged weights instead.")
    for part in adapter.parts:
        target = into / part
        target.mkdir(parents=True)
        config = json.loads((adapter.path / part / CONFIG_FILE).read_text(encoding="utf-8"))
        config["lora_alpha"] = config["lora_alpha"] * scale
        if config.get("alpha_pattern"):
            config["alpha_pattern"] = {name: alpha * scale for name, alpha in config["alpha_pattern"].items()}
        (target / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        shutil.copyfile(adapter.path / part / WEIGHTS_FILE, target / WEIGHTS_FILE)


def merge(adapter: Adapter, part: str, module: nn.Module, scale: float, into: Path) -> None:
    """Write `into/<part>/model.safetensors`: every weight of the part, W + scale * scaling * B A where it is adapted
    (Hu et al. 2021, arXiv:2106.09685, section 4.1); of full weights W + scale * (full - W).

    `module` is the part of an untouched base model and stays as it is. Products are taken in double precision and
    rounded once to the weight's own type.
    """
    state = module.state_dict()
    weights = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    for name, moved in _moved(adapter, part, module, scale).items():
        same = [other for other, value in state.items() if value.data_ptr() == state[name].data_ptr()]
        for other in same:  # a tensor with two names (tied embeddings) moves under both
            weights[other] = moved
    _write(weights, into / part)


def _moved(adapter: Adapter, part: str, module: nn.Module, scale: float) -> dict[str, Tensor]:
    """The tensors that differ from the base's, at the scale."""
    import torch

    from engine import full_weights, peft_files

    own = {name: parameter.detach().cpu() for name, parameter in module.named_parameters()}
    if adapter.kind == FULL:
        changed = full_weights.difference(adapter.path / part, module).changed
        full = {name: tensor.to(own[name].dtype) for name, tensor in changed.items()}
        return {n: t if scale == 1.0 else torch.lerp(own[n], t, scale) for n, t in full.items()}
    found = {}
    for name, pair in peft_files.read_part(adapter.path / part, module).items():
        base = own[f"{name}.weight"]
        update = (pair.a.double().cpu() @ pair.b.double().cpu()).t() * (pair.scaling * scale)
        found[f"{name}.weight"] = (base.double() + update).to(base.dtype).contiguous()
    return found


def _write(weights: dict[str, Tensor], folder: Path) -> None:
    """Tied tensors are written once each: safetensors refuses two names for one storage."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    save_file({name: value.clone() for name, value in weights.items()}, str(folder / MERGED_FILE))
