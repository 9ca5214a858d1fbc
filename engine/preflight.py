"""What stands against a run, before it starts: data, memory, disk, settings. Pure: facts in, findings with numbers out.

Knows which share of bad rows, which estimate and which settings are worth a word, and computes the change that would
mend each. Gathers nothing: the studio asks disk and device. `refuse` is kept for what would certainly be a lost
evening; where a person may know better, the finding says which setting overrides it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from engine import disk, memory
from engine.backends.sizes import ModelSize
from engine.device import Card, DeviceMemory
from engine.train import batches
from engine.types import (
    Change,
    Dataset,
    DiskEstimate,
    Level,
    MemoryEstimate,
    PreflightItem,
    RunConfig,
)

OVERRIDE = "accepted_by"
MANY_BAD_ROWS = 0.1  # with 8 rows a step more than half of the steps are then tainted
LITTLE_MIN, ENOUGH_MIN = 3.0, 10.0
RESUME_POINTS = 2  # checkpoints that keep the optimizer's state
BYTES_OF_JSON = 64 * 1024
FEW_CHECKPOINTS = 2
MANY_STEPS_A_CHECKPOINT = 500


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What was found out about a run that may be started. `row_sec` are seconds of the rows that are trained on.

    `size` and `memory` are None where nobody knows. `uncached_sec` are of all rows whose features are still to be
    computed. `is_leased`: another run has the device and will let go of its memory before this one starts.
    """

    dataset: Dataset
    row_sec: Sequence[float]
    device: str
    size: ModelSize | None
    memory: DeviceMemory | None
    free_disk_bytes: int
    is_leased: bool = False
    uncached_sec: float = 0.0
    full_sft: bool = True
    has_bf16: bool = True
    environment_fault: str = ""  # why the voice cannot be trained as its environment stands
    card: Card | None = None  # the GPU, where the device is one and answers

    @property
    def total_sec(self) -> float:
        return sum(self.row_sec)


def items(config: RunConfig, facts: Facts) -> tuple[PreflightItem, ...]:
    """Everything that was looked at, in the order: data, memory, disk, settings."""
    checks = (_rows, _minutes, _validation, _memory, _disk, _checkpoints, _machine, _learning)
    return tuple(item for check in checks for item in check(config, facts))


# ----------------------------------------------------------------------------------------------------------------- plan
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
        checkpoint_bytes=sum(trained) * memory.FP32 + BYTES_OF_JSON,
        resume_bytes=min(count, RESUME_POINTS) * state,
        features_bytes=math.ceil(facts.uncached_sec * facts.size.feature_bytes_a_second),
        free_bytes=facts.free_disk_bytes,
    )


# ----------------------------------------------------------------------------------------------------------------- data
def _rows(config: RunConfig, facts: Facts) -> Iterator[PreflightItem]:
    data = facts.dataset
    count = data.train_count + data.validation_count + data.test_count
    if not data.unresolved:
        yield _ok("rows", f"None of the {count} rows has an error that nobody decided about.")
        return
    row_tokens = max(1.0, sum(lengths(facts)) / max(1, len(facts.row_sec)))
    rows_a_step = max(1, round(config.batch_tokens / row_tokens)) * config.accumulation if lengths(facts) else 1
    tainted = 1.0 - (1.0 - data.bad_row_share) ** rows_a_step
    told = (
        f"{data.unresolved} of {count} rows still have errors ({data.bad_row_share:.0%}): with about {rows_a_step} "
        f"rows a step, {tainted:.0%} of the steps learn from at least one."
    )
    if config.method == "full":
        yield PreflightItem(
            check="rows",
            level=Level.REFUSE,
            text=f"{told} Full fine-tuning takes errors into every weight: mend them on the Data page first.",
            changes=(_change(config, "method", "lora", "an adapter limits what bad rows can spoil"),),
        )
    elif config.accepted_by:
        yield PreflightItem(check="rows", level=Level.WARN, text=f"{told} {config.accepted_by} accepted that.")
    else:
        mend = "Mend them on the Data page, or put your name under Accepted by."
        yield PreflightItem(check="rows", level=Level.REFUSE, text=f"{told} {mend}", override=OVERRIDE)


def _minutes(config: RunConfig, facts: Facts) -> Iterator[PreflightItem]:
    minutes = facts.total_sec / 60
    if not facts.row_sec:
        yield PreflightItem(
            check="minutes", level=Level.REFUSE, text="No row is for training: prepare the dataset again with some."
        )
    elif minutes < LITTLE_MIN:
        yield PreflightItem(
            check="minutes",
            level=Level.WARN,
            text=f"{minutes:.1f} minutes are little: they show whether training works, not how good a voice gets.",
        )
    elif minutes < ENOUGH_MIN and config.method == "full":
        text = f"{minutes:.1f} minutes are few for full fine-tuning, which recites a small set; LoRA holds back more."
        yield PreflightItem(
            check="minutes",
            level=Level.WARN,
            text=text,
            changes=(_change(config, "method", "lora", "trains a small adapter instead"),),
        )
    else:
        yield _ok("minutes", f"{minutes:.1f} minutes to train on, in {len(facts.row_sec)} rows.")


def _validation(config: RunConfig, facts: Facts) -> Iterator[PreflightItem]:
    held_out = facts.dataset.validation_count
    if held_out:
        yield _ok("validation", f"{held_out} rows are held out to validate with.")
        return
    needy = [name for name in config.stop_when if name in ("validation_rising", "talks_to_itself")]
    text = "No row is held out: there will be no validation curve, and nothing shows where the run begins to recite."
    if needy:
        changed = tuple(name for name in config.stop_when if name not in needy)
        change = _change(config, "stop_when", changed, "leaves only monitors that can speak")
        yield PreflightItem(
            check="validation",
            level=Level.REFUSE,
            text=f"{text} Stop when names {', '.join(needy)}, which could never happen.",
            changes=(change,),
        )
    else:
        yield PreflightItem(check="validation", level=Level.WARN, text=f"{text} Prepare the data with a share for it.")


# --------------------------------------------------------------------------------------------------- memory and disk
def _memory(config: RunConfig, facts: Facts) -> Iterator[PreflightItem]:
    found = memory_estimate(config, facts)
    available = found.available_bytes if found else None
    if found is None or available is None:
        yield PreflightItem(
            check="memory", level=Level.WARN, text=f"Whether it fits into the memory of {facts.device} is not known."
        )
        return
    what = "in all (another run has it now)" if facts.is_leased else "free"
    told = f"About {_size(found.needed_bytes)} are needed on {found.device} and {_size(available)} are {what}"
    if found.needed_bytes <= memory.HEADROOM * available:
        yield _ok("memory", f"{told}.")
    elif found.needed_bytes <= available:
        yield PreflightItem(
            check="memory",
            level=Level.WARN,
            text=f"{told}: it is tight, and one long batch more may be too much.",
            changes=_that_fit(config, facts, round(memory.HEADROOM * available)),
        )
    else:
        fits = _that_fit(config, facts, available)
        mend = f" {fits[0].text}." if fits else " No single setting would make it fit: use a larger device."
        certain = found.certain_bytes > available
        accepted = bool(config.accepted_by) and not certain
        hint = (
            ""
            if certain or accepted
            else " Activations are estimated: to try it all the same, put your name under Accepted by."
        )
        yield PreflightItem(
            check="memory",
            level=Level.WARN if accepted else Level.REFUSE,
            text=f"{told}.{mend}{hint}",
            changes=fits,
            override="" if certain else OVERRIDE,
        )


def _that_fit(config: RunConfig, facts: Facts, available: int) -> tuple[Change, ...]:
    def need(changed: RunConfig) -> int:
        found = memory_estimate(changed, facts)
        return found.needed_bytes if found else 0

    found = memory.changes_that_fit(config, need, available)
    gpu = facts.device.startswith("cuda")
    return tuple(
        change
        for change in found
        if (gpu or change.new != memory.PAGED)
        and (facts.has_bf16 or change.setting != "precision")
        and (change.setting != "processes" or not gpu)
    )


def _disk(config: RunConfig, facts: Facts) -> Iterator[PreflightItem]:
    found = disk_estimate(config, facts)
    if found is None:
        yield PreflightItem(check="disk", level=Level.WARN, text="How much the run will write is not known.")
        return
    available = found.free_bytes - disk.RESERVE_BYTES
    told = (
        f"{found.checkpoints} checkpoints of {_size(found.checkpoint_bytes)}, state to resume from "
        f"{_size(found.resume_bytes)}, features {_size(found.features_bytes)}: {_size(found.needed_bytes)} of "
        f"{_size(max(0, available))} free"
    )
    if found.needed_bytes <= available:
        yield _ok("disk", f"{told}.")
        return
    first = found.checkpoint_bytes * min(2, found.checkpoints) + found.resume_bytes + found.features_bytes
    level = Level.REFUSE if first > available else Level.WARN
    ending = "not even the first two would fit" if level is Level.REFUSE else "the run would pause before its end"
    yield PreflightItem(
        check="disk",
        level=level,
        text=f"{told}; {ending}. Every checkpoint is kept: make room, or save more rarely.",
        changes=_fewer_checkpoints(config, facts, found, available),
    )


def _fewer_checkpoints(config: RunConfig, facts: Facts, found: DiskEstimate, available: int) -> tuple[Change, ...]:
    room = (available - found.resume_bytes - found.features_bytes) // found.checkpoint_bytes
    if room < FEW_CHECKPOINTS:
        if config.method != "full":
            return ()
        smaller = disk_estimate(replace(config, method="lora"), facts)
        fits = smaller is not None and smaller.needed_bytes <= available
        return (_change(config, "method", "lora", "fits: an adapter is small"),) if fits else ()
    every = config.save_every
    while checkpoint_count(replace(config, save_every=every), facts) > room:
        every += max(1, every // 10)
    return (_change(config, "save_every", every, f"fits: {room} checkpoints at most"),)


def _checkpoints(config: RunConfig, facts: Facts) -> Iterator[PreflightItem]:
    count, total = checkpoint_count(config, facts), steps(config, facts)
    if not total:
        return
    every = total / count
    told = f"About {total} steps with {count} checkpoint{'s' if count > 1 else ''}"
    if count < FEW_CHECKPOINTS:
        half = max(1, total // 2)
        changes = [_change(config, "save_every", half, "gives two")] if config.save_unit == "steps" else []
        text = f"{told}: with fewer than two there is nothing to choose from by ear."
        yield PreflightItem(check="checkpoints", level=Level.WARN, text=text, changes=tuple(changes))
    elif every > MANY_STEPS_A_CHECKPOINT:
        text = f"{told}, one every {every:.0f} steps: the best one is often early, and what was not saved is lost."
        yield PreflightItem(check="checkpoints", level=Level.WARN, text=text)
    else:
        yield _ok("checkpoints", f"{told}.")


# ------------------------------------------------------------------------------------------------------------- settings
def _machine(config: RunConfig, facts: Facts) -> Iterator[PreflightItem]:
    if facts.environment_fault:
        yield PreflightItem(check="environment", level=Level.WARN, text=facts.environment_fault)
    gpu = facts.device.startswith("cuda")
    if config.optimizer == memory.PAGED and not gpu:
        yield _refused(
            config, "optimizer", "adamw", f"Paged 8-bit AdamW needs a CUDA card; this run is on {facts.device}."
        )
    if config.precision == "bf16" and facts.card and not facts.card.has_bf16:
        yield _refused(config, "precision", "fp32", facts.card.without_bf16)
    elif config.precision == "bf16" and not facts.has_bf16:
        text = f"{facts.device} computes bf16 slower than fp32 and gains nothing."
        yield PreflightItem(
            check="precision", level=Level.WARN, text=text, changes=(_change(config, "precision", "fp32", "is faster"),)
        )
    if config.gradient_checkpointing and facts.size and not any(part.saved.boundary for part in facts.size.parts):
        text = f"{config.backend} names no layers to compute twice."
        yield _refused(config, "gradient_checkpointing", False, text)
    if config.method == "full" and not facts.full_sft:
        yield _refused(config, "method", "lora", f"{config.backend} cannot be trained in full.")
    if config.method == "full" and gpu and config.optimizer != memory.PAGED and not config.gradient_checkpointing:
        text = "Full fine-tuning on a card usually needs gradient checkpointing and the paged 8-bit optimizer together."
        yield PreflightItem(
            check="memory stack",
            level=Level.WARN,
            text=text,
            changes=(
                _change(config, "gradient_checkpointing", True, "keeps few activations"),
                _change(config, "optimizer", memory.PAGED, "a quarter of the state, paged"),
            ),
        )


def _learning(config: RunConfig, facts: Facts) -> Iterator[PreflightItem]:
    total = steps(config, facts)
    if total and config.warmup_steps >= total:
        fewer = max(0, total // 10)
        text = f"Warm-up is {config.warmup_steps} steps and the run has about {total}: it never reaches its rate."
        yield PreflightItem(
            check="warm-up",
            level=Level.WARN,
            text=text,
            changes=(_change(config, "warmup_steps", fewer, "a tenth of the run"),),
        )
    if config.method == "lora" and config.alpha > 4 * config.rank:
        text = f"Alpha is {config.alpha / config.rank:.0f} times the rank: it over-steers."
        yield PreflightItem(
            check="alpha",
            level=Level.WARN,
            text=text,
            changes=(_change(config, "alpha", 2.0 * config.rank, "twice the rank"),),
        )
    longest = max(lengths(facts), default=0)
    if longest > config.batch_tokens:
        text = (
            f"The longest row has about {longest} tokens and a batch holds {config.batch_tokens}: it is a batch alone."
        )
        change = _change(config, "batch_tokens", longest, "holds the longest row")
        yield PreflightItem(check="batch", level=Level.WARN, text=text, changes=(change,))


def _refused(config: RunConfig, setting: str, new: object, text: str) -> PreflightItem:
    return PreflightItem(
        check=setting, level=Level.REFUSE, text=text, changes=(_change(config, setting, new, "can be run here"),)
    )


def _ok(check: str, text: str) -> PreflightItem:
    return PreflightItem(check=check, level=Level.OK, text=text)


def _change(config: RunConfig, setting: str, new: object, effect: str) -> Change:
    return Change(setting=setting, old=getattr(config, setting), new=new, effect=effect)


def _size(count: float) -> str:
    return f"{count / 2**20:.0f} MB" if count < 2**30 else f"{count / 2**30:.1f} GB"
