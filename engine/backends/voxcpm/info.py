"""What is known of VoxCPM before it is loaded, from its folder's config: version, rates, limits, sizes, identity.

Imports no torch, and nothing of the `voxcpm` package, which does. Knows no tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from engine.backends import folders, sizes
from engine.backends.backend_info import BackendInfo
from engine.types import BadInput, NotFound

PARTS = ("lm", "dit", "proj")
VOICE = "default"  # VoxCPM has no named voices: without a reference it makes one up from the seed
MIN_SEC, MAX_SEC = 1.0, 30.0  # the longest clips that upstream's fine-tuning guide advises; the least is ours
SPEAKING_VERSION = "1"  # changes when the same row would sound different
CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE = "config.json", "tokenizer.json", "model.safetensors"
PICKLE_FILE = "pytorch_model.bin"  # the weights of version 1.0
CODEC_FILES = ("audiovae.safetensors", "audiovae.pth")  # in the order in which upstream looks for them
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
# config.json's `architecture` -> the name here. Upstream takes a config without it for the first.
NAMES: Mapping[str, str] = {"voxcpm": "voxcpm", "voxcpm2": "voxcpm2"}
PROJECTIONS: Mapping[str, tuple[str, ...]] = {
    "voxcpm": ("enc_to_lm_proj", "lm_to_dit_proj", "res_to_dit_proj"),
    "voxcpm2": ("enc_to_lm_proj", "lm_to_dit_proj", "res_to_dit_proj", "fusion_concat_proj"),
}
# By name, as the package's config classes have them where a folder's config is silent; a test compares them.
PATCH_SIZE: Mapping[str, int] = {"voxcpm": 2, "voxcpm2": 4}
MAX_LENGTH: Mapping[str, int] = {"voxcpm": 4096, "voxcpm2": 8192}
CODEC: Mapping[str, Mapping[str, Any]] = {
    "voxcpm": {"sample_rate": 16_000, "encoder_rates": (2, 5, 8, 8)},
    "voxcpm2": {"sample_rate": 16_000, "out_sample_rate": 48_000, "encoder_rates": (2, 5, 8, 8)},
}
LANGUAGES: Mapping[str, tuple[str, ...]] = {"voxcpm": ("zh", "en"), "voxcpm2": ()}
INSTALL = "pip install --no-deps -r engine/backends/voxcpm/requirements.txt"


@dataclass(frozen=True, kw_only=True)
class ModelFolder:
    """A folder of VoxCPM's files. `encode_rate` is what its codec hears, `speak_rate` what it says, in Hz."""

    name: str
    path: Path
    config: Mapping[str, Any]
    codec: Path
    encode_rate: int
    speak_rate: int
    patch_samples: int  # at `encode_rate`, of one patch: one position of the sequence
    max_length: int  # positions

    @property
    def patches_a_second(self) -> float:
        return self.encode_rate / self.patch_samples


def read(name: str, path: Path) -> ModelFolder:
    """The folder's description, checked. Raises NotFound for files that are missing, BadInput for a config of a
    version that is not known here, or of the other one.
    """
    config = folders.config(path)
    architecture = str(config.get("architecture", "voxcpm")).lower()
    if architecture not in NAMES:
        raise BadInput(
            f"{path / CONFIG_FILE} is of architecture {architecture!r}, and {', '.join(NAMES)} are known here; use the "
            "folder of a VoxCPM 1.x or 2 model."
        )
    if NAMES[architecture] != name:
        raise BadInput(
            f"{path} holds {NAMES[architecture]} and was named for {name}: choose {NAMES[architecture]}, or name "
            "another folder."
        )
    if (path / PICKLE_FILE).is_file() and not (path / WEIGHTS_FILE).is_file():
        raise BadInput(
            f"{path / PICKLE_FILE} is a pickle, and weights are read from {WEIGHTS_FILE} alone: load it once with "
            "torch.load(..., weights_only=True) and save it with safetensors.torch.save_file."
        )
    for file in (TOKENIZER_FILE, WEIGHTS_FILE):
        if not (path / file).is_file():
            raise NotFound(f"{path / file} is missing; download the model again, with all of its files.")
    codec = next((path / file for file in CODEC_FILES if (path / file).is_file()), None)
    if codec is None:
        raise NotFound(
            f"{path} has no codec ({' or '.join(CODEC_FILES)}): without it there is no sound; download it again."
        )
    return _described(name, path, config, codec)


def _described(name: str, path: Path, config: Mapping[str, Any], codec: Path) -> ModelFolder:
    try:
        told = {**CODEC[name], **(config.get("audio_vae_config") or {})}
        rate, hop = int(told["sample_rate"]), 1
        for step in told["encoder_rates"]:
            hop *= int(step)
        return ModelFolder(
            name=name,
            path=path,
            config=config,
            codec=codec,
            encode_rate=rate,
            speak_rate=int(told.get("out_sample_rate", rate)),
            patch_samples=hop * int(config.get("patch_size", PATCH_SIZE[name])),
            max_length=int(config.get("max_length", MAX_LENGTH[name])),
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{path / CONFIG_FILE} is damaged ({error}); download the model again.") from error


def info(name: str, folder: Path) -> BackendInfo:
    """VoxCPM as its folder describes it. Raises NotFound when the package or a file is missing, BadInput as `read`."""
    found = read(name, folder)
    return BackendInfo(
        name=name,
        title=title(found),
        sample_rate=found.encode_rate,
        voices=(VOICE,),
        parts=PARTS,
        min_sec=MIN_SEC,
        max_sec=min(MAX_SEC, found.max_length / found.patches_a_second / 2),
        unpronounceable=unpronounceable,
        base_sha256=base_sha256(found),
        version=f"{package_version()}-{SPEAKING_VERSION}",
        full_sft=True,
        reference="optional",
        mixes_rows=False,  # upstream keeps one cache for one text
        languages=LANGUAGES[name],
    )


def title(folder: ModelFolder) -> str:
    """Version 1.5 is known by its rate, 1.0 had 16 kHz."""
    if folder.name == "voxcpm2":
        return "VoxCPM 2"
    return "VoxCPM 1.5" if folder.encode_rate == 44_100 else "VoxCPM 1"


def package_version() -> str:
    """Of the installed `voxcpm`. Raises NotFound with the command when there is none."""
    try:
        return metadata.version("voxcpm")
    except metadata.PackageNotFoundError as error:
        raise NotFound(f"The voxcpm package is not installed; in Earmark's environment run: {INSTALL}") from error


def base_sha256(folder: ModelFolder) -> str:
    """One hash of everything that a clip depends on."""
    return folders.sha256([folder.path / name for name in (CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE)] + [folder.codec])


def unpronounceable(text: str) -> str | None:
    """Its tokenizer falls back to bytes, so that only a text without a letter or digit cannot be said."""
    return None if any(symbol.isalnum() for symbol in text) else "there is no letter or digit in it"


# ---------------------------------------------------------------------------------------------------------------- sizes
def size(name: str, folder: Path) -> sizes.ModelSize:
    """VoxCPM's sizes, counted in the header of its weights. The codec is loaded beside them and never trained."""
    found = read(name, folder)
    shapes = sizes.shapes(folder / WEIGHTS_FILE)
    try:
        saved = _saved(found)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{folder / CONFIG_FILE} is damaged ({error!r}); download the model again.") from error
    parts = []
    for part, targets in zip(PARTS, (ATTENTION, ATTENTION, PROJECTIONS[name]), strict=True):
        own = {key: shape for key, shape in shapes.items() if part_of(key) == part}
        positions, kept = saved[part]
        parts.append(
            sizes.PartSize(
                name=part,
                tensors=sizes.numbers(own),
                linears=sizes.linears(own),
                targets=targets,
                saved=kept,
                positions_a_token=positions,
            )
        )
    return sizes.ModelSize(
        parts=tuple(parts),
        frozen_parameters=_codec_parameters(found),
        bytes_a_weight=4,  # as upstream trains it: products in bfloat16, weights in single precision
        tokens_a_second=found.patches_a_second + 17.0,  # and at most one text token a character
        feature_bytes_a_second=4 * found.encode_rate * int(found.config.get("feat_dim", 64)) // _hop(found),
    )


def part_of(key: str) -> str:
    """The part that a weight of `model.safetensors` belongs to: what is neither language model nor diffusion head
    joins them.
    """
    if key.startswith(("base_lm.", "residual_lm.")):
        return "lm"
    return "dit" if key.startswith("feat_decoder.") else "proj"


def _hop(folder: ModelFolder) -> int:
    return folder.patch_samples // int(folder.config.get("patch_size", PATCH_SIZE[folder.name]))


def _saved(folder: ModelFolder) -> dict[str, tuple[float, sizes.Saved]]:
    """Of each part, positions a token and what one of them keeps. The diffusion head sees the patch, the one before
    it, the time and one or two conditions; the local encoder the patch and its own token.
    """
    config = folder.config
    lm, patch = config["lm_config"], int(config.get("patch_size", PATCH_SIZE[folder.name]))
    heads = {"dit": config["dit_config"], "proj": config["encoder_config"]}
    layers = int(lm["num_hidden_layers"]) + int(config.get("residual_lm_num_layers", 8))
    kept: dict[str, tuple[float, sizes.Saved]] = {
        "lm": (
            1.0,
            sizes.transformer(
                layers=layers, width=int(lm["hidden_size"]), feed_forward=int(lm["intermediate_size"]), outputs=0
            ),
        )
    }
    positions = {"dit": 2 * patch + (3 if folder.name == "voxcpm2" else 1), "proj": patch + 1}
    for part, told in heads.items():
        saved = sizes.transformer(
            layers=int(told.get("num_layers", 4)),
            width=int(told.get("hidden_dim", 1024)),
            feed_forward=int(told.get("ffn_dim", 4096)),
            outputs=0,
        )
        kept[part] = (float(positions[part]), saved)
    return kept


def _codec_parameters(folder: ModelFolder) -> int:
    if folder.codec.suffix == ".safetensors":
        return sum(sizes.numbers(sizes.shapes(folder.codec)))
    return folder.codec.stat().st_size // 4
