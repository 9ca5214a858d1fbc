"""What is known of transformers' own speech models before one is loaded: from a folder's files, without torch.

Knows which files a folder must have, what its config says, and how large its parts are. Imports neither torch nor
transformers.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from engine.backends import folders, generation_config, hub, sizes
from engine.backends.backend_info import BackendInfo
from engine.backends.transformers_tts.families import DIA, FAMILIES, POCKET_TTS, Family, part_of, saves
from engine.types import BadInput, GenerationSettings, NotFound

VOICE = "default"  # no audio prompt: the voice is in the weights
MIN_SEC, MAX_SEC = 0.5, 30.0  # ours; neither library nor papers state limits of a training clip
SPEAKING_VERSION = "1"  # changes when the same row would sound different
CONFIG_FILE, WEIGHTS_FILE, INDEX_FILE = "config.json", "model.safetensors", "model.safetensors.index.json"
PROCESSOR_FILE = "processor_config.json"
PREPROCESSOR_FILE, TEMPLATE_FILE = "preprocessor_config.json", "chat_template.jinja"
OPTIONAL_FILES = ("generation_config.json", "tokenizer_config.json", "added_tokens.json", PREPROCESSOR_FILE)
CODEC_FOLDER, VOICES_FOLDER = "audio_tokenizer", "voices"
VOICE_SUFFIXES = (".wav", ".flac")
CHARACTERS_A_SECOND = 17.0  # of fast speech; a token is at least a character
INSTALL = "pip install -r requirements.txt"


@dataclass(frozen=True, kw_only=True)
class ModelFolder:
    """A folder of one model's files. `codec` is where the codec lies when it is not among the model's own weights."""

    family: Family
    path: Path
    config: Mapping[str, Any]
    weights: tuple[Path, ...]
    codec: Path | None
    codec_config: Mapping[str, Any]
    sample_rate: int
    frame_rate: float  # audio frames a second; one is a position of the sequence
    max_positions: int
    voices: Mapping[str, Path]  # audio prompts by name

    @property
    def name(self) -> str:
        return self.family.name

    @property
    def frame_samples(self) -> int:
        return round(self.sample_rate / self.frame_rate)


def read(name: str, path: Path) -> ModelFolder:
    """The folder's description, checked. Raises NotFound for files that are missing, BadInput for a config of another
    model, of a version that is not known here, or whose rates contradict one another.
    """
    family, config = FAMILIES[name], folders.config(path)
    kind = config.get("model_type")
    if kind != name:
        other = f"choose {kind}, or name another folder" if kind in FAMILIES else f"name the folder of a {name} model"
        raise BadInput(f"{path / CONFIG_FILE} is of model type {kind!r} and was named for {name}: {other}.")
    for file in (family.tokenizer, PROCESSOR_FILE if name == POCKET_TTS else ""):
        if file and not (path / file).is_file():
            raise NotFound(f"{path / file} is missing; download the model again, with all of its files.")
    if not any((path / file).is_file() for file in (PROCESSOR_FILE, PREPROCESSOR_FILE)):
        raise NotFound(f"{path} has no {PROCESSOR_FILE}; download the model again, with all of its files.")
    if family.has_template and not (path / TEMPLATE_FILE).is_file():
        raise NotFound(
            f"{path / TEMPLATE_FILE} is missing: it says how a text is put to the model; download it from where the "
            "weights came from."
        )
    try:
        return _described(family, path, config)
    except (TypeError, ValueError, KeyError, AttributeError, ZeroDivisionError) as error:
        raise BadInput(f"{path / CONFIG_FILE} is damaged ({error!r}); download the model again.") from error


def _described(family: Family, path: Path, config: Mapping[str, Any]) -> ModelFolder:
    codec = _codec_folder(path) if family.codec else None
    codec_config = folders.config(codec) if codec else config.get("codec_config") or {}
    if codec:
        _must_agree(family, path, codec, config, codec_config)
    rate, hop = _rates(family, codec_config)
    told = float(config.get("frame_rate", 12.5)) if family.name == POCKET_TTS else 0.0
    if told and round(told * hop) != rate:
        raise BadInput(
            f"{path / CONFIG_FILE} says {told:g} frames a second and the codec in {codec} makes {rate / hop:g}: "
            "this is another model's codec; download the one that the model names."
        )
    _must_hear(path, rate)
    return ModelFolder(
        family=family,
        path=path,
        config=config,
        weights=_weights(path, config),
        codec=codec,
        codec_config=codec_config,
        sample_rate=rate,
        frame_rate=rate / hop,
        max_positions=_positions(family, config),
        voices=_voices(path) if family.name == POCKET_TTS else {},
    )


def _rates(family: Family, codec: Mapping[str, Any]) -> tuple[int, int]:
    """The codec's samples a second, and samples a frame."""
    defaults = {"pocket_tts": ((6, 5, 4), 16), "csm": ((8, 6, 5, 4), 2), "dia": ((2, 4, 8, 8), 1)}
    ratios, stride = defaults[family.name]
    ratios = codec.get("upsampling_ratios") or codec.get("downsampling_ratios") or ratios
    hop = int(codec.get("latent_stride", stride))
    return int(codec.get("sampling_rate", 16_000 if family.name == "dia" else 24_000)), hop * math.prod(
        map(int, ratios)
    )


def _positions(family: Family, config: Mapping[str, Any]) -> int:
    """Of the sequence that audio is in."""
    if family.text_apart:
        return int((config.get("decoder_config") or {}).get("max_position_embeddings", 3072))
    return int(config.get("max_position_embeddings", 8192 if family.name == POCKET_TTS else 2048))


def _must_train(path: Path, config: Mapping[str, Any]) -> None:
    flow = str((config.get("flow_head_config") or {}).get("flow_type", "lsd"))
    if flow != "lsd":
        raise BadInput(
            f"{path / CONFIG_FILE} has a flow head of type {flow!r}, which transformers cannot train; use a checkpoint "
            "whose flow_type is lsd."
        )


def _codec_folder(path: Path) -> Path:
    """Beside the model, or where the processor's config says if that is on this machine: a path, or a model of the hub
    in the cache. Nothing is downloaded.
    """
    named = folders.companion(path)
    kept = hub.find(named) if hub.is_name(named) else None
    for found in (path / CODEC_FOLDER, path / named if named else None, kept.path if kept else None):
        if found and (found / CONFIG_FILE).is_file():
            if not (found / WEIGHTS_FILE).is_file():
                raise NotFound(f"{found / WEIGHTS_FILE} is missing; download the codec again, with all of its files.")
            return found
    raise NotFound(
        f"{path} has no codec: without it there is no sound. Download {named or 'the codec that the model names'} "
        f"into {path / CODEC_FOLDER}{f', or run `{hub.COMMAND} {named}`' if hub.is_name(named) else ''}."
    )


def _must_agree(
    family: Family, path: Path, codec: Path, config: Mapping[str, Any], codec_config: Mapping[str, Any]
) -> None:
    kind = codec_config.get("model_type")
    if kind != family.codec_type:
        raise BadInput(
            f"{codec / CONFIG_FILE} is of model type {kind!r}, and {family.title} needs its own audio tokenizer "
            f"({family.codec_type}); download the one that the model names."
        )
    if family.name == DIA:
        _must_have_channels(path, codec, config, codec_config)
        return
    _must_train(path, config)
    ours, theirs = int(config.get("latent_dim", 32)), int(codec_config.get("latent_dim", 32))
    if ours != theirs:
        raise BadInput(
            f"The model in {path} speaks in latents of {ours} numbers and the codec in {codec} in {theirs}: this is "
            "another model's codec; download the one that the model names."
        )


def _must_have_channels(path: Path, codec: Path, config: Mapping[str, Any], codec_config: Mapping[str, Any]) -> None:
    """A code book a channel, and no more codes than come before the end of speech."""
    decoder = config.get("decoder_config") or {}
    ours = (int(decoder.get("num_channels", 9)), int(decoder.get("eos_token_id", 1024)))
    theirs = (int(codec_config.get("n_codebooks", 9)), int(codec_config.get("codebook_size", 1024)))
    if ours != theirs:
        raise BadInput(
            f"The model in {path} speaks in {ours[0]} channels of {ours[1]} codes and the codec in {codec} in "
            f"{theirs[0]} of {theirs[1]}: this is another model's codec; download the one that the model names."
        )


def _must_hear(path: Path, rate: int) -> None:
    told = _json(path / PROCESSOR_FILE)
    heard = (told.get("feature_extractor") or told or _json(path / PREPROCESSOR_FILE)).get("sampling_rate", rate)
    if int(heard) != rate:
        raise BadInput(
            f"The processor in {path} takes audio at {heard} Hz and its codec at {rate} Hz: one of the two is another "
            "model's; download both again."
        )


def _weights(path: Path, config: Mapping[str, Any]) -> tuple[Path, ...]:
    """The files that transformers will read: those that the config names (CSM's repository also has weights in its
    authors' own format), else one file, else the shards of an index.
    """
    named = str(config.get("transformers_weights") or "")
    single, index = (named, named) if named else (WEIGHTS_FILE, INDEX_FILE)
    if single.endswith(".safetensors") and (path / single).is_file():
        return (path / single,)
    shards = sorted(set((_json(path / index).get("weight_map") or {}).values()))
    if not shards:
        raise NotFound(f"{path} has no {single}: weights are read from safetensors only; download the model again.")
    for shard in shards:
        if not (path / shard).is_file():
            raise NotFound(f"{path / shard} is missing; download the model again, with all of its files.")
    return tuple(path / shard for shard in shards)


def _voices(path: Path) -> dict[str, Path]:
    """Audio prompts that somebody put beside the model: `voices/anna.wav` is the voice anna."""
    found = sorted(p for p in path.glob(f"{VOICES_FOLDER}/*") if p.suffix.lower() in VOICE_SUFFIXES and p.is_file())
    return {p.stem: p for p in found if p.stem != VOICE}


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read ({error}); download the model again.") from error
    return found if isinstance(found, dict) else {}


# ----------------------------------------------------------------------------------------------------------------- info
def info(name: str, folder: Path) -> BackendInfo:
    """A model as its folder describes it. Raises as `read` does, and NotFound without transformers."""
    found = read(name, folder)
    return BackendInfo(
        name=name,
        title=found.family.title,
        sample_rate=found.sample_rate,
        voices=(VOICE, *found.voices),
        parts=found.family.parts,
        min_sec=MIN_SEC,
        max_sec=min(MAX_SEC, found.max_positions / found.frame_rate / (1 if found.family.text_apart else 2)),
        unpronounceable=unpronounceable,
        base_sha256=base_sha256(found),
        version=f"{library_version()}-{SPEAKING_VERSION}",
        full_sft=True,
        reference="optional",
        languages=found.family.languages,
        usual=generation_config.usual(folder, GenerationSettings(temperature=found.family.temperature, top_k=50)),
        unloaded_loss=_unloaded(found),
        tells_tokens=name != POCKET_TTS,  # which speaks in numbers, not in codes
    )


def _unloaded(folder: ModelFolder) -> dict[str, float]:
    """Nats a code when every code is as likely; the losses of Pocket TTS have no such value."""
    if folder.name == POCKET_TTS:
        return {}
    if folder.name == DIA:
        return {"lm": math.log(int((folder.config.get("decoder_config") or {}).get("vocab_size", 1028)))}
    return dict.fromkeys(folder.family.parts, math.log(int(folder.config.get("vocab_size", 2051))))


def library_version() -> str:
    """Of the installed transformers: another one may draw or decode otherwise."""
    try:
        return metadata.version("transformers")
    except metadata.PackageNotFoundError as error:
        raise NotFound(f"transformers is not installed; in Earmark's environment run: {INSTALL}") from error


def base_sha256(folder: ModelFolder) -> str:
    """One hash of everything that a clip depends on: config, tokenizer, template, processor, weights, codec, voices."""
    template = (TEMPLATE_FILE,) if folder.family.has_template else ()
    needed = [folder.path / name for name in (CONFIG_FILE, folder.family.tokenizer, *template)]
    files = needed + [path for name in OPTIONAL_FILES if (path := folder.path / name).is_file() and path not in needed]
    files += [*folder.weights, *folder.voices.values()]
    codec = [folder.codec / name for name in (CONFIG_FILE, WEIGHTS_FILE)] if folder.codec else []
    # where the codec lies on this machine is no part of what it is
    processor = {key: told for key, told in _json(folder.path / PROCESSOR_FILE).items() if key != "audio_tokenizer"}
    whole = (folders.sha256(files), folders.sha256(codec), json.dumps(processor, sort_keys=True))
    return hashlib.sha256("\0".join(whole).encode()).hexdigest()


def unpronounceable(text: str) -> str | None:
    """What the tokenizers do with rare characters only the loaded model knows; a text without letters says nothing."""
    return None if any(symbol.isalnum() for symbol in text) else "there is no letter or digit in it"


# ----------------------------------------------------------------------------------------------------------------- size
def size(name: str, folder: Path) -> sizes.ModelSize:
    """A model's sizes, counted in the headers of its weights. The codec is loaded beside them and never trained."""
    found = read(name, folder)
    shapes = {key: shape for path in found.weights for key, shape in sizes.shapes(path).items()}
    by_part: dict[str, dict[str, tuple[int, ...]]] = {part: {} for part in (*found.family.parts, "")}
    for key, shape in shapes.items():
        by_part[part_of(name, key)][key] = shape
    try:
        saved = saves(name, found.config)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{folder / CONFIG_FILE} is damaged ({error!r}); download the model again.") from error
    frozen = sum(sizes.numbers(by_part[""]))
    if found.codec:
        frozen += sum(sizes.numbers(sizes.shapes(found.codec / WEIGHTS_FILE)))
    return sizes.ModelSize(
        parts=tuple(
            sizes.PartSize(
                name=part,
                tensors=sizes.numbers(by_part[part]),
                linears=sizes.linears(by_part[part]),
                targets=targets,
                saved=saved[part][1],
                positions_a_token=saved[part][0],
            )
            for part, targets in found.family.targets.items()
        ),
        frozen_parameters=frozen,
        bytes_a_weight=4,
        tokens_a_second=found.frame_rate + CHARACTERS_A_SECOND,
        feature_bytes_a_second=round(found.frame_rate * 4 * 32 + 1000),
    )
