"""What is known of Qwen3-TTS before it is loaded, from its folder's config: kind, voices, limits, sizes, identity.

Imports no torch, and nothing of the `qwen_tts` package, which does. Knows no tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.backends import folders, generation_config, sizes
from engine.backends.backend_info import BackendInfo
from engine.types import BadInput, GenerationSettings, NotFound, SpeakingSetting

NAME = "qwen3_tts"
PARTS = ("talker", "predictor")
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SAMPLE_RATE = 24_000  # upstream resamples in silence; here nothing is trained at another rate
FRAME_SAMPLES = 1920
FRAMES_A_SECOND = SAMPLE_RATE / FRAME_SAMPLES
# The codec is decoded in one piece up to 24 s: upstream's own pieces overlap by less than its decoder looks back.
MAX_FRAMES = 300
MIN_SEC, MAX_SEC = 0.5, 23.0  # and a second of silence is put behind them
SPEAKING_VERSION = "1"  # changes when the same row would sound different
UNNAMED = "default"  # without a reference or an adapter, a voice that the seed makes up
LANGUAGE_MARK = "@"  # in a voice: default@english is told its language, default is not ("Auto")
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
TOKENIZER_FILES = ("vocab.json", "merges.txt", "tokenizer_config.json")
CODEC_FOLDER = "speech_tokenizer"
BASE, CUSTOM_VOICE = "base", "custom_voice"
KINDS = {BASE: "Base", CUSTOM_VOICE: "CustomVoice"}
# The languages whose tags its models have, by the names that their config gives them.
CODES: Mapping[str, str] = {
    "chinese": "zh",
    "english": "en",
    "german": "de",
    "spanish": "es",
    "japanese": "ja",
    "french": "fr",
    "korean": "ko",
    "russian": "ru",
    "italian": "it",
    "portuguese": "pt",
}
# What upstream draws with where the folder does not say, and the names of what only this model can be told.
UPSTREAMS = GenerationSettings(temperature=0.9, top_k=50, top_p=1.0, repetition_penalty=1.05)
INNER_TEMPERATURE, INNER_TOP_K, INNER_TOP_P = "subtalker_temperature", "subtalker_top_k", "subtalker_top_p"
TOKENIZER = "qwen3_tts_tokenizer_12hz"


@dataclass(frozen=True, kw_only=True)
class ModelFolder:
    """A folder of Qwen3-TTS's files. `kind` is "base" (it can hear a reference) or "custom_voice" (it has speakers)."""

    path: Path
    config: Mapping[str, Any]
    kind: str
    size: str
    languages: Mapping[str, int]  # name -> codec id of the tag
    speakers: Mapping[str, int]  # lower-case name -> row of the codec's embedding
    dialects: Mapping[str, str]  # of speakers that have one, its language

    @property
    def codec(self) -> Path:
        return self.path / CODEC_FOLDER

    @property
    def weights(self) -> tuple[Path, ...]:
        """One file, or the shards of one."""
        return tuple(sorted(self.path.glob("*.safetensors")))

    @property
    def voices(self) -> tuple[str, ...]:
        """Speakers, or the unnamed one; each alone and with each language."""
        tags = [language for language in self.languages if "dialect" not in language]
        own = tuple(self.speakers) or (UNNAMED,)
        return tuple(f"{voice}{tag}" for voice in own for tag in ("", *(f"{LANGUAGE_MARK}{tag}" for tag in tags)))


def read(path: Path) -> ModelFolder:
    """The folder's description, checked. Raises NotFound for files that are missing, BadInput for a model that is of
    another family, or of a kind that cannot be trained or spoken here.
    """
    config = folders.config(path)
    if config.get("model_type") != NAME:
        raise BadInput(
            f"{path / CONFIG_FILE} is of {config.get('model_type')!r}, and {NAME!r} is wanted; name the folder of a "
            "Qwen3-TTS model in its original format."
        )
    kind = str(config.get("tts_model_type"))
    if kind not in KINDS:
        raise BadInput(
            f"{path} is a {kind!r} model; Base models are fine-tuned, and CustomVoice models can be spoken with: "
            "download one of those."
        )
    if config.get("tokenizer_type") != TOKENIZER:
        raise BadInput(f"{path} has the codec {config.get('tokenizer_type')!r}; only {TOKENIZER} is known here.")
    for file in (*TOKENIZER_FILES, WEIGHTS_FILE, f"{CODEC_FOLDER}/{CONFIG_FILE}", f"{CODEC_FOLDER}/{WEIGHTS_FILE}"):
        if not (path / file).is_file() and not (file == WEIGHTS_FILE and next(path.glob("*.safetensors"), None)):
            raise NotFound(f"{path / file} is missing; download the model again, with all of its files.")
    try:
        talker = config["talker_config"]
        speakers = {str(name).lower(): int(row) for name, row in (talker.get("spk_id") or {}).items()}
        told = talker.get("spk_is_dialect") or {}
        return ModelFolder(
            path=path,
            config=config,
            kind=kind,
            size=str(config.get("tts_model_size") or ""),
            languages={str(name): int(tag) for name, tag in talker["codec_language_id"].items()},
            speakers=speakers,
            dialects={str(name).lower(): str(dialect) for name, dialect in told.items() if dialect},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{path / CONFIG_FILE} is damaged ({error!r}); download the model again.") from error


def info(name: str, folder: Path) -> BackendInfo:
    """Qwen3-TTS as its folder describes it. Raises NotFound or BadInput as `read`."""
    found = read(folder)
    return BackendInfo(
        name=name,
        title=title(found),
        sample_rate=SAMPLE_RATE,
        voices=found.voices,
        parts=PARTS,
        min_sec=MIN_SEC,
        max_sec=MAX_SEC,
        unpronounceable=unpronounceable,
        base_sha256=base_sha256(found),
        version=SPEAKING_VERSION,
        full_sft=True,
        reference="none" if found.kind == CUSTOM_VOICE else "optional",
        languages=tuple(CODES[name] for name in found.languages if name in CODES),
        usual=generation_config.usual(folder, UPSTREAMS),
        own_settings=_of_the_predictor(folder),
        tells_tokens=True,
    )


def _of_the_predictor(folder: Path) -> tuple[SpeakingSetting, ...]:
    """How the codes of a frame beyond the first are drawn, as upstream names and presets it."""
    told = generation_config.read(folder)

    def usual(name: str, otherwise: float) -> float:
        return generation_config.number(told, name, otherwise)

    return (
        SpeakingSetting(
            name=INNER_TEMPERATURE,
            title="Sub-talker temperature",
            about="How freely a frame's further codes are drawn; 0 takes the likeliest.",
            usual=usual(INNER_TEMPERATURE, UPSTREAMS.temperature),
            least=0,
            most=5,
        ),
        SpeakingSetting(
            name=INNER_TOP_K,
            title="Sub-talker top k",
            about="From how many of the likeliest; 0: from all.",
            usual=usual(INNER_TOP_K, UPSTREAMS.top_k),
            least=0,
            most=10_000,
            step=1,
        ),
        SpeakingSetting(
            name=INNER_TOP_P,
            title="Sub-talker top p",
            about="From the likeliest that make up this share.",
            usual=usual(INNER_TOP_P, UPSTREAMS.top_p),
            least=0.01,
            most=1,
            step=0.01,
        ),
    )


def title(folder: ModelFolder) -> str:
    """For example 'Qwen3-TTS 1.7B Base'."""
    size = folder.size.upper().replace("0B6", "0.6B").replace("1B7", "1.7B")
    return " ".join(word for word in ("Qwen3-TTS", size, KINDS[folder.kind]) if word)


def base_sha256(folder: ModelFolder) -> str:
    """One hash of everything that a clip depends on."""
    own = [folder.path / name for name in (CONFIG_FILE, *TOKENIZER_FILES)]
    return folders.sha256([*own, *folder.weights, folder.codec / CONFIG_FILE, folder.codec / WEIGHTS_FILE])


def unpronounceable(text: str) -> str | None:
    """Its tokenizer knows all bytes, so that only a text without a letter or digit cannot be said."""
    return None if any(symbol.isalnum() for symbol in text) else "there is no letter or digit in it"


def speaker_and_language(voice: str) -> tuple[str, str]:
    """What a voice's name says: the speaker, and the language that the model is told, "" for none."""
    speaker, _, language = voice.partition(LANGUAGE_MARK)
    return speaker, language


# ---------------------------------------------------------------------------------------------------------------- sizes
def size(name: str, folder: Path) -> sizes.ModelSize:
    """Qwen3-TTS's sizes, counted in the headers of its weights. The speaker encoder and the codec are loaded beside
    them and never trained.
    """
    found = read(folder)
    shapes = {key: shape for file in found.weights for key, shape in sizes.shapes(file).items()}
    try:
        saved = _saved(found.config["talker_config"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{folder / CONFIG_FILE} is damaged ({error!r}); download the model again.") from error
    parts = []
    for part in PARTS:
        own = {key: shape for key, shape in shapes.items() if part_of(key) == part}
        positions, kept = saved[part]
        parts.append(
            sizes.PartSize(
                name=part,
                tensors=sizes.numbers(own),
                linears=sizes.linears(own),
                targets=PROJECTIONS,
                saved=kept,
                positions_a_token=positions,
            )
        )
    rest = {key: shape for key, shape in shapes.items() if part_of(key) not in PARTS}
    codec = sizes.shapes(found.codec / WEIGHTS_FILE)
    return sizes.ModelSize(
        parts=tuple(parts),
        frozen_parameters=sum(sizes.numbers(rest)) + sum(sizes.numbers(codec)),
        bytes_a_weight=4,
        tokens_a_second=FRAMES_A_SECOND + 17.0,  # and at most one text token a character
        feature_bytes_a_second=int(8 * FRAMES_A_SECOND * int(found.config["talker_config"]["num_code_groups"])),
    )


def part_of(key: str) -> str:
    """The part that a weight of `model.safetensors` belongs to; "" for the speaker encoder."""
    if key.startswith("talker.code_predictor."):
        return "predictor"
    return "talker" if key.startswith("talker.") else ""


def _saved(talker: Mapping[str, Any]) -> dict[str, tuple[float, sizes.Saved]]:
    """Of each part, positions a token and what one of them keeps. The predictor sees the talker's state and the codes
    of a frame but the last: as many positions as a frame has codes.
    """
    predictor, groups = talker["code_predictor_config"], int(talker["num_code_groups"])
    kept = {}
    for part, told, positions in (("talker", talker, 1.0), ("predictor", predictor, float(groups))):
        kept[part] = (
            positions,
            sizes.transformer(
                layers=int(told["num_hidden_layers"]),
                width=int(told["hidden_size"]),
                feed_forward=int(told["intermediate_size"]),
                outputs=int(told["vocab_size"]),
            ),
        )
    return kept
