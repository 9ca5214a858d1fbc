"""Sweeps in the background: paused, resumed, taken over after a restart."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from engine import backends, sweep
from engine.screeners import hama_ear
from engine.studio import Studio
from engine.sweep_records import SweepState
from engine.types import BadInput, Candidate, Refused, SpeakRow, Speech
from engine.workspace import Workspace
from tests.fake_host import FakeHost, backend_info
from tests.waiting import PATIENCE_SEC, wait_until

BASE = Candidate(backend="fake", voice="robin")
ROBINS = tuple(Candidate(backend=b, voice="robin") for b in ("fake", "other"))


class SlowHost(FakeHost):
    """Speaks a batch each time it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = threading.Semaphore(0)

    def speak(self, rows: Sequence[SpeakRow]) -> list[Speech]:
        assert self.turns.acquire(timeout=PATIENCE_SEC)
        return super().speak(rows)

    def let(self, turns: int = 1000) -> None:
        self.turns.release(turns)


@pytest.fixture(autouse=True)
def _no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    without_models(monkeypatch)


def without_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is spoken, and the built-in ear alone listens: what is heard is not what these tests are about."""
    monkeypatch.setattr(hama_ear, "load", lambda: None)
    monkeypatch.setattr(sweep, "BATCH_ROWS", 2)
    known = backends.info
    monkeypatch.setattr(backends, "info", lambda name, *rest: known(name) if name == "finch" else backend_info(name))


@pytest.fixture(name="studio")
def _studio(tmp_path: Path) -> Iterator[Studio]:
    with opened(tmp_path) as studio:
        yield studio


def opened(home: Path, host: FakeHost | None = None) -> Studio:
    studio = Studio(Workspace(home), clock=lambda: 1_000.0, device="cpu")
    for name in ("fake", "other", "toy"):
        studio._hosts[name] = host or FakeHost()  # type: ignore[assignment]
    return studio


def request(studio: Studio, *candidates: Candidate, **changes: object) -> sweep.Request:
    asked = sweep.Request(candidates=candidates or (BASE,), script=studio.script("english-brief"), seeds=(1, 2))
    return replace(asked, **changes)  # type: ignore[arg-type]


def is_(studio: Studio, sweep_id: str, state: SweepState) -> Callable[[], bool]:
    return lambda: studio.sweep_view(sweep_id).record.state is state


def test_a_sweep_renders_screens_and_says_what_it_did(studio: Studio) -> None:
    """All clips have scores, and the record has how many were new."""
    made = studio.start_sweep(request(studio), by="Ada")
    wait_until(is_(studio, made, SweepState.DONE))
    view = studio.sweep_view(made)
    assert (view.done, view.total) == (12, 12)
    assert (view.record.by, view.record.clips, view.record.rendered, view.record.screened) == ("Ada", 6, 6, 6)
    assert set(studio.scores([clip.id for clip in studio.clips()])) == {clip.id for clip in studio.clips()}
    again = studio.start_sweep(request(studio))
    wait_until(is_(studio, again, SweepState.DONE))
    record = studio.sweep_view(again).record
    assert (record.clips, record.cached, record.rendered) == (6, 6, 0)


def test_a_paused_sweep_goes_on_where_it_was(tmp_path: Path) -> None:
    """Nothing that was rendered is rendered again, and what is paused stays so until somebody says otherwise."""
    host = SlowHost()
    with opened(tmp_path, host) as studio:
        made = studio.start_sweep(request(studio))
        host.let(1)
        wait_until(lambda: len(host.batches) == 1)
        studio.pause_sweep(made)
        host.let(1)
        wait_until(is_(studio, made, SweepState.PAUSED))
        assert len(host.batches) < 8
        with pytest.raises(Refused):
            studio.resume_sweep(studio.start_sweep(request(studio, seeds=(9,))))
        host.let()
        wait_until(lambda: not studio._sweeps)
        studio.resume_sweep(made)
        wait_until(is_(studio, made, SweepState.DONE))
        rows = [(row.text, row.seed) for batch in host.batches for row in batch]
        assert len(rows) - len(set(rows)) < sweep.BATCH_ROWS * sweep.WINDOW_BATCHES
        assert len(studio.clips()) == 9


def test_a_sweep_survives_the_app(tmp_path: Path) -> None:
    """Closing the app in the middle loses nothing: the next one goes on with it, and with none that was paused."""
    host = SlowHost()
    with opened(tmp_path, host) as studio:
        running = studio.start_sweep(request(studio))
        host.let(1)
        wait_until(lambda: len(host.batches) == 1)
        paused = studio.start_sweep(request(studio, seeds=(5,)))
        studio.pause_sweep(paused)
        host.let()
    with opened(tmp_path) as studio:
        assert studio.sweep_view(running).record.state in (SweepState.RUNNING, SweepState.DONE)
        studio.watch_sweeps()
        wait_until(is_(studio, running, SweepState.DONE))
        assert len(studio.clips()) == 6
        assert studio.sweep_view(paused).record.state is SweepState.PAUSED


def test_a_sweep_that_waits_for_another_is_cancelled_at_once(tmp_path: Path) -> None:
    """Who waits for the device behind another sweep need not wait to give up."""
    host = SlowHost()
    with opened(tmp_path, host) as studio:
        first = studio.start_sweep(request(studio))
        wait_until(is_(studio, first, SweepState.RUNNING))
        second = studio.start_sweep(request(studio, seeds=(3,)))
        wait_until(lambda: "another sweep" in studio.sweep_view(second).message)
        studio.cancel_sweep(second)
        wait_until(is_(studio, second, SweepState.CANCELLED))
        assert studio.sweep_view(first).record.state is SweepState.RUNNING
        host.let()
        wait_until(is_(studio, first, SweepState.DONE))
        with pytest.raises(Refused, match="done"):
            studio.cancel_sweep(first)


def test_a_sweep_that_fails_says_why_and_can_go_on(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is kept with the sweep; resuming tries again."""
    speak = FakeHost.speak

    def broken(self: FakeHost, rows: Sequence[SpeakRow]) -> list[Speech]:
        raise BadInput("It cannot be said.")

    monkeypatch.setattr(FakeHost, "speak", broken)
    made = studio.start_sweep(request(studio))
    wait_until(is_(studio, made, SweepState.FAILED))
    assert studio.sweep_view(made).record.error == "It cannot be said."
    monkeypatch.setattr(FakeHost, "speak", speak)
    wait_until(lambda: not studio._sweeps)
    studio.resume_sweep(made)
    wait_until(is_(studio, made, SweepState.DONE))
    assert studio.sweep_view(made).record.error == ""


def test_each_model_renders_its_own_part(studio: Studio) -> None:
    """A request over two backends is rendered by both, and what lies ready loads no model."""
    first, second = FakeHost(), FakeHost()
    studio._hosts.update({"fake": first, "other": second})  # type: ignore[dict-item]
    assert len(studio.render(request(studio, *ROBINS))) == 12
    assert first.spoken == second.spoken > 0
    studio._hosts.clear()
    assert len(studio.render(request(studio, *ROBINS))) == 12
    assert studio._hosts == {}


def test_an_interrupted_sweep_can_be_finished(studio: Studio) -> None:
    """Ctrl-C on the command line leaves a sweep that is paused."""

    def stop(done: int, total: int, message: str) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        studio.render(request(studio), stop)
    (view,) = studio.sweeps()
    assert view.record.state is SweepState.PAUSED
    assert len(studio.finish_sweep(view.record.id)) == 6
