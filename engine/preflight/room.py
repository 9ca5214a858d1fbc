"""Whether a run has room: on its device for a step, on the disk for all that it will write. Pure.

Knows how tight is tight, and which single change would fit. What is needed is `forecast`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from engine import disk, memory
from engine.preflight import findings, forecast
from engine.preflight.facts import Facts
from engine.preflight.findings import size
from engine.run_config import PAGED
from engine.types import Change, DiskEstimate, Level, PreflightItem, RunConfig


def on_device(config: RunConfig, facts: Facts) -> Iterator[PreflightItem]:
    """Whether the longest batch fits into the memory of the device, and the changes that would make it fit."""
    found = forecast.memory_estimate(config, facts)
    available = found.available_bytes if found else None
    if found is None or available is None:
        yield PreflightItem(
            check="memory", level=Level.WARN, text=f"Whether it fits into the memory of {facts.device} is not known."
        )
        return
    what = "in all (another run has it now)" if facts.is_leased else "free"
    told = f"About {size(found.needed_bytes)} are needed on {found.device} and {size(available)} are {what}"
    if found.needed_bytes <= memory.HEADROOM * available:
        yield findings.ok("memory", f"{told}.")
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
            override="" if certain else findings.OVERRIDE,
        )


def _that_fit(config: RunConfig, facts: Facts, available: int) -> tuple[Change, ...]:
    def need(changed: RunConfig) -> int:
        found = forecast.memory_estimate(changed, facts)
        return found.needed_bytes if found else 0

    found = memory.changes_that_fit(config, need, available)
    gpu = facts.device.startswith("cuda")
    return tuple(
        change
        for change in found
        if (gpu or change.new != PAGED)
        and (facts.has_bf16 or change.setting != "precision")
        and (change.setting != "processes" or not gpu)
    )


def on_disk(config: RunConfig, facts: Facts) -> Iterator[PreflightItem]:
    """Whether all that the run will write fits on the disk, and how often to save so that it does."""
    found = forecast.disk_estimate(config, facts)
    if found is None:
        yield PreflightItem(check="disk", level=Level.WARN, text="How much the run will write is not known.")
        return
    available = found.free_bytes - disk.RESERVE_BYTES
    told = (
        f"{found.checkpoints} checkpoints of {size(found.checkpoint_bytes)}, state to resume from "
        f"{size(found.resume_bytes)}, features {size(found.features_bytes)}: {size(found.needed_bytes)} of "
        f"{size(max(0, available))} free"
    )
    if found.needed_bytes <= available:
        yield findings.ok("disk", f"{told}.")
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
    if room < forecast.FEW_CHECKPOINTS:
        if config.method != "full":
            return ()
        smaller = forecast.disk_estimate(replace(config, method="lora"), facts)
        fits = smaller is not None and smaller.needed_bytes <= available
        return (findings.change(config, "method", "lora", "fits: an adapter is small"),) if fits else ()
    every = config.save_every
    while forecast.checkpoint_count(replace(config, save_every=every), facts) > room:
        every += max(1, every // 10)
    return (findings.change(config, "save_every", every, f"fits: {room} checkpoints at most"),)
