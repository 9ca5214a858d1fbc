"""Upstream's own Qwen3-TTS classes with the weights of a folder, and the proof that they were loaded right.

Knows the `qwen_tts` package and what other versions of transformers do to it in silence: rotary tables that hold
uninitialised memory, codec weights that stay random, a cache that gives other answers than a full pass. Knows no
training.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import torch

from engine.backends import sizes
from engine.backends.qwen3_tts import info
from engine.backends.qwen3_tts.info import ModelFolder
from engine.types import BadInput, NotFound, Refused

# Package and version -> versions of transformers with which every code, speaker vector and wave was compared and is
# the same, bit for bit. With others the import fails, or worse, does not.
SUPPORTED: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("qwen-tts", "0.1.1"): ("4.57.3", "4.57.6"),
    ("qwen-tts-hf", "0.1.1.post1"): ("5.16.1",),
}
INSTALL = "run: python -m engine voices install qwen3_tts"
POSITIONS, TOLERANCE = 6, 1e-3  # of the check of the cache: enough to see a wrong position, and rounding


@dataclass(frozen=True)
class Loaded:
    """Upstream's model, frozen, for evaluation; its tokenizer is a function from a text to ids."""

    net: Any
    tokenizer: Any

    def ids(self, text: str) -> list[int]:
        found: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found


def must_be_usable() -> None:
    """Raises NotFound without the package, Refused for versions that do not go together. Loads no weights."""
    versions_must_fit(_installed())
    _class()


def load(folder: ModelFolder, device: str) -> Loaded:
    """The model of a folder on `device` in single precision.

    Raises NotFound without the package, Refused for versions that do not go together or a model that fails a check,
    BadInput for weights that are damaged or not this model's.
    """
    versions_must_fit(_installed())
    model_class = _class()
    try:
        with _quietly():
            wrapped = model_class.from_pretrained(
                str(folder.path), dtype=torch.float32, attn_implementation="sdpa", local_files_only=True
            )
    except (ValueError, KeyError, TypeError, RuntimeError, OSError, AttributeError) as error:
        raise BadInput(f"The model in {folder.path} cannot be loaded ({error}); download it again.") from error
    net = wrapped.model
    _must_be_whole(folder, net)
    net.to(device).eval().requires_grad_(False)
    codec = net.speech_tokenizer
    codec.model.to(device).eval().requires_grad_(False)
    codec.device = torch.device(device)
    must_be_sound(net)
    return Loaded(net, wrapped.processor.tokenizer)


# ------------------------------------------------------------------------------------------------------------- versions
def _installed() -> dict[str, str]:
    found = {}
    for name in ("qwen-tts", "qwen-tts-hf", "transformers"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def versions_must_fit(installed: Mapping[str, str]) -> None:
    """Raises NotFound without Qwen3-TTS's package, Refused for a version of it or of transformers that was not
    compared.
    """
    own = next((name for name in ("qwen-tts-hf", "qwen-tts") if name in installed), None)
    if own is None:
        raise NotFound(f"The qwen-tts package is not installed here; {INSTALL}")
    wanted = SUPPORTED.get((own, installed[own]))
    if wanted is None:
        known = ", ".join(" ".join(pair) for pair in SUPPORTED)
        raise Refused(f"{own} {installed[own]} was not compared with the one that is known ({known}); {INSTALL}")
    if installed.get("transformers") not in wanted:
        raise Refused(
            f"{own} {installed[own]} goes with transformers {' or '.join(wanted)} and {installed.get('transformers')} "
            f"is installed: with another one it loads wrong weights without a word; {INSTALL}"
        )


def _class() -> Any:
    try:
        with _quietly():
            from qwen_tts import Qwen3TTSModel

        return Qwen3TTSModel
    except ImportError as error:
        raise NotFound(f"The qwen_tts package cannot be imported ({error}); {INSTALL}") from error


@contextlib.contextmanager
def _quietly() -> Any:
    """Its banners about flash-attn and SoX, neither of which is used, and warnings about fields of its own configs."""
    loggers = [logging.getLogger(name) for name in ("transformers", "sox", "root")]
    levels = [one.level for one in loggers]
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for one in loggers:
            one.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for one, level in zip(loggers, levels, strict=True):
                one.setLevel(level)


# --------------------------------------------------------------------------------------------------------------- checks
def _must_be_whole(folder: ModelFolder, net: Any) -> None:
    """What a file lacks stays random in the model, and what the class renamed as well: nobody is told."""
    _must_have(folder, "the model", net.state_dict(), (key for file in folder.weights for key in sizes.shapes(file)))
    codec = sizes.shapes(folder.codec / info.WEIGHTS_FILE)
    _must_have(folder, "its codec", net.speech_tokenizer.model.state_dict(), codec)


def _must_have(folder: ModelFolder, what: str, wanted: Iterable[str], found: Iterable[str]) -> None:
    if lacking := sorted(set(wanted) - set(found)):
        raise BadInput(
            f"{folder.path} lacks {len(lacking)} weights of {what}, for example {lacking[0]}: they would stay random; "
            "download the model again, with the versions that go with it."
        )


def must_be_sound(net: Any) -> None:
    """Raises Refused for a model that was loaded wrong: each fault is one that another version of a library makes, and
    none can be heard but as a bad voice.
    """
    for owner in (net, net.speech_tokenizer.model):
        for name, buffer in owner.named_buffers():
            if name.endswith("inv_freq") and float(buffer.flatten()[0]) != 1.0:
                raise Refused(
                    f"The rotary table {name} begins with {float(buffer.flatten()[0]):g} where 1 must be: this version "
                    f"of transformers left it uninitialised; {INSTALL}"
                )
    difference = _cache_difference(net.talker)
    if not difference <= TOLERANCE:
        raise Refused(
            f"Decoding step by step and in one pass differ by {difference:.2g} of the answer: with these versions of "
            f"the libraries every voice would be wrong; {INSTALL}"
        )


@torch.inference_mode()
def _cache_difference(talker: Any) -> float:
    """How far the last state of a cached pass is from a full one's, as a share of it."""
    table = talker.model.codec_embedding.weight
    inputs = table[:POSITIONS][None]
    full = talker.model(inputs_embeds=inputs, use_cache=False).last_hidden_state[0, -1]
    cache = None
    for position in range(POSITIONS):
        mask = torch.ones(1, position + 1, dtype=torch.long, device=inputs.device)
        place = torch.full((1, 1), position, dtype=torch.long, device=inputs.device)
        found = talker.model(
            inputs_embeds=inputs[:, position : position + 1],
            attention_mask=mask,
            position_ids=place,
            past_key_values=cache,
            use_cache=True,
        )
        cache = found.past_key_values
    return float((found.last_hidden_state[0, -1] - full).norm() / full.norm())
