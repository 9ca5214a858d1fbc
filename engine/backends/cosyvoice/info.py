"""What is known of CosyVoice before it is loaded, from its folder's yaml: version, rates, limits, files, identity.

Imports no torch and nothing of the checkout. Knows no tensors.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.backends import INSTRUCTION, BackendInfo, folders, sizes
from engine.backends.cosyvoice import checkout, recipe, sizing
from engine.backends.cosyvoice.recipe import Call
from engine.types import BadInput, GenerationSettings, NotFound, Refused, SpeakingSetting

PARTS = ("llm", "flow")
VOICE = "default"  # there are no named voices: a reference, or the mean speaker vector of an adapter, makes one
MIN_SEC, MAX_SEC = 1.0, 30.0  # upstream drops shorter rows in silence, and its tokenizer takes no longer ones
SPEAKING_VERSION = "2"  # changes when the same row would sound different
SHORTEN_SILENCES = "shorten_silences"  # what only version 3 can be told: 1, as upstream does, or 0
LANGUAGES = ("zh", "en", "ja", "ko", "de", "es", "fr", "it", "ru")
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
QWEN = "CosyVoice-BlankEN"
WEIGHTS = ("llm.pt", "flow.pt", "hift.pt")
SPEAKER_MODEL = "campplus.onnx"
# name -> the yaml that says so, and the model that hears its tokens
YAMLS: Mapping[str, str] = {"cosyvoice2": "cosyvoice2.yaml", "cosyvoice3": "cosyvoice3.yaml"}
TOKENIZERS: Mapping[str, str] = {"cosyvoice2": "speech_tokenizer_v2.onnx", "cosyvoice3": "speech_tokenizer_v3.onnx"}
TITLES: Mapping[str, str] = {"cosyvoice2": "CosyVoice 2", "cosyvoice3": "CosyVoice 3"}
FIRST = "cosyvoice.yaml"
LLM_CLASSES: Mapping[str, str] = {
    "cosyvoice2": "cosyvoice.llm.llm.Qwen2LM",
    "cosyvoice3": "cosyvoice.llm.llm.CosyVoice3LM",
}
# The Linears of the flow that carry LoRA, by the flow's class: attention alone. `to_out` is a list whose first is one.
FLOW_TARGETS: Mapping[str, tuple[str, ...]] = {
    "cosyvoice2": ("to_q", "to_k", "to_v", "to_out.0", "linear_q", "linear_k", "linear_v", "linear_out"),
    "cosyvoice3": ("to_q", "to_k", "to_v", "to_out.0"),
}


@dataclass(frozen=True, kw_only=True)
class ModelFolder:
    """A folder of CosyVoice's files. Rates in Hz; a token is `mel_ratio` frames of the spectrogram."""

    name: str
    path: Path
    told: Mapping[str, Any]
    sample_rate: int
    token_rate: int
    mel_ratio: int
    codes: int  # speech tokens that stand for a sound

    @property
    def yaml(self) -> Path:
        return self.path / YAMLS[self.name]

    @property
    def qwen(self) -> Path:
        return self.path / QWEN

    @property
    def files(self) -> tuple[Path, ...]:
        """All that a clip depends on."""
        config = tuple(sorted(path for path in self.qwen.iterdir() if path.suffix in (".json", ".txt")))
        named = (*WEIGHTS, SPEAKER_MODEL, TOKENIZERS[self.name])
        return (self.yaml, *(self.path / name for name in named), *config)


def read(name: str, path: Path) -> ModelFolder:
    """The folder's description, checked. Raises NotFound for files that are missing, BadInput for a model of another
    version than `name`.
    """
    found = next((version for version, file in YAMLS.items() if (path / file).is_file()), None)
    if found is None and (path / FIRST).is_file():
        raise BadInput(f"{path} holds CosyVoice 1, and 2 and 3 are known here; name the folder of one of these.")
    if found is None:
        raise NotFound(f"{path} has none of {', '.join(YAMLS.values())}: it is no folder of CosyVoice's weights.")
    if found != name:
        raise BadInput(
            f"{path} holds {TITLES[found]} and was named for {name}: choose {found}, or name another folder."
        )
    checkout.must_be_whole(path, (*WEIGHTS, SPEAKER_MODEL, TOKENIZERS[name], QWEN))
    checkout.must_be_whole(path / QWEN, ("config.json",))
    return _described(name, path, recipe.read(path / YAMLS[name]))


def _described(name: str, path: Path, told: Mapping[str, Any]) -> ModelFolder:
    file = path / YAMLS[name]
    llm = told.get("llm")
    if not isinstance(llm, Call) or llm.path != LLM_CLASSES[name]:
        raise Refused(f"{file} names {getattr(llm, 'path', llm)} as its llm, and {LLM_CLASSES[name]} is known here.")
    try:
        return ModelFolder(
            name=name,
            path=path,
            told=told,
            sample_rate=int(told["sample_rate"]),
            token_rate=int(told["token_frame_rate"]),
            mel_ratio=int(told["token_mel_ratio"]),
            codes=int(llm.arguments["speech_token_size"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{file} lacks {error}; download the model again.") from error


def info(name: str, folder: Path) -> BackendInfo:
    """CosyVoice as its folder describes it. Raises NotFound when checkout or file is missing, BadInput as `read`."""
    code = checkout.commit(checkout.path(os.environ))
    found = read(name, folder)
    return BackendInfo(
        name=name,
        title=TITLES[name],
        sample_rate=found.sample_rate,
        voices=(VOICE,),
        parts=PARTS,
        min_sec=MIN_SEC,
        max_sec=MAX_SEC,
        unpronounceable=unpronounceable,
        base_sha256=base_sha256(found),
        version=f"{code[:12] or 'unknown'}-{SPEAKING_VERSION}",
        full_sft=True,
        reference="optional",
        mixes_rows=True,
        languages=LANGUAGES,
        usual=GenerationSettings(temperature=1.0, top_k=25, top_p=0.8),  # upstream's
        unloaded_loss=unloaded_loss(found),
        instructs=True,
        own_settings=own_settings(name),
        tells_tokens=True,
    )


def size(name: str, folder: Path) -> sizes.ModelSize:
    """CosyVoice's sizes, counted in its weights. Raises NotFound or BadInput as `read`, or for damaged files."""
    found = read(name, folder)
    return sizing.size(
        [folder / file for file in WEIGHTS],
        found.qwen / "config.json",
        targets={"llm": ATTENTION, "flow": FLOW_TARGETS[name]},
        token_rate=found.token_rate,
        mel_ratio=found.mel_ratio,
    )


def own_settings(name: str) -> tuple[SpeakingSetting, ...]:
    """Version 3 alone has tokens that upstream knows for silence, shortens, and learnt pauses with them."""
    if name != "cosyvoice3":
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


def instruction(voice: str) -> str | None:
    """What a voice is told ("default@Speak slowly." is told the words after the mark), "" for nothing; None for a voice
    that there is not.
    """
    name, mark, words = voice.partition(INSTRUCTION)
    return None if name != VOICE or (mark and not words.strip()) else words.strip()


def unloaded_loss(folder: ModelFolder) -> Mapping[str, float]:
    """Where a model without its weights starts: the language model at the logarithm of its classes (8.8 nats), the flow
    far above what a constant gets (10 for the mean of real log mel spectrograms; 38 to 48 for zero).
    """
    import math

    extra = {"cosyvoice2": 3, "cosyvoice3": 200}[folder.name]
    return {"llm": math.log(folder.codes + extra), "flow": 10.0}


def base_sha256(folder: ModelFolder) -> str:
    """One hash of everything that a clip depends on."""
    return folders.sha256(list(folder.files))


def unpronounceable(text: str) -> str | None:
    """Its tokenizer falls back to bytes, so that only a text without a letter or digit cannot be said."""
    return None if any(symbol.isalnum() for symbol in text) else "there is no letter or digit in it"
