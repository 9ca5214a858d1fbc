"""What would change the conclusion: leaving out one reviewer, or one line, or what screening leaves out.

Knows how to conclude again without some of the answers, and takes none away. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.analysis.conclusion import Conclusion, conclude
from engine.analysis.judgment import Judgment, main_ones, without


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Without this reviewer or line there would be another conclusion."""

    what: str  # "reviewer" or "line"
    name: str
    judgments: int  # that it contributes
    conclusion: Conclusion


def turns(judgments: Sequence[Judgment], whole: Conclusion) -> list[Turn]:
    """Every reviewer and every line without which the leader, or whether it is shown, would be another."""
    own = main_ones(judgments)
    reviewers, lines = (sorted({getattr(j, what) for j in own}) for what in ("reviewer", "line"))
    found = []
    for what, names in (("reviewer", reviewers), ("line", lines)):
        if len(names) < 2:
            continue
        for name in names:
            rest = without(own, **{what: name})
            left = conclude(rest)
            if left.key != whole.key:
                found.append(Turn(what=what, name=name, judgments=len(own) - len(rest), conclusion=left))
    return found
