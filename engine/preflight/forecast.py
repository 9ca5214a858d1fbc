"""What a run will come to: its steps and checkpoints, the memory and the disk that it needs. Pure arithmetic.

Knows how batches are packed and what a checkpoint holds. Judges nothing.
"""

from __future__ import annotations

import math

from engine import checkpoints, memory
from engine.preflight.facts import Facts
from engine.train import batches
from engine.types import DiskEstimate, MemoryEstimate, RunConfig

RESUME_POINTS = 2  # checkpoints that keep the optimizer's state
FEW_CHECKPOINTS = 2  # with fewer there is nothing to choose from by ear


def lengths(facts: Facts) -> list[int]:
    """Tokens of each training row, at most; empty where the model's tokens are not known."""
    if facts.size is None:
        return []
    return [math.ceil(sec * facts.size.tokens_a_second) + 3 for sec in facts.row_sec]


def steps_an_epoch(config: RunConfig, facts: Facts) -> int:
    """Optimizer steps of one epoch, about; 0 where the model's tokens are not known."""
    found = lengths(facts)
    if not found:
        return 0
    packed = batches.epoch_batches(found, batch_tokens=config.batch_tokens, seed=config.seed, epoch=1)
    return math.ceil(len(packed) / config.accumulation)


def steps(config: RunConfig, facts: Facts) -> int:
    """Steps of the whole run, about."""
    planned = steps_an_epoch(config, facts) * config.epochs
    return min(planned, config.max_steps) if config.max_steps else planned


def checkpoint_count(config: RunConfig, facts: Facts) -> int:
    """Checkpoints of the whole run: one after every so many epochs or steps, and the last one."""
    total = steps(config, facts)
    if not total:
        return math.ceil(config.epochs / config.save_every) if config.save_unit == "epochs" else 1
    every = config.save_every * (steps_an_epoch(config, facts) if config.save_unit == "epochs" else 1)
    return math.ceil(total / max(1, every))


def memory_estimate(config: RunConfig, facts: Facts) -> MemoryEstimate | None:
    """Memory by class on the run's device; None for a model whose sizes are not known."""
    if facts.size is None:
        return None
    longest = max(lengths(facts), default=0)
    return memory.estimate(
        config,
        facts.size,
        device=facts.device,
        batch_tokens=max(longest, config.batch_tokens),
        memory=facts.memory,
        basis="total" if facts.is_leased else "free",
    )


def disk_estimate(config: RunConfig, facts: Facts) -> DiskEstimate | None:
    """Bytes that the run will write; None for a model whose sizes are not known.

    A checkpoint holds the trained numbers once in 32 bits; the last two keep the optimizer's state beside them.
    """
    if facts.size is None:
        return None
    trained = memory.trained_tensors(config, facts.size)
    state, _ = memory.optimizer_bytes(trained, config.optimizer)
    count = checkpoint_count(config, facts)
    return DiskEstimate(
        checkpoints=count,
        checkpoint_bytes=sum(trained) * memory.FP32 + checkpoints.BYTES_OF_JSON,
        resume_bytes=min(count, RESUME_POINTS) * state,
        features_bytes=math.ceil(facts.uncached_sec * facts.size.feature_bytes_a_second),
        free_bytes=facts.free_disk_bytes,
    )
