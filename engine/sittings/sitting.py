"""One sitting in memory: its record, its trials, the answers in force, and what follows from them.

Knows which trial waits and which answer came last. Knows no store, no clock and no sound; whoever reads or changes it
holds its `turn`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from engine.types import Response, Session, Trial, TrialRole


@dataclass
class Sitting:
    """A sitting in use. `planned` is the number of main trials of an adaptive one, 0 for a fixed one."""

    session: Session
    trials: list[Trial]
    answers: dict[str, Response]  # in force, by trial
    planned: int
    shown_at: dict[str, float] = field(default_factory=dict)  # by trial, when it was first shown
    turn: threading.RLock = field(default_factory=threading.RLock)

    @property
    def is_adaptive(self) -> bool:
        """Whether its trials are added while answers come in."""
        return self.planned > 0

    def open_trials(self) -> list[Trial]:
        """What is still to be answered, in order; nothing once the sitting is closed."""
        if self.session.closed_at is not None:
            return []
        return [trial for trial in self.trials if trial.id not in self.answers]

    def asked(self) -> list[Trial]:
        """All but the training trial."""
        return [trial for trial in self.trials if trial.role is not TrialRole.TRAINING]

    def total(self) -> int:
        """How many trials a reviewer is told of."""
        return max(len(self.asked()), self.planned)

    def position(self, trial: Trial) -> int:
        """The place of a trial as a reviewer counts, from 1; 0 for the training trial."""
        return 0 if trial.role is TrialRole.TRAINING else 1 + self.asked().index(trial)

    def next_position(self) -> int:
        """Where a trial that is added now stands among all of them."""
        return max((trial.position for trial in self.trials), default=-1) + 1

    def trial(self, trial_id: str) -> Trial | None:
        """One of its trials by its id; None for any other."""
        return next((trial for trial in self.trials if trial.id == trial_id), None)

    def last_answered(self) -> str | None:
        """The id of the trial whose answer may be taken back."""
        answered = [trial.id for trial in self.trials if trial.id in self.answers]
        return answered[-1] if answered else None

    def previous(self, trial: Trial) -> str | None:
        """The trial before this one, when its answer can be taken back."""
        last = self.last_answered()
        return last if last is not None and last != trial.id else None
