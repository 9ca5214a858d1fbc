"""The maximum of a penalised likelihood of choices among a few answers, by Newton's method.

Knows a design's arrays and a prior; nothing of names. The log-likelihood is concave, so the one maximum is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.types import EngineError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_STEPS = 100
TOLERANCE = 1e-10
FLAT = 1e-10  # directions with less than this share of the curvature are flat: moving all strengths together always is


class NotConverged(EngineError):
    """The fit did not settle. No numbers are better than wrong ones."""


@dataclass(frozen=True)
class ChoiceLikelihood:
    """features: (c, o, p), what each answer to each cell adds of each parameter. counts: (c, o). precision: (p,) of a
    normal prior around 0.
    """

    features: NDArray[np.float64]
    counts: NDArray[np.float64]
    precision: NDArray[np.float64]

    def maximum(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The parameters (p,) at the maximum, and the (pseudo-)inverse of the curvature there, (p, p)."""
        import numpy as np

        at = np.zeros(self.features.shape[2])
        value = self.value(at)
        for _ in range(MAX_STEPS):
            gradient, curvature = self._slope(at)
            inverse = np.asarray(np.linalg.pinv(curvature, rcond=FLAT, hermitian=True), dtype=np.float64)
            step = inverse @ gradient
            # The Newton decrement is twice the height still to climb.
            if gradient @ step < TOLERANCE**2 * max(1.0, abs(value)) or np.abs(step).max() < TOLERANCE:
                return at, inverse
            at, value = self._climb(at, value, step)
        raise NotConverged(
            f"The preference fit did not settle in {MAX_STEPS} steps; look at the counts of the pairs instead."
        )

    def log_shares(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log probabilities of the answers, (c, o)."""
        import numpy as np

        logits: NDArray[np.float64] = self.features @ at
        logits -= logits.max(axis=1, keepdims=True)
        shares: NDArray[np.float64] = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return shares

    def log_likelihood(self, at: NDArray[np.float64]) -> float:
        """Of the counts, without the prior and without the multinomial constant."""
        return float((self.counts * self.log_shares(at)).sum())

    def value(self, at: NDArray[np.float64]) -> float:
        """What is maximised."""
        return self.log_likelihood(at) - 0.5 * float((self.precision * at * at).sum())

    def residuals(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """features minus their mean under the model, (c, o, p): what an answer says of each parameter (its score)."""
        import numpy as np

        expected = np.einsum("co,cop->cp", np.exp(self.log_shares(at)), self.features)
        centred: NDArray[np.float64] = self.features - expected[:, None, :]
        return centred

    def _slope(self, at: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Gradient and negative Hessian: the features' surprise and their covariance under the model."""
        import numpy as np

        centred = self.residuals(at)
        gradient = np.einsum("co,cop->p", self.counts, centred) - self.precision * at
        expected = self.counts.sum(axis=1, keepdims=True) * np.exp(self.log_shares(at))
        curvature = np.einsum("co,cop,coq->pq", expected, centred, centred) + np.diag(self.precision)
        return gradient, curvature

    def _climb(
        self, at: NDArray[np.float64], value: float, step: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], float]:
        """The longest of the step, its half, its quarter ... that does not go down."""
        for halvings in range(60):
            there = at + step / 2.0**halvings
            height = self.value(there)
            if height >= value - 1e-12 * abs(value):
                return there, height
        raise NotConverged("The preference fit found no way up; look at the counts of the pairs instead.")
