"""Real speech for tests that audit what they train on: the built-in voice says a handful of sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine import audio, backends, manifest
from engine.dataset import conditioning
from engine.types import SpeakRow, Utterance

TEXTS = (
    "The old lamp in the hall is warm and bright.",
    "We walked home along the river before it rained.",
    "Nine grey birds sat on the wall and then flew away.",
    "Please close the door when you leave the room.",
    "A small boat came slowly around the green island.",
    "My sister keeps her letters in a wooden box.",
    "They sang an old song while the bread was baking.",
    "The morning train was late again on Monday.",
)
VOICE = "robin"


def speak(folder: Path, texts: Sequence[str] = TEXTS, *, rate: int) -> Path:
    """A manifest of recordings, a text each, at `rate`; returns its file."""
    finch = backends.load("finch")
    voice = VOICE if VOICE in finch.capabilities.voices else finch.capabilities.voices[0]
    spoken = finch.speak([SpeakRow(text=text, voice=voice, seed=7 + index) for index, text in enumerate(texts)])
    rows = []
    for index, (text, speech) in enumerate(zip(texts, spoken, strict=True)):
        samples = conditioning.resample(speech.samples, speech.sample_rate, rate)
        path = folder / f"{index:03d}.wav"
        audio.write(path, samples, rate)
        sec = len(samples) / rate
        rows.append(Utterance(id=f"u{index}", audio_path=path, text=text, duration_sec=sec, sample_rate=rate))
    target = folder / "manifest.jsonl"
    manifest.write(target, rows)
    return target
