"""When an exploration ends, and what its confirmation needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.adaptive import confirmation
from engine.adaptive.arms import Arm
from engine.adaptive.posterior import posterior, tally
from engine.adaptive.stopping import Exploration, ExplorationRule, exploration
from engine.statistics.comparison import Comparison
from engine.types import BadInput, Choice

BASE = Arm("base", 0, 0)
ARMS = (BASE, Arm("good", 4, 0.5), Arm("bad", 8, 1.0))
RULE = ExplorationRule(least=6, most=60)


def stands(answers: list[Comparison], rule: ExplorationRule = RULE) -> Exploration:
    believed = posterior(ARMS, tally(ARMS, answers))
    return exploration(believed, answers, rule, base="base", random=np.random.default_rng(0))


def won(winner: str, loser: str, times: int) -> list[Comparison]:
    """In both orders in turn."""
    return [Comparison(winner, loser, Choice.A) if n % 2 else Comparison(loser, winner, Choice.B) for n in range(times)]


def test_little_heard_goes_on() -> None:
    """Three answers stop nothing, however clear."""
    found = stands(won("good", "base", 3))
    assert (found.stop, found.reason, found.champion) == (False, "", "good")
    assert 0 < found.within < 1


def test_a_clear_best_stops() -> None:
    """Beating all others often makes it the best, nearly surely."""
    found = stands(won("good", "base", 12) + won("good", "bad", 12))
    assert found.stop
    assert "within 0.25 logits" in found.reason
    assert found.within >= 0.95
    only_most = replace(RULE, only_most=True)
    assert not stands(won("good", "base", 12) + won("good", "bad", 12), only_most).stop


def test_a_champion_that_beats_the_base_stops() -> None:
    """Eight wins of eight against the base have an e-value of 28, though a third one may be as good."""
    found = stands(won("good", "base", 8) + won("bad", "base", 5))
    assert found.within < 0.95
    assert found.e_value == pytest.approx(28.4444, abs=1e-3)
    assert found.stop
    assert "preferred to the base" in found.reason


def test_the_allowed_number_is_the_end() -> None:
    """Equals could be asked about for ever."""
    even = (won("good", "base", 1) + won("base", "good", 1)) * 15 + (won("bad", "base", 1) + won("base", "bad", 1)) * 15
    assert stands(even).reason == "all 60 judgments are used"
    assert stands(even[:58]).reason != "all 60 judgments are used"


def test_losing_to_the_base_is_no_evidence() -> None:
    """The e-value counts in favour of the champion only."""
    found = stands(won("good", "bad", 20) + won("base", "good", 1))
    assert found.e_value == 1.0


@pytest.mark.parametrize("wrong", [{"delta": 0.0}, {"probability": 0.4}, {"most": 0}])
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    """A rule is fixed before the first answer, so it is looked at before."""
    with pytest.raises(BadInput):
        replace(RULE, **wrong)  # type: ignore[arg-type]


def test_a_confirmation_is_small_even_and_counted_alone() -> None:
    """To find a rate of .75 with a power of 80 %; decided by the exact test of its own answers, ties left out."""
    made = confirmation.plan("good", "base")
    assert (made.judgments, made.wins_needed) == (24, 17)
    assert confirmation.outcome(made, won("good", "base", 23)) is None
    state = confirmation.outcome(made, won("good", "base", 17) + won("base", "good", 7))
    assert state is not None
    assert state.decision == "better"
    state = confirmation.outcome(made, won("good", "base", 16) + won("base", "good", 8))
    assert state is not None
    assert not state.stop
    with pytest.raises(BadInput, match="two different"):
        confirmation.plan("good", "good")
