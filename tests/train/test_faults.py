"""Faults: what an exception means to the person who started the run."""

from __future__ import annotations

import pytest

from engine.train import faults
from engine.types import BadInput


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


@pytest.mark.parametrize(
    ("steps_done", "advice"),
    [(None, "close what else"), (0, "lower Tokens a batch"), (1, "lower Rank"), (40, "longest batch")],
)
def test_out_of_memory_is_read_by_when_it_happened(steps_done: int | None, advice: str) -> None:
    """Before the first step it is the model, in it the activations, after it the optimizer, later the longest batch."""
    assert advice in faults.explain(OutOfMemoryError("CUDA"), steps_done=steps_done)
    assert advice in faults.explain(MemoryError(), steps_done=steps_done)


def test_known_faults_speak_for_themselves() -> None:
    """A sentence that was written for people is passed on; anything else names its kind and where the trace is."""
    assert faults.explain(BadInput("Mend the row."), steps_done=0) == "Mend the row."
    said = faults.explain(KeyError("lm"), steps_done=3)
    assert said.startswith("KeyError: 'lm'")
    assert "train.log" in said
