"""The language model: phonemes to speech tokens, a small Qwen2 from transformers.

A sequence is `[speaker] phonemes [BOS] tokens [EOS]`. Phonemes and tokens share one clock: token
`t` has rotary position `t + 1`, and a phoneme has the position where it is expected to be spoken,
from a table of mean durations and the utterance's `clock` (1 is the training average, more is
slower). Losses are over tokens and EOS alone.

Knows batching, losses and positions. Does not sample: generation belongs to the speech model.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Qwen2Config, Qwen2ForCausalLM

IGNORED = -100
LM_LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")


@dataclass(frozen=True)
class LanguageModelConfig:
    """Sizes of the model. `speakers` are rows for speaker ids, more than the product offers."""

    layers: int = 5
    width: int = 256
    heads: int = 4
    feed_forward: int = 640
    speakers: int = 80
    tokens: int = 1000


@dataclass(frozen=True)
class Vocabulary:
    """Ids of the model: phonemes, speakers, BOS, EOS, PAD, speech tokens, in this order.

    `durations` holds each phoneme's mean duration in tokens (40 ms) at clock 1.
    """

    durations: tuple[float, ...]
    speakers: int
    tokens: int

    @property
    def first_speaker(self) -> int:
        return len(self.durations)

    @property
    def bos(self) -> int:
        return self.first_speaker + self.speakers

    @property
    def eos(self) -> int:
        return self.bos + 1

    @property
    def pad(self) -> int:
        return self.bos + 2

    @property
    def first_token(self) -> int:
        return self.bos + 3

    @property
    def size(self) -> int:
        return self.first_token + self.tokens

    def expected_tokens(self, phonemes: Sequence[int], clock: float = 1.0) -> float:
        """How many tokens these phonemes are expected to last; the closing pause takes no time."""
        return clock * sum(self.durations[phoneme] for phoneme in phonemes[:-1])

    def clock_of(self, phonemes: Sequence[int], tokens: int) -> float:
        """The clock at which these phonemes last so many tokens."""
        return tokens / max(1e-3, self.expected_tokens(phonemes))

    def prefix_ids(self, phonemes: Sequence[int], speaker: int) -> list[int]:
        """Ids of `[speaker] phonemes [BOS]`: what generation starts from."""
        return [self.first_speaker + speaker, *phonemes, self.bos]

    def prefix_positions(self, phonemes: Sequence[int], clock: float) -> list[int]:
        """Rotary positions of `prefix_ids`; the token after it has position 1."""
        positions, elapsed = [0], 0.0
        for phoneme in phonemes:
            duration = self.durations[phoneme] * clock
            positions.append(1 + round(elapsed + duration / 2))
            elapsed += duration
        return [*positions, 0]


@dataclass(frozen=True)
class Item:
    """One utterance to learn. `starts` are phoneme times in seconds, when they are known."""

    speaker: int
    phonemes: tuple[int, ...]
    tokens: tuple[int, ...]
    clock: float
    starts: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.phonemes) + len(self.tokens) + 3


@dataclass(frozen=True)
class Batch:
    """Right-padded rows, all (b, t). `labels` are aligned with `ids` (not shifted).

    `lowest_key`, `highest_key` and `is_query` say which phonemes each position is expected to
    attend to; they are used by guided attention alone.
    """

    ids: Tensor
    labels: Tensor
    positions: Tensor
    attention_mask: Tensor
    is_query: Tensor
    lowest_key: Tensor
    highest_key: Tensor


def build(config: LanguageModelConfig, vocabulary: Vocabulary) -> Qwen2ForCausalLM:
    """An untrained model; embedding and output weights are tied."""
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=vocabulary.size,
            hidden_size=config.width,
            intermediate_size=config.feed_forward,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.heads,
            max_position_embeddings=4096,
            tie_word_embeddings=True,
            use_sliding_window=False,
            pad_token_id=vocabulary.pad,
            bos_token_id=vocabulary.bos,
            eos_token_id=vocabulary.eos,
        )
    )


def collate(
    items: Sequence[Item],
    vocabulary: Vocabulary,
    draw: random.Random | None = None,
    clock_jitter: float = 0.0,
) -> Batch:
    """A batch of utterances. With `draw`, clocks are jittered by a log-normal `clock_jitter`."""
    width = max(len(item) for item in items)
    shape = (len(items), width)
    ids = torch.full(shape, vocabulary.pad)
    labels = torch.full(shape, IGNORED)
    positions, attention_mask, lowest, highest = (torch.zeros(shape).long() for _ in range(4))
    is_query = torch.zeros(shape, dtype=torch.bool)
    for row, item in enumerate(items):
        start, end = len(item.phonemes) + 2, len(item)
        clock = item.clock
        if draw is not None and clock_jitter:
            clock *= math.exp(draw.gauss(0, clock_jitter))
        prefix = vocabulary.prefix_ids(item.phonemes, item.speaker)
        speech = [vocabulary.first_token + token for token in item.tokens] + [vocabulary.eos]
        ids[row, :end] = torch.tensor(prefix + speech)
        labels[row, start:end] = ids[row, start:end]
        attention_mask[row, :end] = 1
        positions[row, :start] = torch.tensor(vocabulary.prefix_positions(item.phonemes, clock))
        positions[row, start:] = torch.arange(1, width - start + 1)
        if item.starts:
            low, high = _expected_phonemes(item)
            is_query[row, start - 1 : end - 1] = True
            lowest[row, start - 1 : end - 1] = low + 1
            highest[row, start - 1 : end - 1] = high + 1
    return Batch(ids, labels, positions, attention_mask, is_query, lowest, highest)


def _expected_phonemes(item: Item, token_s: float = 0.04) -> tuple[Tensor, Tensor]:
    """First and last phoneme spoken during each predicted token (EOS included)."""
    starts = torch.tensor(item.starts)
    begin = torch.arange(len(item.tokens) + 1) * token_s
    last = len(item.phonemes) - 1
    low = torch.searchsorted(starts, begin, right=True) - 1
    high = torch.searchsorted(starts, begin + token_s, right=True) - 1
    return low.clamp(0, last), high.clamp(0, last)


class GuidedAttention:
    """Keeps queries and keys of one head in some layers, to say where that head attends.

    After Tachibana et al. (2017), with true phoneme times in place of a diagonal. Training only.
    """

    def __init__(self, model: Qwen2ForCausalLM, layers: tuple[int, ...] = (1, 2)) -> None:
        self._model = model
        self._layers = layers
        self._kept: dict[tuple[int, str], Tensor] = {}
        for layer in layers:
            attention = model.model.layers[layer].self_attn
            for name in ("q_proj", "k_proj"):
                getattr(attention, name).register_forward_hook(self._keeper(layer, name))

    def _keeper(self, layer: int, name: str) -> Any:
        def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            self._kept[layer, name] = output

        return keep

    def loss(self, batch: Batch) -> Tensor:
        """Mean negative log attention mass of head 0 on the phonemes being spoken."""
        config = self._model.config
        size = config.hidden_size // config.num_attention_heads
        keys = torch.arange(batch.ids.shape[1])[None, None]
        is_future = keys > keys.transpose(1, 2)
        is_elsewhere = (keys < batch.lowest_key[..., None]) | (keys > batch.highest_key[..., None])
        total = torch.zeros(())
        for layer in self._layers:
            query, key = (self._kept[layer, name][..., :size].float() for name in ("q_proj", "k_proj"))
            cos, sin = self._model.model.rotary_emb(query, batch.positions)
            query, key = _rotate(query, cos, sin), _rotate(key, cos, sin)
            scores = (query @ key.transpose(1, 2) / math.sqrt(size)).masked_fill(is_future, -1e9)
            mass = scores.masked_fill(is_elsewhere, -1e9).logsumexp(-1) - scores.logsumexp(-1)
            total = total - (mass * batch.is_query).sum() / batch.is_query.sum().clamp(min=1)
        return total / len(self._layers)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


def loss(
    model: nn.Module,
    batch: Batch,
    guide: GuidedAttention | None = None,
    guide_weight: float = 0.3,
    table: Tensor | None = None,
) -> dict[str, Tensor]:
    """Named parts of the loss, `total` among them: `tokens` is the cross entropy in nats.

    `model` is the Qwen2 model or PEFT's wrapper of it. `table` (vocabulary, width) replaces the
    embedding and output weights (used while the table is factorised, see `FactorisedTable`).
    """
    core = _core(model)
    weight = core.model.embed_tokens.weight if table is None else table
    hidden = core.model(
        inputs_embeds=functional.embedding(batch.ids, weight),
        position_ids=batch.positions,
        attention_mask=batch.attention_mask,
        use_cache=False,
    ).last_hidden_state
    chosen = batch.labels[:, 1:] != IGNORED
    labels = batch.labels[:, 1:][chosen]
    logits = (hidden[:, :-1][chosen] @ weight.T.to(hidden.dtype)).float()
    parts = {"tokens": functional.cross_entropy(logits, labels)}
    parts["accuracy"] = (logits.argmax(-1) == labels).float().mean().detach()
    parts["total"] = parts["tokens"]
    if guide is not None:
        parts["guide"] = guide.loss(batch)
        parts["total"] = parts["total"] + guide_weight * parts["guide"]
    return parts


def _core(model: nn.Module) -> Qwen2ForCausalLM:
    inner: Any = model
    while not isinstance(inner, Qwen2ForCausalLM):
        inner = inner.base_model.model if hasattr(inner, "base_model") else inner.module
    return inner


class FactorisedTable(nn.Module):
    """The embedding table while it is trained: a token's row plus a sum over its FSQ digits.

    Tokens that share digits share what is learned about them. `folded` gives the plain table that
    is stored; nothing of this remains in the trained model.
    """

    digit_rows: Tensor

    def __init__(self, model: Qwen2ForCausalLM, vocabulary: Vocabulary, digits: Tensor) -> None:
        """`digits` (tokens, dims) are the FSQ digits of every token."""
        super().__init__()
        self.rows = model.model.embed_tokens.weight
        self._first_token = vocabulary.first_token
        sizes = digits.max(0).values + 1
        offsets = torch.cat([torch.zeros(1).long(), sizes.cumsum(0)[:-1]])
        self.register_buffer("digit_rows", digits + offsets, persistent=False)
        self.digits = nn.Parameter(torch.randn(int(sizes.sum()), self.rows.shape[1]) * 0.02)

    def folded(self) -> Tensor:
        """The table (vocabulary, width), with gradients."""
        shared = self.digits[self.digit_rows].sum(1)
        return torch.cat([self.rows[: self._first_token], self.rows[self._first_token :] + shared])
