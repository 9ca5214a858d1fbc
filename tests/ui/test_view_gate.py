"""What judgements look like: the matrix, retention, how sure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.statistics.preference import preference_summary
from engine.studio import MatrixRow, PreferenceRow, State, TierState
from engine.types import Candidate, Outcome, Retained, Tier
from ui import view_gate

BASE = Candidate(backend="finch", voice="robin")
EPOCH = Candidate(backend="finch", voice="robin", checkpoint_id="run@000040", lora_scale=0.3)


def cell(state: State = State.WAITING, passes: int = 0, fails: int = 0, waiting: int = 0) -> TierState:
    return TierState(state=state, passes=passes, fails=fails, waiting=waiting)


def row(candidate: Candidate = EPOCH, one: TierState | None = None, **changes: object) -> MatrixRow:
    made = MatrixRow(
        candidate=candidate,
        label="epoch 1 at 0.3",
        tiers=dict.fromkeys(Tier, one or cell(State.PASS, passes=2)),
        outcome=Outcome.PASS,
        evidence="6 of 6 passes",
        keeps="passed at 0.3",
        simulated=False,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "shape", "word"),
    [
        (cell(State.PASS, passes=3), "em-pass", "pass"),
        (cell(State.FAIL, passes=1, fails=2), "em-fail", "fail"),
        (cell(State.DISPUTED, passes=1, fails=1), "em-split", "disputed"),
        (cell(State.IN_REVIEW, passes=1, waiting=2), "em-wait", "in review"),
        (cell(waiting=2), "em-none", "waiting"),
        (cell(State.NO_CLIPS), "em-empty", "no clips"),
    ],
)
def test_a_tier_has_one_state(state: TierState, shape: str, word: str) -> None:
    """Decided, undecided, in review, waiting and never asked look different."""
    told = view_gate.tier_state(state)
    assert shape in told
    assert f">{word}<" in told


def test_what_keeps_a_checkpoint_stands_once_over_its_candidates() -> None:
    """A checkpoint is kept or not as a whole, whatever its candidates are."""
    kept = {"run@000040": Retained(checkpoint_id="run@000040", keep=True, reasons=("passed at 0.3",), bytes=1)}
    told = view_gate.matrix([row(), row(replace(EPOCH, lora_scale=1.0))], kept)
    assert told.count("passed at 0.3") == 1
    assert 'rowspan="2"' in told


def test_a_checkpoint_that_may_go_is_marked_with_its_size() -> None:
    """The preview of what may go begins in the matrix."""
    kept = {"run@000040": Retained(checkpoint_id="run@000040", keep=False, reasons=("all failed",), bytes=8_300_000)}
    told = view_gate.matrix([row(outcome=Outcome.FAIL)], kept)
    assert "may go" in told
    assert "8.3 MB" in told


def test_candidates_that_nobody_was_asked_about_are_one_sentence() -> None:
    """A sweep has many candidates; the matrix is of those that were sent to listening."""
    told = view_gate.matrix([row(), row(one=cell(), label="epoch 9 at 1", outcome=None)], {})
    assert "Not sent to listening: epoch 9 at 1." in told
    assert told.count("<tr>") == 2  # the heading and the one that was asked


def test_simulated_verdicts_say_so() -> None:
    """A rule's answers are never mistaken for a person's."""
    assert "simulated" in view_gate.matrix([row(simulated=True)], {})
    assert "simulated" not in view_gate.matrix([row()], {})


def test_retention_says_what_would_happen_and_touches_nothing_unjudged() -> None:
    """Counts, bytes and reasons before anybody confirms."""
    answers = [
        Retained(checkpoint_id="a", keep=False, reasons=("all failed",), bytes=8_300_000),
        Retained(checkpoint_id="b", keep=False, reasons=("all failed",), bytes=8_300_000),
        Retained(checkpoint_id="c", keep=True, reasons=("passed at 0.3",), bytes=8_300_000),
    ]
    told = view_gate.retention_preview(answers)
    assert "2 checkpoints move to the trash (16.6 MB, with undo)" in told
    assert "1 stays: passed at 0.3" in told
    assert "Nothing may go" in view_gate.retention_preview(answers[2:])


def test_how_sure_speaks_of_the_candidate_with_most_passes_and_not_of_the_base() -> None:
    """The control's passes say nothing about a candidate."""
    base = row(BASE, cell(State.PASS, passes=9), label="base")
    told = view_gate.how_sure([base, row()], [])
    assert "epoch 1 at 0.3" in told
    assert "No candidate has passed" in view_gate.how_sure([base], [])


def test_preferences_are_evidence_with_their_interval() -> None:
    """An A/B result names both candidates, how often, how sure, and who listened."""
    found = PreferenceRow(
        first=BASE, second=EPOCH, first_label="base", second_label="epoch 1 at 0.3",
        summary=preference_summary(8, 2, 1), reviewers=("Ana",), simulated=False,
    )  # fmt: skip
    told = view_gate.how_sure([], [found])
    assert "base against epoch 1 at 0.3: the first preferred 8 of 10 times (44% to 97%" in told
    assert "1 tie (Ana)" in told
