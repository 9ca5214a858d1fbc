"""The length of MP3s: counted where no header says it, whatever lies before and after the frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import audio, mp3
from engine.types import BadInput

ID3 = b"ID3\x03\0\0\0\0\x02\x00" + b"\0" * 256


def headless(path: Path, rate: int, *, variable: bool) -> bytes:
    """Twenty seconds of an MP3 without its first frame, which says the length."""
    time = np.arange(20 * rate) / rate
    loud = np.where(time < 1, 0.001, 0.3) if variable else 0.3
    sound = (loud * np.random.default_rng(0).standard_normal(len(time))).clip(-1, 1)
    mode = "VARIABLE" if variable else "CONSTANT"
    soundfile.write(path, sound, rate, format="MP3", bitrate_mode=mode, compression_level=0.5)
    content = path.read_bytes()
    assert any(name in content[:200] for name in (b"Xing", b"Info"))
    size, _ = mp3._frame(content, 0)
    return content[size:]


@pytest.mark.parametrize("rate", [44_100, 16_000])
def test_a_constant_rate_is_read_whole(tmp_path: Path, rate: int) -> None:
    """Tags before and after the frames do not change the length, and all samples are read."""
    content = headless(tmp_path / "a.mp3", rate, variable=False)
    assert mp3.counted_samples(tmp_path / "a.mp3") is None
    (tmp_path / "b.mp3").write_bytes(ID3 + content + b"TAG" + b"\0" * 125)
    assert audio.probe(tmp_path / "b.mp3").duration_sec == pytest.approx(20, abs=0.2)
    assert len(audio.read(tmp_path / "b.mp3")[0]) == pytest.approx(20 * rate, abs=0.2 * rate)


def test_a_variable_rate_without_a_length_is_refused(tmp_path: Path) -> None:
    """soundfile would take it for shorter than it is and drop the end in silence."""
    (tmp_path / "a.mp3").write_bytes(headless(tmp_path / "x.mp3", 44_100, variable=True))
    counted = mp3.counted_samples(tmp_path / "a.mp3")
    assert counted == pytest.approx(20 * 44_100, abs=0.2 * 44_100)
    guessed = soundfile.info(tmp_path / "a.mp3").frames
    if guessed > 0.98 * counted:
        pytest.skip("this build of libsndfile counts by itself")
    for look in (audio.probe, audio.read):
        with pytest.raises(BadInput, match="variable bit rate and does not say how long"):
            look(tmp_path / "a.mp3")


@settings(deadline=None, max_examples=50)
@given(content=st.binary(max_size=60), tag=st.sampled_from([b"", ID3, b"\xff\xfb\x90\x00" * 3]))
def test_any_bytes_are_counted(tmp_path_factory: pytest.TempPathFactory, content: bytes, tag: bytes) -> None:
    """Counting ends, whatever the bytes."""
    path = tmp_path_factory.mktemp("m") / "a.mp3"
    path.write_bytes(tag + content)
    assert (mp3.counted_samples(path) or 0) >= 0
