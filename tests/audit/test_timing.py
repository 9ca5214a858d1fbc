"""Text against time: impossible rates are errors, unusual ones warnings, per speaker, language and script."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine import needs
from engine.audit import timing
from engine.audit.row import RowFacts
from engine.types import Severity
from tests.audit.fact_factory import fact

NEEDS = replace(needs.of("finch"), min_sec=0.5, max_sec=20.0, silently="Rows beyond are dropped.")


def timed(row: str, text: str, seconds: float, **fields: Any) -> RowFacts:
    """A row that is spoken from its first to its last moment."""
    made = fact(row, np.zeros(1600, np.float32), text=text, **fields)
    assert made.measurement is not None
    measurement = replace(made.measurement, speech_sec=seconds, duration_sec=seconds)
    return replace(made, measurement=measurement, speech=((0.0, seconds),))


def reader(count: int = 12, rate: float = 14.0, **fields: Any) -> list[RowFacts]:
    """Rows of a reader who varies by a tenth."""
    lengths = [30 + 5 * (n % 5) for n in range(count)]
    return [
        timed(f"{fields.get('speaker', '')}{n}", "a" * length, length / rate * (1 + 0.1 * math.sin(n)), **fields)
        for n, length in enumerate(lengths)
    ]


def told(facts: list[RowFacts], row: str) -> set[tuple[str, Severity]]:
    return {(f.check, f.severity) for f in timing.speaking_rates(facts) if f.row == row}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (1.0, ("text_too_long", Severity.ERROR)),
        (1.7, ("text_too_long", Severity.WARNING)),
        (3.0, None),
        (3.6, None),
        (4.5, None),
        (7.2, ("text_too_short", Severity.WARNING)),
        (29.0, ("text_too_short", Severity.ERROR)),
    ],
)
def test_a_text_against_its_clip(seconds: float, expected: tuple[str, Severity] | None) -> None:
    """50 letters at 14 a second take 3.6 s; a clip that cannot hold them is an error, one far from usual a warning."""
    facts = [*reader(), timed("x", "a" * 50, seconds)]
    assert told(facts, "x") == ({expected} if expected else set())
    assert all(not told(facts, f.utterance.id) for f in facts[:-1])


@pytest.mark.parametrize("spread", [0.02, 0.3])
def test_text_twice_or_by_half_is_seen_in_any_set(spread: float) -> None:
    """However lively the reader, a factor of two is named; however even, one of a third is not."""
    facts = [timed(f"r{n}", "a" * 40, 40 / 14 * math.exp(spread * math.cos(n))) for n in range(20)]
    assert told([*facts, timed("x", "a" * 80, 40 / 14)], "x") == {("text_too_long", Severity.WARNING)}
    assert told([*facts, timed("x", "a" * 20, 40 / 14)], "x") == {("text_too_short", Severity.WARNING)}
    assert told([*facts, timed("x", "a" * 53, 40 / 14)], "x") == set()


def test_each_speaker_has_a_rate() -> None:
    """A slow reader among fast ones is not at fault; a row at the other's rate is."""
    facts = [*reader(rate=18.0, speaker="fast"), *reader(rate=9.0, speaker="slow")]
    assert [f for f in timing.speaking_rates(facts)] == []
    odd = timed("odd", "a" * 36, 2.0, speaker="slow")
    assert told([*facts, odd], "odd") == {("text_too_long", Severity.WARNING)}


def test_each_language_has_a_rate() -> None:
    """The same speaker's rows in another language are compared among themselves."""
    german = reader(rate=9.0, speaker="ada", language="de")
    english = [
        replace(f, utterance=replace(f.utterance, id=f"en{f.utterance.id}")) for f in reader(rate=17.0, speaker="ada")
    ]
    assert [f for f in timing.speaking_rates([*german, *english])] == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("今天天气很好我们一起去公园散步吧", 3.2),
        ("오늘은 날씨가 좋아서 공원에 갔어요", 2.8),
        ("きょうはとてもいいてんきですね", 2.0),
        ("In 1984 they had 365 days.", 3.6),
    ],
)
def test_scripts_of_whole_syllables_are_counted_as_such(text: str, seconds: float) -> None:
    """Five ideographs a second are normal speech, and three times that is not possible, alone in any set."""
    assert told([timed("x", text, seconds)], "x") == set()
    assert told([timed("x", text, seconds / 5)], "x") == {("text_too_long", Severity.ERROR)}
    assert told([timed("x", text, seconds * 15)], "x") == {("text_too_short", Severity.ERROR)}


def test_silence_around_a_text_does_not_make_it_short() -> None:
    """What counts is the time in which somebody speaks."""
    row = timed("x", "a" * 40, 3.0)
    assert row.measurement is not None
    row = replace(row, measurement=replace(row.measurement, duration_sec=19.0))
    assert told([*reader(), row], "x") == set()


def test_a_word_or_two_is_not_judged_by_rate() -> None:
    """ "No." may take as long as it likes."""
    assert told([*reader(), timed("x", "No.", 0.6)], "x") == set()


@pytest.mark.parametrize(("seconds", "expected"), [(0.2, True), (0.6, False), (19.0, False), (21.0, True)])
def test_limits_of_the_backend(seconds: float, expected: bool) -> None:
    """Clips beyond the limits are errors that say what upstream does with them."""
    findings = list(timing.durations([timed("x", "a" * 10, seconds)], NEEDS))
    assert bool(findings) == expected
    for finding in findings:
        assert (finding.check, finding.severity) == ("duration", Severity.ERROR)
        assert "Rows beyond are dropped." in finding.explanation


def test_little_speech_is_said_of_the_whole_set() -> None:
    """Too little is a warning, nothing usable an error, and enough is not spoken of."""
    some, enough = reader(4), reader(40)
    assert [(f.check, f.row, f.severity) for f in timing.whole_set(some, frozenset())] == [
        ("little_speech", "", Severity.WARNING)
    ]
    every = frozenset(f.utterance.id for f in some)
    assert [f.severity for f in timing.whole_set(some, every)] == [Severity.ERROR]
    assert list(timing.whole_set(enough, frozenset())) == []
