"""Checkpoints of the joint recipe's own trainer (CosyVoice Flow LoRA fine-tune, 2025), read as adapters.

Knows its names: LoRA without PEFT around the Linears of language model and flow, in a file of Lightning's with all base
weights beside it. Tensors and plain values alone are read of it: nothing in it is run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.types import BadInput, Refused

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".ckpt", ".pt")
CONFIG = "adapter_config.json"  # PEFT's: what has one is not of this trainer
# Its trainer's config; the file does not say. Its flow was taught on spectrograms less this mean, over this deviation.
ALPHA_A_RANK = 2.0
MEL_MEAN, MEL_DEVIATION = -6.0, 2.0
MEAN, DEVIATION = "mel_mean", "mel_deviation"  # how an adapter's settings say so
_NAME = re.compile(r"(?:model\.)?(?P<part>llm|flow)\.(?P<linear>.+)\.lora_(?P<side>[AB])")
_PEFT = "base_model.model.{linear}.lora_{side}.weight"


def is_one(folder: Path) -> bool:
    """Whether a folder holds such a checkpoint, and one alone."""
    path = None if (folder / CONFIG).is_file() else _path(folder)
    return path is not None and any(_NAME.fullmatch(key) for key in _state(path, "meta"))


def read(folder: Path, into: Path) -> tuple[str, ...]:
    """Write it to `into` as PEFT has it, a folder a part; returns the parts.

    Raises BadInput for a file that is damaged, Refused for tensors that are no Linear's, or of several ranks in a part.
    """
    from safetensors.torch import save_file

    path = _path(folder)
    if path is None:
        raise BadInput(f"{folder} holds no single checkpoint ({', '.join(SUFFIXES)}); leave one there.")
    parts: dict[str, dict[str, Any]] = {}
    for key, tensor in _state(path, "cpu").items():
        if "lora_" not in key:
            continue
        match = _NAME.fullmatch(key)
        if match is None or tensor.ndim != 2:
            raise Refused(f"{key} in {path} is no Linear's of language model or flow; it is of another trainer.")
        renamed = _PEFT.format(linear=match["linear"], side=match["side"])
        parts.setdefault(match["part"], {})[renamed] = tensor.float().contiguous()
    for part, tensors in parts.items():
        (into / part).mkdir(parents=True)
        config = _config(path, part, tensors)
        (into / part / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        save_file(tensors, into / part / "adapter_model.safetensors")
    return tuple(part for part in ("llm", "flow") if part in parts)


def settings(folder: Path) -> Mapping[str, float]:
    """How its flow's spectrograms are turned back into those of the vocoder; nothing where it has no flow."""
    path = _path(folder)
    found = (_NAME.fullmatch(key) for key in _state(path, "meta")) if path else ()
    has_flow = any(match["part"] == "flow" for match in found if match)
    return {MEAN: MEL_MEAN, DEVIATION: MEL_DEVIATION} if has_flow else {}


def faults(folder: Path) -> tuple[str, ...]:
    """What is known to be wrong with the training step that made it."""
    found = [
        "Made by the joint recipe's own trainer, which stopped at a floor of 0.75 nats and not of 1.5, and began away "
        "from the base",
        f"its alpha is taken to be {ALPHA_A_RANK:g} times its rank, as its config has it",
        "it was spoken without a speaker, and is here",
    ]
    if settings(folder):
        found.append(
            "its flow was taught on spectrograms that the base does not know: between a scale of 0 and 1 it is "
            "neither, and it is not exported as weights"
        )
    return tuple(found)


@dataclass(frozen=True)
class MelRange:
    """What a flow's numbers are of the vocoder's: (x - mean) / deviation. Of the base: 0 and 1."""

    mean: float = 0.0
    deviation: float = 1.0

    def into(self, mel: Tensor) -> Tensor:
        """Of the vocoder's, in any shape, as the flow knows them."""
        return mel if self == MelRange() else (mel - self.mean) / self.deviation

    def back(self, mel: Tensor) -> Tensor:
        """Of the flow's, as the vocoder knows them."""
        return mel if self == MelRange() else mel * self.deviation + self.mean


def mel_range(voice_settings: Mapping[str, float], lora_scale: float) -> MelRange:
    """Of a voice at a scale: the base's at 0, the trainer's at 1, and in proportion between them."""
    if MEAN not in voice_settings:
        return MelRange()
    deviation = voice_settings.get(DEVIATION, MEL_DEVIATION)
    return MelRange(lora_scale * voice_settings[MEAN], 1.0 + lora_scale * (deviation - 1.0))


def _config(path: Path, part: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    ranks = {tensor.shape[0] if ".lora_A." in name else tensor.shape[1] for name, tensor in tensors.items()}
    if len(ranks) != 1:
        raise Refused(f"The {part} of {path} has LoRA of ranks {sorted(ranks)}; its trainer has one for each part.")
    rank = ranks.pop()
    named = sorted({name.split(".lora_")[0].removeprefix("base_model.model.") for name in tensors})
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": ALPHA_A_RANK * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": named,
        "task_type": None,
    }


def _path(folder: Path) -> Path | None:
    found = [path for path in folder.iterdir() if path.suffix in SUFFIXES] if folder.is_dir() else []
    return found[0] if len(found) == 1 else None


def _state(path: Path, device: str) -> Mapping[str, Any]:
    import torch

    try:
        told = torch.load(path, map_location=device, weights_only=True, mmap=True)
        state = told.get("state_dict", told)
        return {str(key): value for key, value in state.items() if isinstance(value, torch.Tensor)}
    except Exception as error:  # the unpickler raises whatever it meets
        raise BadInput(
            f"{path} cannot be read as tensors alone ({str(error)[:200]}); save its `state_dict` by itself: "
            "torch.save({'state_dict': torch.load(PATH)['state_dict']}, 'alone.ckpt')."
        ) from error
