"""Words of which too little was heard are told apart by all hearings of the clip."""

from __future__ import annotations

import numpy as np
import pytest

from engine.screeners import doubts
from engine.screeners.doubts_fitted import FITTED
from engine.screeners.hearing import Hearing

WORDS = [[1, 2], [3, 4], [5, 6]]
USUAL = [[0.1, 0.1]] * 3


def hearing(*spoken: int, steps: int = 5) -> Hearing:
    """These phonemes, one every `steps` frames, and nothing else, as CTC log posteriors of 7 classes."""
    log_posteriors = np.full((steps * (len(spoken) + 1), 7), np.log(1e-6), np.float32)
    log_posteriors[:, 0] = np.log(0.99)
    for place, phoneme in enumerate(spoken):
        log_posteriors[steps * (place + 1), [0, phoneme]] = np.log(1e-6), np.log(0.99)
    return Hearing(log_posteriors, WORDS, USUAL)


@pytest.mark.parametrize("others", sorted(FITTED))
def test_a_word_that_no_hearing_has_is_dropped(others: int) -> None:
    """The regression takes as many numbers as are known, and a word without sound and time was left out."""
    cut = hearing(1, 2, 5, 6)
    assert len(doubts.features(cut, [cut] * others, 1)) == len(FITTED[others]["mean"])
    assert doubts.settle(cut, [cut] * others, 1) == "dropped"


def test_a_word_that_the_slowed_clip_has_is_not_dropped() -> None:
    """What only one hearing misses was said, with its neighbour upon it."""
    blurred, slowed = hearing(1, 2, 3, 5, 6), hearing(1, 2, 3, 4, 5, 6)
    assert doubts.settle(blurred, [slowed, slowed, slowed], 1) != "dropped"
