"""Training examples of Finch from utterances, with their acoustic features kept on disk.

Knows the cache: one safetensors file an utterance, keyed by audio, text and base weights. What an example is belongs
to `tuning`. Tokens are not cached: they follow from the features and the speaker's statistics over all utterances
given, in milliseconds.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine import audio
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


def examples(utterances: Sequence[Utterance], finch: Finch, base_sha256: str, cache: Path) -> list[Example]:
    """One example an utterance, in order. Raises BadInput naming the file for audio or text that cannot be used."""
    measured = [_measured(utterance, finch, base_sha256, cache) for utterance in utterances]
    by_speaker: dict[str, list[Tensor]] = {}
    for utterance, (features, _) in zip(utterances, measured, strict=True):
        by_speaker.setdefault(utterance.speaker, []).append(features)
    statistics = {speaker: SpeakerStatistics.measure(torch.cat(matrices)) for speaker, matrices in by_speaker.items()}
    return [
        _example(features, symbols, statistics[utterance.speaker], finch)
        for utterance, (features, symbols) in zip(utterances, measured, strict=True)
    ]


def cache_key(utterance: Utterance, base_sha256: str) -> str:
    """What the features of an utterance depend on: the audio's bytes, the text, the base weights."""
    with utterance.audio_path.open("rb") as file:
        heard = hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(f"{CACHE_VERSION}\0{heard}\0{utterance.text}\0{base_sha256}".encode()).hexdigest()


def _measured(utterance: Utterance, finch: Finch, base_sha256: str, cache: Path) -> tuple[Tensor, Tensor]:
    """Features (frames, 30) and phoneme ids (n,), from the cache when they are there and whole."""
    if not utterance.audio_path.is_file():
        raise BadInput(f"{utterance.audio_path} is missing; put it back or take its row out of the manifest.")
    path = cache / f"{cache_key(utterance, base_sha256)}.safetensors"
    try:
        stored = load_file(str(path))
        return stored["features"], stored["phonemes"]
    except (FileNotFoundError, SafetensorError, KeyError):
        pass
    features, symbols = _measure(utterance, finch)
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    save_file({"features": features, "phonemes": symbols}, str(unfinished))
    unfinished.replace(path)
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


def _example(features: Tensor, symbols: Tensor, speaker: SpeakerStatistics, finch: Finch) -> Example:
    normalisation = finch.config.normalisation
    device = next(finch.encoder.parameters()).device
    tokens = finch.encoder.tokens(normalisation.encoder_input(features, speaker).to(device)).cpu()
    return Example(
        phonemes=tuple(symbols.tolist()),
        tokens=tokens.clone(),  # an inference tensor could not take part in training
        target=normalisation.decoder_target(features[: len(tokens) * FRAMES_PER_TOKEN]),
    )
