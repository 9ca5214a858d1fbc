"""From a test's plan to the questions and trials of one reviewer (pure).

The first pass asks every treatment once (a candidate, a pair, or all of them), the next pass once more on other lines,
and so on: whatever part of it a reviewer hears is balanced. Reviewers differ in where they begin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, islice
from random import Random

from engine.listening.catches import allowed, degraded, with_catches
from engine.listening.order import arranged, cells, mixed_in, williams
from engine.listening.question import PAIRS, SINGLES, Question, Side, pair, several, single
from engine.listening.sides import SideBalance, sided
from engine.listening.trials import made, with_twins
from engine.types import (
    BadInput,
    Candidate,
    Clip,
    Design,
    ListeningTest,
    Order,
    Pairing,
    Session,
    Treatment,
    Trial,
    TrialKind,
    TrialRole,
)

Clips = Mapping[tuple[str, str], Clip]  # by candidate id and line id

MOST_TRIALS = 1000  # a sitting; nobody hears more


def sitting_seed(seed: int, place: int) -> int:
    """The seed of the sitting at `place`, from its test's: whoever has the plan can draw all sittings again."""
    return Random(f"{seed} sitting {place}").getrandbits(31)


def check_test(test: ListeningTest) -> None:
    """Raises BadInput, naming what to change, for a plan that cannot be carried out."""
    if not test.name.strip():
        raise BadInput("A listening test needs a name.")
    ids = [candidate.id for candidate in test.candidates]
    if len(set(ids)) < len(ids):
        raise BadInput("A candidate is chosen twice; choose each once.")
    least = 1 if test.kind in SINGLES else 2
    if len(ids) < least:
        raise BadInput(f"A {test.kind} test needs at least {least} candidates; it has {len(ids)}.")
    if not test.lines or len(set(test.lines)) < len(test.lines):
        raise BadInput("Choose at least one line, and each once.")
    if not test.reviewers or any(not name.strip() for name in test.reviewers):
        raise BadInput("Name at least one reviewer.")
    if len(set(test.reviewers)) < len(test.reviewers):
        raise BadInput("A reviewer is named twice; give everybody a name of their own.")
    if test.judgments < 0:
        raise BadInput("The number of judgments is 1 or more, or 0 for every question once.")
    if test.design is Design.ADAPTIVE and test.kind is not TrialKind.PREFERENCE:
        raise BadInput("Only A/B preference can be adaptive; choose a fixed design for the other kinds.")
    if test.anchor is Treatment.NONE:
        raise BadInput("An anchor is degraded: choose how.")
    _check_catches(test)


def _check_catches(test: ListeningTest) -> None:
    possible = allowed(test.kind)
    if test.catch_rate and not set(test.catches) & set(possible):
        names = ", ".join(possible)
        raise BadInput(f"A {test.kind} test can have these catch trials: {names}. Choose one, or a rate of 0.")
    with_catches((), Random(0), rate=test.catch_rate, roles=(), anchor=test.anchor)
    if test.low_anchor and test.kind is not TrialKind.MULTI:
        raise BadInput("A low anchor belongs to a multi-stimulus test; the other kinds have anchors as catch trials.")


def treatments(test: ListeningTest) -> tuple[tuple[Candidate, ...], ...]:
    """What is asked about on every line: each candidate, each pair, or all of them together."""
    if test.kind in SINGLES:
        return tuple((candidate,) for candidate in test.candidates)
    if test.kind not in PAIRS:
        return (test.candidates,)
    if test.pairing is Pairing.FIRST:
        first, *others = test.candidates
        return tuple((first, other) for other in others)
    return tuple(combinations(test.candidates, 2))


def questions(test: ListeningTest, clips: Clips, *, place: int, seed: int) -> list[Question]:
    """The main questions of the reviewer at `place`, in the passes that make any part of them balanced.

    Raises BadInput when a candidate has no clip of a line.
    """
    asked = treatments(test)
    # Numbers for the treatments and lines, the same for all reviewers: their rows then balance one another.
    shuffled = Random(test.seed)
    numbers = shuffled.sample(range(len(asked)), len(asked))
    lines = shuffled.sample(test.lines, len(test.lines))
    limit = min(test.judgments or len(asked) * len(lines), MOST_TRIALS)
    orders = _orders(test.order, len(asked), len(lines), place, seed)
    found = islice(cells(len(asked), len(lines), orders, start=place), limit)
    return [_question(test, asked[numbers[treatment]], lines[line], clips) for treatment, line in found]


def _orders(order: Order, n: int, lines: int, place: int, seed: int) -> list[tuple[int, ...]]:
    """In which order each pass asks the treatments: the reviewer's row of the square, or a drawn one every time."""
    if order is Order.WILLIAMS:
        square = williams(n)
        return [square[place % len(square)]]
    random = Random(f"{seed} orders")
    return [tuple(random.sample(range(n), n)) for _ in range(lines)]


def _question(test: ListeningTest, candidates: Sequence[Candidate], line: str, clips: Clips) -> Question:
    found = [_clip(clips, candidate, line) for candidate in candidates]
    if test.kind in SINGLES:
        return single(test.kind, found[0])
    if test.kind in PAIRS:
        return pair(test.kind, *found)
    return several(found, low_anchor=test.anchor if test.low_anchor else Treatment.NONE)


def _clip(clips: Clips, candidate: Candidate, line: str) -> Clip:
    try:
        return clips[candidate.id, line]
    except KeyError:
        raise BadInput(
            f"{candidate.id} has no clip of line {line!r}; render it first, or leave the line out."
        ) from None


def sitting_trials(
    test: ListeningTest,
    session: Session,
    clips: Clips,
    *,
    new_token: Callable[[], str],
    balance: SideBalance | None = None,
) -> list[Trial]:
    """The trials with which a reviewer's sitting begins: all of a fixed design; the training trial of an adaptive one.

    Raises BadInput when a candidate has no clip of a line.
    """
    random = Random(session.seed)
    main = questions(test, clips, place=session.place, seed=session.seed)
    if test.design is Design.ADAPTIVE:
        first = [_training(test, main, random)] if test.training else []
        return made(sided(first, random, {}), session_id=session.id, new_token=new_token)
    extra = with_catches(main, random, rate=test.catch_rate, roles=test.catches, anchor=test.anchor)
    ordered = _ordered(test, with_twins(main, extra), len(main), random)
    # The training trial is on another line than the first that counts, where there is another.
    elsewhere = [question for question in main if question.line_id != ordered[0].line_id]
    first = [_training(test, elsewhere or main, random)] if test.training else []
    return made(sided([*first, *ordered], random, balance or {}), session_id=session.id, new_token=new_token)


def _ordered(test: ListeningTest, asked: Sequence[Question], main: int, random: Random) -> list[Question]:
    if test.order is Order.WILLIAMS:  # the square orders the main questions; the catch trials lie between them
        return mixed_in(asked[:main], asked[main:], random)
    return arranged(asked, random)


def _training(test: ListeningTest, main: Sequence[Question], random: Random) -> Question:
    """A question to learn the page by: the base where it takes part; where two are heard, one of them degraded."""
    question = random.choice(main)
    if question.kind is TrialKind.MULTI:
        return replace(question, role=TrialRole.TRAINING)
    side = next((side for side in question.sides if side.clip.candidate.is_base), question.sides[0])
    if question.kind in PAIRS:
        return degraded(question, TrialRole.TRAINING, side, test.anchor)
    return replace(question, role=TrialRole.TRAINING, sides=(Side(side.clip),))
