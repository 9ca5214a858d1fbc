"""What a run, its queue and its failure look like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.types import Alert, Change, Failure, Outcome, Retained, Run, RunConfig, RunState
from tests.ui.fake_studio import FakeStudio
from ui import view_runs

RUN = Run(id="robin-001", path=Path("runs/robin-001"), config=RunConfig(name="robin", dataset="d", epochs=4),
          state=RunState.RUNNING, created_at=0.0, format_version=1, step=30, total_steps=120, epoch=1)  # fmt: skip
BAD = "<script>alert(1)</script>"
CHANGES = (
    Change(setting="batch_tokens", old=6000, new=2500, effect="fits"),
    Change(setting="batch_tokens", old=6000, new=1500, effect="fits easily"),
    Change(setting="gradient_checkpointing", old=False, new=True, effect="less"),
)
FAILURE = Failure(run_id="robin-001", reason="Memory ran out.", exit_status=-9, memory_class="optimizer",
                  changes=CHANGES, step=1, log=("the last words",))  # fmt: skip


def test_a_moving_run_shows_its_progress_and_that_closing_is_safe() -> None:
    """Who watches a run learns how far it is, how long it takes and that the page is only a window."""
    told = view_runs.head(replace(RUN, eta_sec=75.0))
    assert 'aria-valuenow="30"' in told
    assert "closing this page changes nothing" in told
    assert "1 min 15 s" in told


@pytest.mark.parametrize("state", list(RunState))
def test_only_what_can_be_done_is_offered(state: RunState) -> None:
    """A button that would be refused is not shown."""
    told = view_runs.head(replace(RUN, state=state))
    offered = {act for act in ("stop", "kill", "resume", "cancel", "copy") if f'data-act="{act}"' in told}
    moving = {RunState.STARTING, RunState.RUNNING, RunState.PAUSED}
    expected = {"copy"}
    expected |= {"stop", "kill"} if state in moving else set()
    expected |= {"kill"} if state is RunState.STOPPING else set()
    expected |= {"resume"} if state in (RunState.STOPPED, RunState.FAILED, RunState.LOST) else set()
    expected |= {"cancel"} if state is RunState.QUEUED else set()
    assert offered == expected
    assert ("progressbar" in told) == (not state.is_over and state is not RunState.QUEUED)
    assert ("free its device" in told) == (state is RunState.PAUSED)


def test_stopping_at_once_asks_first() -> None:
    """It loses steps, so a slip of the hand must not do it."""
    told = view_runs.head(RUN)
    kill = told[told.index('data-act="kill"') :]
    assert "loses the steps" in kill[: kill.index(">")]


def test_a_waiting_run_says_where_it_stands_and_what_for() -> None:
    """Nobody wonders why nothing happens."""
    told = view_runs.head(replace(RUN, state=RunState.QUEUED, queue_position=2, error="Waits for cpu: training a."))
    assert "Number 2 in the queue. Waits for cpu: training a." in told


def test_the_board_is_ordered_by_what_the_device_does() -> None:
    """First what trains, then what waits in its order, then what is over; the ends of the queue cannot move further."""
    first, second = (replace(RUN, id=f"w-{n}", state=RunState.QUEUED, queue_position=n) for n in (1, 2))
    done = replace(RUN, id="done", state=RunState.COMPLETED)
    told = view_runs.board([done, second, first, RUN], [first, second])
    places = [told.index(f'data-open="{name}"') for name in ("robin-001", "w-1", "w-2", "done")]
    assert places == sorted(places)
    assert told.count("disabled") == 2
    assert 'data-run="w-2" data-position="1"' in told


def test_an_idle_device_says_so() -> None:
    """An empty place would look like a fault."""
    assert "The device is free." in view_runs.board([replace(RUN, state=RunState.COMPLETED)], [])


def test_alerts_stand_newest_first_with_their_sentence() -> None:
    """What a monitor marked is a sentence, and whether it ended the run is said by more than colour."""
    told = view_runs.alerts(
        [
            Alert(step=1, epoch=1, monitor="drift", text="Early."),
            Alert(step=9, epoch=2, monitor="drift", text="Late.", stops=True),
        ]
    )
    assert told.index("Late.") < told.index("Early.")
    assert "stopped the run" in told


def test_a_failure_card_says_what_ran_out_and_what_to_change_in_order() -> None:
    """The card names the class of memory, the changes in their order, and offers to duplicate with them."""
    told = view_runs.failure(FAILURE)
    assert "optimizer made its state" in told
    assert "signal 9" in told
    assert told.index("2500") < told.index("1500") < told.index("Gradient checkpointing")
    assert 'data-act="copy" data-run="robin-001" data-mended="true"' in told
    assert "the last words" in told


def test_the_first_change_of_a_setting_counts() -> None:
    """Changes are in the order in which to try them."""
    assert view_runs.changed(CHANGES) == {"batch_tokens": 2500, "gradient_checkpointing": True}


def test_a_checkpoint_that_nothing_keeps_is_marked(studio: FakeStudio) -> None:
    """What may go stands out; what stays says why; a verdict is a shape and a word."""
    run = studio.start_run(RunConfig(dataset="d"))
    first, second, *_ = studio.checkpoints()
    kept = {
        first.id: Retained(checkpoint_id=first.id, keep=False, reasons=("every candidate of it failed",), bytes=1),
        second.id: Retained(checkpoint_id=second.id, keep=True, reasons=("passed at 0.3",), bytes=1),
    }
    told = view_runs.run_checkpoints(run, [first, second], kept, {second.id: Outcome.PASS})
    assert told.count("em-fail") == 1
    assert "passed at 0.3" in told
    assert '<span class="em-state em-pass">passed</span>' in told
    assert "not judged" in told


@pytest.mark.parametrize(
    ("outcome", "there", "shape", "to"),
    [
        (Outcome.PASS, "a", "pass", "/gate"),
        (Outcome.FAIL, "a", "fail", "/gate"),
        (Outcome.UNDECIDED, "a", "wait", "/gate"),
        (None, "a", "none", "/sweep?run=robin-001"),
        (Outcome.PASS, None, "gone", "/gate"),
    ],
)
def test_a_mark_leads_to_what_comes_next(outcome: Outcome | None, there: str | None, shape: str, to: str) -> None:
    """An unjudged checkpoint leads to the sweep, a judged one to its verdict."""
    mark = view_runs.mark(RUN, 40, 1, there, outcome)
    assert (mark["shape"], mark["href"]) == (shape, to)


def test_what_people_wrote_is_escaped() -> None:
    """A name, a path or a log can hold anything; on the page it is text."""
    bad = replace(RUN, id=BAD, error=BAD)
    shown = [
        view_runs.head(bad),
        view_runs.head(replace(bad, state=RunState.QUEUED)),
        view_runs.board([bad], [bad]),
        view_runs.alerts([Alert(step=1, epoch=1, monitor="drift", text=BAD)]),
        view_runs.failure(replace(FAILURE, run_id=BAD, reason=BAD, log=(BAD,))),
        view_runs.failed_without_a_card(bad),
        view_runs.log_lines(BAD),
        view_runs.run_checkpoints(bad, [], {}, {}),
    ]
    for html in shown:
        assert "<script" not in html
