"""What screeners measure on the waveform: loud and silent frames, F0, who speaks.

Knows signals (librosa) and nothing of texts, recognisers or what is good. All samples are float32 mono, shape (n,),
in -1..1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAME_SEC = 0.01
SILENCE_DB = -38.0  # below the clip's own loud level (95th percentile of the frames)
LOUD_DB = -22.0  # frames that count for F0 and timbre: mostly vowels
FLOOR_RMS = 1e-4  # -80 dBFS: a clip whose loudest frames are below it is silent
F0_LOW_HZ, F0_HIGH_HZ = 55.0, 450.0
CEPSTRA = 24
ANALYSIS_HZ = 16_000


def levels(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """RMS of each whole frame of 10 ms, shape (frames,); at least one frame, padded with silence."""
    frame = max(1, round(FRAME_SEC * sample_rate))
    count = max(1, len(samples) // frame)
    padded = np.zeros(count * frame)
    padded[: min(len(samples), len(padded))] = samples[: len(padded)]
    return np.asarray(np.sqrt(np.square(padded.reshape(count, frame)).mean(axis=1)))


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

    at_16k = at_analysis_rate(samples, sample_rate)
    loud = active(at_16k, ANALYSIS_HZ, LOUD_DB)
    if len(at_16k) < 2048 or not loud.any():
        return np.zeros(0)
    hop = round(FRAME_SEC * ANALYSIS_HZ)
    track = librosa.yin(at_16k, fmin=F0_LOW_HZ, fmax=F0_HIGH_HZ, sr=ANALYSIS_HZ, frame_length=1024, hop_length=hop)
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
    """The vector of `engine.voice_vector` over the clip; none when there is too little speech."""
    from engine import voice_vector

    at_16k = at_analysis_rate(samples, sample_rate)
    found = voice_vector.vector(at_16k, [(0.0, len(at_16k) / ANALYSIS_HZ)])
    return tuple(found.tolist()) if np.isfinite(found).all() else ()


def at_analysis_rate(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """The samples at `ANALYSIS_HZ`."""
    if sample_rate == ANALYSIS_HZ:
        return samples
    from engine import audio

    return audio.resample(samples, sample_rate, ANALYSIS_HZ)
