"""What is known of IndexTTS2 before it is loaded, from its folder's config: version, rates, limits, files, identity.

Imports no torch and nothing of the checkout. Knows no tensors.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.backends import folders, sizes
from engine.backends.backend_info import BackendInfo
from engine.backends.indextts2 import checkout, emotions
from engine.types import BadInput, GenerationSettings, NotFound, Refused

NAME, TITLE = "indextts2", "IndexTTS2"
PARTS = ("gpt",)
# The projections of GPT-2's attention and feed-forward, by its own names; they are Conv1D, not Linear.
PROJECTIONS = ("c_attn", "c_proj", "c_fc")
VERSION = 2.0
SPEAKING_RATE = 22_050
CODES_A_SECOND = 50
MIN_SEC, MAX_SEC = 1.0, 36.0
REFERENCE_SEC = 15.0  # upstream hears no more of a reference
SPEAKING_VERSION = "1"  # changes when the same row would sound different
LANGUAGES = ("zh", "en")
CONFIG_FILE = "config.yaml"
AUXILIARY = "hf_cache"  # where upstream puts what it downloads from elsewhere
W2V_FOLDER, VOCODER_FOLDER = f"{AUXILIARY}/w2v-bert-2.0", f"{AUXILIARY}/bigvgan"
CODEC_FILE, SPEAKER_FILE = f"{AUXILIARY}/semantic_codec_model.safetensors", f"{AUXILIARY}/campplus_cn_common.bin"
VOCODER_FILES = (f"{VOCODER_FOLDER}/config.json", f"{VOCODER_FOLDER}/bigvgan_generator.pt")
W2V_WEIGHTS = f"{W2V_FOLDER}/model.safetensors"
W2V_FILES = (f"{W2V_FOLDER}/config.json", f"{W2V_FOLDER}/preprocessor_config.json", W2V_WEIGHTS)
DOWNLOAD = (
    "download IndexTeam/IndexTTS-2 whole, and have upstream's checkout put the models of others beside it "
    "(indextts.utils.model_download.ensure_models_available)"
)
_NAMED = ("gpt_checkpoint", "s2mel_checkpoint", "w2v_stat", "spk_matrix", "emo_matrix")


@dataclass(frozen=True, kw_only=True)
class ModelFolder:
    """A folder of IndexTTS2's files. `told` is its config; `sample_rate` (Hz) is what it was trained from."""

    path: Path
    told: Mapping[str, Any]
    sample_rate: int
    codes: int  # semantic codes that stand for a sound; start and stop follow
    max_codes: int
    max_text: int

    def file(self, name: str) -> Path:
        """A file that the config names."""
        return self.path / str(self.told["dataset"]["bpe_model"] if name == "bpe_model" else self.told[name])

    @property
    def files(self) -> tuple[Path, ...]:
        """All that a clip depends on."""
        others = (*W2V_FILES, CODEC_FILE, SPEAKER_FILE, *VOCODER_FILES)
        named = (self.file(name) for name in (*_NAMED, "bpe_model"))
        return (self.path / CONFIG_FILE, *named, *(self.path / name for name in others))


def read(path: Path) -> ModelFolder:
    """The folder's description, checked. Raises NotFound for files that are missing, Refused for IndexTTS 2.5 and other
    versions, BadInput for a config that is damaged.
    """
    found = described(path)
    for file in found.files:
        if not file.is_file():
            raise NotFound(f"{file} is missing: {DOWNLOAD}.")
    return found


def described(path: Path) -> ModelFolder:
    """What a folder's config says, whether its other files are there or not. Raises as `read`."""
    told = _config(path / CONFIG_FILE)
    _must_be_version_2(path, told)
    try:
        gpt = told["gpt"]
        found = ModelFolder(
            path=path,
            told=told,
            sample_rate=int(told["dataset"]["sample_rate"]),
            codes=min(int(gpt["start_mel_token"]), int(gpt["stop_mel_token"])),
            max_codes=int(gpt["max_mel_tokens"]),
            max_text=int(gpt["max_text_tokens"]),
        )
        _ = found.files
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path / CONFIG_FILE} lacks or misnames {error}; download the model again.") from error
    return found


def _config(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFound(f"{path} is missing: name the folder with IndexTTS2's config.yaml and weights.") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BadInput(f"{path} cannot be read ({error}); download the model again.") from error
    if not isinstance(told, dict) or not isinstance(told.get("gpt"), dict):
        raise BadInput(f"{path} describes no IndexTTS2: it has no entry `gpt`; name the folder of another model.")
    return told


def _must_be_version_2(path: Path, told: Mapping[str, Any]) -> None:
    mode = told["gpt"].get("spk_cond_mode", "conformer")
    version = told.get("version")
    if version != VERSION or mode != "conformer":
        what = f"version {version}" if version != VERSION else f"a model whose speaker comes from {mode}"
        raise Refused(
            f"{path / CONFIG_FILE} is of IndexTTS {what}, and {VERSION} is known here: 2.5 hears its speaker in "
            "another way and has other tokens. Name the folder of IndexTeam/IndexTTS-2."
        )


def info(name: str, folder: Path) -> BackendInfo:
    """IndexTTS2 as its folder describes it. Raises NotFound when checkout or file is missing, and as `read`."""
    code = checkout.commit(checkout.path(os.environ))
    found = read(folder)
    return BackendInfo(
        name=name,
        title=TITLE,
        sample_rate=found.sample_rate,
        voices=emotions.VOICES,
        parts=PARTS,
        min_sec=MIN_SEC,
        max_sec=MAX_SEC,
        unpronounceable=unpronounceable,
        base_sha256=base_sha256(found),
        version=f"{code[:12] or 'unknown'}-{SPEAKING_VERSION}",
        full_sft=True,
        reference="required",
        tells_tokens=True,
        languages=LANGUAGES,
        # upstream's own; it searches with three beams, which is not drawing and is not done here
        usual=GenerationSettings(temperature=0.8, top_k=30, top_p=0.8, repetition_penalty=10.0),
    )


def base_sha256(folder: ModelFolder) -> str:
    """One hash of everything that a clip depends on."""
    return folders.sha256(list(folder.files))


def unpronounceable(text: str) -> str | None:
    """Its text normalisation drops what is neither a letter nor a digit."""
    return None if any(symbol.isalnum() for symbol in text) else "there is no letter or digit in it"


# ---------------------------------------------------------------------------------------------------------------- sizes
def size(name: str, folder: Path) -> sizes.ModelSize:
    """IndexTTS2's sizes: the GPT's by its config (GPT-2's, Radford et al. 2019), the rest by the bytes of its files, in
    float32.
    """
    found = read(folder)
    gpt = found.told["gpt"]
    width, layers = int(gpt["model_dim"]), int(gpt["layers"])
    shapes = {
        "c_attn": [(width, 3 * width)],
        "c_proj": [(width, width), (4 * width, width)],
        "c_fc": [(width, 4 * width)],
    }
    tensors = _tensors(gpt, width, layers, shapes)
    bytes_of_files = sum(file.stat().st_size for file in found.files)
    part = sizes.PartSize(
        name=PARTS[0],
        tensors=tensors,
        linears={each: tuple(pairs * layers) for each, pairs in shapes.items()},
        targets=PROJECTIONS,
        saved=sizes.transformer(
            layers=layers, width=width, feed_forward=4 * width, outputs=int(gpt["number_mel_codes"])
        ),
    )
    return sizes.ModelSize(
        parts=(part,),
        frozen_parameters=max(0, bytes_of_files // 4 - sum(tensors)),
        bytes_a_weight=4,
        tokens_a_second=CODES_A_SECOND + 17.0,  # and at most one text token a character
        feature_bytes_a_second=4 * CODES_A_SECOND + 4 * 34 * width // 4,  # conditioning of a clip of 4 s
    )


def _tensors(
    gpt: Mapping[str, Any], width: int, layers: int, shapes: Mapping[str, list[tuple[int, int]]]
) -> tuple[int, ...]:
    """The numbers in each weight of the GPT part."""
    layer = [number for pairs in shapes.values() for a, b in pairs for number in (a * b, b)] + [width] * 4
    text, codes = int(gpt["number_text_tokens"]) + 1, int(gpt["number_mel_codes"])
    tables = [text, codes, int(gpt["max_mel_tokens"]) + 3, int(gpt["max_text_tokens"]) + 2, 2]
    heads = [text * width, text, codes * width, codes]
    return (*layer * layers, *(rows * width for rows in tables), *heads, *[width] * 4)
