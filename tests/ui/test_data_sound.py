"""The two pictures of a row's sound."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from engine.types import BadInput, NotFound
from ui import data_sound

RATE_HZ = 16_000


def opacity(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))[..., 1]


def written(path: Path, samples: np.ndarray) -> Path:
    soundfile.write(path, samples, RATE_HZ)
    return path


def test_the_wave_is_tall_where_it_is_loud(tmp_path: Path) -> None:
    """Silence is a line, sound a band, in the place where it is heard; stereo is one wave."""
    quiet, loud = np.zeros(RATE_HZ), 0.5 * np.sin(np.arange(RATE_HZ) * 0.1)
    both = np.concatenate([quiet, loud])
    path = written(tmp_path / "a.wav", np.stack([both, both], axis=1))
    inked = (opacity(data_sound.wave_png(path)) > 0).sum(axis=0)
    assert inked.shape == (data_sound.COLUMNS,)
    assert inked[: data_sound.COLUMNS // 2 - 2].max() <= 2
    assert inked[data_sound.COLUMNS // 2 + 2 :].min() > 0.8 * data_sound.WAVE_ROWS


def test_the_spectrogram_shows_the_tone(tmp_path: Path) -> None:
    """A tone of 2 kHz is darkest a quarter up from the bottom of the 8 kHz that are shown."""
    path = written(tmp_path / "a.flac", 0.5 * np.sin(2 * np.pi * 2000 * np.arange(RATE_HZ) / RATE_HZ))
    shown = opacity(data_sound.spectrum_png(path)).astype(float)
    loudest = shown.mean(axis=1).argmax()
    assert loudest / len(shown) == pytest.approx(0.75, abs=0.02)


def test_a_long_recording_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour is never in memory at once, and its second half still looks like its second half."""
    monkeypatch.setattr(data_sound, "WHOLE_SEC", 1.0)
    samples = np.concatenate([np.zeros(20 * RATE_HZ), 0.5 * np.sin(np.arange(20 * RATE_HZ) * 0.1)])
    path = written(tmp_path / "a.wav", samples)
    most = 0
    read = soundfile.SoundFile.read

    def watched(self: soundfile.SoundFile, frames: int = -1, *rest: object, **more: object) -> np.ndarray:
        nonlocal most
        found = read(self, frames, *rest, **more)
        most = max(most, len(found))
        return found

    monkeypatch.setattr(soundfile.SoundFile, "read", watched)
    inked = (opacity(data_sound.wave_png(path)) > 0).sum(axis=0)
    assert most <= RATE_HZ
    assert inked[:300].max() <= 2 < inked[-300:].min()
    assert opacity(data_sound.spectrum_png(path)).any()


def test_what_is_no_sound_is_a_sentence(tmp_path: Path) -> None:
    """A missing file and one that is no audio are told apart, each with the mend."""
    with pytest.raises(NotFound, match="put the file back"):
        data_sound.wave_png(tmp_path / "gone.wav")
    (tmp_path / "empty.wav").write_bytes(b"")
    with pytest.raises(BadInput, match="drop the row"):
        data_sound.spectrum_png(tmp_path / "empty.wav")


def test_a_recording_without_a_sample_draws_nothing(tmp_path: Path) -> None:
    """A header alone is a file too."""
    path = written(tmp_path / "none.wav", np.zeros(0))
    assert opacity(data_sound.wave_png(path)).shape[0] == data_sound.WAVE_ROWS
    data_sound.spectrum_png(path)
