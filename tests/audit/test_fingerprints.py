"""Shared audio is found whatever was done to the file, and nothing is found where there is none."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from engine import audio
from engine.audit import fingerprints
from tests.audit.fact_factory import RATE, speechlike

Samples = NDArray[np.float32]


def encoded(samples: Samples, kind: str, subtype: str) -> Samples:
    """The samples after a lossy encoder."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format=kind, subtype=subtype)
    buffer.seek(0)
    return np.asarray(soundfile.read(buffer, dtype="float32")[0])


def noisy(samples: Samples) -> Samples:
    noise = np.random.default_rng(0).normal(0, 0.03 * samples.std(), len(samples))
    return (samples + noise).astype(np.float32)


CHANGES: dict[str, Callable[[Samples], Samples]] = {
    "quieter, in 16 bits": lambda s: (np.round(s * 3276.7) / 32767).astype(np.float32),
    "MP3": lambda s: encoded(s, "MP3", "MPEG_LAYER_III"),
    "Opus": lambda s: encoded(s, "OGG", "OPUS"),
    "telephone rate": lambda s: audio.resample(audio.resample(s, RATE, 8000), 8000, RATE),
    "22.05 kHz and back": lambda s: audio.resample(audio.resample(s, RATE, 22050), 22050, RATE),
    "begins 123.4 ms later": lambda s: s[1975:],
    "noise 30 dB below": noisy,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_the_same_clip(change: str) -> None:
    """Gain, codecs, resampling, another beginning and noise leave a clip recognisable."""
    original = speechlike(1, 5.0)
    prints = [fingerprints.fingerprint(s) for s in (original, speechlike(2, 5.0), CHANGES[change](original))]
    (found,) = fingerprints.matches(prints)
    assert (found.first, found.second) == (0, 2)
    assert found.share > 0.8
    assert found.bit_error_rate < 0.2


@pytest.mark.parametrize("shared_sec", [1.5, 3.0])
def test_slices_tell_how_much_they_share(shared_sec: float) -> None:
    """Two slices of one recording are found where one ends and the other begins, to a tenth of a second."""
    recording = speechlike(3, 10.0)
    cut = int((5.0 - shared_sec) * RATE)
    (found,) = fingerprints.matches([fingerprints.fingerprint(s) for s in (recording[: 5 * RATE], recording[cut:])])
    assert found.shared_sec == pytest.approx(shared_sec, abs=0.1)
    assert found.offset == pytest.approx(-cut / 256, abs=1)


def test_unrelated_clips_share_nothing() -> None:
    """Chance agreement of hashes is not taken for shared audio."""
    assert fingerprints.matches([fingerprints.fingerprint(speechlike(seed, 4.0)) for seed in range(40)]) == ()


def test_silence_tones_and_noise_match_nothing() -> None:
    """Sound without content says nothing: two silent clips, tones or hums are not called copies of one another."""
    draw = np.random.default_rng(0)
    time = np.arange(4 * RATE) / RATE
    empty = [
        0 * time,
        0 * time,
        0.3 * np.sin(2 * np.pi * 440 * time),
        0.1 * np.sin(2 * np.pi * 440 * time + 1),
        0.1 * np.sign(np.sin(2 * np.pi * 50 * time)),
        0.2 * np.sign(np.sin(2 * np.pi * 50 * time + 1)),
        draw.normal(0, 1e-4, len(time)),
        draw.normal(0, 1e-4, len(time)),
    ]
    prints = [fingerprints.fingerprint(s.astype(np.float32)) for s in empty]
    assert fingerprints.matches(prints) == ()
    assert not any(print_.any() for print_ in prints[:6])


def test_a_phrase_said_twice_is_no_shared_slice() -> None:
    """The same second inside two otherwise different clips is not an overlap of slices of one recording."""
    phrase = speechlike(5, 1.2)
    clips = [np.concatenate([speechlike(s, 2.0), phrase, speechlike(s + 1, 2.0)]) for s in (10, 20)]
    assert fingerprints.matches([fingerprints.fingerprint(c) for c in clips]) == ()


def test_clips_that_are_too_short_or_missing_are_passed_over() -> None:
    """A clip of a few samples and a row without audio are no reason to stop."""
    short = fingerprints.fingerprint(np.zeros(100, np.float32))
    assert short.shape == (0,)
    assert fingerprints.matches([short, None, short]) == ()
    assert fingerprints.matches([]) == ()


def test_many_copies_are_connected() -> None:
    """Of a hundred copies each is connected with the others, though not all pairs are compared."""
    original = speechlike(7, 3.0)
    prints = [fingerprints.fingerprint((original * gain).astype(np.float32)) for gain in np.linspace(0.3, 1, 100)]
    found = fingerprints.matches(prints)
    assert len(found) < 2000
    reached = {0}
    for _ in range(100):
        reached |= {end for m in found for end in (m.first, m.second) if {m.first, m.second} & reached}
    assert reached == set(range(100))


def test_ten_thousand_rows_are_compared_in_seconds() -> None:
    """The work grows with the rows, not with their pairs: 10,000 clips of 6 s within 30 s on a busy machine."""
    import time

    draw = np.random.default_rng(0)
    # hashes of speech stay alike from frame to frame: a few bits of 32 change
    flips = np.uint32(1) << draw.integers(0, 32, (10_000, 375, 3), dtype=np.uint32)
    prints = list(np.bitwise_xor.accumulate(np.bitwise_xor.reduce(flips, axis=2), axis=1))
    prints[9_000] = prints[17].copy()
    started = time.perf_counter()
    found = fingerprints.matches(prints)
    assert time.perf_counter() - started < 30
    assert [(m.first, m.second) for m in found] == [(17, 9_000)]
