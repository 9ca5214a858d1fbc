"""A tiny Finch of the real classes with random weights, written to disk and loaded as the real one is.

Random weights never say anything, so `teach` can overfit its language model on made-up token strings: then it ends by
itself and its tokens mean something to a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch

from engine import audio
from engine.backends.finch import language_model, phonemes, speech_model, weights
from engine.backends.finch.acoustics import CEPSTRA, Normalisation
from engine.backends.finch.codec import CodecConfig, Decoder, Encoder
from engine.backends.finch.ear import Ear, EarConfig, fold_all
from engine.backends.finch.language_model import Item, LanguageModelConfig
from engine.backends.finch.vocoder import Vocoder, VocoderConfig
from engine.backends.finch.weights import BaseVoice, FinchConfig, Sampling
from engine.types import Utterance

TEXTS = (
    "The old lamp is warm.",
    "We walked home along the river.",
    "Nine grey birds sat on the wall, and then they flew.",
    "Please close the door.",
    "A good book lies under the chair.",
    "They sang until morning.",
)
VOICES = (("low", 0.9, 100.0), ("high", 1.1, 210.0))


@cache
def symbols(texts: tuple[str, ...] = TEXTS) -> tuple[str, ...]:
    """The phoneme symbols of the texts."""
    return tuple(sorted({symbol for text in texts for symbol in phonemes.pronounce(text).symbols}))


def make_config(texts: tuple[str, ...] = TEXTS) -> FinchConfig:
    """Tiny sizes, two voices, and the phonemes of `texts`."""
    inventory = symbols(texts)
    ear = EarConfig(segments=tuple(sorted(set(fold_all(inventory)))), width=16, blocks=1)
    return FinchConfig(
        symbols=inventory,
        durations=tuple(1.5 + 0.01 * index for index in range(len(inventory))),
        normalisation=Normalisation((0.0,) * CEPSTRA, (1.0,) * CEPSTRA),
        voices=tuple(BaseVoice(name, index, clock, f0) for index, (name, clock, f0) in enumerate(VOICES)),
        sampling=Sampling(),
        language_model=LanguageModelConfig(layers=2, width=32, heads=2, feed_forward=48, speakers=4, tokens=24),
        codec=CodecConfig(
            levels=(4, 3, 2),
            width=24,
            encoder_blocks=1,
            decoder_blocks=1,
            frame_width=16,
            frame_blocks=1,
            speaker_width=8,
            speakers=2,
        ),
        vocoder=VocoderConfig(width=16, blocks=1),
        ears={"ear": ear, "second_ear": ear},
        sha256={},
    )


def write_weights(folder: Path, *, seed: int = 0, taught: bool = False, texts: tuple[str, ...] = TEXTS) -> Path:
    """Random (or, `taught`, overfitted) weights in `folder` that can say `texts`, in the format of the real ones."""
    config = make_config(texts)
    torch.manual_seed(seed)
    lm = language_model.build(config.language_model, config.vocabulary)
    if taught:
        teach(lm, config)
    nets = {
        "language_model": lm,
        "encoder": Encoder(config.codec),
        "decoder": Decoder(config.codec),
        "vocoder": Vocoder(config.vocoder, config.normalisation),
        "ear": Ear(config.ears["ear"]),
        "second_ear": Ear(config.ears["second_ear"]),
    }
    states = {name: {k: v for k, v in net.state_dict().items() if k != "lm_head.weight"} for name, net in nets.items()}
    weights.write(folder, config, states)
    return folder


def make_finch(folder: Path, *, seed: int = 0, taught: bool = False) -> speech_model.FinchModel:
    """The tiny Finch, loaded from `folder` through the real loader."""
    return speech_model.load(base_model=str(write_weights(folder, seed=seed, taught=taught)), device="cpu")


def lesson(text: str, config: FinchConfig, speaker: int = 0) -> Item:
    """A text with tokens that only its phonemes decide: two a phoneme."""
    ids = config.inventory.encode(phonemes.pronounce(text).symbols)
    tokens = [(7 * phoneme + 5 * half) % config.language_model.tokens for phoneme in ids for half in (0, 1)]
    return Item(speaker, tuple(ids), tuple(tokens), config.voices[speaker].clock)


def teach(lm: torch.nn.Module, config: FinchConfig, steps: int = 260) -> None:
    """Overfit the language model on the texts in both voices."""
    batch = language_model.collate(
        [lesson(text, config, speaker) for text in TEXTS for speaker in (0, 1)], config.vocabulary
    )
    optimiser = torch.optim.AdamW(lm.parameters(), lr=6e-3)
    for _ in range(steps):
        loss = language_model.loss(lm, batch)["tokens"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def make_utterances(folder: Path, texts: Sequence[str] = TEXTS, *, f0_hz: float = 150.0) -> list[Utterance]:
    """Buzzing recordings of a steady pitch, about as long as the texts would take."""
    folder.mkdir(parents=True, exist_ok=True)
    utterances = []
    for index, text in enumerate(texts):
        seconds = 0.06 * len(text)
        time = np.arange(round(seconds * 16_000)) / 16_000
        wave = sum(np.sin(2 * np.pi * f0_hz * k * time) / k for k in range(1, 12))
        noise = np.random.default_rng(index).normal(0, 0.05, len(time))
        path = folder / f"{index:03d}.wav"
        envelope = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)
        audio.write(path, (0.1 * envelope * wave + 0.02 * noise).astype(np.float32), 16_000)
        utterances.append(Utterance(id=f"u{index}", audio_path=path, text=text, speaker="buzz", duration_sec=seconds))
    return utterances
