"""What an exception means to the person who started the run: one sentence, and the setting to change."""

from __future__ import annotations

from engine.types import EngineError


def explain(error: BaseException, *, first_step: bool, steps_done: int) -> str:
    """The sentence for a run's end event.

    `steps_done` are steps of this process; `first_step` is true within its first.
    """
    if isinstance(error, EngineError):
        return str(error)
    if _is_out_of_memory(error):
        return _out_of_memory(first_step, steps_done)
    return f"{type(error).__name__}: {error} (the whole trace is in train.log)."


def _is_out_of_memory(error: BaseException) -> bool:
    # torch.OutOfMemoryError by name: a trainer that failed before importing torch should not import it to say so
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def _out_of_memory(first_step: bool, steps_done: int) -> str:
    """In the first forward pass it is the activations; once a step was done, the optimizer's state came on top."""
    if steps_done == 0 and first_step:
        return "Out of memory in the first step: the activations do not fit; lower Tokens a batch, then resume."
    if steps_done <= 1:
        return "Out of memory once the optimizer's state was made; lower Rank or train fewer parts in a new run."
    return f"Out of memory after {steps_done} steps: the longest batch does not fit; lower Tokens a batch in a new run."
