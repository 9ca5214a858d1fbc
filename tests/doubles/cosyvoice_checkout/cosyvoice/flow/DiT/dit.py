"""A stand-in, for tests: a transformer over frames, with upstream's names of its Linears."""

import torch
from torch import nn
from torch.nn import functional


class Attention(nn.Module):
    def __init__(self, dim, heads, dim_head):
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(dim, heads * dim_head) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(heads * dim_head, dim), nn.Dropout(0.1)])

    def forward(self, x, mask):
        q, k, v = (one(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for one in (self.to_q, self.to_k, self.to_v))
        said = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask.bool()[:, None])
        return self.to_out[1](self.to_out[0](said.transpose(1, 2).flatten(2)))


class DiTBlock(nn.Module):
    def __init__(self, dim, heads, dim_head):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attn = Attention(dim, heads, dim_head)

    def forward(self, x, mask):
        return x + self.attn(self.norm(x), mask)


class DiT(nn.Module):
    def __init__(self, *, dim, depth, heads, dim_head, mel_dim, mu_dim, spk_dim, **_):
        super().__init__()
        self.time = nn.Linear(1, dim)
        self.proj = nn.Linear(2 * mel_dim + mu_dim + spk_dim, dim)
        self.transformer_blocks = nn.ModuleList([DiTBlock(dim, heads, dim_head) for _ in range(depth)])
        self.proj_out = nn.Linear(dim, mel_dim)

    def forward(self, x, mask, mu, t, spks=None, cond=None, streaming=False):
        wide = spks[:, :, None].expand(-1, -1, x.shape[2])
        hidden = self.proj(torch.cat([x, cond, mu, wide], dim=1).transpose(1, 2)) + self.time(t[:, None])[:, None]
        for block in self.transformer_blocks:
            hidden = block(hidden, mask)
        return self.proj_out(hidden).transpose(1, 2)
