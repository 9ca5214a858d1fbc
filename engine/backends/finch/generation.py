"""Drawing speech tokens for a batch of prompts, each row as if it were alone.

Knows what a token is computed from, the sampling and the key-value cache. Every row has its own settings and its own
generator: the choice is greedy over filtered logits plus Gumbel noise from the row's generator, which is exactly
sampling (Gumbel-max, Maddison et al. 2014), so what a row draws does not depend on its neighbours beyond the rounding
of batched products. Knows neither text nor voices nor adapters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from engine.backends import drawn_rows
from engine.backends.drawn_rows import Drawn, OnStep, Serving
from engine.types import GenerationSettings

if TYPE_CHECKING:
    from transformers import Qwen2ForCausalLM

    from engine.backends.finch.language_model import Vocabulary

NOISE_STEPS = 32  # steps of noise that are drawn at once; part of what a seed means
CACHE_STEPS = 128  # steps by which the key-value cache grows


@dataclass(frozen=True)
class Prompt:
    """What one row starts from: ids with their rotary positions (the next token has position 1), and how to draw."""

    ids: Sequence[int]
    positions: Sequence[int]
    cap: int  # tokens at most
    seed: int
    settings: GenerationSettings


def generate(
    model: Qwen2ForCausalLM,
    vocabulary: Vocabulary,
    prompts: Sequence[Prompt],
    serving: Serving,
    on_step: OnStep | None = None,
) -> list[Drawn[int]]:
    """The speech tokens of every prompt, drawn in one batch."""
    batch = _Batch(model, vocabulary, prompts)
    return drawn_rows.draw(batch, [prompt.cap for prompt in prompts], serving, on_step)


class _Batch:
    """The rows that are still drawing."""

    def __init__(self, model: Qwen2ForCausalLM, vocabulary: Vocabulary, prompts: Sequence[Prompt]) -> None:
        self._model, self._vocabulary = model, vocabulary
        self._sampler = Sampler(prompts, vocabulary.size - vocabulary.eos, model.device)
        self._cache = RowCache(CACHE_STEPS)
        self._ids, self._positions, self._mask = _left_padded(prompts, vocabulary.pad, model.device)

    def step(self, step: int) -> tuple[list[int], list[bool]]:
        """The next speech token of every row, and which rows ended instead."""
        words = self._vocabulary
        if step:
            self._mask = functional.pad(self._mask, (0, 1), value=True)
        logits = _logits(self._model, self._ids, self._positions, self._mask, self._cache, is_prefix=step == 0)
        logits = logits[:, words.eos :].clone()
        logits[:, words.pad - words.eos] = -torch.inf
        chosen = self._sampler.choose(logits, step)
        self._ids = (chosen + words.eos)[:, None]
        self._positions = torch.full_like(self._ids, step + 1)
        tokens = [column + words.eos for column in chosen.tolist()]
        return [token - words.first_token for token in tokens], [token == words.eos for token in tokens]

    def keep(self, places: Sequence[int]) -> None:
        """Only these rows go on."""
        kept = torch.tensor(places, dtype=torch.long, device=self._ids.device)
        self._ids, self._positions, self._mask = self._ids[kept], self._positions[kept], self._mask[kept]
        self._cache.keep(kept)
        self._sampler.keep(kept)


def _left_padded(prompts: Sequence[Prompt], pad: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, positions and mask (rows, longest prompt): the prompts end together, so all rows speak from the same
    column on.
    """
    width = max(len(prompt.ids) for prompt in prompts)
    ids = torch.full((len(prompts), width), pad)
    positions = torch.zeros_like(ids)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        start = width - len(prompt.ids)
        ids[row, start:] = torch.tensor(prompt.ids)
        positions[row, start:] = torch.tensor(prompt.positions)
        mask[row, start:] = True
    return ids.to(device), positions.to(device), mask.to(device)


def _logits(
    model: Qwen2ForCausalLM,
    ids: Tensor,
    positions: Tensor,
    mask: Tensor,
    cache: RowCache,
    *,
    is_prefix: bool,
) -> Tensor:
    """Logits (rows, vocabulary) after the last of `ids`, float32. `mask` (rows, all columns so far) is False on
    padding.
    """
    attended = mask[:, None, None, :]
    if is_prefix:
        width = ids.shape[1]
        causal = torch.ones(width, width, dtype=torch.bool, device=ids.device).tril()
        # A padding column attends to itself: a row of nothing but -inf would give NaN.
        attended = (attended & causal) | torch.eye(width, dtype=torch.bool, device=ids.device)
    # Added to the scores as numbers, or every layer would make them from the truth values again.
    bias = torch.zeros(attended.shape, dtype=model.dtype, device=ids.device).masked_fill_(~attended, -torch.inf)
    hidden = model.model(
        input_ids=ids,
        position_ids=positions,
        attention_mask={"full_attention": bias},
        cache=cache,
        use_cache=True,
    ).last_hidden_state[:, -1]
    logits: Tensor = model.lm_head(hidden)
    return logits.float()


class RowCache:
    """Keys and values of every layer in buffers that grow by blocks: a step writes one column instead of copying
    all of them.
    """

    def __init__(self, block: int) -> None:
        self._block = block
        self._keys: dict[int, Tensor] = {}
        self._values: dict[int, Tensor] = {}
        self._lengths: dict[int, int] = {}

    def update(self, key: Tensor, value: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append (rows, heads, new, size); returns all keys and values of the layer so far."""
        start = self._lengths.get(layer, 0)
        end = start + key.shape[2]
        for buffers, new in ((self._keys, key), (self._values, value)):
            if layer not in buffers or buffers[layer].shape[2] < end:
                room = new.new_empty(*new.shape[:2], end + self._block, new.shape[3])
                if start:
                    room[:, :, :start] = buffers[layer][:, :, :start]
                buffers[layer] = room
            buffers[layer][:, :, start:end] = new
        self._lengths[layer] = end
        return self._keys[layer][:, :, :end], self._values[layer][:, :, :end]

    def keep(self, rows: Tensor) -> None:
        """Only these rows stay, in this order."""
        for buffers in (self._keys, self._values):
            for layer, buffer in buffers.items():
                buffers[layer] = buffer[rows]


class Sampler:
    """Chooses one column a row: repetition penalty, temperature, top-k, top-p, then noise of the row's own generator.

    Temperature 0 (or below) takes the most probable one. The filters mean what they mean in transformers; columns
    other than the first (EOS) are penalised for repetition.
    """

    def __init__(self, prompts: Sequence[Prompt], columns: int, device: torch.device) -> None:
        settings = [prompt.settings for prompt in prompts]
        self._columns = columns
        # On the processor whatever the model's device, so that a seed means the same noise everywhere.
        self._generators = [torch.Generator().manual_seed(prompt.seed) for prompt in prompts]
        self._noise = torch.empty(0, len(prompts), columns, device=device)
        column = torch.tensor([[s.temperature, s.top_p, s.repetition_penalty] for s in settings], device=device)
        self._is_greedy = column[:, :1] <= 0
        self._temperature = torch.where(self._is_greedy, 1.0, column[:, :1])
        self._top_p, self._penalty = column[:, 1:2], column[:, 2:3]
        top_k = [min(s.top_k, columns) if s.top_k > 0 else columns for s in settings]
        self._top_k = torch.tensor(top_k, device=device)[:, None]
        # Known beforehand, so that no step waits for the device to tell.
        self._most, self._penalises = max(top_k), any(s.repetition_penalty != 1 for s in settings)
        self._seen = torch.zeros(len(prompts), columns, dtype=torch.bool, device=device)

    def choose(self, logits: Tensor, step: int) -> Tensor:
        """Columns (rows,) from logits (rows, columns) of this step; every step is asked for once, in order."""
        if self._penalises:
            penalised = torch.where(logits > 0, logits / self._penalty, logits * self._penalty)
            logits = torch.where(self._seen, penalised, logits)
        values, columns = (logits / self._temperature).topk(self._most)
        rank = torch.arange(values.shape[1], device=values.device)
        values = values.masked_fill(rank >= self._top_k, -torch.inf)
        probability = values.softmax(-1)
        values = values.masked_fill(probability.cumsum(-1) - probability > self._top_p, -torch.inf)
        noise = self._noise_of(step, logits.device).masked_fill(self._is_greedy, 0.0)
        chosen = columns.gather(1, (values + noise.gather(1, columns)).argmax(-1, keepdim=True))
        self._seen.scatter_(1, chosen, True)
        self._seen[:, 0] = False
        return chosen[:, 0]

    def keep(self, rows: Tensor) -> None:
        """Only these rows stay, in this order."""
        self._generators = [self._generators[row] for row in rows.tolist()]
        self._noise = self._noise[:, rows]
        self._is_greedy, self._temperature, self._top_p = (
            tensor[rows] for tensor in (self._is_greedy, self._temperature, self._top_p)
        )
        self._penalty, self._top_k, self._seen = (tensor[rows] for tensor in (self._penalty, self._top_k, self._seen))

    def _noise_of(self, step: int, device: torch.device) -> Tensor:
        """Gumbel noise (rows, columns): -log of an exponential variate."""
        if step % NOISE_STEPS == 0:
            drawn = [torch.empty(NOISE_STEPS, self._columns).exponential_(generator=one) for one in self._generators]
            self._noise = -torch.stack(drawn, 1).clamp(min=1e-30).log().to(device)
        return self._noise[step % NOISE_STEPS]
