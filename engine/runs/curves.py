"""The curves of a run: its events by step. Pure; knows what each kind of event adds to a curve, and no files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.types import Alert, CheckpointMark, Event, Series


def series(events: Iterable[Event], *, run_id: str = "") -> Series:
    """The curves. Steps after the one that a resume went on from were lost with their process and are left out.

    Alerts of lost steps are left out too, checkpoints never: what was published is there.
    """
    steps: dict[int, Mapping[str, Any]] = {}
    validations: dict[int, float] = {}
    alerts: list[Alert] = []
    saved: dict[int, CheckpointMark] = {}
    for event in events:
        data = event.data
        match event.kind:
            case "start":
                begin = int(data["step"])
                steps = {s: d for s, d in steps.items() if s <= begin}
                validations = {s: v for s, v in validations.items() if s <= begin}
                alerts = [one for one in alerts if one.step <= begin]
            case "step":
                steps[int(data["step"])] = data
            case "validation":
                validations[int(data["step"])] = float(data["loss"])
            case "alert":
                alerts.append(alert(data))
            case "checkpoint":
                mark = _mark(data, run_id)
                saved[mark.step] = mark
    told = tuple(steps.values())
    return Series(
        steps=tuple(steps),
        train_loss=tuple(float(d["loss"]) for d in told),
        learning_rate=tuple(float(d["learning_rate"]) for d in told),
        parts=_by_part(told, "parts"),
        val_steps=tuple(validations),
        val_loss=tuple(validations.values()),
        grad_norm=_by_part(told, "grad_norm"),
        throughput=tuple(_tokens_a_second(d) for d in told),
        memory_bytes=tuple(int(d.get("memory_bytes", 0)) for d in told),
        alerts=tuple(alerts),
        checkpoints=tuple(saved[step] for step in sorted(saved)),
    )


def alert(data: Mapping[str, Any]) -> Alert:
    """What an alert event says."""
    return Alert(
        step=int(data.get("step", 0)),
        epoch=int(data.get("epoch", 0)),
        monitor=str(data.get("monitor", "")),
        text=str(data.get("text", "")),
        stops=bool(data.get("stops", False)),
    )


def _mark(data: Mapping[str, Any], run_id: str) -> CheckpointMark:
    step, loss = int(data["step"]), data.get("val_loss")
    return CheckpointMark(
        step=step,
        epoch=int(data.get("epoch", 0)),
        checkpoint_id=f"{run_id}@{step:06d}",
        val_loss=None if loss is None else float(loss),
    )


def _by_part(told: tuple[Mapping[str, Any], ...], name: str) -> dict[str, tuple[float, ...]]:
    parts = list(told[0].get(name, {})) if told else []
    return {part: tuple(float(d.get(name, {}).get(part, 0.0)) for d in told) for part in parts}


def _tokens_a_second(data: Mapping[str, Any]) -> float:
    seconds = float(data.get("seconds", 0.0))
    return float(data.get("tokens", 0)) / seconds if seconds > 0 else 0.0
