"""A tuned IndexTTS2 in upstream's layout: `gpt.pth` with the adapter or the full weights in it.

Upstream has no adapters: whoever wants a tuned voice there needs the GPT whole. Knows names and which way round its
weights lie.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from engine.backends.indextts2.info import PARTS, ModelFolder
from engine.types import Adapter, Refused

FULL_FILE = "full.safetensors"  # Earmark's own
PEFT_CONFIG, PEFT_WEIGHTS, PEFT_PREFIX = "adapter_config.json", "adapter_model.safetensors", "base_model.model."
VOICE_FILE = "voice.json"


def write(adapter: Adapter, lora_scale: float, folder: Path, base: ModelFolder) -> None:
    """Write `gpt.pth` as upstream loads it, at a scale, and what the voice's name says."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    path = base.file("gpt_checkpoint")
    weights = torch.load(path, map_location="cpu", weights_only=True)
    weights = dict(weights.get("model", weights))
    change = _full if adapter.kind == "full" else _merged
    change(weights, adapter.path / PARTS[0], lora_scale)
    torch.save(weights, folder / path.name)
    told = {"backend": adapter.backend, "voice": adapter.voice, "lora_scale": lora_scale}
    (folder / VOICE_FILE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _merged(weights: dict[str, Any], part: Path, lora_scale: float) -> None:
    """W + scale alpha / r B A, for every projection (Hu et al. 2021, arXiv:2106.09685); a Conv1D's W lies the other way
    round.
    """
    from safetensors.torch import load_file

    config = json.loads((part / PEFT_CONFIG).read_text(encoding="utf-8"))
    rank = int(config["r"])
    scaling = float(config["lora_alpha"]) / (math.sqrt(rank) if config.get("use_rslora") else rank)
    tensors = load_file(str(part / PEFT_WEIGHTS))
    for key, a in tensors.items():
        if ".lora_A." not in key:
            continue
        name = key.removeprefix(PEFT_PREFIX).partition(".lora_A.")[0] + ".weight"
        b = tensors[key.replace(".lora_A.", ".lora_B.")]
        if name not in weights:
            raise Refused(f"{part} adapts {name}, which the base's weights do not have; it belongs to another model.")
        added = lora_scale * scaling * (b.float() @ a.float())
        whole = weights[name].float() + (added.T if config.get("fan_in_fan_out") else added)
        weights[name] = whole.to(weights[name].dtype)


def _full(weights: dict[str, Any], part: Path, lora_scale: float) -> None:
    import torch
    from safetensors.torch import load_file

    for name, full in load_file(str(part / FULL_FILE)).items():
        if name not in weights:
            raise Refused(f"{part} holds {name}, which the base's weights do not have; it belongs to another model.")
        base = weights[name].to(full.dtype)
        weights[name] = full if lora_scale == 1.0 else torch.lerp(base, full, lora_scale)
