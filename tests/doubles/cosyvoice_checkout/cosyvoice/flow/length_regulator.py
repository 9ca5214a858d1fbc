"""A stand-in, for tests: tokens stretched to so many frames, a prompt's apart from what follows it."""

import torch
from torch import nn
from torch.nn import functional


class InterpolateRegulator(nn.Module):
    def __init__(self, channels, sampling_ratios):
        super().__init__()
        self.model = nn.Sequential(nn.Conv1d(channels, channels, 3, 1, 1), nn.Mish(), nn.Conv1d(channels, channels, 1))

    def forward(self, x, ylens):
        mask = (torch.arange(int(ylens.max()), device=x.device)[None] < ylens[:, None])[..., None]
        return self.model(_stretched(x, int(ylens.max()))).transpose(1, 2) * mask, ylens

    def inference(self, x1, x2, mel_len1, mel_len2, input_frame_rate=50):
        pieces = [_stretched(x2, mel_len2)]
        if x1.shape[1]:
            pieces.insert(0, _stretched(x1, mel_len1))
        return self.model(torch.cat(pieces, dim=2)).transpose(1, 2), mel_len1 + mel_len2


def _stretched(x, frames):
    return functional.interpolate(x.transpose(1, 2), size=frames, mode="linear")
