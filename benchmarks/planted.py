"""Faults planted into copies of a sound data set: one of every kind that the audit names, and all of them at once.

Knows how a set is copied in LJSpeech's layout (`metadata.csv`, `clips/`) and how each fault is made. Knows nothing of
how the audit finds them. Used by the table of `benchmarks.audit_faults` and by the tests.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from engine import audio
from engine.types import Manifest

Samples = NDArray[np.float32]
STRANGER = "en-us"  # espeak-ng's own voice, a man's; the built-in demo speaker is a woman
STRANGER_SAYS = (
    "The quick brown fox jumps over the lazy dog while seven wizards watch from the garden wall.",
    "Every morning the baker carries warm bread across the market square before the bells begin.",
)


@dataclass
class Copy:
    """A set that may be spoiled: texts as bytes by row, and the file of each row."""

    folder: Path
    texts: dict[str, bytes]
    files: dict[str, Path]
    draw: random.Random = field(default_factory=lambda: random.Random(0))

    def samples(self, row: str) -> tuple[Samples, int]:
        """Mono samples of a row and their rate."""
        return audio.read(self.files[row])

    def put(self, row: str, samples: Samples, rate: int, suffix: str = ".flac") -> None:
        """Give a row other audio, mono or with shape (n, channels)."""
        if row in self.files:
            self.files[row].unlink(missing_ok=True)
        path = self.folder / "clips" / f"{row}{suffix}"
        soundfile.write(path, np.clip(samples, -1.0, 1.0), rate)
        self.files[row] = path

    def add(self, row: str, text: str, samples: Samples, rate: int, suffix: str = ".flac") -> str:
        """One more row."""
        self.texts[row] = text.encode()
        self.put(row, samples, rate, suffix)
        return row

    def text(self, row: str) -> str:
        return self.texts[row].decode()

    def write(self) -> Path:
        """The manifest of what is there now."""
        lines = [row.encode() + b"|" + text for row, text in self.texts.items()]
        path = self.folder / "metadata.csv"
        path.write_bytes(b"\n".join(lines) + b"\n")
        return path


@dataclass(frozen=True)
class Fault:
    """One kind of fault: which check should name it, and how it is planted into a row.

    `plant(copy, row)` returns the rows at which it may be named: the row itself unless it adds one.
    """

    name: str
    check: str
    plant: Callable[[Copy, str], Sequence[str] | None]
    severity: str = "error"
    hears: bool = False  # only a recogniser can find it


def copied(source: Manifest, folder: Path) -> Copy:
    """A copy of a sound set whose rows keep their ids."""
    (folder / "clips").mkdir(parents=True)
    files = {}
    for u in source.utterances:
        files[u.id] = folder / "clips" / f"{u.id}{u.audio_path.suffix}"
        shutil.copyfile(u.audio_path, files[u.id])
    return Copy(folder, {u.id: u.text.encode() for u in source.utterances}, files)


@cache
def stranger(text: str) -> Samples:
    """Another speaker at 16 kHz."""
    from engine.backends.finch.phonemes import EspeakVoice
    from engine.backends.finch.pretrain.data import utter

    samples: Samples = utter(text, EspeakVoice(STRANGER, 165)).samples.numpy()
    return samples


# ---------------------------------------------------------------------------------------------------------------- texts
def _text(change: Callable[[str], bytes]) -> Callable[[Copy, str], None]:
    def plant(copy: Copy, row: str) -> None:
        copy.texts[row] = change(copy.text(row))

    return plant


def _tagged(text: str) -> bytes:
    first, _, rest = text.partition(" ")
    return f"{first} <laugh> {rest}".encode()


def _half(text: str) -> bytes:
    words = text.split()
    return " ".join(words[: max(1, len(words) // 2)]).encode()


def _other_rows_text(copy: Copy, row: str) -> None:
    """The text of the row that is nearest in length, so that only listening can tell."""
    length = len(copy.texts[row])
    others = [other for other in copy.texts if other != row]
    copy.texts[row] = copy.texts[min(others, key=lambda other: abs(len(copy.texts[other]) - length))]


def _repeated(copy: Copy, row: str) -> list[str]:
    """The same words spoken again: another take, slower by a twentieth."""
    samples, rate = copy.samples(row)
    at = np.arange(0, len(samples) - 1, 0.95)
    take = np.interp(at, np.arange(len(samples)), samples).astype(np.float32)
    return [copy.add(f"{row}-take-2", copy.text(row), take, rate), row]


# ---------------------------------------------------------------------------------------------------------------- audio
def _audio(change: Callable[[Samples, int], Samples]) -> Callable[[Copy, str], None]:
    def plant(copy: Copy, row: str) -> None:
        samples, rate = copy.samples(row)
        copy.put(row, change(samples, rate), rate, ".wav")

    return plant


def _half_clipped(samples: Samples, rate: int) -> Samples:
    return samples / np.float32(max(float(np.median(np.abs(samples[np.abs(samples) > 1e-3]))), 1e-3))


def _noisy(samples: Samples, rate: int) -> Samples:
    noise = np.random.default_rng(1).standard_normal(len(samples)).astype(np.float32)
    power = float(np.square(samples[np.abs(samples) > 1e-3]).mean())
    return np.asarray(0.5 * (samples + noise * np.sqrt(power / 10**0.5)), np.float32)


def _late(samples: Samples, rate: int) -> Samples:
    room = np.random.default_rng(2).standard_normal(3 * rate).astype(np.float32) * 2e-4
    return np.concatenate([room, samples])


def _pausing(samples: Samples, rate: int) -> Samples:
    middle = len(samples) // 2
    room = np.random.default_rng(2).standard_normal(3 * rate).astype(np.float32) * 2e-4
    return np.concatenate([samples[:middle], room, samples[middle:]])


def _music(samples: Samples, rate: int) -> Samples:
    """Plucked chords as long as the clip was."""
    time = np.arange(len(samples)) / rate
    beat = np.exp(-4 * (time * 2 % 1.0))
    roots = np.array([220.0, 262.0, 294.0, 330.0])[(time // 2).astype(int) % 4]
    chord = np.sin(2 * np.pi * np.multiply.outer((1, 1.25, 1.5, 2), roots * time)).sum(axis=0)
    return np.asarray(0.08 * beat * chord, np.float32)


def _stereo(samples: Samples, rate: int) -> Samples:
    return np.stack([samples, 0.8 * samples], axis=1)


def _at_8_khz(copy: Copy, row: str) -> None:
    samples, rate = copy.samples(row)
    copy.put(row, audio.resample(samples, rate, 8_000), 8_000, ".wav")


def _stranger_says_it(copy: Copy, row: str) -> None:
    copy.put(row, stranger(copy.text(row)), 16_000)


def _long(copy: Copy, row: str) -> list[str]:
    _, rate = copy.samples(row)
    once = audio.resample(stranger(STRANGER_SAYS[0]), 16_000, rate)
    times = -(-60 * rate // len(once))
    return [copy.add("planted-long", " ".join([STRANGER_SAYS[0]] * times), np.tile(once, times), rate)]


def _short(copy: Copy, row: str) -> list[str]:
    _, rate = copy.samples(row)
    word = audio.resample(stranger(STRANGER_SAYS[1]), 16_000, rate)
    return [copy.add("planted-short", "Oh.", word[rate // 2 : rate // 2 + rate // 10], rate)]


# ---------------------------------------------------------------------------------------------------------------- files
def _emptied(copy: Copy, row: str) -> None:
    copy.files[row].write_bytes(b"")


def _gone(copy: Copy, row: str) -> None:
    copy.files[row].unlink()


def _scrambled(copy: Copy, row: str) -> None:
    copy.files[row].write_bytes(random.Random(3).randbytes(40_000))


def _broken_off(copy: Copy, row: str) -> None:
    samples, rate = copy.samples(row)
    copy.put(row, samples, rate, ".wav")
    content = copy.files[row].read_bytes()
    copy.files[row].write_bytes(content[: len(content) // 2])


# ---------------------------------------------------------------------------------------------------------------- pairs
def _same_samples(copy: Copy, row: str) -> list[str]:
    samples, rate = copy.samples(row)
    return [copy.add(f"{row}-copy", copy.text(row), samples, rate, ".wav"), row]


def _quieter_mp3(copy: Copy, row: str) -> list[str]:
    samples, rate = copy.samples(row)
    return [copy.add(f"{row}-mp3", copy.text(row), 0.6 * samples, rate, ".mp3"), row]


def _slice(copy: Copy, row: str) -> list[str]:
    """The middle of a row once more, with the words that are about there."""
    samples, rate = copy.samples(row)
    words = copy.text(row).split()
    part = samples[len(samples) // 5 : len(samples) * 4 // 5]
    said = " ".join(words[len(words) // 5 : len(words) * 4 // 5])
    return [copy.add(f"{row}-slice", said, part, rate), row]


WARNING = "warning"
# The last five go with the first five into one row where a set has fewer rows than there are faults.
FAULTS: tuple[Fault, ...] = (
    Fault("a tag in the text", "tags", _text(_tagged)),
    Fault("a text in Latin-1", "encoding", _text(lambda t: (t + " café").encode("latin-1"))),
    Fault("a subtitle's farewell", "boilerplate", _text(lambda t: b"Thanks for watching!")),
    Fault("no text", "empty_text", _text(lambda t: b"")),
    Fault("the same text again", "repeated_text", _repeated, WARNING),
    Fault("the same samples in another file", "duplicate", _same_samples),
    Fault("a quieter MP3 of a row", "duplicate", _quieter_mp3, WARNING),
    Fault("a slice of a row", "overlap", _slice, WARNING),
    Fault("the text of another row", "transcript_mismatch", _other_rows_text, hears=True),
    Fault("the text twice", "text_too_long", _text(lambda t: f"{t} {t}".encode()), WARNING),
    Fault("half of the text", "text_too_short", _text(_half), WARNING),
    Fault("another speaker", "speaker", _stranger_says_it, WARNING),
    Fault("half of the samples clipped", "clipping", _audio(_half_clipped), WARNING),
    Fault("noise at 5 dB", "noise", _audio(_noisy), WARNING),
    Fault("music", "no_speech", _audio(_music)),
    Fault("a 0-byte file", "unreadable", _emptied),
    Fault("a file of noise bytes", "unreadable", _scrambled),
    Fault("a file that breaks off", "unreadable", _broken_off),
    Fault("a missing file", "missing", _gone),
    Fault("3 s of silence inside", "silence", _audio(_pausing), WARNING),
    Fault("stereo", "channels", _audio(_stereo), WARNING),
    Fault("8 kHz", "sample_rate", _at_8_khz, WARNING),
    Fault("3 s of silence first", "silence", _audio(_late), WARNING),
    Fault("a clip of 60 s", "duration", _long),
    Fault("a clip of 0.1 s", "duration", _short),
)
