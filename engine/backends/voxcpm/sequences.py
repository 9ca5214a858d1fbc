"""Training examples of VoxCPM, and batches of them as its class wants them.

Knows the sequence that upstream trains on (voxcpm/training/packers.py): text, start, patches of audio latents, end;
with a reference, which only version 2 has, its patches between marks of their own before the text. Knows no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

AUDIO_START, AUDIO_END, REFERENCE_START, REFERENCE_END = 101, 102, 103, 104


@dataclass(frozen=True, eq=False)
class Example:
    """One utterance. `patches` (n, patch, dim) are what the codec makes of it, `reference` (m, patch, dim) of the audio
    prompt; `key` is the hash of audio and text.
    """

    key: str
    text: tuple[int, ...]
    patches: Tensor
    reference: Tensor | None = None

    @property
    def positions(self) -> int:
        """Of the sequence: the text, all patches, and the marks around them."""
        prefix = 0 if self.reference is None else len(self.reference) + 2
        return prefix + len(self.text) + len(self.patches) + 2


def collate(examples: Sequence[Example]) -> dict[str, Tensor]:
    """The arguments of `VoxCPMModel.forward` for a batch, padded at the end with what no loss counts.

    `audio_feats` (b, t, patch, dim); all others (b, t): tokens, which positions are text and which audio, where the
    loss is taken, and `labels`, 1 where speech should end.
    """
    made = [_sequence(example) for example in examples]
    length = max(example.positions for example in examples)
    return {name: torch.stack([_padded(one[name], length) for one in made]) for name in made[0]}


def _sequence(example: Example) -> dict[str, Tensor]:
    count, total = len(example.patches), example.positions
    tokens = torch.zeros(total, dtype=torch.int32)
    feats = example.patches.new_zeros((total, *example.patches.shape[1:]))
    is_audio = torch.zeros(total, dtype=torch.int32)
    at = 0
    if example.reference is not None:
        end = 1 + len(example.reference)
        tokens[0], tokens[end] = REFERENCE_START, REFERENCE_END
        feats[1:end], is_audio[1:end] = example.reference, 1
        at = end + 1
    start = at + len(example.text)
    tokens[at:start] = torch.tensor(example.text, dtype=torch.int32)
    tokens[start], tokens[-1] = AUDIO_START, AUDIO_END
    feats[start + 1 : start + 1 + count], is_audio[start + 1 : start + 1 + count] = example.patches, 1
    loss_mask, labels = torch.zeros_like(is_audio), torch.zeros_like(is_audio)
    loss_mask[start + 1 : start + 1 + count] = 1
    labels[-2] = 1
    return {
        "text_tokens": tokens,
        "text_mask": 1 - is_audio,
        "audio_feats": feats,
        "audio_mask": is_audio,
        "loss_mask": loss_mask,
        "position_ids": torch.arange(total),
        "labels": labels,
    }


def _padded(one: Tensor, length: int) -> Tensor:
    return torch.cat([one, one.new_zeros((length - len(one), *one.shape[1:]))])
