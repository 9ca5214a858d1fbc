"""The odds of a text with a word against without it."""

from __future__ import annotations

import numpy as np
import pytest

from engine.screeners.hearing import Hearing
from engine.screeners.likelihood import MOST_NATS, gain

WORDS = [[1, 2], [3, 4], [5, 6]]


def hearing(*spoken: int, steps: int = 4) -> Hearing:
    """These phonemes, one every `steps` frames, as CTC log posteriors of 7 classes."""
    log_posteriors = np.full((steps * (len(spoken) + 1), 7), np.log(1e-6), np.float32)
    log_posteriors[:, 0] = np.log(0.99)
    for place, phoneme in enumerate(spoken):
        log_posteriors[steps * (place + 1), [0, phoneme]] = np.log(1e-6), np.log(0.99)
    return Hearing(log_posteriors, WORDS)


@pytest.mark.parametrize("word", range(3))
def test_a_text_is_likelier_with_the_words_that_were_said_and_without_those_that_were_not(word: int) -> None:
    """The sign of the ratio says whether a word is there, also of the first and the last one."""
    said = [phoneme for phonemes in WORDS for phoneme in phonemes]
    left_out = [phoneme for place, phonemes in enumerate(WORDS) if place != word for phoneme in phonemes]
    assert gain(hearing(*said), word) > 5
    assert gain(hearing(*left_out), word) < -5


def test_a_text_with_more_phonemes_than_the_clip_has_frames_is_bounded() -> None:
    """No clip gives an infinite ratio, not even one that is too short for its text."""
    assert gain(hearing(steps=5), 1) == -MOST_NATS
