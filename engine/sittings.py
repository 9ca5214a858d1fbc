"""Sittings while they are listened to: the next trial, its audio, the answer, and taking it back.

Holds the trials and answers of the sittings in use in memory, so that a reviewer's question costs no query; whatever is
answered is in the store before a method returns, and a restart finds it there. All answers go through here: the store
alone is the truth. Safe to use from many threads; two requests of one sitting take turns.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace

from engine import calibration, listening
from engine.listening import Question, TrialView
from engine.presentations import Presentations
from engine.store import Store
from engine.types import (
    BadInput,
    Choice,
    Design,
    EngineError,
    NotFound,
    PlayerEvent,
    Presented,
    Refused,
    Response,
    Session,
    Trial,
    TrialRole,
)

log = logging.getLogger(__name__)

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


@dataclass
class _Sitting:
    session: Session
    trials: list[Trial]
    answers: dict[str, Response]  # in force, by trial
    planned: int  # main trials of an adaptive sitting, 0 for a fixed one
    shown_at: dict[str, float] = field(default_factory=dict)
    tones: tuple[tuple[str, ...], ...] = ()  # tokens of its headphone check
    turn: threading.RLock = field(default_factory=threading.RLock)

    @property
    def is_adaptive(self) -> bool:
        return self.planned > 0

    def open_trials(self) -> list[Trial]:
        if self.session.closed_at is not None:
            return []
        return [trial for trial in self.trials if trial.id not in self.answers]

    def asked(self) -> list[Trial]:
        """All but the training trial."""
        return [trial for trial in self.trials if trial.role is not TrialRole.TRAINING]

    def total(self) -> int:
        return max(len(self.asked()), self.planned)


class Sittings:
    """The sittings of one open store. `more` gives an adaptive sitting its next question, or None when there is none.

    `new_token` makes tokens that nobody can guess.
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
        self._presentations = Presentations(store.clip)
        # One thread makes the sounds of trials that come next, so that nobody waits for them.
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="sounds of the next trials")
        self._guard = threading.Lock()
        self._choosing = threading.Lock()
        self._sittings: dict[str, _Sitting] = {}
        self._by_token: dict[str, tuple[_Sitting, Trial]] = {}
        self._tones: dict[str, tuple[_Sitting, bytes]] = {}  # of headphone checks

    def warm_up(self) -> None:
        """Load what making sounds needs, in the background, so that the first reviewer does not wait for it."""
        with suppress(RuntimeError):
            self._ahead.submit(self._presentations.warm_up)

    def close_all(self) -> None:
        """Make no more sounds ahead: the store is about to close."""
        self._ahead.shutdown(cancel_futures=True)

    # ----------------------------------------------------------------------------------------------------------- asking
    def begin(self, session: Session, trials: Sequence[Trial]) -> None:
        """Keep a sitting and its first trials, before any is shown."""
        self._store.add_session(session)
        self._store.add_trials(trials)

    def view(self, session_id: str) -> TrialView | None:
        """The trial to answer now, the same one until it is answered; None when the sitting is done. Its audio is ready
        when this returns.
        """
        sitting = self._sitting(session_id)
        with sitting.turn:
            trial = self._current(sitting)
            if trial is None:
                return None
            sitting.shown_at.setdefault(trial.id, self._clock())
            waiting = sitting.open_trials()
            upcoming = waiting[1] if len(waiting) > 1 else None
            shown = listening.view(
                trial,
                position=0 if trial.role is TrialRole.TRAINING else 1 + sitting.asked().index(trial),
                total=sitting.total(),
                switching=sitting.session.switching,
                upcoming=upcoming,
                previous=_previous(sitting, trial),
            )
        self._heard(trial)  # all sides now, so that neither's first request takes longer
        if upcoming is not None and self._presentations.ready(upcoming) is None:
            with suppress(RuntimeError):  # the app is about to end
                self._ahead.submit(self._heard, upcoming)
        return shown

    def again(self, session_id: str, trial_id: str) -> TrialView:
        """An answered trial once more, to be asked about. Raises NotFound for one that was not answered here."""
        sitting = self._sitting(session_id)
        with sitting.turn:
            trial = next((t for t in sitting.trials if t.id == trial_id and t.id in sitting.answers), None)
            if trial is None:
                raise NotFound("There is no such answer; reload the page.")
            position = 1 + sitting.asked().index(trial)
            shown = listening.view(trial, position=position, total=sitting.total(), switching=sitting.session.switching)
        self._heard(trial)
        return shown

    def answered(self, session_id: str) -> list[Trial]:
        """A sitting's answered trials that are evidence, the latest first."""
        sitting = self._sitting(session_id)
        with sitting.turn:
            found = [trial for trial in sitting.trials if trial.id in sitting.answers and trial.counts]
            return sorted(found, key=lambda trial: sitting.answers[trial.id].answered_at, reverse=True)

    def progress(self, session_id: str) -> tuple[int, int]:
        """Answered and all trials of a sitting, without the training trial."""
        sitting = self._sitting(session_id)
        with sitting.turn:
            return sum(trial.id in sitting.answers for trial in sitting.asked()), sitting.total()

    def session(self, session_id: str) -> Session:
        """A sitting's record. Raises NotFound."""
        return self._sitting(session_id).session

    def session_of_token(self, token: str) -> str:
        """The sitting that a side belongs to. Raises NotFound."""
        sitting = self._tones[token][0] if token in self._tones else self._found(token)[0]
        return sitting.session.id

    def sound(self, token: str) -> bytes:
        """The audio behind an opaque token: same container, rate, loudness and length for every side of its trial."""
        if token in self._tones:
            return self._tones[token][1]
        _, trial = self._found(token)
        label = next(slot.label for slot in trial.slots if slot.token == token)
        return self._presentations.of(trial)[label].audio

    def ready_sound(self, token: str) -> bytes | None:
        """What `sound` gives, if it can be had without waiting: asks no disk and no database."""
        if token in self._tones:
            return self._tones[token][1]
        found = self._by_token.get(token)
        sides = None if found is None else self._presentations.ready(found[1])
        if found is None or sides is None:
            return None
        return next(sides[slot.label].audio for slot in found[1].slots if slot.token == token)

    def headphone_check(self, session_id: str) -> tuple[tuple[str, ...], ...]:
        """The tokens of a sitting's headphone check: six trials of three; the same ones until the app ends."""
        sitting = self._sitting(session_id)
        with sitting.turn:
            if not sitting.tones:
                made = calibration.headphone_check(sitting.session.seed)
                sitting.tones = tuple(tuple(self._new_token() for _ in trial) for trial in made)
                with self._guard:
                    self._tones.update(
                        (token, (sitting, audio))
                        for tokens, sounds in zip(sitting.tones, made, strict=True)
                        for token, audio in zip(tokens, sounds, strict=True)
                    )
            return sitting.tones

    def add(self, session_id: str, question: Question) -> Trial:
        """One more trial for an open sitting, kept before it is shown. Raises Refused for a closed one."""
        sitting = self._sitting(session_id)
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
        sitting, trial = self._of_trial(trial_id)
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
        sitting, _ = self._of_trial(trial_id)
        if sitting.session.id != session_id:
            raise BadInput("This trial belongs to another sitting; reload the page.")
        with sitting.turn:
            if trial_id in sitting.answers and _last_answered(sitting) != trial_id:
                raise Refused("Only the last answer can be taken back.")
            with self._logged(sitting):
                self._store.withdraw(trial_id, at=self._clock())
            sitting.answers.pop(trial_id, None)

    def close(self, session_id: str) -> None:
        """End a sitting before all was answered; what was answered stays."""
        sitting = self._sitting(session_id)
        with sitting.turn:
            self._close(sitting)

    # ----------------------------------------------------------------------------------------------------------- inside
    def _current(self, sitting: _Sitting) -> Trial | None:
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

    def _logged(self, sitting: _Sitting) -> AbstractContextManager[object]:
        """What an adaptive choice depends on is kept in turns: a choice knows exactly what came before it."""
        return self._choosing if sitting.is_adaptive else nullcontext()

    def _added(self, sitting: _Sitting, question: Question) -> Trial:
        session = sitting.session
        trial = listening.added_trial(
            question,
            position=max((trial.position for trial in sitting.trials), default=-1) + 1,
            session_id=session.id,
            seed=session.seed,
            new_token=self._new_token,
            balance=self._balance(session.reviewer),
        )
        self._store.add_trials([trial])
        sitting.trials.append(trial)
        self._remember(sitting, [trial])
        return trial

    def _response(self, sitting: _Sitting, trial: Trial, given: Given) -> Response:
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
            presented=self._heard(trial),
            shown_at=sitting.shown_at.get(trial.id),
            answered_at=self._clock(),
        )

    def _heard(self, trial: Trial) -> dict[str, Presented]:
        try:
            return {label: sound.presented for label, sound in self._presentations.of(trial).items()}
        except EngineError as error:  # it was heard before its file went; the answer counts
            log.warning("the audio of %s is gone: %s", trial.id, error)
            return {}

    def _close_if_done(self, sitting: _Sitting) -> None:
        if not sitting.is_adaptive and not sitting.open_trials():
            self._close(sitting)

    def _close(self, sitting: _Sitting) -> None:
        if sitting.session.closed_at is None:
            at = self._clock()
            with self._logged(sitting):
                self._store.close_session(sitting.session.id, at=at)
            sitting.session = replace(sitting.session, closed_at=at)

    def _sitting(self, session_id: str) -> _Sitting:
        with self._guard:
            known = self._sittings.get(session_id)
        return known or self._load(session_id)

    def _load(self, session_id: str) -> _Sitting:
        session = self._store.session(session_id)
        loaded = _Sitting(
            session=session,
            trials=self._store.trials(session_id),
            answers={response.trial_id: response for response in self._store.responses(session_id)},
            planned=self._planned(session),
        )
        with self._guard:  # another thread may have been faster: there is one of each
            sitting = self._sittings.setdefault(session_id, loaded)
        self._remember(sitting, sitting.trials)
        return sitting

    def _planned(self, session: Session) -> int:
        if not session.test_id:
            return 0
        test = self._store.test(session.test_id)
        return (test.judgments or test.stop.max_judgments) if test.design is Design.ADAPTIVE else 0

    def _remember(self, sitting: _Sitting, trials: Sequence[Trial]) -> None:
        with self._guard:
            self._by_token.update((slot.token, (sitting, trial)) for trial in trials for slot in trial.slots)

    def _found(self, token: str) -> tuple[_Sitting, Trial]:
        if token not in self._by_token:
            found = self._store.slot(token)
            if found is None:
                raise NotFound("This clip is not part of an open trial; reload the page.")
            self._sitting(found[0].session_id)
        return self._by_token[token]

    def _of_trial(self, trial_id: str) -> tuple[_Sitting, Trial]:
        session_id, _, _ = trial_id.rpartition("-")
        try:
            sitting = self._sitting(session_id)
        except NotFound:
            sitting = self._sitting(self._store.trial(trial_id).session_id)
        trial = next((trial for trial in sitting.trials if trial.id == trial_id), None)
        if trial is None:
            raise NotFound(f"There is no trial {trial_id!r}; reload the page.")
        return sitting, trial


def _last_answered(sitting: _Sitting) -> str | None:
    answered = [trial.id for trial in sitting.trials if trial.id in sitting.answers]
    return answered[-1] if answered else None


def _previous(sitting: _Sitting, trial: Trial) -> str | None:
    """The trial before this one, when its answer can be taken back."""
    last = _last_answered(sitting)
    return last if last is not None and last != trial.id else None
