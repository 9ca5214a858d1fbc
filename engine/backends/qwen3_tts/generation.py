"""Drawing frames of codes for a batch of prompts, each row as if it were alone.

Knows what a frame is computed from, the loop over its groups, and the key-value cache. Every row draws from generators
of its own. Knows neither text nor voices nor adapters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from engine.backends import drawn_rows
from engine.backends.drawing import Chooser, Repetition
from engine.backends.drawn_rows import Drawn, OnStep, Serving
from engine.backends.qwen3_tts.info import INNER_TEMPERATURE, INNER_TOP_K, INNER_TOP_P
from engine.backends.qwen3_tts.layout import Layout
from engine.types import GenerationSettings, SpeakRow

LEAST_FRAMES = 2  # upstream's `min_new_tokens`
INNER_SEED = 0x5EED  # of the generator that a row's other codes are drawn from


@dataclass(frozen=True, eq=False)
class Prompt:
    """What one row starts from: embeddings (positions, width), the most frames it may have, and how it draws."""

    inputs: Tensor
    cap: int
    row: SpeakRow


def generate(
    net: Any, prompts: Sequence[Prompt], serving: Serving, on_step: OnStep | None = None
) -> list[Drawn[Tensor]]:
    """The frames (groups,) of every prompt, drawn in one batch."""
    return drawn_rows.draw(_Batch(net, prompts), [prompt.cap for prompt in prompts], serving, on_step)


def stacked(frames: Sequence[Tensor], groups: int) -> Tensor:
    """Codes (frames, groups), in main memory; of no frames, too."""
    return torch.stack(list(frames)) if frames else torch.zeros((0, groups), dtype=torch.long)


class _Batch:
    """The rows that are still drawing."""

    def __init__(self, net: Any, prompts: Sequence[Prompt]) -> None:
        self._net, self._talker, self._layout = net, net.talker, Layout(net)
        config = net.config.talker_config
        self._codes, self._end = config.vocab_size - 1024, config.codec_eos_token_id
        asked = [prompt.row for prompt in prompts]
        self._outer = Chooser(asked, self._codes + 1)
        inner = [replace(row, seed=(row.seed ^ INNER_SEED) & 0x7FFFFFFF, settings=_inner(row)) for row in asked]
        self._inner = Chooser(inner, net.talker.code_predictor.lm_head[0].out_features)
        self._repetition = Repetition(asked, self._codes, prompts[0].inputs.device)
        self._inputs, self._mask = drawn_rows.left_padded([prompt.inputs for prompt in prompts])
        self._cache: Any = None

    def step(self, step: int) -> tuple[list[Tensor], list[bool]]:
        """The next frame of every row, codes (groups,) in main memory, and which rows ended instead."""
        if step == 0:
            positions = (self._mask.cumsum(1) - 1).masked_fill(self._mask == 0, 1)
        else:
            self._mask = torch.nn.functional.pad(self._mask, (0, 1), value=1)
            positions = self._mask.sum(1, keepdim=True) - 1
        found = self._talker.model(
            inputs_embeds=self._inputs,
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
        )
        self._cache, hidden = found.past_key_values, found.last_hidden_state[:, -1]
        logits, may_end = self._talker.codec_head(hidden), step >= LEAST_FRAMES
        chosen = self._outer.choose(self._repetition.scores(logits, self._end, may_end=may_end))
        ended = chosen == self._codes
        first = chosen.masked_fill(ended, 0)
        self._repetition.note(first)
        codes = self._frame(hidden, first)
        self._inputs = self._layout.frames(codes)[:, None]
        return list(codes.cpu()), ended.tolist()

    def _frame(self, hidden: Tensor, first: Tensor) -> Tensor:
        """All codes (rows, groups) of a frame whose first ones are known."""
        predictor = self._talker.code_predictor
        codes, cache = [first], None
        inputs = torch.stack([hidden, self._talker.model.codec_embedding(first)], dim=1)
        for group, head in enumerate(predictor.lm_head):
            found = predictor.model(
                inputs_embeds=predictor.small_to_mtp_projection(inputs), past_key_values=cache, use_cache=True
            )
            cache = found.past_key_values
            codes.append(self._inner.choose(head(found.last_hidden_state[:, -1])))
            inputs = predictor.model.codec_embedding[group](codes[-1])[:, None]
        return torch.stack(codes, dim=1)

    def keep(self, places: Sequence[int]) -> None:
        """Only these rows go on."""
        kept = torch.tensor(places, dtype=torch.long, device=self._mask.device)
        self._inputs, self._mask = self._inputs[kept], self._mask[kept]
        for rows in (self._repetition, self._outer, self._inner):
            rows.keep(places)
        self._cache.batch_select_indices(kept)


def _inner(row: SpeakRow) -> GenerationSettings:
    """How a row's other codes are drawn: by settings of their own, where there are some, else like the first."""
    told, own = row.settings, row.settings.own
    return replace(
        told,
        temperature=own.get(INNER_TEMPERATURE, told.temperature),
        top_k=int(own.get(INNER_TOP_K, told.top_k)),
        top_p=own.get(INNER_TOP_P, told.top_p),
    )
