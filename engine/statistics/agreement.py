"""Agreement of reviewers: Krippendorff's alpha at the four levels of measurement, with missing answers.

Source: Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability": alpha = 1 - observed / expected disagreement,
over all pairs of answers about one unit and over all pairs of answers at all.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from enum import StrEnum

from engine.types import BadInput


class MeasurementLevel(StrEnum):
    """What differences of answers mean."""

    NOMINAL = "nominal"  # the same or not
    ORDINAL = "ordinal"  # how many answers lie between
    INTERVAL = "interval"  # how far apart
    RATIO = "ratio"  # how far apart, as a share of their sum


Difference = Callable[[float, float], float]


def alpha(
    units: Iterable[Sequence[Hashable]], level: MeasurementLevel | str = MeasurementLevel.NOMINAL
) -> float | None:
    """Krippendorff's alpha: 1 is full agreement, 0 what chance gives, below 0 is systematic disagreement.

    A unit is what several reviewers answered to, given as their answers; missing answers are left out. Answers are
    numbers except at the nominal level. None when it cannot be said: no unit with two answers, or all answers alike.
    Raises BadInput for what is no number, and for a negative one at the ratio level.
    """
    level = MeasurementLevel(level)
    pairable = [list(unit) for unit in units if len(unit) > 1]
    totals: Counter[Hashable] = Counter(answer for unit in pairable for answer in unit)
    if level is MeasurementLevel.NOMINAL:
        return _nominal(pairable, totals)
    for value in totals:
        _check_number(value, level)
    numbers: dict[float, int] = {float(value): count for value, count in totals.items()}  # type: ignore[arg-type]
    difference = _difference(level, numbers)
    expected = math.fsum(
        numbers[x] * numbers[y] * difference(x, y) for x in numbers for y in numbers if numbers and x != y
    )
    if expected == 0:
        return None
    observed = math.fsum(_within([float(v) for v in unit], difference) for unit in pairable)  # type: ignore[arg-type]
    return 1.0 - (totals.total() - 1) * observed / expected


def _nominal(pairable: Sequence[Sequence[Hashable]], totals: Counter[Hashable]) -> float | None:
    n = totals.total()
    expected = sum(count * (n - count) for count in totals.values())
    if expected == 0:
        return None
    observed = math.fsum(
        sum(count * (len(unit) - count) for count in Counter(unit).values()) / (len(unit) - 1) for unit in pairable
    )
    return 1.0 - (n - 1) * observed / expected


def _within(unit: Sequence[float], difference: Difference) -> float:
    counts = Counter(unit)
    pairs = math.fsum(counts[x] * counts[y] * difference(x, y) for x in counts for y in counts if x != y)
    return pairs / (len(unit) - 1)


def _difference(level: MeasurementLevel, totals: Mapping[float, int]) -> Difference:
    if level is MeasurementLevel.INTERVAL:
        return lambda x, y: (x - y) ** 2
    if level is MeasurementLevel.RATIO:
        return lambda x, y: ((x - y) / (x + y)) ** 2
    below: dict[float, int] = {}
    passed = 0
    for value in sorted(totals):
        below[value] = passed
        passed += totals[value]

    def ranks_between(x: float, y: float) -> float:
        # All answers from one to the other, of the two ends themselves half.
        low, high = min(x, y), max(x, y)
        return (below[high] + totals[high] - below[low] - (totals[low] + totals[high]) / 2) ** 2

    return ranks_between


def _check_number(value: Hashable, level: MeasurementLevel) -> None:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise BadInput(f"{value!r} is no number, and {level} agreement needs numbers; use the nominal level for words.")
    if level is MeasurementLevel.RATIO and value < 0:
        raise BadInput(f"{value:g} is negative, and a ratio scale starts at 0; use the interval level.")
