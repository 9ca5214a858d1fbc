"""Standard errors when answers of one reviewer, or about one line, are alike: sandwich estimators with clusters.

Source: Cameron, Gelbach & Miller (2011), "Robust Inference With Multiway Clustering": the covariance of two ways is
rater + line - (rater and line), each with the factor G / (G - 1) for its G clusters. Intervals use Student's t with
(the smaller) G - 1 degrees of freedom. With fewer than `FEW` clusters even that is too narrow as a rule: then no
standard error is taken below the one that calls all answers independent, and a sentence says so.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEW = 10


@dataclass(frozen=True)
class Clustered:
    """A covariance, (p, p), by which ways it is clustered, and the degrees of freedom; None: a normal distribution."""

    covariance: NDArray[np.float64]
    ways: tuple[str, ...]
    degrees: int | None
    warnings: tuple[str, ...]


def sandwich(
    scores: NDArray[np.float64],
    bread: NDArray[np.float64],
    ways: Mapping[str, Sequence[Hashable]],
) -> Clustered:
    """The covariance around `bread`, the inverse curvature (p, p), from the scores of each row, (m, p).

    `ways`: one or two names with each row's cluster. A way with one cluster alone cannot be used and is named in the
    warnings; without any way left, the covariance is `bread`.
    """
    told: list[str] = []
    usable: dict[str, Sequence[Hashable]] = {}
    for way, labels in ways.items():
        groups = len(set(labels))
        if groups < 2:
            told.append(f"One {way} alone: how much {way}s differ cannot be seen, and the intervals leave it out.")
            continue
        usable[way] = labels
        if groups < FEW:
            told.append(f"Only {groups} {way}s: intervals clustered by {way} are rough, and rather too narrow.")
    if not usable:
        return Clustered(bread, (), None, tuple(told))
    spread = _spread(scores, list(usable.values()))
    covariance = _not_negative(bread @ spread @ bread)
    counts = [len(set(labels)) for labels in usable.values()]
    if min(counts) < FEW:
        covariance = _at_least(covariance, bread)
    return Clustered(covariance, tuple(usable), min(counts) - 1, tuple(told))


def _spread(scores: NDArray[np.float64], ways: Sequence[Sequence[Hashable]]) -> NDArray[np.float64]:
    total = sum((_one_way(scores, labels) for labels in ways), start=0.0 * scores.T @ scores)
    if len(ways) == 2:
        total = total - _one_way(scores, list(zip(*ways, strict=True)))
    return total


def _one_way(scores: NDArray[np.float64], labels: Sequence[Hashable]) -> NDArray[np.float64]:
    import numpy as np

    place = {label: n for n, label in enumerate(dict.fromkeys(labels))}
    sums = np.zeros((len(place), scores.shape[1]))
    np.add.at(sums, [place[label] for label in labels], scores)
    spread: NDArray[np.float64] = sums.T @ sums * len(place) / (len(place) - 1)
    return spread


def _not_negative(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The difference of two ways may have negative variances in some direction; those become 0."""
    import numpy as np

    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    mended: NDArray[np.float64] = (vectors * np.clip(values, 0.0, None)) @ vectors.T
    return mended


def _at_least(covariance: NDArray[np.float64], floor: NDArray[np.float64]) -> NDArray[np.float64]:
    """`covariance` with what it lacks of `floor`, direction by direction: no contrast gets a smaller variance."""
    import numpy as np

    values, vectors = np.linalg.eigh(floor - covariance)
    raised: NDArray[np.float64] = covariance + (vectors * np.clip(values, 0.0, None)) @ vectors.T
    return raised
