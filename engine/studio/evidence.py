"""What was answered about each candidate, put together from sittings: answers, screeners' flags, what was said to them.

Decides nothing: `gate` does. What leaves here is unblinded, for engineers' pages alone, but for a flag's question,
which names nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine import screeners
from engine.gate import Flagged
from engine.gate import flags as gate_flags
from engine.listening import TrialView
from engine.studio.answers import Answered, Record, judged_clip_id
from engine.studio.results import ResultsDesk
from engine.types import (
    BadInput,
    Choice,
    Clip,
    Flag,
    FlagAnswer,
    FlagChoice,
    NotFound,
    Refused,
    Session,
    Trial,
    TrialKind,
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
    fit: str  # how the line stands to its tier with this voice, in words
    is_waiting: bool  # in an open trial


@dataclass(frozen=True, kw_only=True)
class FlagQuestion:
    """What a reviewer is asked about a flag of the clip that they have just judged. `choices` are value and label; a
    value names the flag too, so that an answer that is sent twice is not taken for one to the next question. `trial` is
    the answered one, to hear it again.
    """

    trial: TrialView
    text: str
    reason: str
    words: tuple[str, ...]
    choices: tuple[tuple[str, str], ...]


class Evidence(ResultsDesk):
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
            trial=self._sittings.again(session_id, trial.id),
            text=gate_flags.question(flag, trial.text),
            reason=flag.reason,
            words=flag.words,
            choices=tuple((_value(flag, choice), label) for choice, label in gate_flags.CHOICES),
        )

    def answer_flag(self, session_id: str, trial_id: str, value: str) -> None:
        """Keep what a reviewer says to a flag; refutations and doubts too. `value` is one of the question's; said
        twice, it changes nothing.

        Raises BadInput for a value that is none of the question's, NotFound for a clip that they have not judged.
        """
        trial = next((trial for trial in self._sittings.answered(session_id) if trial.id == trial_id), None)
        if trial is None:
            raise NotFound("No question is open about this clip; reload the page.")
        flags = self._flags([judged_clip_id(trial)]).get(judged_clip_id(trial), [])
        if value not in {_value(flag, choice) for flag in flags for choice in FlagChoice}:
            raise BadInput("This is no answer to the question about this clip; reload the page.")
        # Two screeners with one reason are one question: what is answered is the flag that was asked about.
        open_ones = [flag for open_trial, flag in self._open_flags(session_id) if open_trial.id == trial.id]
        asked = {_value(flag, choice): (flag, choice) for flag in open_ones for choice in FlagChoice}
        if value not in asked:
            return
        flag, choice = asked[value]
        self.store.add_flag_answer(
            FlagAnswer(session_id=session_id, trial_id=trial.id, flag=flag, choice=choice, answered_at=self._clock())
        )

    def next_trial(self, session_id: str) -> TrialView | None:
        """As the lab has it; an answer whose clip's flags were asked about cannot be taken back any more."""
        view = super().next_trial(session_id)
        if view is None or view.kind is not TrialKind.GATE or view.previous is None:
            return view
        return replace(view, previous=None) if self._was_asked_about(session_id, view.previous) else view

    def withdraw(self, session_id: str, trial_id: str) -> None:
        """As the lab has it. Raises Refused too once the reviewer was asked about the clip's flags: what was said
        before knowing of them stays.
        """
        if self._was_asked_about(session_id, trial_id):
            raise Refused("You were asked about this clip since; your answer stays as it is.")
        super().withdraw(session_id, trial_id)

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
        session = self._sittings.session(session_id)
        if session.kind is not TrialKind.GATE:
            return []
        answered = self._sittings.answered(session_id)
        flags = self._flags([judged_clip_id(trial) for trial in answered])
        if not any(flags.values()):
            return []
        who = (session.reviewer, session.simulated)
        own = {each.id for each in self.store.sessions() if (each.reviewer, each.simulated) == who}
        said = [answer for answer in self.store.flag_answers() if answer.session_id in own]
        return [
            (trial, flag)
            for trial in answered
            for flag in gate_flags.unanswered(flags.get(judged_clip_id(trial), []), said)
        ]

    def _was_asked_about(self, session_id: str, trial_id: str) -> bool:
        trial = next((trial for trial in self._sittings.answered(session_id) if trial.id == trial_id), None)
        if trial is None or trial.kind is not TrialKind.GATE:
            return False
        return bool(self._flags([judged_clip_id(trial)]).get(judged_clip_id(trial)))


def _value(flag: Flag, choice: FlagChoice) -> str:
    return f"{choice.value}.{hashlib.sha256((flag.reason or flag.screener).encode()).hexdigest()[:8]}"
