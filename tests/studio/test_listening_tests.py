"""Listening tests through the studio: several reviewers, newcomers, ends, and what retention and sides make of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.studio import Studio
from engine.types import BadInput, Choice, ListeningTest, Refused, Tier, TrialKind
from engine.workspace import Workspace
from tests.test_studio import BASE, TUNED, answer_all, put_clip


@pytest.fixture(name="studio")
def _studio(tmp_path: Path) -> Iterator[Studio]:
    with Studio(Workspace(tmp_path), clock=lambda: 1_000.0) as studio:
        for candidate in (BASE, TUNED):
            for tier in Tier:
                put_clip(studio, candidate, tier)
        yield studio


def opened(studio: Studio, kind: TrialKind = TrialKind.PREFERENCE, **plan: Any) -> ListeningTest:
    test = studio.new_test(kind, by="Ed")
    made = replace(test, name="a test", candidates=(BASE, TUNED), reviewers=("Ana", "Ben"), training=False, **plan)
    return studio.make_test(made)


def test_each_reviewer_has_a_sitting_of_their_own(studio: Studio) -> None:
    """Their trials differ in order and sides, and the state counts answers and tells none."""
    test = opened(studio)
    ana, ben = studio.test(test.id).sittings
    assert (ana.session.reviewer, ana.total, ben.session.reviewer, ben.total) == ("Ana", 3, "Ben", 3)
    answer_all(studio, ana.session.id, Choice.A)
    assert [(each.answered, each.total) for each in studio.test(test.id).sittings] == [(3, 3), (0, 3)]
    assert studio.waiting_sittings("Ana") == []
    assert [each.session.reviewer for each in studio.waiting_sittings()] == ["Ben"]


def test_a_sitting_goes_on_on_another_device_and_after_a_restart(studio: Studio) -> None:
    """What was answered stays answered, and the open trial comes with the tokens and sounds it had."""
    session = studio.test(opened(studio).id).sittings[0].session.id
    first = studio.next_trial(session)
    assert first is not None
    studio.answer(first.trial_id, Choice.TIE)
    second = studio.next_trial(session)
    assert second is not None
    heard = [studio.stimulus(token) for _, token in second.slots]
    home = studio.workspace.root
    studio.close()
    with Studio(Workspace(home)) as again:
        assert again.next_trial(session) == second
        assert [again.stimulus(token) for _, token in second.slots] == heard
        assert again.session_progress(session) == (1, 3)


def test_a_newcomer_takes_the_next_place(studio: Studio) -> None:
    """With a row and a seed of their own; nobody takes part twice, nor in what has ended."""
    test = opened(studio)
    session = studio.add_reviewer(test.id, "Cleo")
    assert (session.place, session.test_id) == (2, test.id)
    with pytest.raises(Refused, match="already"):
        studio.add_reviewer(test.id, "Cleo")
    studio.close_test(test.id, by="Ed")
    with pytest.raises(Refused, match="ended"):
        studio.add_reviewer(test.id, "Dora")


def test_a_multi_stimulus_test_hides_the_base_among_the_rest(studio: Studio) -> None:
    """Without being asked: it is the control."""
    test = studio.new_test(TrialKind.MULTI, by="Ed")
    made = studio.make_test(replace(test, name="all", candidates=(TUNED,), reviewers=("Ana",)))
    assert made.candidates == (BASE, TUNED)


def test_a_checkpoint_in_an_open_test_stays_until_the_test_ends(studio: Studio) -> None:
    """Nothing that somebody is about to hear goes to the trash."""
    test = opened(studio)
    assert {t.kind for t in studio.store.open_trials()} == {TrialKind.PREFERENCE}
    studio.close_test(test.id, by="Ed")
    assert studio.store.open_trials() == []


def test_a_plan_is_kept_as_it_was_made(studio: Studio) -> None:
    """Seed, rules, versions and lines come back from the database exactly."""
    test = opened(studio, TrialKind.CMOS, catch_rate=0.2)
    assert studio.store.test(test.id) == test
    assert test.method.startswith("listening/")
    assert len(test.lines) == 3


@pytest.mark.parametrize("days", [0.0, -1.0, 400.0])
def test_an_invitation_has_a_sensible_end(studio: Studio, days: float) -> None:
    """Neither at once nor never."""
    with pytest.raises(BadInput, match="days"):
        studio.invite("Ana", by="Ed", days=days)
