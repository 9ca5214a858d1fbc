"""Audio files and loudness: what a file is, its samples as mono float32, and writing that never shows half a file.

Knows soundfile, soxr (through librosa) and BS.1770. Knows nothing of texts, voices or runs. torchaudio is not used
for files: from 2.11 on it reads them only through torchcodec.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.types import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMATS = {".flac": "FLAC", ".wav": "WAV"}
LOUDNESS_BLOCK_SEC = 0.4  # ITU-R BS.1770-4: gating blocks of 400 ms


@dataclass(frozen=True, kw_only=True)
class AudioInfo:
    """What the header of a file says."""

    sample_rate: int
    channels: int
    duration_sec: float


def probe(path: Path) -> AudioInfo:
    """Read a file's header. Raises BadInput when it is missing, empty or no audio."""
    import soundfile

    _must_have_bytes(path)
    try:
        header = soundfile.info(str(path))
    except soundfile.LibsndfileError as error:
        raise _not_audio(path) from error
    return AudioInfo(
        sample_rate=header.samplerate, channels=header.channels, duration_sec=header.frames / header.samplerate
    )


def read(path: Path, sample_rate: int | None = None) -> tuple[NDArray[np.float32], int]:
    """Samples of a file as float32 mono in -1..1, shape (n,), and their rate in Hz.

    Channels are averaged; with `sample_rate` the samples are resampled (soxr, high quality). Raises BadInput when the
    file is missing, empty, no audio, shorter than its header says, or holds values that are not numbers.
    """
    import numpy as np
    import soundfile

    _must_have_bytes(path)
    try:
        with soundfile.SoundFile(str(path)) as file:
            promised = file.frames
            frames = file.read(dtype="float32", always_2d=True)
            rate = file.samplerate
    except soundfile.LibsndfileError as error:
        raise _not_audio(path) from error
    if len(frames) < promised:
        raise BadInput(
            f"{path} breaks off after {len(frames) / rate:.1f} of {promised / rate:.1f} s; copy it again from its "
            "source."
        )
    if not np.isfinite(frames).all():
        raise BadInput(f"{path} holds samples that are not numbers; export it again from its source.")
    mono: NDArray[np.float32] = frames.mean(axis=1, dtype=np.float32)
    if sample_rate is None or sample_rate == rate:
        return mono, rate
    return resample(mono, rate, sample_rate), sample_rate


def resample(samples: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """Band-limited resampling of mono samples, shape (n,) -> (ceil(n * to / from),)."""
    import librosa
    import numpy as np

    resampled: NDArray[np.float32] = librosa.resample(samples, orig_sr=from_hz, target_sr=to_hz, res_type="soxr_hq")
    return resampled.astype(np.float32, copy=False)


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


def _must_have_bytes(path: Path) -> None:
    if not path.is_file():
        raise BadInput(f"{path} does not exist; correct the path or copy the file there.")
    if path.stat().st_size == 0:
        raise BadInput(f"{path} is empty (0 bytes); copy it again from its source.")


def _not_audio(path: Path) -> BadInput:
    return BadInput(f"{path} cannot be read as audio; convert it to WAV or FLAC.")
