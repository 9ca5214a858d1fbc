"""LoRA training of Finch: examples, losses that fall, scale 0 as the base, F0 that follows the scale."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.backends.finch import language_model as lm
from engine.backends.finch import tuning, weights
from engine.backends.finch.codec import FRAMES_PER_TOKEN, decoder_loss
from engine.backends.finch.pretrain.evaluate_tuning import recordings
from engine.backends.finch.pretrain.tune import (
    TuningConfig,
    set_scale,
    tune_decoder,
    tune_language_model,
)

FOLDER = Path(__file__).parents[3] / "assets" / "finch"
SPEAKER = 0


@pytest.fixture(scope="module")
def finch() -> weights.Finch:
    return weights.load(FOLDER)


@pytest.fixture(scope="module")
def data(finch: weights.Finch) -> tuning.VoiceData:
    return tuning.prepare(finch, recordings("belinda", 0.4))


def test_an_example_has_four_target_frames_a_token(data: tuning.VoiceData) -> None:
    for example in data.examples:
        assert example.target.shape == (len(example.tokens) * FRAMES_PER_TOKEN, 30)
    assert 0.8 < data.clock < 1.3


def test_crops_are_aligned_and_short_utterances_padded(data: tuning.VoiceData) -> None:
    example = data.examples[0]
    longer = len(example.tokens) + 10
    tokens, target = tuning.decoder_crops([example], 2, longer, random.Random(0))
    assert tokens.shape == (2, longer)
    assert target.shape == (2, longer * FRAMES_PER_TOKEN, 30)
    assert torch.equal(tokens[0, : len(example.tokens)], example.tokens)
    assert torch.equal(target[0, : len(example.target)], example.target)
    assert (tokens[0, len(example.tokens) :] == example.tokens[-1]).all()


def test_the_clock_goes_from_the_base_to_the_voice_and_no_further() -> None:
    assert tuning.clock_at(1.0, 1.2, 0.5) == pytest.approx(1.1)
    assert tuning.clock_at(1.0, 1.2, 2.0) == pytest.approx(1.2)
    assert tuning.clock_at(1.0, 1.2, -1.0) == pytest.approx(1.0)


def test_the_language_adapter_learns_and_scale_zero_is_the_base(finch: weights.Finch, data: tuning.VoiceData) -> None:
    items = [tuning.language_item(finch, example, SPEAKER) for example in data.examples]
    before = {name: p.clone() for name, p in finch.language_model.named_parameters()}
    config = replace(TuningConfig(), lm_epochs=2)
    tuned = tune_language_model(finch, items, items[:2], config, random.Random(0))
    batch = lm.collate(items[:4], finch.config.vocabulary)
    with torch.no_grad():
        base = lm.loss(finch.language_model, batch)["tokens"]
        learned = lm.loss(tuned, batch)["tokens"]
        set_scale(tuned, 0.0)
        silent = lm.loss(tuned, batch)["tokens"]
    assert float(learned) < float(base)
    assert torch.equal(silent, base)
    assert all(torch.equal(before[n], p) for n, p in finch.language_model.named_parameters())


def test_the_decoder_adapter_moves_f0_with_its_scale(finch: weights.Finch, data: tuning.VoiceData) -> None:
    ear = weights.load_ear(FOLDER).ear
    config = replace(TuningConfig(), decoder_epochs=4)
    tuned = tune_decoder(finch, data.examples, SPEAKER, ear, config, random.Random(0))
    example = data.examples[0]
    values = finch.decoder.quantiser.values(example.tokens)[None]
    f0, losses = [], []
    for scale in (0.0, 0.5, 1.0):
        set_scale(tuned, scale)
        with torch.no_grad():
            output = tuned(values, torch.tensor([SPEAKER]))
        f0.append(float(output[0, :, 28].median()))
        parts = decoder_loss(output, example.target[None], finch.config.normalisation, ear)
        losses.append(float(parts["total"]))
    assert f0[0] < f0[1] < f0[2]
    assert losses[2] < losses[0]
    set_scale(tuned, 0.0)
    with torch.no_grad():
        assert torch.equal(
            tuned(values, torch.tensor([SPEAKER])),
            finch.decoder(values, torch.tensor([SPEAKER])),
        )
