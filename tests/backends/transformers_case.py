"""A tiny model of transformers' own classes as a case of the invariants that every backend keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.backends.speech_model import SpeechModel
from engine.types import GenerationSettings, SpeakRow, Speech
from tests import transformers_factory
from tests.backends.invariants import Case


def case_of(
    make: Callable[[], SpeechModel],
    work: Path,
    example_of: Callable[[Any, SpeakRow, Speech], Any],
    settings: GenerationSettings,
) -> Case:
    """The factory's texts and clips with the voice that has no prompt."""
    return Case(
        make=make,
        voice="default",
        texts=transformers_factory.TEXTS,
        utterances=transformers_factory.make_utterances(work / "clips"),
        folder=work,
        example_of=example_of,
        settings=settings,
    )
