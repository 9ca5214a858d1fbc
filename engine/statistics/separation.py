"""Whether answers have a finite maximum: whether no direction exists in which their likelihood only grows.

Somebody who wins everything is infinitely better, as far as the answers alone say. Albert & Anderson (1984) call it
separation; Konis (2007) finds it by linear programming, which serves for every parameter alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def is_separated(features: NDArray[np.float64], counts: NDArray[np.float64]) -> bool:
    """Whether some direction makes no given answer less likely than the others and at least one more likely.

    features: (c, o, p); counts: (c, o).
    """
    import numpy as np
    from scipy.optimize import linprog  # half a second that the first page need not wait for

    given, answers = np.nonzero(counts)
    rises = (features[given, answers][:, None, :] - features[given]).reshape(-1, features.shape[2])
    rises = np.unique(rises[np.abs(rises).sum(axis=1) > 0], axis=0)
    rows, width = rises.shape
    # Maximise the sum of slacks 0 <= s <= 1 with s <= rise along the direction, for every given answer.
    found = linprog(
        c=np.concatenate([np.zeros(width), -np.ones(rows)]),
        A_ub=np.hstack([-rises, np.eye(rows)]),
        b_ub=np.zeros(rows),
        bounds=[(None, None)] * width + [(0.0, 1.0)] * rows,
        method="highs",
    )
    return bool(found.status != 0 or -found.fun > 0.5)
