"""A dataset's rows as the model's examples, from the cache that all runs of a backend share.

Knows how to fill it a few clips at a time, telling how far it is and looking at the stop flag, so that a later start
goes on where this one was. What is in it, and by which key, is the backend's business.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.backends.offers import MeasuresClips
from engine.dataset import splitting
from engine.train.control import Control
from engine.train.journal import Voice
from engine.types import BadInput, Utterance

if TYPE_CHECKING:
    from engine.backends.speech_model import SpeechModel

CLIPS_A_LOOK = 8  # clips that are read between two looks at the stop flag
TELL_SEC = 0.25  # between two events: thousands of cached clips take less than that


def extract(
    model: SpeechModel, rows: Sequence[Utterance], voice: str, cache: Path, journal: Voice, control: Control
) -> None:
    """Make sure that everything that can be computed of one clip alone is in the cache."""
    cache.mkdir(parents=True, exist_ok=True)
    told_at = float("-inf")
    for begin in range(0, len(rows), CLIPS_A_LOOK):
        control.raise_if_stopped()
        control.wait_for_room()
        if time.monotonic() - told_at >= TELL_SEC:
            told_at = time.monotonic()
            text = f"Reading clip {begin + 1} of {len(rows)}"
            journal.say("note", state="starting", text=text, done=begin, total=len(rows))
        some = rows[begin : begin + CLIPS_A_LOOK]
        if isinstance(model, MeasuresClips):
            model.measure(some, cache)
        else:
            model.features(some, voice, cache)
    text = f"Read {len(rows)} clips"
    journal.say("note", state="starting", text=text, done=len(rows), total=len(rows))


def examples(
    model: SpeechModel, rows: Sequence[Utterance], voice: str, cache: Path
) -> tuple[list[Any], list[Any], list[str]]:
    """Training examples, validation examples, and the texts of the rows that are held out (or of all without any).

    All rows together: a backend may need a speaker's clips at once (for their mean pitch, say).
    """
    made = model.features(rows, voice, cache)
    # Rows of the test split are neither: nobody may look at them before the end.
    train = [example for row, example in zip(rows, made, strict=True) if row.split == splitting.TRAIN]
    validation = [example for row, example in zip(rows, made, strict=True) if row.split == splitting.VALIDATION]
    if not train:
        raise BadInput("No row of the dataset is for training; mark some and prepare it again.")
    held_out = [row.text for row in rows if row.split == splitting.VALIDATION]
    return train, validation, held_out or [row.text for row in rows]
