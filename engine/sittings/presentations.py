"""What is heard of a trial: the audio behind its tokens, prepared together and kept for a while.

Knows trials, clips and memory. A trial's sides are always made at once, before any is handed out, so that the first
request for a side takes no longer than the second; their dither follows from the token, so that the same presentation
has the same bytes after a restart. Clips at their loudness are kept too: what one reviewer heard, the next soon will.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from engine import audio
from engine.sittings import stimuli
from engine.types import Clip, Presented, Slot, Trial

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

CLIP_BYTES = 128 * 2**20
TRIAL_BYTES = 256 * 2**20


@dataclass(frozen=True, kw_only=True)
class Sound:
    """One side as it is sent, and what the record says of it."""

    audio: bytes
    presented: Presented


class Presentations:
    """The audio of trials. `clip` finds a clip by its id and raises NotFound. Safe to use from many threads."""

    def __init__(
        self, clip: Callable[[str], Clip], *, clip_bytes: int = CLIP_BYTES, trial_bytes: int = TRIAL_BYTES
    ) -> None:
        self._clip = clip
        self._levelled: _Kept[tuple[str, str], stimuli.Levelled] = _Kept(clip_bytes)
        self._trials: _Kept[str, dict[str, Sound]] = _Kept(trial_bytes)

    def of(self, trial: Trial) -> dict[str, Sound]:
        """Every side of a trial by its label. Raises NotFound or BadInput when a clip cannot be heard any more."""
        return self._trials.get(trial.id, lambda: self._made(trial), lambda s: sum(len(x.audio) for x in s.values()))

    def warm_up(self) -> None:
        """Make a sound once and throw it away: the libraries that measure loudness take a second to load."""
        import numpy as np

        stimuli.level(np.random.default_rng(0).standard_normal(12_000).astype(np.float32) * 0.1, stimuli.SAMPLE_RATE_HZ)

    def ready(self, trial: Trial) -> dict[str, Sound] | None:
        """Every side of a trial, if they are made already; asks nobody and waits for nothing."""
        return self._trials.peek(trial.id)

    def _made(self, trial: Trial) -> dict[str, Sound]:
        sides = [self._level(slot) for slot in trial.slots]
        made = stimuli.together(sides, [_seed(slot.token) for slot in trial.slots])
        return {
            slot.label: Sound(
                audio=each.audio,
                presented=Presented(gain_db=each.gain_db, sha256=hashlib.sha256(each.audio).hexdigest()),
            )
            for slot, each in zip(trial.slots, made, strict=True)
        }

    def _level(self, slot: Slot) -> stimuli.Levelled:
        def make() -> stimuli.Levelled:
            samples, rate = audio.read(self._clip(slot.clip_id).path, stimuli.SAMPLE_RATE_HZ)
            return stimuli.level(samples, rate, slot.treatment)

        return self._levelled.get((slot.clip_id, slot.treatment.value), make, lambda side: side.samples.nbytes)


class _Kept(Generic[Key, Value]):
    """The values used last, up to a number of bytes; each is made once, however many ask for it at the same time."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._guard = threading.Lock()
        self._values: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._making: dict[Key, threading.Lock] = {}

    def get(self, key: Key, make: Callable[[], Value], size: Callable[[Value], int]) -> Value:
        with self._guard:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key][0]
            turn = self._making.setdefault(key, threading.Lock())
        with turn:
            with self._guard:
                if key in self._values:
                    return self._values[key][0]
            try:
                value = make()
                self._keep(key, value, size(value))
            finally:
                with self._guard:
                    self._making.pop(key, None)
        return value

    def peek(self, key: Key) -> Value | None:
        with self._guard:
            found = self._values.get(key)
            return None if found is None else found[0]

    def _keep(self, key: Key, value: Value, size: int) -> None:
        with self._guard:
            self._values[key] = (value, size)
            self._bytes += size
            while self._bytes > self._most and len(self._values) > 1:
                _, (_, gone) = self._values.popitem(last=False)
                self._bytes -= gone


def _seed(token: str) -> int:
    return int.from_bytes(hashlib.sha256(token.encode()).digest()[:8])
