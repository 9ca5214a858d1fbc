"""A/B answers as arrays: what each possible answer to each pair adds of each parameter, and how often it was given.

Davidson (1970): candidates have strengths p, and with a tie parameter nu

    P(a beats b) = p_a / (p_a + p_b + nu sqrt(p_a p_b)),   P(tie) = nu sqrt(p_a p_b) / (p_a + p_b + nu sqrt(p_a p_b)).

In log strengths this is a softmax over (d / 2, -d / 2, log nu) with d the difference of the two. An order effect e adds
to d for whoever was played first (Davidson & Beaver 1977, whose tie parameter is nu exp(-e / 2)). Without ties this is
Bradley-Terry (1952), where a tie is half a win for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.statistics.comparison import Comparison, names_of
from engine.types import BadInput, Choice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WEIGHT_WITH_TIES = {Choice.A: (1.0, 0.0, 0.0), Choice.B: (0.0, 1.0, 0.0), Choice.TIE: (0.0, 0.0, 1.0)}
_WEIGHT_WITHOUT = {Choice.A: (1.0, 0.0), Choice.B: (0.0, 1.0), Choice.TIE: (0.5, 0.5)}


@dataclass(frozen=True)
class Design:
    """k names, c ordered pairs ("cells"), o possible answers (a, b and perhaps tie), p parameters, m rows.

    The parameters are the k log strengths, then log nu if `has_ties`, then the order effect if `has_order`.
    """

    names: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]  # (c), the first was played first
    features: NDArray[np.float64]  # (c, o, p)
    counts: NDArray[np.float64]  # (c, o); halves where a tie counts as half a win for each
    cell_of: NDArray[np.intp]  # (m,)
    weights: NDArray[np.float64]  # (m, o), what each row adds to the counts of its cell
    has_ties: bool
    has_order: bool

    @property
    def tie_column(self) -> int:
        return len(self.names)

    @property
    def order_column(self) -> int:
        return len(self.names) + self.has_ties


def build(comparisons: Sequence[Comparison], *, ties: bool, order: bool) -> Design:
    """The arrays of checked comparisons. `ties`: ties are an answer of their own (the Davidson model), if there are
    any. Raises BadInput when an order effect is asked for that cannot be told from strengths.
    """
    import numpy as np

    names = names_of(comparisons)
    has_ties = ties and any(c.choice is Choice.TIE for c in comparisons)
    weight = _WEIGHT_WITH_TIES if has_ties else _WEIGHT_WITHOUT
    pairs = sorted({(c.a, c.b) for c in comparisons})
    place = {pair: n for n, pair in enumerate(pairs)}
    cell_of = np.array([place[c.a, c.b] for c in comparisons])
    weights = np.array([weight[c.choice] for c in comparisons])
    counts = np.zeros((len(pairs), weights.shape[1]))
    np.add.at(counts, cell_of, weights)
    design = Design(
        names=tuple(names),
        pairs=tuple(pairs),
        features=_features(names, pairs, has_ties=has_ties, has_order=order),
        counts=counts,
        cell_of=cell_of,
        weights=weights,
        has_ties=has_ties,
        has_order=order,
    )
    if order:
        _check_order_is_told(design)
    return design


def _features(
    names: Sequence[str], pairs: Sequence[tuple[str, str]], *, has_ties: bool, has_order: bool
) -> NDArray[np.float64]:
    import numpy as np

    index = {name: place for place, name in enumerate(names)}
    first = np.array([index[a] for a, _ in pairs])
    second = np.array([index[b] for _, b in pairs])
    each, k = np.arange(len(pairs)), len(names)
    features = np.zeros((len(pairs), 2 + has_ties, k + has_ties + has_order))
    features[each, 0, first] = features[each, 1, second] = 0.5
    features[each, 0, second] = features[each, 1, first] = -0.5
    if has_ties:
        features[:, 2, k] = 1.0
    if has_order:
        features[:, 0, -1], features[:, 1, -1] = 0.5, -0.5
    return features


def _check_order_is_told(design: Design) -> None:
    """With A always before B, an advantage of the first is the same as an advantage of A."""
    import numpy as np

    differences = design.features[:, 0, :] - design.features[:, 1, :]
    columns = [*range(len(design.names)), design.order_column]
    if np.linalg.matrix_rank(differences[:, columns]) < len(design.names):
        raise BadInput(
            "The order effect cannot be told from the strengths: no pair was heard in both orders, nor in a ring; "
            "play some pairs the other way round, or leave the order effect out."
        )
