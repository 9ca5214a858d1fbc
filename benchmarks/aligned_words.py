"""Where each word of a text is in a clip, by forced alignment of an ear: what planted faults are cut by.

Knows the built-in ear's steps and phonemes. No measure of the product looks at words like this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torchaudio
from torch import Tensor

from engine.backends.finch import acoustics
from engine.backends.finch.ear import STACKED_FRAMES, Listener, fold
from engine.backends.finch.phonemes import Pronunciation, UnpronounceableText

SECONDS_PER_STEP = STACKED_FRAMES / acoustics.FRAME_RATE
BLANK = 0


@dataclass(frozen=True)
class HeardWord:
    """A word of the text found in a clip by forced alignment.

    `mean_log_posterior` is averaged over the word's phonemes: near 0 when they are all clearly
    there, far below -5 when one is missing. Times are in seconds.
    """

    word: int
    start_s: float
    end_s: float
    mean_log_posterior: float
    min_log_posterior: float


def words(listener: Listener, samples: Tensor, pronunciation: Pronunciation) -> list[HeardWord]:
    """Where each word of the text is, and how clearly. `samples` (n,) at 16 kHz; empty for a clip that is too short.

    Raises UnpronounceableText for a phoneme that the ear does not know.
    """
    known = {plain: index + 1 for index, plain in enumerate(listener.ear.config.segments)}
    pairs = [(plain, phoneme.word) for phoneme in pronunciation.phonemes if (plain := fold(phoneme.symbol)) is not None]
    if unknown := next((plain for plain, _ in pairs if plain not in known), None):
        raise UnpronounceableText(f"the ear does not know the phoneme '{unknown}'")
    posteriors = listener.log_posteriors(samples)
    targets = torch.tensor([[known[plain] for plain, _ in pairs]], dtype=torch.int32)
    if not pairs or len(posteriors) < _least_steps(targets[0]):
        return []
    path, scores = torchaudio.functional.forced_align(posteriors[None].contiguous(), targets, blank=BLANK)
    spans = torchaudio.functional.merge_tokens(path[0], scores[0], blank=BLANK)
    return _grouped([(span.start, span.end, span.score) for span in spans], [word for _, word in pairs])


def _least_steps(targets: Tensor) -> int:
    """CTC needs a step for each target and a blank between equal neighbours."""
    return len(targets) + int((targets[1:] == targets[:-1]).sum())


def _grouped(spans: Sequence[tuple[int, int, float]], of: Sequence[int]) -> list[HeardWord]:
    found: dict[int, list[tuple[int, int, float]]] = {}
    for span, word in zip(spans, of, strict=True):
        found.setdefault(word, []).append(span)
    return [
        HeardWord(
            word,
            own[0][0] * SECONDS_PER_STEP,
            own[-1][1] * SECONDS_PER_STEP,
            sum(score for _, _, score in own) / len(own),
            min(score for _, _, score in own),
        )
        for word, own in found.items()
    ]
