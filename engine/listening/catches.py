"""Catch trials: questions whose answer is known beforehand, or was given before (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice
from random import Random

from engine.listening.question import PAIRS, Question, Side
from engine.types import CATCHES, BadInput, Treatment, TrialKind, TrialRole

MOST = 0.5  # more checks than questions would be another test


def allowed(kind: TrialKind) -> tuple[TrialRole, ...]:
    """The catch trials that a kind of question can have.

    Two equal sounds say something where they may be called equal; the anchor of a multi trial is one of its sounds.
    """
    if kind in (TrialKind.PREFERENCE, TrialKind.CMOS):
        return CATCHES
    return (TrialRole.REPEAT,) if kind is TrialKind.MULTI else (TrialRole.ANCHOR, TrialRole.REPEAT)


def with_catches(
    questions: Sequence[Question],
    random: Random,
    *,
    rate: float,
    roles: Sequence[TrialRole],
    anchor: Treatment,
) -> list[Question]:
    """The catch trials that go with `questions`, so that they are `rate` of all; of each role about as many.

    A repeat is the question itself once more: which of the two comes later is not decided here. Raises BadInput for a
    rate outside 0..0.5, or when the kind allows none of `roles`.
    """
    if not 0 <= rate <= MOST:
        raise BadInput(f"The share of catch trials is 0 to {MOST}, not {rate:g}.")
    count = round(rate * len(questions) / (1 - rate))
    if not count:
        return []
    wanted = [role for role in roles if role in allowed(questions[0].kind)]
    if not wanted:
        raise BadInput(f"A {questions[0].kind} test has no catch trials of these kinds; choose others, or none.")
    random.shuffle(wanted)
    drawn = _drawn(len(questions), count, random)
    return [catch(questions[i], role, random, anchor, twin=i) for i, role in zip(drawn, cycle(wanted), strict=False)]


def catch(question: Question, role: TrialRole, random: Random, anchor: Treatment, twin: int | None = None) -> Question:
    """A catch trial of this role on the line of `question`."""
    side = random.choice(question.sides)
    if role is TrialRole.REPEAT:
        return replace(question, role=role, twin=twin)
    if role is TrialRole.IDENTICAL:
        return replace(question, role=role, sides=(side, side))
    return degraded(question, role, side, anchor)


def degraded(question: Question, role: TrialRole, side: Side, anchor: Treatment) -> Question:
    """One clip of `question` against its degraded self, or alone and degraded where the kind hears one."""
    bad = Side(side.clip, anchor)
    sides = (Side(side.clip), bad) if question.kind in PAIRS else (bad,)
    return replace(question, role=role, sides=sides)


def _drawn(total: int, count: int, random: Random) -> list[int]:
    """`count` different places as long as there are any, then again from the first."""
    return list(islice(cycle(random.sample(range(total), total)), count))
