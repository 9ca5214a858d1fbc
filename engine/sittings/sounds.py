"""The sounds of sittings by opaque token: the sides of trials, made ahead of their turn, and the headphone check.

Knows which token belongs to which side or tone. Knows no answers, and not what a trial asks.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from engine.sittings import calibration
from engine.sittings.in_use import SittingsInUse
from engine.sittings.presentations import Presentations
from engine.types import Clip, EngineError, Presented, Trial

log = logging.getLogger(__name__)


class Sounds:
    """The audio of the sittings in use. `clip` finds a clip by its id, `new_token` makes what nobody can guess. Safe to
    use from many threads.
    """

    def __init__(self, in_use: SittingsInUse, clip: Callable[[str], Clip], *, new_token: Callable[[], str]) -> None:
        self._in_use = in_use
        self._new_token = new_token
        self._presentations = Presentations(clip)
        # One thread makes the sounds of trials that come next, so that nobody waits for them.
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="sounds of the next trials")
        self._guard = threading.Lock()
        self._checks: dict[str, tuple[tuple[str, ...], ...]] = {}  # the tokens of a sitting's headphone check
        self._tones: dict[str, tuple[str, bytes]] = {}  # a token's sitting and its tone

    def of(self, token: str) -> bytes:
        """The audio behind an opaque token: same container, rate, loudness and length for every side of its trial.

        Raises NotFound for a token of no sitting and for a clip that is gone.
        """
        if token in self._tones:
            return self._tones[token][1]
        _, trial = self._in_use.of_token(token)
        label = next(slot.label for slot in trial.slots if slot.token == token)
        return self._presentations.of(trial)[label].audio

    def ready(self, token: str) -> bytes | None:
        """What `of` gives, if it can be had without waiting: asks no disk and no database."""
        if token in self._tones:
            return self._tones[token][1]
        found = self._in_use.known_token(token)
        sides = None if found is None else self._presentations.ready(found[1])
        if found is None or sides is None:
            return None
        return next(sides[slot.label].audio for slot in found[1].slots if slot.token == token)

    def session_of(self, token: str) -> str:
        """The id of the sitting that a side or a tone belongs to. Raises NotFound."""
        return self._tones[token][0] if token in self._tones else self._in_use.of_token(token)[0].session.id

    def presented(self, trial: Trial) -> dict[str, Presented]:
        """What each side's sound was, by its label, made now where it is not there yet; empty once a clip is gone."""
        try:
            return {label: sound.presented for label, sound in self._presentations.of(trial).items()}
        except EngineError as error:  # it was heard before its file went; the answer counts
            log.warning("the audio of %s is gone: %s", trial.id, error)
            return {}

    def make_ahead(self, trial: Trial) -> None:
        """Make a trial's sides in the background, where they are not there yet."""
        if self._presentations.ready(trial) is None:
            with suppress(RuntimeError):  # the app is about to end
                self._ahead.submit(self.presented, trial)

    def headphone_check(self, session_id: str) -> tuple[tuple[str, ...], ...]:
        """The tokens of a sitting's headphone check: six trials of three; the same ones until the app ends.

        Raises NotFound for an unknown sitting.
        """
        sitting = self._in_use.of(session_id)
        with sitting.turn:
            if session_id not in self._checks:
                made = calibration.headphone_check(sitting.session.seed)
                tokens = tuple(tuple(self._new_token() for _ in trial) for trial in made)
                with self._guard:
                    self._tones.update(
                        (token, (session_id, audio))
                        for names, sounds in zip(tokens, made, strict=True)
                        for token, audio in zip(names, sounds, strict=True)
                    )
                    self._checks[session_id] = tokens
            return self._checks[session_id]

    def warm_up(self) -> None:
        """Load what making sounds needs, in the background, so that the first reviewer does not wait for it."""
        with suppress(RuntimeError):
            self._ahead.submit(self._presentations.warm_up)

    def close(self) -> None:
        """Make no more sounds ahead: the store is about to close."""
        self._ahead.shutdown(cancel_futures=True)
