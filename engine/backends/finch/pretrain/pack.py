"""Packs trained nets into the product's folder: half-precision safetensors and `config.json`."""

from __future__ import annotations

import statistics as averages
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from engine.backends.finch import weights
from engine.backends.finch.codec import CodecConfig
from engine.backends.finch.language_model import LanguageModelConfig
from engine.backends.finch.phonemes import speak
from engine.backends.finch.pretrain import train_codec, train_ear, train_lm, train_vocoder, voices
from engine.backends.finch.pretrain.facts import Facts, load_or_measure
from engine.backends.finch.pretrain.texts import Corpus
from engine.backends.finch.vocoder import VocoderConfig
from engine.backends.finch.weights import BaseVoice, FinchConfig, Sampling

_DEFAULT_RATE = 165
_TEXTS = 12


def run(work: Path, folder: Path, lm_name: str = "lm.pt", codec_name: str = "codec.pt") -> None:
    """Write everything that is trained so far to `folder`; the second ear only when it exists."""
    facts = load_or_measure(work)
    encoder, decoder = train_codec.load(work, codec_name)
    ears = {"ear": train_ear.load(work, "ear")}
    if (work / "second_ear.pt").exists():
        ears["second_ear"] = train_ear.load(work, "second_ear")
    offered = {name: value.clone() for name, value in decoder.state_dict().items()}
    offered["speakers.weight"] = offered["speakers.weight"][: len(voices.BASE_VOICES)]
    nets: dict[str, dict[str, Tensor]] = {
        "language_model": _untied(train_lm.load(work, lm_name).state_dict()),
        "encoder": encoder.state_dict(),
        "decoder": offered,
        "vocoder": train_vocoder.load(work).state_dict(),
        **{name: ear.state_dict() for name, ear in ears.items()},
    }
    config = FinchConfig(
        symbols=facts.symbols,
        durations=tuple(round(d, 4) for d in facts.durations),
        normalisation=facts.normalisation,
        voices=tuple(_base_voice(name, facts) for name in voices.BASE_VOICES),
        sampling=Sampling(),
        language_model=LanguageModelConfig(),
        codec=replace(CodecConfig(), speakers=len(voices.BASE_VOICES)),
        vocoder=VocoderConfig(),
        ears={name: ear.config for name, ear in ears.items()},
        sha256={},
    )
    weights.write(folder, config, nets)
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    print(f"pack: {size / 1e6:.1f} MB of weights in {folder} (at most 20)", flush=True)


def _untied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if name != "lm_head.weight"}


def _base_voice(name: str, facts: Facts) -> BaseVoice:
    """Clock at the default speaking rate, and F0, of a base voice."""
    words = train_lm.vocabulary(facts)
    corpus = Corpus.load(Path(__file__).parents[4] / "assets" / "finch" / "sentences.txt.gz")
    clocks = []
    for text in corpus.development[:_TEXTS]:
        pronunciation = speak(text, voices.espeak_voice(name, _DEFAULT_RATE))[0]
        phonemes = facts.inventory.encode(pronunciation.symbols)
        clocks.append(words.clock_of(phonemes, round(pronunciation.duration_s * 25)))
    f0_hz = float(torch.tensor(facts.speakers[name].median_log_f0).exp())
    speaker = list(voices.BASE_VOICES).index(name)
    return BaseVoice(name, speaker, round(averages.median(clocks), 3), round(f0_hz, 1))
