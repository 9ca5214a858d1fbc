"""Another speaker in the set: a row whose voice is far from the others, or two voices under one label.

Knows a voice as numbers and robust statistics. Knows no names of speakers beyond the rows' labels.

The numbers are own ones: mean and spread of mel cepstra over loud frames, and F0. Trained speaker embeddings tell more,
yet their libraries download weights or ship them as pickles. These ones tell voices of different pitch or throat apart;
two readers who sound alike in one room stay one to them. A row of another microphone or room is far away as well, which
is worth a look just the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from engine.audit.row import RowFacts
from engine.types import AuditFinding, Severity

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_RATE = 16000
FEWEST_ROWS = 8
FAR = 2.3  # usual spreads from the set's middle, in the mean over the numbers: real and synthetic readers stay below
FAR_DEVIATIONS = 3.0  # scaled median absolute deviations beyond the median row's distance
# Two voices: how far apart in usual spreads, how much more than within each, and a gap between nearly all rows of each
APART, APART_BY_SPREAD, APART_GAP, SMALLER_SHARE = 1.8, 1.9, 0.6, 0.25

_CEPSTRA = 20  # without the first, which is the level
_FRAME, _HOP, _TRANSFORM = 400, 160, 512
_MEL_BANDS, _LOW_HZ, _HIGH_HZ = 26, 80.0, 7600.0
_LOUD = 10**-2.2  # of the energy of loud frames
_FEWEST_FRAMES = 30
_PITCH_FRAME, _PITCH_HOP = 800, 640
_SHORTEST_PERIOD, _LONGEST_PERIOD = 36, 290  # samples: 444 and 55 Hz
_VOICED = 0.5  # normalised autocorrelation
_F0, _SPOKEN = 2 * _CEPSTRA, 2 * _CEPSTRA + 2  # places in a vector: median log F0, its spread; seconds of loud frames
# What is compared, and how much it differs among clips of one reader (standard deviations over 20 clips of a real one
# and over clips of 67 synthetic voices agree).
_COMPARED = (*range(_CEPSTRA), _F0)
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
    scatter = np.sqrt((_scatter(np.stack([first, second])) ** 2).mean(axis=0))
    places = list(_COMPARED)
    deviations = np.clip((first[places] - second[places]) / scatter, -6, 6)
    return float(np.sqrt((deviations**2).mean()))


def check(facts: Sequence[RowFacts]) -> Iterator[AuditFinding]:
    """Rows of another voice within a speaker's label, and sets that hold two voices. Few rows are not judged."""
    labelled: dict[str, list[RowFacts]] = defaultdict(list)
    for fact in facts:
        if fact.voice is not None and np.isfinite(fact.voice[list(_COMPARED)]).all():
            labelled[fact.utterance.speaker].append(fact)
    for label, rows in labelled.items():
        if len(rows) < FEWEST_ROWS:
            continue
        vectors = np.stack([np.asarray(fact.voice, np.float64) for fact in rows])
        second = _second_voice(vectors)
        if second is not None:
            yield _two_voices(label, [fact for fact, is_second in zip(rows, second, strict=True) if is_second], rows)
            continue
        for fact, distance, limit in zip(rows, *_distances(vectors), strict=True):
            if distance > limit:
                yield _other_voice(label, fact, distance, np.median(vectors, axis=0))


# ------------------------------------------------------------------------------------------------------------ numbers
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


# ---------------------------------------------------------------------------------------------------------- distances
def _scatter(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much each row's numbers usually scatter, shape (rows, compared): more for short clips."""
    brief = np.sqrt(1 + _SHORT_SEC / np.maximum(vectors[:, _SPOKEN], 0.1))
    scatter: NDArray[np.float64] = brief[:, None] * np.array(_USUAL)
    return scatter


def _distances(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each row's distance from the middle of the set in spreads, half usual and half the set's own; and the limit."""
    compared = vectors[:, _COMPARED]
    off = compared - np.median(compared, axis=0)
    own = 1.4826 * np.median(np.abs(off), axis=0)
    deviations = np.clip(off / np.sqrt((own**2 + _scatter(vectors) ** 2) / 2), -6, 6)
    distances = np.sqrt((deviations**2).mean(axis=1))
    middle = np.median(distances)
    spread = 1.4826 * np.median(np.abs(distances - middle))
    return distances, np.full(len(distances), max(FAR, middle + FAR_DEVIATIONS * spread))


def _second_voice(vectors: NDArray[np.float64]) -> NDArray[np.bool_] | None:
    """The rows of the smaller of two clearly different voices; None where there is one voice (2-means)."""
    compared = vectors[:, _COMPARED]
    rows = (compared - np.median(compared, axis=0)) / _scatter(vectors)
    centred = rows - rows.mean(axis=0)
    second: NDArray[np.bool_] = centred @ np.linalg.svd(centred, full_matrices=False)[2][0] > 0
    for _ in range(20):
        if not SMALLER_SHARE <= second.mean() <= 1 - SMALLER_SHARE:
            return None
        first_middle, second_middle = rows[~second].mean(axis=0), rows[second].mean(axis=0)
        nearer = ((rows - second_middle) ** 2).sum(axis=1) < ((rows - first_middle) ** 2).sum(axis=1)
        if (nearer == second).all():
            break
        second = nearer
    if not SMALLER_SHARE <= second.mean() <= 1 - SMALLER_SHARE:
        return None
    way = second_middle - first_middle
    apart = np.sqrt((way**2).mean())
    within = np.sqrt((np.vstack([rows[second] - second_middle, rows[~second] - first_middle]) ** 2).mean())
    along = rows @ way / (way @ way)
    gap = np.percentile(along[second], 10) - np.percentile(along[~second], 90)
    if apart < APART or apart < APART_BY_SPREAD * within or gap < APART_GAP:
        return None
    return second if second.mean() <= 0.5 else ~second


# ----------------------------------------------------------------------------------------------------------- findings
def _other_voice(label: str, fact: RowFacts, distance: float, middle: NDArray[np.float64]) -> AuditFinding:
    rows = f"the other rows of {label}" if label else "the other rows"
    pitch, usual = (float(np.exp(f0)) for f0 in (np.asarray(fact.voice)[_F0], middle[_F0]))
    return AuditFinding(
        check="speaker",
        severity=Severity.WARNING,
        row=fact.utterance.id,
        explanation=(
            f"The voice is unlike that of {rows}: {distance:.1f} usual spreads away, where one speaker stays within "
            f"{FAR:g} (pitch {pitch:.0f} Hz, usually {usual:.0f} Hz)."
        ),
        repair="Listen to it: name its speaker, or leave the row out.",
    )


def _two_voices(label: str, second: Sequence[RowFacts], rows: Sequence[RowFacts]) -> AuditFinding:
    where = f"The rows of {label} hold" if label else "The rows hold"
    names = ", ".join(fact.utterance.id for fact in second[:3])
    return AuditFinding(
        check="speaker",
        severity=Severity.WARNING,
        row="",
        explanation=(
            f"{where} two clearly different voices: {len(second)} of {len(rows)} rows (such as {names}) sound unlike "
            "the rest."
        ),
        repair="Name the speaker of each row, or make one set for each voice.",
    )
