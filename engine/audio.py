"""Audio files and loudness: what a file is, its samples as mono float32, and writing that never shows half a file.

Knows soundfile, soxr and BS.1770. Knows nothing of texts, voices or runs. torchaudio is not used
for files: from 2.11 on it reads them only through torchcodec.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.types import BadInput

if TYPE_CHECKING:
    import numpy as np
    import soundfile
    from numpy.typing import NDArray

FORMATS = {".flac": "FLAC", ".wav": "WAV"}  # that are written
READABLE = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".w64", ".caf")
# Audio that people have and that libsndfile does not decode.
FOREIGN = (".m4a", ".aac", ".mp4", ".wma", ".webm", ".amr", ".3gp", ".mka", ".mkv", ".mov", ".raw", ".pcm")
LONGEST_SEC = 1000 * 3600.0  # a header that says more is wrong
CUT_SLACK_SEC = 0.5  # a segment may say that it ends a little after its recording does
SMALL_SUBTYPES = ("PCM_16", "PCM_S8", "PCM_U8", "ULAW", "ALAW", "MPEG_LAYER_III", "VORBIS", "OPUS")
MOST_HEADER_BYTES = 4096  # a file of this size may well hold no samples
MOST_PADDING_FRAMES = 2 * 1152  # an MP3's header may count the encoder's padding as sound
MP3_GUESS_MAY_BE_OFF = 1.02
_CUT_OFF = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.M)
_UNKNOWN_BYTES = 2**31 - 2**16
LOUDNESS_BLOCK_SEC = 0.4  # ITU-R BS.1770-4: gating blocks of 400 ms


@dataclass(frozen=True, kw_only=True)
class AudioInfo:
    """What the header of a file says."""

    sample_rate: int
    channels: int
    duration_sec: float


def probe(path: Path) -> AudioInfo:
    """Read a file's header, and of an MP3 as much as its length needs. Raises BadInput when it is no audio."""
    with _opened(path) as file:
        seconds = _length(path, file) / file.samplerate
        return AudioInfo(sample_rate=file.samplerate, channels=file.channels, duration_sec=seconds)


def read(path: Path, sample_rate: int | None = None) -> tuple[NDArray[np.float32], int]:
    """Samples of a file as float32 mono in -1..1, shape (n,), and their rate in Hz.

    Channels are averaged; with `sample_rate` the samples are resampled (soxr, high quality). Raises BadInput when the
    file is missing, empty, no audio, shorter than its header says, or holds values that are not numbers.
    """
    import numpy as np

    frames, rate = read_channels(path)
    mono: NDArray[np.float32] = frames.mean(axis=1, dtype=np.float32)
    if sample_rate is None or sample_rate == rate:
        return mono, rate
    return resample(mono, rate, sample_rate), sample_rate


def read_channels(path: Path) -> tuple[NDArray[np.float32], int]:
    """Samples of a file as they are, shape (n, channels), and their rate in Hz. Raises BadInput as `read` does."""
    import numpy as np
    import soundfile

    try:
        with _opened(path) as file:
            promised = max(_length(path, file), _frames_before_it_was_cut(file))
            frames: NDArray[np.float32] = file.read(dtype="float32", always_2d=True)
            rate = file.samplerate
    except (soundfile.LibsndfileError, MemoryError) as error:
        raise BadInput(f"{path} is damaged inside and cannot be decoded; copy it again from its source.") from error
    if len(frames) < promised - MOST_PADDING_FRAMES * (path.suffix.lower() == ".mp3"):
        raise BadInput(
            f"{path} breaks off after {len(frames) / rate:.1f} of {promised / rate:.1f} s; copy it again from its "
            "source."
        )
    if not np.isfinite(frames).all():
        raise BadInput(f"{path} holds samples that are not numbers; export it again from its source.")
    return frames, rate


def blocks(path: Path, block_sec: float, context_sec: float) -> Iterator[tuple[float, NDArray[np.float32], int]]:
    """A file piece by piece: (second at which the block begins, mono samples, their rate in Hz).

    The samples reach `context_sec` beyond the block on either side, where there is something. What is in memory does
    not grow with the file. Raises BadInput when the file is no audio or breaks off.
    """
    import numpy as np
    import soundfile

    with _opened(path) as file:
        rate, promised = file.samplerate, file.frames
        block, context = round(block_sec * rate), round(context_sec * rate)
        held = np.zeros(0, np.float32)
        held_from = begin = 0
        while begin < promised:
            wanted = min(begin + block + context, promised) - (held_from + len(held))
            try:
                frames = file.read(wanted, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise BadInput(f"{path} is damaged inside after {begin / rate:.0f} s; copy it again.") from error
            if len(frames) < wanted - MOST_PADDING_FRAMES * (path.suffix.lower() == ".mp3"):
                raise BadInput(f"{path} breaks off after {(held_from + len(held)) / rate:.0f} s; copy it again.")
            held = np.concatenate([held, frames.mean(axis=1, dtype=np.float32)])
            yield begin / rate, held, rate
            begin += block
            keep_from = max(0, begin - context)
            held, held_from = held[keep_from - held_from :], keep_from


def resample(samples: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """Band-limited resampling of mono samples by soxr, high quality, shape (n,) -> (ceil(n * to / from),).

    The same samples as `librosa.resample(res_type="soxr_hq")`, without the seconds that importing librosa takes.
    """
    import numpy as np
    import soxr

    resampled: NDArray[np.float32] = soxr.resample(samples.astype(np.float32, copy=False), from_hz, to_hz, "HQ")
    length = -(-len(samples) * to_hz // from_hz)
    return np.pad(resampled, (0, max(0, length - len(resampled))))[:length]


def write(path: Path, samples: NDArray[np.float32], sample_rate: int) -> None:
    """Write mono samples, shape (n,), as 16-bit FLAC or WAV by the suffix. A reader sees the whole file or none.

    Values beyond -1..1 are clipped, since resampling may overshoot full scale by a little. Raises BadInput for
    another suffix.
    """
    import numpy as np
    import soundfile

    if path.suffix.lower() not in FORMATS:
        raise BadInput(f"{path.name} should end in .flac or .wav; other kinds of audio are not written.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        soundfile.write(
            str(temporary),
            np.clip(samples, -1.0, 1.0),
            sample_rate,
            format=FORMATS[path.suffix.lower()],
            subtype="PCM_16",
        )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def cut(source: Path, target: Path, start_sec: float, end_sec: float | None) -> None:
    """Copy a stretch of a recording into a FLAC file with the same rate and channels; `end_sec` None is its end.

    Raises BadInput when the stretch does not lie in the recording.
    """
    import soundfile

    try:
        with _opened(source) as file:
            rate, total = file.samplerate, _length(source, file)
            total_sec, first = total / rate, round(start_sec * rate)
            last = total if end_sec is None else min(round(end_sec * rate), total)
            if not 0 <= first < last or (end_sec or 0.0) > total_sec + CUT_SLACK_SEC:
                raise BadInput(f"{source} lasts {total_sec:.2f} s and has no stretch from {start_sec} to {end_sec} s.")
            file.seek(first)
            frames = file.read(last - first, dtype="float32", always_2d=True)
            subtype = "PCM_16" if file.subtype in SMALL_SUBTYPES else "PCM_24"
    except soundfile.LibsndfileError as error:
        raise BadInput(f"{source} is damaged inside and cannot be decoded; copy it again from its source.") from error
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        soundfile.write(str(temporary), frames.clip(-1.0, 1.0), rate, format="FLAC", subtype=subtype)
        temporary.replace(target)
    except soundfile.LibsndfileError as error:
        raise BadInput(f"A piece of {source} cannot be written as FLAC ({error}); convert it to mono WAV.") from error
    finally:
        temporary.unlink(missing_ok=True)


def loudness_lufs(samples: NDArray[np.float32], sample_rate: int) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770-4) of mono samples; -inf for silence.

    A clip shorter than one gating block is repeated until it fills one: padding it with silence would make it quieter
    than it is.
    """
    import numpy as np
    import pyloudnorm

    if samples.size == 0 or not samples.any():
        return float("-inf")
    block = int(np.ceil(LOUDNESS_BLOCK_SEC * sample_rate))
    if len(samples) < block:
        samples = np.resize(samples, block)
    with np.errstate(
        divide="ignore"
    ):  # a clip below the absolute gate has no block left: its mean power is 0, log 0 is -inf
        return float(pyloudnorm.Meter(sample_rate).integrated_loudness(samples.astype(np.float64)))


def _frames_before_it_was_cut(file: soundfile.SoundFile) -> float:
    """Frames by the header of a WAV file, 0 if it is whole: libsndfile counts what is left, and says so in its log."""
    found = _CUT_OFF.search(file.extra_info)
    said, there = (int(found[1]), int(found[2])) if found else (0, 0)
    # A program that writes to a pipe cannot know the length and gives the largest number there is.
    return float(file.frames * said / there) if 0 < there < said < _UNKNOWN_BYTES else 0.0


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """The file as soundfile opens it, its header checked against what the file can hold."""
    import soundfile

    size = _must_have_bytes(path)
    if path.suffix.lower() in FOREIGN:
        raise _not_audio(path)
    try:
        file = soundfile.SoundFile(str(path))
    except (soundfile.LibsndfileError, TypeError, ValueError, OSError) as error:
        raise _not_audio(path) from error
    with file:
        if not 0 <= file.frames <= LONGEST_SEC * file.samplerate or file.samplerate <= 0:
            raise BadInput(f"{path} does not say how long it is; convert it to WAV or FLAC.")
        if file.frames == 0 and size > MOST_HEADER_BYTES:
            raise BadInput(
                f"{path} says that it holds no samples and has {size:,} bytes: the program that recorded it did not "
                "close it; convert it to WAV again with a program that repairs headers."
            )
        yield file


def _length(path: Path, file: soundfile.SoundFile) -> int:
    """Samples a channel. Of an MP3 that does not say it, frames are counted: soundfile guesses from the first one."""
    from engine import mp3

    if path.suffix.lower() != ".mp3":
        return int(file.frames)
    counted = mp3.counted_samples(path)
    if counted is None:
        return int(file.frames)
    if counted > file.frames * MP3_GUESS_MAY_BE_OFF:
        raise BadInput(
            f"{path} has a variable bit rate and does not say how long it is, so only a part would be read; convert "
            f"it to WAV or FLAC, for example with `ffmpeg -i {path.name} {path.stem}.wav`."
        )
    return min(counted, int(file.frames))


def _must_have_bytes(path: Path) -> int:
    """The file's size. A name that no file can have (too long, with a zero byte) is a missing file."""
    try:
        size = path.stat().st_size if path.is_file() else -1
    except (OSError, ValueError):
        size = -1
    if size < 0:
        raise BadInput(f"{path} does not exist; correct the path or copy the file there.")
    if size == 0:
        raise BadInput(f"{path} is empty (0 bytes); copy it again from its source.")
    return size


def _not_audio(path: Path) -> BadInput:
    if path.suffix.lower() in FOREIGN:
        return BadInput(
            f"{path} is {path.suffix[1:].upper()}, which is not read; convert it to WAV or FLAC, for example with "
            f"`ffmpeg -i {path.name} {path.stem}.wav`."
        )
    return BadInput(f"{path} cannot be read as audio; convert it to WAV or FLAC.")
