"""Training examples of CosyVoice, and batches of them as upstream's two trained classes want them.

Knows the names of upstream's batches (cosyvoice/dataset/processor.py, `padding`). Knows no files and no nets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


@dataclass(frozen=True, eq=False)
class Example:
    """One utterance: token ids of the prompt's template and of its text, speech `tokens` (n,), `mel` (frames, 80) in
    natural log, and the voice's mean speaker vector (192,). `key` is the hash of audio and text.
    """

    key: str
    prompt: tuple[int, ...]
    text: tuple[int, ...]
    tokens: Tensor
    mel: Tensor
    speaker: Tensor


def for_llm(examples: Sequence[Example], *, prompt_apart: bool) -> dict[str, Tensor]:
    """A batch of the language model's. Targets follow in its class, already shifted. What stands before a text is given
    apart to a class that takes it so, and as the text's beginning to the others, which would leave it out.
    """
    prompts = [torch.tensor(example.prompt, dtype=torch.long) for example in examples]
    texts = [torch.tensor(example.text, dtype=torch.long) for example in examples]
    if not prompt_apart:
        texts = [torch.cat(both) for both in zip(prompts, texts, strict=True)]
    return {
        **(_padded("instruct_token", prompts) if prompt_apart else {}),
        **_padded("text_token", texts),
        **_padded("speech_token", [example.tokens for example in examples]),
        "embedding": torch.stack([example.speaker for example in examples]),
    }


def for_flow(examples: Sequence[Example]) -> dict[str, Tensor]:
    """A batch of the flow's. Its frames are exactly so many a token, or the classes of version 2 and 3 fail."""
    return {
        **_padded("speech_token", [example.tokens for example in examples]),
        **_padded("speech_feat", [example.mel for example in examples]),
        "embedding": torch.stack([example.speaker for example in examples]),
    }


@dataclass(frozen=True)
class Ladder:
    """The flow's loss on real spectrograms of one that answers a constant: what a network without its weights, or that
    hears nothing, gets. `zero` for silence of no meaning, `mean` for the mean of all numbers, `bins` for each bin's.

    Its target is the spectrogram less the noise it started from (Lipman et al. 2022, arXiv:2210.02747), whose square is
    one more on average, since nobody can tell the noise.
    """

    zero: float
    mean: float
    bins: float


def ladder(examples: Sequence[Example]) -> Ladder:
    """Of these clips' own spectrograms."""
    numbers = torch.cat([example.mel for example in examples]).double()
    return Ladder(
        zero=float(numbers.square().mean()) + 1.0,
        mean=float((numbers - numbers.mean()).square().mean()) + 1.0,
        bins=float((numbers - numbers.mean(dim=0)).square().mean()) + 1.0,
    )


def _padded(name: str, rows: Sequence[Tensor]) -> dict[str, Tensor]:
    return {
        name: pad_sequence(list(rows), batch_first=True),
        f"{name}_len": torch.tensor([len(row) for row in rows], dtype=torch.int32),
    }
