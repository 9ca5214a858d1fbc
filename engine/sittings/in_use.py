"""The sittings in use, each read from the store once: found by its id, by one of its trials, by the token of a side.

Knows the store's records of a sitting and keeps them in memory, so that a question costs no query. Asks and answers
nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from engine.sittings.sitting import Sitting
from engine.store import Store
from engine.types import Design, NotFound, Session, Trial


class SittingsInUse:
    """Of every sitting there is one object, however many threads ask for it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._guard = threading.Lock()
        self._sittings: dict[str, Sitting] = {}
        self._by_token: dict[str, tuple[Sitting, Trial]] = {}

    def of(self, session_id: str) -> Sitting:
        """A sitting by its id. Raises NotFound."""
        with self._guard:
            known = self._sittings.get(session_id)
        return known or self._load(session_id)

    def of_trial(self, trial_id: str) -> tuple[Sitting, Trial]:
        """A trial with its sitting. Raises NotFound."""
        session_id, _, _ = trial_id.rpartition("-")
        try:
            sitting = self.of(session_id)
        except NotFound:
            sitting = self.of(self._store.trial(trial_id).session_id)
        trial = sitting.trial(trial_id)
        if trial is None:
            raise NotFound(f"There is no trial {trial_id!r}; reload the page.")
        return sitting, trial

    def of_token(self, token: str) -> tuple[Sitting, Trial]:
        """The trial that a side belongs to, with its sitting. Raises NotFound."""
        if token not in self._by_token:
            found = self._store.slot(token)
            if found is None:
                raise NotFound("This clip is not part of an open trial; reload the page.")
            self.of(found[0].session_id)
        return self._by_token[token]

    def known_token(self, token: str) -> tuple[Sitting, Trial] | None:
        """The same for a sitting that is in memory already; asks no store."""
        return self._by_token.get(token)

    def add(self, sitting: Sitting, trial: Trial) -> None:
        """Put one more trial into a sitting; the store has it already."""
        sitting.trials.append(trial)
        self._remember(sitting, [trial])

    def _load(self, session_id: str) -> Sitting:
        session = self._store.session(session_id)
        loaded = Sitting(
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

    def _remember(self, sitting: Sitting, trials: Sequence[Trial]) -> None:
        with self._guard:
            self._by_token.update((slot.token, (sitting, trial)) for trial in trials for slot in trial.slots)
