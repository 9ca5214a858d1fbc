"""What judgements look like: the matrix, what is needed, how sure."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from engine.statistics.preference import preference_summary
from engine.studio import MatrixRow, PreferenceRow, State, TierState
from engine.types import Candidate, Outcome, Retained, Tier, Verdict
from tests.judgement_factory import make_verdict
from ui import view_gate

BASE = Candidate(backend="finch", voice="robin")
EPOCH = Candidate(backend="finch", voice="robin", checkpoint_id="run@000040", lora_scale=0.3)


def cell(state: State = State.WAITING, passes: int = 0, fails: int = 0, **more: object) -> TierState:
    return TierState(state=state, passes=passes, fails=fails, **more)  # type: ignore[arg-type]


def row(candidate: Candidate = EPOCH, one: TierState | None = None, **changes: object) -> MatrixRow:
    made = MatrixRow(
        candidate=candidate,
        label=f"epoch 1 at {candidate.lora_scale:g}",
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
        (cell(State.DISPUTED, passes=1, fails=1), "em-torn", "disputed"),
        (cell(State.IN_REVIEW, passes=1), "em-wait", "in review"),
        (cell(), "em-none", "waiting"),
        (cell(State.NO_CLIPS), "em-absent", "no clips"),
    ],
)
def test_a_state_has_a_shape_and_a_word(state: TierState, shape: str, word: str) -> None:
    """Never colour alone: every state has a shape, and its word is in the cell's name."""
    told = view_gate.tier_state(state)
    assert f"em-state {shape}" in told
    assert f">{word}<" in told
    matrix = view_gate.matrix([row(one=state)])
    assert matrix.count(f"em-state {shape}") >= 3
    assert f'aria-label="epoch 1 at 0.3, short: {word}' in matrix


def test_every_state_has_a_shape_of_its_own() -> None:
    """No two states look alike, and none is without a look."""
    assert set(view_gate.SHAPES) == {state.value for state in State} == set(view_gate.ABOUT)
    assert len(set(view_gate.SHAPES.values())) == len(State)


def test_the_matrix_is_checkpoints_by_tiers_by_scales() -> None:
    """Twelve checkpoints at five scales: a row a checkpoint, a button a tier and scale, and the base once a tier."""
    scales = (0.2, 0.3, 0.35, 0.5, 1.0)
    tuned = [
        row(replace(EPOCH, checkpoint_id=f"run@{step:06d}", lora_scale=scale)) for step in range(12) for scale in scales
    ]
    told = view_gate.matrix([row(BASE, label="base (robin)"), *tuned])
    assert told.count("<tr>") == 2 + 1 + 12
    assert told.count("data-cell=") == 3 * (1 + 12 * 5)
    assert told.count('colspan="5"') == 3 + 3  # the tiers' headings, and the base's cells
    one = view_gate.matrix(tuned, tiers=(Tier.LONG,))
    assert one.count("data-cell=") == 60
    assert "short" not in one


def test_the_open_cell_is_marked_and_flags_are_named() -> None:
    """Where one looks is marked for eyes and for screen readers; an open flag is in the cell's name."""
    flagged = row(one=cell(State.IN_REVIEW, passes=1, open_flags=1))
    told = view_gate.matrix([flagged], current=view_gate.cell_id(flagged, Tier.LONG))
    assert told.count('aria-current="true"') == 1
    assert "1 of 1 answers passed, 1 open flag" in told


def test_what_keeps_a_checkpoint_stands_once_over_its_candidates() -> None:
    """A checkpoint is kept or not as a whole, whatever its candidates are; one that may go says its size."""
    kept = Retained(checkpoint_id="run@000040", keep=True, reasons=("passed at 0.3", "pinned"), bytes=1)
    told = view_gate.matrix([row(retained=kept), row(replace(EPOCH, lora_scale=1.0), retained=kept)])
    assert told.count("passed at 0.3 and 1 more") == 1
    going = Retained(checkpoint_id="run@000040", keep=False, reasons=("all failed",), bytes=8_300_000)
    gone = view_gate.matrix([row(retained=going)])
    assert "may go" in gone
    assert "8.3 MB" in gone
    assert "in the trash or gone" in view_gate.matrix([row()])


def test_simulated_answers_and_late_ones_are_said() -> None:
    """A rule's answers are never mistaken for a person's, nor an old verdict for one of all answers."""
    assert "simulated" in view_gate.matrix([row(simulated=True)])
    assert "simulated" not in view_gate.matrix([row()])
    kept = Retained(checkpoint_id="run@000040", keep=True, reasons=("passed",), bytes=1)
    assert "answered since the last verdicts" in view_gate.matrix([row(is_behind=True, retained=kept)])


def test_what_is_needed_begins_with_flags_and_disputes() -> None:
    """Whoever can decide something at once is told first; what nobody heard is a number."""
    nearly = row(one=cell(State.IN_REVIEW, passes=1, needed=("1 more clip passed.",)), label="nearly")
    torn = row(one=cell(State.DISPUTED, passes=1, fails=1, needed=("A disputed clip.",)), label="torn")
    flagged = row(one=cell(State.IN_REVIEW, passes=1, open_flags=1, needed=("Confirm.",)), label="flagged")
    fresh = row(one=cell(needed=("1 more clip passed.",)), label="fresh")
    told = view_gate.needed([nearly, torn, flagged, fresh])
    assert re.findall(r"<strong>(\w+)</strong>", told) == ["flagged", "torn", "nearly"]
    assert told.count("A disputed clip.") == 1  # once for its three tiers
    assert told.count("data-cell=") == 9
    assert "1 candidate not heard yet" in told
    assert "Nothing that was heard waits" in view_gate.needed([row()])


def test_a_tiers_passes_prove_no_more_than_they_do() -> None:
    """3 of 3 sounds like much and proves little: the page says how little."""
    told = view_gate.strength(cell(State.PASS, passes=3, pass_rate_above=0.368))
    assert told.startswith("3 of 3 answers passed: they prove a pass rate above 37% with 95 % confidence")
    assert view_gate.strength(cell()) == ""


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
    few = replace(found, second_label="epoch 9", summary=preference_summary(1, 0, 0))
    many = view_gate.how_sure([], [few, *[found] * 4])
    assert "2 more pairs" in many
    assert many.index("<details>") < many.index("epoch 9"), "what was asked most is shown, the rest is folded"


def test_judging_says_what_it_wrote() -> None:
    """Counts by outcome, or that there was nothing new."""
    made: list[Verdict] = [make_verdict(outcome=Outcome.PASS), make_verdict(), make_verdict()]
    assert view_gate.verdicts_written(made) == "Verdicts written: 1 pass, 2 fail."
    assert "Nothing new" in view_gate.verdicts_written([])
