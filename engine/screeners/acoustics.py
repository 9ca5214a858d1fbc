"""What screeners measure on the waveform: loud and silent frames, F0, mean mel cepstra.

Knows signals (librosa) and nothing of texts, recognisers or what is good. All samples are float32 mono, shape (n,),
in -1..1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine.screeners.heard import Profile

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAME_SEC = 0.01
SILENCE_DB = -38.0  # below the clip's own loud level (95th percentile of the frames)
LOUD_DB = -22.0  # frames that count for F0 and timbre: mostly vowels
FLOOR_RMS = 1e-4  # -80 dBFS: a clip whose loudest frames are below it is silent
F0_LOW_HZ, F0_HIGH_HZ = 55.0, 450.0
CEPSTRA = 24
_ANALYSIS_HZ = 16_000


def levels(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """RMS of each whole frame of 10 ms, shape (frames,); at least one frame, padded with silence."""
    frame = max(1, round(FRAME_SEC * sample_rate))
    count = max(1, len(samples) // frame)
    padded = np.zeros(count * frame)
    padded[: min(len(samples), len(padded))] = samples[: len(padded)]
    return np.asarray(np.sqrt(np.square(padded.reshape(count, frame)).mean(axis=1)))


def is_silent(samples: NDArray[np.float32], sample_rate: int) -> bool:
    """Nothing in the clip reaches -80 dBFS."""
    return bool(np.quantile(levels(samples, sample_rate), 0.95) < FLOOR_RMS)


def active(samples: NDArray[np.float32], sample_rate: int, below_db: float = SILENCE_DB) -> NDArray[np.bool_]:
    """Which frames of 10 ms lie above `below_db` relative to the clip's loud level, shape (frames,)."""
    level = levels(samples, sample_rate)
    loud = float(np.quantile(level, 0.95))
    if loud < FLOOR_RMS:
        return np.zeros(len(level), np.bool_)
    return np.asarray(level > loud * 10 ** (below_db / 20))


def active_sec(samples: NDArray[np.float32], sample_rate: int) -> float:
    """Seconds from the first to the last sound, inner pauses included."""
    sounding = np.flatnonzero(active(samples, sample_rate))
    return float(sounding[-1] - sounding[0] + 1) * FRAME_SEC if len(sounding) else 0.0


def f0_hz(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """F0 in Hz of the loud frames by YIN (de Cheveigné and Kawahara 2002), shape (frames,); none when nothing is
    loud.
    """
    import librosa

    at_16k = _at_analysis_rate(samples, sample_rate)
    loud = active(at_16k, _ANALYSIS_HZ, LOUD_DB)
    if len(at_16k) < 2048 or not loud.any():
        return np.zeros(0)
    hop = round(FRAME_SEC * _ANALYSIS_HZ)
    track = librosa.yin(at_16k, fmin=F0_LOW_HZ, fmax=F0_HIGH_HZ, sr=_ANALYSIS_HZ, frame_length=1024, hop_length=hop)
    frames = min(len(track), len(loud))
    inside = loud[:frames] & (track[:frames] < F0_HIGH_HZ * 0.98) & (track[:frames] > F0_LOW_HZ * 1.02)
    return np.asarray(track[:frames][inside], np.float64)


def median_f0_hz(samples: NDArray[np.float32], sample_rate: int) -> float:
    """Median F0 in Hz of the loud frames; NaN when nothing has a pitch."""
    track = f0_hz(samples, sample_rate)
    return float(np.median(track)) if len(track) else math.nan


def f0_range(track: NDArray[np.float64]) -> float:
    """Semitones from the 10th to the 90th percentile of F0, octave jumps of the tracker left out; NaN without F0."""
    if len(track) < 10:
        return math.nan
    steps = 12 * np.log2(track / np.median(track))
    low, high = np.percentile(steps[np.abs(steps) < 10], [10, 90])
    return float(high - low)


def speaker(samples: NDArray[np.float32], sample_rate: int) -> tuple[float, ...]:
    """The vector of `engine.audit.speakers` over the clip; none when there is too little speech."""
    from engine.audit import speakers

    at_16k = _at_analysis_rate(samples, sample_rate)
    found = speakers.vector(at_16k, [(0.0, len(at_16k) / _ANALYSIS_HZ)])
    return tuple(found.tolist()) if np.isfinite(found).all() else ()


def profile(
    samples: NDArray[np.float32], sample_rate: int, *, phonemes: int | None = None, letters: int = 0
) -> Profile:
    """The clip as numbers: mean mel cepstrum (librosa's MFCC 1..23; 0 is the level) of its loud frames, F0, rate."""
    import librosa

    from engine.screeners import onset

    at_16k = _at_analysis_rate(samples, sample_rate)
    hop = round(FRAME_SEC * _ANALYSIS_HZ)
    loud = active(at_16k, _ANALYSIS_HZ, LOUD_DB)
    cepstra = np.zeros((CEPSTRA - 1, 0))
    if loud.any():
        padded = np.pad(at_16k, (0, max(0, 512 - len(at_16k))))
        found = librosa.feature.mfcc(
            y=padded, sr=_ANALYSIS_HZ, n_mfcc=CEPSTRA, n_fft=512, hop_length=hop, n_mels=60, fmax=7800.0
        )
        frames = min(found.shape[1], len(loud))
        cepstra = found[1:, :frames][:, loud[:frames]]
    spoken = active_sec(samples, sample_rate)
    track = f0_hz(samples, sample_rate)
    known = cepstra.shape[1] > 0
    return Profile(
        cepstrum=tuple(cepstra.mean(axis=1).tolist() if known else [math.nan] * (CEPSTRA - 1)),
        spread=tuple(cepstra.std(axis=1).tolist() if known else [math.nan] * (CEPSTRA - 1)),
        f0_hz=float(np.median(track)) if len(track) else math.nan,
        phonemes_per_sec=phonemes / spoken if phonemes and spoken > 0 else math.nan,
        f0_range=f0_range(track),
        letters_per_sec=letters / spoken if letters and spoken > 0 else math.nan,
        onset=onset.distance(samples, sample_rate),
        speaker=speaker(samples, sample_rate),
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


def _at_analysis_rate(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    if sample_rate == _ANALYSIS_HZ:
        return samples
    from engine import audio

    return audio.resample(samples, sample_rate, _ANALYSIS_HZ)
