"""A stand-in, for tests: what comes before the flow."""

from torch import nn
from torch.nn import functional


class PreLookaheadLayer(nn.Module):
    def __init__(self, in_channels, channels, pre_lookahead_len):
        super().__init__()
        self.conv1 = nn.Conv1d(in_channels, channels, pre_lookahead_len + 1)
        self.conv2 = nn.Conv1d(channels, in_channels, 3)
        self.ahead = pre_lookahead_len

    def forward(self, x, context=None):
        made = functional.leaky_relu(self.conv1(functional.pad(x.transpose(1, 2), (0, self.ahead))))
        return x + self.conv2(functional.pad(made, (2, 0))).transpose(1, 2)


class _SelfAttention(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.linear_q, self.linear_k, self.linear_v, self.linear_out = (nn.Linear(size, size) for _ in range(4))

    def forward(self, x):
        scores = self.linear_q(x) @ self.linear_k(x).transpose(1, 2) / x.shape[-1] ** 0.5
        return self.linear_out(scores.softmax(-1) @ self.linear_v(x))


class _Layer(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.self_attn = _SelfAttention(size)

    def forward(self, x):
        return x + self.self_attn(x)


class UpsampleConformerEncoder(nn.Module):
    def __init__(self, output_size, num_blocks, **_):
        super().__init__()
        self.size = output_size
        self.encoders = nn.ModuleList([_Layer(output_size) for _ in range(num_blocks)])

    def forward(self, x):
        for layer in self.encoders:
            x = layer(x)
        return x
