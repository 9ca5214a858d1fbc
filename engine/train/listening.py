"""The trainer's own ear at a checkpoint: two short lines, spoken with the weights as they are, and how long they took.

Knows pace and endings and nothing of quality: that is for screeners and people. It costs a bounded share of the time,
changes nothing that training depends on, and is passed over where a backend cannot speak.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from engine.types import GenerationSettings, SpeakRow, Stop

if TYPE_CHECKING:
    from engine.backends.speech_model import SpeechModel
    from engine.train.trained_part import TrainedPart
    from engine.types import RunConfig

log = logging.getLogger(__name__)

LINES = 2
SHORTEST, LONGEST = 12, 60  # characters of a line: enough for a pace, little to say
SHARE = 0.01  # of the training's time, at most: with all the rest it stays under 3 %
CAP_FACTOR = 2.0  # of the expected length: a runaway is told as well by then
TRAINED = "in training"  # stands for the adapter that is on the model already


class Trained(Protocol):
    """What is listened to: the session that trains it, seen from here."""

    @property
    def config(self) -> RunConfig: ...
    @property
    def model(self) -> SpeechModel: ...
    @property
    def parts(self) -> Sequence[TrainedPart]: ...
    @property
    def voice(self) -> str: ...
    @property
    def voice_settings(self) -> Mapping[str, float]: ...


class Ear:
    """Remembers what listening cost, so that it stays under its share."""

    def __init__(
        self,
        texts: Sequence[str],
        settings: GenerationSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`texts` are the dataset's own, so that the backend can say them, and `settings` how it says them; `clock`
        runs, in seconds, while the training does.
        """
        fitting = [text for text in dict.fromkeys(texts) if SHORTEST <= len(text) <= LONGEST]
        self._texts = sorted(fitting or texts, key=lambda text: (len(text), text))[:LINES]
        self._settings = replace(settings, max_factor=CAP_FACTOR)
        self._clock = clock
        self._begin = clock()
        self._spent = 0.0
        self._last = 0.0

    def listen(self, session: Trained) -> dict[str, float] | None:
        """Seconds a character and the share of lines that were cut at the cap; None where it may not or cannot."""
        if not (session.config.listen and self._texts and hasattr(session.model, "speak")):
            return None
        if self._spent + self._last > SHARE * (self._clock() - self._begin):
            return None
        begin = self._clock()
        try:
            return self._heard(session)
        except Exception:
            # Whatever is wrong with speaking, a run is not lost by it; the checkpoint will show it.
            log.exception("listening at a checkpoint failed")
            return None
        finally:
            self._last = self._clock() - begin
            self._spent += self._last

    def _heard(self, session: Trained) -> dict[str, float]:
        for part in session.parts:
            part.module.eval()
        rows = [
            SpeakRow(
                text=text,
                voice=session.voice,
                seed=session.config.seed + place,
                adapter_sha256=TRAINED,
                lora_scale=1.0,
                voice_settings=session.voice_settings,
                settings=self._settings,
            )
            for place, text in enumerate(self._texts)
        ]
        spoken = session.model.speak(rows, mixer=_AsTrained())
        seconds = sum(len(speech.samples) / speech.sample_rate for speech in spoken)
        return {
            "seconds_per_character": seconds / sum(len(row.text) for row in rows),
            "capped_share": sum(speech.stop is Stop.CAP for speech in spoken) / len(spoken),
            "lines": len(spoken),
        }


class _AsTrained:
    """A mixer for rows that all use what is being trained."""

    def using(self, rows: Sequence[SpeakRow]) -> AbstractContextManager[None]:
        return nullcontext()
