"""What stands against a run, before it starts: data, memory, disk, settings. Pure: facts in, findings with numbers out.

Knows which share of bad rows, which estimate and which settings are worth a word, and computes the change that would
mend each. Gathers nothing: the studio asks disk and device. `refuse` is kept for what would certainly be a lost
evening; where a person may know better, the finding says which setting overrides it.
"""

from __future__ import annotations

from engine.preflight import data, room, settings
from engine.preflight.facts import Facts
from engine.types import PreflightItem, RunConfig


def items(config: RunConfig, facts: Facts) -> tuple[PreflightItem, ...]:
    """Everything that was looked at, in the order: data, memory, disk, settings."""
    on_data = (data.rows, data.minutes, data.validation)
    on_run = (room.on_device, room.on_disk, settings.checkpoints, settings.machine, settings.learning)
    return tuple(item for check in (*on_data, *on_run) for item in check(config, facts))
