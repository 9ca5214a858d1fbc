"""A row's samples as a prepared dataset has them: one channel, one rate, trimmed, levelled, with silence at its end.

Knows what is done to samples and in which order, and tells what it did. Knows no rows, findings or folders. The same
samples and wishes give the same samples, whatever the machine's number of cores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from engine import audio
from engine.audit import voice_activity

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

MARGIN_SEC = 0.1  # that is left around speech when silence is cut off
FADE_SEC = 0.005  # where silence was cut off, so that the edge does not click
PEAK_DBFS = -1.0  # no sample is raised above this: 16-bit files clip, and an MP3 of them would overshoot
LOUDNESS_STEP_DB = 0.05  # a smaller change is none
# torchaudio's "kaiser best": 64 zero crossings, a Kaiser window of 14.77, and 5 % of the band for the slope.
LOWPASS_WIDTH, ROLLOFF, BETA = 64, 0.9475937167399596, 14.769656459379492


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What should be done. `max_sec` bounds the clip with its silence: 0 is no bound."""

    sample_rate: int
    trim: bool = False
    append_silence_sec: float = 0.0
    loudness_lufs: float | None = None
    max_sec: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Done:
    """One thing that was done: what was, what is, and why it is not all that was wished ("" when it is)."""

    what: str  # "resample", "mono", "trim", "loudness", "append_silence"
    before: float
    after: float
    shortfall: str = ""


def condition(
    samples: NDArray[np.float32], sample_rate: int, channels: int, wishes: Wishes
) -> tuple[NDArray[np.float32], tuple[Done, ...]]:
    """Mono samples, shape (n,), of a file with `channels` that were averaged, as wished; and what was done."""
    done: list[Done] = []
    if channels > 1:
        done.append(Done(what="mono", before=channels, after=1))
    if sample_rate != wishes.sample_rate:
        done.append(Done(what="resample", before=sample_rate, after=wishes.sample_rate))
    samples = resample(samples, sample_rate, wishes.sample_rate)
    for step in (_trimmed, _levelled, _with_silence):
        samples, told = step(samples, wishes)
        done += [told] if told is not None else []
    return samples, tuple(done)


def resample(samples: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """Band-limited resampling of mono samples, shape (n,) -> (ceil(n * to / from),), by torchaudio."""
    if from_hz == to_hz:
        return samples
    import numpy as np
    import torch

    with _one_thread(), torch.inference_mode():
        made = _resampler(from_hz, to_hz)(torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32)))
    resampled: NDArray[np.float32] = made.numpy()
    return resampled


@cache
def _resampler(from_hz: int, to_hz: int) -> torch.nn.Module:
    """The filter of a pair of rates: as good as thousands of taps, so it is made once."""
    from torchaudio.transforms import Resample

    made: torch.nn.Module = Resample(
        from_hz,
        to_hz,
        resampling_method="sinc_interp_kaiser",
        lowpass_filter_width=LOWPASS_WIDTH,
        rolloff=ROLLOFF,
        beta=BETA,
    )
    return made


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order: with more threads the last bit depends on how many there are."""
    import torch

    threads = torch.get_num_threads()
    if threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def speech_bounds(samples: NDArray[np.float32], sample_rate: int) -> tuple[float, float] | None:
    """Seconds where speech begins and ends; None without any."""
    heard = voice_activity.speech(resample(samples, sample_rate, voice_activity.SAMPLE_RATE))
    return (heard[0][0], heard[-1][1]) if heard else None


def _trimmed(samples: NDArray[np.float32], wishes: Wishes) -> tuple[NDArray[np.float32], Done | None]:
    rate = wishes.sample_rate
    bounds = speech_bounds(samples, rate) if wishes.trim else None
    if bounds is None:
        return samples, None
    first = max(0, round((bounds[0] - MARGIN_SEC) * rate))
    last = min(len(samples), round((bounds[1] + MARGIN_SEC) * rate))
    if first == 0 and last == len(samples):
        return samples, None
    told = Done(what="trim", before=len(samples) / rate, after=(last - first) / rate)
    return _faded(samples[first:last], rate, at_start=first > 0, at_end=last < len(samples)), told


def _faded(samples: NDArray[np.float32], sample_rate: int, *, at_start: bool, at_end: bool) -> NDArray[np.float32]:
    import numpy as np

    count = min(round(FADE_SEC * sample_rate), len(samples) // 2)
    ramp = np.linspace(0.0, 1.0, count, dtype=np.float32)
    faded = samples.copy()
    if at_start:
        faded[:count] *= ramp
    if at_end and count:
        faded[-count:] *= ramp[::-1]
    return faded


def _levelled(samples: NDArray[np.float32], wishes: Wishes) -> tuple[NDArray[np.float32], Done | None]:
    if wishes.loudness_lufs is None:
        return samples, None
    import numpy as np

    loudness = audio.loudness_lufs(samples, wishes.sample_rate)
    if not math.isfinite(loudness):
        told = Done(what="loudness", before=loudness, after=loudness, shortfall="there is nothing loud enough to level")
        return samples, told
    wanted_db = wishes.loudness_lufs - loudness
    peak = float(np.abs(samples).max(initial=0.0))
    room_db = PEAK_DBFS - 20 * math.log10(peak) if peak > 0 else 0.0
    gain_db = min(wanted_db, max(room_db, 0.0)) if wanted_db > 0 else wanted_db
    shortfall = "" if wanted_db - gain_db < LOUDNESS_STEP_DB else f"its peak would pass {PEAK_DBFS:g} dBFS"
    if abs(gain_db) < LOUDNESS_STEP_DB and not shortfall:
        return samples, None
    told = Done(what="loudness", before=loudness, after=loudness + gain_db, shortfall=shortfall)
    return (samples * np.float32(10 ** (gain_db / 20))).astype(np.float32), told


def _with_silence(samples: NDArray[np.float32], wishes: Wishes) -> tuple[NDArray[np.float32], Done | None]:
    import numpy as np

    wanted = wishes.append_silence_sec
    if wanted <= 0:
        return samples, None
    before = len(samples) / wishes.sample_rate
    room = max(0.0, wishes.max_sec - before) if wishes.max_sec > 0 else wanted
    added = round(min(wanted, room) * wishes.sample_rate)
    shortfall = f"with more it would pass the {wishes.max_sec:g} s that are allowed" if room < wanted else ""
    told = Done(what="append_silence", before=before, after=before + added / wishes.sample_rate, shortfall=shortfall)
    return np.concatenate([samples, np.zeros(added, np.float32)]), told
