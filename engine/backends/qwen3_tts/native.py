"""Upstream's own layout, a CustomVoice model folder; and the adapters that other trainers of Qwen3-TTS write.

Knows the names of both: which weight a LoRA pair belongs to, where a speaker's row is, what a trainer's folder looks
like and which faults its training step has. Reads no pickles.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.backends.qwen3_tts.info import CUSTOM_VOICE, PARTS, ModelFolder
from engine.types import Adapter, BadInput, DiskFull, Refused

SPEAKER = "tuned"  # in lower case: upstream looks a speaker up in lower case, and finds no other
SPEAKER_ROW = 3000  # upstream's own choice, or the last one before it that nothing else has
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
VECTOR_FILE = "speaker_embedding.safetensors"
PEFT_CONFIG, PEFT_WEIGHTS, FULL_FILE = "adapter_config.json", "adapter_model.safetensors", "full.safetensors"
PEFT_PREFIX = "base_model.model."
PREFIXES = {"talker": "talker.", "predictor": "talker.code_predictor."}
SETTING = "speaker."  # of a voice: the numbers of its vector

PREDICTOR_FAULT = (
    "its training shifts the predictor's labels a second time, so that the other codes of a frame learn the next one's "
    "place and the last is never trained: listen for noise"
)
NO_END = "its training has no label for the end of speech: listen for clips that run into the cap, short texts first"


# -------------------------------------------------------------------------------------------------------------- writing
def write(adapter: Adapter, lora_scale: float, folder: Path, base: ModelFolder) -> None:
    """Write a CustomVoice model with the adapter, or full weights, at a scale in its weights and the voice's vector as
    its one speaker; `config.json` is edited as JSON, since upstream's own class does not read what it writes.

    Raises DiskFull before anything is written.
    """
    from safetensors.torch import load_file, save_file

    _must_fit(folder, base)
    tensors = {key: tensor for file in base.weights for key, tensor in load_file(str(file)).items()}
    for part in adapter.parts:
        (_lay_full if adapter.kind == "full" else _lay_lora)(tensors, adapter.path / part, PREFIXES[part], lora_scale)
    config = json.loads((base.path / CONFIG_FILE).read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    vector = vector_of(adapter)
    if vector is not None:
        row = _free_row(config["talker_config"])
        table = tensors["talker.model.codec_embedding.weight"]
        table[row] = vector.to(table.dtype)
        config["tts_model_type"] = CUSTOM_VOICE
        config["talker_config"] |= {"spk_id": {SPEAKER: row}, "spk_is_dialect": {SPEAKER: False}}
        tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith("speaker_encoder.")}
        save_file({"speaker_embedding": vector}, folder / VECTOR_FILE)
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    for path in sorted(base.path.rglob("*")):
        name = path.relative_to(base.path)
        is_weights = len(name.parts) == 1 and (path.suffix == ".safetensors" or path.name.endswith(".index.json"))
        if path.is_file() and not is_weights and not any(piece.startswith(".") for piece in name.parts):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def vector_of(adapter: Adapter) -> Any:
    """The speaker's vector (width,) of an adapter; None for one without."""
    import torch

    numbers = [value for name, value in sorted(adapter.voice_settings.items()) if name.startswith(SETTING)]
    return torch.tensor(numbers) if numbers else None


def _lay_lora(tensors: dict[str, Any], folder: Path, prefix: str, lora_scale: float) -> None:
    """weight + scale * alpha / rank * B A, in single precision (Hu et al. 2021, arXiv:2106.09685)."""
    from safetensors.torch import load_file

    config = json.loads((folder / PEFT_CONFIG).read_text(encoding="utf-8"))
    found = load_file(str(folder / PEFT_WEIGHTS))
    scaling = float(config["lora_alpha"]) / (math.sqrt(config["r"]) if config.get("use_rslora") else config["r"])
    for key, a in found.items():
        if ".lora_A." not in key:
            continue
        name = prefix + key.removeprefix(PEFT_PREFIX).partition(".lora_A.")[0] + ".weight"
        update = found[key.replace(".lora_A.", ".lora_B.")].float() @ a.float()
        tensors[name] = (tensors[name].float() + lora_scale * scaling * update).to(tensors[name].dtype)


def _lay_full(tensors: dict[str, Any], folder: Path, prefix: str, lora_scale: float) -> None:
    import torch
    from safetensors.torch import load_file

    for name, full in load_file(str(folder / FULL_FILE)).items():
        base = tensors[prefix + name]
        tensors[prefix + name] = torch.lerp(base.float(), full.float(), lora_scale).to(base.dtype)


def _free_row(talker: Mapping[str, Any]) -> int:
    """The highest row up to upstream's own that no code, mark, language or speaker has."""
    taken = {value for name, value in talker.items() if name.startswith("codec_") and isinstance(value, int)}
    taken |= set((talker.get("codec_language_id") or {}).values()) | set((talker.get("spk_id") or {}).values())
    last = min(SPEAKER_ROW, int(talker["vocab_size"]) - 1)
    return next(row for row in range(last, int(talker["vocab_size"]) - 1024, -1) if row not in taken)


def _must_fit(folder: Path, base: ModelFolder) -> None:
    needed = sum(path.stat().st_size for path in base.path.rglob("*") if path.is_file())
    place = next(one for one in (folder, *folder.parents) if one.is_dir())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise DiskFull(
            f"Upstream's layout holds the whole model, {needed / 1e9:.1f} GB, and {place} has {free / 1e9:.1f} GB; "
            "make room and export again."
        )


# -------------------------------------------------------------------------------------------------------------- reading
def is_native(folder: Path) -> bool:
    """Whether this is what a trainer of Qwen3-TTS wrote: PEFT's files over more than one of the parts here."""
    weights = folder / PEFT_WEIGHTS
    if not (folder / PEFT_CONFIG).is_file() or not weights.is_file():
        return False
    return any(key.startswith((f"{PEFT_PREFIX}talker.", f"{PEFT_PREFIX}code_predictor.")) for key in _keys(weights))


def read(source: Path, into: Path) -> tuple[str, ...]:
    """Write such an adapter to `into`, a folder a part, with complete names of the Linears; returns the parts.

    Raises BadInput for files that are damaged or missing, Refused for a kind that is not plain LoRA.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save_file

    try:
        config = json.loads((source / PEFT_CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(str(source / PEFT_WEIGHTS))
    except (OSError, ValueError, SafetensorError) as error:
        raise BadInput(f"The adapter in {source} is damaged ({error}); copy it again from where it came.") from error
    if config.get("modules_to_save") or config.get("use_dora"):
        raise Refused(f"{source / PEFT_CONFIG} is not plain LoRA (modules_to_save or use_dora); train again without.")
    parts: dict[str, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        name = key.removeprefix(PEFT_PREFIX).removeprefix("talker.")
        part = "predictor" if name.startswith("code_predictor.") else "talker"
        parts.setdefault(part, {})[PEFT_PREFIX + name.removeprefix("code_predictor.")] = tensor.contiguous()
    for part, own in parts.items():
        (into / part).mkdir(parents=True)
        targets = sorted({key.removeprefix(PEFT_PREFIX).partition(".lora_")[0] for key in own})
        told = {**config, "target_modules": targets, "exclude_modules": None, "layers_to_transform": None}
        (into / part / PEFT_CONFIG).write_text(json.dumps(told, indent=1), encoding="utf-8")
        save_file(own, into / part / PEFT_WEIGHTS, metadata={"format": "pt"})
    return tuple(part for part in PARTS if part in parts)


def settings(source: Path) -> dict[str, float]:
    """The speaker's vector that lies beside such an adapter, as settings of a voice; none without."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = source / VECTOR_FILE
    if not path.is_file():
        return {}
    try:
        vector = next(iter(load_file(str(path)).values())).flatten().float()
    except (OSError, ValueError, SafetensorError, StopIteration) as error:
        raise BadInput(f"{path} is damaged ({error}); copy it again from where it came.") from error
    return {f"{SETTING}{place:04}": float(number) for place, number in enumerate(vector)}


def faults(source: Path) -> tuple[str, ...]:
    """What is known to be wrong with the training step that wrote such an adapter.

    Instavar's trainer adapts the whole model, so that its names begin with the talker's; Alexandria's adapts the
    talker. Both take the predictor's loss as upstream's class gives it.
    """
    keys = _keys(source / PEFT_WEIGHTS)
    if any(key.startswith(f"{PEFT_PREFIX}talker.") for key in keys):
        found = ["Made by a trainer like Instavar's", PREDICTOR_FAULT]
    else:
        found = ["Made by a trainer like Alexandria's", PREDICTOR_FAULT, NO_END]
    if not (source / VECTOR_FILE).is_file():
        found.append(f"there is no {VECTOR_FILE} beside it: give a reference when it is spoken, or it has no speaker")
    return tuple(found)


def _keys(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    except (OSError, ValueError, OverflowError) as error:
        raise BadInput(f"{path} is damaged ({error}); copy it again from where it came.") from error
    return [key for key in header if key != "__metadata__"]
