"""Sounds and an ear for tests of screeners: buzzes with a pitch and a timbre, and an ear that hears what it is told."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.screeners.heard import Heard
from engine.types import Stop, WordScore

RATE = 16_000


def buzz(seconds: float, f0_hz: float = 120.0, *, tilt: float = 1.0, level: float = 0.1) -> NDArray[np.float32]:
    """Harmonics of `f0_hz` that fall off with `tilt`, a little vibrato, at an RMS of `level`."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * f0_hz * time + 0.5 * np.sin(2 * np.pi * 5 * time)
    tone = sum(np.sin(k * phase) / k**tilt for k in range(1, int(7000 / f0_hz)))
    noise = np.random.default_rng(0).standard_normal(len(time)) * 1e-3
    samples = np.asarray(tone) / max(1e-9, float(np.std(tone))) * level + noise * level
    return samples.astype(np.float32)


def quiet(seconds: float) -> NDArray[np.float32]:
    """Almost silence."""
    return np.full(round(seconds * RATE), 1e-6, np.float32)


@dataclass
class FakeEar:
    """Hears the phonemes and words that the test gives it; expects the letters of the text."""

    heard: tuple[str, ...] = ()
    words: tuple[WordScore, ...] = ()
    name: str = "fake"
    version: int = 1
    languages: tuple[str, ...] = ("en",)
    telling: int = 3
    strange: float = 0.35
    at_home: bool = True
    asked: list[str] = field(default_factory=list)

    def recognise(self, samples: NDArray[np.float32], sample_rate: int) -> tuple[str, ...]:
        return self.heard

    def expected(self, text: str) -> tuple[str, ...]:
        return tuple(c for c in text.lower() if c.isalpha())

    def align(self, samples: NDArray[np.float32], sample_rate: int, text: str) -> tuple[WordScore, ...]:
        self.asked.append(text)
        return self.words


def word(text: str, state: str = "ok") -> WordScore:
    return WordScore(text=text, state=state, start_sec=0.0, end_sec=0.1, log_posterior=0.0)


def heard(samples: NDArray[np.float32], text: str = "good day", **changes: object) -> Heard:
    """A clip as screeners get it, of `text`, ended by itself, with an ear that hears it perfectly."""
    ear = FakeEar(heard=tuple(c for c in text if c.isalpha()), words=tuple(word(w) for w in text.split()))
    given: dict[str, object] = {"ears": (ear,), "clip_id": "c1", "stop": Stop.EOS} | changes
    return Heard(samples=samples, sample_rate=RATE, text=text, **given)  # type: ignore[arg-type]
