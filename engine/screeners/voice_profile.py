"""A voice, or one clip of it, as numbers: what distances between voices are measured with.

Knows which measures of the waveform tell voices apart (`acoustics`, `beginnings`) and nothing of what is good.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.screeners import acoustics, beginnings

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CEPSTRA = 24


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A voice, or one clip of it, as numbers: what distances between voices are measured with."""

    cepstrum: tuple[float, ...]  # mean mel cepstrum of its loud frames, without the level
    spread: tuple[float, ...]  # standard deviation of each coefficient over those frames
    f0_hz: float  # median; NaN when nothing is voiced
    phonemes_per_sec: float  # NaN when not known
    f0_range: float = math.nan  # semitones from the 10th to the 90th percentile
    letters_per_sec: float = math.nan  # of the text, silence before and after left out
    onset: float = math.nan  # how far its first 0.3 s lie from the rest, in usual spreads
    speaker: tuple[float, ...] = ()  # a vector of `engine.voice_vector`; none when there is too little speech


def profile(
    samples: NDArray[np.float32], sample_rate: int, *, phonemes: int | None = None, letters: int = 0
) -> Profile:
    """The clip as numbers: mean mel cepstrum (librosa's MFCC 1..23; 0 is the level) of its loud frames, F0, rate."""
    import librosa

    at_16k = acoustics.at_analysis_rate(samples, sample_rate)
    hop = round(acoustics.FRAME_SEC * acoustics.ANALYSIS_HZ)
    loud = acoustics.active(at_16k, acoustics.ANALYSIS_HZ, acoustics.LOUD_DB)
    cepstra = np.zeros((_CEPSTRA - 1, 0))
    if loud.any():
        padded = np.pad(at_16k, (0, max(0, 512 - len(at_16k))))
        found = librosa.feature.mfcc(
            y=padded, sr=acoustics.ANALYSIS_HZ, n_mfcc=_CEPSTRA, n_fft=512, hop_length=hop, n_mels=60, fmax=7800.0
        )
        frames = min(found.shape[1], len(loud))
        cepstra = found[1:, :frames][:, loud[:frames]]
    spoken = acoustics.active_sec(samples, sample_rate)
    track = acoustics.f0_hz(samples, sample_rate)
    known = cepstra.shape[1] > 0
    return Profile(
        cepstrum=tuple(cepstra.mean(axis=1).tolist() if known else [math.nan] * (_CEPSTRA - 1)),
        spread=tuple(cepstra.std(axis=1).tolist() if known else [math.nan] * (_CEPSTRA - 1)),
        f0_hz=float(np.median(track)) if len(track) else math.nan,
        phonemes_per_sec=phonemes / spoken if phonemes and spoken > 0 else math.nan,
        f0_range=acoustics.f0_range(track),
        letters_per_sec=letters / spoken if letters and spoken > 0 else math.nan,
        onset=beginnings.distance(samples, sample_rate),
        speaker=acoustics.speaker(samples, sample_rate),
    )


def pooled(profiles: Sequence[Profile]) -> Profile:
    """One profile of several clips of a voice: means over the clips that have a value."""

    def mean(values: Sequence[float]) -> float:
        known = [value for value in values if not math.isnan(value)]
        return sum(known) / len(known) if known else math.nan

    return Profile(
        cepstrum=tuple(mean(column) for column in zip(*(p.cepstrum for p in profiles), strict=True)),
        spread=tuple(mean(column) for column in zip(*(p.spread for p in profiles), strict=True)),
        f0_hz=mean([p.f0_hz for p in profiles]),
        phonemes_per_sec=mean([p.phonemes_per_sec for p in profiles]),
        f0_range=mean([p.f0_range for p in profiles]),
        letters_per_sec=mean([p.letters_per_sec for p in profiles]),
        onset=mean([p.onset for p in profiles]),
        speaker=tuple(mean(column) for column in zip(*(p.speaker for p in profiles if p.speaker), strict=True)),
    )
