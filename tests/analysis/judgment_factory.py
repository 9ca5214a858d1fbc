"""Makes judgments: a pair, ratings, checks."""

from __future__ import annotations

from itertools import count

from engine.analysis.judgment import Judgment
from engine.types import Choice, TrialKind, TrialRole

NUMBERS = count()


def preferred(
    winner: str, loser: str, *, reviewer: str = "ann", line: str = "l1", first: bool = True, tie: bool = False
) -> Judgment:
    """An A/B answer; `first`: the winner was on side A."""
    choice = Choice.TIE if tie else Choice.A if first else Choice.B
    return judged((winner, loser) if first else (loser, winner), choice=choice, reviewer=reviewer, line=line)


def judged(names: tuple[str, ...], **more: object) -> Judgment:
    given: dict[str, object] = {
        "trial": f"t{next(NUMBERS)}",
        "reviewer": "ann",
        "line": "l1",
        "kind": TrialKind.PREFERENCE,
        "role": TrialRole.MAIN,
        "labels": tuple("ABCDEFGH"[: len(names)]),
        **more,
    }
    return Judgment(names=names, **given)  # type: ignore[arg-type]
