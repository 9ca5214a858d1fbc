"""hama's phoneme recogniser behind the `Ear` protocol: English speech of people, and of voices that sound like people.

Knows hama's posteriors, how much audio it hears at once, and that its letters are a dictionary's (`english_sounds`).
The weights come within the package; nothing is downloaded. It also writes Korean, and neither Chinese nor anything
else: another language is not claimed.
"""

from __future__ import annotations

from functools import cached_property
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.screeners.english_sounds import ESPEAK, SOUNDS, compared_as
from engine.screeners.phoneme_ear import PhonemeEar

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_RATE = 16000
STEP = 320  # samples
WINDOW_STEPS = 500  # heard at once; the recogniser's time grows with the square, and it stops at 1500
CONTEXT_STEPS = 25  # heard on either side of a window beyond what is kept of it
SEARCHED_STEPS = 150  # at the end of a window, for the quietest place to cut at
BOUNDARY = "<wb>"
FLOOR = 1e-9


class HamaEar(PhonemeEar):
    """Hears English phonemes of real speech."""

    name = "hama"
    version = 1
    telling = 9  # vowels are all alike to it
    strange = 0.2

    def __init__(self, model: Any) -> None:
        self._model = model
        self._letters: list[str] = model.decoder_tokens
        self._sounds = list(SOUNDS)
        self._ids = {sound: index + 1 for index, sound in enumerate(self._sounds)}
        self._last: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def recognise(self, samples: NDArray[np.float32], sample_rate: int) -> tuple[str, ...]:
        """Consonants and vowels heard, by greedy CTC decoding; all vowels are one unit."""
        best = self._probabilities(samples, sample_rate).argmax(axis=1)
        letters = [self._letters[token] for token, _ in groupby(best.tolist())]
        return tuple(unit for letter in letters if (unit := compared_as(letter)))

    def expected(self, text: str) -> tuple[str, ...]:
        """The consonants and vowels of `text` as espeak-ng reads it."""
        symbols = self.pronounced(text).symbols
        sounds = (self._sounds[sound - 1] for symbol in symbols for sound in self.heard_as(symbol))
        return tuple(compared_as(SOUNDS[sound][0]) for sound in sounds)

    def log_posteriors(self, samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        """Log posteriors (steps of 20 ms, 1 + sounds), class 0 the blank. Sounds share letters, so a row's sum may
        exceed 1.
        """
        probabilities = self._probabilities(samples, sample_rate)
        result: NDArray[np.float32] = np.log(np.maximum(probabilities @ self._membership, FLOOR)).astype(np.float32)
        return result

    def heard_as(self, symbol: str) -> tuple[int, ...]:
        """The sounds of a phoneme of espeak-ng."""
        from engine.backends.finch.ear import fold

        plain = fold(symbol)
        return tuple(self._ids[sound] for sound in ESPEAK.get(plain or "", ()))

    def spelled(self, classes: tuple[int, ...]) -> str:
        """Sounds as a letter of each."""
        return " ".join(SOUNDS[self._sounds[index - 1]][0] for index in classes)

    @cached_property
    def _membership(self) -> NDArray[np.float32]:
        """(letters, 1 + sounds): 1 where a letter may stand for a sound. A boundary of words is no sound."""
        table = np.zeros((len(self._letters), 1 + len(self._sounds)), np.float32)
        for index, letter in enumerate(self._letters):
            table[index, 0] = letter == BOUNDARY or index == self._model.blank_id
            for sound, number in self._ids.items():
                table[index, number] = letter in SOUNDS[sound]
        return table

    def _probabilities(self, samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        """Posteriors (steps, letters) of a clip of any length; those of the last clip are kept."""
        if self._last is not None and self._last[0] is samples:
            return self._last[1]
        from engine import audio

        at_16k = samples if sample_rate == SAMPLE_RATE else audio.resample(samples, sample_rate, SAMPLE_RATE)
        steps = len(at_16k) // STEP
        cuts = _cuts(at_16k[: steps * STEP])
        found = [self._window(at_16k, begin, end) for begin, end in pairwise(cuts)]
        result: NDArray[np.float32] = np.concatenate(found) if found else np.zeros((0, len(self._letters)), np.float32)
        self._last = (samples, result)
        return result

    def _window(self, at_16k: NDArray[np.float32], begin: int, end: int) -> NDArray[np.float32]:
        """Posteriors of the steps from `begin` to `end`, with some sound around them heard too."""
        first = max(0, begin - CONTEXT_STEPS)
        heard = at_16k[first * STEP : (end + CONTEXT_STEPS) * STEP]
        log_probabilities = self._model.session.run(
            ["log_probs", "out_lengths"],
            {"waveform": heard[None], "waveform_lengths": np.array([len(heard)], np.int64)},
        )[0][0]
        kept: NDArray[np.float32] = np.exp(log_probabilities[begin - first : end - first])
        return kept


def _cuts(at_16k: NDArray[np.float32]) -> list[int]:
    """Steps at which a clip is cut into windows: the quietest of a window's last ones."""
    loudness = (at_16k.reshape(-1, STEP).astype(np.float64) ** 2).sum(axis=1)
    smooth = np.convolve(loudness, np.ones(5), "same")
    cuts = [0]
    while len(loudness) - cuts[-1] > WINDOW_STEPS:
        last = cuts[-1] + WINDOW_STEPS
        cuts.append(last - SEARCHED_STEPS + int(smooth[last - SEARCHED_STEPS : last].argmin()))
    return [*cuts, len(loudness)] if len(loudness) else [0]


def load() -> HamaEar | None:
    """The recogniser that comes with the package; None where it is not installed or has no library for this machine."""
    try:
        import hama
    except ImportError:
        return None
    try:
        return HamaEar(hama.ASRModel())
    except RuntimeError:  # no engine for this platform
        return None
