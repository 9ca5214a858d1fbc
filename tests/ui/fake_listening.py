"""The real listening lab and gate over a database in memory, without the rest of a studio: pages are tested with its
rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.sittings import Sittings
from engine.store import MEMORY, Store
from engine.studio.deciding import Deciding
from engine.studio.evidence import Evidence
from engine.studio.gate_controls import GateControls
from engine.studio.gate_desk import GateDesk
from engine.studio.listening_lab import ListeningLab
from engine.studio.listening_tests import ListeningTests
from engine.types import Candidate, Checkpoint, Clip, Gate, Invitation, Response, Retained, Session, Trial

if TYPE_CHECKING:
    from tests.ui.fake_studio import FakeStudio

SEED = 1
JUDGING = ("matrix", "evidence", "gate_changes", "judge", "verdicts")


class FakeListening(Deciding):
    """`swapped` exchanges what is behind every side: the clip of another candidate on the same line."""

    def __init__(self, studio: FakeStudio) -> None:
        self.fake = studio
        self.workspace = studio.workspace
        self.store = Store(MEMORY)
        self._clock = studio.clock
        self._guests: dict[str, Invitation] = {}
        self._new_token: Callable[[], str] = studio.new_token
        self._gates_kept: dict[str, Gate] = {}
        self._sittings = Sittings(
            self.store,
            clock=self._clock,
            new_token=self._new_token,
            more=self._more_questions,
            balance=self._sides_heard,
        )

    @classmethod
    def offers(cls, name: str) -> bool:
        """Whether the studio has this from its listening lab or its gates."""
        gates = {*vars(GateDesk), *vars(GateControls)}
        found = {*vars(ListeningLab), *vars(ListeningTests), *gates, *vars(Evidence), *JUDGING}
        return name in found and not name.startswith("__")

    def clips(self, candidates: Iterable[Candidate] | None = None) -> list[Clip]:
        return self.fake.clips(candidates)

    def checkpoints(self, run_id: str | None = None) -> list[Checkpoint]:
        return self.fake.checkpoints(run_id)

    def retention(self) -> list[Retained]:
        return self.fake.retention()

    def label(self, candidate: Candidate) -> str:
        return self.fake.label(candidate)

    def reference(self, name: str) -> Any:
        return self.fake.reference(name)

    def script(self, name: str = "english") -> Any:
        return self.fake.script(name)

    def _drawn_seed(self) -> int:
        return SEED

    def _begin(self, session: Session, trials: Sequence[Trial]) -> Session:
        return super()._begin(session, self._exchanged(trials) if self.fake.swapped else trials)

    def _exchanged(self, trials: Sequence[Trial]) -> list[Trial]:
        clips = {clip.id: clip for clip in self.clips()}
        heard = [clips[slot.clip_id] for trial in trials for slot in trial.slots]
        names = sorted({clip.candidate.id for clip in heard})
        other = dict(zip(names, names[1:] + names[:1], strict=True))
        by_name = {(clip.candidate.id, clip.line_id): clip.id for clip in heard}

        def turned(clip: Clip) -> str:
            return by_name[other[clip.candidate.id], clip.line_id]

        return [
            replace(trial, slots=tuple(replace(slot, clip_id=turned(clips[slot.clip_id])) for slot in trial.slots))
            for trial in trials
        ]

    def all_trials(self) -> dict[str, Trial]:
        return {trial.id: trial for session in self.store.sessions() for trial in self.store.trials(session.id)}

    def all_responses(self) -> dict[str, Response]:
        """The answers in force, in the order they were given."""
        found = [response for session in self.store.sessions() for response in self.store.responses(session.id)]
        return {response.trial_id: response for response in sorted(found, key=lambda each: each.answered_at)}
