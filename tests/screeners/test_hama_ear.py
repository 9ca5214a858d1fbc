"""The ear for real speech: what it can be held to without recordings of people, on espeak-ng's speech."""

from __future__ import annotations

import numpy as np
import pytest

from engine import screeners
from engine.screeners import hama_ear
from engine.screeners.english_sounds import ESPEAK, SOUNDS, compared_as
from engine.screeners.heard import Heard, compare
from tests.screeners.test_finch_ear import TEXTS, spoken


@pytest.fixture(scope="module", name="ear")
def _ear() -> hama_ear.HamaEar:
    found = hama_ear.load()
    if found is None:
        pytest.skip("hama has no library for this machine")
    return found


def test_every_phoneme_of_the_built_in_ear_has_sounds_and_letters() -> None:
    """No phoneme of a text is lost on the way to this ear."""
    built_in = screeners.ears("finch")[0]
    assert set(built_in._segments) <= set(ESPEAK)  # type: ignore[attr-defined]
    assert {sound for sounds in ESPEAK.values() for sound in sounds} == set(SOUNDS)
    assert all(compared_as(letters[0]) for letters in SOUNDS.values())


def test_what_it_hears_is_the_text_and_not_another(ear: hama_ear.HamaEar) -> None:
    """Of synthetic speech too it hears most sounds as they are meant, and a text that was not said is none of it."""
    samples, rate, _ = spoken(TEXTS[0])
    heard = ear.recognise(samples, rate)
    assert compare(ear.expected(TEXTS[0]), heard).percent < 40 < compare(ear.expected(TEXTS[1]), heard).percent


def test_a_long_clip_is_heard_in_windows_and_none_of_it_is_lost(ear: hama_ear.HamaEar) -> None:
    """A step of posteriors for every 20 ms of a clip of any length, the same words at its end as at its beginning."""
    samples, rate, _ = spoken(TEXTS[1])
    long = np.tile(samples, 12)
    posteriors = ear.log_posteriors(long, rate)
    assert abs(len(posteriors) - 50 * len(long) / rate) <= 1
    one = len(ear.recognise(samples, rate))
    assert abs(len(ear.recognise(long, rate)) / (12 * one) - 1) < 0.05


def test_the_first_ear_that_follows_a_voice_judges_it(ear: hama_ear.HamaEar) -> None:
    """An ear that is deaf to a voice hands it on; where all are, nobody judges."""
    samples, rate, _ = spoken(TEXTS[2])
    hiss = np.random.default_rng(0).normal(0, 0.05, 48_000).astype(np.float32)
    built_in = screeners.ears("unknown")[-1]
    heard = Heard(samples=samples, sample_rate=rate, text=TEXTS[2], ears=(ear, built_in))
    assert heard.follows
    assert not Heard(samples=hiss, sample_rate=16_000, text=TEXTS[2], ears=(ear, built_in)).follows
