"""Audio files: what is read is what was written, faults are one sentence, and no half file is ever seen."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine import audio
from engine.types import BadInput


def tone(seconds: float = 1.0, rate: int = 16_000, hz: float = 220.0, level: float = 0.5) -> NDArray[np.float32]:
    time = np.arange(int(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hz * time)).astype(np.float32)


@pytest.mark.parametrize("suffix", [".flac", ".wav"])
def test_what_is_written_is_read_back(tmp_path: Path, suffix: str) -> None:
    """16-bit files return the samples to within one quantisation step, with their rate."""
    path = tmp_path / f"tone{suffix}"
    audio.write(path, tone(), 16_000)
    samples, rate = audio.read(path)
    assert rate == 16_000
    assert samples.dtype == np.float32
    assert np.abs(samples - tone()).max() <= 1 / 32767
    assert audio.probe(path) == audio.AudioInfo(sample_rate=16_000, channels=1, duration_sec=1.0)


def test_channels_are_averaged(tmp_path: Path) -> None:
    """A multi-channel file is read as the mean of its channels."""
    frames = np.stack([tone(), np.zeros_like(tone())], axis=1)
    soundfile.write(tmp_path / "stereo.wav", frames, 16_000)
    samples, _ = audio.read(tmp_path / "stereo.wav")
    assert np.abs(samples - tone() / 2).max() < 1e-4


def test_resampling_keeps_pitch_and_length(tmp_path: Path) -> None:
    """Reading at another rate changes the number of samples, not the seconds nor the frequency."""
    audio.write(tmp_path / "tone.flac", tone(rate=22_050), 22_050)
    samples, rate = audio.read(tmp_path / "tone.flac", 16_000)
    assert rate == 16_000
    assert len(samples) == pytest.approx(16_000, abs=1)
    assert np.argmax(np.abs(np.fft.rfft(samples))) == pytest.approx(220, abs=1)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "does not exist"), (b"", "empty \\(0 bytes\\)"), (b"this is a text", "cannot be read as audio")],
)
def test_a_broken_file_is_one_sentence(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    """A missing, empty or foreign file is refused by name, both when probed and when read."""
    path = tmp_path / "broken.wav"
    if content is not None:
        path.write_bytes(content)
    for look in (audio.probe, audio.read):
        with pytest.raises(BadInput, match=f"broken.wav.*{sentence}"):
            look(path)


def test_samples_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    """NaN in a float file would poison a training silently."""
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan, 0.1], dtype=np.float32), 16_000, subtype="FLOAT")
    with pytest.raises(BadInput, match="not numbers"):
        audio.read(tmp_path / "nan.wav")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When writing fails, the previous file is whole and nothing else lies beside it."""
    path = tmp_path / "clip.flac"
    audio.write(path, tone(), 16_000)
    before = path.read_bytes()

    def fail(file: str, *_: object, **__: object) -> None:
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(soundfile, "write", fail)
    with pytest.raises(OSError, match="No space"):
        audio.write(path, tone(hz=440), 16_000)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    """The kind of file is said by its suffix; one that is not written is refused before anything happens."""
    with pytest.raises(BadInput, match=r"\.flac or \.wav"):
        audio.write(tmp_path / "clip.mp3", tone(), 16_000)


def test_values_beyond_full_scale_are_clipped_not_wrapped(tmp_path: Path) -> None:
    """Overshoot becomes full scale; a wrap-around would be a loud click."""
    audio.write(tmp_path / "loud.wav", np.array([1.4, -1.4], dtype=np.float32), 16_000)
    samples, _ = audio.read(tmp_path / "loud.wav")
    assert samples == pytest.approx([1.0, -1.0], abs=1e-4)


def test_loudness_of_the_standards_reference_tone() -> None:
    """BS.1770: a 997 Hz sine at full scale in one channel measures -3.01 LUFS."""
    assert audio.loudness_lufs(tone(3.0, 48_000, 997.0, 1.0), 48_000) == pytest.approx(-3.01, abs=0.05)


@settings(deadline=None, max_examples=20)
@given(seconds=st.floats(0.01, 1.2), gain_db=st.floats(-20, 0))
def test_loudness_follows_gain_at_any_length(seconds: float, gain_db: float) -> None:
    """A gain of x dB changes the loudness by x dB, also for clips shorter than a gating block."""
    loud = tone(seconds, hz=997.0)
    quiet = (loud * 10 ** (gain_db / 20)).astype(np.float32)
    assert audio.loudness_lufs(quiet, 16_000) - audio.loudness_lufs(loud, 16_000) == pytest.approx(gain_db, abs=0.1)


def test_silence_has_no_loudness() -> None:
    """Silence and no samples at all are minus infinity, without a warning."""
    assert audio.loudness_lufs(np.zeros(16_000, dtype=np.float32), 16_000) == float("-inf")
    assert audio.loudness_lufs(np.zeros(0, dtype=np.float32), 16_000) == float("-inf")


@pytest.mark.parametrize(("from_hz", "to_hz"), [(22_050, 16_000), (8_000, 24_000), (48_000, 16_000)])
@pytest.mark.parametrize("length", [1, 7, 12_345])
def test_resampling_gives_what_librosa_gives(from_hz: int, to_hz: int, length: int) -> None:
    """Prepared data stays the same byte for byte: the resampler is librosa's, without its import."""
    import librosa

    samples = np.random.default_rng(0).standard_normal(length).astype(np.float32)
    theirs = librosa.resample(samples, orig_sr=from_hz, target_sr=to_hz, res_type="soxr_hq")
    np.testing.assert_array_equal(audio.resample(samples, from_hz, to_hz), theirs)


def test_channels_are_kept_apart_on_request(tmp_path: Path) -> None:
    """Who looks for clipping in one channel must not see the average of two."""
    both = np.stack([np.full(800, 0.5), np.full(800, -0.25)], axis=1).astype(np.float32)
    soundfile.write(tmp_path / "two.wav", both, 8_000, subtype="FLOAT")
    frames, rate = audio.read_channels(tmp_path / "two.wav")
    np.testing.assert_array_equal(frames, both)
    assert rate == 8_000


CODECS = [
    *(("a.ogg", "OGG", "VORBIS", 0.1), ("a.opus", "OGG", "OPUS", 0.1), ("a.mp3", "MP3", "MPEG_LAYER_III", 0.1)),
    *(("a.flac", "FLAC", "PCM_24", 1e-6), ("a.wav", "WAV", "FLOAT", 0), ("u8.wav", "WAV", "PCM_U8", 0.01)),
    *(("d.wav", "WAV", "DOUBLE", 1e-6), ("i.wav", "WAV", "PCM_32", 1e-6), ("l.wav", "WAV", "ULAW", 0.02)),
    *(("a.aiff", "AIFF", "PCM_16", 1e-4), ("a.caf", "CAF", "PCM_16", 1e-4)),
]


@pytest.mark.parametrize(("name", "container", "subtype", "within"), CODECS)
def test_what_people_record_in(tmp_path: Path, name: str, container: str, subtype: str, within: float) -> None:
    """Every codec that is promised is read with its rate and length, lossy ones nearly as they were."""
    soundfile.write(tmp_path / name, tone(2.0, 48_000), 48_000, format=container, subtype=subtype)
    assert audio.probe(tmp_path / name).duration_sec == pytest.approx(2.0, abs=0.05)
    samples, rate = audio.read(tmp_path / name)
    assert (rate, len(samples)) == (48_000, pytest.approx(96_000, abs=2400))
    assert np.abs(samples[4800:90_000] - tone(2.0, 48_000)[4800:90_000]).max() <= within


def test_a_long_mp3_says_how_long_it_is(tmp_path: Path) -> None:
    """The length of five minutes at a variable bit rate comes from the header without decoding."""
    with soundfile.SoundFile(tmp_path / "long.mp3", "w", 16_000, 1, format="MP3") as file:
        for second in range(300):
            file.write(tone(1.0, hz=100.0 + second) * (second % 3))
    assert audio.probe(tmp_path / "long.mp3").duration_sec == pytest.approx(300, abs=0.2)


def streamed(path: Path, size: int) -> Path:
    """A WAV whose header says `size` bytes of samples, as recorders leave it that were never closed."""
    soundfile.write(path, tone(), 16_000)
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = size.to_bytes(4, "little")
    path.write_bytes(content)
    return path


def test_headers_that_lie(tmp_path: Path) -> None:
    """A length that was never filled in is the file's own; a length of 0 before sound is one sentence."""
    for size in (0xFFFFFFFF, 0x7FFFFFFF):
        assert audio.probe(streamed(tmp_path / "open.wav", size)).duration_sec == 1.0
        assert len(audio.read(tmp_path / "open.wav")[0]) == 16_000
    streamed(tmp_path / "zero.wav", 0)
    with pytest.raises(BadInput, match="did not close it"):
        audio.probe(tmp_path / "zero.wav")
    with pytest.raises(BadInput, match="did not close it"):
        audio.read(tmp_path / "zero.wav")


@pytest.mark.parametrize(("name", "container"), [("a.flac", "FLAC"), ("a.mp3", "MP3")])
def test_a_file_that_breaks_off(tmp_path: Path, name: str, container: str) -> None:
    """Half a file is refused when it is read, whatever its header promises."""
    soundfile.write(tmp_path / name, tone(10.0), 16_000, format=container)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInput, match=r"breaks off|damaged inside"):
        audio.read(tmp_path / name)


@pytest.mark.parametrize("name", ["a.m4a", "a.webm", "a.raw"])
def test_codecs_that_are_not_read_name_the_mend(tmp_path: Path, name: str) -> None:
    """People who have M4A are told how to convert it."""
    (tmp_path / name).write_bytes(b"\0\0\0\x20ftypM4A ")
    with pytest.raises(BadInput, match=f"ffmpeg -i {name} a.wav"):
        audio.probe(tmp_path / name)


@pytest.mark.parametrize("name", ["a\0.wav", "x" * 300 + ".wav"])
def test_names_that_no_file_can_have_are_missing_files(tmp_path: Path, name: str) -> None:
    """An impossible name is no error of the system."""
    with pytest.raises(BadInput, match="does not exist"):
        audio.probe(tmp_path / name)


def test_cutting_keeps_rate_channels_and_samples(tmp_path: Path) -> None:
    """A piece is the recording's own samples; a stretch outside of it is refused."""
    frames = np.stack([tone(3.0), tone(3.0, hz=440)], axis=1)
    soundfile.write(tmp_path / "talk.wav", frames, 16_000, subtype="PCM_24")
    audio.cut(tmp_path / "talk.wav", tmp_path / "cut/a.flac", 1.0, 2.5)
    piece, rate = soundfile.read(tmp_path / "cut/a.flac")
    assert (rate, piece.shape) == (16_000, (24_000, 2))
    assert np.abs(piece - frames[16_000:40_000]).max() < 1e-6
    audio.cut(tmp_path / "talk.wav", tmp_path / "cut/b.flac", 2.0, None)
    assert audio.probe(tmp_path / "cut/b.flac").duration_sec == 1.0
    for start, end in ((3.5, 4.0), (2.0, 9.0)):
        with pytest.raises(BadInput, match="has no stretch"):
            audio.cut(tmp_path / "talk.wav", tmp_path / "cut/c.flac", start, end)
    assert not (tmp_path / "cut/c.flac").exists()


@settings(deadline=None, max_examples=40)
@given(data=st.binary(max_size=300), name=st.sampled_from(["a.wav", "a.flac", "a.mp3", "a.ogg", "a.aiff"]))
def test_any_bytes_are_answered(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    """Whatever a file holds, it is audio or one sentence."""
    path = tmp_path_factory.mktemp("a") / name
    soundfile.write(path, tone(0.05), 16_000, format={"a.ogg": "OGG"}.get(name))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + data + content[len(content) // 2 :])
    for look in (audio.probe, audio.read):
        with suppress(BadInput):
            look(path)


def test_a_wav_that_breaks_off_is_no_shorter_recording(tmp_path: Path) -> None:
    """libsndfile reads a cut-off WAV as if it were meant so; half a sentence under a whole text must not pass."""
    soundfile.write(tmp_path / "whole.wav", np.full(8_000, 0.1), 8_000)
    content = (tmp_path / "whole.wav").read_bytes()
    (tmp_path / "half.wav").write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInput, match=r"breaks off after 0\.5 of 1\.0 s"):
        audio.read(tmp_path / "half.wav")


def test_a_wav_from_a_pipe_has_the_length_that_is_there(tmp_path: Path) -> None:
    """A program that writes to a pipe gives the largest length there is: such a file is whole."""
    soundfile.write(tmp_path / "pipe.wav", np.full(8_000, 0.1), 8_000)
    content = bytearray((tmp_path / "pipe.wav").read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
    (tmp_path / "pipe.wav").write_bytes(bytes(content))
    assert len(audio.read(tmp_path / "pipe.wav")[0]) == 8_000
