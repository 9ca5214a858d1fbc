"""The language models' forward pass, many rows at once and one position after the other: Qwen2's in version 2 and 3,
upstream's own layers in version 1.

Rows are padded on the left. Upstream's own decoding takes one row, and its class for version 1 says so: here its
embedding, layers and norm are called as it calls them, with a cache a row. Positions are relative there, so that it
does not matter where a row begins. Knows no texts and draws nothing.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Steps(Protocol):
    """One batch while it is spoken."""

    def forward(self, embeds: Tensor) -> Tensor:
        """Hidden states (rows, positions, width) of what follows all that was given before."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Only these rows go on."""
        ...


def begun(llm: Any, seen: Tensor) -> Steps:
    """For rows of which `seen` (rows, positions) says where the first `embeds` hold something: at their end."""
    return QwenSteps(llm, seen) if hasattr(llm.llm, "model") else OwnSteps(llm, seen)


class QwenSteps:
    """Of transformers' Qwen2, with a mask as long as all that was seen."""

    def __init__(self, llm: Any, seen: Tensor) -> None:
        self._model = llm.llm.model
        self._seen = seen
        self._positions = (seen.cumsum(-1) - 1).clamp(min=0)
        self._cache: Any = None

    def forward(self, embeds: Tensor) -> Tensor:
        """As `Steps` has it."""
        if self._cache is not None:
            self._seen = functional.pad(self._seen, (0, embeds.shape[1]), value=1)
            self._positions = self._positions[:, -1:] + 1
        told = self._model(
            inputs_embeds=embeds,
            attention_mask=self._seen,
            position_ids=self._positions,
            cache=self._cache,
            use_cache=True,
            output_hidden_states=True,
        )
        self._cache = told.cache
        found: Tensor = told.hidden_states[-1]
        return found

    def keep(self, rows: Tensor) -> None:
        """As `Steps` has it."""
        self._seen, self._positions = self._seen[rows], self._positions[rows]
        self._cache.batch_select_indices(rows)


class OwnSteps:
    """Of upstream's `TransformerEncoder` (cosyvoice/transformer/encoder.py, `forward_chunk`), causal, with keys and
    values of each layer, (rows, heads, positions, 2 x width of a head), kept.
    """

    def __init__(self, llm: Any, seen: Tensor) -> None:
        self._encoder = llm.llm
        self._seen = seen
        self._cache: list[Tensor] = []

    def forward(self, embeds: Tensor) -> Tensor:
        """As `Steps` has it; after the first call one position at a time, or upstream's positions are off."""
        new, encoder = embeds.shape[1], self._encoder
        if self._cache:
            self._seen = functional.pad(self._seen, (0, new), value=1)
        width = self._seen.shape[1]
        order = torch.ones(new, width, dtype=torch.bool, device=embeds.device).tril(width - new)
        mask = self._seen.bool()[:, None] & order
        embed = encoder.embed
        embed.pos_enc.extend_pe(embeds.new_empty(1, width))  # it keeps so many that 100 s have one each
        hidden, _, _ = embed(embeds, mask, 0)
        positions = embed.position_encoding(offset=0, size=width)
        kept = []
        for place, layer in enumerate(encoder.encoders):
            before = self._cache[place] if self._cache else embeds.new_zeros(0, 0, 0, 0)
            hidden, _, own, _ = layer(hidden, mask, positions, att_cache=before)
            kept.append(own)
        self._cache = kept
        found: Tensor = encoder.after_norm(hidden) if encoder.normalize_before else hidden
        return found

    def keep(self, rows: Tensor) -> None:
        """As `Steps` has it."""
        self._seen, self._cache = self._seen[rows], [layer[rows] for layer in self._cache]
