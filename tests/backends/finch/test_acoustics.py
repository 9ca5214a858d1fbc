"""Features: known F0, shapes, and norms that can be undone."""

import math

import pytest
import torch

from engine.backends.finch import acoustics
from engine.backends.finch.acoustics import Normalisation, SpeakerStatistics


def tone(f0_hz: float, seconds: float = 1.0) -> torch.Tensor:
    """Ten harmonics whose amplitudes fall with their number, as a voice's do."""
    time_s = torch.arange(int(seconds * 16_000)) / 16_000
    waves = [torch.sin(2 * math.pi * k * f0_hz * time_s) / k for k in range(1, 11)]
    return 0.05 * torch.stack(waves).sum(0)


@pytest.mark.parametrize("f0_hz", [75.0, 110.0, 180.0, 240.0, 330.0])
def test_the_f0_of_a_pulse_train_is_found(f0_hz: float) -> None:
    assert acoustics.median_f0_hz(tone(f0_hz)) == pytest.approx(f0_hz, rel=0.01)


def test_noise_and_silence_are_unvoiced() -> None:
    noise = torch.randn(16_000, generator=torch.Generator().manual_seed(0)) * 0.1
    assert float(acoustics.f0_track(noise)[1].mean()) < 0.05
    assert math.isnan(acoustics.median_f0_hz(torch.zeros(8000)))


def test_features_have_a_frame_for_every_ten_milliseconds() -> None:
    matrix = acoustics.features(tone(120.0))
    assert matrix.shape == (101, acoustics.FEATURES)
    assert torch.isfinite(matrix).all()


def test_level_is_normalised() -> None:
    quiet = acoustics.normalise_level(tone(120.0) * 0.01)
    assert float(quiet.square().mean().sqrt()) == pytest.approx(acoustics.LEVEL_RMS, rel=1e-3)


def test_the_decoder_target_can_be_undone() -> None:
    matrix = acoustics.features(tone(150.0))
    norms = Normalisation(tuple([0.5] * 28), tuple([2.0] * 28))
    target = norms.decoder_target(matrix)
    raw = norms.raw_features(target)
    assert torch.allclose(raw[:, :29], matrix[:, :29], atol=1e-5)


def test_encoder_input_has_no_speaker_mean_left() -> None:
    matrix = acoustics.features(tone(150.0))
    statistics = SpeakerStatistics.measure(matrix)
    norms = Normalisation(tuple([0.0] * 28), tuple([1.0] * 28))
    inputs = norms.encoder_input(matrix, statistics)
    assert float(inputs[:, acoustics.F0_COLUMN].median().abs()) < 1e-4
