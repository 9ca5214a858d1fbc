"""Drawing frames of codes for a batch of prompts, each row as if it were alone.

Knows the loop over frames, the loop over the groups of a frame, and the key-value cache. Every row draws from
generators of its own. Knows neither text nor voices nor adapters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from engine.backends.qwen3_tts.info import INNER_TEMPERATURE, INNER_TOP_K, INNER_TOP_P
from engine.backends.qwen3_tts.layout import Layout
from engine.backends.transformers_tts.drawing import Chooser
from engine.types import GenerationSettings, SpeakRow, Stop

LEAST_FRAMES = 2  # upstream's `min_new_tokens`
SHRINK_BELOW = 0.75  # finished rows leave the batch once fewer than this share of it is alive
INNER_SEED = 0x5EED  # of the generator that a row's other codes are drawn from

Serving = Callable[[Sequence[int]], AbstractContextManager[None]]
"""Opens a block in which the model's batch consists of these rows of the prompts, in this order."""


@dataclass(frozen=True, eq=False)
class Prompt:
    """What one row starts from: embeddings (positions, width), the most frames it may have, and how it draws."""

    inputs: Tensor
    cap: int
    row: SpeakRow


@dataclass
class Drawn:
    """The codes of each frame (groups,), and how it ended."""

    frames: list[Tensor] = field(default_factory=list)
    stop: Stop | None = None

    def codes(self, groups: int) -> Tensor:
        """(frames, groups), in main memory."""
        return torch.stack(self.frames) if self.frames else torch.zeros((0, groups), dtype=torch.long)


@torch.inference_mode()
def generate(
    net: Any, prompts: Sequence[Prompt], serving: Serving, on_step: Callable[[int, int], None] | None = None
) -> list[Drawn]:
    """Draw every prompt's frames in one batch; rows that are done leave it when that is worth the copy.

    `on_step` is told the frames so far and the most there can be, and may raise to give up.
    """
    drawn, batch = [Drawn() for _ in prompts], _Batch(net, prompts)
    longest = max(prompt.cap for prompt in prompts)
    step = 0
    while batch.rows:
        with serving(batch.rows):
            while True:
                if on_step is not None:
                    on_step(step, longest)
                frames, ended = batch.step(step)
                step += 1
                for place, row in enumerate(batch.rows):
                    _note(drawn[row], frames[place], ended[place], prompts[row].cap)
                alive = [place for place, row in enumerate(batch.rows) if drawn[row].stop is None]
                if len(alive) <= SHRINK_BELOW * len(batch.rows):
                    break
        batch.keep(alive)
    return drawn


def _note(row: Drawn, frame: Tensor, ended: bool, cap: int) -> None:
    if row.stop is not None:  # done, and still in the batch
        return
    if ended:
        row.stop = Stop.EOS
        return
    row.frames.append(frame)
    if len(row.frames) >= cap:
        row.stop = Stop.CAP


class _Batch:
    """The rows that are still drawing: their inputs, masks, cache and generators."""

    def __init__(self, net: Any, prompts: Sequence[Prompt]) -> None:
        self.rows = list(range(len(prompts)))
        self._net, self._talker, self._layout = net, net.talker, Layout(net)
        config = net.config.talker_config
        self._codes, self._end = config.vocab_size - 1024, config.codec_eos_token_id
        asked = [prompt.row for prompt in prompts]
        self._outer = Chooser(asked, self._codes + 1)
        inner = [replace(row, seed=(row.seed ^ INNER_SEED) & 0x7FFFFFFF, settings=_inner(row)) for row in asked]
        self._inner = Chooser(inner, net.talker.code_predictor.lm_head[0].out_features)
        device = prompts[0].inputs.device
        penalties = torch.tensor([row.settings.repetition_penalty for row in asked], device=device)
        self._penalties = penalties[:, None]
        self._said = torch.zeros(len(prompts), self._codes, dtype=torch.bool, device=device)
        self._inputs, self._mask = _left_padded([prompt.inputs for prompt in prompts])
        self._cache: Any = None

    def step(self, step: int) -> tuple[Tensor, list[bool]]:
        """The next frame of every row, codes (rows, groups) in main memory, and which rows ended instead."""
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
        chosen = self._outer.choose(self._scores(hidden, step))
        ended = chosen == self._codes
        first = chosen.masked_fill(ended, 0)
        self._said.scatter_(1, first[:, None], True)
        codes = self._frame(hidden, first)
        self._inputs = self._layout.frames(codes)[:, None]
        return codes.cpu(), ended.tolist()

    def _scores(self, hidden: Tensor, step: int) -> Tensor:
        """Logits (rows, codes + 1) of what can be said, the last of them the end, after the repetition penalty (Keskar
        et al. 2019, arXiv:1909.05858).
        """
        logits = self._talker.codec_head(hidden).float()
        scores = logits[:, : self._codes]
        penalised = torch.where(scores > 0, scores / self._penalties, scores * self._penalties)
        scores = torch.where(self._said, penalised, scores)
        end = logits[:, self._end, None]
        if step < LEAST_FRAMES:
            end = torch.full_like(end, -torch.inf)
        return torch.cat([scores, end], dim=1)

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
        self.rows = [self.rows[place] for place in places]
        if not self.rows:
            return
        kept = torch.tensor(places, dtype=torch.long, device=self._mask.device)
        self._inputs, self._mask, self._said = self._inputs[kept], self._mask[kept], self._said[kept]
        self._penalties = self._penalties[kept]
        self._outer.keep(places)
        self._inner.keep(places)
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


def _left_padded(prompts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Inputs (rows, longest, width) and mask: the prompts end together, so all rows speak from the same column on."""
    width = max(len(prompt) for prompt in prompts)
    inputs = prompts[0].new_zeros((len(prompts), width, prompts[0].shape[1]))
    mask = torch.zeros((len(prompts), width), dtype=torch.long, device=prompts[0].device)
    for row, prompt in enumerate(prompts):
        inputs[row, width - len(prompt) :] = prompt
        mask[row, width - len(prompt) :] = 1
    return inputs, mask
