"""Measures of the beginning, the end, the pitch, the level, the speaker and long clips: planted faults are flagged."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.screeners import SCREENERS, acoustics
from engine.screeners.speaker import likeness
from engine.screeners.trend import rate_trend
from engine.types import WordScore
from tests.screeners.voices import RATE, FakeEar, buzz, heard, quiet


def syllables(seconds: float, f0_hz: float = 120.0, *, glide: float = 0.0, tilt: float = 1.0) -> NDArray[np.float32]:
    """Buzzes of 0.2 s with short gaps; each `glide` semitones from the one before, up and down in turns."""
    pieces = []
    for n in range(round(seconds / 0.25)):
        pitch = f0_hz * 2 ** (glide * ((n % 4) - 1.5) / 12)
        pieces += [buzz(0.2, pitch, tilt=tilt), quiet(0.05)]
    return np.concatenate(pieces)


def said(text: str, start: float, end: float, state: str = "ok") -> WordScore:
    return WordScore(text=text, state=state, start_sec=start, end_sec=end, log_posterior=0.0)


def test_a_burst_at_the_start_is_flagged_and_a_plain_one_is_not() -> None:
    """Noise laid over the first tenths of a second lies far from the rest; the base's own beginning is the measure."""
    plain = syllables(4.0)
    burst = plain.copy()
    burst[: RATE // 5] += np.random.default_rng(0).normal(0, 0.3, RATE // 5).astype(np.float32)
    assert SCREENERS["onset"](heard(plain)).passed is True
    answer = SCREENERS["onset"](heard(burst, base=heard(plain).profile))
    assert answer.passed is False
    assert answer.value > 2 * SCREENERS["onset"](heard(plain)).value
    usual = replace(heard(plain).profile, onset=answer.value)
    assert SCREENERS["onset"](heard(burst, base=usual)).passed is True
    assert math.isnan(SCREENERS["onset"](heard(buzz(0.5))).value)


def test_speech_after_the_last_word_is_counted_in_seconds() -> None:
    """Words that were added before the end are not talking on."""
    words = (said("good", 0.1, 0.4), said("x", 0.5, 0.6, "inserted"), said("day", 0.7, 0.9))
    ear = FakeEar(heard=tuple("goodday"), words=words)
    assert SCREENERS["after_text"](heard(syllables(2.0), ears=(ear,))).value == 0
    on = replace(words[1], start_sec=1.0, end_sec=1.8)
    answer = SCREENERS["after_text"](heard(syllables(2.0), ears=(FakeEar(heard=tuple("goodday"), words=(*words, on)),)))
    assert answer.value == pytest.approx(0.8)
    assert answer.passed is False


def test_noise_in_the_pauses_is_heard_and_none_without_pauses() -> None:
    """Hiss at a tenth of the speech's level is flagged; an unbroken tone has no pause to listen in."""
    clean = np.concatenate([syllables(2.0), quiet(0.5)])
    hiss = clean + np.random.default_rng(1).normal(0, 0.01, len(clean)).astype(np.float32)
    assert SCREENERS["noise"](heard(clean)).passed is True
    answer = SCREENERS["noise"](heard(hiss))
    assert answer.passed is False
    assert answer.value == pytest.approx(20, abs=4)
    assert SCREENERS["noise"](heard(buzz(2.0))).passed is None


def test_loudness_is_in_lufs() -> None:
    """Ten times less amplitude is 20 LU less, and far too quiet is flagged."""
    loud, soft = (SCREENERS["loudness"](heard(syllables(2.0) * gain)) for gain in (1.0, 0.1))
    assert loud.value - soft.value == pytest.approx(20, abs=0.1)
    assert (loud.passed, soft.passed) == (True, False)


def test_a_monotone_voice_has_a_narrow_range() -> None:
    """One pitch throughout is flagged, melody is not, and a base that is as narrow makes it usual."""
    flat, lively = heard(syllables(4.0)), heard(syllables(4.0, glide=2.0))
    assert SCREENERS["pitch_range"](flat).passed is False
    assert SCREENERS["pitch_range"](lively).passed is True
    assert SCREENERS["pitch_range"](lively).value > 3
    assert SCREENERS["pitch_range"](heard(syllables(4.0), base=flat.profile)).passed is True


def test_the_share_of_silence_counts_from_the_first_to_the_last_sound() -> None:
    """Silence before and after is another measure's business."""
    clip = np.concatenate([quiet(1.0), buzz(1.0), quiet(1.0), buzz(1.0), quiet(1.0)])
    assert SCREENERS["silence_share"](heard(clip)).value == pytest.approx(100 / 3, abs=2)


def test_a_voice_is_like_itself_and_unlike_another() -> None:
    """Likeness is high for the same throat and pitch, low for another, and unknown without speech."""
    low, high = (acoustics.speaker(syllables(4.0, f0, tilt=tilt), RATE) for f0, tilt in ((110, 1.0), (210, 1.8)))
    assert likeness(low, acoustics.speaker(syllables(3.0, 112), RATE)) > 80
    assert likeness(low, high) < 20
    assert math.isnan(likeness(low, acoustics.speaker(quiet(2.0), RATE)))
    answer = SCREENERS["speaker"](heard(syllables(4.0, 110), target=heard(syllables(4.0, 210, tilt=1.8)).profile))
    assert answer.value < 20
    assert "target" in answer.explanation


def test_a_long_clip_that_hurries_or_becomes_another_voice_is_flagged() -> None:
    """The last third is held against the first; a short clip is not judged."""
    clip = syllables(18.0)
    even = tuple(said("word", n, n + 0.5) for n in range(18))
    hurried = tuple(said("word", n, n + (0.5 if n < 9 else 0.3)) for n in range(18))
    text = " ".join(["word"] * 18)
    units = tuple(c for c in text if c.isalpha())
    judge = SCREENERS["long_form"]
    assert judge(heard(clip, text, ears=(FakeEar(heard=units, words=even),))).passed is True
    answer = judge(heard(clip, text, ears=(FakeEar(heard=units, words=hurried),)))
    assert answer.passed is False
    assert "faster" in answer.explanation
    other = np.concatenate([syllables(9.0, 110), syllables(9.0, 210, tilt=1.8)])
    assert "the voice changes" in judge(heard(other, text, ears=(FakeEar(heard=units, words=even),))).explanation
    assert judge(heard(syllables(5.0), text)).passed is None


def test_a_rate_that_drifts_over_epochs_is_flagged_and_scatter_is_not() -> None:
    """The interval of the slope excludes nothing for noise, zero for a steady drift; few epochs are not judged."""
    draw = np.random.default_rng(0)
    scatter = [(float(e), 14 + float(draw.normal(0, 0.5))) for e in range(1, 9) for _ in range(3)]
    drift = [(epoch, rate * (1 + 0.03 * epoch)) for epoch, rate in scatter]
    assert rate_trend(scatter).passed is True
    found = rate_trend(drift)
    assert found.passed is False
    assert found.low < 2.7 < found.high
    assert "faster" in found.explanation
    assert rate_trend(drift[:6]).passed is None
    assert rate_trend([(e, math.nan) for e, _ in drift]).passed is None
