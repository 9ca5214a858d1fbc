"""Batched sampling from the language model, for the figures alone.

The product samples in its speech model; this is the plain form: left-padded rows, a KV cache, one
generator for each row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.backends.finch.language_model import Vocabulary
from engine.backends.finch.weights import Sampling


@dataclass(frozen=True)
class Request:
    """What to say: phoneme ids, by which speaker, at which clock, with which seed."""

    phonemes: tuple[int, ...]
    speaker: int
    clock: float
    seed: int


@dataclass(frozen=True)
class Generated:
    """Speech tokens (n,) and whether EOS ended them, rather than the cap."""

    tokens: Tensor
    finished: bool


@torch.inference_mode()
def generate(model: nn.Module, words: Vocabulary, requests: Sequence[Request], settings: Sampling) -> list[Generated]:
    """Sample every request to its EOS or its cap; a row depends on its own seed alone."""
    prefixes = [words.prefix_ids(r.phonemes, r.speaker) for r in requests]
    clocks = [words.prefix_positions(r.phonemes, r.clock) for r in requests]
    caps = [_cap(words, request, settings) for request in requests]
    generators = [torch.Generator().manual_seed(request.seed) for request in requests]
    ids, positions, mask = _left_pad(prefixes, clocks, words.pad)
    made: list[list[int]] = [[] for _ in requests]
    is_done = [False] * len(requests)
    cache = None
    for _ in range(max(caps) + 1):
        output = model(
            input_ids=ids, position_ids=positions, attention_mask=mask,
            past_key_values=cache, use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        cache = output.past_key_values
        logits = output.logits[:, -1].float()
        logits[:, : words.eos] = -torch.inf
        logits[:, words.pad] = -torch.inf
        chosen = [_draw(row, g, settings) for row, g in zip(logits, generators, strict=True)]
        for row, token in enumerate(chosen):
            if is_done[row] or token == words.eos or len(made[row]) >= caps[row]:
                is_done[row] = True
            else:
                made[row].append(token - words.first_token)
        if all(is_done):
            break
        ids = torch.tensor(chosen)[:, None]
        positions = positions[:, -1:] + 1
        mask = torch.cat([mask, torch.ones(len(requests), 1, dtype=mask.dtype)], 1)
    return [Generated(torch.tensor(m).long(), len(m) < cap) for m, cap in zip(made, caps, strict=True)]


def _cap(words: Vocabulary, request: Request, settings: Sampling) -> int:
    expected = words.expected_tokens(request.phonemes, request.clock)
    return math.ceil(expected * settings.longest_ratio) + settings.longest_extra


def _left_pad(prefixes: list[list[int]], clocks: list[list[int]], pad: int) -> tuple[Tensor, Tensor, Tensor]:
    width = max(map(len, prefixes))
    ids = torch.full((len(prefixes), width), pad)
    positions, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, (prefix, clock) in enumerate(zip(prefixes, clocks, strict=True)):
        ids[row, width - len(prefix) :] = torch.tensor(prefix)
        positions[row, width - len(prefix) :] = torch.tensor(clock)
        mask[row, width - len(prefix) :] = 1
    return ids, positions, mask


def _draw(logits: Tensor, generator: torch.Generator, settings: Sampling) -> int:
    """Gumbel-max over the `top_k` logits: a sample at `temperature` (greedy at 0)."""
    values, indices = logits.topk(settings.top_k)
    noise = -torch.empty_like(values).exponential_(generator=generator).log()
    return int(indices[(values + settings.temperature * noise).argmax()])
