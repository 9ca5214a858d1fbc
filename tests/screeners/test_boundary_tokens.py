"""The reference's tokens at a beginning: planted repetition is found, unrelated speech and pauses are not."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from engine.screeners import SCREENERS, boundary_tokens
from engine.screeners.boundary_tokens import Overlap, Spoken, Tokens
from engine.screeners.heard import Heard
from engine.screeners.leakage_gates import LeakGate, TokenEvidence, gates
from engine.types import Reference, SpeechTokens
from tests.screeners.test_leakage import start

RATE_HZ = 25
PAUSE = (7, 7, 9, 7, 9, 9, 7, 9, 7, 7)  # as codecs have it: a few tokens in turn, at both ends of all speech


def speech(draw: random.Random, sec: float) -> Tokens:
    """Words of three tokens out of a lexicon of 400, as speech comes back to the same sounds, between two pauses."""
    words = [tuple(100 + 3 * word + n for n in range(3)) for word in range(400)]
    said = [token for _ in range(round(sec * RATE_HZ / 3)) for token in draw.choice(words)]
    return (*PAUSE[: draw.randint(3, 10)], *said, *PAUSE[: draw.randint(3, 10)])


def evidence(leak: float, *, seed: int = 0, lines: int = 12, at: float = 0.0) -> TokenEvidence:
    """A check of `lines` lines after one reference, whose last second, or the one that ends `at` s earlier, begins
    each of them with a share of its tokens.
    """
    draw = random.Random(seed)
    reference = speech(draw, 6.0)
    end = len(reference) - round(at * RATE_HZ)
    said = []
    for line in range(lines):
        planted = tuple(token for token in reference[end - RATE_HZ : end] if draw.random() < leak)
        said.append(Spoken(planted + speech(draw, 4.0), str(line)))
    others = [Spoken(each.tokens[2 * RATE_HZ :], each.line) for each in said]
    pauses = boundary_tokens.common([reference, *(each.tokens for each in said)])
    found = boundary_tokens.overlap(reference, said, others, rate_hz=RATE_HZ, pauses=pauses)
    assert found is not None
    return TokenEvidence(tuned=[found])


def judged(tokens: TokenEvidence) -> LeakGate:
    return gates([start()] * 4, tokens=tokens)[4]


def test_the_longest_common_subsequence_is_that_of_the_table() -> None:
    """The row of bits gives what the textbook's table gives."""
    draw = random.Random(1)
    for _ in range(200):
        one, other = ([draw.randrange(6) for _ in range(draw.randrange(30))] for _ in range(2))
        row = [0] * (len(other) + 1)
        for token in one:
            before, row = row, [0]
            for place, (above_left, above) in enumerate(pairwise(before)):
                row.append(above_left + 1 if token == other[place] else max(above, row[-1]))
        assert boundary_tokens.longest_common(one, other) == row[-1]


@pytest.mark.parametrize("at", [0.0, 2.5])
def test_planted_repetition_fires_wherever_in_the_reference_it_lies(at: float) -> None:
    """Half of a second's tokens at the beginnings: its last second's, or another's."""
    gate = judged(evidence(0.5, at=at))
    assert gate.passed is False, gate.explanation
    assert (gate.value > 0.3) is (at == 0.0)


def test_unrelated_speech_does_not_fire() -> None:
    """Nothing planted, in 20 checks with pauses at all ends: one in 20 may fire (none of 300 did)."""
    found = [judged(evidence(0.0, seed=seed)) for seed in range(20)]
    assert all(gate.passed is not None for gate in found)
    assert sum(gate.passed is False for gate in found) <= 1


def test_tokens_that_are_not_there_are_not_measured_and_never_clean() -> None:
    """Clips from before tokens were kept, a model that tells none, too few clips to judge by: no pass, and why."""
    old, none = judged(TokenEvidence(unknown=12)), judged(TokenEvidence(tells=False))
    assert (old.passed, none.passed) == (None, None)
    assert "another seed" in old.explanation
    assert "tells no speech tokens" in none.explanation
    few = Overlap(end=0.9, anywhere=0.9, null_end=(0.0,) * 7, null_anywhere=(0.0,) * 7)
    assert judged(TokenEvidence(tuned=[few])).passed is None
    mixed = judged(TokenEvidence(tuned=evidence(0.5).tuned, unknown=3))
    assert "3 clips are not measured" in mixed.explanation


def heard(tokens: tuple[SpeechTokens, ...] | None, *, prompted: bool = True) -> Heard:
    reference = Reference(audio_path=Path("a.wav"), text="words", sha256="0" * 64) if prompted else None
    samples = np.zeros(16_000, np.float32)
    return Heard(samples=samples, sample_rate=16_000, text="a", reference=reference, speech_tokens=tokens)


def test_one_clip_is_flagged_for_the_references_own_end_alone() -> None:
    """A chunk that begins with the reference's last second; one of other words is not; neither is judged without
    tokens, nor a voice without a reference.
    """
    draw, screener = random.Random(3), SCREENERS["boundary_tokens"]
    reference = speech(draw, 6.0)
    clean, leaking = (
        SpeechTokens(said=before + speech(draw, 4.0), reference=reference, rate_hz=RATE_HZ)
        for before in ((), reference[-RATE_HZ - 5 : -5])
    )
    answer = screener(heard((clean, leaking)))
    assert (answer.passed, list(answer.reasons)) == (False, ["inserted speech"])
    assert screener(heard((clean, clean))).passed is True
    for unknown, said in ((heard(None), "Not measured"), (heard((clean,), prompted=False), "Not applicable")):
        told = screener(unknown)
        assert (told.passed, math.isnan(told.value)) == (None, True)
        assert told.explanation.startswith(said)
