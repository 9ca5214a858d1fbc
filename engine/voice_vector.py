"""A voice as numbers: what of a clip tells speakers apart, and how far two voices lie from one another.

The numbers are own ones: mean and spread of mel cepstra over loud frames, and F0. Trained speaker embeddings tell more,
yet their libraries download weights or ship them as pickles. These ones tell voices of different pitch or throat apart;
two readers who sound alike in one room stay one to them. A row of another microphone or room is far away as well, which
is worth a look just the same. Knows samples alone, and judges nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_RATE = 16000

_CEPSTRA = 20  # without the first, which is the level
_FRAME, _HOP, _TRANSFORM = 400, 160, 512
_MEL_BANDS, _LOW_HZ, _HIGH_HZ = 26, 80.0, 7600.0
_LOUD = 10**-2.2  # of the energy of loud frames
_FEWEST_FRAMES = 30
_PITCH_FRAME, _PITCH_HOP = 800, 640
_SHORTEST_PERIOD, _LONGEST_PERIOD = 36, 290  # samples: 444 and 55 Hz
_VOICED = 0.5  # normalised autocorrelation
F0, _SPOKEN = 2 * _CEPSTRA, 2 * _CEPSTRA + 2  # places in a vector: median log F0, its spread; seconds of loud frames
# What is compared, and how much it differs among clips of one reader (standard deviations over 20 clips of a real one
# and over clips of 67 synthetic voices agree).
COMPARED = (*range(_CEPSTRA), F0)
_USUAL = (
    *(1.2, 0.75, 0.68, 0.54, 0.42, 0.42, 0.42, 0.33, 0.31, 0.25, 0.24, 0.27, 0.24, 0.19, 0.2, 0.16, 0.14, 0.14, 0.12),
    *(0.12, 0.06),
)
_SHORT_SEC = 1.0  # a clip with so much loud speech scatters twice as much (in variance) as a long one


def vector(samples_16k: NDArray[np.float32], speech: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
    """What tells speakers apart, of mono samples at 16 kHz within `speech` (start, end) in seconds.

    Means (20) and logarithms of standard deviations (20) of mel cepstra 1..20 over loud frames, median and spread of
    log F0, and the seconds of loud frames, shape (43,). All NaN where there is too little speech.
    """
    nothing = np.full(_SPOKEN + 1, np.nan, np.float32)
    pieces = [samples_16k[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)] for start, end in speech]
    spoken = np.concatenate([np.zeros(0, np.float32), *pieces])
    if len(spoken) < _FEWEST_FRAMES * _HOP + _PITCH_FRAME or not spoken.any():
        return nothing
    cepstra = _cepstra(spoken)
    if len(cepstra) < _FEWEST_FRAMES:
        return nothing
    level = [cepstra.mean(axis=0), np.log(cepstra.std(axis=0) + 1e-3)]
    return np.concatenate([*level, _pitch(spoken), [len(cepstra) * _HOP / SAMPLE_RATE]]).astype(np.float32)


def apart(one: Sequence[float], other: Sequence[float]) -> float:
    """How far two vectors lie from one another, in usual spreads (root mean square); NaN when one is empty or NaN."""
    if not len(one) or not len(other):
        return float("nan")
    first, second = np.asarray(one, np.float64), np.asarray(other, np.float64)
    spread = np.sqrt((scatter(np.stack([first, second])) ** 2).mean(axis=0))
    places = list(COMPARED)
    deviations = np.clip((first[places] - second[places]) / spread, -6, 6)
    return float(np.sqrt((deviations**2).mean()))


def scatter(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much each row's numbers usually scatter, shape (rows, compared): more for short clips."""
    brief = np.sqrt(1 + _SHORT_SEC / np.maximum(vectors[:, _SPOKEN], 0.1))
    found: NDArray[np.float64] = brief[:, None] * np.array(_USUAL)
    return found


def _cepstra(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mel cepstra 1..20 of the loud frames, shape (frames, 20)."""
    import scipy.fft

    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[::_HOP]
    spectrum = scipy.fft.rfft(frames * np.hamming(_FRAME).astype(np.float32), _TRANSFORM, axis=1)
    bands = (spectrum.real**2 + spectrum.imag**2) @ _mel_weights()
    energy = bands.sum(axis=1)
    loudest = float(np.percentile(energy, 95))
    loud = np.log(bands[energy > _LOUD * loudest] + 1e-10 * loudest)
    cepstra: NDArray[np.float32] = scipy.fft.dct(loud, axis=1, norm="ortho")[:, 1 : _CEPSTRA + 1]
    return cepstra


@cache
def _mel_weights() -> NDArray[np.float32]:
    """Triangular filters (bins, bands), evenly spaced in mel."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (_LOW_HZ, _HIGH_HZ))
    edges = 700 * (10 ** (np.linspace(low, high, _MEL_BANDS + 2) / 2595) - 1)
    hz = np.arange(_TRANSFORM // 2 + 1)[:, None] * SAMPLE_RATE / _TRANSFORM
    rising = (hz - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - hz) / np.diff(edges)[1:]
    return np.clip(np.minimum(rising, falling), 0, None).astype(np.float32)


def _pitch(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Median and interquartile range (its logarithm) of log F0 by autocorrelation; NaN where nothing is voiced."""
    import scipy.fft

    frames = np.lib.stride_tricks.sliding_window_view(samples, _PITCH_FRAME)[::_PITCH_HOP]
    energy = (frames**2).sum(axis=1)
    frames = frames[energy > 0.01 * np.percentile(energy, 95)]
    frames = frames - frames.mean(axis=1, keepdims=True)
    power = np.abs(scipy.fft.rfft(frames, 2048, axis=1)) ** 2
    correlation = scipy.fft.irfft(power, axis=1)[:, : _LONGEST_PERIOD + 1]
    overlap = 1 - np.arange(_LONGEST_PERIOD + 1) / _PITCH_FRAME
    correlation = correlation / (correlation[:, :1] + 1e-12) / overlap
    searched = correlation[:, _SHORTEST_PERIOD:]
    middle, highest = searched[:, 1:-1], searched.max(axis=1, keepdims=True)
    # the first peak nearly as high as the highest: multiples of the period correlate as well
    peaks = (middle > searched[:, :-2]) & (middle >= searched[:, 2:]) & (middle > 0.85 * highest)
    voiced = peaks.any(axis=1) & (highest[:, 0] > _VOICED)
    if voiced.sum() < 5:
        return np.array([np.nan, np.nan])
    log_f0 = np.log(SAMPLE_RATE / (peaks.argmax(axis=1)[voiced] + _SHORTEST_PERIOD + 1))
    low, high = np.percentile(log_f0, [25, 75])
    return np.array([np.median(log_f0), np.log(high - low + 0.02)])
