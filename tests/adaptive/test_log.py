"""An adaptive test as a log: what a choice depends on, and making it once more."""

from __future__ import annotations

import itertools
from collections import Counter

from engine.adaptive.arms import Arm
from engine.adaptive.log import Answered, Asked, Ended, Event, next_question, replay, state_of
from engine.types import Choice

ARMS = tuple(Arm(f"{epoch}@{scale}", epoch, scale) for epoch in (2, 4, 6) for scale in (0.2, 0.5))
LINES = ("l1", "l2", "l3")
SEED = 5


def played(judgments: int, sittings: tuple[str, ...] = ("s1", "s2")) -> list[Event]:
    """Reviewers who prefer what is nearest epoch 4, each question asked while the other's is open."""
    events: list[Event] = []
    for n in range(judgments):
        sitting = sittings[n % len(sittings)]
        asked = next_question(ARMS, LINES, state_of(events), sitting=sitting, seed=SEED)
        trial = Asked(trial=f"t{n}", sitting=sitting, first=asked.one, second=asked.other, line=asked.line)
        events.append(trial)
        if n >= len(sittings):
            before = next(e for e in events if isinstance(e, Asked) and e.trial == f"t{n - len(sittings)}")
            won = abs(float(before.first.split("@")[0]) - 4) < abs(float(before.second.split("@")[0]) - 4)
            events.append(Answered(before.trial, Choice.A if won else Choice.B))
    return events


def test_every_choice_can_be_made_again() -> None:
    """The log and the seed are enough; another seed, or one answer changed, gives other questions."""
    events = played(24)
    assert all(same for _, _, same in replay(ARMS, LINES, events, seed=SEED))
    assert not all(same for _, _, same in replay(ARMS, LINES, events, seed=SEED + 1))
    turned = [
        Answered(e.trial, Choice.B if e.choice is Choice.A else Choice.A) if isinstance(e, Answered) else e
        for e in events
    ]
    assert not all(same for _, _, same in replay(ARMS, LINES, turned, seed=SEED))


def test_lines_take_turns() -> None:
    """A sitting never hears a line twice in a row, and all of them equally often."""
    for sitting in ("s1", "s2"):
        heard = [e.line for e in played(24) if isinstance(e, Asked) and e.sitting == sitting]
        assert all(one != other for one, other in itertools.pairwise(heard))
        assert max(Counter(heard).values()) - min(Counter(heard).values()) <= 1


def test_an_answer_that_was_taken_back_is_pending_again() -> None:
    """It is neither counted nor forgotten; a closed sitting's open trial is not waited for."""
    asked = Asked(trial="t", sitting="s", first="2@0.2", second="4@0.5", line="l1")
    heard = state_of([asked, Answered("t", Choice.A)])
    assert (len(heard.answers()), heard.pending()) == (1, [])
    back = state_of([asked, Answered("t", Choice.A), Answered("t", None)])
    assert (back.answers(), back.pending()) == ([], [("2@0.2", "4@0.5")])
    again = state_of([asked, Answered("t", Choice.A), Answered("t", None), Answered("t", Choice.B)])
    assert [c.choice for c in again.answers()] == [Choice.B]
    assert state_of([asked, Ended("s")]).pending() == []
