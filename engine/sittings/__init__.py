"""Sittings while they are listened to: the next trial, its audio, the answer, and taking it back.

Knows whose turn it is and what a reviewer may do now; `in_use` holds the trials and answers of the sittings in memory,
`sounds` what is heard. Whatever is answered is in the store before a method returns, and a restart finds it there. All
answers go through here: the store alone is the truth. Safe to use from many threads; two requests of one sitting take
turns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

from engine import listening
from engine.listening import Question, TrialView
from engine.sittings.in_use import SittingsInUse
from engine.sittings.sitting import Sitting
from engine.sittings.sounds import Sounds
from engine.store import Store
from engine.types import BadInput, Choice, NotFound, PlayerEvent, Refused, Response, Session, Trial

Balance = Callable[[str], listening.SideBalance]


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a reviewer says of a trial, as it comes from a page."""

    choice: Choice | None = None
    rating: float | None = None
    ratings: Mapping[str, float] = field(default_factory=dict)
    reasons: Sequence[str] = ()
    note: str = ""
    plays: Mapping[str, int] = field(default_factory=dict)
    events: Sequence[PlayerEvent] = ()
    volume: float | None = None


class Sittings:
    """The sittings of one open store. `more` gives an adaptive sitting its next question, or None when there is none.

    `new_token` makes tokens that nobody can guess, `balance` says how the sides stand of the pairs that a reviewer has
    answered.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float],
        new_token: Callable[[], str],
        more: Callable[[Session], Question | None] = lambda session: None,
        balance: Balance = lambda reviewer: {},
    ) -> None:
        self._store = store
        self._clock = clock
        self._new_token = new_token
        self._more = more
        self._balance = balance
        self._in_use = SittingsInUse(store)
        self._choosing = threading.Lock()
        self.sounds = Sounds(self._in_use, store.clip, new_token=new_token)

    # ----------------------------------------------------------------------------------------------------------- asking
    def begin(self, session: Session, trials: Sequence[Trial]) -> None:
        """Keep a sitting and its first trials, before any is shown."""
        self._store.add_session(session)
        self._store.add_trials(trials)

    def view(self, session_id: str) -> TrialView | None:
        """The trial to answer now, the same one until it is answered; None when the sitting is done. Its audio is ready
        when this returns.
        """
        sitting = self._in_use.of(session_id)
        with sitting.turn:
            trial = self._current(sitting)
            if trial is None:
                return None
            sitting.shown_at.setdefault(trial.id, self._clock())
            waiting = sitting.open_trials()
            upcoming = waiting[1] if len(waiting) > 1 else None
            shown = listening.view(
                trial,
                position=sitting.position(trial),
                total=sitting.total(),
                switching=sitting.session.switching,
                upcoming=upcoming,
                previous=sitting.previous(trial),
            )
        self.sounds.presented(trial)  # all sides now, so that neither's first request takes longer
        if upcoming is not None:
            self.sounds.make_ahead(upcoming)
        return shown

    def again(self, session_id: str, trial_id: str) -> TrialView:
        """An answered trial once more, to be asked about. Raises NotFound for one that was not answered here."""
        sitting = self._in_use.of(session_id)
        with sitting.turn:
            trial = sitting.trial(trial_id)
            if trial is None or trial_id not in sitting.answers:
                raise NotFound("There is no such answer; reload the page.")
            shown = listening.view(
                trial, position=sitting.position(trial), total=sitting.total(), switching=sitting.session.switching
            )
        self.sounds.presented(trial)
        return shown

    def answered(self, session_id: str) -> list[Trial]:
        """A sitting's answered trials that are evidence, the latest first."""
        sitting = self._in_use.of(session_id)
        with sitting.turn:
            found = [trial for trial in sitting.trials if trial.id in sitting.answers and trial.counts]
            return sorted(found, key=lambda trial: sitting.answers[trial.id].answered_at, reverse=True)

    def progress(self, session_id: str) -> tuple[int, int]:
        """Answered and all trials of a sitting, without the training trial."""
        sitting = self._in_use.of(session_id)
        with sitting.turn:
            return sum(trial.id in sitting.answers for trial in sitting.asked()), sitting.total()

    def session(self, session_id: str) -> Session:
        """A sitting's record. Raises NotFound."""
        return self._in_use.of(session_id).session

    def add(self, session_id: str, question: Question) -> Trial:
        """One more trial for an open sitting, kept before it is shown. Raises Refused for a closed one."""
        sitting = self._in_use.of(session_id)
        with sitting.turn:
            return self._added(sitting, question)

    # -------------------------------------------------------------------------------------------------------- answering
    def answer(
        self, trial_id: str, given: Given, *, session_id: str | None = None, must_be_heard: bool = False
    ) -> None:
        """Keep an answer. The same answer again changes nothing.

        Raises Refused when the trial has another answer, it is not its turn, a side was not heard (with
        `must_be_heard`) or the sitting is closed; BadInput when it is no answer; NotFound.
        """
        sitting, trial = self._in_use.of_trial(trial_id)
        if session_id is not None and session_id != sitting.session.id:
            raise BadInput("This trial belongs to another sitting; reload the page.")
        with sitting.turn:
            if must_be_heard:
                listening.check_heard(trial, given.plays)
            response = self._response(sitting, trial, given)
            before = sitting.answers.get(trial_id)
            if before is None:
                listening.check_answer(trial, response)
                current = self._current(sitting)
                if current is not None and current.id != trial_id:
                    raise Refused("Another trial is to be answered first; reload the page.")
                with self._logged(sitting):
                    self._store.add_response(response, trial)
                sitting.answers[trial_id] = response
                self._close_if_done(sitting)
            elif not listening.is_same_answer(before, response):
                raise Refused(
                    "This trial has another answer already, and answers are not changed; go on to the next one."
                )

    def withdraw(self, session_id: str, trial_id: str) -> None:
        """Take back the last answer; its trial is the next one again, and the log keeps both answers.

        Raises Refused when it is not the last answer, or the sitting is closed.
        """
        sitting, _ = self._in_use.of_trial(trial_id)
        if sitting.session.id != session_id:
            raise BadInput("This trial belongs to another sitting; reload the page.")
        with sitting.turn:
            if trial_id in sitting.answers and sitting.last_answered() != trial_id:
                raise Refused("Only the last answer can be taken back.")
            with self._logged(sitting):
                self._store.withdraw(trial_id, at=self._clock())
            sitting.answers.pop(trial_id, None)

    def close(self, session_id: str) -> None:
        """End a sitting before all was answered; what was answered stays."""
        sitting = self._in_use.of(session_id)
        with sitting.turn:
            self._close(sitting)

    # ----------------------------------------------------------------------------------------------------------- inside
    def _current(self, sitting: Sitting) -> Trial | None:
        if waiting := sitting.open_trials():
            return waiting[0]
        if not sitting.is_adaptive or sitting.session.closed_at is not None:
            return None
        with self._logged(sitting):
            question = self._more(sitting.session)
            if question is not None:
                return self._added(sitting, question)
        self._close(sitting)
        return None

    def _logged(self, sitting: Sitting) -> AbstractContextManager[object]:
        """What an adaptive choice depends on is kept in turns: a choice knows exactly what came before it."""
        return self._choosing if sitting.is_adaptive else nullcontext()

    def _added(self, sitting: Sitting, question: Question) -> Trial:
        session = sitting.session
        trial = listening.added_trial(
            question,
            position=sitting.next_position(),
            session_id=session.id,
            seed=session.seed,
            new_token=self._new_token,
            balance=self._balance(session.reviewer),
        )
        self._store.add_trials([trial])
        self._in_use.add(sitting, trial)
        return trial

    def _response(self, sitting: Sitting, trial: Trial, given: Given) -> Response:
        return Response(
            trial_id=trial.id,
            session_id=sitting.session.id,
            choice=given.choice,
            rating=given.rating,
            ratings=dict(given.ratings),
            reasons=tuple(given.reasons),
            note=given.note,
            plays=dict(given.plays),
            events=tuple(given.events),
            volume=given.volume,
            presented=self.sounds.presented(trial),
            shown_at=sitting.shown_at.get(trial.id),
            answered_at=self._clock(),
        )

    def _close_if_done(self, sitting: Sitting) -> None:
        if not sitting.is_adaptive and not sitting.open_trials():
            self._close(sitting)

    def _close(self, sitting: Sitting) -> None:
        if sitting.session.closed_at is None:
            at = self._clock()
            with self._logged(sitting):
                self._store.close_session(sitting.session.id, at=at)
            sitting.session = replace(sitting.session, closed_at=at)
