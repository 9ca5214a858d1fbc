"""Use cases about listening tests: plan one, let reviewers in, watch it, end it.

A test's plan is kept before its first trial, and each reviewer's trials before the first is shown. While a test runs,
only counts are to be had here.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from engine import code_version, durable, invitations, listening, listening_export
from engine.invitations import DEFAULT_DAYS, NewInvitation
from engine.listening_export import Exported
from engine.sittings import stimuli
from engine.studio.answers import common_takes
from engine.studio.listening_lab import ListeningLab, Outline, outline
from engine.types import (
    BadInput,
    Candidate,
    Clip,
    Invitation,
    ListeningTest,
    Refused,
    Session,
    Tier,
    Trial,
    TrialKind,
)
from engine.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class CommonLine:
    """A line that every candidate of a choice has rendered."""

    id: str
    tier: Tier
    text: str


@dataclass(frozen=True, kw_only=True)
class SittingState:
    """How far one reviewer is. Nothing of what they answered."""

    session: Session
    answered: int
    total: int


@dataclass(frozen=True, kw_only=True)
class TestState:
    """A test with its reviewers' sittings, in the order they were named; dry runs stand apart."""

    __test__ = False  # no test of this program

    test: ListeningTest
    sittings: tuple[SittingState, ...]
    dry_runs: tuple[SittingState, ...]

    @property
    def answered(self) -> int:
        return sum(each.answered for each in self.sittings)

    @property
    def total(self) -> int:
        return sum(each.total for each in self.sittings)


class ListeningTests(ListeningLab):
    """What the Tests page does."""

    def __init__(self, workspace: Workspace, *, clock: Callable[[], float], device: str = "auto") -> None:
        super().__init__(workspace, clock=clock, device=device)
        self._guests: dict[str, Invitation] = {}  # by hash of the token, as far as they were asked for

    # ------------------------------------------------------------------------------------------------------- planning
    def new_test(self, kind: TrialKind, *, by: str) -> ListeningTest:
        """A plan to be filled in, with a seed and an id of its own. Nothing is kept."""
        return ListeningTest(
            id=self._new_token()[:12],
            name="",
            kind=kind,
            candidates=(),
            lines=(),
            reviewers=(),
            seed=self._drawn_seed(),
            created_by=by.strip(),
            created_at=self._clock(),
            method=f"{listening.METHOD} {stimuli.METHOD}",
            software=code_version.facts()["commit"],
        )

    def common_lines(self, candidates: Iterable[Candidate]) -> list[CommonLine]:
        """The lines that every one of the candidates has rendered, in the order in which they were."""
        return [
            CommonLine(id=line_id, tier=clips[0].tier, text=clips[0].text)
            for line_id, clips in self._heard_together(candidates).items()
        ]

    def outline(self, test: ListeningTest) -> Outline:
        """What the plan would ask of the first reviewer. Raises BadInput, saying what to change; keeps nothing."""
        test = self._completed(test)
        session = self._sitting_of(test, test.reviewers[0], 0)
        trials = listening.sitting_trials(test, session, self.test_clips(test), new_token=self._new_token)
        return outline(trials, self.test_clips(test).values())

    def make_test(self, test: ListeningTest) -> ListeningTest:
        """Keep a plan and open a sitting for each reviewer. Lines left empty are all that the candidates share; a
        multi-stimulus test gets the base as hidden control. Raises BadInput, saying what to change.
        """
        test = self._completed(test)
        clips = self.test_clips(test)
        sittings = [self._sitting_of(test, reviewer, place) for place, reviewer in enumerate(test.reviewers)]
        prepared = [(session, self._trials_of(test, session, clips)) for session in sittings]
        self.store.add_test(test)
        for session, trials in prepared:
            self._begin(self._under_gate(session), trials)
        return test

    def add_reviewer(self, test_id: str, reviewer: str) -> Session:
        """One more sitting of a test that is open. Raises Refused when it is closed or has this reviewer already."""
        test = self._open_test(test_id)
        sittings = [session for session in self.store.sessions(test_id) if not session.dry_run]
        if not reviewer.strip():
            raise BadInput("A sitting needs the reviewer's name.")
        if any(session.reviewer == reviewer.strip() for session in sittings):
            raise Refused(f"{reviewer.strip()} takes part in this test already.")
        return self._open_sitting(test, self._sitting_of(test, reviewer.strip(), len(sittings)))

    def start_dry_run(self, test_id: str, *, by: str) -> Session:
        """The engineer's own try: trials like a reviewer's, whose answers are never counted."""
        test = self._open_test(test_id)
        if not by.strip():
            raise BadInput("A dry run needs your name.")
        place = len(self.store.sessions(test_id))
        return self._open_sitting(test, replace(self._sitting_of(test, by.strip(), place), dry_run=True))

    def close_test(self, test_id: str, *, by: str) -> None:
        """End a test: its open sittings take no more answers, and what was answered stays."""
        if not by.strip():
            raise BadInput("Ending a test needs the name of the person who ends it.")
        for session in self.store.sessions(test_id):
            self._sittings.close(session.id)
        self.store.close_test(test_id, by=by.strip(), at=self._clock())

    # ------------------------------------------------------------------------------------------------------- watching
    def tests(self) -> list[TestState]:
        """All tests with how far their reviewers are, newest first."""
        return [self._state(test) for test in self.store.tests()]

    def test(self, test_id: str) -> TestState:
        """One test. Raises NotFound."""
        return self._state(self.store.test(test_id))

    def test_clips(self, test: ListeningTest) -> dict[tuple[str, str], Clip]:
        """What is heard in a test, by candidate id and line id: one take a line, the lowest seed, of all candidates
        after the same reference.
        """
        together = self._heard_together(test.candidates)
        return {
            (clip.candidate.id, line_id): clip
            for line_id, clips in together.items()
            if line_id in test.lines
            for clip in clips
        }

    def rendered_candidates(self) -> list[Candidate]:
        """Everybody who has clips, base first, then by checkpoint and scale."""
        found = {clip.candidate for clip in self.clips()}
        return sorted(found, key=lambda c: (c.checkpoint_id or "", c.lora_scale, c.id))

    def export_test(self, test_id: str, kind: str, *, by: str = "") -> bytes:
        """A test as CSV, Parquet or JSON, with all it takes to analyse it again. It names candidates, so that taking
        it is kept as an act. Raises BadInput for another kind of file.
        """
        if kind not in listening_export.FORMATS:
            raise BadInput(f"A test is exported as {', '.join(listening_export.FORMATS)}, not as {kind!r}.")
        exported = self._exported(self.store.test(test_id))
        told = {"test": test_id, "format": kind}
        self.store.add_act("export test", by.strip(), told, at=self._clock())
        if kind == "json":
            return listening_export.to_json(exported)
        rows = listening_export.rows(exported)
        if kind == "csv":
            return listening_export.to_csv(rows)
        return self.store.parquet(listening_export.COLUMNS, rows)

    # ------------------------------------------------------------------------------------------------------ reviewers
    def invite(self, reviewer: str, *, by: str, days: float = DEFAULT_DAYS) -> NewInvitation:
        """A link for one reviewer, to their own sittings in all tests. Its token is in the answer and nowhere else."""
        new = invitations.invite(reviewer, by=by, now=self._clock(), token=secrets.token_urlsafe(32), days=days)
        self.store.add_invitation(new.invitation)
        return new

    def invitations(self) -> list[Invitation]:
        """All invitations, newest first."""
        return self.store.invitations()

    def invitations_with_state(self) -> list[tuple[Invitation, str]]:
        """All invitations, newest first, and whether each is valid, expired or revoked."""
        return [(each, invitations.state(each, self._clock())) for each in self.store.invitations()]

    def revoke(self, invitation_id: str, *, by: str) -> None:
        """From now on this link, and every browser that came by it, opens nothing."""
        if not by.strip():
            raise BadInput("Revoking an invitation needs the name of the person who does it.")
        self.store.revoke_invitation(invitation_id, by=by.strip(), at=self._clock())
        self._guests = {}

    def guest(self, token: str) -> str | None:
        """The reviewer whom a link's token lets in; None for one that is unknown, expired or revoked."""
        hashed = invitations.token_sha256(token)
        if hashed not in self._guests:
            self._guests = {invitation.token_sha256: invitation for invitation in self.store.invitations()}
        found = self._guests.get(hashed)
        if found is None or invitations.state(found, self._clock()) != "valid":
            return None
        return found.reviewer

    def waiting_sittings(self, reviewer: str | None = None) -> list[SittingState]:
        """The sittings with a question left, of one reviewer or all, oldest first; simulated ones are nobody's."""
        open_sittings = [
            session
            for session in reversed(self.store.sessions(reviewer=reviewer))
            if session.closed_at is None and not session.simulated
        ]
        states = [self._sitting_state(session) for session in open_sittings]
        return [each for each in states if each.answered < each.total]

    # --------------------------------------------------------------------------------------------------------- inside
    def _heard_together(self, candidates: Iterable[Candidate]) -> dict[str, tuple[Clip, ...]]:
        """A take of every candidate for each line that all have, by the line's id."""
        found: dict[str, tuple[Clip, ...]] = {}
        for clips in common_takes([self._one_take(candidate) for candidate in candidates]):
            found.setdefault(clips[0].line_id, clips)
        return found

    def _completed(self, test: ListeningTest) -> ListeningTest:
        if test.kind is TrialKind.MULTI:
            test = replace(test, candidates=self._with_base(test.candidates))
        common = self.common_lines(test.candidates)
        chosen = test.lines or tuple(line.id for line in common)
        if not chosen:
            raise BadInput("These candidates have no line in common yet; render them with the same script first.")
        missing = [line for line in chosen if line not in {each.id for each in common}]
        if missing:
            raise BadInput(f"Not every candidate has line {missing[0]!r}; render it first, or leave the line out.")
        reviewers = tuple(name.strip() for name in test.reviewers)
        test = replace(test, lines=chosen, reviewers=reviewers, name=test.name.strip())
        listening.check_test(test)
        if not test.created_by:
            raise BadInput("A listening test needs the name of the person who makes it.")
        return test

    def _exported(self, test: ListeningTest) -> Exported:
        sessions = list(reversed(self.store.sessions(test.id)))
        trials = [trial for session in sessions for trial in self.store.trials(session.id)]
        clips = {clip.id: clip for clip in self.test_clips(test).values()}
        return Exported(
            test=test,
            sessions=sessions,
            trials=trials,
            responses=[each for session in sessions for each in self.store.response_history(session.id)],
            clips=clips,
            clip_sha256={clip.id: durable.file_sha256(clip.path) for clip in clips.values() if clip.path.exists()},
        )

    def _with_base(self, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        if not candidates or any(candidate.is_base for candidate in candidates):
            return tuple(candidates)
        return (Candidate(backend=candidates[0].backend, voice=candidates[0].voice), *candidates)

    def _open_test(self, test_id: str) -> ListeningTest:
        test = self.store.test(test_id)
        if test.closed_at is not None:
            raise Refused(f"{test.name} has ended; make another test to go on listening.")
        return test

    def _sitting_of(self, test: ListeningTest, reviewer: str, place: int) -> Session:
        return Session(
            id=self._new_token()[:12],
            kind=test.kind,
            reviewer=reviewer,
            seed=listening.sitting_seed(test.seed, place),
            gate=test.gate,
            created_at=self._clock(),
            test_id=test.id,
            place=place,
            switching=test.switching,
        )

    def _open_sitting(self, test: ListeningTest, session: Session) -> Session:
        return self._begin(self._under_gate(session), self._trials_of(test, session, self.test_clips(test)))

    def _under_gate(self, session: Session) -> Session:
        """A gate's sitting names the rules that its answers are given under, as they are now."""
        if session.kind is not TrialKind.GATE:
            return session
        rules, sha256 = self._gate_in_use(session.gate)
        return replace(session, gate=rules.name, gate_sha256=sha256)

    def _trials_of(self, test: ListeningTest, session: Session, clips: Mapping[tuple[str, str], Clip]) -> list[Trial]:
        return listening.sitting_trials(
            test, session, clips, new_token=self._new_token, balance=self._sides_heard(session.reviewer)
        )

    def _state(self, test: ListeningTest) -> TestState:
        states = [self._sitting_state(session) for session in reversed(self.store.sessions(test.id))]
        return TestState(
            test=test,
            sittings=tuple(each for each in states if not each.session.dry_run),
            dry_runs=tuple(each for each in states if each.session.dry_run),
        )

    def _sitting_state(self, session: Session) -> SittingState:
        answered, total = self.session_progress(session.id)
        return SittingState(session=session, answered=answered, total=total)
