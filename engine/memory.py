"""What a run needs of its device's memory, by class, before anything is loaded. Pure arithmetic, without torch.

Weights, gradients, optimizer state and adapter are counted tensor by tensor and are exact; activations and the
framework's reserve are estimates, which tests hold against what torch keeps. The classes matter because each has its
own mend: an optimizer of 8 bits helps nobody whose first forward pass does not fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

from engine.backends.sizes import ModelSize, PartSize
from engine.device import DeviceMemory
from engine.run_config import PAGED
from engine.types import BadInput, Change, MemoryEstimate, RunConfig

FP32 = 4
ADAMW_STEP_BYTES = 4  # torch keeps each tensor's count of steps as a float of its own
# bitsandbytes: 8-bit state with a scale of 4 bytes for every 256 numbers (Dettmers et al. 2021, arXiv:2110.02861), for
# tensors of at least 4096 numbers; smaller ones keep 32 bits.
BLOCK, SMALLEST_8BIT = 256, 4096
MASK_BYTES = {"cpu": 4, "cuda": 1}  # a number of dropout's mask: torch's CPU kernel multiplies by floats
BF16_ACTIVATIONS = 0.7  # norms and the residual stream stay in 32 bits, products take 16
CPU_RESERVE = 960 * 2**20  # resident memory of a trainer with its libraries, before and between steps
CUDA_RESERVE = 600 * 2**20  # CUDA context and the kernels' workspaces
FRAGMENTATION = 0.1  # of all else: what an allocator holds and cannot use
HEADROOM = 0.9  # an estimate above this share of what is free is told


def estimate(
    config: RunConfig,
    size: ModelSize,
    *,
    device: str,
    batch_tokens: int,
    memory: DeviceMemory | None = None,
    basis: str = "free",
) -> MemoryEstimate:
    """The bytes of each class at the worst moment of a step: the backward pass of the longest batch.

    `batch_tokens` are that batch's, padding counted. `size` is the backend's, `memory` what the device has.
    Accumulation adds nothing: gradients are added up in place. Several processes on one device need all of it each.
    """
    parts = [part for part in size.parts if part.name in config.parts]
    is_full, kind = config.method == "full", device.partition(":")[0]
    trained = [n for part in parts for n in _trained(part, config)]
    state, paged = optimizer_bytes(trained, config.optimizer, can_page=kind == "cuda")
    together = max if config.one_part_at_a_time and parts else sum
    activations = together(_activations(part, config, kind) * batch_tokens for part in parts)
    casts = together(_casts(part, config) for part in parts) if config.precision == "bf16" else 0
    copies = config.processes if kind == "cpu" else 1
    found = MemoryEstimate(
        device=device,
        weights=copies * _resident(config, size, kind) * size.bytes_a_weight,
        gradients=copies * sum(trained) * FP32,
        optimizer=copies * state,
        activations=copies * (math.ceil(activations) + casts),
        adapter=0 if is_full else copies * sum(trained) * FP32,
        reserve=0,
        paged_bytes=copies * paged,
        free_bytes=memory.free_bytes if memory else None,
        total_bytes=memory.total_bytes if memory else None,
        basis=basis,
    )
    own = copies * CPU_RESERVE if kind == "cpu" else CUDA_RESERVE
    return replace(found, reserve=own + math.ceil(FRAGMENTATION * found.needed_bytes))


def _resident(config: RunConfig, size: ModelSize, kind: str) -> int:
    """Weights in the device's memory: all, or on a card that has one part at a time the largest of all there are, since
    listening needs what is not taught as well.
    """
    if kind == "cpu" or not config.one_part_at_a_time:
        return size.parameters
    return max(size.frozen_parameters, *(part.parameters for part in size.parts))


def trained_tensors(config: RunConfig, size: ModelSize) -> tuple[int, ...]:
    """The numbers in each tensor that the run trains."""
    return tuple(n for part in size.parts if part.name in config.parts for n in _trained(part, config))


def optimizer_bytes(tensors: Iterable[int], optimizer: str, *, can_page: bool = True) -> tuple[int, int]:
    """State bytes for tensors of these sizes, and how many of them may move to the machine's memory.

    AdamW: two moments in 32 bits and a count of steps (Kingma & Ba 2015). Paged 8-bit AdamW: two moments of a byte and
    a scale each for every block; elsewhere than on a card nothing is paged.
    """
    sizes = list(tensors)
    if optimizer != PAGED:
        return sum(2 * FP32 * n + ADAMW_STEP_BYTES for n in sizes), 0
    state = sum(_state_8bit(n) for n in sizes)
    return state, state if can_page else 0


def changes_that_fit(config: RunConfig, need: Callable[[RunConfig], int], available: int) -> tuple[Change, ...]:
    """The single changes of a setting after which the run needs at most `available` bytes, the mildest first.

    `need` gives a run's bytes. Tokens a batch are the most that fit. Empty when no single change is enough.
    """
    before = need(config)
    found = []
    for setting, value in _candidates(config, lambda c: need(c) <= available):
        try:
            after = need(replace(config, **{setting: value}))  # type: ignore[arg-type]
        except BadInput:
            continue
        if after <= available:
            saved = (before - after) / 2**20
            found.append(
                Change(setting=setting, old=getattr(config, setting), new=value, effect=f"fits ({saved:.0f} MB less)")
            )
    return tuple(found)


def _candidates(config: RunConfig, fits: Callable[[RunConfig], bool]) -> Iterable[tuple[str, object]]:
    if tokens := _largest(100, config.batch_tokens - 1, lambda n: fits(replace(config, batch_tokens=n))):
        yield "batch_tokens", tokens - tokens % 50 or tokens
    if not config.gradient_checkpointing:
        yield "gradient_checkpointing", True
    if config.precision != "bf16":
        yield "precision", "bf16"
    if config.optimizer != PAGED:
        yield "optimizer", PAGED
    if config.processes > 1:
        yield "processes", 1
    if config.method == "full":
        yield "method", "lora"
    elif rank := _largest(1, config.rank - 1, lambda n: fits(replace(config, rank=n))):
        yield "rank", rank
    for part in config.parts if len(config.parts) > 1 else ():
        yield "parts", tuple(p for p in config.parts if p != part)


def _largest(low: int, high: int, fits: Callable[[int], bool]) -> int | None:
    """The largest number in [low, high] that fits, where every smaller one fits as well; None when none does."""
    if high < low or not fits(low):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _trained(part: PartSize, config: RunConfig) -> tuple[int, ...]:
    if config.method == "full":
        return part.tensors
    return part.adapter_tensors(config.rank, _targets(part, config))


def _targets(part: PartSize, config: RunConfig) -> tuple[str, ...]:
    named = tuple(name for name in config.target_modules if name in part.linears)
    return named or part.targets


def _state_8bit(numbers: int) -> int:
    if numbers < SMALLEST_8BIT:
        return 2 * FP32 * numbers
    return 2 * (numbers + FP32 * math.ceil(numbers / BLOCK))


def _activations(part: PartSize, config: RunConfig, kind: str) -> float:
    """Bytes a token of the batch. Computed twice, a layer keeps its input alone, and one layer at a time the rest."""
    saved = part.saved
    kept = saved.trained if config.method == "full" else saved.frozen + _adapter_saves(part, config, kind)
    if config.gradient_checkpointing and saved.boundary:
        kept = saved.boundary + kept / max(1, saved.trained / max(1, saved.layer))
    share = BF16_ACTIVATIONS if config.precision == "bf16" else 1.0
    return part.positions_a_token * FP32 * (share * kept + saved.outputs)


def _adapter_saves(part: PartSize, config: RunConfig, kind: str) -> float:
    """Numbers that adapters keep a position: A's output, and its input, through dropout with the mask."""
    mask = MASK_BYTES.get(kind, 1) / FP32 if config.dropout else 0.0
    shapes = [shape for name in _targets(part, config) for shape in part.linears.get(name, ())]
    return sum(inputs * (1 + mask) + config.rank for inputs, _ in shapes)


def _casts(part: PartSize, config: RunConfig) -> int:
    """Autocast keeps a 16-bit copy of every matrix that its backward pass will need: of one layer's at a time where
    layers are computed twice.
    """
    copies = 2 * sum(inputs * outputs for shapes in part.linears.values() for inputs, outputs in shapes)
    if config.gradient_checkpointing and part.saved.boundary:
        return math.ceil(copies * part.saved.layer / max(1, part.saved.trained))
    return copies
