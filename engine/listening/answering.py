"""What may be answered to a trial, and when two answers are the same (pure)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from engine.types import OTHER, REASON_CODES, BadInput, Choice, Refused, Response, Trial, TrialKind

_CHOICES: Mapping[TrialKind, tuple[Choice, ...]] = {
    TrialKind.GATE: (Choice.PASS, Choice.FAIL),
    TrialKind.PREFERENCE: (Choice.A, Choice.B, Choice.TIE),
    TrialKind.ABX: (Choice.A, Choice.B),
}
MOST_EVENTS = 2000
MOST_NOTE = 500


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What a rating may be. `labels` are (value, code of the word at it): pages have the words in their language."""

    min: float
    max: float
    step: float
    labels: tuple[tuple[float, str], ...]


_SCALES: Mapping[TrialKind, Scale] = {
    TrialKind.MOS: Scale(  # ITU-T P.800, annex B
        min=1, max=5, step=1, labels=((1, "bad"), (2, "poor"), (3, "fair"), (4, "good"), (5, "excellent"))
    ),
    TrialKind.CMOS: Scale(  # ITU-T P.800, annex E
        min=-3,
        max=3,
        step=1,
        labels=(
            (-3, "much worse"),
            (-2, "worse"),
            (-1, "slightly worse"),
            (0, "about the same"),
            (1, "slightly better"),
            (2, "better"),
            (3, "much better"),
        ),
    ),
    TrialKind.MULTI: Scale(  # ITU-R BS.1534-3: five bands of 20, each named at its middle
        min=0, max=100, step=1, labels=((10, "bad"), (30, "poor"), (50, "fair"), (70, "good"), (90, "excellent"))
    ),
}


def choices(kind: TrialKind) -> tuple[Choice, ...]:
    """What may be chosen in a trial of this kind; nothing where it is rated."""
    return _CHOICES.get(kind, ())


def scale(kind: TrialKind) -> Scale | None:
    """What a rating in a trial of this kind may be; None where one chooses."""
    return _SCALES.get(kind)


def check_answer(trial: Trial, response: Response) -> None:
    """Raises BadInput when `response` cannot be an answer to `trial`: what is kept is never edited, so it must make
    sense.
    """
    if response.session_id != trial.session_id:
        raise BadInput(f"The answer to {trial.id} names another session; reload the page.")
    _check_choice(trial, response)
    _check_ratings(trial, response)
    _check_reasons(response)
    _check_player(response)


def check_heard(trial: Trial, plays: Mapping[str, int]) -> None:
    """Raises Refused when a side was not heard to its end."""
    if any(plays.get(slot.label, 0) < 1 for slot in trial.slots):
        raise Refused("Listen to every clip to its end before you answer.")


def is_same_answer(one: Response, other: Response) -> bool:
    """Whether two answers say the same: not when they were sent, nor how a clip was played."""
    return _said(one) == _said(other)


def _said(response: Response) -> tuple[object, ...]:
    return response.choice, response.rating, dict(response.ratings), response.reasons, response.note


def _check_choice(trial: Trial, response: Response) -> None:
    allowed = choices(trial.kind)
    if allowed and response.choice not in allowed:
        given = "none" if response.choice is None else response.choice.value
        raise BadInput(f"This trial asks for one of {', '.join(allowed)}, not {given}.")
    if not allowed and response.choice is not None:
        raise BadInput(f"This trial asks for a rating, not for {response.choice}.")


def _check_ratings(trial: Trial, response: Response) -> None:
    is_multi = trial.kind is TrialKind.MULTI
    wanted = scale(trial.kind)
    if wanted is None or is_multi:
        if response.rating is not None:
            raise BadInput("This trial is not answered by one rating; reload the page.")
    elif response.rating is None or not _is_on(wanted, response.rating):
        raise BadInput(f"This trial asks for a rating of {wanted.min:g} to {wanted.max:g} in steps of {wanted.step:g}.")
    labels = {slot.label for slot in trial.slots} if is_multi else set()
    if set(response.ratings) != labels:
        told = f"Rate every clip of this trial: {', '.join(sorted(labels))}." if labels else "Reload the page."
        raise BadInput(told)
    if wanted and not all(_is_on(wanted, value) for value in response.ratings.values()):
        raise BadInput(f"A rating is {wanted.min:g} to {wanted.max:g} in steps of {wanted.step:g}.")


def _is_on(wanted: Scale, value: float) -> bool:
    if not math.isfinite(value) or not wanted.min <= value <= wanted.max:
        return False
    steps = (value - wanted.min) / wanted.step
    return abs(steps - round(steps)) < 1e-9


def _check_reasons(response: Response) -> None:
    for reason in response.reasons:
        if reason not in REASON_CODES:
            raise BadInput(f"{reason!r} is not one of the reasons; choose among {', '.join(REASON_CODES)}.")
    if OTHER in response.reasons and not response.note.strip():
        raise BadInput(f"The reason {OTHER!r} says nothing by itself; write a note that says what you heard.")
    if len(response.note) > MOST_NOTE:
        raise BadInput(f"A note has at most {MOST_NOTE} characters.")


def _check_player(response: Response) -> None:
    if response.volume is not None and not 0 <= response.volume <= 1:
        raise BadInput(f"A volume is 0 to 1, not {response.volume:g}.")
    if len(response.events) > MOST_EVENTS:
        raise BadInput(f"An answer comes with at most {MOST_EVENTS} events of its player.")
    if any(not math.isfinite(at) or not math.isfinite(value) for at, _, _, value in response.events):
        raise BadInput("An event of a player has times and values that are numbers.")
