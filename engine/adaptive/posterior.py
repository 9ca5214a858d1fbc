"""What is believed of all candidates after the answers so far: a normal approximation around the most likely surface.

Knows pairs and wins. A tie is half a win for each. A reviewer lapses now and then and answers at random, which keeps
one slip from outweighing ten answers; whoever is played first may gain something by it. Source: Laplace's approximation
for Gaussian process preference models (Chu & Ghahramani 2005), the priors weighed by their evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.adaptive.arms import PRIORS, Arm, SurfacePrior
from engine.statistics.comparison import Comparison
from engine.types import BadInput, Choice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LAPSES = 0.05
ORDER_SD = 0.5  # logits
STEPS = 30
_WON = {Choice.A: 1.0, Choice.B: 0.0, Choice.TIE: 0.5}


@dataclass(frozen=True)
class Posterior:
    """Utilities of the arms in logits: mean (k,) and covariance (k, k); `order` is the advantage of the first."""

    arms: tuple[Arm, ...]
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    order: float
    prior: SurfacePrior
    log_evidence: float

    def samples(self, count: int, random: np.random.Generator) -> NDArray[np.float64]:
        """Utilities as they may be, (count, k)."""
        import numpy as np

        root = np.linalg.cholesky(self.covariance + 1e-9 * np.eye(len(self.arms)))
        drawn: NDArray[np.float64] = self.mean + random.standard_normal((count, len(self.arms))) @ root.T
        return drawn

    def best(self) -> Arm:
        """The arm with the highest mean."""
        return self.arms[int(self.mean.argmax())]


@dataclass(frozen=True)
class Tally:
    """Answers a pair, in the order played: wins of the first among so many; arms by index. All arrays (c,)."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    wins: NDArray[np.float64]
    trials: NDArray[np.float64]


def tally(arms: Sequence[Arm], answers: Sequence[Comparison]) -> Tally:
    """Count answers by ordered pair. Raises BadInput for a name that is no arm."""
    import numpy as np

    place = {arm.name: n for n, arm in enumerate(arms)}
    if strangers := sorted({name for c in answers for name in (c.a, c.b)} - place.keys()):
        raise BadInput(f"{', '.join(strangers)} is not one of the candidates of this session.")
    counted: dict[tuple[int, int], list[float]] = {}
    for c in answers:
        cell = counted.setdefault((place[c.a], place[c.b]), [0.0, 0.0])
        cell[0] += _WON[c.choice]
        cell[1] += 1.0
    pairs = np.array(sorted(counted), dtype=np.intp).reshape(-1, 2)
    cells = np.array([counted[a, b] for a, b in pairs.tolist()], dtype=np.float64).reshape(-1, 2)
    return Tally(first=pairs[:, 0], second=pairs[:, 1], wins=cells[:, 0], trials=cells[:, 1])


def posterior(arms: Sequence[Arm], counted: Tally, priors: Sequence[SurfacePrior] = PRIORS) -> Posterior:
    """The posterior under the one of `priors` that foresaw the answers best."""
    return max((_under(prior, tuple(arms), counted) for prior in priors), key=lambda found: found.log_evidence)


def first_wins(difference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability that the first is preferred whose utility is so many logits higher; lapses included."""
    import numpy as np

    share: NDArray[np.float64] = LAPSES / 2 + (1 - LAPSES) / (1 + np.exp(-difference))
    return share


def _under(prior: SurfacePrior, arms: tuple[Arm, ...], counted: Tally) -> Posterior:
    import numpy as np

    k = len(arms)
    inverse = np.zeros((k + 1, k + 1))
    inverse[:k, :k] = np.linalg.inv(prior.covariance(arms))
    inverse[k, k] = ORDER_SD**-2
    pairs = np.zeros((len(counted.first), k + 1))
    each = np.arange(len(counted.first))
    pairs[each, counted.first], pairs[each, counted.second], pairs[:, k] = 1.0, -1.0, 1.0
    at = np.zeros(k + 1)
    height = _height(at, pairs, counted, inverse)
    precision = inverse
    for _ in range(STEPS):
        gradient, precision = _slope(at, pairs, counted, inverse)
        step = np.linalg.solve(precision, gradient)
        if gradient @ step < 1e-6:
            break
        for halving in range(20):
            there = at + step / 2.0**halving
            higher = _height(there, pairs, counted, inverse)
            if higher > height:
                at, height = there, higher
                break
        else:
            break
    covariance: NDArray[np.float64] = np.asarray(np.linalg.inv(precision), dtype=np.float64)
    evidence = height + 0.5 * (np.linalg.slogdet(inverse)[1] - np.linalg.slogdet(precision)[1])
    return Posterior(
        arms=arms,
        mean=at[:k],
        covariance=covariance[:k, :k],
        order=float(at[k]),
        prior=prior,
        log_evidence=float(evidence),
    )


def _height(at: NDArray[np.float64], pairs: NDArray[np.float64], counted: Tally, inverse: NDArray[np.float64]) -> float:
    import numpy as np

    share = first_wins(pairs @ at)
    fit = counted.wins * np.log(share) + (counted.trials - counted.wins) * np.log1p(-share)
    return float(fit.sum() - 0.5 * at @ inverse @ at)


def _slope(
    at: NDArray[np.float64], pairs: NDArray[np.float64], counted: Tally, inverse: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gradient and expected curvature (Fisher's), which is never negative."""
    import numpy as np

    share = first_wins(pairs @ at)
    plain = (share - LAPSES / 2) / (1 - LAPSES)
    rise = (1 - LAPSES) * plain * (1 - plain)
    weight = rise / (share * (1 - share))
    gradient = pairs.T @ (weight * (counted.wins - counted.trials * share)) - inverse @ at
    precision = (pairs.T * (counted.trials * weight * rise)) @ pairs + inverse
    return np.asarray(gradient), np.asarray(precision)
