"""The failure card: the trainer's own finding, or what a kill means, with the settings to change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.runs import failures, launcher, state
from engine.runs.folder import RunFolder
from engine.types import Run
from engine.workspace import Workspace
from tests.run_factory import FAULT, create, tell

START = ("start", {"pid": 1, "step": 0, "epoch": 1, "total_steps": 8})


@pytest.fixture(name="run")
def _run(tmp_path: Path) -> Run:
    workspace = Workspace(tmp_path)
    workspace.create()
    return create(workspace, "robin", processes=2, accumulation=2)


def ended(run: Run, **data: object) -> Run:
    tell(run, START, ("end", {"reason": "failed", "exit": 1, "error": "It broke.", "step": 3, **data}))
    return run


def exited(run: Run, status: int) -> None:
    folder = RunFolder(run.path)
    folder.launched.write_text('{"at": 1000.0, "after_seq": -1, "attempt": 1}')
    folder.exited.write_text(f'{{"launched_at": 1000.0, "status": {status}}}')


def test_only_a_bad_end_has_a_card(run: Run) -> None:
    """What waits, trains, was stopped or is complete did not fail."""
    assert failures.failure(run.path) is None
    tell(run, START, ("end", {"reason": "completed", "exit": 0, "error": "", "step": 8}))
    assert failures.failure(run.path) is None


def test_the_card_names_the_class_of_memory_and_what_to_change_in_order(run: Run) -> None:
    """The trainer knows where memory ran out; the card gives its settings, lists as the tuples that they were."""
    changes = [*FAULT["changes"], {"setting": "parts", "old": ["lm", "decoder"], "new": ["lm"], "effect": "fewer"}]
    ended(run, error="Out of memory.", fault={**FAULT, "kind": "activations", "changes": changes})
    card = failures.failure(run.path)
    assert card is not None
    assert (card.reason, card.memory_class, card.exit_status) == ("Out of memory.", "activations", 1)
    assert [change.setting for change in card.changes] == ["batch_tokens", "parts"]
    assert card.changes[1].new == ("lm",)
    assert card.changes[0].text == "Tokens a batch 1500 → 750: half the activations"


def test_another_fault_has_a_reason_and_no_class(run: Run) -> None:
    """Nothing is said of memory when memory was not the fault; an older trainer said no fault at all."""
    card = failures.failure(ended(run).path)
    assert card is not None
    assert (card.reason, card.memory_class, card.changes) == ("It broke.", "", ())


def test_a_kill_is_most_likely_the_machines_memory(run: Run) -> None:
    """Signal 9 without a word is how a kernel ends the largest process: the card says so and what needs less."""
    tell(run, START)
    exited(run, -9)
    card = failures.failure(run.path)
    assert card is not None
    assert (card.memory_class, card.exit_status) == (failures.MACHINE, -9)
    assert "ran out of memory" in card.reason
    assert [change.setting for change in card.changes] == ["processes", "batch_tokens", "rank"]


@pytest.mark.parametrize(
    ("status", "sentence"), [(-15, "signal 15"), (3, "status 3"), (launcher.NOT_STARTED, "could not be started")]
)
def test_an_exit_without_a_word_is_told_by_its_status(run: Run, status: int, sentence: str) -> None:
    """What the launcher saw is on the card, also when the trainer said nothing."""
    exited(run, status)
    card = failures.failure(run.path)
    assert card is not None
    assert sentence in card.reason
    assert card.memory_class == ""


def test_a_loss_that_nobody_saw_has_no_status(run: Run) -> None:
    """After a restart of the machine nobody knows how the trainer ended, and the card does not pretend to."""
    tell(run, START)
    card = failures.failure(run.path)
    assert card is not None
    assert (card.exit_status, card.reason) == (None, state.DIED)


def test_the_log_is_its_last_forty_lines(run: Run) -> None:
    """The end of a long log is read, not all of it; what is no UTF-8 is shown as well as it can be."""
    ended(run)
    log = RunFolder(run.path).log
    log.write_bytes(b"x" * failures.LOG_BYTES * 3 + b"\n" + b"".join(b"line %d\n" % n for n in range(100)) + b"\xff")
    card = failures.failure(run.path)
    assert card is not None
    assert len(card.log) == failures.LOG_LINES
    assert (card.log[0], card.log[-2:]) == ("line 61", ("line 99", "\ufffd"))
    assert failures.log_lines(log.with_name("none")) == ()


def test_a_kill_of_a_full_run_points_at_lora(run: Run) -> None:
    """Of a full fine-tuning the gradients and states of all weights go before anything else of the adapter."""
    config = replace(run.config, method="full", processes=1, accumulation=1, batch_tokens=100)
    card = failures.card(replace(run, config=config), {}, exit_status=-9, log=())
    assert [change.setting for change in card.changes] == ["method"]
