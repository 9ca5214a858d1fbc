"""What a page may know of a trial before it is answered.

What is not here never leaves the server: no candidate, run, scale, file or duration. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.listening.answering import Scale, scale
from engine.types import REASON_CODES, Switching, Trial, TrialKind, TrialRole


@dataclass(frozen=True, kw_only=True)
class TrialView:
    """All that a page may know of a trial before it is answered. `slots` are (label, opaque token).

    `position` counts from 1, and is 0 for the training trial, which `total` leaves out. `upcoming` are the tokens of
    the next trial, so that its audio can be there in time. `previous` is the trial before, if its answer can be taken
    back.
    """

    trial_id: str
    kind: TrialKind
    text: str
    slots: tuple[tuple[str, str], ...]
    position: int
    total: int
    reasons: tuple[str, ...]
    scale: Scale | None = None
    training: bool = False
    switching: Switching = Switching.RESTART
    upcoming: tuple[str, ...] = ()
    previous: str | None = None
    control: str | None = None


def view(
    trial: Trial,
    *,
    position: int,
    total: int,
    switching: Switching = Switching.RESTART,
    upcoming: Trial | None = None,
    previous: str | None = None,
) -> TrialView:
    """What the page gets of a trial. Neither line, tier, clip nor candidate, nor whether it is a catch trial."""
    return TrialView(
        trial_id=trial.id,
        kind=trial.kind,
        text=trial.text,
        slots=tuple((slot.label, slot.token) for slot in trial.slots),
        position=position,
        total=total,
        reasons=REASON_CODES if trial.kind is TrialKind.GATE else (),
        scale=scale(trial.kind),
        training=trial.role is TrialRole.TRAINING,
        switching=switching,
        upcoming=() if upcoming is None else tuple(slot.token for slot in upcoming.slots),
        previous=previous,
        control=trial.control,
    )
