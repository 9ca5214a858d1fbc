"""LoRA weights in PEFT's format on disk, read for one module, strictly.

Knows `adapter_config.json` and `adapter_model.safetensors` (PEFT decides which modules a config means). Whatever it
does not understand to the last tensor, it refuses: a silent mismatch would sound like a bad checkpoint. Never reads
pickles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from engine.adapter_files import CONFIG_FILE, WEIGHTS_FILE
from engine.types import BadInput, Refused

if TYPE_CHECKING:
    from peft import LoraConfig

PREFIX = "base_model.model."

# Settings that change what an adapted Linear computes into something other than x A B * scaling.
_OTHER_FORMS = (
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "lora_bias",
    "modules_to_save",
    "target_parameters",
    "trainable_token_indices",
    "layer_replication",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "velora_config",
)


@dataclass(frozen=True, eq=False)
class LoraPair:
    """One Linear's adapter, ready to multiply from the right: `a` (in, rank), `b` (rank, out), float32 on the Linear's
    device.

    `scaling` is alpha / rank, or alpha / sqrt(rank) for a rank-stabilised adapter (arXiv:2312.03732).
    """

    a: Tensor
    b: Tensor
    scaling: float


def read_part(folder: Path, module: nn.Module) -> dict[str, LoraPair]:
    """The adapter of one part, by the name of the Linear in `module`.

    Raises BadInput when files are missing or damaged, Refused when the adapter targets what the module does not have,
    lacks a tensor, has one too many, or is of a kind that is not plain LoRA.
    """
    config = _config(folder)
    linears = _targets(folder, config, module)
    tensors = _tensors(folder)
    pairs: dict[str, LoraPair] = {}
    for name, linear in linears.items():
        rank, scaling = _rank_and_scaling(config, name)
        inputs, outputs = sizes(linear)
        a = _take(folder, tensors, f"{PREFIX}{name}.lora_A.weight", (rank, inputs))
        b = _take(folder, tensors, f"{PREFIX}{name}.lora_B.weight", (outputs, rank))
        device = next(linear.parameters()).device
        pairs[name] = LoraPair(
            a=a.to(device, torch.float32).t().contiguous(),
            b=b.to(device, torch.float32).t().contiguous(),
            scaling=scaling,
        )
    if tensors:
        raise Refused(
            f"{folder / WEIGHTS_FILE} holds {len(tensors)} tensors that its config does not ask for, for example "
            f"{min(tensors)}: it belongs to another config or another model."
        )
    return pairs


def _config(folder: Path) -> LoraConfig:
    from peft import LoraConfig, PeftConfig

    if not (folder / CONFIG_FILE).is_file():
        raise BadInput(
            f"{folder / CONFIG_FILE} is missing: an adapter in PEFT's format has it; copy the whole folder again."
        )
    try:
        config = PeftConfig.from_pretrained(str(folder))
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise BadInput(f"{folder / CONFIG_FILE} is not a PEFT config ({error}): copy the folder again.") from error
    if not isinstance(config, LoraConfig):
        raise Refused(f"{folder} is a {config.peft_type} adapter: only LoRA can be hosted, train it as LoRA.")
    for field in _OTHER_FORMS:
        if getattr(config, field, None):
            raise Refused(
                f"{folder / CONFIG_FILE} sets {field}: only plain LoRA can be hosted, train again without it."
            )
    if config.bias != "none":
        raise Refused(
            f"{folder / CONFIG_FILE} sets bias to {config.bias!r}: only 'none' can be hosted, train again with it."
        )
    return config


def is_conv1d(module: nn.Module) -> bool:
    """Whether this is GPT-2's `Conv1D`: a Linear whose weight lies the other way round, (in, out)."""
    return type(module).__name__ == "Conv1D" and hasattr(module, "nf")


def sizes(linear: nn.Module) -> tuple[int, int]:
    """(in, out) of a Linear, or of a Conv1D."""
    shape = linear.get_parameter("weight").shape
    return (shape[0], shape[1]) if is_conv1d(linear) else (shape[1], shape[0])


def _targets(folder: Path, config: LoraConfig, module: nn.Module) -> dict[str, nn.Module]:
    """The Linears that PEFT would adapt."""
    from peft.tuners.tuners_utils import check_target_module_exists

    found: dict[str, nn.Module] = {}
    for name, child in module.named_modules():
        if not check_target_module_exists(config, name):
            continue
        if not isinstance(child, nn.Linear) and not is_conv1d(child):
            raise Refused(
                f"The adapter in {folder} targets {name}, a {type(child).__name__}: only Linear layers can be hosted."
            )
        found[name] = child
    # How PEFT writes down that a base weight lies the other way round; the adapter's own matrices never do.
    if config.fan_in_fan_out and not any(is_conv1d(child) for child in found.values()):
        raise Refused(
            f"{folder / CONFIG_FILE} sets fan_in_fan_out, which no layer of this model has: it belongs to another one."
        )
    asked = config.target_modules if not isinstance(config.target_modules, str) else ()
    unknown = [
        target for target in asked or () if not any(name == target or name.endswith(f".{target}") for name in found)
    ]
    if unknown or not found:
        what = ", ".join(sorted(unknown)) or str(config.target_modules)
        raise Refused(
            f"The adapter in {folder} targets {what}, which this model does not have: it belongs to another model."
        )
    return found


def _tensors(folder: Path) -> dict[str, Tensor]:
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise BadInput(
            f"{path} is missing: adapters are read from safetensors only; copy the folder again or convert the weights."
        )
    try:
        return load_file(str(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(f"{path} is damaged ({error}): copy it again from where it came.") from error


def _rank_and_scaling(config: LoraConfig, name: str) -> tuple[int, float]:
    from peft.utils.other import get_pattern_key

    ranks: dict[str, Any] = config.rank_pattern or {}
    alphas: dict[str, Any] = config.alpha_pattern or {}
    rank = int(ranks.get(get_pattern_key(tuple(ranks), name), config.r))
    alpha = float(alphas.get(get_pattern_key(tuple(alphas), name), config.lora_alpha))
    return rank, alpha / (math.sqrt(rank) if config.use_rslora else rank)


def _take(folder: Path, tensors: dict[str, Tensor], key: str, shape: tuple[int, int]) -> Tensor:
    tensor = tensors.pop(key, None)
    if tensor is None:
        raise Refused(f"{folder / WEIGHTS_FILE} has no tensor {key}: it belongs to another config or another model.")
    if tuple(tensor.shape) != shape:
        raise Refused(
            f"{key} in {folder / WEIGHTS_FILE} has shape {tuple(tensor.shape)} instead of {shape}: it belongs "
            "to another model."
        )
    return tensor
