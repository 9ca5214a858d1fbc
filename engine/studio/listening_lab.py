"""Use cases about blind listening: open a session, hand out one trial at a time, serve its audio, keep the answers.

Candidates are known on this side only: what leaves is a `TrialView` and bytes by opaque token.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence

from engine import audio, listening, stimuli
from engine.gate import DEFAULT_GATE
from engine.studio.rendering import Rendering
from engine.types import BadInput, Candidate, Choice, Clip, NotFound, Response, Session, Tier, Trial, TrialKind


class ListeningLab(Rendering):
    """What the Listen page does, and what sends candidates there."""

    def open_gate_session(
        self,
        candidates: Sequence[Candidate],
        *,
        reviewer: str,
        tiers: Iterable[Tier] = tuple(Tier),
        seed: int | None = None,
        simulated: bool = False,
    ) -> Session:
        """Pass or fail, one clip a trial: every rendered line of the tiers, of every candidate, in a seeded order."""
        session = self._session(TrialKind.GATE, reviewer, seed, simulated)
        wanted = set(tiers)
        clips = [clip for c in candidates for clip in self._one_take(c) if clip.tier in wanted]
        if not clips:
            raise BadInput("None of these candidates has rendered clips yet; run a sweep over them first.")
        trials = listening.gate_trials(clips, session_id=session.id, seed=session.seed, new_token=_token)
        return self._keep(session, trials)

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
        clips = [pair for a, b in pairs for pair in self._same_lines(a, b)]
        if not clips:
            raise BadInput("These pairs have no line in common yet; render both candidates with the same script first.")
        trials = listening.preference_trials(
            clips,
            session_id=session.id,
            seed=session.seed,
            new_token=_token,
            balance=self._sides_heard(session.reviewer),
        )
        return self._keep(session, trials)

    def sessions(self) -> list[Session]:
        """All sittings, newest first."""
        return self.store.sessions()

    def session(self, session_id: str) -> Session:
        """One sitting. Raises NotFound."""
        return self.store.session(session_id)

    def session_progress(self, session_id: str) -> tuple[int, int]:
        """Answered and all trials of a sitting."""
        return len(self.store.responses(session_id)), len(self.store.trials(session_id))

    def next_trial(self, session_id: str) -> listening.TrialView | None:
        """The trial to answer now; the same one after a reload. None when the sitting is done."""
        trial = self.store.next_open_trial(session_id)
        return None if trial is None else listening.view(trial, total=len(self.store.trials(session_id)))

    def stimulus(self, token: str) -> bytes:
        """The audio behind an opaque token: same container, rate, loudness and length for every side of its trial."""
        found = self.store.slot(token)
        if found is None:
            raise NotFound("This clip is not part of an open trial; reload the page.")
        trial, slot = found
        clips = [self.store.clip(s.clip_id) for s in trial.slots]
        sides = stimuli.prepare([audio.read(c.path, stimuli.SAMPLE_RATE_HZ)[0] for c in clips], stimuli.SAMPLE_RATE_HZ)
        return sides[[s.token for s in trial.slots].index(slot.token)]

    def answer(
        self,
        trial_id: str,
        choice: Choice,
        *,
        reasons: Sequence[str] = (),
        note: str = "",
        plays: Mapping[str, int] | None = None,
    ) -> None:
        """Keep an answer before the next trial is shown. Answering the same way twice changes nothing."""
        trial = self.store.trial(trial_id)
        allowed = listening.choices(trial.kind)
        if choice not in allowed:
            raise BadInput(f"This trial asks for one of {', '.join(allowed)}, not {choice}.")
        self.store.add_response(
            Response(
                trial_id=trial_id,
                session_id=trial.session_id,
                choice=choice,
                reasons=tuple(reasons),
                note=note,
                plays=dict(plays or {}),
                answered_at=self._clock(),
            )
        )
        if self.store.next_open_trial(trial.session_id) is None:
            self.store.close_session(trial.session_id, at=self._clock())

    # ---------------------------------------------------------------------------------------------------------- inside
    def _session(self, kind: TrialKind, reviewer: str, seed: int | None, simulated: bool) -> Session:
        if not reviewer.strip():
            raise BadInput("A session needs the reviewer's name.")
        return Session(
            id=secrets.token_hex(6),
            kind=kind,
            reviewer=reviewer.strip(),
            seed=secrets.randbits(31) if seed is None else seed,
            gate=DEFAULT_GATE.name,
            created_at=self._clock(),
            simulated=simulated,
        )

    def _keep(self, session: Session, trials: Sequence[Trial]) -> Session:
        self.store.add_session(session)
        self.store.add_trials(trials)
        return session

    def _sides_heard(self, reviewer: str) -> dict[tuple[str, str], int]:
        """How the sides stand of the pairs that this reviewer has answered, so that they stay even over sittings."""
        heard: list[Trial] = []
        for session in self.store.sessions():
            if session.kind is TrialKind.PREFERENCE and session.reviewer == reviewer:
                answered = {response.trial_id for response in self.store.responses(session.id)}
                heard += [trial for trial in self.store.trials(session.id) if trial.id in answered]
        return listening.side_balance(heard, lambda clip_id: self.store.clip(clip_id).candidate.id)

    def _one_take(self, candidate: Candidate) -> list[Clip]:
        """One clip a line: the lowest seed, so that no candidate is heard at its luckiest."""
        takes: dict[str, Clip] = {}
        for clip in sorted(self.clips([candidate]), key=lambda c: (c.line_id, c.seed)):
            takes.setdefault(clip.line_id, clip)
        return list(takes.values())

    def _same_lines(self, first: Candidate, second: Candidate) -> list[tuple[Clip, Clip]]:
        other = {clip.line_id: clip for clip in self._one_take(second)}
        return [(clip, other[clip.line_id]) for clip in self._one_take(first) if clip.line_id in other]


def _token() -> str:
    return secrets.token_urlsafe(18)
