"""Adaptive tests through the real studio: chosen one by one, kept before they are shown, the same again on replay."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.studio import Studio
from engine.types import (
    BadInput,
    Candidate,
    Choice,
    Design,
    ListeningTest,
    Refused,
    Session,
    StopRule,
    Tier,
    TrialKind,
    TrialRole,
)
from engine.workspace import Workspace
from tests.test_studio import BASE, TUNED, put_clip

SCALES = (0.2, 0.35, 0.5, 1.0)
CANDIDATES = (BASE, *(replace(TUNED, lora_scale=scale) for scale in SCALES))
BEST = CANDIDATES[3]


@pytest.fixture(name="studio")
def _studio(tmp_path: Path) -> Iterator[Studio]:
    with Studio(Workspace(tmp_path), clock=lambda: 1_000.0) as studio:
        for candidate in CANDIDATES:
            for tier in Tier:
                put_clip(studio, candidate, tier)
        yield studio


def adaptive(studio: Studio, *, reviewers: tuple[str, ...] = ("Ada", "Ben"), **more: object) -> ListeningTest:
    plan = studio.new_test(TrialKind.PREFERENCE, by="Eve")
    changes: dict[str, object] = {
        "name": "which scale",
        "candidates": CANDIDATES,
        "reviewers": reviewers,
        "design": Design.ADAPTIVE,
        "seed": 11,
        "stop": StopRule(method="evalue", max_judgments=40),
        "training": False,
        **more,
    }
    return studio.make_test(replace(plan, **changes))  # type: ignore[arg-type]


def heard(studio: Studio, trial_id: str) -> tuple[Candidate, Candidate]:
    one, other = (studio.clip(slot.clip_id).candidate for slot in studio.store.trial(trial_id).slots)
    return one, other


def answer(studio: Studio, trial_id: str) -> None:
    """As somebody who likes what is nearest to the best scale."""
    a, b = (abs(c.lora_scale - BEST.lora_scale) for c in heard(studio, trial_id))
    studio.answer(trial_id, Choice.TIE if a == b else Choice.A if a < b else Choice.B)


def sit(studio: Studio, session: Session, most: int = 1000) -> int:
    for count in range(most):
        trial = studio.next_trial(session.id)
        if trial is None:
            return count
        answer(studio, trial.trial_id)
    return most


def sessions(studio: Studio, test: ListeningTest) -> list[Session]:
    return [each.session for each in studio.test(test.id).sittings]


def test_an_adaptive_test_finds_the_best_and_stops(studio: Studio) -> None:
    """Two reviewers in turn; it ends by its rule for both, with the scale that was liked as champion."""
    test = adaptive(studio)
    ada, ben = sessions(studio, test)
    while sit(studio, ada, 1) + sit(studio, ben, 1):
        pass
    found = studio.explored(test.id)
    assert found.state.stop
    assert found.state.champion == BEST.id
    assert found.state.judgments <= 40
    assert all(each.session.closed_at is not None for each in studio.test(test.id).sittings)
    assert studio.replayed(test.id) == [True] * found.state.judgments


def test_a_choice_is_kept_before_it_is_shown(studio: Studio, tmp_path: Path) -> None:
    """Reloading, or another process on the same workspace, gives the same trial; every choice can be made again."""
    test = adaptive(studio)
    ada, ben = sessions(studio, test)
    sit(studio, ada, 5)
    shown = studio.next_trial(ada.id)
    assert shown is not None
    assert studio.next_trial(ada.id) == shown
    assert [trial.id for trial in studio.store.trials(ada.id)][-1] == shown.trial_id
    studio.close()
    with Studio(Workspace(tmp_path), clock=lambda: 2_000.0) as again:
        reloaded = again.next_trial(ada.id)
        assert reloaded is not None
        assert reloaded.trial_id == shown.trial_id
        assert [token for _, token in reloaded.slots] == [token for _, token in shown.slots]
        sit(again, ben, 4)
        assert again.replayed(test.id) == [True] * 10


def test_an_answer_that_was_taken_back_is_not_counted(studio: Studio) -> None:
    """Withdrawn it is pending again, and the replay knows."""
    test = adaptive(studio, reviewers=("Ada",))
    [ada] = sessions(studio, test)
    sit(studio, ada, 3)
    studio.next_trial(ada.id)
    last = list(studio.store.responses(ada.id))[-1].trial_id
    studio.withdraw(ada.id, last)
    assert studio.explored(test.id).state.judgments == 2
    sit(studio, ada, 4)
    assert all(studio.replayed(test.id))


def test_reviewers_at_the_same_time(studio: Studio) -> None:
    """Four at once, each in a thread: no choice is lost or made twice, and nobody is asked more than allowed."""
    test = adaptive(studio, reviewers=("Ada", "Ben", "Cas", "Dan"), stop=StopRule(method="none", max_judgments=30))
    threads = [threading.Thread(target=sit, args=(studio, each)) for each in sessions(studio, test)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = studio.explored(test.id)
    assert (found.state.judgments, found.pending) == (30, 0)
    assert found.state.reason == "all 30 judgments are used"
    assert studio.replayed(test.id) == [True] * 30


def test_each_reviewer_has_a_share(studio: Studio) -> None:
    """`judgments` is the most that one reviewer is asked; catch trials come on top and are not counted."""
    test = adaptive(studio, judgments=6, catch_rate=0.3, stop=StopRule(method="none", max_judgments=30))
    ada, _ = sessions(studio, test)
    sit(studio, ada)
    roles = [trial.role for trial in studio.store.trials(ada.id)]
    assert roles.count(TrialRole.MAIN) == 6
    assert len(roles) > 6
    assert studio.explored(test.id).state.judgments == 6


def test_a_dry_run_is_heard_and_never_counted(studio: Studio) -> None:
    """An engineer's try neither informs the choices of others nor uses up judgments."""
    test = adaptive(studio)
    dry = studio.start_dry_run(test.id, by="Eve")
    assert sit(studio, dry, 3) == 3
    assert studio.explored(test.id).state.judgments == 0
    assert studio.explored(test.id).pending == 0


def test_sides_stay_even(studio: Studio) -> None:
    """Over a sitting, whichever pair comes up again is turned round."""
    test = adaptive(studio, reviewers=("Ada",), stop=StopRule(method="none", max_judgments=20))
    [ada] = sessions(studio, test)
    sit(studio, ada)
    surplus: dict[tuple[str, str], int] = {}
    for trial in studio.store.trials(ada.id):
        a, b = (c.id for c in heard(studio, trial.id))
        surplus[min(a, b), max(a, b)] = surplus.get((min(a, b), max(a, b)), 0) + (1 if a < b else -1)
    assert max(map(abs, surplus.values())) <= 1


def test_the_confirmation_is_a_fixed_test_of_its_own(studio: Studio) -> None:
    """Refused while exploring; then the champion against the base, enough judgments, the exact test named."""
    test = adaptive(studio)
    with pytest.raises(Refused, match="still exploring"):
        studio.confirm(test.id, by="Eve")
    ada, ben = sessions(studio, test)
    while sit(studio, ada, 1) + sit(studio, ben, 1):
        pass
    made = studio.confirm(test.id, by="Eve")
    assert made.design is Design.FIXED
    assert made.candidates == (BEST, BASE)
    assert made.stop.method == "exact"
    assert made.judgments * len(made.reviewers) >= 24
    with pytest.raises(BadInput, match="fixed design"):
        studio.explored(made.id)
