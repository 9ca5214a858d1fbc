"""An adaptive test as what happened in order, and the question that follows: the same log gives the same question.

Knows names of candidates, lines and sittings. The choice depends on the test's seed and on what is in the log, so that
it can be checked afterwards: `replay` makes every choice again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from engine.adaptive.arms import Arm
from engine.adaptive.choosing import next_pair
from engine.statistics.comparison import Comparison
from engine.types import Choice


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A main trial that was added to a sitting; `first` was played first."""

    trial: str
    sitting: str
    first: str
    second: str
    line: str


@dataclass(frozen=True)
class Answered:
    """The answer that is in force from now on; None: the last one was taken back."""

    trial: str
    choice: Choice | None


@dataclass(frozen=True)
class Ended:
    """A sitting that was closed: its open trial will not be answered."""

    sitting: str


Event = Asked | Answered | Ended


@dataclass(frozen=True)
class NextQuestion:
    """Two candidates by name, in no order, the line to hear them on, and how the pair was chosen."""

    one: str
    other: str
    line: str
    how: str


@dataclass
class State:
    """Everything of a log that a choice depends on."""

    asked: dict[str, Asked] = field(default_factory=dict)
    choices: dict[str, Choice] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)

    def add(self, event: Event) -> None:
        """Take in what happened next."""
        if isinstance(event, Asked):
            self.asked[event.trial] = event
        elif isinstance(event, Ended):
            self.ended.add(event.sitting)
        elif event.choice is None:
            self.choices.pop(event.trial, None)
        else:
            self.choices[event.trial] = event.choice

    def answers(self) -> list[Comparison]:
        """The answers in force, in the order in which they were asked for; each rater is a sitting."""
        return [
            Comparison(one.first, one.second, self.choices[trial], rater=one.sitting, line=one.line)
            for trial, one in self.asked.items()
            if trial in self.choices
        ]

    def pending(self) -> list[tuple[str, str]]:
        """Pairs that somebody is listening to."""
        return [
            (one.first, one.second)
            for trial, one in self.asked.items()
            if trial not in self.choices and one.sitting not in self.ended
        ]


def state_of(events: Sequence[Event]) -> State:
    """The log folded up."""
    state = State()
    for event in events:
        state.add(event)
    return state


def next_question(arms: Sequence[Arm], lines: Sequence[str], state: State, *, sitting: str, seed: int) -> NextQuestion:
    """The pair by `choosing`, on a line that this sitting heard least often, and never twice in a row if avoidable."""
    import numpy as np

    random = np.random.default_rng([seed, len(state.asked)])
    pair = next_pair(arms, state.answers(), pending=state.pending(), random=random)
    heard = [one.line for one in state.asked.values() if one.sitting == sitting]
    counts = Counter(heard)
    open_lines = [line for line in lines if not heard or line != heard[-1]] or list(lines)
    fewest = min(counts[line] for line in open_lines)
    least = [line for line in open_lines if counts[line] == fewest]
    return NextQuestion(pair.one, pair.other, least[int(random.integers(len(least)))], pair.how)


def replay(
    arms: Sequence[Arm], lines: Sequence[str], events: Sequence[Event], *, seed: int
) -> Iterator[tuple[Asked, NextQuestion, bool]]:
    """Each question with the choice made once more, and whether it is the same."""
    state = State()
    for event in events:
        if isinstance(event, Asked):
            again = next_question(arms, lines, state, sitting=event.sitting, seed=seed)
            same = {again.one, again.other} == {event.first, event.second} and again.line == event.line
            yield event, again, same
        state.add(event)
