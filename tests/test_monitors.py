"""Monitors: each sees its made-up curve, speaks once an episode, and is silent on a healthy run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import monitors
from engine.types import MONITORS, Alert, Event, RunConfig

CONFIG = RunConfig(patience=3, train_loss_floor=1.5)


def event(kind: str, **data: Any) -> Event:
    return Event(seq=0, kind=kind, at=0.0, data=data)


def start(at: int = 0, **data: Any) -> Event:
    return event("start", step=at, **data)


def step(number: int, loss: float = 3.0, norm: float = 1.0, epoch: int = 1) -> Event:
    return event(
        "step", step=number, epoch=epoch, loss=loss, parts={"lm": loss, "decoder": 1.0}, grad_norm={"lm": norm}
    )


def validation(number: int, loss: float) -> Event:
    return event("validation", step=number, epoch=1, loss=loss + 1.0, parts={"lm": loss, "decoder": 1.0})


def checkpoint(number: int, rate: float | None, capped: float = 0.0) -> Event:
    speech = {} if rate is None else {"speech": {"seconds_per_character": rate, "capped_share": capped, "lines": 2}}
    return event("checkpoint", step=number, epoch=number // 10, **speech)


def alerts(events: Iterable[Event], config: RunConfig = CONFIG) -> list[Alert]:
    """What the monitors say, told back to them as the trainer does."""
    watch, found = monitors.watch(config), []
    for one in events:
        watch = monitors.fold(watch, one)
        for alert in watch.new:
            found.append(alert)
            watch = monitors.fold(watch, event("alert", monitor=alert.monitor, step=alert.step))
    return found


def healthy(epochs: int = 8) -> list[Event]:
    """A run whose losses fall, whose gradients vary by a few times, and whose pace stays."""
    told = [start(unloaded_loss={"lm": 7.0}), validation(0, 4.0)]
    for epoch in range(1, epochs + 1):
        for n in range(10):
            number = 10 * (epoch - 1) + n + 1
            told.append(step(number, 4.0 / math.sqrt(epoch), 1.0 + (number % 5)))
        told += [validation(10 * epoch, 4.0 / math.sqrt(epoch)), checkpoint(10 * epoch, 0.07 + 0.002 * (epoch % 2))]
    return told


def test_a_healthy_run_is_not_marked() -> None:
    """Nobody reads marks that come on good runs."""
    assert alerts(healthy()) == []


def test_a_rising_validation_loss_is_marked_once_it_is_past_patience() -> None:
    """After so many validations above the best, not before; silent until a new best, then it may speak again."""
    rising = [validation(10 * n, loss) for n, loss in enumerate([3.0, 2.0, 2.1, 2.2, 2.3, 2.4], start=1)]
    found = alerts([start(), *rising])
    assert [(a.monitor, a.step) for a in found] == [("validation_rising", 50)]
    assert "3.000 at step 20" in found[0].text
    hardly_better = [validation(70, 1.99), *(validation(n, 2.5) for n in (80, 90, 100))]
    assert [a.step for a in alerts([start(), *rising, *hardly_better])] == [50]
    better = [validation(70, 1.5), *(validation(n, 1.9) for n in (80, 90, 100))]
    assert [a.step for a in alerts([start(), *rising, *better])] == [50, 100]


def test_a_gradient_far_above_its_median_is_marked() -> None:
    """Ten times the running median, for a part that has a history; once while it lasts."""
    told = [start(), *(step(n, norm=1.0 + n % 3) for n in range(1, 40))]
    spikes = [step(40, norm=50.0), step(41, norm=60.0), step(42), step(43, norm=70.0)]
    assert [(a.monitor, a.step) for a in alerts([*told, *spikes])] == [("gradient_norm", 40), ("gradient_norm", 43)]
    assert "of lm" in alerts([*told, *spikes])[0].text
    assert alerts([start(), *(step(n, norm=10.0**n) for n in range(1, 15))]) == []  # no history yet


def test_talking_to_itself_is_a_low_train_loss_while_validation_rises() -> None:
    """Under the floor alone is fine while validation falls, and so is a rise above the floor; 0 is no floor."""
    low = [step(n, 1.2) for n in range(1, 6)]
    falls, rises = [validation(0, 3.0), *low, validation(5, 2.5)], [validation(0, 3.0), *low, validation(5, 3.1)]
    assert alerts([start(), *falls]) == []
    found = alerts([start(), *rises])
    assert [(a.monitor, a.step) for a in found] == [("talks_to_itself", 5)]
    assert "1.200" in found[0].text
    high = [validation(0, 3.0), *(step(n, 2.0) for n in range(1, 6)), validation(5, 3.1)]
    assert alerts([start(), *high]) == []
    assert alerts([start(), *rises], RunConfig(train_loss_floor=0.0)) == []


@pytest.mark.parametrize("first", [validation(0, 6.9), step(1, 6.9)])
def test_weights_that_were_not_loaded_are_seen_by_the_first_loss(first: Event) -> None:
    """A first loss near that of a model that knows nothing; a loaded one starts far below it."""
    assert [a.monitor for a in alerts([start(unloaded_loss={"lm": 7.0}), first])] == ["unloaded_weights"]
    assert alerts([start(unloaded_loss={"lm": 7.0}), validation(0, 4.0), step(1, 4.1), step(2, 6.9)]) == []
    assert alerts([start(), first]) == []  # a backend that does not know its value


def test_labels_that_are_shifted_twice_are_seen_by_the_pace() -> None:
    """Speech that becomes faster from checkpoint to checkpoint is marked; a voice that is only faster is not."""
    faster = [checkpoint(10 * n, 0.08 * 0.93**n) for n in range(1, 6)]
    found = alerts([start(), *faster])
    assert [(a.monitor, a.step) for a in found] == [("drift", 40)]
    assert "faster" in found[0].text
    jump = [checkpoint(10, 0.08), checkpoint(20, 0.06), checkpoint(30, 0.061), checkpoint(40, 0.06)]
    assert alerts([start(), *jump]) == []


def test_speech_that_stops_ending_is_seen() -> None:
    """Half of the lines without an end, more than at the first checkpoint; one that says nothing is not judged."""
    assert [a.step for a in alerts([start(), checkpoint(10, 0.07), checkpoint(20, 0.07, 0.5)])] == [20]
    assert alerts([start(), checkpoint(10, 0.07, 0.5), checkpoint(20, 0.07, 0.5)]) == []
    assert alerts([start(), checkpoint(10, None), checkpoint(20, None)]) == []


def test_only_what_the_config_says_ends_the_run() -> None:
    """An alert stops when its monitor is among `stop_when`."""
    told = [start(), *(validation(n, 2.0 + n) for n in range(5))]
    assert [a.stops for a in alerts(told)] == [False]
    assert [a.stops for a in alerts(told, RunConfig(stop_when=("validation_rising",)))] == [True]
    assert [a.stops for a in alerts(told, RunConfig(stop_when=("drift",)))] == [False]


def test_what_no_event_can_tell_has_its_own_sentence() -> None:
    """A step without a number is never applied, so it always ends the run; a full disk never does."""
    assert monitors.not_a_number(3, 1, "The training loss").stops
    assert "not applied" in monitors.not_a_number(3, 1, "The training loss").text
    assert not monitors.disk(3, 1, 10**8).stops
    assert "100 MB" in monitors.disk(3, 1, 10**8).text
    assert monitors.not_a_number(3, 1, "").monitor in MONITORS


curves = st.lists(
    st.one_of(
        st.tuples(st.just("v"), st.floats(1.0, 6.0)),
        st.tuples(st.just("s"), st.floats(0.5, 60.0)),
        st.tuples(st.just("c"), st.floats(0.03, 0.2)),
    ),
    max_size=60,
)


@given(curve=curves, cut=st.integers(0, 60), lost=st.integers(0, 20))
def test_a_resume_marks_what_an_uninterrupted_run_marks(curve: list[tuple[str, float]], cut: int, lost: int) -> None:
    """Steps that a resume does again count once: what is marked from there on is the same, and never twice."""

    def told(number: int, kind: str, value: float) -> Event:
        made = {"v": validation, "c": checkpoint}
        return made[kind](number, value) if kind in made else step(number, 3.0, value)

    whole = [start(), *(told(n, *one) for n, one in enumerate(curve, start=1))]
    cut = min(cut, len(curve))
    again = max(0, cut - lost)
    resumed = [*whole[: cut + 1], start(again), *whole[again + 1 :]]
    expected = [(a.monitor, a.step, a.text) for a in alerts(whole)]
    found = [(a.monitor, a.step, a.text) for a in alerts(resumed)]
    assert list(dict.fromkeys(found)) == expected or set(found) == set(expected)


def test_a_part_rests_by_its_own_loss_and_the_run_ends_when_all_do() -> None:
    """One part's rise ends its own teaching alone; a resume to before it wakes it."""
    watch = monitors.watch(RunConfig(part_patience=2, stop_when=()))
    told = [(2.0, 1.0), (1.8, 0.9), (1.9, 0.8), (2.1, 0.7), (2.1, 0.9), (2.1, 0.9)]
    rested, alerts = [], []
    for place, (first, second) in enumerate(told):
        data = {"step": place + 1, "loss": first + second, "parts": {"llm": first, "flow": second}}
        watch = monitors.fold(watch, Event(seq=place, at=0.0, kind="validation", data=data))
        rested.append(sorted(monitors.resting(watch)))
        alerts += [alert for alert in watch.new if alert.monitor.endswith(("rests", "rest"))]
    assert rested == [[], [], [], ["llm"], ["llm"], ["flow", "llm"]]
    assert [(alert.monitor, alert.stops) for alert in alerts] == [("part_rests", False), ("all_parts_rest", True)]
    again = monitors.fold(watch, Event(seq=9, at=0.0, kind="start", data={"step": 2}))
    assert not monitors.resting(again)
