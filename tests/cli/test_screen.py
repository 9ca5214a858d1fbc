"""`screen --json`: what programs read of any audio file, whatever its format, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.backends.finch import phonemes
from engine.cli.main import main

TEXT = "The harbour was quiet when we arrived, and only one lamp was still burning."
STATES = {"ok", "dropped", "merged", "repeated", "inserted"}


def spoken(text: str) -> tuple[np.ndarray, int]:  # type: ignore[type-arg]
    _, samples, rate = phonemes.speak(text)
    return samples.astype(np.float32) / 32768, rate


def screened(capsys: pytest.CaptureFixture[str], path: Path, text: str, *more: str) -> dict[str, Any]:
    assert main(["screen", str(path), "--text", text, "--json", *more]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [n for item in value.values() for n in numbers(item)]
    if isinstance(value, list):
        return [n for item in value for n in numbers(item)]
    return [value] if isinstance(value, float) else []


def test_the_answer_has_the_promised_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exactly these fields; every word of the text in one of five states; numbers are finite or null."""
    samples, rate = spoken(TEXT)
    soundfile.write(tmp_path / "c.wav", samples, rate)
    found = screened(capsys, tmp_path / "c.wav", TEXT)
    assert list(found) == ["duration_sec", "words", "dropped", "merged", "inserted", "scores"]
    assert found["duration_sec"] == pytest.approx(len(samples) / rate)
    assert {word["state"] for word in found["words"]} <= STATES
    assert [word["word"] for word in found["words"]] == TEXT.replace(",", "").replace(".", "").split()
    assert all({"word", "start_sec", "end_sec", "state"} <= set(word) for word in found["words"])
    assert all(set(score) == {"name", "value", "passed", "explanation"} for score in found["scores"])
    assert all(math.isfinite(number) for number in numbers(found))
    assert found["dropped"] == found["merged"] == found["inserted"] == []


def test_a_missing_and_a_doubled_word_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Missing words have no times; a repeated one comes again, in its place."""
    longer, rate = spoken("The harbour was quiet, was quiet when we arrived.")
    soundfile.write(tmp_path / "c.flac", longer, rate)
    found = screened(capsys, tmp_path / "c.flac", "The old harbour was quiet when we arrived.")
    assert found["dropped"] == ["old"]
    old = next(word for word in found["words"] if word["word"] == "old")
    assert (old["start_sec"], old["end_sec"]) == (None, None)
    assert [word["word"] for word in found["words"] if word["state"] == "repeated"] == ["was", "quiet"]


@pytest.mark.parametrize(
    ("name", "rate", "channels"), [("c.ogg", 44_100, 2), ("c.mp3", 22_050, 1), ("c.aiff", 8_000, 2)]
)
def test_any_audio_is_read(
    name: str, rate: int, channels: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Formats, rates and channels make no difference to which words are there, but for what 8 kHz takes away."""
    from engine import audio

    samples, own = spoken(TEXT)
    soundfile.write(tmp_path / name, np.stack([audio.resample(samples, own, rate)] * channels, axis=1), rate)
    found = screened(capsys, tmp_path / name, TEXT)
    assert found["duration_sec"] == pytest.approx(len(samples) / own, abs=0.1)
    assert found["dropped"] == []


def test_what_nobody_can_follow_is_not_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A language without a recogniser and a hiss have no words; the words' score is null and not passed."""
    hiss = np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32)
    soundfile.write(tmp_path / "c.wav", hiss, 16_000)
    for text, language in (("今天天气很好。", "zh"), (TEXT, "en")):
        found = screened(capsys, tmp_path / "c.wav", text, "--language", language)
        score = next(score for score in found["scores"] if score["name"] == "words")
        assert (score["value"], score["passed"]) == (None, None)
        assert "annot judge this voice" in score["explanation"]
        assert found["words"] == []


def test_bad_input_is_named_with_its_mend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and a sentence with the file or the flag."""
    (tmp_path / "c.wav").write_bytes(b"no audio")
    soundfile.write(tmp_path / "short.wav", np.zeros(100, np.float32), 16_000)
    for path, text, named in (("c.wav", TEXT, "c.wav"), ("short.wav", TEXT, "short.wav"), ("short.wav", " . ", "text")):
        assert main(["screen", str(tmp_path / path), "--text", text]) == 2
        assert named in capsys.readouterr().err
