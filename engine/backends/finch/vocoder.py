"""The vocoder: cepstra, F0 and voicing to a waveform, by a source-filter model.

A band-limited pulse train at F0 and white noise are each filtered in the short-time Fourier domain.
The filters start from the spectral envelope that the cepstra describe; a small net learns what to
add to it. F0 is explicit, so a voice's pitch moves continuously with its features. The noise is
drawn from a generator that the caller passes, so a clip depends on its own seed alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.backends.finch import acoustics
from engine.backends.finch.acoustics import CEPSTRA, FEATURES, HOP, SAMPLE_RATE, Normalisation
from engine.backends.finch.layers import ConvNeXtBlock

_FFT = 640
_BINS = _FFT // 2 + 1
_STFT_GAIN = 16.0
_HIGHEST_HARMONIC_HZ = 7800.0
_LOG_GAIN_RANGE = (-14.0, 6.0)
_HARMONIC_START = 1.96


@dataclass(frozen=True)
class VocoderConfig:
    """Sizes of the net that refines the two filters."""

    width: int = 128
    blocks: int = 4
    kernel: int = 7


class Vocoder(nn.Module):
    """Features (b, frames, 30) and noise (b, (frames - 1) * 160) to samples of the same length."""

    envelope: Tensor
    window: Tensor

    def __init__(self, config: VocoderConfig, normalisation: Normalisation) -> None:
        super().__init__()
        self.normalisation = normalisation
        self.input_projection = nn.Linear(FEATURES, config.width)
        self.blocks = nn.ModuleList(ConvNeXtBlock(config.width, config.kernel) for _ in range(config.blocks))
        self.harmonic_filter = nn.Linear(config.width, _BINS)
        self.noise_filter = nn.Linear(config.width, _BINS)
        for layer, start in ((self.harmonic_filter, _HARMONIC_START), (self.noise_filter, 0.0)):
            nn.init.zeros_(layer.weight)
            nn.init.constant_(layer.bias, start)
        envelope = acoustics.cosine_basis().T @ _mel_to_linear()
        self.register_buffer("envelope", envelope, persistent=False)
        self.register_buffer("window", torch.hann_window(_FFT), persistent=False)

    def forward(self, features: Tensor, noise: Tensor) -> Tensor:
        """Samples at 16 kHz. `features` are raw (see `acoustics.features`), `noise` is N(0, 1)."""
        length = (features.shape[1] - 1) * HOP
        cepstra = features[..., :CEPSTRA]
        voicing = features[..., acoustics.VOICING_COLUMN, None]
        hidden = self.input_projection(self.normalisation.decoder_target(features))
        for block in self.blocks:
            hidden = block(hidden)
        base = cepstra @ self.envelope
        harmonic = (base + self.harmonic_filter(hidden).float()).clamp(*_LOG_GAIN_RANGE).exp()
        breath = (base + self.noise_filter(hidden).float()).clamp(*_LOG_GAIN_RANGE).exp()
        pulses = pulse_train(features[..., acoustics.F0_COLUMN].exp(), length)
        spectrum = self._stft(pulses) * harmonic * voicing + self._stft(noise) * breath
        return torch.istft(spectrum.transpose(1, 2), _FFT, HOP, _FFT, self.window, center=True, length=length)

    def _stft(self, samples: Tensor) -> Tensor:
        spectrum = torch.stft(samples, _FFT, HOP, _FFT, self.window, center=True, return_complex=True)
        return spectrum.transpose(1, 2) / _STFT_GAIN

    @torch.inference_mode()
    def vocode(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """Samples ((frames - 1) * 160,) of one utterance's raw features (frames, 30)."""
        noise = torch.randn((features.shape[0] - 1) * HOP, generator=generator)
        samples: Tensor = self(features[None], noise[None].to(features.device))[0]
        return samples


def pulse_train(f0_hz: Tensor, length: int) -> Tensor:
    """A band-limited pulse train (b, length) of unit power from F0 (b, frames) in Hz.

    The sum of N cosines has the closed form sin((N + 1/2) x) / (2 sin(x / 2)) - 1/2 (the Dirichlet
    kernel); N is the number of harmonics below 7800 Hz.
    """
    smooth = functional.interpolate(f0_hz[:, None], size=length, mode="linear", align_corners=True)
    f0 = smooth[:, 0]
    phase = (torch.cumsum(f0.double() / SAMPLE_RATE, 1) % 1.0).float()
    harmonics = torch.floor(_HIGHEST_HARMONIC_HZ / f0).clamp(min=1)
    angle = 2 * math.pi * phase
    half = torch.sin(angle / 2)
    is_safe = half.abs() > 1e-4
    safe = torch.where(is_safe, half, torch.ones_like(half))
    kernel = torch.sin((harmonics + 0.5) * angle) / (2 * safe) - 0.5
    return torch.where(is_safe, kernel, harmonics) * torch.sqrt(2.0 / harmonics)


def _mel_to_linear() -> Tensor:
    """Linear interpolation of 60 log mel bands onto the 321 bins of the vocoder's STFT."""
    centres = acoustics.mel_centres_hz()
    bins = torch.linspace(0, SAMPLE_RATE / 2, _BINS).clamp(float(centres[0]), float(centres[-1]))
    above = torch.searchsorted(centres, bins).clamp(1, len(centres) - 1)
    weight = (bins - centres[above - 1]) / (centres[above] - centres[above - 1])
    matrix = torch.zeros(len(centres), _BINS)
    matrix[above - 1, torch.arange(_BINS)] = 1 - weight
    matrix[above, torch.arange(_BINS)] += weight
    return matrix


def spectral_loss(made: Tensor, true: Tensor) -> Tensor:
    """Multi-resolution STFT loss (Yamamoto et al. 2020): log magnitude L1 + spectral convergence."""
    total = torch.zeros(())
    for size, hop in ((1024, 256), (512, 128), (256, 64), (2048, 512)):
        window = torch.hann_window(size)
        a, b = (torch.stft(x, size, hop, size, window, return_complex=True).abs().clamp(min=1e-5) for x in (made, true))
        total = total + (a.log() - b.log()).abs().mean() + (a - b).norm() / b.norm()
    return total / 4
