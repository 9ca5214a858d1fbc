"""A promoted voice for tools without a scale knob: alpha that carries the scale, or the weights merged at that scale.

Knows PEFT's files and the arithmetic of LoRA. Reads an adapter, writes new files; never a model in use.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from engine.adapters import CONFIG_FILE, WEIGHTS_FILE
from engine.types import Adapter, Refused

if TYPE_CHECKING:
    from torch import nn

MERGED_FILE = "model.safetensors"


def bake(adapter: Adapter, scale: float, into: Path) -> None:
    """Copy the adapter into `into/<part>` with alpha times `scale`: at 1.0 it then is what it was at `scale`.

    The weights' bytes stay. A rank-stabilised adapter scales by alpha too, so both forms are right (PEFT: scaling =
    alpha / r, or alpha / sqrt(r)). Raises Refused for full weights, which have no alpha, and for alpha patterns, which
    would have to be scaled one by one.
    """
    if adapter.kind != "lora":
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
    (Hu et al. 2021, arXiv:2106.09685, section 4.1).

    `module` is the part of an untouched base model and stays as it is. Products are taken in double precision and
    rounded once to the weight's own type.
    """
    import torch
    from safetensors.torch import save_file

    from engine import peft_files

    weights = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    for name, pair in peft_files.read_part(adapter.path / part, module).items():
        key = f"{name}.weight"
        update = (pair.a.double().cpu() @ pair.b.double().cpu()).t() * (pair.scaling * scale)
        weights[key] = (weights[key].to(torch.float64) + update).to(weights[key].dtype).contiguous()
    (into / part).mkdir(parents=True)
    # Tied tensors are written once each: safetensors refuses two names for one storage.
    save_file({name: value.clone() for name, value in weights.items()}, str(into / part / MERGED_FILE))
