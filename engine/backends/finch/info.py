"""What is known of Finch before it is loaded: its voices, its hash, its limits, which texts it can say. Imports no
torch.
"""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from engine.backends import BackendInfo
from engine.types import BadInput, NotFound

ASSETS = Path(__file__).resolve().parents[3] / "assets" / "finch"
CONFIG_FILE = "config.json"
SAMPLE_RATE = 16_000
PARTS = ("lm", "decoder")
MIN_SEC, MAX_SEC = 0.4, 20.0
SPEAKING_VERSION = "1"  # changes when the same row would sound different
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
