"""In which order questions are asked: Williams squares, and seeded randomisation under rules (pure).

Looks at lines and numbers alone, so that the order is the same whatever candidates the clips belong to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random

from engine.listening.question import Question


def williams(n: int) -> tuple[tuple[int, ...], ...]:
    """The Williams square of `n` treatments: each row is an order, and over the rows every treatment comes at every
    place equally often and right after every other equally often.

    Even `n`: n rows, each ordered pair adjacent once. Odd `n`: 2n rows, each pair twice. Williams 1949, "Experimental
    designs balanced for the estimation of residual effects of treatments". Raises ValueError for n < 1.
    """
    if n < 1:
        raise ValueError(f"A square needs at least one treatment, not {n}.")
    first = [0]
    for step in range(1, n):  # 0, 1, n-1, 2, n-2, ...: every difference modulo n comes once
        first.append((step + 1) // 2 if step % 2 else n - step // 2)
    rows = [tuple((treatment + row) % n for treatment in first) for row in range(n)]
    if n % 2 and n > 1:
        rows += [row[::-1] for row in rows]
    return tuple(rows)


def cells(n: int, lines: int, orders: Sequence[Sequence[int]], *, start: int) -> Iterator[tuple[int, int]]:
    """Every (treatment, line) once, in passes: each pass asks every treatment once, in the order of `orders` in turn.

    Any beginning of it is balanced: no treatment, and of a treatment no line, is asked more than once more often than
    another. A line does not come twice in a row when there are three or more. `start` shifts the lines, so that
    reviewers who hear a part each hear different parts.
    """
    last: int | None = None
    asked: set[tuple[int, int]] = set()
    for turn in range(lines):
        order = orders[turn % len(orders)]
        shifts = _shifts(n, lines)
        for place, treatment in enumerate(order):
            line = _free_line(treatment, (turn + shifts[place] + start) % lines, lines, asked, last)
            asked.add((treatment, line))
            last = line
            yield treatment, line


def _shifts(n: int, lines: int) -> list[int]:
    return [place % lines for place in range(n)]


def _free_line(treatment: int, wanted: int, lines: int, asked: set[tuple[int, int]], last: int | None) -> int:
    """The wanted line, or the next one that this treatment was not heard on and that was not just heard."""
    free = [line % lines for line in range(wanted, wanted + lines) if (treatment, line % lines) not in asked]
    return next((line for line in free if line != last), free[0])


def arranged(questions: Sequence[Question], random: Random) -> list[Question]:
    """A random order in which equal lines are as seldom neighbours as their numbers allow.

    Every step draws from the questions after which the rest can still be arranged; looking at lines alone, it makes
    the same draws whatever candidates the clips belong to.
    """
    rest = list(questions)
    order: list[Question] = []
    last: str | None = None
    while rest:
        lines = _next_lines(Counter(q.line_id for q in rest), last)
        place = random.choice([i for i, q in enumerate(rest) if q.line_id in lines])
        order.append(rest.pop(place))
        last = order[-1].line_id
    return order


def _next_lines(left: Counter[str], last: str | None) -> set[str]:
    """The lines that may come next: not `last` if avoidable, and the most frequent one as soon as it must alternate."""
    total = left.total()
    others = {line for line in left if line != last}
    if not others:
        return set(left)
    # After the next question, total - 1 are left. A line that is not the next one may fill every second place from the
    # first on: half of them, rounded up. The line with more than that is the next one.
    pressing = {line for line in others if left[line] > total // 2}
    return pressing or others


def mixed_in(questions: Sequence[Question], extra: Sequence[Question], random: Random) -> list[Question]:
    """`questions` in their order, with `extra` between them at drawn places, next to no equal line where avoidable."""
    order = list(questions)
    for question in extra:
        places = [place for place in range(len(order) + 1) if question.line_id not in _lines_around(order, place)]
        order.insert(random.choice(places or range(len(order) + 1)), question)
    return order


def _lines_around(order: Sequence[Question], place: int) -> set[str]:
    return {question.line_id for question in order[max(0, place - 1) : place + 1]}
