"""How far a run is: a fold over its events. Pure, so that the trainer's snapshot and a reader's replay cannot differ.

Knows what each kind of event means for the state of a run. Knows no files and no locks; whether the trainer is alive is
`state`'s question.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from typing import Any

from engine.types import Event

SMOOTHING = 0.2  # weight of the newest step in the running mean of seconds a step
ALERTS = 50  # that a snapshot remembers; the events hold all


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What the events say so far. `phase` is "", starting, running, paused, completed, stopped or failed."""

    phase: str = ""
    step: int = 0
    total_steps: int = 0
    epoch: int = 0
    train_loss: float | None = None
    val_loss: float | None = None
    step_sec: float | None = None
    pid: int | None = None
    last_seq: int = -1
    last_at: float = 0.0
    note: str = ""
    error: str = ""
    checkpoint_step: int | None = None
    alerts: tuple[str, ...] = ()  # what the monitors marked, oldest first
    done: int = 0  # of `total` clips, while a run is starting
    total: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether the trainer said its last word."""
        return self.phase in ("completed", "stopped", "failed")

    @property
    def eta_sec(self) -> float | None:
        """Seconds of training left by the recent pace, None while unknown or over."""
        if self.step_sec is None or self.has_ended:
            return None
        return max(0, self.total_steps - self.step) * self.step_sec


def fold(progress: Progress, event: Event) -> Progress:
    """The progress after one more event. An unknown kind changes only when the run was last heard of."""
    heard = replace(progress, last_seq=event.seq, last_at=event.at)
    return replace(heard, **_changes(progress, event))


def follow(progress: Progress, events: Iterable[Event]) -> Progress:
    """The progress after several events."""
    return reduce(fold, events, progress)


def standing_aside(progress: Progress) -> str:
    """What stopping a run that waits for room costs, for somebody who wants its device meanwhile."""
    again = max(0, progress.step - (progress.checkpoint_step or 0))
    counted = f"{again or 'no'} step{'' if again == 1 else 's'} again"
    return f"Stop it to use its device meanwhile: every checkpoint stays, and resuming it later trains {counted}."


def _changes(progress: Progress, event: Event) -> dict[str, Any]:
    data = event.data
    match event.kind:
        case "start":
            known = {k: data[k] for k in ("pid", "step", "epoch", "total_steps") if k in data}
            counted = {"done": 0, "total": 0}
            return {"phase": "running", "note": "", "error": "", "step_sec": None, **counted, **known}
        case "step":
            return {
                "step": data["step"],
                "epoch": data["epoch"],
                "train_loss": data["loss"],
                "step_sec": _smooth(progress.step_sec, float(data["seconds"])),
            }
        case "validation":
            return {"val_loss": data["loss"]}
        case "checkpoint":
            return {"checkpoint_step": data["step"]}
        case "note":
            state = data.get("state")
            counted = {name: int(data.get(name, 0)) for name in ("done", "total")}
            return {"note": str(data.get("text", "")), **counted, **({"phase": state} if state else {})}
        case "alert":
            return {"alerts": (*progress.alerts, str(data.get("text", "")))[-ALERTS:]}
        case "end":
            return {"phase": data["reason"], "error": str(data.get("error", ""))}
        case _:
            return {}


def _smooth(mean: float | None, newest: float) -> float:
    return newest if mean is None else (1 - SMOOTHING) * mean + SMOOTHING * newest


# ------------------------------------------------------------------------------------------------------------- snapshot
@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """`status.json`: the progress up to a byte offset of `events.jsonl`; a reader replays only what is newer."""

    progress: Progress = field(default_factory=Progress)
    offset: int = 0

    def to_json(self) -> str:
        """The text of `status.json`."""
        return json.dumps({"offset": self.offset, "progress": asdict(self.progress)}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Snapshot:
        """Of anything that is no snapshot an empty one is made: the events hold everything."""
        try:
            told = json.loads(text)
            stored = told["progress"]
            progress = Progress(**{**stored, "alerts": tuple(stored.get("alerts", ()))})
            return cls(progress=progress, offset=int(told["offset"]))
        except (ValueError, KeyError, TypeError):
            return cls()
