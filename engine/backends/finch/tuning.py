"""What LoRA training of Finch needs: recordings as tokens and targets, items and crops.

Knows how examples are made, not how a run is organised. The losses are `language_model.loss` and
`codec.decoder_loss`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from engine.backends.finch import acoustics
from engine.backends.finch.acoustics import SpeakerStatistics
from engine.backends.finch.codec import FRAMES_PER_TOKEN
from engine.backends.finch.language_model import Item
from engine.backends.finch.phonemes import pronounce
from engine.backends.finch.weights import Finch


@dataclass(frozen=True)
class Example:
    """One recording: phoneme ids, tokens (n,) and the decoder's target (4 n, 30)."""

    phonemes: tuple[int, ...]
    tokens: Tensor
    target: Tensor


@dataclass(frozen=True)
class VoiceData:
    """One speaker's recordings. `clock` is the speaker's pace, to be stored with the adapter."""

    examples: tuple[Example, ...]
    statistics: SpeakerStatistics
    clock: float


def prepare(finch: Finch, recordings: Sequence[tuple[Tensor, str]]) -> VoiceData:
    """Examples from one speaker's recordings: (samples (n,) at 16 kHz, text) pairs."""
    matrices = [acoustics.features(acoustics.normalise_level(s)) for s, _ in recordings]
    statistics = SpeakerStatistics.measure(torch.cat(matrices))
    inventory, words = finch.config.inventory, finch.config.vocabulary
    examples = []
    for matrix, (_, text) in zip(matrices, recordings, strict=True):
        tokens = finch.tokenise(matrix, statistics).clone()
        target = finch.config.normalisation.decoder_target(matrix[: len(tokens) * FRAMES_PER_TOKEN])
        phonemes = tuple(inventory.encode(pronounce(text).symbols))
        examples.append(Example(phonemes, tokens, target))
    expected = sum(words.expected_tokens(example.phonemes) for example in examples)
    clock = sum(len(example.tokens) for example in examples) / max(1e-3, expected)
    return VoiceData(tuple(examples), statistics, clock)


def language_item(finch: Finch, example: Example, speaker: int) -> Item:
    """The language model's item of an example, on the utterance's own clock."""
    tokens = tuple(example.tokens.tolist())
    clock = finch.config.vocabulary.clock_of(example.phonemes, len(tokens))
    return Item(speaker, example.phonemes, tokens, clock)


def decoder_crops(
    examples: Sequence[Example], rows: int, crop_tokens: int, draw: random.Random
) -> tuple[Tensor, Tensor]:
    """Random crops: tokens (rows, crop_tokens) and targets (rows, 4 * crop_tokens, 30).

    Utterances are drawn in proportion to their length; short ones are padded with their last frame.
    """
    tokens, targets = [], []
    for example in draw.choices(examples, [len(e.tokens) for e in examples], k=rows):
        start = draw.randint(0, max(0, len(example.tokens) - crop_tokens))
        crop = example.tokens[start : start + crop_tokens]
        frames = slice(start * FRAMES_PER_TOKEN, (start + crop_tokens) * FRAMES_PER_TOKEN)
        target = example.target[frames]
        missing = crop_tokens - len(crop)
        tokens.append(functional.pad(crop, (0, missing), value=int(crop[-1])))
        tail = target[-1:].expand(missing * FRAMES_PER_TOKEN, -1)
        targets.append(torch.cat([target, tail]))
    return torch.stack(tokens), torch.stack(targets)


def clock_at(base_clock: float, voice_clock: float, lora_scale: float) -> float:
    """The clock to speak at: from the base voice's to the tuned voice's, by `lora_scale`."""
    return base_clock + (voice_clock - base_clock) * min(max(lora_scale, 0.0), 1.0)
