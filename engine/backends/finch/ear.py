"""The ear: a small CTC phoneme recogniser, and what it can say about a clip.

Knows how Finch's phonemes sound. It hears segments: stress is dropped and reduced variants are
folded together (`fold`). It was trained on espeak-ng voices alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.backends.finch import acoustics
from engine.backends.finch.layers import ConvNeXtBlock
from engine.backends.finch.phonemes import segment

STACKED_FRAMES = 2
_MEL_SPREAD = 1.5
_BLANK = 0
_FOLDED = {
    "@2": "@",
    "@5": "@",
    "@-": "@",
    "a#": "@",
    "I2": "I",
    "I#": "I",
    "t2": "t",
    "r-": "r",
    "n-": "n",
}


def fold(symbol: str) -> str | None:
    """The segment that the ear listens for; None for a pause or a glottal stop."""
    plain = segment(symbol)
    if plain.startswith("_") or plain in {"", "?", ";", "|"}:
        return None
    return _FOLDED.get(plain, plain)


def fold_all(symbols: Iterable[str]) -> list[str]:
    """Segments of a phoneme sequence, pauses left out."""
    return [plain for plain in map(fold, symbols) if plain is not None]


@dataclass(frozen=True)
class EarConfig:
    """Sizes of an ear. `segments` are its classes; class 0 is the CTC blank."""

    segments: tuple[str, ...]
    width: int = 160
    blocks: int = 6
    kernel: int = 11


class Ear(nn.Module):
    """Mean-normalised log mel (b, frames, 60) to CTC logits (b, frames // 2, segments + 1)."""

    def __init__(self, config: EarConfig) -> None:
        super().__init__()
        self.config = config
        self.input_projection = nn.Linear(acoustics.MEL_BANDS * STACKED_FRAMES, config.width)
        self.blocks = nn.ModuleList(ConvNeXtBlock(config.width, config.kernel) for _ in range(config.blocks))
        self.output_projection = nn.Linear(config.width, len(config.segments) + 1)

    def forward(self, mel: Tensor, mask: Tensor | None = None) -> Tensor:
        """CTC logits; `mask` (b, frames // 2, 1) is 1 where a row has frames."""
        return self.hear(mel, mask)[1]

    def hear(self, mel: Tensor, mask: Tensor | None = None) -> tuple[list[Tensor], Tensor]:
        """What every block makes of the input, each (b, frames // 2, width), and the logits."""
        rows, frames, bands = mel.shape
        steps = frames // STACKED_FRAMES
        stacked = mel[:, : steps * STACKED_FRAMES].reshape(rows, steps, bands * STACKED_FRAMES)
        hidden = self.input_projection(stacked)
        layers: list[Tensor] = []
        for block in self.blocks:
            hidden = block(hidden, None, mask)
            layers.append(hidden)
        return layers, self.output_projection(hidden)


def normalise_mel(mel: Tensor, mean: Tensor | None = None) -> Tensor:
    """Log mel (..., frames, 60) less its mean over time (or `mean`), in units of 1.5 nepers."""
    return (mel - (mel.mean(-2, keepdim=True) if mean is None else mean)) / _MEL_SPREAD


@dataclass(frozen=True)
class PhonemeErrors:
    """Edit distance of what was heard against what was meant; `deleted` index the reference."""

    reference: int
    substitutions: int
    deletions: int
    insertions: int
    deleted: tuple[int, ...] = ()
    substituted: tuple[int, ...] = ()

    @property
    def rate(self) -> float:
        """Phoneme error rate: errors per reference phoneme (may exceed 1)."""
        return (self.substitutions + self.deletions + self.insertions) / max(1, self.reference)


class Listener:
    """An ear that answers questions about waveforms. All waveforms are (n,) at 16 kHz."""

    def __init__(self, ear: Ear) -> None:
        self.ear = ear.eval()

    @torch.inference_mode()
    def log_posteriors(self, samples: Tensor) -> Tensor:
        """Log posteriors (steps of 20 ms, segments + 1)."""
        mel = normalise_mel(acoustics.log_mel(samples))
        logits: Tensor = self.ear(mel[None])[0]
        return logits.float().log_softmax(-1)

    def transcribe(self, samples: Tensor) -> list[str]:
        """The segments heard, by greedy CTC decoding."""
        path = torch.unique_consecutive(self.log_posteriors(samples).argmax(-1)).tolist()
        return [self.ear.config.segments[index - 1] for index in path if index != _BLANK]

    def errors(self, samples: Tensor, symbols: Sequence[str]) -> PhonemeErrors:
        """Phoneme errors of a clip against the phoneme symbols it should contain."""
        return compare(fold_all(symbols), self.transcribe(samples))


def compare(reference: Sequence[str], heard: Sequence[str]) -> PhonemeErrors:
    """Levenshtein alignment of two segment sequences."""
    rows = _distances(reference, heard)
    row, column = len(reference), len(heard)
    deleted: list[int] = []
    substituted: list[int] = []
    insertions = 0
    while row or column:
        if row and column:
            differs = reference[row - 1] != heard[column - 1]
            if rows[row][column] == rows[row - 1][column - 1] + differs:
                if differs:
                    substituted.append(row - 1)
                row, column = row - 1, column - 1
                continue
        if row and rows[row][column] == rows[row - 1][column] + 1:
            deleted.append(row - 1)
            row -= 1
        else:
            insertions += 1
            column -= 1
    return PhonemeErrors(
        len(reference),
        len(substituted),
        len(deleted),
        insertions,
        tuple(reversed(deleted)),
        tuple(reversed(substituted)),
    )


def _distances(reference: Sequence[str], heard: Sequence[str]) -> list[list[int]]:
    rows = [list(range(len(heard) + 1))]
    for index, wanted in enumerate(reference):
        last, row = rows[-1], [index + 1]
        for column, got in enumerate(heard):
            row.append(min(last[column] + (wanted != got), last[column + 1] + 1, row[column] + 1))
        rows.append(row)
    return rows
