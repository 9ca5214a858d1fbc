"""Adapters in the layouts that CosyVoice's tools use: merged `llm.pt` and `flow.pt` written, with a voice that upstream
speaks by its name, and others' LoRA read.

Upstream has no adapters: whoever wants a tuned voice there needs whole weights. Others train PEFT on the language model
inside upstream's class, so that their names lack what is around it. Reads no pickles of adapters.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.backends.cosyvoice.info import PARTS, ModelFolder
from engine.backends.cosyvoice.versions import SPEAKERS
from engine.types import Adapter, BadInput, Refused

FULL_FILE = "full.safetensors"  # Earmark's own, a part
PEFT_CONFIG, PEFT_WEIGHTS, PEFT_PREFIX = "adapter_config.json", "adapter_model.safetensors", "base_model.model."
# Where the language model is in upstream's class: what those names lack that were trained on it alone.
INNER = "llm.model."
_INNERMOST = f"{PEFT_PREFIX}model.layers."
VOICE_FILE = "voice.json"
NAME = "tuned"  # of the voice, for upstream's sft mode


def write(adapter: Adapter, lora_scale: float, folder: Path, base: ModelFolder) -> None:
    """Write the parts as upstream loads them, `llm.pt` and `flow.pt`, with the adapter at a scale in them, and what
    speaking without a reference needs: the speaker vector, under a name among the base's own in `spk2info.pt`.
    """
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    for part in adapter.parts:
        weights = torch.load(base.path / f"{part}.pt", map_location="cpu", weights_only=True)
        change = _full if adapter.kind == "full" else _merged
        change(weights, adapter.path / part, lora_scale)
        torch.save(weights, folder / f"{part}.pt")
    speaker = [value for name, value in sorted(adapter.voice_settings.items()) if name.startswith("speaker_")]
    if speaker:
        own = torch.load(base.path / SPEAKERS, weights_only=True) if (base.path / SPEAKERS).is_file() else {}
        torch.save({**own, NAME: {"embedding": torch.tensor([speaker])}}, folder / SPEAKERS)
    told = {"backend": adapter.backend, "parts": list(adapter.parts), "lora_scale": lora_scale, "speaker": speaker}
    told |= {"voice": NAME} if speaker else {}
    (folder / VOICE_FILE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _merged(weights: dict[str, Any], part: Path, lora_scale: float) -> None:
    """W + scale alpha / r B A, for every Linear of a part (Hu et al. 2021, arXiv:2106.09685)."""
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
        whole = weights[name].float() + lora_scale * scaling * (b.float() @ a.float())
        weights[name] = whole.to(weights[name].dtype)


def _full(weights: dict[str, Any], part: Path, lora_scale: float) -> None:
    import torch
    from safetensors.torch import load_file

    for name, full in load_file(str(part / FULL_FILE)).items():
        base = weights[name].to(full.dtype)
        weights[name] = full if lora_scale == 1.0 else torch.lerp(base, full, lora_scale)


# ----------------------------------------------------------------------------------------------------- others' adapters
def is_native(folder: Path) -> bool:
    """Whether this is an adapter of the language model inside upstream's class, as its LoRA trainers write it."""
    path = folder / PEFT_WEIGHTS
    if not path.is_file() or not (folder / PEFT_CONFIG).is_file():
        return False
    return any(key.startswith(_INNERMOST) for key in _header(path))


def read(source: Path, into: Path) -> tuple[str, ...]:
    """Write such an adapter to `into` as PEFT has it over upstream's class, a folder a part; returns the parts.

    Raises BadInput for files that are damaged, Refused for tensors of another place or rank than the config says.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save_file

    try:
        config = json.loads((source / PEFT_CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(str(source / PEFT_WEIGHTS))
        rank = int(config["r"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise BadInput(f"The adapter in {source} is damaged ({error!r}); copy it again from where it came.") from error
    for key, tensor in tensors.items():
        found = tensor.shape[0] if ".lora_A." in key else tensor.shape[-1]
        if not key.startswith(_INNERMOST) or found != rank:
            raise Refused(
                f"{key} in {source / PEFT_WEIGHTS} is not of the language model's layers, or not of rank {rank} as its "
                "config says; find the config that was saved with these weights."
            )
    target = into / PARTS[0]
    target.mkdir(parents=True)
    renamed = {f"{PEFT_PREFIX}{INNER}{key.removeprefix(PEFT_PREFIX)}": tensor for key, tensor in tensors.items()}
    # of another class now: PEFT would look for a causal language model's own methods
    (target / PEFT_CONFIG).write_text(json.dumps({**config, "task_type": None}, indent=2) + "\n", encoding="utf-8")
    save_file({key: tensor.contiguous() for key, tensor in renamed.items()}, target / PEFT_WEIGHTS)
    return (PARTS[0],)


def _header(path: Path) -> Mapping[str, Any]:
    from engine.backends import sizes

    try:
        return sizes.shapes(path)
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"{path} is damaged ({error!r}); copy it again from where it came.") from error
