"""What leaks of a reference into the start: its words, its sounds, against what chance gives; and the gates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine import audio, screeners
from engine.backends.finch import phonemes
from engine.screeners import SCREENERS, leakage
from engine.screeners.heard import Heard
from engine.screeners.leakage import Start
from engine.screeners.leakage_gates import gates
from engine.types import Reference, Stop

PROMPT = "The old captain painted his wooden boat in purple and yellow stripes."
TEXT = "We had a quiet lunch beside the river and went home before it rained."


def spoken(text: str) -> NDArray[np.float32]:
    _, samples, rate = phonemes.speak(text)
    return audio.resample((samples / 32768).astype(np.float32), rate, 16_000)


@pytest.fixture(name="reference")
def _reference(tmp_path: Path) -> Reference:
    audio.write(tmp_path / "prompt.wav", spoken(PROMPT), 16_000)
    return Reference(audio_path=tmp_path / "prompt.wav", text=PROMPT, sha256="0" * 64)


def clip(samples: NDArray[np.float32], reference: Reference | None) -> Heard:
    ears = screeners.ears("finch")
    return Heard(samples=samples, sample_rate=16_000, text=TEXT, ears=ears, stop=Stop.EOS, reference=reference)


def test_words_of_the_reference_at_the_start_are_a_leak(reference: Reference) -> None:
    """ "Yellow stripes" before the text is heard; the text alone is clean; and cutting the start off mends it."""
    clean, leaking = spoken(TEXT), np.concatenate([spoken("Yellow stripes."), spoken(TEXT)])
    assert SCREENERS["leakage"](clip(clean, reference)).passed is True
    answer = SCREENERS["leakage"](clip(leaking, reference))
    assert answer.passed is False
    assert answer.value >= 2
    found = leakage.start(clip(leaking, reference), other_text="A green lamp stood on the shelf by the tall window.")
    assert found.by_chance == 0
    assert found.trimmed_hits < found.hits


def test_a_voice_without_a_reference_has_no_leak_to_look_for() -> None:
    """ "Not applicable" is no pass."""
    answer = SCREENERS["leakage"](clip(spoken(TEXT), None))
    assert answer.passed is None
    assert answer.explanation.startswith("Not applicable")
    assert {gate.passed for gate in gates([])} == {None}


def test_the_reference_going_on_correlates_more_than_its_other_stretches(reference: Reference) -> None:
    """A clip that begins with the reference's last sounds stands out of the null; one of other words does not."""
    prompt = spoken(PROMPT)
    same, null = leakage.boundary(prompt, np.concatenate([prompt[-9_000:], spoken(TEXT)]))
    assert same > max(null)
    other, null = leakage.boundary(prompt, spoken(TEXT))
    assert sum(value >= other for value in null) > 1
    assert math.isnan(leakage.boundary(prompt[:4000], spoken(TEXT))[0])


def test_a_reference_that_is_gone_is_told(tmp_path: Path) -> None:
    """The clip is not judged, and the sentence names the file."""
    gone = Reference(audio_path=tmp_path / "gone.wav", text=PROMPT, sha256="0" * 64)
    answer = SCREENERS["leakage"](clip(spoken(TEXT), gone))
    assert answer.passed is None
    assert "gone.wav" in answer.explanation


def start(hits: int = 0, trimmed: int = 0, correlation: float = 0.2) -> Start:
    null = tuple(np.linspace(0.0, 0.5, 40).tolist())
    return Start(hits=hits, trimmed_hits=trimmed, by_chance=0, correlation=correlation, null=null)


@dataclass
class Case:
    tuned: list[Start]
    base: list[Start]
    said: str


@pytest.mark.parametrize(
    "case",
    [
        Case([start(3)] * 12, [start()] * 12, "the adapter adds to it"),
        Case([start(3)] * 12, [start(2)] * 12, "the base does it as well"),
        Case([start()] * 12, [start()] * 12, "neither leaks"),
    ],
)
def test_the_first_gate_says_whose_leak_it_is(case: Case) -> None:
    """A leak of the base alone is not put down to the adapter; the interval of the difference decides."""
    gate = gates(case.tuned, base=case.base)[0]
    assert case.said in gate.explanation
    assert gate.passed is ("neither" in case.said)


def test_the_other_gates_need_what_they_judge_by() -> None:
    """Collapse without the reference's text, a leak that trimming does not mend, sounds that go on."""
    _, blank, trimmed, boundary, _ = gates([start(2, 1, 0.9)] * 6, errors=[5.0] * 6, blank_errors=[60.0] * 6)
    assert (blank.passed, trimmed.passed, boundary.passed) == (False, False, False)
    assert trimmed.value == 1.0
    _, blank, trimmed, boundary, _ = gates([start()] * 6, errors=[5.0] * 6, blank_errors=[9.0] * 6)
    assert (blank.passed, trimmed.passed, boundary.passed) == (True, True, True)
    assert gates([start()] * 6)[1].passed is None
