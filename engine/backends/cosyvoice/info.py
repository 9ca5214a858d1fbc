"""What is known of CosyVoice before it is loaded, from its folder's yaml: version, rates, limits, files, identity.

Imports no torch and nothing of the checkout. Knows no tensors.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from engine.backends import folders, sizes
from engine.backends.backend_info import INSTRUCTION, BackendInfo
from engine.backends.cosyvoice import checkout, recipe, sizing, speakers
from engine.backends.cosyvoice.recipe import Call
from engine.backends.cosyvoice.versions import SPEAKERS, VERSIONS, Version, of_yaml
from engine.types import BadInput, GenerationSettings, NotFound, Refused, SpeakingSetting

PARTS = ("llm", "flow")
VOICE = "default"  # a reference, or the mean speaker vector of an adapter, makes it sound like somebody
MIN_SEC, MAX_SEC = 1.0, 30.0  # upstream drops shorter rows in silence, and its tokenizer takes no longer ones
SPEAKING_VERSION = "2"  # changes when the same row would sound different
SHORTEN_SILENCES = "shorten_silences"  # what only version 3 can be told: 1, as upstream does, or 0
WEIGHTS = ("llm.pt", "flow.pt", "hift.pt")
SPEAKER_MODEL = "campplus.onnx"


@dataclass(frozen=True, kw_only=True)
class ModelFolder:
    """A folder of CosyVoice's files. Rates in Hz; a token is `mel_ratio` frames of the spectrogram."""

    version: Version
    path: Path
    told: Mapping[str, Any]
    sample_rate: int
    token_rate: int
    mel_ratio: Fraction  # frames of the spectrogram a token: 2, and 1.72 in version 1
    codes: int  # speech tokens that stand for a sound

    @property
    def name(self) -> str:
        return self.version.name

    @property
    def yaml(self) -> Path:
        return self.path / self.version.yaml

    @property
    def qwen(self) -> Path | None:
        """The folder of the language model inside, of versions that have one."""
        return self.path / self.version.qwen if self.version.qwen else None

    @property
    def voices(self) -> tuple[str, ...]:
        """The one without a sound of its own, and those that the folder brings."""
        brought = speakers.names(self.path / SPEAKERS) if self.version.knows_speakers else ()
        return (VOICE, *(name for name in brought if INSTRUCTION not in name and name != VOICE))

    @property
    def instructs(self) -> bool:
        """Whether a voice can be told something. Of version 1 only one model was taught to listen, and nothing but its
        name tells it apart: another would say the instruction aloud.
        """
        if not self.version.knows_speakers:
            return True
        return any("instruct" in name.lower() for path in (self.path, self.path.resolve()) for name in _names(path))

    @property
    def files(self) -> tuple[Path, ...]:
        """All that a clip depends on."""
        inner = self.qwen.iterdir() if self.qwen else ()
        config = tuple(sorted(path for path in inner if path.suffix in (".json", ".txt")))
        named = [*WEIGHTS, SPEAKER_MODEL, self.version.tokenizer]
        if self.version.knows_speakers and (self.path / SPEAKERS).is_file():
            named.append(SPEAKERS)
        return (self.yaml, *(self.path / name for name in named), *config)

    def frames(self, tokens: int) -> int:
        """Frames of the spectrogram that so many tokens stand for."""
        return math.floor(tokens * self.mel_ratio)


def _names(path: Path) -> tuple[str, ...]:
    """What a folder is called, by itself or, of the hub's cache, as a model."""
    is_snapshot = path.parent.name == "snapshots"
    return (path.name, path.parent.parent.name) if is_snapshot else (path.name,)


def read(name: str, path: Path) -> ModelFolder:
    """The folder's description, checked. Raises NotFound for files that are missing, BadInput for a model of another
    version than `name`.
    """
    version = VERSIONS[name]
    found = of_yaml(frozenset(file.name for file in path.glob("*.yaml")))
    if found is None:
        known = ", ".join(one.yaml for one in VERSIONS.values())
        raise NotFound(f"{path} has none of {known}: it is no folder of CosyVoice's weights.")
    if found != version:
        raise BadInput(
            f"{path} holds {found.title} and was named for {name}: choose {found.name}, or name another folder."
        )
    checkout.must_be_whole(path, (*WEIGHTS, SPEAKER_MODEL, version.tokenizer, *filter(None, (version.qwen,))))
    if version.qwen:
        checkout.must_be_whole(path / version.qwen, ("config.json",))
    return _described(version, path, recipe.read(path / version.yaml))


def _described(version: Version, path: Path, told: Mapping[str, Any]) -> ModelFolder:
    file = path / version.yaml
    llm = told.get("llm")
    if not isinstance(llm, Call) or llm.path != version.llm_class:
        raise Refused(f"{file} names {getattr(llm, 'path', llm)} as its llm, and {version.llm_class} is known here.")
    try:
        rate, token_rate = int(told["sample_rate"]), int(told["flow"].arguments["input_frame_rate"])
        return ModelFolder(
            version=version,
            path=path,
            told=told,
            sample_rate=rate,
            token_rate=token_rate,
            mel_ratio=_mel_ratio(version, told, rate, token_rate),
            codes=int(llm.arguments["speech_token_size"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{file} lacks {error}; download the model again.") from error


def _mel_ratio(version: Version, told: Mapping[str, Any], rate: int, token_rate: int) -> Fraction:
    if version.mel_ratio_told:
        return Fraction(int(told["token_mel_ratio"]))
    return Fraction(rate, int(told["feat_extractor"].arguments["hop_size"]) * token_rate)


def info(name: str, folder: Path) -> BackendInfo:
    """CosyVoice as its folder describes it. Raises NotFound when checkout or file is missing, BadInput as `read`."""
    code = checkout.commit(checkout.path(os.environ))
    found = read(name, folder)
    return BackendInfo(
        name=name,
        title=found.version.title,
        sample_rate=found.sample_rate,
        voices=found.voices,
        parts=PARTS,
        min_sec=MIN_SEC,
        max_sec=MAX_SEC,
        unpronounceable=unpronounceable,
        base_sha256=base_sha256(found),
        version=f"{code[:12] or 'unknown'}-{SPEAKING_VERSION}",
        full_sft=True,
        reference="optional",
        mixes_rows=True,
        languages=found.version.languages,
        usual=GenerationSettings(temperature=1.0, top_k=25, top_p=0.8),  # upstream's
        unloaded_loss=unloaded_loss(found),
        refuses_unloaded=True,
        instructs=found.instructs,
        own_settings=own_settings(found.version),
        tells_tokens=True,
    )


def size(name: str, folder: Path) -> sizes.ModelSize:
    """CosyVoice's sizes, counted in its weights. Raises NotFound or BadInput as `read`, or for damaged files."""
    found = read(name, folder)
    return sizing.size(
        [folder / file for file in WEIGHTS],
        found.qwen / "config.json" if found.qwen else None,
        targets={"llm": found.version.llm_targets, "flow": found.version.flow_targets},
        token_rate=found.token_rate,
        mel_ratio=float(found.mel_ratio),
    )


def own_settings(version: Version) -> tuple[SpeakingSetting, ...]:
    """Version 3 alone has tokens that upstream knows for silence, shortens, and learnt pauses with them."""
    if not version.shortens_silences:
        return ()
    return (
        SpeakingSetting(
            name=SHORTEN_SILENCES,
            title="Shorten silences",
            about="1: to a fifth of a second, as upstream does; 0: as they were drawn.",
            usual=1,
            least=0,
            most=1,
            step=1,
        ),
    )


def told(folder: ModelFolder, voice: str) -> tuple[str, str] | None:
    """Who speaks and what they are told: "default@Speak slowly." is "default" that is told the words after the mark,
    "" for nothing. None for a voice that there is not.
    """
    name, mark, words = voice.partition(INSTRUCTION)
    if name not in folder.voices or (mark and not (words.strip() and folder.instructs)):
        return None
    return name, words.strip()


def unloaded_loss(folder: ModelFolder) -> Mapping[str, float]:
    """Where a model without its weights starts: the language model at the logarithm of its classes (8.8 nats), the flow
    far above what a constant gets (10 for the mean of real log mel spectrograms; 38 to 48 for zero).
    """
    return {"llm": math.log(folder.codes + folder.version.outputs), "flow": 10.0}


def base_sha256(folder: ModelFolder) -> str:
    """One hash of everything that a clip depends on."""
    return folders.sha256(list(folder.files))


def unpronounceable(text: str) -> str | None:
    """Its tokenizer falls back to bytes, so that only a text without a letter or digit cannot be said."""
    return None if any(symbol.isalnum() for symbol in text) else "there is no letter or digit in it"
