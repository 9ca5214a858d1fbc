"""The built-in recogniser: Finch's CTC phoneme listener behind the `Ear` protocol.

Knows Finch's phonemes and its listener. It was trained on synthetic speech alone: on a voice that it cannot follow
its phoneme error rate says so, and the word screener then does not judge.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.screeners.hearing import Hearing
from engine.screeners.phoneme_ear import PhonemeEar

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from engine.backends.finch.ear import Listener


SAMPLE_RATE = 16000
SLOWED = (21 / 16, 26 / 16)  # by playing the samples slower: what was squeezed together comes apart


class FinchEar(PhonemeEar):
    """Hears English phonemes as Finch and espeak-ng's voices say them."""

    name = "the built-in ear"
    version = 2
    telling = 5
    strange = 0.35

    def __init__(self, listener: Listener) -> None:
        self.at_home = True
        self._listener = listener
        self._segments = listener.ear.config.segments
        self._ids = {segment: index + 1 for index, segment in enumerate(self._segments)}

    def recognise(self, samples: NDArray[np.float32], sample_rate: int) -> tuple[str, ...]:
        """The phoneme segments heard, by greedy CTC decoding."""
        return tuple(self._listener.transcribe(self._waveform(samples, sample_rate)))

    def expected(self, text: str) -> tuple[str, ...]:
        """The phoneme segments of `text` as espeak-ng reads it."""
        from engine.backends.finch.ear import fold_all

        return tuple(fold_all(self.pronounced(text).symbols))

    def log_posteriors(self, samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        """CTC log posteriors (steps of 20 ms, classes), class 0 the blank."""
        posteriors: NDArray[np.float32] = self._listener.log_posteriors(self._waveform(samples, sample_rate)).numpy()
        return posteriors

    def again(self, samples: NDArray[np.float32], sample_rate: int, text: str) -> list[Hearing]:
        """The clip slowed twice, and as the second ear hears it, where that one hears as many words in the text."""
        from engine import audio

        at_16k = samples if sample_rate == SAMPLE_RATE else audio.resample(samples, sample_rate, SAMPLE_RATE)
        longer = (audio.resample(at_16k, SAMPLE_RATE, round(SAMPLE_RATE * times)) for times in SLOWED)
        slowed = [self.hearing(each, SAMPLE_RATE, text) for each in longer]
        other = self.second.hearing(samples, sample_rate, text) if self.second else None
        same = other is not None and len(other.words) == len(slowed[0].words)
        return [*slowed, other] if other is not None and same else slowed

    def heard_as(self, symbol: str) -> tuple[int, ...]:
        """The class of a phoneme of espeak-ng."""
        from engine.backends.finch.ear import fold

        plain = fold(symbol)
        return (self._ids[plain],) if plain in self._ids else ()

    def spelled(self, classes: tuple[int, ...]) -> str:
        """Classes as espeak-ng's mnemonics."""
        return " ".join(self._segments[index - 1] for index in classes)

    def _waveform(self, samples: NDArray[np.float32], sample_rate: int) -> torch.Tensor:
        import torch

        from engine.backends.finch import acoustics as finch_acoustics

        return finch_acoustics.resample(torch.from_numpy(np.ascontiguousarray(samples, np.float32)), sample_rate)


def load(folder: Path | None = None) -> FinchEar | None:
    """The built-in ear of `folder` (default: the shipped weights); None when none is installed there."""
    from engine.backends.finch import info

    folder = folder or info.ASSETS
    if not (folder / info.CONFIG_FILE).exists():
        return None
    from engine.backends.finch import weights

    return FinchEar(weights.load_ear(folder))
