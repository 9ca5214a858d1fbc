"""Finch on disk: `config.json` and half-precision safetensors, and the nets built from them.

Knows file names, formats and hashes. A missing, unexpected or altered tensor is a refused load.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import Qwen2ForCausalLM

from engine.backends.finch.acoustics import Normalisation, SpeakerStatistics
from engine.backends.finch.codec import CodecConfig, Decoder, Encoder
from engine.backends.finch.ear import Ear, EarConfig, Listener
from engine.backends.finch.language_model import LanguageModelConfig, Vocabulary, build
from engine.backends.finch.phonemes import Inventory
from engine.backends.finch.vocoder import Vocoder, VocoderConfig

FORMAT = 1
CONFIG_FILE = "config.json"


class BrokenWeights(RuntimeError):
    """The weight files do not belong together, or are not what `config.json` says."""


@dataclass(frozen=True)
class BaseVoice:
    """A voice that Finch offers. `clock` is its default pace (1 is the training average)."""

    name: str
    speaker: int
    clock: float
    f0_hz: float


@dataclass(frozen=True)
class Sampling:
    """Default generation settings.

    Generation is cut off at `longest_ratio` times the expected number of tokens plus
    `longest_extra`; reaching that without EOS is a runaway.
    """

    temperature: float = 0.3
    top_k: int = 30
    longest_ratio: float = 1.6
    longest_extra: int = 25


@dataclass(frozen=True)
class FinchConfig:
    """Everything about a set of weights but the weights."""

    symbols: tuple[str, ...]
    durations: tuple[float, ...]
    normalisation: Normalisation
    voices: tuple[BaseVoice, ...]
    sampling: Sampling
    language_model: LanguageModelConfig
    codec: CodecConfig
    vocoder: VocoderConfig
    ears: dict[str, EarConfig]
    sha256: dict[str, str]

    @property
    def inventory(self) -> Inventory:
        return Inventory(self.symbols)

    @property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(self.durations, self.language_model.speakers, self.language_model.tokens)

    def voice(self, name: str) -> BaseVoice:
        """The base voice called `name`."""
        for voice in self.voices:
            if voice.name == name:
                return voice
        raise KeyError(f"Finch has no voice '{name}'; it has {', '.join(v.name for v in self.voices)}")


@dataclass(frozen=True)
class Finch:
    """The loaded nets, frozen and in single precision."""

    config: FinchConfig
    language_model: Qwen2ForCausalLM
    encoder: Encoder
    decoder: Decoder
    vocoder: Vocoder

    def tokenise(self, features: Tensor, speaker: SpeakerStatistics) -> Tensor:
        """Tokens (frames // 4,) of one utterance's raw features (frames, 30)."""
        return self.encoder.tokens(self.config.normalisation.encoder_input(features, speaker))

    @torch.inference_mode()
    def render(
        self,
        tokens: Tensor,
        speaker: int,
        generator: torch.Generator,
        decoder: nn.Module | None = None,
    ) -> Tensor:
        """Samples ((4 n - 1) * 160,) at 16 kHz of tokens (n,), by `decoder` where one is given."""
        values = self.decoder.quantiser.values(tokens)[None]
        output = (decoder or self.decoder)(values, torch.full((1,), speaker, device=tokens.device))[0]
        return self.vocoder.vocode(self.config.normalisation.raw_features(output), generator)


def read_config(folder: Path) -> FinchConfig:
    """`config.json` of a folder of weights."""
    stored = json.loads((folder / CONFIG_FILE).read_text())
    if stored.pop("format", None) != FORMAT:
        raise BrokenWeights(f"{folder / CONFIG_FILE} is not of format {FORMAT}")
    return FinchConfig(
        symbols=tuple(stored["symbols"]),
        durations=tuple(stored["durations"]),
        normalisation=_build(Normalisation, stored["normalisation"]),
        voices=tuple(_build(BaseVoice, voice) for voice in stored["voices"]),
        sampling=_build(Sampling, stored["sampling"]),
        language_model=_build(LanguageModelConfig, stored["language_model"]),
        codec=_build(CodecConfig, stored["codec"]),
        vocoder=_build(VocoderConfig, stored["vocoder"]),
        ears={name: _build(EarConfig, value) for name, value in stored["ears"].items()},
        sha256=stored["sha256"],
    )


def load(folder: Path) -> Finch:
    """Read, check and build everything that speaks."""
    config = read_config(folder)
    language_model = build(config.language_model, config.vocabulary)
    encoder, decoder = Encoder(config.codec), Decoder(config.codec)
    vocoder = Vocoder(config.vocoder, config.normalisation)
    _fill(language_model, read_tensors(folder, "language_model", config), tied="lm_head.weight")
    _fill(encoder, read_tensors(folder, "encoder", config))
    _fill(decoder, read_tensors(folder, "decoder", config))
    _fill(vocoder, read_tensors(folder, "vocoder", config))
    return Finch(config, language_model, encoder, decoder, vocoder)


def load_ear(folder: Path, name: str = "ear") -> Listener:
    """The ear, or `second_ear`, which took no part in any training."""
    config = read_config(folder)
    ear = Ear(config.ears[name])
    _fill(ear, read_tensors(folder, name, config))
    return Listener(ear)


def read_tensors(folder: Path, name: str, config: FinchConfig) -> dict[str, Tensor]:
    """The tensors of one file in single precision, after its hash was checked."""
    path = folder / f"{name}.safetensors"
    if not path.exists():
        raise BrokenWeights(f"{path} is missing; restore it from the repository")
    if hashlib.sha256(path.read_bytes()).hexdigest() != config.sha256[name]:
        raise BrokenWeights(f"{path} was altered: its hash is not the one in {CONFIG_FILE}")
    return {key: value.float() for key, value in load_file(path).items()}


def write(folder: Path, config: FinchConfig, nets: Mapping[str, Mapping[str, Tensor]]) -> FinchConfig:
    """Write state dicts in half precision, then `config.json` with their hashes."""
    folder.mkdir(parents=True, exist_ok=True)
    hashes = {}
    for name, state in nets.items():
        path = folder / f"{name}.safetensors"
        save_file({key: value.half().contiguous() for key, value in state.items()}, path)
        path.chmod(0o644)
        hashes[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    stored = {"format": FORMAT, **asdict(config), "sha256": hashes}
    (folder / CONFIG_FILE).write_text(json.dumps(stored, indent=1) + "\n")
    return read_config(folder)


def _fill(net: nn.Module, tensors: dict[str, Tensor], tied: str = "") -> None:
    missing, unexpected = net.load_state_dict(tensors, strict=False)
    missing = [name for name in missing if name != tied]
    if missing or unexpected:
        raise BrokenWeights(
            f"the weights of {type(net).__name__} do not fit: missing {missing[:3]}, unexpected {unexpected[:3]}"
        )
    net.eval().requires_grad_(False)


def _build(kind: Any, stored: dict[str, Any]) -> Any:
    """A frozen dataclass from JSON, where tuples have become lists."""
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()})
