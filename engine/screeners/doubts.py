"""What a word is of which an ear heard too little: left out, run together with a neighbour, or said unclearly.

Knows numbers that several hearings of one clip give about a word, and a multinomial logistic regression over them
that was fitted to edited clips for tuning (`benchmarks/screening_fit.py`). A word squeezed to half its time is heard
in a slowed clip, and what one recogniser misses another may hear; a word that was cut out is in none of them, all are
likelier without it, and its time is missing too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.screeners.doubts_fitted import FITTED
from engine.screeners.hearing import Hearing
from engine.screeners.likelihood import gain

STATES = ("dropped", "merged", "wrong")
# How far times of words scatter around espeak-ng's, in seconds: over the gap itself, and over 1 to 3 words more.
SCATTER_SEC = (0.045, 0.047, 0.06, 0.07)
FAR = 3.0  # times the scatter
FULL_ROOM = 1.0  # of a word's own time: with so much it was not run together, whatever it sounded like
BENEFIT = 1.0  # nats for "wrong", which flags nothing: clean clips are far more common than in what was fitted
HURRIED = 0.8  # of its usual time: a word that takes less is hurried
SUFFERED = 12.0  # nats of neighbours' phonemes
LIKELIER = 4.0  # nats of likelihood for the word or against it are one unit
SLACK_SEC = 0.05  # added to both before times are compared as a ratio
OWN = 25  # numbers of the first hearing ...
OF_ANOTHER = 8  # ... and of each other one


def settle(hearing: Hearing, others: Sequence[Hearing], word: int) -> str:
    """Whether a word was "dropped", "merged" or said "wrong", by an ear's hearing and those of the same words in the
    clip slowed by `SLOWED`, and where there is one by a second ear.
    """
    fitted = FITTED[len(others)]
    mean, spread, weights = (np.asarray(fitted[name]) for name in ("mean", "spread", "weights"))
    odds = weights @ np.append((features(hearing, others, word) - mean) / spread, 1.0)
    odds[2] += BENEFIT
    state = STATES[int(odds.argmax())]
    return "wrong" if state == "merged" and hearing.room(word) >= FULL_ROOM else state


def features(hearing: Hearing, others: Sequence[Hearing], word: int) -> NDArray[np.float64]:
    """What is known of a word, shape (OWN + OF_ANOTHER for each of the others,)."""
    return np.array([*_times(hearing, word), *_around(hearing, word), *(x for o in others for x in _heard(o, word))])


def _times(hearing: Hearing, word: int) -> list[float]:
    """The time that there is without the word beyond what its neighbours need, over several spans; its own time."""
    own = sum(hearing.usual[word])
    spare = [hearing.room(word) * own, *(hearing.lack(word, reach) for reach in (1, 2, 3))]
    found = [np.log(own + 0.02)]
    for seconds, scatter in zip(spare, SCATTER_SEC, strict=True):
        found += [np.clip(seconds / scatter, 0, FAR), np.clip(-seconds / scatter, 0, FAR)]
    return [float(each) for each in found]


def _around(hearing: Hearing, word: int) -> list[float]:
    """What was heard of the word, and whether its neighbours are hurried or have suffered where they touch it."""
    beside = _beside(hearing, word)
    there = [each for each in beside if hearing.is_there(each)]
    hurried = max((HURRIED - hearing.hurry(each) for each in there), default=0.0)
    touching = sum(hearing.best(each)[-1 if each < word else 0] for each in beside)
    length = np.log(len(hearing.words[word]))
    return [
        *_heard(hearing, word),
        *(-touching, max(0.0, hurried), float(len(there)), float(length)),
        *(x for each in (word - 1, word + 1) for x in _pace(hearing, each)),
    ]


def _pace(hearing: Hearing, word: int) -> list[float]:
    """By how much a word beside is slower than usual, in scatters and as a log ratio; 0 for one that is not there."""
    if not (0 <= word < len(hearing.words) and hearing.is_there(word)):
        return [0.0, 0.0]
    took, usual = hearing.took(word)
    return [
        float(np.clip((took - usual) / SCATTER_SEC[0], -FAR, FAR)),
        float(np.log((took + SLACK_SEC) / (usual + SLACK_SEC))),
    ]


def _heard(hearing: Hearing, word: int) -> list[float]:
    best = hearing.best(word)
    beside = _beside(hearing, word)
    suffered = -sum(each for other in beside for each in hearing.best(other))
    likelier = gain(hearing, word) / LIKELIER
    return [
        float(word in hearing.visits),
        float(np.mean(best)),
        max(best),
        sum(hearing.heard[word]) / len(best),
        min(SUFFERED, suffered),
        float(sum(hearing.missing(other) for other in beside)),
        max(0.0, likelier),
        max(0.0, -likelier),
    ]


def _beside(hearing: Hearing, word: int) -> list[int]:
    return [each for each in (word - 1, word + 1) if 0 <= each < len(hearing.words)]
