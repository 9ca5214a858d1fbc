"""Sounds to set up a listening place by: a level to set the volume to, and a check that headphones are worn.

Knows samples alone; which interval of a check is the right one stays on the server. The check is that of Woods et al.
2017, "Headphone screening to facilitate web-based auditory experiments": of three tones one is quieter, and one is in
antiphase between the ears. Over loudspeakers that one cancels in the air and seems the quietest.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from engine import audio
from engine.sittings.stimuli import SAMPLE_RATE_HZ, TARGET_LUFS
from engine.types import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHECK_TRIALS = 6
CHECK_INTERVALS = 3
PASS_AT = 5  # of six: Woods et al. 2017
TONE_HZ = 200.0
TONE_SEC = 1.0
TONE_RAMP_SEC = 0.1
TONE_AMPLITUDE = 0.2
QUIETER_DB = -6.0

LEVEL_SEC = 6.0
# Long-term average spectrum of speech, men and women together, in dB by third octave from 63 Hz on: Byrne et al. 1994,
# "An international comparison of long-term average speech spectra", table II.
SPEECH_SPECTRUM_DB = (
    *(38.6, 43.5, 54.4, 57.7, 56.8, 60.2, 60.3, 59.0, 62.1, 62.1, 60.5, 56.8, 53.7),
    *(53.0, 52.0, 48.7, 48.1, 46.8, 45.6, 44.5, 44.3, 43.7, 43.4),
)
SYLLABLES_HZ = 4.0  # speech rises and falls about four times a second


_PLAIN, _QUIET, _ANTIPHASE = range(CHECK_INTERVALS)


def headphone_check(seed: int) -> tuple[tuple[bytes, ...], ...]:
    """Six trials of three stereo WAV files each, in orders that follow from the seed."""
    tones = _tones()
    return tuple(tuple(tones[tone] for tone in order) for order in _orders(seed))


def _orders(seed: int) -> list[tuple[int, ...]]:
    """Which tone is where in each trial: each interval is the quieter one in two trials of six."""
    random = Random(f"{seed} headphones")
    places = [place for place in range(CHECK_INTERVALS) for _ in range(CHECK_TRIALS // CHECK_INTERVALS)]
    random.shuffle(places)
    orders = []
    for place in places:
        others = random.sample([_PLAIN, _ANTIPHASE], 2)
        orders.append((*others[:place], _QUIET, *others[place:]))
    return orders


def marked(seed: int, answers: Sequence[int]) -> tuple[int, bool]:
    """How many of the answers to the seed's check are right, and whether that passes. Raises BadInput unless six."""
    right = _orders(seed)
    if len(answers) != CHECK_TRIALS:
        raise BadInput(f"The check has {CHECK_TRIALS} trials, not {len(answers)}; reload the page.")
    correct = sum(given == order.index(_QUIET) for given, order in zip(answers, right, strict=True))
    return correct, correct >= PASS_AT


def level_clip() -> bytes:
    """A WAV file (16 bit, mono, 24 kHz) of noise with the spectrum and the rhythm of speech, as loud as every clip of a
    trial. It says nothing about any of them.
    """
    import numpy as np

    random = np.random.default_rng(1994)
    n = round(LEVEL_SEC * SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(random.standard_normal(n))
    hz = np.fft.rfftfreq(n, 1.0 / SAMPLE_RATE_HZ)
    centres = 1000.0 * 2.0 ** (np.arange(-12, len(SPEECH_SPECTRUM_DB) - 12) / 3.0)
    # A third octave's level is spread over its width, which grows with its frequency.
    density_db = np.asarray(SPEECH_SPECTRUM_DB) - 10.0 * np.log10(centres)
    shape_db = np.interp(np.log2(np.maximum(hz, 1.0)), np.log2(centres), density_db)
    shape = np.where((hz >= centres[0] / 1.12) & (hz <= centres[-1] * 1.12), 10.0 ** (shape_db / 20.0), 0.0)
    noise = np.fft.irfft(spectrum * shape, n)
    rhythm = 0.55 + 0.45 * np.sin(2.0 * np.pi * SYLLABLES_HZ * np.arange(n) / SAMPLE_RATE_HZ)
    sound = (noise * rhythm / np.abs(noise).max()).astype(np.float32)
    gain = 10.0 ** ((TARGET_LUFS - audio.loudness_lufs(sound, SAMPLE_RATE_HZ)) / 20.0)
    return _wav((sound * gain * _ramps(n, 0.05))[:, None])


def _tones() -> list[bytes]:
    """The plain tone, the quieter one and the one in antiphase, in both ears."""
    import numpy as np

    n = round(TONE_SEC * SAMPLE_RATE_HZ)
    tone = TONE_AMPLITUDE * np.sin(2.0 * np.pi * TONE_HZ * np.arange(n) / SAMPLE_RATE_HZ) * _ramps(n, TONE_RAMP_SEC)
    quiet = tone * 10.0 ** (QUIETER_DB / 20.0)
    return [_wav(np.stack(ears, axis=1)) for ears in ((tone, tone), (quiet, quiet), (tone, -tone))]


def _ramps(n: int, seconds: float) -> NDArray[np.float64]:
    import numpy as np

    ramp = np.sin(np.linspace(0.0, np.pi / 2, round(seconds * SAMPLE_RATE_HZ))) ** 2
    shape = np.ones(n)
    shape[: len(ramp)] = ramp
    shape[n - len(ramp) :] = ramp[::-1]
    return shape


def _wav(frames: NDArray[np.float64]) -> bytes:
    """16-bit WAV of frames in -1..1, shape (n, channels)."""
    import numpy as np

    pcm = np.clip(np.rint(frames * 32_767), -32_767, 32_767).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(frames.shape[1])
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE_HZ)
        writer.writeframes(pcm.tobytes())
    return file.getvalue()
