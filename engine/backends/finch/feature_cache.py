"""Training examples of Finch from utterances, with their acoustic features kept on disk.

Knows what they follow from: of each utterance its audio, its text and the base weights; of a dataset's tokens also each
speaker's statistics over all of it. What an example is belongs to `tuning`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from engine import audio
from engine.backends import feature_files
from engine.backends.finch import acoustics, phonemes
from engine.backends.finch.acoustics import SpeakerStatistics
from engine.backends.finch.codec import FRAMES_PER_TOKEN
from engine.backends.finch.tuning import Example
from engine.backends.finch.weights import Finch
from engine.types import BadInput, Utterance

CACHE_VERSION = "1"  # changes when the same audio, text and weights would give other features
MIN_TOKENS = 5
MAX_LEAD_SEC, MAX_TAIL_SEC = 0.1, 0.3  # silence that is kept at the ends: what the base voices have there
SILENCE_DB = -45.0  # below the loudest 10 ms of the clip


def measure(utterances: Sequence[Utterance], finch: Finch, base_sha256: str, cache: Path) -> None:
    """Fill the cache for these utterances, whoever else they share a speaker with."""
    for utterance in utterances:
        _measured(utterance, finch, base_sha256, cache)


def examples(utterances: Sequence[Utterance], finch: Finch, base_sha256: str, cache: Path) -> list[Example]:
    """One example an utterance, in order. Raises BadInput naming the file for audio or text that cannot be used."""
    keys = [cache_key(utterance, base_sha256) for utterance in utterances]
    measured = [_measured(u, finch, base_sha256, cache, key) for u, key in zip(utterances, keys, strict=True)]
    features = [matrix for matrix, _ in measured]
    speakers = [utterance.speaker for utterance in utterances]
    tokens = _tokens(features, speakers, finch, cache, _set_key(keys, speakers))
    return [_example(matrix, symbols, own, finch) for (matrix, symbols), own in zip(measured, tokens, strict=True)]


def cache_key(utterance: Utterance, base_sha256: str) -> str:
    """What the features of an utterance depend on: the audio's bytes, the text, the base weights."""
    heard = feature_files.clip_sha256(utterance.audio_path, utterance.id)
    return feature_files.key(CACHE_VERSION, heard, utterance.text, base_sha256)


def _set_key(keys: Sequence[str], speakers: Sequence[str]) -> str:
    """What the tokens of a dataset depend on: every clip with its speaker, in order."""
    return f"tokens-{feature_files.key(CACHE_VERSION, *keys, *speakers)}"


def _tokens(features: Sequence[Tensor], speakers: Sequence[str], finch: Finch, cache: Path, key: str) -> list[Tensor]:
    """Tokens (frames // 4,) of every clip, relative to its speaker's mean spectrum and pitch; from the cache."""
    names = [str(place) for place in range(len(features))]
    if stored := feature_files.read(cache, key, names):
        return [stored[name].long() for name in names]
    statistics = {
        speaker: SpeakerStatistics.measure(
            torch.cat([f for f, s in zip(features, speakers, strict=True) if s == speaker])
        )
        for speaker in dict.fromkeys(speakers)
    }
    device = next(finch.encoder.parameters()).device
    normalisation = finch.config.normalisation
    made = [
        # cloned: an inference tensor could not take part in training
        finch.encoder.tokens(normalisation.encoder_input(matrix, statistics[speaker]).to(device)).cpu().clone()
        for matrix, speaker in zip(features, speakers, strict=True)
    ]
    feature_files.write(cache, key, {name: tokens.int() for name, tokens in zip(names, made, strict=True)})
    return [tokens.long() for tokens in made]


def _measured(
    utterance: Utterance, finch: Finch, base_sha256: str, cache: Path, key: str = ""
) -> tuple[Tensor, Tensor]:
    """Features (frames, 30) and phoneme ids (n,), from the cache when they are there and whole."""
    key = key or cache_key(utterance, base_sha256)
    if stored := feature_files.read(cache, key, ["features", "phonemes"]):
        return stored["features"], stored["phonemes"]
    features, symbols = _measure(utterance, finch)
    feature_files.write(cache, key, {"features": features, "phonemes": symbols})
    return features, symbols


def _measure(utterance: Utterance, finch: Finch) -> tuple[Tensor, Tensor]:
    samples, _ = audio.read(utterance.audio_path, acoustics.SAMPLE_RATE)
    if len(samples) < MIN_TOKENS * FRAMES_PER_TOKEN * acoustics.HOP:
        raise BadInput(f"{utterance.audio_path} is shorter than 0.2 s; take its row out of the manifest.")
    features = acoustics.features(acoustics.normalise_level(_trimmed(torch.from_numpy(samples))))
    try:
        ids = finch.config.inventory.encode(phonemes.pronounce(utterance.text).symbols)
    except phonemes.UnpronounceableText as error:
        raise BadInput(f"Utterance {utterance.id}: {error}.") from error
    return features.contiguous(), torch.tensor(ids, dtype=torch.int32)


def _trimmed(samples: Tensor) -> Tensor:
    """`samples` (n,) at 16 kHz without long silences at the ends, which no phoneme stands for."""
    power = samples[: len(samples) // acoustics.HOP * acoustics.HOP].view(-1, acoustics.HOP).square().mean(1)
    loud = torch.nonzero(power > power.max() * 10 ** (SILENCE_DB / 10)).squeeze(1)
    if not len(loud):
        return samples
    start = int(loud[0]) * acoustics.HOP - round(MAX_LEAD_SEC * acoustics.SAMPLE_RATE)
    end = (int(loud[-1]) + 1) * acoustics.HOP + round(MAX_TAIL_SEC * acoustics.SAMPLE_RATE)
    return samples[max(0, start) : end]


def _example(features: Tensor, symbols: Tensor, tokens: Tensor, finch: Finch) -> Example:
    target = finch.config.normalisation.decoder_target(features[: len(tokens) * FRAMES_PER_TOKEN])
    return Example(phonemes=tuple(symbols.tolist()), tokens=tokens, target=target)
