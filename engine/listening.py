"""The blind trial: which clip is asked about when, on which side, under which token, and what the reviewer may see of
it.

Knows clips and seeds; does no I/O and keeps nothing. The mapping from token to clip stays in a `Trial`; what leaves is
a `TrialView`. The rule that everything here serves: exchanging which candidate is behind a clip changes nothing
observable. So the order depends on lines and the seed, the trial's id on its position, the tokens on the factory
alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from engine.types import OTHER, REASON_CODES, BadInput, Choice, Clip, Response, Slot, Trial, TrialKind

LABELS = ("A", "B")

_CHOICES = {
    TrialKind.GATE: (Choice.PASS, Choice.FAIL),
    TrialKind.PREFERENCE: (Choice.A, Choice.B, Choice.TIE),
}

# How often the first candidate of an unordered pair (by id) was on side A more often than on side B.
SideBalance = Mapping[tuple[str, str], int]


@dataclass(frozen=True, kw_only=True)
class TrialView:
    """All that a page may know of a trial before it is answered. `slots` are (label, opaque token); `position` counts
    from 0.
    """

    trial_id: str
    kind: TrialKind
    text: str
    slots: tuple[tuple[str, str], ...]
    position: int
    total: int
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class _Question:
    """A trial before it has a place: one clip, or the two of a pair in the order of their candidates' ids."""

    clips: tuple[Clip, ...]
    is_catch: bool = False

    @property
    def line_id(self) -> str:
        return self.clips[0].line_id


# ------------------------------------------------------------------------------------------------------------ a session
def gate_trials(
    clips: Iterable[Clip], *, session_id: str, seed: int, new_token: Callable[[], str], repeats: int = 0
) -> list[Trial]:
    """One clip a trial, pass or fail, in a seeded order.

    The same line is not heard twice in a row when that can be avoided. The order does not depend on the order of
    `clips`. `repeats` clips, drawn by the seed, are asked about a second time as catch trials: they show whether a
    reviewer agrees with themselves and are no evidence about the candidate. Raises BadInput for a negative or too
    large number of repeats.
    """
    random = Random(seed)
    asked = sorted({clip.id: clip for clip in clips}.values(), key=lambda clip: (*_line(clip), clip.id))
    questions = [_Question((clip,)) for clip in asked]
    questions += [_Question((clip,), is_catch=True) for clip in _drawn(asked, repeats, random, "repeats")]
    return _trials(TrialKind.GATE, _arranged(questions, random), session_id, new_token)


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

    Sides are counterbalanced for each unordered pair of candidates: after any number of trials the first was on side A
    at most once more or less often than the second; where the count is even, a seeded coin decides. `balance`
    continues the count of the reviewer's earlier sittings (`side_balance`). `catches` identical pairs, drawn by the
    seed, are mixed in: whoever hears a difference there has a side bias. Raises BadInput for a pair of different lines
    or of one candidate with itself.
    """
    random = Random(seed)
    asked = sorted((_pair(a, b) for a, b in pairs), key=lambda pair: (*_line(pair[0]), pair[0].id, pair[1].id))
    questions = [_Question(pair) for pair in asked]
    single = [random.choice(pair) for pair in asked]
    questions += [_Question((clip, clip), is_catch=True) for clip in _drawn(single, catches, random, "catch trials")]
    ordered = _sided(_arranged(questions, random), random, balance or {})
    return _trials(TrialKind.PREFERENCE, ordered, session_id, new_token)


def side_balance(trials: Iterable[Trial], candidate_of: Callable[[str], str]) -> dict[tuple[str, str], int]:
    """How the sides of a reviewer's trials so far stand, for `preference_trials`; `candidate_of` maps clip id to
    candidate id.
    """
    balance: Counter[tuple[str, str]] = Counter()
    for trial in trials:
        if trial.kind is TrialKind.PREFERENCE and not trial.is_catch:
            on_a, on_b = (candidate_of(slot.clip_id) for slot in trial.slots)
            balance[min(on_a, on_b), max(on_a, on_b)] += 1 if on_a < on_b else -1
    return dict(balance)


# --------------------------------------------------------------------------------------------------- what is seen, said
def view(trial: Trial, *, total: int) -> TrialView:
    """What the page gets of a trial. Neither line, tier, clip nor candidate, nor whether it is a catch trial."""
    return TrialView(
        trial_id=trial.id,
        kind=trial.kind,
        text=trial.text,
        slots=tuple((slot.label, slot.token) for slot in trial.slots),
        position=trial.position,
        total=total,
        reasons=REASON_CODES if trial.kind is TrialKind.GATE else (),
    )


def choices(kind: TrialKind) -> tuple[Choice, ...]:
    """What may be answered to a trial of this kind."""
    return _CHOICES[kind]


def check_answer(trial: Trial, response: Response) -> None:
    """Raises BadInput when `response` cannot be an answer to `trial`: what is kept is never edited, so it must make
    sense.
    """
    if response.session_id != trial.session_id:
        raise BadInput(f"The answer to {trial.id} names another session; reload the page.")
    if response.choice not in choices(trial.kind):
        raise BadInput(f"This trial asks for one of {', '.join(choices(trial.kind))}, not {response.choice}.")
    for reason in response.reasons:
        if reason not in REASON_CODES:
            raise BadInput(f"{reason!r} is not one of the reasons; choose among {', '.join(REASON_CODES)}.")
    if OTHER in response.reasons and not response.note.strip():
        raise BadInput(f"The reason {OTHER!r} says nothing by itself; write a note that says what you heard.")


# --------------------------------------------------------------------------------------------------------------- inside
def _line(clip: Clip) -> tuple[str, str]:
    """What the order may look at first: it is seen anyway. Clip ids only break ties that nobody can see."""
    return clip.line_id, clip.text


def _pair(first: Clip, second: Clip) -> tuple[Clip, Clip]:
    """The two in the order of their candidates' ids, so that a pair is the same whichever way it was given."""
    if (first.line_id, first.text) != (second.line_id, second.text):
        raise BadInput(f"A pair is heard on one line, not on {first.line_id!r} and {second.line_id!r}.")
    if first.candidate.id == second.candidate.id:
        raise BadInput(f"{first.candidate.id} cannot be compared with itself; choose two different candidates.")
    return (first, second) if first.candidate.id < second.candidate.id else (second, first)


def _drawn(clips: Sequence[Clip], count: int, random: Random, what: str) -> list[Clip]:
    if not 0 <= count <= len(clips):
        raise BadInput(f"{count} {what} cannot be drawn from {len(clips)} trials; ask for 0 to {len(clips)}.")
    return random.sample(clips, count)


def _arranged(questions: Sequence[_Question], random: Random) -> list[_Question]:
    """A random order in which equal lines are as seldom neighbours as their numbers allow.

    Every step draws from the questions after which the rest can still be arranged; looking at lines alone, it makes
    the same draws whatever candidates the clips belong to.
    """
    rest = list(questions)
    order: list[_Question] = []
    last: str | None = None
    while rest:
        lines = _next_lines(Counter(q.line_id for q in rest), last)
        place = random.choice([i for i, q in enumerate(rest) if q.line_id in lines])
        order.append(rest.pop(place))
        last = order[-1].line_id
    return order


def _next_lines(left: Counter[str], last: str | None) -> set[str]:
    """The lines that may come next: not `last` if avoidable, and the most frequent one as soon as it must alternate."""
    total = left.total()
    others = {line for line in left if line != last}
    if not others:
        return set(left)
    # After the next question, total - 1 are left. A line that is not the next one may fill every second place from the
    # first on: half of them, rounded up. The line with more than that is the next one.
    pressing = {line for line in others if left[line] > total // 2}
    return pressing or others


def _sided(questions: Sequence[_Question], random: Random, balance: SideBalance) -> list[_Question]:
    standing = Counter(dict(balance))
    placed = []
    for question in questions:
        if question.is_catch:
            placed.append(question)
            continue
        first, second = question.clips
        pair = (first.candidate.id, second.candidate.id)
        first_on_a = standing[pair] < 0 if standing[pair] else random.random() < 0.5
        standing[pair] += 1 if first_on_a else -1
        placed.append(_Question((first, second) if first_on_a else (second, first)))
    return placed


def _trials(
    kind: TrialKind, questions: Sequence[_Question], session_id: str, new_token: Callable[[], str]
) -> list[Trial]:
    trials = [
        Trial(
            id=f"{session_id}-{position:04d}",
            session_id=session_id,
            position=position,
            kind=kind,
            line_id=question.line_id,
            text=question.clips[0].text,
            tier=question.clips[0].tier,
            slots=tuple(
                Slot(label=label, token=new_token(), clip_id=clip.id)
                for label, clip in zip(LABELS, question.clips, strict=False)
            ),
            is_catch=question.is_catch,
        )
        for position, question in enumerate(questions)
    ]
    tokens = Counter(slot.token for trial in trials for slot in trial.slots)
    if any(count > 1 for count in tokens.values()):
        raise ValueError("The token factory gave the same token twice; two presentations must never share one.")
    return trials
