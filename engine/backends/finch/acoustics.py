"""Acoustic features: log mel, mel cepstra, F0 and voicing at 100 frames a second, and their norms.

Knows signal processing only. All waveforms here are mono float tensors at 16 kHz in [-1, 1]; frame
`t` is centred on sample `160 t`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torchaudio
from torch import Tensor
from torch.nn import functional

SAMPLE_RATE = 16_000
HOP = 160
FRAME_RATE = SAMPLE_RATE // HOP
MEL_BANDS = 60
CEPSTRA = 28
FEATURES = CEPSTRA + 2
"""Columns of a feature matrix: 28 cepstra, log F0 (natural log of Hz), voicing (0 to 1)."""

LEVEL_RMS = 0.08

F0_COLUMN, VOICING_COLUMN = CEPSTRA, CEPSTRA + 1
_WINDOW, _FFT = 400, 512
_MEL_LOW_HZ, _MEL_HIGH_HZ = 20.0, 7800.0
_SOFT_FLOOR = 3e-5
_F0_WINDOW, _F0_LOW_HZ, _F0_HIGH_HZ = 800, 60.0, 420.0
_DEFAULT_F0_HZ = 120.0


def resample(samples: Tensor, rate_hz: int) -> Tensor:
    """`samples` (n,) at `rate_hz`, brought to 16 kHz."""
    if rate_hz == SAMPLE_RATE:
        return samples
    resampled: Tensor = torchaudio.functional.resample(samples, rate_hz, SAMPLE_RATE)
    return resampled


def normalise_level(samples: Tensor) -> Tensor:
    """`samples` scaled to an RMS of 0.08 (about -22 dBFS), the level that Finch was trained at."""
    return samples * (LEVEL_RMS / samples.square().mean().sqrt().clamp(min=1e-4))


@functools.cache
def mel_filters() -> Tensor:
    """Slaney mel filters (257 bins, 60 bands) over 20 to 7800 Hz."""
    filters: Tensor = torchaudio.functional.melscale_fbanks(
        _FFT // 2 + 1, _MEL_LOW_HZ, _MEL_HIGH_HZ, MEL_BANDS, SAMPLE_RATE, "slaney", "slaney"
    )
    return filters


@functools.cache
def mel_centres_hz() -> Tensor:
    """The centre of gravity of each mel filter, (60,) in Hz."""
    frequencies = torch.linspace(0, SAMPLE_RATE / 2, _FFT // 2 + 1)
    filters = mel_filters()
    return (filters * frequencies[:, None]).sum(0) / filters.sum(0)


@functools.cache
def cosine_basis() -> Tensor:
    """The orthonormal DCT-II from 60 log mel bands to 28 cepstra, (60, 28)."""
    basis: Tensor = torchaudio.functional.create_dct(CEPSTRA, MEL_BANDS, "ortho")
    return basis


def log_mel(samples: Tensor) -> Tensor:
    """Log mel amplitude (frames, 60) in nepers. The power floor 3e-5 is added, not clamped.

    The soft floor keeps near-silence smooth, so that no capacity goes into its details.
    """
    spectrum = torch.stft(samples, _FFT, HOP, _WINDOW, torch.hann_window(_WINDOW), center=True, return_complex=True)
    power = spectrum.abs().square().transpose(-1, -2) @ mel_filters()
    return 0.5 * torch.log(power + _SOFT_FLOOR)


def f0_track(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Log F0 and voicing (0 or 1), both (frames,), by normalised autocorrelation.

    The autocorrelation of the windowed frame is divided by that of the window (Boersma 1993); the
    shortest lag whose peak reaches 88 % of the highest one wins. Unvoiced frames hold an
    interpolated F0.
    """
    frames = samples.shape[-1] // HOP + 1
    padded = functional.pad(samples, (_F0_WINDOW // 2, _F0_WINDOW // 2 + 400))
    framed = padded.unfold(-1, _F0_WINDOW, HOP)[:frames]
    framed = framed - framed.mean(-1, keepdim=True)
    correlation, energy = _normalised_autocorrelation(framed)
    lag, peak = _best_lag(correlation)
    log_f0 = torch.log(SAMPLE_RATE / lag)
    voiced = (peak > 0.55) & (energy > 1e-4 * energy.max())
    smooth = _median5(log_f0, "replicate")
    log_f0 = torch.where((log_f0 - smooth).abs() > 0.15, smooth, log_f0)
    voicing = _median5(voiced.float(), "constant")
    return _interpolate_unvoiced(log_f0, voicing), voicing


def _normalised_autocorrelation(framed: Tensor) -> tuple[Tensor, Tensor]:
    window = torch.hann_window(_F0_WINDOW)
    size = 2048
    power = torch.fft.rfft(framed * window, size).abs().square()
    correlation = torch.fft.irfft(power, size)[:, :400]
    of_window = torch.fft.irfft(torch.fft.rfft(window, size).abs().square(), size)[:400]
    energy = correlation[:, :1]
    return correlation / (energy + 1e-6) / (of_window / of_window[0]), energy.squeeze(1)


def _best_lag(correlation: Tensor) -> tuple[Tensor, Tensor]:
    low, high = int(SAMPLE_RATE / _F0_HIGH_HZ), int(SAMPLE_RATE / _F0_LOW_HZ)
    middle = correlation[:, low:high]
    is_peak = (middle > correlation[:, low - 1 : high - 1]) & (middle >= correlation[:, low + 1 : high + 1])
    peaks = torch.where(is_peak, middle, -torch.ones_like(middle))
    highest = peaks.max(-1, keepdim=True).values
    index = ((peaks > 0.88 * highest) & (peaks > 0)).float().argmax(-1) + low
    left, centre, right = (correlation.gather(1, (index + offset)[:, None]).squeeze(1) for offset in (-1, 0, 1))
    shift = 0.5 * (left - right) / (left - 2 * centre + right - 1e-9)
    return index + shift.clamp(-1, 1), centre


def _median5(values: Tensor, padding: str) -> Tensor:
    padded = functional.pad(values[None, None], (2, 2), mode=padding)[0, 0]
    return padded.unfold(0, 5, 1).median(-1).values


def _interpolate_unvoiced(log_f0: Tensor, voicing: Tensor) -> Tensor:
    known = torch.nonzero(voicing > 0.5).squeeze(1)
    if len(known) < 3:
        return torch.full_like(log_f0, math.log(_DEFAULT_F0_HZ))
    frames = torch.arange(len(log_f0))
    after = torch.searchsorted(known, frames).clamp(max=len(known) - 1)
    before = (after - 1).clamp(min=0)
    after = torch.where(frames >= known[-1], len(known) - 1, after)
    a, b = known[before], known[after]
    weight = ((frames - a) / (b - a).clamp(min=1)).clamp(0, 1)
    return log_f0[a] * (1 - weight) + log_f0[b] * weight


def features(samples: Tensor) -> Tensor:
    """Features (frames, 30) of a waveform (n,): cepstra, log F0 (interpolated), voicing."""
    return features_from_mel(log_mel(samples), *f0_track(samples))


def features_from_mel(mel: Tensor, log_f0: Tensor, voicing: Tensor) -> Tensor:
    """Features (frames, 30) from log mel (frames, 60), log F0 and voicing (frames,)."""
    frames = min(len(mel), len(log_f0))
    cepstra = mel[:frames] @ cosine_basis()
    return torch.cat([cepstra, log_f0[:frames, None], voicing[:frames, None]], 1)


@dataclass(frozen=True)
class SpeakerStatistics:
    """What is taken off a speaker before encoding: mean cepstra (28,) and median log F0."""

    mean_cepstra: tuple[float, ...]
    median_log_f0: float

    @staticmethod
    def measure(matrix: Tensor) -> SpeakerStatistics:
        """From features (frames, 30) of one speaker; the quietest 30 % of frames do not count."""
        matrix = matrix.float()
        loud = matrix[matrix[:, 0] > matrix[:, 0].quantile(0.3)] if len(matrix) > 9 else matrix
        voiced = matrix[matrix[:, VOICING_COLUMN] > 0.5]
        median = float(voiced[:, F0_COLUMN].median()) if len(voiced) else math.log(_DEFAULT_F0_HZ)
        return SpeakerStatistics(tuple(loud[:, :CEPSTRA].mean(0).tolist()), median)


@dataclass(frozen=True)
class Normalisation:
    """Global norms: mean and standard deviation of the cepstra (28 each), F0 constants."""

    mean_cepstra: tuple[float, ...]
    std_cepstra: tuple[float, ...]
    log_f0_mean: float = math.log(130.0)
    log_f0_std: float = 0.35
    log_f0_spread: float = 0.12

    def encoder_input(self, matrix: Tensor, speaker: SpeakerStatistics) -> Tensor:
        """Speaker-normalised features (..., 30): what the tokenizer sees."""
        matrix = matrix.float()
        mean, std = _beside(matrix, speaker.mean_cepstra), _beside(matrix, self.std_cepstra)
        cepstra = (matrix[..., :CEPSTRA] - mean) / std
        f0 = (matrix[..., F0_COLUMN] - speaker.median_log_f0) / self.log_f0_spread
        voicing = matrix[..., VOICING_COLUMN] * 2 - 1
        return torch.cat([cepstra, f0[..., None], voicing[..., None]], -1)

    def decoder_target(self, matrix: Tensor) -> Tensor:
        """Globally normalised features (..., 30): what the decoder predicts. Voicing stays 0..1."""
        matrix = matrix.float()
        mean, std = _beside(matrix, self.mean_cepstra), _beside(matrix, self.std_cepstra)
        cepstra = (matrix[..., :CEPSTRA] - mean) / std
        f0 = (matrix[..., F0_COLUMN] - self.log_f0_mean) / self.log_f0_std
        return torch.cat([cepstra, f0[..., None], matrix[..., VOICING_COLUMN, None]], -1)

    def raw_cepstra(self, normalised: Tensor) -> Tensor:
        """Cepstra (..., 28) from the first 28 normalised columns of a decoder output or target."""
        cepstra = normalised[..., :CEPSTRA]
        return cepstra * _beside(cepstra, self.std_cepstra) + _beside(cepstra, self.mean_cepstra)

    def raw_features(self, output: Tensor) -> Tensor:
        """Features (..., 30) from decoder output (..., 30); its voicing column holds logits."""
        log_f0 = output[..., F0_COLUMN, None] * self.log_f0_std + self.log_f0_mean
        voicing = torch.sigmoid(output[..., VOICING_COLUMN, None])
        return torch.cat([self.raw_cepstra(output), log_f0, voicing], -1)


def _beside(x: Tensor, values: Sequence[float]) -> Tensor:
    """`values` as a tensor on the device of `x`."""
    return torch.tensor(values, device=x.device)


def median_f0_hz(samples: Tensor) -> float:
    """The median F0 of the voiced frames of a waveform in Hz; NaN when nothing is voiced."""
    log_f0, voicing = f0_track(samples)
    voiced = log_f0[voicing > 0.5]
    return float(voiced.median().exp()) if len(voiced) else math.nan
