"""Progress: events folded, and a snapshot that can be taken anywhere without changing the result."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.runs.progress import Progress, Snapshot, fold, follow
from engine.types import Event

number = st.integers(0, 50)
loss = st.floats(0.1, 9.0)
datas = st.one_of(
    st.tuples(
        st.just("start"), st.fixed_dictionaries({"step": number, "epoch": number, "total_steps": number, "pid": number})
    ),
    st.tuples(st.just("step"), st.fixed_dictionaries({"step": number, "epoch": number, "loss": loss, "seconds": loss})),
    st.tuples(st.just("validation"), st.fixed_dictionaries({"loss": loss})),
    st.tuples(st.just("checkpoint"), st.fixed_dictionaries({"step": number})),
    st.tuples(
        st.just("note"), st.fixed_dictionaries({"text": st.text(max_size=5)}, optional={"state": st.just("paused")})
    ),
    st.tuples(st.just("heartbeat"), st.just({})),
    st.tuples(st.just("something new"), st.just({"a": 1})),
    st.tuples(
        st.just("end"),
        st.fixed_dictionaries({"reason": st.sampled_from(["completed", "failed"]), "error": st.just("x")}),
    ),
)


def events(told: list[tuple[str, dict[str, object]]]) -> list[Event]:
    return [Event(seq=i, kind=kind, at=float(i), data=data) for i, (kind, data) in enumerate(told)]


@given(told=st.lists(datas, max_size=20), cut=st.integers(0, 20))
def test_a_snapshot_and_the_rest_equal_the_whole(told: list[tuple[str, dict[str, object]]], cut: int) -> None:
    """Folding a stored snapshot with what came after it gives what folding everything gives."""
    all_of_it = events(told)
    stored = Snapshot.from_json(Snapshot(progress=follow(Progress(), all_of_it[:cut]), offset=cut).to_json())
    assert follow(stored.progress, all_of_it[cut:]) == follow(Progress(), all_of_it)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"progress": {"unknown": 1}, "offset": 0}', '{"offset": 3}'])
def test_a_foreign_snapshot_is_none(text: str) -> None:
    """A torn or newer status file costs only time: everything is in the events."""
    assert Snapshot.from_json(text) == Snapshot()


def test_a_resume_begins_anew() -> None:
    """What the last life said about its end does not stand while the next one runs."""
    told = [("end", {"reason": "failed", "error": "oops"}), ("note", {"state": "starting", "text": "Loading"})]
    after = follow(Progress(), events(told))
    assert (after.phase, after.has_ended) == ("starting", False)
    running = fold(after, Event(seq=9, kind="start", at=0.0, data={"step": 7, "epoch": 2, "total_steps": 20, "pid": 3}))
    assert (running.phase, running.error, running.step, running.total_steps) == ("running", "", 7, 20)


def test_time_left_follows_the_recent_pace() -> None:
    """Seconds left are steps left times the running mean of a step, and unknown before the first and after the end."""
    steps = [("start", {"step": 0, "total_steps": 12})] + [
        ("step", {"step": n, "epoch": 1, "loss": 1.0, "seconds": 2.0}) for n in (1, 2)
    ]
    assert follow(Progress(), events(steps[:1])).eta_sec is None
    assert follow(Progress(), events(steps)).eta_sec == pytest.approx(20.0)
    assert follow(Progress(), events([*steps, ("end", {"reason": "stopped", "error": ""})])).eta_sec is None
