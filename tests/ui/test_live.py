"""The live route: news at once, one reader for all, going on after a restart."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from engine.types import RunConfig, RunState
from tests.ui.fake_studio import FakeStudio
from ui import live, routes


@pytest.fixture(name="running")
def _running(studio: FakeStudio) -> FakeStudio:
    studio.add_run("lark", RunConfig(name="lark", dataset="d"), RunState.RUNNING, step=3)
    return studio


def client(studio: FakeStudio) -> TestClient:
    app = FastAPI()
    routes.add(app, studio)  # type: ignore[arg-type]
    return TestClient(app)


def ask(browser: TestClient, after: int = -1, has: str = "", wait: float = 0) -> dict[str, Any]:
    told = browser.get("/live/runs/lark", params={"after": after, "has": has, "wait": wait})
    assert told.status_code == 200, told.text
    return dict(told.json())


def test_the_first_answer_has_everything(running: FakeStudio) -> None:
    """A page that opens gets curves, marks and every piece in one answer."""
    told = ask(client(running))
    assert told["x"] == [1, 2, 3]
    assert set(told["pieces"]) == {"head", "alerts", "board", "log", "failure", "swept", "checkpoints", "marks"}
    assert told["over"] is False


def test_who_has_everything_gets_nothing(running: FakeStudio) -> None:
    """An answer without news is small: no curve, no piece."""
    browser = client(running)
    first = ask(browser)
    told = ask(browser, first["seq"], first["has"])
    assert (told["x"], told["pieces"], told["reset"]) == ([], {}, False)


def test_a_step_ends_the_waiting(running: FakeStudio) -> None:
    """The answer comes with the event, not when the time is up."""
    browser = client(running)
    first = ask(browser)
    later = threading.Timer(0.3, running.tell_step, ("lark", 4))
    later.start()
    begin = time.monotonic()
    told = ask(browser, first["seq"], first["has"], wait=30)
    assert told["x"] == [4]
    assert time.monotonic() - begin < 10


def test_a_change_without_an_event_ends_the_waiting_too(running: FakeStudio) -> None:
    """A trainer that is gone writes nothing; the page learns of it all the same."""
    browser = client(running)
    first = ask(browser)
    running._runs["lark"] = replace(running._runs["lark"], state=RunState.LOST)
    told = ask(browser, first["seq"], first["has"], wait=30)
    assert told["state"] == "lost"
    assert "em-failure" in told["pieces"]["failure"]
    assert "resume" in told["pieces"]["head"]


def test_after_a_restart_a_page_goes_on_where_it_was(running: FakeStudio) -> None:
    """What a page has is told by event number and content, so another app process sends only what is new."""
    first = ask(client(running))
    running.tell_step("lark", 4)
    told = ask(client(running), first["seq"], first["has"])
    assert (told["x"], told["reset"]) == ([4], False)
    assert "checkpoints" not in told["pieces"]


def test_however_many_watch_the_files_are_read_once_a_tick(running: FakeStudio) -> None:
    """Twenty tabs cost the disk what one costs."""
    reads, now = [], [0.0]
    news = running.news

    def counted(run_id: str, offset: int = 0) -> Any:
        reads.append(run_id)
        return news(run_id, offset)

    running.news = counted  # type: ignore[method-assign]
    watched = live.Watched(running, clock=lambda: now[0])  # type: ignore[arg-type]
    for _ in range(20):
        watched.look("lark")
    assert len(reads) == 1
    now[0] += live.TICK_SEC
    for _ in range(20):
        watched.look("lark")
    assert len(reads) == 2


def test_equal_questions_are_answered_once(running: FakeStudio) -> None:
    """Tabs that know the same get the same bytes, made once."""
    watched = live.Watched(running, clock=time.monotonic)  # type: ignore[arg-type]
    channel = watched.look("lark")
    assert channel.answer(-1, frozenset()) is channel.answer(-1, frozenset())


def test_a_run_that_nobody_watches_is_forgotten(running: FakeStudio) -> None:
    """Curves of runs that somebody once looked at do not pile up."""
    running.add_run("wren", RunConfig(name="wren", dataset="d"), RunState.COMPLETED, step=1)
    now = [0.0]
    watched = live.Watched(running, clock=lambda: now[0])  # type: ignore[arg-type]
    watched.look("lark")
    now[0] += 10 * live.FORGET_SEC
    watched.look("wren")
    assert watched.fresh("lark") is None
    assert list(watched._channels) == ["wren"]


@pytest.mark.parametrize(("query", "status"), [("", 404), ("?after=x", 422), ("?wait=1e9", 422)])
def test_what_is_not_there_is_refused(running: FakeStudio, query: str, status: int) -> None:
    """A wrong question is answered at once and not kept open."""
    run = "lark" if query else "nobody"
    assert client(running).get(f"/live/runs/{run}{query}").status_code == status


def test_a_checkpoint_has_its_best_verdict(judged: FakeStudio) -> None:
    """One passing scale makes a checkpoint one that passed."""
    best = live.best_outcomes(judged)  # type: ignore[arg-type]
    passed = {v.candidate.checkpoint_id for v in judged.verdicts() if v.outcome == "pass"} - {None}
    assert passed
    assert {c for c, outcome in best.items() if outcome == "pass"} == passed
