"""What an exception means to the person who started the run: one sentence, and the setting to change."""

from __future__ import annotations

from engine.types import EngineError


def explain(error: BaseException, *, steps_done: int | None) -> str:
    """The sentence for a run's end event. `steps_done` are this process's; None before the training proper began."""
    if isinstance(error, EngineError):
        return str(error)
    if _is_out_of_memory(error):
        return _out_of_memory(steps_done)
    return f"{type(error).__name__}: {error} (the whole trace is in train.log)."


def _is_out_of_memory(error: BaseException) -> bool:
    # torch.OutOfMemoryError by name: a trainer that failed before importing torch should not import it to say so
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def _out_of_memory(steps_done: int | None) -> str:
    """In the first forward pass it is the activations; once a step was done, the optimizer's state came on top."""
    match steps_done:
        case None:
            return "Out of memory while loading the model: close what else uses this device, then resume."
        case 0:
            return "Out of memory in the first step: the activations do not fit; lower Tokens a batch in a new run."
        case 1:
            return "Out of memory once the optimizer's state was made; lower Rank or train fewer parts in a new run."
        case _:
            return f"Out of memory after {steps_done} steps: the longest batch; lower Tokens a batch in a new run."
