"""A/B answers by name, and what can be said of them before any model: who met whom, and who never did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from engine.types import BadInput, Choice

OUTCOMES = (Choice.A, Choice.B, Choice.TIE)


class Comparison(NamedTuple):
    """One answer: `a` was played first. `rater` and `line` name its clusters; empty where that is not known."""

    a: str
    b: str
    choice: Choice
    rater: str = ""
    line: str = ""


def names_of(comparisons: Iterable[Comparison]) -> list[str]:
    """Everyone who was compared, in the order of names."""
    return sorted({name for c in comparisons for name in (c.a, c.b)})


def check(comparisons: Sequence[Comparison]) -> None:
    """Raises BadInput without answers, for what is no preference between two, and for groups that never met."""
    if not comparisons:
        raise BadInput("There are no preferences to fit yet; answer some A/B trials first.")
    for comparison in comparisons:
        if comparison.choice not in OUTCOMES:
            told = f"A preference is one of {', '.join(OUTCOMES)}, not {comparison.choice}; leave gate answers out."
            raise BadInput(told)
        if comparison.a == comparison.b:
            raise BadInput(f"{comparison.a} was compared with itself; leave catch trials out of the fit.")
    groups = components(comparisons)
    if len(groups) > 1:
        told = " and ".join(", ".join(group) for group in groups)
        raise BadInput(
            f"{told} were never compared: they have no common scale; open a session with a pair of the two groups."
        )


def components(comparisons: Iterable[Comparison]) -> list[list[str]]:
    """The groups that were compared among themselves, also through third ones; by name."""
    neighbours: dict[str, set[str]] = {}
    for comparison in comparisons:
        neighbours.setdefault(comparison.a, set()).add(comparison.b)
        neighbours.setdefault(comparison.b, set()).add(comparison.a)
    groups: list[list[str]] = []
    left = sorted(neighbours, reverse=True)
    seen: set[str] = set()
    while left:
        start = left.pop()
        if start in seen:
            continue
        reached, todo = {start}, [start]
        while todo:
            new = neighbours[todo.pop()] - reached
            reached |= new
            todo += new
        seen |= reached
        groups.append(sorted(reached))
    return groups


def is_list_of_winners(comparisons: Sequence[Comparison]) -> bool:
    """Whether the same column holds the winner in every row: then the columns say who won, not who was played first."""
    decided = {c.choice for c in comparisons if c.choice is not Choice.TIE}
    return len(decided) == 1 and len({(c.a, c.b) for c in comparisons}) > 1
