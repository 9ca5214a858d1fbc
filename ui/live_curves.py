"""What a run told, as the columns that a browser draws. Grows event by event; pure, knows no files and no HTTP.

A browser that has seen everything up to an event gets what came after it. Steps that were lost with their process (a
resume goes on from an earlier one) are taken back, which a browser cannot do: it then gets everything again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.types import Alert, Event

MOST_POINTS = 4000  # of a first answer: neighbours are put together above that
DIGITS = 5


@dataclass
class Columns:
    """The steps of a run by event number, its validations, and what is marked on the curves."""

    seq: int = -1  # of the last event
    reset_seq: int = -1  # of the last event that took steps back
    steps: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)  # event number, what it said
    validations: list[tuple[int, int, float | None]] = field(default_factory=list)  # event number, step, loss
    alerts: list[Alert] = field(default_factory=list)
    resumes: list[int] = field(default_factory=list)
    saved: list[tuple[int, int]] = field(default_factory=list)  # step, epoch
    total_steps: int = 0

    def add(self, events: Iterable[Event]) -> bool:
        """Take in what came after; False when there was nothing new."""
        before = self.seq
        for event in events:
            if event.seq > self.seq:
                self._take(event)
                self.seq = event.seq
        return self.seq > before

    def _take(self, event: Event) -> None:
        data = event.data
        match event.kind:
            case "start":
                self._begin(int(data["step"]), event.seq)
                self.total_steps = int(data.get("total_steps", 0))
            case "step":
                self.steps.append((event.seq, data))
            case "validation":
                self.validations.append((event.seq, int(data["step"]), data.get("loss")))
            case "alert":
                self.alerts.append(_alert(data))
            case "checkpoint" if all(step != int(data["step"]) for step, _ in self.saved):
                self.saved.append((int(data["step"]), int(data.get("epoch", 0))))

    def _begin(self, step: int, seq: int) -> None:
        is_again = bool(self.steps) or step > 0
        kept = [one for one in self.steps if int(one[1]["step"]) <= step]
        validations = [one for one in self.validations if one[1] <= step]
        if len(kept) < len(self.steps) or len(validations) < len(self.validations):
            self.reset_seq = seq
        self.steps, self.validations = kept, validations
        self.alerts = [one for one in self.alerts if one.step <= step]
        self.resumes = [one for one in self.resumes if one <= step] + ([step] if is_again else [])

    def after(self, seq: int) -> dict[str, Any]:
        """What a browser lacks that has seen everything up to `seq`; `reset` says that it has to begin anew."""
        reset = seq < 0 or seq > self.seq or seq < self.reset_seq
        told = [data for at, data in self.steps if reset or at > seq]
        validations = [(step, loss) for at, step, loss in self.validations if reset or at > seq]
        return {
            "seq": self.seq,
            "reset": reset,
            "total": self.total_steps,
            **_columns(told if len(told) <= MOST_POINTS else _thinned(told)),
            "val": [[step, short(loss)] for step, loss in validations],
        }


def _alert(data: Mapping[str, Any]) -> Alert:
    return Alert(
        step=int(data.get("step", 0)),
        epoch=int(data.get("epoch", 0)),
        monitor=str(data.get("monitor", "")),
        text=str(data.get("text", "")),
        stops=bool(data.get("stops", False)),
    )


def _columns(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    parts = list(dict.fromkeys(part for data in told for part in data.get("grad_norm", {})))
    return {
        "x": [int(d["step"]) for d in told],
        "epoch": [int(d.get("epoch", 0)) for d in told],
        "loss": [short(d.get("loss")) for d in told],
        "rate": [short(d.get("learning_rate")) for d in told],
        "pace": [short(_pace(d)) for d in told],
        "memory": [int(d.get("memory_bytes") or 0) for d in told],
        "grad": {part: [short(d.get("grad_norm", {}).get(part)) for d in told] for part in parts},
    }


def _pace(data: Mapping[str, Any]) -> float | None:
    """Tokens a second, where the trainer counted both."""
    seconds, tokens = float(data.get("seconds") or 0), float(data.get("tokens") or 0)
    return tokens / seconds if seconds > 0 and tokens > 0 else None


def short(value: float | None) -> float | None:
    """A number with as many digits as a curve can show; None for what is no finite number."""
    return float(f"{value:.{DIGITS}g}") if value is not None and math.isfinite(value) else None


def _thinned(told: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Neighbours as one point at the last one's step: the mean of losses and times, the worst of norms and memory."""
    size = -(-len(told) // MOST_POINTS)
    return [_merged(told[i : i + size]) for i in range(0, len(told), size)]


def _merged(group: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    norms = [data.get("grad_norm", {}) for data in group]
    losses = [float(data["loss"]) for data in group if data.get("loss") is not None]
    return {
        **group[-1],
        "loss": sum(losses) / len(losses) if losses else None,
        "seconds": sum(float(d.get("seconds") or 0) for d in group),
        "tokens": sum(float(d.get("tokens") or 0) for d in group),
        "memory_bytes": max(int(d.get("memory_bytes") or 0) for d in group),
        "grad_norm": {part: max(float(n.get(part) or 0) for n in norms) for part in norms[-1]},
    }
