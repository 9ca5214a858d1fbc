"""The weights in the repository: they load, fit their hashes, speak and are understood."""

import shutil
from pathlib import Path

import pytest
import torch

from engine.backends.finch import weights
from engine.backends.finch.acoustics import median_f0_hz
from engine.backends.finch.phonemes import pronounce, speak
from engine.backends.finch.pretrain.data import utter
from engine.backends.finch.pretrain.sampling import Request, generate
from engine.backends.finch.pretrain.texts import HARVARD
from engine.backends.finch.pretrain.voices import BASE_VOICES, UNHEARD, espeak_voice

FOLDER = Path(__file__).parents[3] / "assets" / "finch"


@pytest.fixture(scope="module")
def finch() -> weights.Finch:
    return weights.load(FOLDER)


def test_everything_together_is_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 20e6


def test_half_precision_and_nothing_trainable(finch: weights.Finch) -> None:
    nets = (finch.language_model, finch.encoder, finch.decoder, finch.vocoder)
    assert not any(p.requires_grad for net in nets for p in net.parameters())
    assert all(torch.equal(p, p.half().float()) for net in nets for p in net.parameters())


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "finch")
    path = tmp_path / "finch" / "vocoder.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(weights.BrokenWeights, match="altered"):
        weights.load(tmp_path / "finch")
    path.unlink()
    with pytest.raises(weights.BrokenWeights, match="missing"):
        weights.load(tmp_path / "finch")


def test_an_unknown_voice_is_named_with_the_known_ones(finch: weights.Finch) -> None:
    with pytest.raises(KeyError, match="reed"):
        finch.config.voice("nobody")


@pytest.mark.parametrize(("name", "most"), [("ear", 0.03), ("second_ear", 0.04)])
def test_the_ears_understand_the_base_voices(name: str, most: float) -> None:
    listener = weights.load_ear(FOLDER, name)
    rates = []
    for index, base in enumerate(BASE_VOICES):
        spoken = utter(HARVARD[index], espeak_voice(base, 165))
        rates.append(listener.errors(spoken.samples, spoken.pronunciation.symbols).rate)
    assert sum(rates) / len(rates) <= most


def test_the_ear_understands_an_unheard_voice() -> None:
    listener = weights.load_ear(FOLDER)
    rates = []
    for voice in UNHEARD.values():
        for text in HARVARD[10:16]:
            spoken = utter(text, voice)
            rates.append(listener.errors(spoken.samples, spoken.pronunciation.symbols).rate)
    assert sum(rates) / len(rates) <= 0.1


def test_every_base_voice_is_understood_and_has_its_pitch(finch: weights.Finch) -> None:
    listener = weights.load_ear(FOLDER)
    config = finch.config
    symbols = pronounce("The boy was there when the sun rose. Two blue fish swam.").symbols
    phonemes = tuple(config.inventory.encode(symbols))
    requests = [Request(phonemes, v.speaker, v.clock, seed=5) for v in config.voices]
    made = generate(finch.language_model, config.vocabulary, requests, config.sampling)
    rates = []
    for voice, result in zip(config.voices, made, strict=True):
        samples = finch.render(result.tokens, voice.speaker, torch.Generator().manual_seed(0))
        rates.append(listener.errors(samples, symbols).rate)
        assert median_f0_hz(samples) == pytest.approx(voice.f0_hz, rel=0.15)
    assert all(result.finished for result in made)
    assert sum(rates) / len(rates) <= 0.2


def test_the_inventory_covers_what_espeak_says(finch: weights.Finch) -> None:
    for text in HARVARD:
        assert finch.config.inventory.encode(speak(text)[0].symbols)
