"""Rows as `measuring` would leave them, without files: what the comparing checks look at."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audit import fingerprints
from engine.audit.row import RowFacts
from engine.types import Measurement, Utterance

RATE = 16000


def speechlike(seed: int, seconds: float) -> NDArray[np.float32]:
    """Sound with syllables, formants and pauses that no other seed shares, in -1..1."""
    draw = np.random.default_rng(seed)
    count = int(seconds * RATE)
    samples = np.zeros(count)
    start = 0
    while start < count:
        length = int(draw.uniform(0.08, 0.3) * RATE)
        time = np.arange(min(length, count - start)) / RATE
        f0 = draw.uniform(90, 220) * (1 + draw.uniform(-0.3, 0.3) * time)
        formants = draw.uniform([250, 800, 2000], [900, 2400, 3600])
        syllable = np.zeros(len(time))
        for harmonic in range(1, 40):
            level = sum(np.exp(-(((harmonic * f0.mean() - f) / 120) ** 2)) for f in formants) + 0.01
            syllable += level * np.sin(2 * np.pi * harmonic * np.cumsum(f0) / RATE)
        samples[start : start + len(time)] += syllable * np.hanning(len(time))
        start += int(length * draw.uniform(0.8, 1.4))
    return (0.5 * samples / np.abs(samples).max() + draw.normal(0, 2e-4, count)).astype(np.float32)


def fact(row: str, samples: NDArray[np.float32] | None = None, **fields: Any) -> RowFacts:
    """A row with its fingerprint and hash; without samples one whose audio sounds like no other's."""
    seed = int.from_bytes(hashlib.sha256(row.encode()).digest()[:4], "big")
    samples = speechlike(seed, 3.0) if samples is None else samples
    voice = fields.pop("voice", None)
    utterance = Utterance(
        id=row,
        audio_path=fields.pop("audio_path", Path(f"{row}.wav")),
        text=fields.pop("text", f"Text of {row}."),
        duration_sec=len(samples) / RATE,
        sample_rate=RATE,
        channels=1,
        **fields,
    )
    nothing = float("nan")
    measurement = Measurement(
        row=row,
        duration_sec=len(samples) / RATE,
        characters_per_sec=14.0,
        loudness_lufs=-20.0,
        peak_dbfs=-6.0,
        clipped_share=0.0,
        noise_floor_dbfs=-70.0,
        snr_db=50.0,
        speech_sec=len(samples) / RATE,
        leading_silence_sec=0.0,
        trailing_silence_sec=0.0,
        longest_pause_sec=nothing,
    )
    return RowFacts(
        utterance=utterance,
        measurement=measurement,
        speech=((0.0, len(samples) / RATE),),
        content_sha256=hashlib.sha256(samples.tobytes()).hexdigest(),
        fingerprint=fingerprints.fingerprint(samples),
        voice=voice,
    )
