"""The built-in ear as a screener's recogniser: Finch's CTC phoneme listener behind the `Ear` protocol.

Knows Finch's phonemes and its listener. It was trained on synthetic speech alone: on a voice that it cannot follow
its phoneme error rate says so, and the word screener then does not judge.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.backends.finch import phonemes
from engine.screeners import acoustics, alignment
from engine.types import BadInput, WordScore

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from engine.backends.finch.ear import Listener


class FinchEar:
    """Hears English phonemes, 50 steps a second."""

    name = "the built-in ear"
    version = 2
    languages: tuple[str, ...] = ("en",)
    telling = 5  # phonemes

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

        return tuple(fold_all(self._pronounced(text).symbols))

    def align(self, samples: NDArray[np.float32], sample_rate: int, text: str) -> tuple[WordScore, ...]:
        """Every word of `text` with its times and state. A word without phonemes of its own shares its neighbour's
        answer.
        """
        from engine.backends.finch.ear import SECONDS_PER_STEP

        pronounced = self._pronounced(text)
        carriers, units, seconds = self._units(pronounced)
        posteriors = self.log_posteriors(samples, sample_rate)
        sounding = acoustics.active(samples, sample_rate)[::2]
        result: list[WordScore] = []
        for found in alignment.align(posteriors, units, seconds=seconds, sounding=sounding):
            texts = (
                [pronounced.words[word].text for word in carriers[found.word]]
                if found.word >= 0
                else [self._spelled(found.heard)]
            )
            nowhere = found.start < 0
            result += [
                WordScore(
                    text=each,
                    state=found.state,
                    start_sec=math.nan if nowhere else found.start * SECONDS_PER_STEP,
                    end_sec=math.nan if nowhere else found.end * SECONDS_PER_STEP,
                    log_posterior=found.log_posterior,
                )
                for each in texts
            ]
        return tuple(result)

    def log_posteriors(self, samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        """CTC log posteriors (steps of 20 ms, classes), class 0 the blank."""
        posteriors: NDArray[np.float32] = self._listener.log_posteriors(self._waveform(samples, sample_rate)).numpy()
        return posteriors

    def classes(self, text: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The words of `text`, each with its phoneme classes; words that share phonemes are told together."""
        pronounced = self._pronounced(text)
        carriers, units, _ = self._units(pronounced)
        texts = (" ".join(pronounced.words[word].text for word in words) for words in carriers)
        return tuple((words, tuple(phonemes)) for words, phonemes in zip(texts, units, strict=True))

    def _units(self, pronounced: phonemes.Pronunciation) -> tuple[list[list[int]], list[list[int]], list[list[float]]]:
        """Groups of words that share phonemes (mostly one word), the phoneme classes of each group, and the seconds
        that espeak-ng takes for each phoneme.
        """
        own, lasting = self._own(pronounced)
        carriers: list[list[int]] = []
        units: list[list[int]] = []
        seconds: list[list[float]] = []
        waiting: list[int] = []
        for word in range(len(pronounced.words)):
            if word in own:
                carriers.append([*waiting, word])
                units.append(own[word])
                seconds.append(lasting[word])
                waiting = []
            elif carriers:
                carriers[-1].append(word)
            else:
                waiting.append(word)
        return carriers, units, seconds

    def _own(self, pronounced: phonemes.Pronunciation) -> tuple[dict[int, list[int]], dict[int, list[float]]]:
        """Each word's phoneme classes and their seconds; an unknown sound lengthens the one before it."""
        from engine.backends.finch.ear import fold

        own: dict[int, list[int]] = {}
        lasting: dict[int, list[float]] = {}
        ends = [*(phoneme.start_s for phoneme in pronounced.phonemes[1:]), pronounced.duration_s]
        for phoneme, end in zip(pronounced.phonemes, ends, strict=True):
            plain = fold(phoneme.symbol)
            if plain is not None and plain in self._ids:
                own.setdefault(phoneme.word, []).append(self._ids[plain])
                lasting.setdefault(phoneme.word, []).append(end - phoneme.start_s)
            elif not phoneme.is_pause and phoneme.word in lasting:
                lasting[phoneme.word][-1] += end - phoneme.start_s
        return own, lasting

    def _spelled(self, heard: tuple[int, ...]) -> str:
        return "/" + " ".join(self._segments[index - 1] for index in heard) + "/"

    def _pronounced(self, text: str) -> phonemes.Pronunciation:
        try:
            return phonemes.pronounce(text)
        except phonemes.UnpronounceableText as error:
            raise BadInput(f"The ear cannot read the text: {error}.") from error

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
