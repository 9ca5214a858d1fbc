"""One row's audio as numbers: decoded once, every analysis on the same samples.

Knows the order of the analyses and that no samples stay behind. Runs in worker processes (`worker_pool`) and in the
caller's own. Knows no finding: the checks judge what is measured here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from engine import audio, voice_vector
from engine.audit import fingerprints, levels, texts, timing, voice_activity
from engine.audit.row import RowFacts
from engine.types import BadInput, Measurement, Utterance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ANALYSIS_HZ = 16_000
# A recording of hours among rows of seconds is not decoded: no backend takes it, and its samples would fill the memory.
LONGEST_SEC = 1200.0


Unpronounceable = Callable[[str], str | None]


def measure(utterance: Utterance, unpronounceable: Unpronounceable | None = None) -> RowFacts:
    """What one pass over a row's audio says, and why a backend cannot say its text, where `unpronounceable` knows.

    A row that cannot be read gets a fault instead; nothing is raised. A row longer than `LONGEST_SEC` by its header has
    neither a measurement nor a fault.
    """
    facts = _heard(utterance)
    if unpronounceable is None or not texts.can_be_asked(utterance.text):
        return facts
    return replace(facts, unpronounceable=unpronounceable(utterance.text) or "")


def _heard(utterance: Utterance) -> RowFacts:
    try:
        known = _with_header(utterance)
        if known.duration_sec > LONGEST_SEC:
            return RowFacts(utterance=known)
        frames, rate = audio.read_channels(utterance.audio_path)
        return _measured(known, frames, rate)
    except (BadInput, OSError) as error:
        fault = str(error) if isinstance(error, BadInput) else f"{utterance.audio_path} cannot be read: {error}."
        return unreadable(utterance, fault)
    except Exception as error:  # whatever a strange file throws is that row's fault and not the end of the audit
        said = f"{utterance.audio_path} cannot be measured: {type(error).__name__}: {error}."
        return unreadable(utterance, said)


def unreadable(utterance: Utterance, fault: str) -> RowFacts:
    """A row without audio: missing, or there and of no use."""
    check = "unreadable" if utterance.audio_path.is_file() else "missing"
    return RowFacts(utterance=utterance, fault=fault, fault_check=check)


def _with_header(utterance: Utterance) -> Utterance:
    """Duration, rate and channels, by the file where the reader did not say."""
    if utterance.sample_rate:
        return utterance
    header = audio.probe(utterance.audio_path)
    return replace(
        utterance, duration_sec=header.duration_sec, sample_rate=header.sample_rate, channels=header.channels
    )


def _measured(utterance: Utterance, frames: NDArray[np.float32], rate: int) -> RowFacts:
    import numpy as np

    if not len(frames):
        raise BadInput(f"{utterance.audio_path} holds no samples; copy it again from its source.")
    mono: NDArray[np.float32] = frames.mean(axis=1, dtype=np.float32)
    at_16k = mono if rate == ANALYSIS_HZ else audio.resample(mono, rate, ANALYSIS_HZ)
    speech = voice_activity.speech(at_16k)
    seconds = len(mono) / rate
    floor, snr = levels.noise(mono, rate, speech)
    leading, trailing, pause = levels.quiet(seconds, speech)
    spoken = sum(end - start for start, end in speech)
    peak = float(np.abs(mono).max())
    measurement = Measurement(
        row=utterance.id,
        duration_sec=seconds,
        characters_per_sec=timing.characters(utterance.text) / (spoken or seconds),
        loudness_lufs=audio.loudness_lufs(mono, rate),
        peak_dbfs=20 * math.log10(peak) if peak > 0 else -math.inf,
        clipped_share=levels.clipped_share(frames),
        noise_floor_dbfs=floor,
        snr_db=snr,
        speech_sec=spoken,
        leading_silence_sec=leading,
        trailing_silence_sec=trailing,
        longest_pause_sec=pause,
    )
    return RowFacts(
        utterance=replace(utterance, duration_sec=seconds, sample_rate=rate, channels=frames.shape[1]),
        measurement=measurement,
        speech=speech,
        content_sha256=content_sha256(mono, rate),
        fingerprint=fingerprints.fingerprint(at_16k),
        voice=voice_vector.vector(at_16k, speech) if speech else None,
    )


def content_sha256(mono: NDArray[np.float32], rate: int) -> str:
    """Of the samples as 16-bit numbers with their rate: equal for FLAC and WAV of the same samples."""
    import numpy as np

    as_16_bit = np.clip(np.rint(mono * 32768.0), -32768, 32767).astype("<i2")
    return hashlib.sha256(f"{rate}\n".encode() + as_16_bit.tobytes()).hexdigest()
