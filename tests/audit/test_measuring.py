"""One row as numbers: equal audio has equal content, nothing is raised, and no samples stay behind."""

from __future__ import annotations

import dataclasses
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.audit import measuring
from engine.types import Utterance
from tests.audit.speech import RATE, Spoken


def utterance(path: Path, text: str = "hello there", **fields: object) -> Utterance:
    return Utterance(id=path.stem, audio_path=path, text=text, **fields)  # type: ignore[arg-type]


def test_a_row_is_measured(spoken: list[Spoken], tmp_path: Path) -> None:
    """Every number of a sound row is there, and the row learns what its header says."""
    soundfile.write(tmp_path / "a.flac", spoken[0].samples, RATE)
    facts = measuring.measure(utterance(tmp_path / "a.flac", spoken[0].text))
    found = facts.measurement
    assert found is not None
    assert (facts.utterance.sample_rate, facts.utterance.channels) == (RATE, 1)
    assert found.duration_sec == facts.utterance.duration_sec == pytest.approx(len(spoken[0].samples) / RATE)
    assert 8 < found.characters_per_sec < 20
    assert found.speech_sec == pytest.approx(sum(end - start for start, end in facts.speech))
    assert -40 < found.loudness_lufs < -10
    assert all(math.isfinite(getattr(found, field.name)) for field in dataclasses.fields(found) if field.name != "row")
    assert facts.fingerprint is not None
    assert facts.voice is not None


def test_equal_samples_have_equal_content(spoken: list[Spoken], tmp_path: Path) -> None:
    """The container does not matter; a single step of one sample, or another rate, does."""
    samples = spoken[0].samples
    soundfile.write(tmp_path / "a.flac", samples, RATE)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="PCM_16")
    soundfile.write(tmp_path / "stereo.wav", np.stack([samples, samples], axis=1), RATE)
    soundfile.write(tmp_path / "rate.wav", samples, 2 * RATE)
    other = samples.copy()
    other[1000] += 2 / 32768
    soundfile.write(tmp_path / "other.wav", other, RATE)
    names = ("a.flac", "a.wav", "stereo.wav", "rate.wav", "other.wav")
    flac, wav, stereo, rate, changed = (measuring.measure(utterance(tmp_path / name)).content_sha256 for name in names)
    assert flac == wav == stereo
    assert len({flac, rate, changed}) == 3


@pytest.mark.parametrize(
    ("content", "check"),
    [(None, "missing"), (b"", "unreadable"), (b"hello", "unreadable"), (b"RIFF\0\0\0\0WAVE", "unreadable")],
)
def test_what_cannot_be_read_is_a_fault(tmp_path: Path, content: bytes | None, check: str) -> None:
    """A file that is not there and one that is of no use are told apart, and neither stops the others."""
    path = tmp_path / "x.wav"
    if content is not None:
        path.write_bytes(content)
    facts = measuring.measure(utterance(path))
    assert (facts.fault_check, facts.measurement) == (check, None)
    assert str(path) in facts.fault


@pytest.mark.parametrize("count", [1, 2, 100, 5000, 8000])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_clips_of_any_length_are_measured(tmp_path: Path, count: int, rate: int) -> None:
    """A single sample is a clip, too."""
    soundfile.write(tmp_path / "x.wav", 0.1 * np.random.default_rng(0).standard_normal(count), rate)
    facts = measuring.measure(utterance(tmp_path / "x.wav"))
    assert facts.fault == ""
    assert facts.measurement is not None


def test_an_endless_row_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours in one row would fill the memory and no backend takes them: its header is enough."""
    soundfile.write(tmp_path / "x.wav", np.zeros(8_000), 8_000)
    monkeypatch.setattr(measuring, "LONGEST_SEC", 0.5)
    facts = measuring.measure(utterance(tmp_path / "x.wav"))
    assert (facts.fault, facts.measurement) == ("", None)
    assert facts.utterance.duration_sec == 1.0


def test_no_samples_stay_behind(spoken: list[Spoken], tmp_path: Path) -> None:
    """What is kept of a row grows by its fingerprint's 250 bytes a second and not by its samples' 32,000."""
    samples = np.concatenate([one.samples for one in spoken[:15]])
    sizes = []
    for seconds in (10, 40):
        soundfile.write(tmp_path / f"{seconds}.wav", samples[: seconds * RATE], RATE)
        sizes.append(len(pickle.dumps(measuring.measure(utterance(tmp_path / f"{seconds}.wav")))))
    assert sizes[0] < 8_000
    assert (sizes[1] - sizes[0]) / 30 < 600
