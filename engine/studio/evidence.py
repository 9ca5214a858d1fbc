"""What was answered about each candidate, put together from sittings: answers, screeners' flags, what was said to them.

Decides nothing: `gate` does. What leaves here is unblinded, for engineers' pages alone, but for a flag's question,
which names nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from engine import gate_flags, screeners
from engine.gate import Flagged, Judged
from engine.studio.listening_tests import ListeningTests
from engine.types import (
    BadInput,
    Candidate,
    Choice,
    Clip,
    Flag,
    FlagAnswer,
    FlagChoice,
    NotFound,
    Response,
    Session,
    Trial,
    TrialKind,
    reason_code,
)


@dataclass(frozen=True, kw_only=True)
class AnswerSeen:
    """One answer about a clip, unblinded: who said what, when, and under which rules."""

    reviewer: str
    choice: Choice
    reasons: tuple[str, ...]
    note: str
    answered_at: float
    gate: str  # name and version
    is_simulated: bool


@dataclass(frozen=True, kw_only=True)
class ClipSeen:
    """One clip with all that speaks for and against it."""

    clip: Clip
    answers: tuple[AnswerSeen, ...]
    flags: tuple[Flagged, ...]
    counts: bool  # under the gate that was asked about
    is_waiting: bool  # in an open trial


@dataclass(frozen=True, kw_only=True)
class FlagQuestion:
    """What a reviewer is asked about a flag of the clip that they have just judged. `choices` are value and label; a
    value names the flag too, so that an answer that is sent twice is not taken for one to the next question.
    """

    trial_id: str
    text: str
    reason: str
    words: tuple[str, ...]
    choices: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Answered:
    """One gate answer with all it belongs to."""

    session: Session
    trial: Trial
    response: Response
    clip: Clip


@dataclass
class Record:
    """Everything about gates that the store holds, read once and looked at from several sides."""

    clips: Sequence[Clip]
    answered: Sequence[Answered]
    open_trials: Sequence[Trial]
    flag_answers: Sequence[FlagAnswer]
    flags: Mapping[str, Sequence[Flag]]
    sessions: Mapping[str, Session] = field(default_factory=dict)

    @cached_property
    def by_id(self) -> dict[str, Clip]:
        """Clips by id; of two candidates with the same weights, the first that it was rendered for."""
        return {clip.id: clip for clip in reversed(self.clips)}

    @cached_property
    def judged(self) -> dict[Candidate, list[Judged]]:
        """Answers by candidate. Where a person answered, simulated answers do not count."""
        found: dict[Candidate, list[Judged]] = {}
        for each in self.answered:
            if each.response.choice not in (Choice.PASS, Choice.FAIL):
                continue
            found.setdefault(each.clip.candidate, []).append(
                Judged(
                    tier=each.clip.tier,
                    choice=each.response.choice,
                    reasons=tuple(reason_code(reason) for reason in each.response.reasons),
                    reviewer=each.session.reviewer,
                    clip_id=each.clip.id,
                    line_id=each.clip.line_id,
                    script_sha256=each.clip.script_sha256,
                    simulated=each.session.simulated,
                )
            )
        return {c: [a for a in answers if not a.simulated] or answers for c, answers in found.items()}

    @cached_property
    def flagged(self) -> dict[Candidate, list[Flagged]]:
        """Flags of all clips by candidate, with what reviewers said; people's words before simulated ones'."""
        found: dict[Candidate, list[Flagged]] = {}
        for clip in self.clips:
            for flag in self.flags.get(clip.id, ()):
                said = self._said(flag)
                people = {name: choice for name, choice, simulated in said if not simulated}
                counted = people or {name: choice for name, choice, _ in said}
                found.setdefault(clip.candidate, []).append(
                    Flagged(
                        flag=flag,
                        tier=clip.tier,
                        line_id=clip.line_id,
                        script_sha256=clip.script_sha256,
                        said=tuple(sorted(counted.items())),
                        simulated=bool(said) and not people,
                    )
                )
        return found

    def _said(self, flag: Flag) -> list[tuple[str, FlagChoice, bool]]:
        """Who said what to a flag; a reviewer's later words come later."""
        found = []
        for answer in self._said_about.get((flag.clip_id, flag.reason or flag.screener), ()):
            session = self.sessions.get(answer.session_id)
            if session is not None:
                found.append((session.reviewer, answer.choice, session.simulated))
        return found

    @cached_property
    def _said_about(self) -> dict[tuple[str, str], list[FlagAnswer]]:
        found: dict[tuple[str, str], list[FlagAnswer]] = {}
        for answer in self.flag_answers:
            found.setdefault((answer.flag.clip_id, answer.flag.reason or answer.flag.screener), []).append(answer)
        return found

    @cached_property
    def waiting(self) -> dict[str, int]:
        """How many open trials ask about each clip; a comparison counts for both of its sides."""
        found: dict[str, int] = {}
        for trial in self.open_trials:
            for slot in trial.slots:
                found[slot.clip_id] = found.get(slot.clip_id, 0) + 1
        return found


class Evidence(ListeningTests):
    """Reads sittings for the Gate page, and asks reviewers about flags."""

    def flag_question(self, session_id: str) -> FlagQuestion | None:
        """The flag that a sitting's reviewer is to confirm or refute now; None when there is none.

        Only flags of clips that they have judged are asked about, never before.
        """
        found = self._open_flags(session_id)
        if not found:
            return None
        trial, flag = found[0]
        return FlagQuestion(
            trial_id=trial.id,
            text=gate_flags.question(flag, trial.text),
            reason=flag.reason,
            words=flag.words,
            choices=tuple((_value(flag, choice), label) for choice, label in gate_flags.CHOICES),
        )

    def answer_flag(self, session_id: str, trial_id: str, value: str) -> None:
        """Keep what a reviewer says to a flag; refutations and doubts too. `value` is one of the question's; said
        twice, it changes nothing.

        Raises BadInput for a value that is none of the question's, NotFound when no such question is open.
        """
        askable = self._askable(session_id, trial_id)
        known = {_value(flag, choice): (trial, flag, choice) for trial, flag, choice in askable}
        if value not in known:
            raise BadInput("This is no answer to the question about this clip; reload the page.")
        trial, flag, choice = known[value]
        open_ones = [(t.id, f) for t, f in self._open_flags(session_id)]
        if (trial.id, flag) not in open_ones:
            return
        self.store.add_flag_answer(
            FlagAnswer(session_id=session_id, trial_id=trial.id, flag=flag, choice=choice, answered_at=self._clock())
        )

    # ---------------------------------------------------------------------------------------------------------- inside
    def _record(self) -> Record:
        clips = self.clips()
        by_id = {clip.id: clip for clip in reversed(clips)}
        sessions = {session.id: session for session in self.store.sessions()}
        answered = []
        for session in sessions.values():
            if session.kind is TrialKind.GATE and not session.dry_run:
                answered += self._answered(session, by_id)
        return Record(
            clips=clips,
            answered=answered,
            open_trials=self.store.open_trials(),
            flag_answers=self.store.flag_answers(),
            flags=self._flags([clip.id for clip in clips]),
            sessions=sessions,
        )

    def _answered(self, session: Session, by_id: Mapping[str, Clip] | None = None) -> list[Answered]:
        """A gate sitting's answers that are evidence, in the order they were given."""
        trials = {trial.id: trial for trial in self.store.trials(session.id)}
        found = []
        for response in self.store.responses(session.id):
            trial = trials[response.trial_id]
            if trial.counts:
                clip_id = judged_clip_id(trial)
                found.append(Answered(session, trial, response, (by_id or {}).get(clip_id) or self.store.clip(clip_id)))
        return found

    def _flags(self, clip_ids: Sequence[str]) -> dict[str, list[Flag]]:
        serves = {name: getattr(screener, "serves", ()) for name, screener in screeners.SCREENERS.items()}
        return {clip_id: gate_flags.flags(scores, serves) for clip_id, scores in self.store.scores(clip_ids).items()}

    def _open_flags(self, session_id: str) -> list[tuple[Trial, Flag]]:
        """What this sitting's reviewer has not said yet about clips that they judged in it, the latest clip first."""
        session = self.store.session(session_id)
        if session.kind is not TrialKind.GATE:
            return []
        who = (session.reviewer, session.simulated)
        own = {each.id for each in self.store.sessions() if (each.reviewer, each.simulated) == who}
        said = [answer for answer in self.store.flag_answers() if answer.session_id in own]
        answered = self._answered(session)[::-1]
        flags = self._flags([each.clip.id for each in answered])
        return [
            (each.trial, flag) for each in answered for flag in gate_flags.unanswered(flags.get(each.clip.id, []), said)
        ]

    def _askable(self, session_id: str, trial_id: str) -> list[tuple[Trial, Flag, FlagChoice]]:
        """Every answer that could be given about a trial of this sitting, also a second time."""
        trial = self.store.trial(trial_id)
        judged = {each.trial.id for each in self._answered(self.store.session(session_id))}
        if trial.session_id != session_id or trial.id not in judged:
            raise NotFound("No question is open about this clip; reload the page.")
        flags = self._flags([judged_clip_id(trial)]).get(judged_clip_id(trial), [])
        return [(trial, flag, choice) for flag in flags for choice in FlagChoice]


def judged_clip_id(trial: Trial) -> str:
    """The clip that a gate trial asks about: the one that is not named as the control."""
    return next(slot.clip_id for slot in trial.slots if slot.label != trial.control)


def _value(flag: Flag, choice: FlagChoice) -> str:
    return f"{choice.value}.{hashlib.sha256((flag.reason or flag.screener).encode()).hexdigest()[:8]}"
