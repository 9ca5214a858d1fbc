"""Clipping, noise and silence are measured as they are, and judged at stated limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audit import levels
from tests.audit import speech
from tests.audit.speech import RATE, Spoken, audited, found, rows

TIME = np.arange(2 * RATE) / RATE
TONE = (0.5 * np.sin(2 * np.pi * 150 * TIME)).astype(np.float32)


def column(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    return samples[:, None]


@pytest.mark.parametrize("gain", [3.0, 10.0])
def test_cut_off_tops_are_counted(gain: float) -> None:
    """The share of samples at full scale in runs, whatever their sign."""
    clipped = np.clip(gain * TONE, -1.0, 1.0)
    share = levels.clipped_share(column(clipped))
    assert share == pytest.approx(float((np.abs(clipped) >= 1.0).mean()), abs=0.02)


def test_clipping_that_was_turned_down_is_still_clipping() -> None:
    """A flat top below full scale crackles as much as one at it."""
    assert levels.clipped_share(column(0.6 * np.clip(4 * TONE, -1.0, 1.0))) > 0.3


def test_peaks_are_not_clipping() -> None:
    """Single samples at full scale, a loud tone and a faint one of a few steps are whole."""
    peaks = TONE.copy()
    peaks[::1000] = 1.0
    faint = np.round(TONE * 8) / 32768
    for samples in (TONE, peaks, faint.astype(np.float32), np.zeros(0, np.float32), np.zeros(9, np.float32)):
        assert levels.clipped_share(column(samples)) == 0.0


def test_one_clipped_channel_is_enough() -> None:
    """The average of a clipped and a quiet channel shows no flat top."""
    both = np.stack([0.1 * TONE, np.clip(9 * TONE, -1, 1)], axis=1)
    assert levels.clipped_share(both) > 0.5


@pytest.mark.parametrize("snr", [0.0, 5.0, 10.0, 20.0, 40.0])
def test_noise_is_measured_between_the_words(snr: float) -> None:
    """Speech for a second, room before and after: the ratio comes out as it was mixed."""
    noise = np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32)
    voice = np.zeros(3 * RATE, np.float32)
    voice[RATE : 2 * RATE] = TONE[:RATE]
    noise *= np.float32(np.sqrt(np.square(TONE).mean() / 10 ** (snr / 10)))
    floor, ratio = levels.noise(voice + noise, RATE, ((1.0, 2.0),))
    assert ratio == pytest.approx(snr, abs=0.7)
    assert floor == pytest.approx(10 * math.log10(float(np.square(noise).mean())), abs=0.7)


def test_digital_silence_says_nothing_of_the_room() -> None:
    """Padding with zeros does not make a noisy clip a clean one."""
    noise = 0.05 * np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32)
    noise[RATE : 2 * RATE] += TONE[:RATE]
    padded = np.concatenate([np.zeros(5 * RATE, np.float32), noise])
    _, plain = levels.noise(noise, RATE, ((1.0, 2.0),))
    _, with_padding = levels.noise(padded, RATE, ((6.0, 7.0),))
    assert with_padding == pytest.approx(plain, abs=0.5)


def test_where_nobody_speaks_nothing_is_known() -> None:
    """No speech, no samples, only zeros: no number rather than a wrong one."""
    for samples, stretches in ((TONE, ()), (TONE[:0], ()), (0 * TONE, ((0.0, 1.0),))):
        assert all(math.isnan(x) for x in levels.noise(samples, RATE, stretches))


def test_silence_is_what_lies_around_speech() -> None:
    """Before the first word, after the last, and the longest pause between."""
    assert levels.quiet(10.0, ((1.0, 3.0), (3.2, 4.0), (6.0, 7.0))) == pytest.approx((1.0, 3.0, 2.0))
    assert levels.quiet(10.0, ()) == (10.0, 10.0, 0.0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda x: np.concatenate([np.zeros(3 * RATE), x]), {"silence": "warning"}),
        (lambda x: np.concatenate([x, np.zeros(3 * RATE)]), {"silence": "warning"}),
        (lambda x: np.concatenate([x, np.zeros(RATE)]), {}),
        (lambda x: 20 * x, {"clipping": "warning"}),
        (lambda x: 0.2 * x, {}),
        (lambda x: x + 0.1 * np.random.default_rng(0).standard_normal(len(x)), {"noise": "warning"}),
        (lambda x: x + 0.001 * np.random.default_rng(0).standard_normal(len(x)), {}),
        (lambda x: 0 * x, {"no_speech": "error"}),
    ],
)
def test_spoiled_speech_is_named(
    spoken: list[Spoken], tmp_path: object, change: object, expected: dict[str, str]
) -> None:
    """One row of real speech is changed: its fault is named, and nothing else of it."""
    from pathlib import Path

    assert isinstance(tmp_path, Path)
    assert callable(change)
    spoiled = rows(spoken[:6])
    spoiled[2]["samples"] = np.clip(change(spoiled[2]["samples"]), -1, 1).astype(np.float32)
    report = audited(speech.write(tmp_path, spoiled))
    assert found(report, spoiled[2]["id"]) == expected
    assert all(not found(report, row["id"]) for row in spoiled if row is not spoiled[2])
