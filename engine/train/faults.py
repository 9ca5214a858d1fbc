"""What an exception means to the person who started the run: one sentence, and the settings to change, in order.

Knows when each class of memory is first asked for: weights while loading, activations in the first forward pass, the
optimizer's state in its first step (AdamW makes it lazily), so that a run that dies in the second step died of it.
Later it is a long batch or fragmentation. Changing a setting of another class mends nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine import device, run_config
from engine.types import EngineError, RunConfig

LONG_BATCH = 1.25  # times the median batch's tokens
# torch.OutOfMemoryError by name: a trainer that failed before importing torch should not import it to say so. The texts
# are those of torch's CPU allocator, of CUDA libraries and of C++.
OUT_OF_MEMORY_TEXTS = ("can't allocate memory", "out of memory", "bad_alloc")


@dataclass
class Where:
    """What the trainer is doing: changed by the loop, read when something goes wrong.

    `stage` is loading, forward, backward, optimizer, validation, saving or listening. `steps_done` are this process's.
    `batch_tokens` is the padded size of the batch at hand.
    """

    stage: str = "loading"
    steps_done: int = 0
    batch_tokens: int = 0
    seen_tokens: list[int] = field(default_factory=list)

    def enter(self, stage: str, batch_tokens: int = 0) -> None:
        self.stage = stage
        if batch_tokens:
            self.batch_tokens = batch_tokens
            self.seen_tokens = [*self.seen_tokens[-199:], batch_tokens]

    @property
    def median_tokens(self) -> float:
        return statistics.median(self.seen_tokens) if self.seen_tokens else 0.0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`kind` is loading, activations, optimizer or fragmentation where memory ran out, else "".

    Each change names a setting of `RunConfig` with its old and new value and what that brings.
    """

    explanation: str
    kind: str = ""
    changes: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "explanation": self.explanation, "changes": [dict(c) for c in self.changes]}


def diagnose(
    error: BaseException, where: Where, config: RunConfig, *, has_bf16: Callable[[str], bool] = device.has_bf16
) -> Fault:
    """What went wrong, for a run's end event. bf16 is proposed where the run's device has it: others refuse it."""
    if isinstance(error, EngineError):
        return Fault(explanation=str(error))
    if is_out_of_memory(error):
        fault = _out_of_memory(where, config)
        if has_bf16(device.resolve(config.device)):
            return fault
        return replace(fault, changes=tuple(c for c in fault.changes if c["setting"] != "precision"))
    return Fault(explanation=f"{type(error).__name__}: {error} (the whole trace is in train.log).")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that a device or the machine had no memory left."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in OUT_OF_MEMORY_TEXTS)


def _out_of_memory(where: Where, config: RunConfig) -> Fault:
    at_work = where.stage not in ("loading", "")
    if not at_work:
        return Fault(
            kind="loading",
            explanation="Out of memory while loading the model: its weights do not fit beside what else uses this "
            "device; close that, then resume.",
            changes=tuple(_for_weights(config)),
        )
    if where.steps_done == 0 and where.stage in ("forward", "backward", "validation"):
        return Fault(
            kind="activations",
            explanation=f"Out of memory in the first {_PASS[where.stage]}: the activations of a batch of "
            f"{where.batch_tokens} tokens do not fit. The optimizer has no state yet, so another optimizer would not "
            "help.",
            changes=tuple(_for_activations(config)),
        )
    if where.steps_done <= 1 and where.stage in ("forward", "backward", "optimizer"):
        when = "in the optimizer's first step" if where.steps_done == 0 else "in the second step, after the first one"
        return Fault(
            kind="optimizer",
            explanation=f"Out of memory {when}: the optimizer's state, which it makes in its first step, does not fit.",
            changes=tuple(_for_optimizer(config)),
        )
    return _late(where, config)


_PASS = {"forward": "forward pass", "backward": "backward pass", "validation": "validation"}


def _late(where: Where, config: RunConfig) -> Fault:
    """Steps went well before: this batch is longer than most, or the memory is in pieces."""
    median = where.median_tokens
    if where.stage in ("forward", "backward") and median and where.batch_tokens > LONG_BATCH * median:
        why = (
            f"a long batch: it has {where.batch_tokens} tokens with its padding, and the median batch {median:.0f}; "
            "resume goes on from the last checkpoint but meets it again."
        )
    else:
        why = (
            f"the memory is in pieces (the batch of {where.batch_tokens} tokens is like the others, median "
            f"{median:.0f}), or something else took it; resume goes on from the last checkpoint with fresh memory."
        )
    return Fault(
        kind="fragmentation",
        explanation=f"Out of memory after {where.steps_done} steps ({where.stage}): {why}",
        changes=tuple(_for_activations(config)),
    )


# -------------------------------------------------------------------------------------------------- settings, in order
def _change(config: RunConfig, setting: str, new: object, effect: str) -> dict[str, Any]:
    return {"setting": setting, "old": getattr(config, setting), "new": new, "effect": effect}


def _for_weights(config: RunConfig) -> Iterator[dict[str, Any]]:
    if len(config.parts) > 1:
        yield _change(config, "parts", list(config.parts[:1]), "fewer parts hold gradients and state")
    if config.device != "cpu":
        yield _change(config, "device", "cpu", "main memory is larger, and slower")


def _for_activations(config: RunConfig) -> Iterator[dict[str, Any]]:
    half = max(100, config.batch_tokens // 2)
    if half < config.batch_tokens:
        yield _change(config, "batch_tokens", half, "half the activations")
        yield _change(config, "accumulation", min(256, 2 * config.accumulation), "with it, a step stays as large")
    if not config.gradient_checkpointing:
        yield _change(config, "gradient_checkpointing", True, "keeps few activations, a third slower")
    if config.precision != "bf16":
        yield _change(config, "precision", "bf16", "about half the activations")


def _for_optimizer(config: RunConfig) -> Iterator[dict[str, Any]]:
    if config.optimizer != run_config.PAGED and config.device != "cpu":
        yield _change(config, "optimizer", run_config.PAGED, "a quarter of the state, paged to main memory when full")
    if config.method == run_config.FULL:
        yield _change(config, "method", "lora", "state for the adapter alone")
    elif config.rank > 1:
        yield _change(config, "rank", max(1, config.rank // 2), "half the state")
    if len(config.parts) > 1:
        yield _change(config, "parts", list(config.parts[:1]), "state for fewer parts")
