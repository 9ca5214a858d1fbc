"""A folder's own classes: model, codec, tokenizer and processor, checked to the last tensor.

Knows which classes of transformers a name stands for and what they pass over in silence: weights that are missing or
too many, settings of a newer version, an audio tokenizer that they would download. Reads local files only, and no
pickles. Knows no training.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from engine.backends.transformers_tts import info
from engine.backends.transformers_tts.info import ModelFolder
from engine.types import BadInput, NotFound

_LOCAL: Mapping[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def model(folder: ModelFolder, device: str) -> Any:
    """The `...ForConditionalGeneration` of a folder on `device`: float32, frozen, for evaluation.

    Raises BadInput for a config that this version of transformers does not know, and for weights that are damaged, too
    few or too many.
    """
    found = _class(folder.family.net)
    _must_be_known(folder.path, folder.config, found.config_class)
    return _whole(found, folder.path, device)


def codec(folder: ModelFolder, device: str) -> Any:
    """The audio tokenizer of a folder whose model has it apart, likewise."""
    path = folder.codec
    if path is None:
        raise NotFound(f"{folder.path} has no codec of its own.")
    found = _class(folder.family.codec)
    _must_be_known(path, folder.codec_config, found.config_class)
    return _whole(found, path, device)


def processor(folder: ModelFolder, audio_tokenizer: Any = None) -> Any:
    """The folder's processor with its tokenizer and chat template. Its audio tokenizer is the one given: transformers
    would look for it where whoever saved the processor had it, or download it.
    """
    made, extractor = _class(folder.family.processor), _class(folder.family.extractor)
    file = folder.path / info.PROCESSOR_FILE
    told = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    known = set(inspect.signature(made.__init__).parameters) - {"self", "feature_extractor", "tokenizer"}
    settings = {key: value for key, value in told.items() if key in known - {"audio_tokenizer", "chat_template"}}
    if audio_tokenizer is not None:
        settings["audio_tokenizer"] = audio_tokenizer
    if folder.family.has_template:
        settings["chat_template"] = (folder.path / info.TEMPLATE_FILE).read_text(encoding="utf-8")
    try:
        return made(
            feature_extractor=extractor.from_pretrained(str(folder.path), **_LOCAL),
            tokenizer=_class("AutoTokenizer").from_pretrained(str(folder.path), **_LOCAL),
            **settings,
        )
    except Exception as error:  # the library raises whatever its parsers do
        raise BadInput(
            f"The processor or the tokenizer in {folder.path} cannot be loaded ({error}); download the model again."
        ) from error


def _class(name: str) -> Any:
    import transformers

    try:
        return getattr(transformers, name)
    except (AttributeError, ImportError) as error:
        raise NotFound(
            f"transformers {info.library_version()} has no {name}; in Earmark's environment run: {info.INSTALL}"
        ) from error


def _must_be_known(path: Path, config: Mapping[str, Any], config_class: Any) -> None:
    """A config of a newer version may have settings that this one would leave aside without a word."""
    written = str(config.get("transformers_version") or "")
    if _version(written) <= _version(info.library_version()):
        return
    known = set(config_class().to_dict()) | {"architectures", "dtype", "torch_dtype", "auto_map"}
    if strange := sorted(key for key in config if key not in known and not key.startswith("_")):
        raise BadInput(
            f"{path / info.CONFIG_FILE} was written by transformers {written} and this is {info.library_version()}, "
            f"which does not know {', '.join(strange[:3])}; use a checkpoint for this version."
        )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(piece) for piece in text.split(".")[:2] if piece.isdigit())


def _whole(model_class: Any, path: Path, device: str) -> Any:
    try:
        net, told = model_class.from_pretrained(
            str(path), dtype=torch.float32, use_safetensors=True, output_loading_info=True, **_LOCAL
        )
    except Exception as error:  # the library raises whatever its parsers and checks do
        raise BadInput(
            f"The model in {path} cannot be loaded ({str(error).strip().splitlines()[0] if str(error) else error!r}); "
            "its files are damaged or do not belong together: download it again."
        ) from error
    for what, keys in (("lacks", told["missing_keys"]), ("has, beyond its config,", told["unexpected_keys"])):
        if keys:
            raise BadInput(
                f"The weights in {path} {what} {len(keys)} tensors, for example {min(keys)}; they belong to another "
                "config. Download the model again."
            )
    return net.to(device).eval().requires_grad_(False)
