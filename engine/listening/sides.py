"""Which clip of a question is on which side, drawn by a seed and evened out per reviewer and pair (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from random import Random

from engine.listening.order import williams
from engine.listening.question import PAIRS, Question
from engine.types import Trial, TrialKind, TrialRole

# How often the first of an unordered pair (by name) was on side A more often than on side B; for ABX, under the pair
# with "X" behind it, how often X was A more often than B.
SideBalance = Mapping[tuple[str, ...], int]

_COUNTED = (TrialRole.MAIN, TrialRole.REPEAT)


def sided(questions: Sequence[Question], random: Random, balance: SideBalance) -> list[Question]:
    """The questions with their sides in place.

    After any number of trials of a pair the first was on side A at most once more or less often than the second;
    where the count is even, a seeded coin decides. `balance` continues the count of the reviewer's earlier sittings.
    The clips of a multi trial take places by the rows of a Williams square, from a drawn row on.
    """
    standing = Counter(dict(balance))
    rows: dict[int, list[tuple[int, ...]]] = {}
    placed = []
    for question in questions:
        if question.kind in PAIRS:
            placed.append(_pair(question, random, standing))
        elif question.kind is TrialKind.MULTI:
            placed.append(_several(question, random, rows))
        else:
            placed.append(question)
    return placed


def side_balance(trials: Iterable[Trial], candidate_of: Callable[[str], str]) -> dict[tuple[str, ...], int]:
    """How the sides of a reviewer's trials so far stand, for `sided`; `candidate_of` maps clip id to candidate id."""
    balance: Counter[tuple[str, ...]] = Counter()
    for trial in trials:
        if trial.kind not in PAIRS or trial.role not in _COUNTED:
            continue
        on_a, on_b = (f"{candidate_of(slot.clip_id)} {slot.treatment}".strip() for slot in trial.slots[:2])
        names = (min(on_a, on_b), max(on_a, on_b))
        balance[names] += 1 if on_a < on_b else -1
        if trial.kind is TrialKind.ABX:
            balance[*names, "X"] += 1 if _same_sound(trial, 2, 0) else -1
    return dict(balance)


def _same_sound(trial: Trial, one: int, other: int) -> bool:
    a, b = trial.slots[one], trial.slots[other]
    return (a.clip_id, a.treatment) == (b.clip_id, b.treatment)


def _pair(question: Question, random: Random, standing: Counter[tuple[str, ...]]) -> Question:
    if question.role is TrialRole.IDENTICAL:
        return question
    first_on_a = _evened(question.names, random, standing)
    x = None
    if question.kind is TrialKind.ABX:
        x = 0 if _evened((*question.names, "X"), random, standing) else 1
    return replace(question, sides=question.sides if first_on_a else question.sides[::-1], x=x)


def _evened(key: tuple[str, ...], random: Random, standing: Counter[tuple[str, ...]]) -> bool:
    heads = standing[key] < 0 if standing[key] else random.random() < 0.5
    standing[key] += 1 if heads else -1
    return heads


def _several(question: Question, random: Random, rows: dict[int, list[tuple[int, ...]]]) -> Question:
    n = len(question.sides)
    if not rows.get(n):
        square = list(williams(n))
        start = random.randrange(len(square))
        rows[n] = square[start:] + square[:start]
    order = rows[n].pop(0)
    return replace(question, sides=tuple(question.sides[place] for place in order))
