"""The voice activity detector: the network is Silero's, its stretches are the package's, and noise is no speech."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.audit import voice_activity
from tests.audit.speech import RATE, Spoken


@pytest.fixture(scope="module", name="theirs")
def _theirs() -> object:
    """The package's own model, frame by frame, with the weights that are read here."""
    import torch
    from safetensors.torch import load_file
    from silero_vad import load_silero_vad

    model = load_silero_vad()
    weights = load_file(voice_activity._weights_file())
    state = dict(model.state_dict())
    names = {
        f"_model.encoder.{n}.reparam_conv.{kind}": f"conv{n + 1}.{kind}"
        for n in range(4)
        for kind in ("weight", "bias")
    }
    names |= {
        f"_model.decoder.rnn.{name}": f"lstm_cell.{name}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    names |= {f"_model.decoder.decoder.2.{kind}": f"final_conv.{kind}" for kind in ("weight", "bias")}
    with torch.no_grad():
        for name, ours in names.items():
            state[name].copy_(weights[ours])
        assert torch.equal(state["_model.stft.forward_basis_buffer"], weights["stft_conv.weight"])
    return model


def test_the_network_is_sileros(theirs: object, spoken: list[Spoken]) -> None:
    """All frames at once give what the package's model gives frame by frame with the same weights."""
    import torch

    assert callable(theirs)
    samples = np.concatenate([one.samples for one in spoken[:12]])
    samples = samples[: len(samples) - 100]  # a last frame that is not whole
    theirs.reset_states()  # type: ignore[attr-defined]
    frames = np.zeros(-(-len(samples) // 512) * 512, np.float32)
    frames[: len(samples)] = samples
    expected = [theirs(torch.from_numpy(frame), RATE).item() for frame in frames.reshape(-1, 512)]
    ours = voice_activity.probabilities(samples)
    assert len(ours) > voice_activity._BLOCK, "the state must be carried from block to block"
    np.testing.assert_allclose(ours, expected, atol=1e-4)


@given(arrays(np.float32, st.integers(0, 80), elements=st.floats(0, 1, width=32)), st.integers(0, 511))
def test_stretches_are_the_packages(chances: np.ndarray, missing: int) -> None:
    """From the same probabilities come the same stretches as the package makes of them."""
    from silero_vad import get_speech_timestamps_from_probs

    length = max(0, len(chances) * 512 - missing)
    expected = get_speech_timestamps_from_probs(chances.tolist(), audio_length_samples=length)
    ours = voice_activity.stretches(chances, length)
    assert [(round(a * RATE), round(b * RATE)) for a, b in ours] == [(one["start"], one["end"]) for one in expected]


def test_speech_is_found_where_it_is(spoken: list[Spoken]) -> None:
    """A second of nothing before and after a sentence is not speech, and the sentence is."""
    second = np.zeros(RATE, np.float32)
    found = voice_activity.speech(np.concatenate([second, spoken[3].samples, second]))
    seconds = len(spoken[3].samples) / RATE
    assert found[0][0] == pytest.approx(1.15, abs=0.15)
    assert found[-1][1] == pytest.approx(1.0 + seconds, abs=0.3)


def test_what_is_no_speech() -> None:
    """Silence, noise, a tone and chords are none."""
    time = np.arange(4 * RATE) / RATE
    noise = np.random.default_rng(0).standard_normal(len(time))
    chords = sum(0.05 * np.sin(2 * np.pi * hz * time) * np.exp(-3 * (2 * time % 1)) for hz in (220, 277, 330, 440))
    for samples in (0 * time, 0.1 * noise, 0.001 * noise, 0.3 * np.sin(1256 * time), chords, time[:0]):
        assert voice_activity.speech(samples.astype(np.float32)) == ()


def test_the_package_is_not_imported(repository: Path) -> None:
    """Importing it would load torch and set its threads to one for the whole app."""
    code = (
        "import sys, numpy; from engine.audit import voice_activity as v; v.speech(numpy.zeros(16000, 'float32'));"
        "print([m for m in ('torch', 'silero_vad', 'onnxruntime', 'torchcodec', 'torchaudio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
