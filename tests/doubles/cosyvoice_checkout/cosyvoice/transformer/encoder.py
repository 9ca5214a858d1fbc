"""A stand-in, for tests: upstream's own layers, with relative positions and a cache of keys and values."""

import math

import torch
from torch import nn


class _Positions(nn.Module):
    """Distances from far behind to far ahead, kept for so many positions and made for more when asked."""

    def __init__(self, width, most=40):
        super().__init__()
        self.width, self.pe = width, None
        self.extend_pe(torch.zeros(1, most))

    def extend_pe(self, x):
        if self.pe is not None and self.pe.shape[1] >= 2 * x.shape[1] - 1:
            self.pe = self.pe.to(x)
            return
        away = torch.arange(x.shape[1] - 1, -x.shape[1], -1.0)[:, None]
        turns = away * torch.exp(torch.arange(0, self.width, 2) * (-math.log(10_000.0) / self.width))
        self.pe = torch.cat([turns.sin(), turns.cos()], dim=1)[None].to(x)

    def forward(self, x, offset=0):
        self.extend_pe(x)
        return x * math.sqrt(self.width), self.position_encoding(offset, x.shape[1])

    def position_encoding(self, offset, size):
        middle = self.pe.shape[1] // 2
        return self.pe[:, middle - size - offset + 1 : middle + size + offset]


class _Embed(nn.Module):
    def __init__(self, inputs, width, legacy):
        super().__init__()
        self.out = nn.Sequential(nn.Linear(inputs, width), nn.LayerNorm(width), nn.Dropout(0.1))
        self.legacy, self.pos_enc = legacy, _Positions(width)

    def forward(self, x, mask, offset=0):
        x = self.out(x)
        x, positions = self.pos_enc(torch.relu(x) if self.legacy else x, offset)
        return x, positions, mask

    def position_encoding(self, offset, size):
        return self.pos_enc.position_encoding(offset, size)


class _Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.linear_q, self.linear_k, self.linear_v, self.linear_out = (nn.Linear(width, width) for _ in range(4))
        self.linear_pos = nn.Linear(width, width, bias=False)

    def forward(self, x, mask, positions, cache):
        q, k, v = (
            one(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for one in (self.linear_q, self.linear_k, self.linear_v)
        )
        if cache.shape[0] > 0:
            before_k, before_v = cache.chunk(2, dim=-1)
            k, v = torch.cat([before_k, k], dim=2), torch.cat([before_v, v], dim=2)
        kept = torch.cat([k, v], dim=-1)
        new, seen = q.shape[2], k.shape[2]
        assert new in (1, seen), "positions of some new ones after others are not what upstream computes"
        p = self.linear_pos(positions).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        own = torch.arange(seen - new, seen, device=x.device)[:, None]
        distance = seen - 1 - (own - torch.arange(seen, device=x.device))  # a place among the positions
        by_place = (q @ p.transpose(-2, -1)).gather(3, distance.expand(*q.shape[:2], -1, -1))
        scores = (q @ k.transpose(-2, -1) + by_place) / math.sqrt(q.shape[-1])
        hidden = ~mask[:, None].bool()
        said = scores.masked_fill(hidden, -torch.inf).softmax(-1).masked_fill(hidden, 0.0) @ v
        return self.linear_out(said.transpose(1, 2).flatten(2)), kept


class _FeedForward(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.w_1, self.w_2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x):
        return self.w_2(torch.relu(self.w_1(x)))


class _Layer(nn.Module):
    def __init__(self, width, heads, inner):
        super().__init__()
        self.self_attn, self.feed_forward = _Attention(width, heads), _FeedForward(width, inner)
        self.norm1, self.norm2, self.dropout = nn.LayerNorm(width), nn.LayerNorm(width), nn.Dropout(0.1)

    def forward(self, x, mask, positions, mask_pad=None, att_cache=None, cnn_cache=None):
        cache = torch.zeros(0, 0, 0, 0) if att_cache is None else att_cache
        said, kept = self.self_attn(self.norm1(x), mask, positions, cache)
        x = x + self.dropout(said)
        return x + self.dropout(self.feed_forward(self.norm2(x))), mask, kept, None


class _Encoder(nn.Module):
    def __init__(self, input_size, output_size, attention_heads, linear_units, num_blocks, static_chunk_size=0, **told):
        super().__init__()
        self.size, self.normalize_before, self.is_causal = output_size, True, static_chunk_size == 1
        self.embed = _Embed(input_size, output_size, told["input_layer"] == "linear_legacy")
        self.encoders = nn.ModuleList([_Layer(output_size, attention_heads, linear_units) for _ in range(num_blocks)])
        self.after_norm = nn.LayerNorm(output_size)

    def output_size(self):
        return self.size

    def forward(self, xs, xs_lens, decoding_chunk_size=0, num_decoding_left_chunks=-1):
        length = xs.shape[1]
        there = (torch.arange(length, device=xs.device)[None] < xs_lens.to(xs.device)[:, None])[:, None]
        mask = there.expand(-1, length, -1)
        if self.is_causal:
            mask = mask & torch.ones(length, length, dtype=torch.bool, device=xs.device).tril()
        xs, positions, _ = self.embed(xs, there)
        for layer in self.encoders:
            xs, *_ = layer(xs, mask, positions)
        return self.after_norm(xs), there


class ConformerEncoder(_Encoder):
    """Upstream's without convolutions, which is how the yaml has it."""


class TransformerEncoder(_Encoder):
    """Upstream's decoder-to-be: causal by its yaml."""
