"""From questions to trials: places, sides and tokens.

The same clips, session and seed give the same trials, whatever order the clips come in; tokens alone are new each time.
Knows no store and no audio. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import TypeVar

from engine.listening.order import arranged
from engine.listening.question import LABELS, X_LABEL, Question, Side, beside, pair, single
from engine.listening.sides import SideBalance, sided
from engine.types import BadInput, Clip, Slot, Trial, TrialKind, TrialRole

Asked = TypeVar("Asked")


def gate_trials(
    clips: Iterable[Clip],
    *,
    session_id: str,
    seed: int,
    new_token: Callable[[], str],
    repeats: int = 0,
    controls: Mapping[str, Clip] | None = None,
) -> list[Trial]:
    """One clip a trial, pass or fail, in a seeded order; by clip id, `controls` are heard beside it and named so.

    The same line is not heard twice in a row when that can be avoided. The order does not depend on the order of
    `clips`. `repeats` clips, drawn by the seed, are asked about a second time as catch trials: they show whether a
    reviewer agrees with themselves and are no evidence about the candidate. Raises BadInput for a negative or too
    large number of repeats.
    """
    random = Random(seed)
    asked = sorted({clip.id: clip for clip in clips}.values(), key=lambda clip: (*_line(clip), clip.id))
    known = controls or {}
    questions = [beside(known[clip.id], clip) if clip.id in known else single(TrialKind.GATE, clip) for clip in asked]
    again = [
        replace(question, role=TrialRole.REPEAT, twin=twin)
        for twin, question in enumerate(_drawn(questions, repeats, random, "repeats"))
    ]
    return made(arranged(with_twins(questions, again), random), session_id=session_id, new_token=new_token)


def preference_trials(
    pairs: Iterable[tuple[Clip, Clip]],
    *,
    session_id: str,
    seed: int,
    new_token: Callable[[], str],
    catches: int = 0,
    balance: SideBalance | None = None,
) -> list[Trial]:
    """Two clips of one line a trial, A or B or no difference, in a seeded order.

    Sides are counterbalanced for each unordered pair of candidates (`sided`); `balance` continues the count of the
    reviewer's earlier sittings (`side_balance`). `catches` identical pairs, drawn by the seed, are mixed in: whoever
    hears a difference there has a side bias. Raises BadInput for a pair of different lines or of one candidate with
    itself.
    """
    random = Random(seed)
    questions = sorted((pair(TrialKind.PREFERENCE, a, b) for a, b in pairs), key=_place)
    clips = [random.choice(question.sides).clip for question in questions]
    same = [
        Question(TrialKind.PREFERENCE, (Side(clip), Side(clip)), TrialRole.IDENTICAL)
        for clip in _drawn(clips, catches, random, "catch trials")
    ]
    ordered = sided(arranged([*questions, *same], random), random, balance or {})
    return made(ordered, session_id=session_id, new_token=new_token)


def added_trial(
    question: Question,
    *,
    position: int,
    session_id: str,
    seed: int,
    new_token: Callable[[], str],
    balance: SideBalance | None = None,
) -> Trial:
    """One more trial of a sitting that goes on; its sides are drawn by the sitting's seed and its position."""
    random = Random(f"{seed} {position}")
    [placed] = sided([question], random, balance or {})
    [trial] = made([placed], session_id=session_id, new_token=new_token, first=position)
    return trial


def with_twins(questions: Sequence[Question], extra: Sequence[Question]) -> list[Question]:
    """All of them, with each question that is repeated marked as its repeat's twin."""
    twins = {(q.names, q.line_id): q.twin for q in extra if q.role is TrialRole.REPEAT}
    marked = [replace(q, twin=twins.get((q.names, q.line_id))) for q in questions]
    return [*marked, *(replace(q, role=TrialRole.MAIN) if q.role is TrialRole.REPEAT else q for q in extra)]


def made(
    questions: Sequence[Question], *, session_id: str, new_token: Callable[[], str], first: int = 0
) -> list[Trial]:
    """Trials from `first` on, each side under a token of its own. Of two twins the later is the repeat."""
    trials: list[Trial] = []
    earlier: dict[int, str] = {}
    for position, question in enumerate(questions, start=first):
        trial_id = f"{session_id}-{position:04d}"
        repeated = None if question.twin is None else earlier.setdefault(question.twin, trial_id)
        is_repeat = repeated is not None and repeated != trial_id
        trials.append(
            Trial(
                id=trial_id,
                session_id=session_id,
                position=position,
                kind=question.kind,
                line_id=question.line_id,
                text=question.text,
                tier=question.sides[0].clip.tier,
                slots=_slots(question, new_token),
                role=TrialRole.REPEAT if is_repeat else question.role,
                repeats=repeated if is_repeat else None,
                control=LABELS[0] if question.has_control else None,
            )
        )
    _check_tokens(trials)
    return trials


def _slots(question: Question, new_token: Callable[[], str]) -> tuple[Slot, ...]:
    heard = list(zip(LABELS, question.sides, strict=False))
    if question.x is not None:
        heard.append((X_LABEL, question.sides[question.x]))
    return tuple(
        Slot(label=label, token=new_token(), clip_id=side.clip.id, treatment=side.treatment) for label, side in heard
    )


def _check_tokens(trials: Sequence[Trial]) -> None:
    tokens = Counter(slot.token for trial in trials for slot in trial.slots)
    if any(count > 1 for count in tokens.values()):
        raise ValueError("The token factory gave the same token twice; two presentations must never share one.")


def _line(clip: Clip) -> tuple[str, str]:
    """What the order may look at first: it is seen anyway. Clip ids only break ties that nobody can see."""
    return clip.line_id, clip.text


def _place(question: Question) -> tuple[str, ...]:
    return (*_line(question.sides[0].clip), *(side.clip.id for side in question.sides))


def _drawn(asked: Sequence[Asked], count: int, random: Random, what: str) -> list[Asked]:
    if not 0 <= count <= len(asked):
        raise BadInput(f"{count} {what} cannot be drawn from {len(asked)} trials; ask for 0 to {len(asked)}.")
    return random.sample(asked, count)
