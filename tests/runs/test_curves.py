"""Curves: events by step, with what a resume did again counted once."""

from __future__ import annotations

from typing import Any

from engine.runs import curves
from engine.types import Alert, CheckpointMark, Event


def told(*events: tuple[str, dict[str, Any]]) -> list[Event]:
    return [Event(seq=n, kind=kind, at=float(n), data=data) for n, (kind, data) in enumerate(events)]


def start(at: int = 0) -> tuple[str, dict[str, Any]]:
    return "start", {"pid": 1, "step": at, "epoch": 1, "total_steps": 8}


def step(n: int, loss: float = 1.0, **more: object) -> tuple[str, dict[str, Any]]:
    data = {"step": n, "epoch": 1, "loss": loss, "parts": {"lm": loss}, "learning_rate": 0.1, "seconds": 0.5}
    return "step", data | more


def test_curves_count_a_step_once() -> None:
    """Steps that were lost with their process and done again appear with their new values alone."""
    validation = {"epoch": 0, "parts": {}}
    made = curves.series(
        told(
            start(),
            ("validation", validation | {"step": 0, "loss": 9.0}),
            step(1, 5.0),
            step(2, 4.0),
            step(3, 3.0),
            ("validation", validation | {"step": 3, "loss": 3.5}),
            start(2),
            step(3, 2.5),
        )
    )
    assert (made.steps, made.train_loss) == ((1, 2, 3), (5.0, 4.0, 2.5))
    assert (made.val_steps, made.val_loss) == ((0,), (9.0,))
    assert made.parts == {"lm": (5.0, 4.0, 2.5)}


def test_norms_throughput_and_memory_are_curves_too() -> None:
    """Tokens a second follow from a step's tokens and seconds; what an older trainer did not say is 0."""
    made = curves.series(told(start(), step(1), step(2, tokens=900, grad_norm={"lm": 2.5}, memory_bytes=7)))
    assert made.throughput == (0.0, 1800.0)
    assert made.memory_bytes == (0, 7)
    made = curves.series(told(start(), step(1, grad_norm={"lm": 1.0}), step(2, grad_norm={"lm": 2.5})))
    assert made.grad_norm == {"lm": (1.0, 2.5)}


def test_alerts_and_checkpoints_are_marks() -> None:
    """Alerts of steps that were lost go with them; a checkpoint that was published stays, named as it is known."""
    alert = {"monitor": "drift", "step": 2, "epoch": 1, "text": "Faster.", "stops": True}
    saved = {"step": 3, "epoch": 1, "path": "step_000003", "train_loss": 1.0, "val_loss": 0.5, "bytes": 9}
    events = told(
        start(), step(1), step(2), ("alert", alert), step(3), ("checkpoint", saved), ("alert", alert | {"step": 3})
    )
    made = curves.series(events, run_id="robin")
    assert made.alerts[0] == Alert(monitor="drift", step=2, epoch=1, text="Faster.", stops=True)
    assert made.checkpoints == (CheckpointMark(step=3, epoch=1, checkpoint_id="robin@000003", val_loss=0.5),)
    resumed = curves.series([*events, *told(start(2))], run_id="robin")
    assert [mark.step for mark in resumed.alerts] == [2]
    assert resumed.checkpoints == made.checkpoints


def test_no_events_are_empty_curves() -> None:
    """A run that has not begun has curves without points."""
    made = curves.series([])
    assert (made.steps, made.parts, made.grad_norm, made.alerts) == ((), {}, {}, ())
