"""What the waveform alone says of a row: cut-off tops, noise between the words, silence, nobody speaking.

Knows levels and stretches of speech. Measures them once a row (`clipped_share`, `noise`, `quiet`) and judges the
numbers (`check`). Knows nothing of texts or files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from engine.audit.findings import error, warning
from engine.audit.row import RowFacts
from engine.needs import Needs
from engine.types import Action, AuditFinding, Measurement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A limiter or converter leaves runs of equal samples at the top; one peak that touches full scale is not clipped.
FULL_SCALE = 0.9985  # within 50 steps of 16-bit full scale
FLAT_TOP = 2.0 / 32768  # tops below full scale count when they are flat to within two 16-bit steps
QUIETEST_TOP = 0.1  # of a clip whose flat tops are judged: in a very quiet one every top is a few steps wide
RUN = 3
CLIPPED_SHARE = 0.0002  # of the samples

LOWEST_SNR_DB = 15.0
FRAME_SEC = 0.02
DIGITAL_SILENCE_DBFS = -90.0  # frames that were muted or padded say nothing about the room
FEWEST_FRAMES = 8  # of non-speech for a measured floor
EDGE_SEC = 0.06  # around speech, where words fade into the room
QUIET_SHARE = 0.02  # of all frames: the floor where speech leaves no pause

LEADING_SEC, TRAILING_SEC, PAUSE_SEC = 1.0, 1.5, 2.0


# ----------------------------------------------------------------------------------------------------------- measuring
def clipped_share(frames: NDArray[np.float32]) -> float:
    """Share of samples in runs of `RUN` and more at the top, of `frames`, shape (n, channels): the worst channel's."""
    import numpy as np

    magnitude = np.abs(frames)
    tops = magnitude.max(axis=0, initial=0.0)
    worst = 0.0
    for channel, top in enumerate(tops):
        if top < QUIETEST_TOP:
            continue
        level = FULL_SCALE if top >= FULL_SCALE else top - FLAT_TOP
        at_top = np.flatnonzero(magnitude[:, channel] >= level)
        # A run of three at least: a sample with the one before and the one after it, in the sorted places.
        starts = at_top[:-2][at_top[2:] - at_top[:-2] == 2] if len(at_top) >= RUN else at_top[:0]
        inside = np.unique(np.concatenate([starts, starts + 1, starts + 2]))
        worst = max(worst, len(inside) / len(frames))
    return worst


def noise(samples: NDArray[np.float32], sample_rate: int, speech: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """(noise floor in dBFS, signal-to-noise ratio in dB) of mono samples.

    The floor is the median level between stretches of speech, away from their edges and from digital silence; where
    speech leaves no such pause, the level below which 2 % of all frames lie, which is an upper bound. NaN where there
    is no speech or nothing but silence.
    """
    import numpy as np

    size = max(1, round(FRAME_SEC * sample_rate))
    count = len(samples) // size
    if count == 0 or not speech:
        return math.nan, math.nan
    power = np.square(samples[: count * size].reshape(count, size), dtype=np.float64).mean(axis=1)
    middles = (np.arange(count) + 0.5) * FRAME_SEC
    spoken = np.zeros(count, np.bool_)
    near = np.zeros(count, np.bool_)
    for start, end in speech:
        spoken |= (middles >= start) & (middles <= end)
        near |= (middles >= start - EDGE_SEC) & (middles <= end + EDGE_SEC)
    sounding = power > 10 ** (DIGITAL_SILENCE_DBFS / 10)
    if not (spoken & sounding).any():
        return math.nan, math.nan
    between = power[~near & sounding]
    floor = np.median(between) if len(between) >= FEWEST_FRAMES else np.quantile(power[sounding], QUIET_SHARE)
    voice = power[spoken & sounding].mean() - floor
    ratio = 10 * math.log10(voice / floor) if voice > 0 else 0.0
    return 10 * math.log10(floor), ratio


def quiet(duration_sec: float, speech: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Seconds without speech before the first word, after the last, and in the longest pause between."""
    if not speech:
        return duration_sec, duration_sec, 0.0
    pauses = [after - before for (_, before), (after, _) in pairwise(speech)]
    return speech[0][0], max(0.0, duration_sec - speech[-1][1]), max(pauses, default=0.0)


# ------------------------------------------------------------------------------------------------------------- judging
def check(facts: Sequence[RowFacts], needs: Needs) -> Iterator[AuditFinding]:
    """Clipping, noise, silence and rows in which nobody speaks."""
    for fact in facts:
        found = fact.measurement
        if found is None:
            continue
        row = fact.utterance.id
        yield from _clipping(row, found)
        if not fact.speech:
            said = f"Nobody speaks in the {found.duration_sec:.1f} s of the clip, as far as a voice detector can tell."
            yield error("no_speech", row, said, "Listen to it; drop the row or name its right recording.")
            continue
        yield from _noise(row, found)
        yield from _silence(row, found, needs)


def _clipping(row: str, found: Measurement) -> Iterator[AuditFinding]:
    if found.clipped_share > CLIPPED_SHARE:
        said = (
            f"{100 * found.clipped_share:.2g} % of the samples are cut off at {found.peak_dbfs:.1f} dBFS, which is "
            "heard as a crackle and learned as one."
        )
        yield warning("clipping", row, said, "Use an unclipped take, or leave the row out.")


def _noise(row: str, found: Measurement) -> Iterator[AuditFinding]:
    if found.snr_db < LOWEST_SNR_DB:
        said = (
            f"Speech stands {found.snr_db:.0f} dB above the noise ({found.noise_floor_dbfs:.0f} dBFS between words); "
            f"a voice that is learned from less than {LOWEST_SNR_DB:.0f} dB hisses."
        )
        yield warning("noise", row, said, "Listen to it; leave the row out or record it again in a quieter place.")


def _silence(row: str, found: Measurement, needs: Needs) -> Iterator[AuditFinding]:
    trailing = TRAILING_SEC + needs.append_silence_sec  # what the backend's own recipe appends is no fault
    edges = [
        f"{seconds:.1f} s of silence {where}"
        for where, seconds, limit in (
            ("before the first word", found.leading_silence_sec, LEADING_SEC),
            ("after the last", found.trailing_silence_sec, trailing),
        )
        if seconds > limit
    ]
    inner = f"a pause of {found.longest_pause_sec:.1f} s inside" if found.longest_pause_sec > PAUSE_SEC else ""
    if edges or inner:
        said = f"The clip has {' and '.join([*edges, *([inner] if inner else [])])}, which teaches the voice to wait."
        mend = (
            "Preparing with trimming cuts the silence at the ends." if edges else "Cut it at the pause into two rows."
        )
        yield warning("silence", row, said, mend, Action.TRIM if edges else Action.NONE)
