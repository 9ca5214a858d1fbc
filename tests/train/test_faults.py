"""Faults: what an exception means to the person who started the run."""

from __future__ import annotations

import pytest

from engine.train import faults
from engine.types import BadInput


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


@pytest.mark.parametrize(
    ("first_step", "steps_done", "advice"),
    [(True, 0, "lower Tokens a batch"), (False, 1, "lower Rank"), (False, 40, "longest batch")],
)
def test_out_of_memory_is_read_by_when_it_happened(first_step: bool, steps_done: int, advice: str) -> None:
    """In the first step it is the activations, right after it the optimizer's state, later the longest batch."""
    assert advice in faults.explain(OutOfMemoryError("CUDA"), first_step=first_step, steps_done=steps_done)
    assert advice in faults.explain(MemoryError(), first_step=first_step, steps_done=steps_done)


def test_known_faults_speak_for_themselves() -> None:
    """A sentence that was written for people is passed on; anything else names its kind and where the trace is."""
    assert faults.explain(BadInput("Mend the row."), first_step=True, steps_done=0) == "Mend the row."
    said = faults.explain(KeyError("lm"), first_step=False, steps_done=3)
    assert said.startswith("KeyError: 'lm'")
    assert "train.log" in said
