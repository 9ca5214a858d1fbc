"""A row of another voice is found, two voices are told, and one voice is left alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from engine import voice_vector
from engine.audit import speakers
from engine.audit.row import RowFacts
from engine.backends.finch.phonemes import EspeakVoice
from engine.backends.finch.pretrain.data import utter
from engine.types import Severity
from tests.audit.fact_factory import fact

TEXTS = (
    "The stale smell of old beer lingers near the door.",
    "A pot of tea helps to pass the whole long evening.",
    "Kick the ball straight and follow through with care.",
    "The boy was there when the sun rose over the hill.",
    "A rod is used to catch pink salmon in the river.",
    "The source of the huge river is the clear spring.",
    "Help the woman get back to her feet this morning.",
    "Glue the sheet to the dark blue background slowly.",
    "Rice is often served in round bowls with lemons.",
    "The juice of lemons makes fine punch in summer.",
)
VOICES = {"low": EspeakVoice("en-us+m3", 165, 40), "high": EspeakVoice("en-us+f2", 165, 60)}


@pytest.fixture(scope="module", name="vectors")
def _vectors() -> dict[str, list[NDArray[np.float32]]]:
    """Each voice's clips as numbers."""
    found: dict[str, list[NDArray[np.float32]]] = {}
    for name, voice in VOICES.items():
        clips = [utter(text, voice).samples.numpy().astype(np.float32) for text in TEXTS]
        found[name] = [voice_vector.vector(clip, [(0.0, len(clip) / 16000)]) for clip in clips]
    return found


def rows(vectors: Sequence[NDArray[np.float32] | None], speaker: str = "") -> list[RowFacts]:
    silence = np.zeros(16000, np.float32)
    return [fact(f"{speaker}{i}", silence, voice=voice, speaker=speaker) for i, voice in enumerate(vectors)]


def test_pitch_is_measured(vectors: dict[str, list[NDArray[np.float32]]]) -> None:
    """The high voice's F0 is well above the low one's, and each is the same in all clips."""
    low, high = (np.exp([v[40] for v in vectors[name]]) for name in ("low", "high"))
    assert low.max() * 1.3 < high.min()
    assert low.max() < low.min() * 1.2


def test_level_does_not_matter() -> None:
    """The same clip at a tenth of the level is the same voice."""
    clip = utter(TEXTS[0], VOICES["low"]).samples.numpy().astype(np.float32)
    span = [(0.0, len(clip) / 16000)]
    loud, soft = voice_vector.vector(clip, span), voice_vector.vector((clip * 0.1).astype(np.float32), span)
    np.testing.assert_allclose(loud, soft, atol=0.02)


@pytest.mark.parametrize(("own", "other"), [("low", "high"), ("high", "low")])
def test_one_row_of_another_voice(vectors: dict[str, list[NDArray[np.float32]]], own: str, other: str) -> None:
    """A row of another speaker is a warning at that row alone."""
    (found,) = speakers.check(rows([*vectors[own][:9], vectors[other][9]]))
    assert (found.check, found.severity, found.row) == ("speaker", Severity.WARNING, "9")
    assert "Hz" in found.explanation


@pytest.mark.parametrize("name", VOICES)
def test_one_voice_is_left_alone(vectors: dict[str, list[NDArray[np.float32]]], name: str) -> None:
    """A set of one speaker has no finding."""
    assert list(speakers.check(rows(vectors[name]))) == []


def test_two_voices_in_one_set(vectors: dict[str, list[NDArray[np.float32]]]) -> None:
    """Half and half, no row is the odd one: the whole set is told about, once."""
    (found,) = speakers.check(rows([*vectors["low"][:5], *vectors["high"][5:]]))
    assert (found.severity, found.row) == (Severity.WARNING, "")
    assert "two clearly different voices" in found.explanation
    assert "5 of 10" in found.explanation


def test_each_label_is_a_set_of_its_own(vectors: dict[str, list[NDArray[np.float32]]]) -> None:
    """Two speakers with their own labels are as they should be."""
    assert list(speakers.check([*rows(vectors["low"], "a"), *rows(vectors["high"], "b")])) == []


def test_few_rows_are_not_judged(vectors: dict[str, list[NDArray[np.float32]]]) -> None:
    """Of seven rows nobody can say which is usual; rows without a voice do not count."""
    few = [*vectors["low"][:6], vectors["high"][0], None, voice_vector.vector(np.zeros(16000, np.float32), [(0, 1)])]
    assert list(speakers.check(rows(few))) == []


@pytest.mark.parametrize("speech", [[], [(0.0, 0.1)], [(0.5, 0.5)]])
def test_too_little_speech_is_no_voice(speech: list[tuple[float, float]]) -> None:
    """Without speech there are no numbers, and no error either."""
    noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    assert np.isnan(voice_vector.vector(noise, speech)).all()
