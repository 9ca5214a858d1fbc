"""Upstream's own VoxCPM classes with the weights of a folder, checked to the last tensor.

Knows the `voxcpm` package and what it passes over in silence: weights that are missing or too many, products of low
precision on a CPU, a tokenizer that another version of transformers reads differently, progress bars. Knows no
training.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from engine.backends import sizes
from engine.backends.voxcpm import info
from engine.backends.voxcpm.info import ModelFolder
from engine.types import BadInput, NotFound


def load(folder: ModelFolder, device: str) -> Any:
    """The `VoxCPMModel` or `VoxCPM2Model` of a folder on `device`: float32, frozen, for evaluation.

    Single precision is what upstream trains in; the weights that were trained and those that are spoken are the same
    numbers so. Raises NotFound without the package, BadInput for weights that are damaged or not this model's.
    """
    model_class = _class(folder.name)
    try:
        net = model_class.from_local(str(folder.path), optimize=False, training=True, device=device)
    except FileNotFoundError as error:
        raise NotFound(f"{folder.path} is not whole ({error}); download the model again.") from error
    except (ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
        raise BadInput(f"The model in {folder.path} cannot be loaded ({error}); download it again.") from error
    _must_be_whole(folder, net)
    net.config.dtype = "float32"
    for lm in (net.base_lm, net.residual_lm):
        lm.setup_cache(1, net.config.max_length, device, torch.float32)
    net.text_tokenizer = _tokenizer(folder)
    _no_progress_bar(model_class)
    net.to(device).eval().requires_grad_(False)
    return net


def _class(name: str) -> Any:
    try:
        if name == "voxcpm2":
            from voxcpm.model.voxcpm2 import VoxCPM2Model

            return VoxCPM2Model
        from voxcpm.model.voxcpm import VoxCPMModel

        return VoxCPMModel
    except ImportError as error:
        raise NotFound(
            f"The voxcpm package cannot be imported ({error}); in Earmark's environment run: {info.INSTALL}"
        ) from error


def _must_be_whole(folder: ModelFolder, net: Any) -> None:
    """Upstream loads with strict=False: a weight that is missing stays random there, and nobody is told."""
    wanted = set(net.state_dict())
    weights = folder.path / info.WEIGHTS_FILE
    _must_have(weights, {key for key in wanted if not key.startswith("audio_vae.")}, sizes.shapes(weights))
    codec = {key.removeprefix("audio_vae.") for key in wanted if key.startswith("audio_vae.")}
    _must_have(folder.codec, codec, _codec_keys(folder.codec))


def _codec_keys(path: Path) -> Iterable[str]:
    """Its weights alone are read of a pickle, as upstream does it: nothing in it is run."""
    if path.suffix == ".safetensors":
        return sizes.shapes(path)
    found = torch.load(path, map_location="meta", weights_only=True)
    keys: dict[str, Any] = found.get("state_dict", found)
    return keys


def _must_have(path: Path, wanted: set[str], found: Iterable[str]) -> None:
    if lacking := sorted(wanted - set(found)):
        raise BadInput(
            f"{path} lacks {len(lacking)} weights that its config asks for, for example {lacking[0]}; they would be "
            "random. Download the model again, or use the config that belongs to it."
        )


def _tokenizer(folder: ModelFolder) -> Any:
    """The folder's own tokenizer.json, as the model was trained with it, Chinese words cut into characters as upstream
    does it. Upstream asks for a Llama tokenizer, which newer versions of transformers build in a way of their own.
    """
    from transformers import PreTrainedTokenizerFast
    from voxcpm.model.utils import mask_multichar_chinese_tokens

    try:
        made: Any = PreTrainedTokenizerFast
        own = made(tokenizer_file=str(folder.path / info.TOKENIZER_FILE))
    except Exception as error:  # the library raises whatever its parser does
        raise BadInput(
            f"{folder.path / info.TOKENIZER_FILE} cannot be read ({error}); download the model again."
        ) from error
    return mask_multichar_chinese_tokens(own)


def _no_progress_bar(model_class: Any) -> None:
    """Upstream draws a bar for every text; a trainer's log would be full of them."""
    sys.modules[model_class.__module__].tqdm = _as_it_is  # type: ignore[attr-defined]


def _as_it_is(steps: Iterable[int]) -> Iterable[int]:
    return steps
