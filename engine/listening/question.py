"""A question before it has a place, sides and tokens: one line and the clips that are asked about.

Knows clips and kinds of trials; draws nothing and orders nothing. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.types import BadInput, Clip, Treatment, TrialKind, TrialRole

LABELS = ("A", "B", "C", "D", "E", "F", "G", "H")
X_LABEL = "X"
MOST_STIMULI = len(LABELS)  # BS.1534-3 allows twelve; without a reference to come back to, eight are many

SINGLES = (TrialKind.GATE, TrialKind.MOS)
PAIRS = (TrialKind.PREFERENCE, TrialKind.ABX, TrialKind.CMOS)


@dataclass(frozen=True)
class Side:
    """A clip as it will be heard."""

    clip: Clip
    treatment: Treatment = Treatment.NONE

    @property
    def name(self) -> str:
        """What sides are counterbalanced by: the candidate, and what was done to it."""
        return f"{self.clip.candidate.id} {self.treatment}".strip()


@dataclass(frozen=True)
class Question:
    """`sides` of a pair stand in the order of their names until they get their places. `twin` marks the two trials of
    which the later repeats the earlier; `x` is the side that X is, once that is drawn. With `has_control` the first
    side is the base, and the reviewer is told so.
    """

    kind: TrialKind
    sides: tuple[Side, ...]
    role: TrialRole = TrialRole.MAIN
    twin: int | None = None
    x: int | None = None
    has_control: bool = False

    @property
    def line_id(self) -> str:
        """The line of the script that all of its sides speak."""
        return self.sides[0].clip.line_id

    @property
    def text(self) -> str:
        """The words of that line."""
        return self.sides[0].clip.text

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the candidates, side by side."""
        return tuple(side.name for side in self.sides)


def single(kind: TrialKind, clip: Clip) -> Question:
    """One clip: gate or MOS."""
    return Question(kind, (Side(clip),))


def beside(control: Clip, clip: Clip) -> Question:
    """A gate's question about a clip that is heard beside the named control. Raises BadInput for different lines."""
    _check_one_line((control, clip))
    return Question(TrialKind.GATE, (Side(control), Side(clip)), has_control=True)


def pair(kind: TrialKind, first: Clip, second: Clip) -> Question:
    """Two clips of one line; the same question whichever way they are given. Raises BadInput for different lines, or a
    candidate with itself.
    """
    _check_one_line((first, second))
    if first.candidate.id == second.candidate.id:
        raise BadInput(f"{first.candidate.id} cannot be compared with itself; choose two different candidates.")
    ordered = sorted((first, second), key=lambda clip: clip.candidate.id)
    return Question(kind, tuple(Side(clip) for clip in ordered))


def several(clips: Sequence[Clip], *, low_anchor: Treatment = Treatment.NONE) -> Question:
    """Two to eight clips of one line, the base's degraded one among them when `low_anchor` says how.

    Raises BadInput for different lines, a candidate twice, fewer than two or more than eight sounds, or an anchor
    without the base.
    """
    _check_one_line(clips)
    ordered = sorted(clips, key=lambda clip: clip.candidate.id)
    sides = [Side(clip) for clip in ordered]
    if low_anchor is not Treatment.NONE:
        base = next((clip for clip in ordered if clip.candidate.is_base), None)
        if base is None:
            raise BadInput("A low anchor is the base, degraded; choose the base among the candidates too.")
        sides.append(Side(base, low_anchor))
    if len({side.name for side in sides}) < len(sides):
        raise BadInput("A candidate is heard once in a trial; choose different candidates.")
    if not 2 <= len(sides) <= MOST_STIMULI:
        raise BadInput(f"A trial holds 2 to {MOST_STIMULI} sounds, the anchor included, not {len(sides)}.")
    return Question(TrialKind.MULTI, tuple(sides))


def _check_one_line(clips: Sequence[Clip]) -> None:
    lines = sorted({(clip.line_id, clip.text) for clip in clips})
    if len(lines) > 1:
        raise BadInput(f"A trial is heard on one line, not on {lines[0][0]!r} and {lines[1][0]!r}.")
