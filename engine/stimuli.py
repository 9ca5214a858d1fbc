"""The audio of one trial: every side in the same container, at the same rate, loudness, length and level of noise.

Knows samples and bytes. Knows nothing of clips, files or trials: which side is which cannot leak from here. What
cannot be made equal is refused: an unprepared clip is never served.

- Silence at the start and end is trimmed to the same margins, and all sides are padded to one length in whole buckets,
  so that byte counts are equal within a trial and say little between trials.
- Loudness is BS.1770 integrated loudness, the same for all sides. Where a peak would pass the cap, all sides are
  turned down.
- Each side gets its own dither of one 16-bit step, so that two presentations of one clip share no bytes to be compared
  by.
"""

from __future__ import annotations

import io
import math
import wave
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine import audio
from engine.types import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLE_RATE_HZ = 24_000
TARGET_LUFS = -23.0  # EBU R 128
PEAK_CAP_DBTP = -1.0  # EBU R 128: highest permitted true peak
BUCKET_SEC = 2.0
MARGIN_SEC = 0.1  # silence before the first and at least after the last sound
FADE_SEC = 0.005  # at both cuts, so that a cut cannot be heard as a click
FRAME_SEC = 0.01
SILENCE_BELOW_LOUDEST_DB = 50.0
MEDIA_TYPE = "audio/wav"

_OVERSAMPLING = (
    4  # BS.1770-4 annex 2: true peak is read at four times 48 kHz; at 24 kHz this finds peaks between samples
)
_FULL_SCALE = 32_767


def prepare(
    samples: Sequence[NDArray[np.float32]],
    sample_rate: int,
    *,
    target_lufs: float = TARGET_LUFS,
    bucket_sec: float = BUCKET_SEC,
    seed: int | None = None,
) -> list[bytes]:
    """WAV files (PCM 16 bit, mono, 24 kHz) of a trial's sides, in order and of one byte count.

    `samples` are mono in -1..1, each of shape (n,), at `sample_rate` Hz. A side that is silent throughout stays
    silent: there is nothing to bring to a loudness. `seed` fixes the dither; None draws it anew. Raises BadInput when
    there is no side, or a side is empty, not mono, or holds values that are not numbers.
    """
    import numpy as np

    if not samples:
        raise BadInput("A trial needs the audio of at least one clip; render the clip again.")
    for place, side in enumerate(samples):
        _check(side, place)
    trimmed = [_trim(_at_rate(side, sample_rate)) for side in samples]
    levelled = _level(trimmed, target_lufs)
    length = _common_length([len(side) for side in levelled], bucket_sec)
    noise = np.random.default_rng(seed).spawn(len(levelled))
    return [_wav(_pad(side, length), random) for side, random in zip(levelled, noise, strict=True)]


def _check(side: NDArray[np.float32], place: int) -> None:
    import numpy as np

    if side.ndim != 1:
        raise BadInput(f"Clip {place + 1} of this trial is not mono (shape {side.shape}); render it again.")
    if side.size == 0:
        raise BadInput(f"Clip {place + 1} of this trial is empty; render it again.")
    if not np.isfinite(side).all():
        raise BadInput(f"Clip {place + 1} of this trial holds values that are not numbers; render it again.")


def _at_rate(side: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    import numpy as np

    side = side.astype(np.float32, copy=False)
    return side if sample_rate == SAMPLE_RATE_HZ else audio.resample(side, sample_rate, SAMPLE_RATE_HZ)


def _trim(side: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut the frames before the first and after the last sound and fade both cuts. Silence becomes a frame of zeros."""
    import numpy as np

    frame = round(FRAME_SEC * SAMPLE_RATE_HZ)
    frames = np.pad(side, (0, -len(side) % frame)).reshape(-1, frame)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    if power.max() == 0.0:
        return np.zeros(frame, dtype=np.float32)
    heard = np.flatnonzero(power >= power.max() * 10.0 ** (-SILENCE_BELOW_LOUDEST_DB / 10.0))
    cut = side[heard[0] * frame : (heard[-1] + 1) * frame].copy()
    ramp_length = min(round(FADE_SEC * SAMPLE_RATE_HZ), len(cut) // 2)
    ramp = np.sin(np.linspace(0.0, np.pi / 2, ramp_length, endpoint=False, dtype=np.float32)) ** 2
    cut[:ramp_length] *= ramp
    cut[len(cut) - ramp_length :] *= ramp[::-1]
    return cut


def _level(sides: Sequence[NDArray[np.float32]], target_lufs: float) -> list[NDArray[np.float32]]:
    """All sides at `target_lufs`, or all lower by the same number of decibels when a true peak would pass the cap."""
    import numpy as np

    levelled = []
    for side in sides:
        loudness = audio.loudness_lufs(side, SAMPLE_RATE_HZ)
        # Below the absolute gate of BS.1770 (-70 LUFS) there is nothing to hear and no loudness to match: silence.
        gain = 0.0 if loudness == -math.inf else 10.0 ** ((target_lufs - loudness) / 20.0)
        if not math.isfinite(gain):
            raise BadInput("The loudness of a clip of this trial cannot be measured; render it again.")
        levelled.append((side * gain).astype(np.float32))
    cap = 10.0 ** (PEAK_CAP_DBTP / 20.0)
    down = min([1.0, *(cap / peak for side in levelled if (peak := _true_peak(side)) > cap)])
    return [(side * down).astype(np.float32) for side in levelled]


def _true_peak(side: NDArray[np.float32]) -> float:
    """The largest magnitude between samples as well as on them (BS.1770-4, annex 2)."""
    import numpy as np

    over = audio.resample(side, SAMPLE_RATE_HZ, _OVERSAMPLING * SAMPLE_RATE_HZ)
    return float(max(np.abs(side).max(), np.abs(over).max()))


def _common_length(lengths: Sequence[int], bucket_sec: float) -> int:
    margins = 2 * round(MARGIN_SEC * SAMPLE_RATE_HZ)
    bucket = round(bucket_sec * SAMPLE_RATE_HZ)
    return -(-(max(lengths) + margins) // bucket) * bucket


def _pad(side: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    import numpy as np

    lead = round(MARGIN_SEC * SAMPLE_RATE_HZ)
    return np.pad(side, (lead, length - lead - len(side)))


def _wav(side: NDArray[np.float32], random: np.random.Generator) -> bytes:
    """PCM 16 bit with triangular dither of one step either way."""
    import numpy as np

    steps = side.astype(np.float64) * _FULL_SCALE + random.triangular(-1.0, 0.0, 1.0, side.size)
    pcm = np.clip(np.rint(steps), -_FULL_SCALE, _FULL_SCALE).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE_HZ)
        writer.writeframes(pcm.tobytes())
    return file.getvalue()
