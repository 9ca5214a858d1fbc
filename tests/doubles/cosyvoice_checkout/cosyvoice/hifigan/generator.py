"""A stand-in, for tests: vocoders with noise. The causal one keeps what it drew when it was built."""

import math

import torch
from torch import nn


class HiFTGenerator(nn.Module):
    def __init__(
        self, in_channels, base_channels, sampling_rate, f0_predictor, audio_limit, upsample_rates, istft_params, **_
    ):
        super().__init__()
        self.rate, self.limit, self.f0_predictor = sampling_rate, audio_limit, f0_predictor
        self.conv_pre = nn.Linear(in_channels, base_channels)
        self.hop = math.prod(upsample_rates) * istft_params["hop_len"]
        self.conv_post = nn.Linear(base_channels, self.hop)
        self.kept = None

    def _noise(self, like):
        return torch.randn_like(like) if self.kept is None else self.kept[: like.numel()].view_as(like)

    def _sound(self, feat, f0):
        shaped = self.conv_post(torch.tanh(self.conv_pre(feat.transpose(1, 2)))).flatten(1)
        tone = torch.sin(torch.cumsum(f0.repeat_interleave(self.hop, dim=1) / self.rate, dim=1) * 2 * torch.pi)
        return (0.3 * torch.tanh(shaped) + 0.1 * tone + 0.003 * self._noise(tone)).clamp(-self.limit, self.limit)

    @torch.inference_mode()
    def inference(self, speech_feat, cache_source=None):
        return self._sound(speech_feat, self.f0_predictor(speech_feat)), None


class CausalHiFTGenerator(HiFTGenerator):
    def __init__(self, **told):
        super().__init__(**told)
        self.kept = torch.rand(300 * 24_000)

    @torch.inference_mode()
    def inference(self, speech_feat, finalize=True):
        self.f0_predictor.to(torch.float64)
        return self._sound(
            speech_feat, self.f0_predictor(speech_feat.double(), finalize=finalize).to(speech_feat)
        ), None
