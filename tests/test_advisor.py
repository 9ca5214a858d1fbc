"""The advisor: the decision tree from LoRA to full fine-tuning, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from engine import advisor
from engine.advisor import (
    ACTIONS,
    CLEAN,
    FULL,
    GENTLER,
    KEEP,
    LISTEN,
    LORA,
    MEND,
    MORE_DATA,
    PREFLIGHT,
    STRONGER,
    PastRun,
    Situation,
)
from engine.types import Candidate, Finding, Outcome, RunConfig, Tier, Verdict
from tests.run_factory import prepared

DATA = prepared(Path("home"))
PRESETS = ("default", "lora-preflight", "gentle", "full")


def verdict(outcome: Outcome, told: str = "") -> Verdict:
    return Verdict(
        id="v",
        candidate=Candidate(backend="finch", voice="reed", checkpoint_id="robin@000010", lora_scale=0.35),
        gate="default",
        gate_version=1,
        outcome=outcome,
        findings=(
            Finding(tier=Tier.LONG, outcome=outcome, passes=0, fails=1, explanation=f"Long: one failed ({told})."),
        ),
        decided_by="Ada",
        decided_at=1.0,
    )


PASSED, UNDECIDED = verdict(Outcome.PASS), verdict(Outcome.UNDECIDED)
OVER = verdict(Outcome.FAIL, "dropped word 2 times, merged word")
UNDER = verdict(Outcome.FAIL, "wrong timbre, accent drift")
BOTH = verdict(Outcome.FAIL, "wrong timbre, too fast")
SLOW = verdict(Outcome.FAIL, "too slow")


def run(*verdicts: Verdict, method: str = "lora", max_steps: int = 0, checkpoints: int = 12) -> PastRun:
    config = RunConfig(dataset="set-1", method=method, max_steps=max_steps)
    return PastRun(config=config, steps=120, checkpoints=checkpoints, verdicts=verdicts)


def short(*verdicts: Verdict, checkpoints: int = 2) -> PastRun:
    return run(*verdicts, max_steps=100, checkpoints=checkpoints)


def action(runs: Sequence[PastRun] = (), *, minutes: float = 20.0, full_sft: bool = True, **data: object) -> str:
    dataset = prepared(Path("home"), **data)
    found = advisor.advise(Situation(dataset=dataset, minutes=minutes, runs=runs, full_sft=full_sft, presets=PRESETS))
    assert found.action in ACTIONS
    assert found.title.endswith(".")
    assert all(reason.text.endswith(".") and reason.source for reason in (*found.reasons, *found.hints))
    return found.action


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        pytest.param([], PREFLIGHT, id="nothing was trained yet"),
        pytest.param([short(checkpoints=1)], PREFLIGHT, id="one checkpoint compares nothing"),
        pytest.param([run(checkpoints=0)], PREFLIGHT, id="a run that failed at once"),
        pytest.param([short()], LISTEN, id="a preflight that nobody heard"),
        pytest.param([short(UNDECIDED)], LISTEN, id="undecided is not heard"),
        pytest.param([short(PASSED)], LORA, id="the preflight moved in the right direction"),
        pytest.param([short(UNDER)], LORA, id="too short to reach the voice"),
        pytest.param([short(OVER)], GENTLER, id="a preflight that drops words"),
        pytest.param([short(SLOW)], MEND, id="no direction is to be heard"),
        pytest.param([run(), short(PASSED)], LISTEN, id="a preflight passed, nobody heard the long run"),
        pytest.param([run(PASSED)], KEEP, id="a candidate passed"),
        pytest.param([run(OVER, PASSED)], KEEP, id="one passed among failures"),
        pytest.param([run(OVER)], GENTLER, id="over-adapted"),
        pytest.param([run(UNDER), short(PASSED)], FULL, id="the long run says more than the preflight"),
        pytest.param([run(UNDER, UNDER)], FULL, id="clean and under-adapted"),
        pytest.param([run(UNDER, UNDER, OVER)], FULL, id="mostly under-adapted"),
        pytest.param([run(BOTH)], MEND, id="as much too fast as wrong"),
        pytest.param([run(SLOW)], MEND, id="too slow says nothing of the adapter"),
        pytest.param([run(method="full"), run(UNDER)], LISTEN, id="a full run that nobody heard"),
        pytest.param([run(OVER, method="full"), run(UNDER)], GENTLER, id="full fine-tuning forgot how to speak"),
        pytest.param([run(PASSED, method="full"), run(UNDER)], KEEP, id="full fine-tuning passed"),
    ],
)
def test_the_tree(runs: list[PastRun], expected: str) -> None:
    """What follows from clean data of 20 minutes and the runs so far."""
    assert action(runs) == expected


def test_data_come_before_everything() -> None:
    """With errors that nobody decided about the advice is to mend them, whatever was trained; full is never next."""
    for runs in ([], [run(UNDER)], [run(PASSED)], [run(method="full")]):
        assert action(runs, unresolved=6, bad_row_share=0.1) == CLEAN
    found = advisor.advise(Situation(dataset=prepared(Path("home"), unresolved=6, bad_row_share=0.1), minutes=20.0))
    assert "57% of the steps" in found.reasons[0].text  # 1 - 0.9 ** 8


@pytest.mark.parametrize(
    ("minutes", "full_sft", "expected"),
    [(0.5, True, MORE_DATA), (9.0, True, STRONGER), (20.0, False, STRONGER), (20.0, True, FULL)],
)
def test_full_needs_data_and_a_model_that_can(minutes: float, full_sft: bool, expected: str) -> None:
    """Under-adapted LoRA escalates only with 10 minutes and a model whose weights can all be trained."""
    assert action([run(UNDER)], minutes=minutes, full_sft=full_sft) == expected


def test_hints_follow_the_data() -> None:
    """Scales are always hinted at; little data and missing validation get a word of their own."""

    def hints(minutes: float, **data: object) -> str:
        situation = Situation(dataset=prepared(Path("home"), **data), minutes=minutes)
        return " ".join(hint.text for hint in advisor.advise(situation).hints)

    assert "0.2, 0.3, 0.35 and 0.5" in hints(20.0)
    assert "rank 8" in hints(5.0)
    assert "2.0 minutes" in hints(2.0)
    assert "Hold rows out" in hints(20.0, validation_count=0)
    assert "Hold rows out" not in hints(20.0)


def test_only_presets_that_are_there_are_named() -> None:
    """An advice names the preset that does it, or none where the model has no such preset."""
    assert advisor.advise(Situation(dataset=DATA, minutes=20.0, presets=PRESETS)).preset == "lora-preflight"
    assert advisor.advise(Situation(dataset=DATA, minutes=20.0, presets=("default",))).preset == ""


def test_reasons_are_counted_a_candidate() -> None:
    """A code counts once a failed candidate, however often it was named; what passed counts nothing."""
    counts = advisor.heard([OVER, OVER, PASSED, verdict(Outcome.UNDECIDED, "noise")])
    assert counts == {"dropped word": 2, "merged word": 2}


def test_reasons_of_earlier_versions_are_counted_as_those_of_today() -> None:
    """An old verdict says "wrong voice"; that is today's "wrong timbre", and "another" is no reason at all."""
    told = [verdict(Outcome.FAIL, "wrong voice, accent 2 times, merged words; another one"), UNDER]
    assert advisor.heard(told) == {"wrong timbre": 2, "accent drift": 2, "merged word": 1}
