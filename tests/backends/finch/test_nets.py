"""Ear, codec and vocoder on tiny random weights: shapes, masks, gradients, seeds."""

import torch

from engine.backends.finch import acoustics
from engine.backends.finch.acoustics import Normalisation
from engine.backends.finch.codec import CodecConfig, Decoder, Encoder, decoder_loss
from engine.backends.finch.ear import Ear, EarConfig, compare, fold_all
from engine.backends.finch.layers import FiniteScalarQuantiser
from engine.backends.finch.phonemes import pronounce
from engine.backends.finch.vocoder import Vocoder, VocoderConfig, spectral_loss

NORMS = Normalisation(tuple([0.0] * 28), tuple([1.0] * 28))
CODEC = CodecConfig(width=16, frame_width=8, speaker_width=4, encoder_blocks=1, decoder_blocks=1)
SEGMENTS = tuple(sorted(set(fold_all(pronounce("The cat sat on the mat.").symbols))))
EAR = EarConfig(SEGMENTS, width=16, blocks=2, kernel=5)


def test_every_token_has_its_own_values_and_back() -> None:
    quantiser = FiniteScalarQuantiser((8, 5, 5, 5))
    tokens = torch.arange(quantiser.size)
    digits = quantiser.digits(tokens)
    assert quantiser.size == 1000
    assert len(set(map(tuple, digits.tolist()))) == 1000
    assert torch.equal((digits * quantiser.basis).sum(-1), tokens)
    assert float(quantiser.values(tokens).min()) == -1
    assert float(quantiser.values(tokens).max()) == 1


def test_the_decoder_sees_what_the_encoder_rounded() -> None:
    torch.manual_seed(0)
    encoder = Encoder(CODEC)
    features = torch.randn(1, 41, acoustics.FEATURES) * 3
    values, tokens = encoder(features)
    assert tokens.shape == (1, 10)
    assert torch.allclose(values, encoder.quantiser.values(tokens), atol=1e-6)
    assert torch.equal(encoder.tokens(features[0]), tokens[0])


def test_the_decoder_makes_four_frames_a_token() -> None:
    decoder = Decoder(CODEC)
    assert decoder.decode(torch.tensor([1, 2, 3]), 5).shape == (12, acoustics.FEATURES)


def test_the_decoder_loss_is_zero_ear_loss_for_a_perfect_output_and_trains() -> None:
    torch.manual_seed(0)
    ear = Ear(EAR).requires_grad_(False)
    target = torch.randn(2, 40, acoustics.FEATURES)
    target[..., acoustics.VOICING_COLUMN] = 1.0
    output = target.clone()
    output[..., acoustics.VOICING_COLUMN] = 20.0
    parts = decoder_loss(output, target, NORMS, ear)
    assert float(parts["total"]) < 1e-4
    moved = (output + 0.1).requires_grad_(True)
    worse = decoder_loss(moved, target, NORMS, ear)
    worse["total"].backward()
    assert float(worse["ear_features"]) > 0
    assert float(worse["mel"]) > 0
    assert moved.grad is not None
    assert torch.isfinite(moved.grad).all()


def test_a_padded_row_is_heard_as_it_is_alone() -> None:
    torch.manual_seed(0)
    ear = Ear(EAR).eval()
    short, long = torch.randn(20, 60), torch.randn(60, 60)
    padded = torch.zeros(2, 60, 60)
    padded[0, :20], padded[1] = short, long
    mask = torch.ones(2, 30, 1)
    mask[0, 10:] = 0
    together = ear(padded, mask)
    assert torch.allclose(together[0, :10], ear(short[None])[0], atol=1e-5)


def test_the_vocoder_draws_its_noise_from_the_generator_it_is_given() -> None:
    vocoder = Vocoder(VocoderConfig(width=8, blocks=1), NORMS).eval()
    features = torch.zeros(50, acoustics.FEATURES)
    features[:, acoustics.F0_COLUMN] = 4.8
    state = torch.get_rng_state()
    one = vocoder.vocode(features, torch.Generator().manual_seed(7))
    two = vocoder.vocode(features, torch.Generator().manual_seed(7))
    other = vocoder.vocode(features, torch.Generator().manual_seed(8))
    assert one.shape == (49 * acoustics.HOP,)
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(state, torch.get_rng_state())


def test_the_spectral_loss_is_zero_for_equal_waves() -> None:
    wave = torch.randn(1, 8000)
    assert float(spectral_loss(wave, wave)) == 0


def test_edit_distance_counts_each_kind() -> None:
    assert compare("abcd", "abcd").rate == 0
    errors = compare("abcd", "axcde")
    assert (errors.substitutions, errors.deletions, errors.insertions) == (1, 0, 1)
    assert compare("abcd", "ad").deleted == (1, 2)
    assert compare("", "ab").insertions == 2
