"""CosyVoice 1, 2 and 3 keep every SpeechModel invariant.

The classes are upstream's where COSYVOICE_DIR names a checkout, else a stand-in with the same names and habits.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.backends.cosyvoice import generation, rendering, sequences, speech_model
from engine.backends.cosyvoice.sequences import Example
from engine.types import SpeakRow, Speech, Stop
from tests import cosyvoice_factory
from tests.backends.invariants import Case, SpeechModelInvariants
from tests.cosyvoice_factory import FIRST, GREEDY, SECOND, SHORT, TEXTS, THIRD, load


def spoken_example(model: speech_model.CosyVoiceModel, row: SpeakRow, _speech: Speech) -> Example:
    """The text with the tokens that were drawn for it. Its spectrogram is the flow's own."""
    asked, drawn = model._asked(row), model.drawn([row])[0]
    mel = rendering.spectrogram(model._nets.flow, drawn.codes, rendering.nothing(), device="cpu", rate=25)
    return Example(
        key="0" * 64,
        prompt=asked.prompt,
        text=asked.text,
        tokens=torch.tensor(drawn.codes),
        mel=mel[0].T.clone(),
        speaker=rendering.nothing().speaker,
    )


class Invariants(SpeechModelInvariants):
    kind = THIRD

    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Case:
        work = tmp_path_factory.mktemp("case")
        return Case(
            make=lambda: load(folders[cls.kind], cls.kind),
            voice="default",
            texts=TEXTS,
            utterances=cosyvoice_factory.make_utterances(work / "clips"),
            folder=work,
            example_of=spoken_example,
            learning_rate=2e-3 if cosyvoice_factory.WIDTHS[cls.kind] > 100 else 2e-2,
            settings=SHORT,
        )

    def test_teacher_forcing_predicts_what_was_generated(self, case: Case, model: Any) -> None:
        """Training and speaking agree about which token follows which: its own greedy words are what the model thinks
        most probable at every place, and its end where it ended.
        """
        for one in case.rows()[:3]:
            greedy = replace(one, settings=GREEDY)
            asked = replace(model._asked(greedy), least=0)
            drawn = generation.generate(model._nets.llm, [asked], [greedy], lambda places: nullcontext())[0]
            example = Example(
                "0" * 64,
                asked.prompt,
                asked.text,
                torch.tensor(drawn.codes, dtype=torch.long),
                torch.zeros(0, 80),
                torch.zeros(192),
            )
            with torch.no_grad():
                batch = sequences.for_llm([example], prompt_apart=model._folder.version.prompt_apart)
                told = model._nets.llm(batch, torch.device("cpu"))
            places = len(drawn.codes) + 1
            assert float(told["acc"]) * places >= places - (drawn.stop is Stop.CAP) - 1e-4


class TestFirst(Invariants):
    kind = FIRST


class TestSecond(Invariants):
    kind = SECOND


class TestThird(Invariants):
    kind = THIRD
