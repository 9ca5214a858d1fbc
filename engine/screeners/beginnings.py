"""How unlike the rest of a clip its first 0.3 s of sound are.

Knows short spectra. Every frame of 20 ms has 16 log bands beside the clip's loud level; how unlike every other moment
of the clip it is, is its distance from the nearest frame that lies elsewhere. A click, a burst or a rasp is like
nothing that comes later; the first sound of a sentence is.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from engine.screeners import acoustics

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW_SEC, HOP_SEC = 0.3, 0.01
FRAME_SEC = 0.02
SHORTEST_SEC = 1.5
MOST_FRAMES = 1500  # that beginnings are compared with
FLOOR_DB = -50.0  # below the loud level everything is silence
_BANDS = 16


def distance(samples: NDArray[np.float32], sample_rate: int) -> float:
    """How far the beginning lies from the rest, in spreads of the clip's other stretches of 0.3 s; NaN for a clip with
    too little sound.
    """
    sounding = np.flatnonzero(acoustics.active(samples, sample_rate))
    if not len(sounding):
        return math.nan
    spoken = samples[round(sounding[0] * acoustics.FRAME_SEC * sample_rate) :]
    if len(spoken) < SHORTEST_SEC * sample_rate:
        return math.nan
    frames = _frames(spoken, sample_rate)
    window = round(WINDOW_SEC / HOP_SEC)
    lonely = _loneliness(frames, window)
    stretches = [
        float(np.quantile(lonely[n : n + window], 0.9)) for n in range(0, len(lonely) - window + 1, window // 2)
    ]
    others = np.array(stretches[2:])
    if len(others) < 4:
        return math.nan
    middle = float(np.median(others))
    spread = max(0.1, 1.4826 * float(np.median(np.abs(others - middle))))
    return (stretches[0] - middle) / spread


def _frames(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """Log bands of each frame in units of 10 dB above the floor, shape (frames, bands)."""
    width, hop = round(FRAME_SEC * sample_rate), round(HOP_SEC * sample_rate)
    windows = np.lib.stride_tricks.sliding_window_view(samples, width)[::hop]
    power = np.abs(np.fft.rfft(windows * np.hanning(width).astype(np.float32), 512 * -(-width // 512), axis=1)) ** 2
    hz = np.fft.rfftfreq(2 * (power.shape[1] - 1), 1 / sample_rate)
    edges = np.geomspace(100, min(7600.0, 0.45 * sample_rate), _BANDS + 1)
    bands = np.stack([power[:, (hz >= low) & (hz <= high)].sum(axis=1) for low, high in pairwise(edges)], axis=1)
    loud = float(np.quantile(bands.sum(axis=1), 0.95)) + 1e-12
    levels = 10 * np.log10(bands / loud + 1e-12)
    return (np.maximum(levels - FLOOR_DB, 0) / 10).astype(np.float32)


def _loneliness(frames: NDArray[np.float32], apart: int) -> NDArray[np.float32]:
    """Each frame's distance from the nearest one that lies `apart` frames or more away, shape (frames,)."""
    step = max(1, len(frames) // MOST_FRAMES)
    places = np.arange(0, len(frames), step)
    others = frames[places]
    squares = (frames**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)[None] - 2 * frames @ others.T
    squares[np.abs(np.arange(len(frames))[:, None] - places[None]) < apart] = np.inf
    return np.asarray(np.sqrt(np.maximum(squares.min(axis=1), 0) / frames.shape[1]), np.float32)
