"""Use cases about blind listening: open a session, hand out one trial at a time, serve its audio, keep the answers.

Candidates are known on this side only: what leaves is a `TrialView` and bytes by opaque token.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from engine import listening
from engine.listening import Question
from engine.sittings import Given, Sittings, calibration
from engine.studio.answers import Record, common_takes, one_take
from engine.studio.automatic_sweeping import AutomaticSweeping
from engine.types import (
    BadInput,
    Candidate,
    Choice,
    Clip,
    Gate,
    Hearing,
    ListeningTest,
    PlayerEvent,
    Session,
    Tier,
    Trial,
    TrialKind,
)
from engine.workspace import Workspace

SECONDS_TO_ANSWER = 4.0  # beside listening to every side once


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What a plan asks of each reviewer: trials (training and catch trials included), and minutes of listening once to
    everything.
    """

    trials: int
    catches: int
    minutes: float


class ListeningLab(AutomaticSweeping):
    """What the Listen page does, and what sends candidates there."""

    def __init__(self, workspace: Workspace, *, clock: Callable[[], float], device: str = "auto") -> None:
        super().__init__(workspace, clock=clock, device=device)
        self._new_token: Callable[[], str] = _token
        self._sittings = Sittings(
            self.store, clock=clock, new_token=_token, more=self._more_questions, balance=self._sides_heard
        )
        self._stack.callback(self._sittings.sounds.close)

    def open_gate_session(
        self,
        candidates: Sequence[Candidate],
        *,
        reviewer: str,
        tiers: Iterable[Tier] = tuple(Tier),
        gate: str = "",
        seed: int | None = None,
        simulated: bool = False,
    ) -> Session:
        """Pass or fail, one clip a trial: every rendered line of the tiers that counts under the gate, of every
        candidate, in a seeded order. Without a gate's name the default one is asked.

        The order looks at lines and the seed alone, never at what screeners flagged: it would tell.
        """
        rules, sha256 = self._gate_in_use(gate)
        session = replace(self._session(TrialKind.GATE, reviewer, seed, simulated), gate=rules.name, gate_sha256=sha256)
        return self._begin(session, self._gate_trials(rules, self._asked(rules, candidates, frozenset(tiers)), session))

    def gate_outline(
        self, candidates: Sequence[Candidate], *, gate: str = "", tiers: Iterable[Tier] = tuple(Tier)
    ) -> Outline:
        """What a gate would ask of a reviewer. Raises BadInput, saying what to render; keeps nothing."""
        rules = self.gate(gate)
        clips = self._asked(rules, candidates, frozenset(tiers))
        trials = self._gate_trials(rules, clips, self._session(TrialKind.GATE, "nobody", 0, simulated=False))
        return outline(trials, [*clips, *self._heard_beside(rules, clips).values()])

    def preference_outline(self, pairs: Sequence[tuple[Candidate, Candidate]]) -> Outline:
        """What A/B over these pairs would ask of a reviewer. Raises BadInput for pairs without a line in common."""
        session = self._session(TrialKind.PREFERENCE, "nobody", 0, simulated=False)
        clips = [clip for a, b in pairs for pair in self._same_lines(a, b) for clip in pair]
        return outline(self._preference_trials(pairs, session), clips)

    def open_preference_session(
        self,
        pairs: Sequence[tuple[Candidate, Candidate]],
        *,
        reviewer: str,
        seed: int | None = None,
        simulated: bool = False,
    ) -> Session:
        """A or B or no difference: each pair on every line that both have rendered, sides counterbalanced."""
        session = self._session(TrialKind.PREFERENCE, reviewer, seed, simulated)
        return self._begin(session, self._preference_trials(pairs, session))

    def sessions(self) -> list[Session]:
        """All sittings, newest first."""
        return self.store.sessions()

    def session(self, session_id: str) -> Session:
        """One sitting. Raises NotFound."""
        return self._sittings.session(session_id)

    def session_of_token(self, token: str) -> str:
        """The sitting that a side belongs to. Raises NotFound."""
        return self._sittings.sounds.session_of(token)

    def test_of(self, session: Session) -> ListeningTest | None:
        """The test that a sitting is part of, if it is of one."""
        return self.store.test(session.test_id) if session.test_id else None

    def session_progress(self, session_id: str) -> tuple[int, int]:
        """Answered and all trials of a sitting, without the training trial."""
        return self._sittings.progress(session_id)

    def next_trial(self, session_id: str) -> listening.TrialView | None:
        """The trial to answer now; the same one after a reload. None when the sitting is done."""
        view = self._sittings.view(session_id)
        if view is None or view.kind is not TrialKind.GATE:
            return view
        return replace(view, reasons=self.gate_kept(self._sittings.session(session_id).gate_sha256).reasons)

    def stimulus(self, token: str) -> bytes:
        """The audio behind an opaque token: same container, rate, loudness and length for every side of its trial."""
        return self._sittings.sounds.of(token)

    def warm_up_listening(self) -> None:
        """Get ready for the first reviewer, in the background."""
        self._sittings.sounds.warm_up()

    def ready_stimulus(self, token: str) -> bytes | None:
        """What `stimulus` gives, if it can be had without waiting for anything."""
        return self._sittings.sounds.ready(token)

    def answer(
        self,
        trial_id: str,
        choice: Choice | None = None,
        *,
        rating: float | None = None,
        ratings: Mapping[str, float] | None = None,
        reasons: Sequence[str] = (),
        note: str = "",
        plays: Mapping[str, int] | None = None,
        events: Sequence[PlayerEvent] = (),
        volume: float | None = None,
        session_id: str | None = None,
        must_be_heard: bool = False,
    ) -> None:
        """Keep an answer before the next trial is shown. Answering the same way twice changes nothing.

        `session_id` refuses a trial of another sitting, `must_be_heard` an answer before every side was heard.
        """
        given = Given(
            choice=choice,
            rating=rating,
            ratings=ratings or {},
            reasons=reasons,
            note=note,
            plays=plays or {},
            events=events,
            volume=volume,
        )
        self._sittings.answer(trial_id, given, session_id=session_id, must_be_heard=must_be_heard)

    def withdraw(self, session_id: str, trial_id: str) -> None:
        """Take back the last answer of a sitting; its trial comes again, and the log keeps both answers."""
        self._sittings.withdraw(session_id, trial_id)

    # ------------------------------------------------------------------------------------------- before the first trial
    def level_clip(self) -> bytes:
        """A sound as loud as every clip of a trial, to set the volume by, as a WAV file."""
        return calibration.level_clip()

    def headphone_check(self, session_id: str) -> tuple[tuple[str, ...], ...]:
        """Six trials of three tones, by opaque token. Raises NotFound for an unknown sitting."""
        return self._sittings.sounds.headphone_check(session_id)

    def check_headphones(self, session_id: str, answers: Sequence[int]) -> tuple[int, bool]:
        """How many of the six were right and whether that is enough; kept with the sitting, and no reason to stop."""
        session = self._sittings.session(session_id)
        correct, passed = calibration.marked(session.seed, answers)
        told = {"session": session.id, "correct": correct, "passed": passed}
        self.store.add_act("headphones", session.reviewer, told, at=self._clock())
        return correct, passed

    # ---------------------------------------------------------------------------------------------------------- inside
    def _gate_trials(self, rules: Gate, clips: Sequence[Clip], session: Session) -> list[Trial]:
        if not clips:
            raise BadInput(
                f"None of these candidates has a rendered clip that counts under {rules.name}; run a sweep over them "
                "first."
            )
        return listening.gate_trials(
            clips,
            session_id=session.id,
            seed=session.seed,
            new_token=self._new_token,
            repeats=round(rules.catch_rate * len(clips)),
            controls=self._heard_beside(rules, clips),
        )

    def _preference_trials(self, pairs: Sequence[tuple[Candidate, Candidate]], session: Session) -> list[Trial]:
        clips = [pair for a, b in pairs for pair in self._same_lines(a, b)]
        if not clips:
            raise BadInput("These pairs have no line in common yet; render both candidates with the same script first.")
        return listening.preference_trials(
            clips,
            session_id=session.id,
            seed=session.seed,
            new_token=self._new_token,
            balance=self._sides_heard(session.reviewer),
        )

    def _asked(self, rules: Gate, candidates: Sequence[Candidate], tiers: frozenset[Tier]) -> list[Clip]:
        """The clips that a gate asks about: of the candidates, and of their controls where it has a hidden one."""
        controls = [self.control_of(rules, candidate) for candidate in candidates] if rules.hidden_control else []
        return [
            clip
            for candidate in dict.fromkeys([*candidates, *controls])
            for clip in self._counted(rules, candidate)
            if clip.tier in tiers
        ]

    def _counted(self, rules: Gate, candidate: Candidate) -> list[Clip]:
        """One take of each line that counts under the gate, after each reference."""
        base = Candidate(backend=candidate.backend, voice=candidate.voice)
        own = self._control_clips(rules, candidate) if candidate.is_base else self.clips([candidate, base])
        return Record(clips=own).takes(rules, candidate)

    def _heard_beside(self, rules: Gate, clips: Sequence[Clip]) -> dict[str, Clip]:
        """The control's clip beside each clip, by the clip's id; none where the gate lets it be heard alone."""
        return {} if rules.hearing is Hearing.ALONE else self._controls(rules, clips)

    def _session(self, kind: TrialKind, reviewer: str, seed: int | None, simulated: bool) -> Session:
        if not reviewer.strip():
            raise BadInput("A session needs the reviewer's name.")
        return Session(
            id=self._new_token()[:12],
            kind=kind,
            reviewer=reviewer.strip(),
            seed=self._drawn_seed() if seed is None else seed,
            gate="",
            created_at=self._clock(),
            simulated=simulated,
        )

    def _drawn_seed(self) -> int:
        return secrets.randbits(31)

    def _begin(self, session: Session, trials: Sequence[Trial]) -> Session:
        self._sittings.begin(session, trials)
        return session

    def _more_questions(self, session: Session) -> Question | None:
        """The next question of an adaptive sitting; None when its test has heard enough."""
        return None

    def _sides_heard(self, reviewer: str) -> dict[tuple[str, ...], int]:
        """How the sides stand of the pairs that this reviewer has answered, so that they stay even over sittings."""
        heard = self.store.pairs_answered_by(reviewer)
        clips = {slot.clip_id for trial in heard for slot in trial.slots}
        names = {clip_id: self.store.clip(clip_id).candidate.id for clip_id in clips}
        return listening.side_balance(heard, names.__getitem__)

    def _one_take(self, candidate: Candidate) -> list[Clip]:
        return one_take(self.clips([candidate]))

    def _same_lines(self, first: Candidate, second: Candidate) -> list[tuple[Clip, Clip]]:
        """What both say of the same text, after the same reference."""
        return [(a, b) for a, b in common_takes([self._one_take(first), self._one_take(second)])]


def outline(trials: Sequence[Trial], clips: Iterable[Clip]) -> Outline:
    """What trials over these clips ask of a reviewer."""
    seconds = {clip.id: clip.duration_sec for clip in clips}
    heard = sum(seconds[slot.clip_id] for trial in trials for slot in trial.slots)
    return Outline(
        trials=len(trials),
        catches=sum(trial.is_catch for trial in trials),
        minutes=(heard + SECONDS_TO_ANSWER * len(trials)) / 60.0,
    )


def _token() -> str:
    return secrets.token_hex(16)
