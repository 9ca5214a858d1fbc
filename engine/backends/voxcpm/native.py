"""Upstream's own layouts: `lora_weights.safetensors` with `lora_config.json`, from PEFT's format and to it, and whole
model folders from full weights.

Knows both namings and what strength a file has: upstream multiplies by alpha / r with a whole alpha, and takes whatever
fits by name, so that a wrong rank or a missing tensor is refused here. Reads no pickles.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.backends.voxcpm import info
from engine.backends.voxcpm.info import PARTS, PROJECTIONS, ModelFolder
from engine.types import Adapter, BadInput, Refused

CONFIG_FILE, WEIGHTS_FILE, PICKLE_FILE = "lora_config.json", "lora_weights.safetensors", "lora_weights.ckpt"
FULL_FILE = "full.safetensors"  # Earmark's own, a part
TOKENIZER_FILES = (info.TOKENIZER_FILE, "tokenizer_config.json", "special_tokens_map.json", "tokenizer.model")
PEFT_CONFIG, PEFT_WEIGHTS, PEFT_PREFIX = "adapter_config.json", "adapter_model.safetensors", "base_model.model."
# How the names of a part's Linears begin in upstream's model; the other parts are its own attributes.
DIT = "feat_decoder.estimator."
# Names of upstream's config: whether a part has an adapter, and on which Linears.
ENABLED = {"lm": "enable_lm", "dit": "enable_dit", "proj": "enable_proj"}
TARGETS = {"lm": "target_modules_lm", "dit": "target_modules_dit", "proj": "target_proj_modules"}
# What makes an adapted Linear compute something else than x A B * scaling.
_OTHER_FORMS = ("use_dora", "lora_bias", "modules_to_save", "rank_pattern", "alpha_pattern", "target_parameters")


def write(adapter: Adapter, lora_scale: float, folder: Path) -> bool:
    """Write an adapter at a scale as upstream's tools load it; False for one that their layout cannot hold: full
    weights, or modules that they do not adapt.
    """
    if adapter.kind != "lora":
        return False
    from safetensors.torch import load_file, save_file

    rank, alpha = adapter.rank, max(1, round(adapter.alpha))
    tensors, told = {}, _nothing(rank, alpha)
    for part in adapter.parts:
        config = json.loads((adapter.path / part / PEFT_CONFIG).read_text(encoding="utf-8"))
        found = load_file(str(adapter.path / part / PEFT_WEIGHTS))
        names = {_linear(key) for key in found}
        if (
            int(config["r"]) != rank
            or any(config.get(key) for key in _OTHER_FORMS)
            or not _is_native(part, adapter, names)
        ):
            return False
        factor = lora_scale * _scaling(config) / (alpha / rank)
        for key, tensor in found.items():
            whole = tensor if factor == 1.0 or ".lora_A." in key else tensor * factor
            tensors[_native_key(part, key)] = whole.contiguous()
        told[ENABLED[part]] = True
        told[TARGETS[part]] = sorted({name.rpartition(".")[2] for name in names})
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    written = {"base_model": adapter.backend, "lora_config": told}
    (folder / CONFIG_FILE).write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    return True


def write_full(adapter: Adapter, lora_scale: float, folder: Path, base: ModelFolder) -> None:
    """Write a model folder as upstream's class loads it, with full weights at a scale between `base` and themselves.

    What was not trained is the base's; the trained weights are in single precision, as upstream saves them.
    """
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(str(base.path / info.WEIGHTS_FILE))
    for part in adapter.parts:
        for name, full in load_file(str(adapter.path / part / FULL_FILE)).items():
            key = f"{DIT if part == 'dit' else ''}{name}"
            tensors[key] = full if lora_scale == 1.0 else torch.lerp(tensors[key].to(full.dtype), full, lora_scale)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / info.WEIGHTS_FILE, metadata={"format": "pt"})
    for name in (info.CONFIG_FILE, base.codec.name, *TOKENIZER_FILES):
        if (base.path / name).is_file():
            shutil.copyfile(base.path / name, folder / name)


def read(source: Path, into: Path) -> tuple[str, ...]:
    """Write upstream's adapter in `source` to `into` as PEFT has it, a folder a part; returns the parts.

    Raises BadInput for files that are damaged, missing or pickles, Refused for tensors of another rank than the config
    says, or that no part has.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    told = _config(source)
    path = source / WEIGHTS_FILE
    if not path.is_file():
        why = f" {PICKLE_FILE} is a pickle and is not read." if (source / PICKLE_FILE).is_file() else ""
        raise BadInput(f"{path} is missing.{why} Copy the whole folder, saved by voxcpm with safetensors installed.")
    try:
        tensors = load_file(str(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(f"{path} is damaged ({error}); copy it again from where it came.") from error
    parts = tuple(part for part in PARTS if any(_part_of(key) == part for key in tensors))
    if not parts:
        raise Refused(f"{path} holds no LoRA weights of VoxCPM; it belongs to another model.")
    for key, tensor in tensors.items():
        found = tensor.shape[0] if key.endswith(".lora_A") else tensor.shape[-1]
        if not key.endswith((".lora_A", ".lora_B")) or found != told["r"]:
            raise Refused(
                f"{key} in {path} is of rank {found} where {CONFIG_FILE} says {told['r']}: they do not belong "
                "together; find the config that was saved with these weights."
            )
    for part in parts:
        own = {_peft_key(part, key): tensor for key, tensor in tensors.items() if _part_of(key) == part}
        _write_peft(into / part, own, told)
    return parts


def is_native(folder: Path) -> bool:
    """Whether this is a folder of upstream's."""
    return (folder / CONFIG_FILE).is_file() or (folder / WEIGHTS_FILE).is_file() or (folder / PICKLE_FILE).is_file()


def _config(source: Path) -> Mapping[str, Any]:
    path = source / CONFIG_FILE
    try:
        read_back = json.loads(path.read_text(encoding="utf-8"))
        told = read_back.get("lora_config", read_back)
        return {"r": int(told["r"]), "alpha": float(told["alpha"]), "dropout": float(told.get("dropout", 0.0))}
    except FileNotFoundError as error:
        raise BadInput(
            f"{path} is missing: without it nobody knows the strength of the weights; copy it from the checkpoint."
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path} is damaged ({error!r}); copy it again from where it came.") from error


def _write_peft(folder: Path, tensors: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    from peft import LoraConfig
    from safetensors.torch import save_file

    # Complete names: upstream may have adapted some of the Linears of a name and not others.
    targets = sorted({_linear(key) for key in tensors})
    alpha: Any = int(told["alpha"]) if told["alpha"] == int(told["alpha"]) else told["alpha"]
    folder.mkdir(parents=True)
    config = LoraConfig(r=told["r"], lora_alpha=alpha, lora_dropout=told["dropout"], target_modules=targets)
    config.save_pretrained(str(folder))
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / PEFT_WEIGHTS)


def _nothing(rank: int, alpha: int) -> dict[str, Any]:
    told: dict[str, Any] = {"r": rank, "alpha": alpha, "dropout": 0.0}
    return told | dict.fromkeys(ENABLED.values(), False)


def _scaling(config: Mapping[str, Any]) -> float:
    rank = int(config["r"])
    return float(config["lora_alpha"]) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _is_native(part: str, adapter: Adapter, names: set[str]) -> bool:
    """Upstream finds Linears below a part by the last piece of their name, projections among the model's attributes."""
    return part != "proj" or names <= set(PROJECTIONS[adapter.backend])


def _linear(key: str) -> str:
    """The name of the Linear that a tensor of PEFT's belongs to."""
    return key.removeprefix(PEFT_PREFIX).rpartition(".lora_")[0]


def _native_key(part: str, key: str) -> str:
    prefix = DIT if part == "dit" else ""
    return prefix + key.removeprefix(PEFT_PREFIX).removesuffix(".weight")


def _peft_key(part: str, key: str) -> str:
    return f"{PEFT_PREFIX}{key.removeprefix(DIT) if part == 'dit' else key}.weight"


def _part_of(key: str) -> str:
    if key.startswith(("base_lm.", "residual_lm.")):
        return "lm"
    return "dit" if key.startswith(DIT) else "proj"
