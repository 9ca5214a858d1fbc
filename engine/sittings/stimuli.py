"""The audio of one trial: every side in the same container, at the same rate, loudness, length and level of noise.

Knows samples and bytes. Knows nothing of clips, files or trials: which side is which cannot leak from here. What
cannot be made equal is refused: an unprepared clip is never served.

- Silence at the start and end is trimmed to the same margins, and all sides are padded to one length in whole buckets,
  so that byte counts are equal within a trial and say little between trials.
- Loudness is BS.1770 integrated loudness, the same for all sides. Where a peak would pass the cap, all sides are
  turned down.
- Each side gets its own dither of one 16-bit step, so that two presentations of one clip share no bytes to be compared
  by.
- The degraded anchors of catch trials are made here, before the rest: they are equal in all that the others are.
"""

from __future__ import annotations

import io
import math
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import audio
from engine.types import BadInput, Treatment

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
SILENCED_DB = -120.0  # below one 16-bit step
LOWPASS_RATE_HZ = 7_000  # holds up to 3.5 kHz, the low anchor of BS.1534-3
FASTER = 1.15
METHOD = "stimuli/1"  # how sounds are prepared; a change is another number
SILENCE_BELOW_LOUDEST_DB = 50.0

_OVERSAMPLING = (
    4  # BS.1770-4 annex 2: true peak is read at four times 48 kHz; at 24 kHz this finds peaks between samples
)
_FULL_SCALE = 32_767


@dataclass(frozen=True, kw_only=True)
class Levelled:
    """A side before it stands beside others: trimmed, at the target loudness, with what it took to get there."""

    samples: NDArray[np.float32]
    gain_db: float
    true_peak: float


@dataclass(frozen=True, kw_only=True)
class Stimulus:
    """A WAV file (PCM 16 bit, mono, 24 kHz) and the gain that its clip got."""

    audio: bytes
    gain_db: float


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
    if not samples:
        raise BadInput("A trial needs the audio of at least one clip; render the clip again.")
    sides = [level(side, sample_rate, target_lufs=target_lufs, place=place) for place, side in enumerate(samples)]
    return [each.audio for each in together(sides, [seed] * len(sides), bucket_sec=bucket_sec)]


def level(
    samples: NDArray[np.float32],
    sample_rate: int,
    treatment: Treatment = Treatment.NONE,
    *,
    target_lufs: float = TARGET_LUFS,
    place: int = 0,
) -> Levelled:
    """One clip of shape (n,), degraded as `treatment` says, trimmed and brought to `target_lufs`.

    Raises BadInput, naming it by its `place` in the trial, for a clip that is empty, not mono, or no numbers.
    """
    import numpy as np

    _check(samples, place)
    trimmed = _trim(_treated(_at_rate(samples, sample_rate), treatment))
    loudness = audio.loudness_lufs(trimmed, SAMPLE_RATE_HZ)
    # Below the absolute gate of BS.1770 (-70 LUFS) there is nothing to hear and no loudness to match: silence.
    gain_db = SILENCED_DB if loudness == -math.inf else target_lufs - loudness
    if not math.isfinite(gain_db):
        raise BadInput("The loudness of a clip of this trial cannot be measured; render it again.")
    levelled = (trimmed * 10.0 ** (gain_db / 20.0)).astype(np.float32)
    return Levelled(samples=levelled, gain_db=gain_db, true_peak=_true_peak(levelled))


def together(
    sides: Sequence[Levelled], seeds: Sequence[int | None], *, bucket_sec: float = BUCKET_SEC
) -> list[Stimulus]:
    """The sides of one trial: turned down by the same number of decibels when a peak would pass the cap, padded to one
    length, each with dither by its own seed (and its place, so that equal seeds give different dither).
    """
    import numpy as np

    cap = 10.0 ** (PEAK_CAP_DBTP / 20.0)
    down = min([1.0, *(cap / side.true_peak for side in sides if side.true_peak > cap)])
    length = _common_length([len(side.samples) for side in sides], bucket_sec)
    found = []
    for place, (side, seed) in enumerate(zip(sides, seeds, strict=True)):
        random = np.random.default_rng(None if seed is None else [seed, place])
        found.append(
            Stimulus(
                audio=_wav(_pad(side.samples * np.float32(down), length), random),
                gain_db=side.gain_db + 20.0 * math.log10(down),
            )
        )
    return found


def _treated(side: NDArray[np.float32], treatment: Treatment) -> NDArray[np.float32]:
    if treatment is Treatment.LOWPASS:  # what the lower rate cannot hold is gone
        return audio.resample(audio.resample(side, SAMPLE_RATE_HZ, LOWPASS_RATE_HZ), LOWPASS_RATE_HZ, SAMPLE_RATE_HZ)
    if treatment is Treatment.FAST:
        return audio.resample(side, round(FASTER * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ)
    return side


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

    steps = random.random(side.size, dtype=np.float32)
    steps -= random.random(side.size, dtype=np.float32)  # the difference of two even draws is triangular
    steps += side * np.float32(_FULL_SCALE)
    np.rint(steps, out=steps)
    np.clip(steps, -_FULL_SCALE, _FULL_SCALE, out=steps)
    pcm = steps.astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE_HZ)
        writer.writeframes(pcm.tobytes())
    return file.getvalue()
