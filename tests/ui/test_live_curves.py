"""What a browser gets of a run's events, and that it ends with the same curves however it was cut up."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.runs import curves
from engine.types import Event
from ui.live_curves import MOST_POINTS, Columns


def step(number: int, loss: float = 1.0) -> tuple[str, dict[str, Any]]:
    return "step", {
        "step": number, "epoch": 1, "loss": loss, "parts": {}, "learning_rate": 1e-3, "seconds": 0.5, "tokens": 100,
        "grad_norm": {"lm": 0.5}, "memory_bytes": 10,
    }  # fmt: skip


def start(at: int) -> tuple[str, dict[str, Any]]:
    return "start", {"step": at, "epoch": 1, "total_steps": 99, "epochs": 3}


def events(*told: tuple[str, dict[str, Any]]) -> list[Event]:
    return [Event(seq=i, kind=kind, at=float(i), data=data) for i, (kind, data) in enumerate(told)]


def columns(*told: tuple[str, dict[str, Any]]) -> Columns:
    made = Columns()
    made.add(events(*told))
    return made


def test_only_what_came_after_is_sent() -> None:
    """A tab that has everything up to an event gets the rest."""
    made = columns(start(0), step(1), step(2), step(3))
    assert made.after(2)["x"] == [3]
    assert made.after(2)["reset"] is False
    assert made.after(-1)["x"] == [1, 2, 3]
    assert made.after(3)["x"] == []


def test_steps_that_a_resume_takes_back_are_taken_back_in_the_browser() -> None:
    """A tab that drew lost steps begins anew; one that came later does not have to."""
    made = columns(start(0), step(1), step(2), step(3), start(1), step(2))
    assert made.after(3)["reset"] is True
    assert made.after(3)["x"] == [1, 2]
    assert made.after(4)["reset"] is False
    assert made.after(4)["x"] == [2]
    assert made.resumes == [1]


def test_a_resume_that_loses_nothing_makes_nobody_begin_anew() -> None:
    """Stopped and saved at step 2, resumed at step 2: only a mark is new."""
    made = columns(start(0), step(1), step(2), start(2), step(3))
    assert made.after(2) | {"x": made.after(2)["x"], "reset": False} == made.after(2)
    assert made.after(2)["x"] == [3]
    assert made.resumes == [2]


def test_a_tab_that_knows_more_than_there_is_begins_anew() -> None:
    """A run folder that was put back from a copy is another run."""
    assert columns(start(0), step(1)).after(50)["reset"] is True


def test_a_loss_that_is_no_number_is_a_gap() -> None:
    """JSON has no NaN, and a curve none either."""
    assert columns(start(0), step(1, math.nan), step(2)).after(-1)["loss"] == [None, 1.0]


def test_a_long_run_is_thinned_and_keeps_its_worst_norms() -> None:
    """A first answer has a bounded size; a spike that a monitor marked is still there."""
    told = [step(n) for n in range(1, 3 * MOST_POINTS)]
    told[777][1]["grad_norm"] = {"lm": 99.0}
    sent = columns(start(0), *told).after(-1)
    assert len(sent["x"]) <= MOST_POINTS
    assert sent["x"][-1] == 3 * MOST_POINTS - 1
    assert max(sent["grad"]["lm"]) == 99.0
    assert sent["pace"][0] == 200.0


@given(
    told=st.lists(st.one_of(st.just("next"), st.integers(0, 8)), max_size=40),
    cuts=st.sets(st.integers(0, 60)),
)
def test_however_it_is_cut_up_the_steps_are_those_of_the_engine(told: list[Any], cuts: set[int]) -> None:
    """A tab that asked at any moments ends with the series that the engine reads from the whole file."""
    script, at = [start(0)], 0
    for what in told:
        if what == "next":
            at += 1
            script.append(step(at))
        else:
            at = min(at, what)
            script.append(start(at))
    whole = events(*script)
    made, seen, drawn = Columns(), -1, []
    for event in whole:
        made.add([event])
        if event.seq in cuts or event is whole[-1]:
            news = made.after(seen)
            drawn = news["x"] if news["reset"] else drawn + news["x"]
            seen = news["seq"]
    assert drawn == list(curves.series(whole).steps)
