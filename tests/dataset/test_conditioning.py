"""What is done to samples: nothing folds back, nothing clips, speech is not cut into, and all of it is told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine import audio
from engine.dataset import conditioning
from engine.dataset.conditioning import Wishes, condition


def tone(hz: float, rate: int, seconds: float = 1.0, level: float = 0.5) -> NDArray[np.float32]:
    return (level * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def decibels(samples: NDArray[np.float32]) -> float:
    """Power of the middle, relative to a sine of full scale."""
    middle = samples[len(samples) // 4 : -len(samples) // 4].astype(np.float64)
    return float(10 * np.log10(2 * (middle**2).mean() + 1e-30))


@pytest.mark.parametrize(("from_hz", "to_hz"), [(48_000, 16_000), (44_100, 24_000), (22_050, 16_000)])
def test_resampling_folds_nothing_back_and_keeps_the_band(from_hz: int, to_hz: int) -> None:
    """Tones above the new band are gone (below -120 dB); those up to nine tenths of it keep their level."""
    nyquist = min(from_hz, to_hz) / 2
    for hz in np.linspace(1.02 * nyquist, 0.98 * from_hz / 2, 7):
        assert decibels(conditioning.resample(tone(hz, from_hz), from_hz, to_hz)) < -120
    for hz in np.linspace(50, 0.9 * nyquist, 7):
        assert decibels(conditioning.resample(tone(hz, from_hz), from_hz, to_hz)) == pytest.approx(-6.02, abs=0.05)


@given(count=st.integers(1, 3000), to_hz=st.sampled_from([8000, 16_000, 24_000, 44_100]))
@hypothesis_settings(max_examples=20)
def test_resampling_keeps_the_length(count: int, to_hz: int) -> None:
    """Any number of samples becomes as many as last as long, to within one."""
    made = conditioning.resample(np.ones(count, np.float32), 22_050, to_hz)
    assert len(made) == -(-count * to_hz // 22_050)


def test_nothing_wished_is_nothing_done() -> None:
    """Mono samples at the rate come back as they are, and the log has no line."""
    samples = tone(200, 16_000)
    made, done = condition(samples, 16_000, 1, Wishes(sample_rate=16_000))
    assert np.array_equal(made, samples)
    assert done == ()


def test_what_is_done_is_told_in_its_order() -> None:
    """Channels, rate, level and silence each have a line with before and after."""
    wishes = Wishes(sample_rate=16_000, append_silence_sec=0.5, loudness_lufs=-23.0)
    made, done = condition(tone(200, 22_050, 2.0), 22_050, 2, wishes)
    assert [d.what for d in done] == ["mono", "resample", "loudness", "append_silence"]
    assert (done[1].before, done[1].after) == (22_050, 16_000)
    assert audio.loudness_lufs(made[:32_000], 16_000) == pytest.approx(-23.0, abs=0.1)
    assert len(made) == 40_000
    assert not made[-8000:].any()


@given(level=st.floats(0.001, 1.0), spike=st.floats(0.0, 1.0), wanted=st.floats(-40, -9))
@hypothesis_settings(max_examples=25)
def test_levelling_never_clips(level: float, spike: float, wanted: float) -> None:
    """Whatever is asked, no sample is raised above -1 dBFS, and a level that was not reached is told."""
    samples = tone(300, 16_000, 0.6, level)
    samples[4000] = spike
    made, done = condition(samples, 16_000, 1, Wishes(sample_rate=16_000, loudness_lufs=wanted))
    limit = max(10 ** (conditioning.PEAK_DBFS / 20), float(np.abs(samples).max()))
    assert np.abs(made).max() <= limit * 1.0001
    reached = abs(audio.loudness_lufs(made, 16_000) - wanted) < 0.2
    assert reached or any(d.shortfall for d in done)


def test_silence_is_not_levelled() -> None:
    """A clip of nothing stays nothing, and the log says why."""
    made, done = condition(np.zeros(16_000, np.float32), 16_000, 1, Wishes(sample_rate=16_000, loudness_lufs=-23.0))
    assert not made.any()
    assert "nothing loud enough" in done[0].shortfall


def test_silence_is_appended_as_far_as_the_limit_allows() -> None:
    """A clip that upstream would drop for the silence gets less of it, and the log says so."""
    wishes = Wishes(sample_rate=16_000, append_silence_sec=1.0, max_sec=2.25)
    made, [told] = condition(tone(200, 16_000, 2.0), 16_000, 1, wishes)
    assert len(made) / 16_000 == 2.25
    assert "2.25 s that are allowed" in told.shortfall


def test_trimming_leaves_a_margin_and_never_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is cut to a tenth of a second around speech, with edges that do not click; no speech, no cut."""
    monkeypatch.setattr(conditioning.voice_activity, "speech", lambda samples: ((1.0, 1.5), (2.0, 3.0)))
    samples = np.ones(5 * 16_000, np.float32)
    made, [told] = condition(samples, 16_000, 1, Wishes(sample_rate=16_000, trim=True))
    assert (told.what, told.before, told.after) == ("trim", 5.0, pytest.approx(2.2))
    assert (made[0], made[-1], made[len(made) // 2]) == (0.0, 0.0, 1.0)
    assert made[1600 - 1] == 1.0
    monkeypatch.setattr(conditioning.voice_activity, "speech", lambda samples: ())
    made, done = condition(samples, 16_000, 1, Wishes(sample_rate=16_000, trim=True))
    assert (len(made), done) == (len(samples), ())
