"""What reviewers set their listening place up by: a level, and a check that headphones are worn."""

from __future__ import annotations

import io
import wave
from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from engine import audio
from engine.sittings import calibration, stimuli
from engine.types import BadInput


def decode(data: bytes) -> NDArray[np.float64]:
    """Frames in -1..1, shape (n, channels)."""
    with wave.open(io.BytesIO(data)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return pcm.reshape(-1, file.getnchannels()) / 32_767


def kind_of(data: bytes) -> str:
    left, right = decode(data).T
    if np.abs(left + right).max() < 1e-6:
        return "antiphase"
    return "quiet" if np.abs(left).max() < 0.15 else "plain"


@pytest.mark.parametrize("seed", [0, 1, 2, 12345])
def test_every_trial_has_one_tone_of_each_kind_and_equal_files(seed: int) -> None:
    """A plain tone, one 6 dB quieter, one in antiphase; the files cannot be told apart by their size."""
    check = calibration.headphone_check(seed)
    assert len(check) == 6
    for trial in check:
        assert sorted(kind_of(tone) for tone in trial) == ["antiphase", "plain", "quiet"]
    assert len({len(tone) for trial in check for tone in trial}) == 1
    places = Counter([kind_of(tone) for tone in trial].index("quiet") for trial in check)
    assert places == {0: 2, 1: 2, 2: 2}


def test_the_quieter_tone_is_six_decibels_down() -> None:
    """Woods et al. 2017: 6 dB is heard over headphones, and over loudspeakers the antiphase tone is quieter still."""
    peaks = {kind_of(tone): np.abs(decode(tone)).max() for tone in calibration.headphone_check(1)[0]}
    assert 20 * np.log10(peaks["quiet"] / peaks["plain"]) == pytest.approx(-6.0, abs=0.05)
    assert peaks["antiphase"] == pytest.approx(peaks["plain"], rel=1e-4)


@pytest.mark.parametrize(("right", "passed"), [(6, True), (5, True), (4, False), (0, False)])
def test_five_of_six_pass(right: int, passed: bool) -> None:
    """Whoever names the quieter tone five times of six wears headphones."""
    answers = [[kind_of(tone) for tone in trial].index("quiet") for trial in calibration.headphone_check(7)]
    wrong = [(place + 1) % 3 for place in answers]
    given = answers[:right] + wrong[right:]
    assert calibration.marked(7, given) == (right, passed)


def test_whoever_hears_loudspeakers_fails() -> None:
    """Choosing the antiphase tone each time, as loudspeakers make one do, has none right."""
    answers = [[kind_of(tone) for tone in trial].index("antiphase") for trial in calibration.headphone_check(7)]
    assert calibration.marked(7, answers) == (0, False)


def test_a_check_has_six_answers() -> None:
    """Fewer answers are none."""
    with pytest.raises(BadInput, match="6"):
        calibration.marked(7, [0, 1])


def test_the_level_is_that_of_every_clip() -> None:
    """The volume is set by a sound of the trials' loudness, with the spectrum of speech: low, and falling."""
    [sound] = decode(calibration.level_clip()).T
    assert audio.loudness_lufs(sound.astype(np.float32), stimuli.SAMPLE_RATE_HZ) == pytest.approx(
        stimuli.TARGET_LUFS, abs=0.1
    )
    assert np.abs(sound).max() < 10 ** (stimuli.PEAK_CAP_DBTP / 20)
    power = np.abs(np.fft.rfft(sound)) ** 2
    hz = np.fft.rfftfreq(len(sound), 1 / stimuli.SAMPLE_RATE_HZ)
    bands = [power[(hz >= low) & (hz < 2 * low)].sum() for low in (250, 500, 1000, 2000, 4000)]
    assert bands[0] > bands[2] > bands[3]
    assert max(bands[:2]) > 10 * bands[4]
