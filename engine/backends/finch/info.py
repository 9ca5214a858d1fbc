"""What is known of Finch before it is loaded: its voices, its hash, its limits, which texts it can say. Imports no
torch.
"""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from engine.backends import sizes
from engine.backends.backend_info import BackendInfo
from engine.types import BadInput, NotFound

ASSETS = Path(__file__).resolve().parents[3] / "assets" / "finch"
CONFIG_FILE = "config.json"
SAMPLE_RATE = 16_000
PARTS = ("lm", "decoder")
LANGUAGES = ("en",)
MIN_SEC, MAX_SEC = 0.4, 20.0
SPEAKING_VERSION = "1"  # changes when the same row would sound different
# The same as in `language_model` and `codec`, which import torch; a test compares them.
LM_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")
DECODER_TARGETS = (
    "speaker_projection",
    "speaker_to_frames",
    "input_projection",
    "upsample",
    "output_projection",
    "expand",
    "contract",
)
FRAMES_PER_TOKEN = 4
TOKENS_A_SECOND = 42.0  # 25 of speech and up to 17 phonemes
FEATURE_BYTES_A_SECOND = 16_000  # 100 frames of 30 features in single precision, phonemes, and a file's header
_NOT_SPEAKING = ("ears", "sampling")  # parts of the config that no clip depends on


def info(folder: Path = ASSETS) -> BackendInfo:
    """Finch as its weights' config describes it. Raises NotFound when the weights are not there, BadInput when it
    is damaged.
    """
    config = stored_config(folder)
    return BackendInfo(
        name="finch",
        title="Finch, the built-in teaching voice",
        sample_rate=SAMPLE_RATE,
        voices=tuple(voice["name"] for voice in config["voices"]),
        parts=PARTS,
        min_sec=MIN_SEC,
        max_sec=MAX_SEC,
        unpronounceable=functools.partial(_unpronounceable, tuple(config["symbols"])),
        base_sha256=base_sha256(config),
        version=SPEAKING_VERSION,
        full_sft=True,
        languages=LANGUAGES,
    )


def size(folder: Path = ASSETS) -> sizes.ModelSize:
    """Finch's sizes, counted in the headers of its weights; the ear that a decoder learns from is loaded with it."""
    config = stored_config(folder)
    found = {net: sizes.shapes(folder / f"{net}.safetensors") for net in config["sha256"]}
    spoken, codec = config["language_model"], config["codec"]
    frozen = [net for net in found if net not in ("language_model", "decoder", "second_ear")]
    return sizes.ModelSize(
        parts=(
            sizes.PartSize(
                name="lm",
                tensors=sizes.numbers(found["language_model"]),
                linears=sizes.linears(found["language_model"]),
                targets=LM_TARGETS,
                saved=sizes.transformer(
                    layers=spoken["layers"],
                    width=spoken["width"],
                    feed_forward=spoken["feed_forward"],
                    outputs=found["language_model"]["model.embed_tokens.weight"][0],
                ),
            ),
            sizes.PartSize(
                name="decoder",
                tensors=sizes.numbers(found["decoder"]),
                linears=sizes.linears(found["decoder"]),
                targets=DECODER_TARGETS,
                saved=_decoder_saves(codec),
            ),
        ),
        frozen_parameters=sum(sum(sizes.numbers(found[net])) for net in frozen),
        bytes_a_weight=4,
        tokens_a_second=TOKENS_A_SECOND,
        feature_bytes_a_second=FEATURE_BYTES_A_SECOND,
    )


def _decoder_saves(codec: dict[str, Any]) -> sizes.Saved:
    """A ConvNeXt block keeps its input twice, its norm's, the widened values thrice and its output; of a token there
    are four frames. Frozen Linears do not need their input again. The loss lets the ear listen to the frames.
    """
    tokens = codec["decoder_blocks"] * codec["width"]
    frames = FRAMES_PER_TOKEN * codec["frame_blocks"] * codec["frame_width"]
    return sizes.Saved(
        trained=13 * (tokens + frames),
        frozen=11 * (tokens + frames),
        layer=13 * FRAMES_PER_TOKEN * codec["frame_width"],
        boundary=tokens + frames,
        outputs=6 * frames,
    )


def stored_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a folder of weights as it is. Raises NotFound when there is none, BadInput when it is
    damaged.
    """
    path = folder / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFound(
            f"There are no Finch weights in {folder}: train them with `python -m engine.backends.finch.pretrain`."
        ) from error
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read ({error}): restore it from the repository.") from error
    if not isinstance(config, dict) or not {"voices", "symbols", "sha256", "ears"} <= config.keys():
        raise BadInput(f"{path} is not a Finch config: restore it from the repository.")
    return config


def base_sha256(config: dict[str, Any]) -> str:
    """One hash of everything that a clip depends on: the config with the hashes of the nets that speak. The ears
    only listen.
    """
    speaking = {key: value for key, value in config.items() if key not in _NOT_SPEAKING}
    speaking["sha256"] = {net: sha for net, sha in config["sha256"].items() if net not in config["ears"]}
    return hashlib.sha256(json.dumps(speaking, sort_keys=True).encode()).hexdigest()


def _unpronounceable(symbols: tuple[str, ...], text: str) -> str | None:
    """Why Finch cannot say `text`, or None when it can."""
    from engine.backends.finch import phonemes

    try:
        phonemes.Inventory(symbols).encode(phonemes.pronounce(text).symbols)
    except phonemes.UnpronounceableText as error:
        return str(error)
    return None
