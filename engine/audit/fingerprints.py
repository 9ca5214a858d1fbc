"""Audio fingerprints: a 32-bit hash a frame by which shared audio is found among thousands of clips.

Knows band energies and bit errors (Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System", ISMIR 2002).
Knows no text, row or severity: `duplicates` and `overlaps` say what a match means.

A bit says whether the difference of two neighbouring bands' energies rises or falls. Gain, a codec, a resampler or a
few milliseconds change few of these bits, and unrelated audio agrees in half of them. Unlike the paper, the long window
is a mean of short ones, which costs a tenth, and the rise is taken over 64 ms, so that slices whose frames do not fall
together still agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_RATE = 16000
SECONDS_PER_FRAME = 0.016
_HOP = 256
_WINDOW = 1024
_MEAN_FRAMES = 16  # of short windows, a long one: 0.3 s
_RISE_FRAMES = 4
_BANDS = 33  # 32 differences
_LOW_HZ, _HIGH_HZ = 250.0, 4000.0  # what every codec and a telephone keep
CONTEXT_SEC = (_WINDOW + (_MEAN_FRAMES - 1 + _RISE_FRAMES) * _HOP) / SAMPLE_RATE  # that one hash looks at
_QUIET = 10**-4.5  # of the loudest frame's energy: below it there is nothing but noise to hash
_STEADY = 0.02  # change of energy a frame, of all energy: below it rounding decides the bits, as in a steady tone
_FLOOR = 1e-7  # energy of a frame in which nothing can be heard (about -95 dBFS)

MIN_FRAMES = 40  # a shorter agreement may be chance: about 1 s of sound with the context
MAX_BIT_ERRORS = (
    0.28  # of shared audio: an MP3, Opus or noisy copy has up to 0.2, chance at the best place 0.4 and more
)
SHORT_FRAMES, SHORT_MAX_BIT_ERRORS = 100, 0.16  # a few words that one voice says twice in the same way come to 0.15
MIN_REGION = 0.7  # slices of one recording agree wherever they lie over one another, a phrase said twice does not
_NEIGHBOURS = 6  # rows with the same hash are compared with so many after them: the work stays in proportion to rows
_VOTES = 2  # hashes that must agree on one offset before all are compared


@dataclass(frozen=True, kw_only=True)
class Match:
    """Two clips of a sequence that share audio: frame `f` of `first` sounds as frame `f + offset` of `second`.

    `first` < `second` are places in the sequence. `shared_sec` is how long they run together, `share` the part of the
    longer clip that this is, `bit_error_rate` 0 for the same bits and about 0.5 for unrelated audio. Of many clips with
    the same sound not all pairs are named, yet enough to connect them all.
    """

    first: int
    second: int
    offset: int
    shared_sec: float
    share: float
    bit_error_rate: float


def fingerprint(samples_16k: NDArray[np.float32]) -> NDArray[np.uint32]:
    """A hash a frame of mono samples at 16 kHz, shape (n,) -> (frames,); 0 where a frame says nothing.

    Clips shorter than one hash's context, 0.37 s, have none.
    """
    import scipy.fft

    if len(samples_16k) < CONTEXT_SEC * SAMPLE_RATE:
        return np.zeros(0, np.uint32)
    weights, window = _filters()
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(samples_16k, np.float32), _WINDOW)[::_HOP]
    spectrum = scipy.fft.rfft(frames * window, axis=1)[:, : len(weights)]
    bands = (spectrum.real**2 + spectrum.imag**2) @ weights
    total = np.zeros((len(bands) + 1, _BANDS))
    np.cumsum(bands, axis=0, out=total[1:])
    energy = (total[_MEAN_FRAMES:] - total[:-_MEAN_FRAMES]) / _MEAN_FRAMES
    slope = energy[:, :-1] - energy[:, 1:]
    rise = slope[_RISE_FRAMES:] - slope[:-_RISE_FRAMES]
    hashes: NDArray[np.uint32] = np.packbits(rise > 0, axis=1, bitorder="little").view("<u4").ravel().astype(np.uint32)
    loudness = energy[_RISE_FRAMES:].sum(axis=1)
    steady = np.abs(rise).sum(axis=1) < _STEADY * loudness
    hashes[steady | (loudness < max(_FLOOR, _QUIET * loudness.max()))] = 0
    return hashes


def matches(prints: Sequence[NDArray[np.uint32] | None]) -> tuple[Match, ...]:
    """All pairs of clips that share audio, without comparing all pairs. None stands for a clip without audio.

    Clips that have a hash in common at one offset twice or more (an inverted index) are compared frame by frame there.
    """
    known = [row for row, print_ in enumerate(prints) if print_ is not None and len(print_) >= MIN_FRAMES]
    best: dict[tuple[int, int], Match] = {}
    for first, second, offset in _candidates(known, prints):
        found = _compare(first, second, offset, prints)
        if found is None:
            continue
        other = best.get((first, second))
        if other is None or _agreement(found) > _agreement(other):
            best[first, second] = found
    return tuple(best[pair] for pair in sorted(best))


@cache
def _filters() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (bins, bands) of bands evenly wide in mel, each the share of a bin that lies in it; the window."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (_LOW_HZ, _HIGH_HZ))
    mel = np.linspace(low, high, _BANDS + 1)
    edges = 700 * (10 ** (mel / 2595) - 1)
    width = SAMPLE_RATE / _WINDOW
    bins = np.arange(int(_HIGH_HZ / width) + 2)[:, None] * width
    inside = np.minimum(bins + width / 2, edges[None, 1:]) - np.maximum(bins - width / 2, edges[None, :-1])
    window = np.hanning(_WINDOW) / np.sqrt(_WINDOW)
    return np.clip(inside / width, 0, 1).astype(np.float32), window.astype(np.float32)


def _candidates(known: Sequence[int], prints: Sequence[NDArray[np.uint32] | None]) -> Iterator[tuple[int, int, int]]:
    """(first, second, offset) of clips whose hashes agree often enough there to be worth comparing."""
    if len(known) < 2:
        return
    arrays = [np.asarray(prints[row], np.uint32) for row in known]
    longest = max(map(len, arrays))
    rows = np.repeat(np.arange(len(known), dtype=np.int32), [len(a) for a in arrays])
    places = np.concatenate([np.arange(len(a), dtype=np.int32) for a in arrays])
    values = np.concatenate(arrays)
    told = np.flatnonzero(values)
    order = told[np.argsort(values[told], kind="stable")]  # equal hashes side by side, in the order of rows
    rows, places, values = rows[order], places[order], values[order]
    span = 2 * longest
    keys: list[NDArray[np.int64]] = []
    for lag in range(1, _NEIGHBOURS + 1):
        same = (values[lag:] == values[:-lag]) & (rows[lag:] != rows[:-lag])
        first, second = rows[:-lag][same].astype(np.int64), rows[lag:][same]
        offset = places[lag:][same] - places[:-lag][same]
        keys.append((first * len(known) + second) * span + offset + longest)
    key, votes = np.unique(np.concatenate(keys), return_counts=True)
    together = votes.copy()  # frames of slices fall between one another: two neighbouring offsets are one
    together[:-1] += np.where(np.diff(key) == 1, votes[1:], 0)
    for each in key[together >= _VOTES]:
        pair, offset_ = divmod(int(each), span)
        yield known[pair // len(known)], known[pair % len(known)], offset_ - longest


def _agreement(match: Match) -> float:
    """How much better than allowed a pair agrees, and over how much: what tells the true offset from its neighbours."""
    return (MAX_BIT_ERRORS - match.bit_error_rate) * match.share


def _compare(first: int, second: int, offset: int, prints: Sequence[NDArray[np.uint32] | None]) -> Match | None:
    """The stretch in which two clips agree best when laid over one another at `offset`, if it is long enough."""
    one, two = np.asarray(prints[first]), np.asarray(prints[second])
    start, end = max(0, -offset), min(len(one), len(two) - offset)
    if end - start < MIN_FRAMES:
        return None
    left, right = one[start:end], two[start + offset : end + offset]
    told = (left != 0) & (right != 0)
    errors = np.bitwise_count(left ^ right).astype(np.int64)
    # The stretch with the largest sum of (allowed - found) errors: Bentley's maximum subarray, by prefix sums.
    gain = np.concatenate([[0.0], np.cumsum(np.where(told, 32 * MAX_BIT_ERRORS - errors, 0.0))])
    lowest = np.minimum.accumulate(gain)
    stop = int(np.argmax(gain - lowest))
    begin = int(np.argmin(gain[: stop + 1]))
    heard = told[begin:stop]
    frames = int(heard.sum())
    if frames < max(MIN_FRAMES, MIN_REGION * told.sum()):
        return None
    rate = float(errors[begin:stop][heard].mean()) / 32
    if rate > (MAX_BIT_ERRORS if frames >= SHORT_FRAMES else SHORT_MAX_BIT_ERRORS):
        return None
    longer = max(int((one != 0).sum()), int((two != 0).sum()))
    return Match(
        first=first,
        second=second,
        offset=offset,
        shared_sec=(stop - begin - 1) * SECONDS_PER_FRAME + CONTEXT_SEC,
        share=min(1.0, frames / longer),
        bit_error_rate=rate,
    )
