"""Results through the real studio: letters until somebody asks by name, nothing counted that is no evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.studio import Results, Studio
from engine.types import BadInput, Candidate, Choice, Design, ListeningTest, StopRule, Tier, TrialKind
from engine.workspace import Workspace
from tests.test_studio import BASE, TUNED, put_clip

OTHER = replace(TUNED, lora_scale=1.0)
CANDIDATES = (BASE, TUNED, OTHER)


@pytest.fixture(name="studio")
def _studio(tmp_path: Path) -> Iterator[Studio]:
    with Studio(Workspace(tmp_path), clock=lambda: 1_000.0) as studio:
        for candidate in CANDIDATES:
            for tier in Tier:
                put_clip(studio, candidate, tier)
        yield studio


def make(studio: Studio, kind: TrialKind = TrialKind.PREFERENCE, **more: object) -> ListeningTest:
    plan = studio.new_test(kind, by="Eve")
    changes = {"name": "t", "candidates": CANDIDATES, "reviewers": ("Ada", "Ben"), "training": True, **more}
    return studio.make_test(replace(plan, **changes))  # type: ignore[arg-type]


def worth(candidate: Candidate) -> float:
    return {BASE.id: 1.0, TUNED.id: 3.0, OTHER.id: 2.0}[candidate.id]


def sit(studio: Studio, session_id: str) -> None:
    """Somebody to whom TUNED sounds best and who hears what is degraded."""
    while (view := studio.next_trial(session_id)) is not None:
        trial = studio.store.trial(view.trial_id)
        values = [worth(studio.clip(s.clip_id).candidate) - 5 * bool(s.treatment) for s in trial.slots]
        if trial.kind is TrialKind.PREFERENCE:
            a, b = values
            studio.answer(trial.id, Choice.TIE if a == b else Choice.A if a > b else Choice.B)
        elif trial.kind is TrialKind.MOS:
            studio.answer(trial.id, rating=max(1.0, values[0] + 2))
        else:
            studio.answer(
                trial.id, ratings={s.label: 20.0 + 20 * max(0, v) for s, v in zip(trial.slots, values, strict=False)}
            )


def sit_all(studio: Studio, test: ListeningTest) -> Results:
    for each in studio.test(test.id).sittings:
        sit(studio, each.session.id)
    return studio.results(test.id)


def test_letters_until_a_named_person_asks(studio: Studio) -> None:
    """Nothing of a result says which candidate is which before; then it does, and who asked when is kept."""
    test = make(studio, catch_rate=0.3)
    found = sit_all(studio, test)
    assert found.is_blinded
    assert found.names == ("A", "B", "C")
    assert set(found.whole.fit.strengths) == {"A", "B", "C"} if found.whole.fit else False
    told = repr(replace(found, state=None))  # type: ignore[arg-type]
    for secret in ("epoch", "base", "reed", "steph", *(c.id for c in CANDIDATES)):
        assert secret not in told
    with pytest.raises(BadInput, match="your name"):
        studio.unblind(test.id, by=" ")
    studio.unblind(test.id, by="Eve")
    named = studio.results(test.id)
    assert [(u.by, u.was_open) for u in named.unblindings] == [("Eve", True)]
    assert named.whole.leader == studio.label(TUNED)
    assert named.whole.gap == pytest.approx(found.whole.gap)
    assert studio.store.acts("unblind")[0].data["answered"] > 0


def test_letters_differ_from_test_to_test(studio: Studio) -> None:
    """The letter of a candidate says nothing in the next test."""
    first = {tuple(studio._names(make(studio, seed=seed), blinded=True).values()) for seed in range(8)}
    assert len(first) > 2


def test_only_evidence_counts(studio: Studio) -> None:
    """Neither training nor catch trials nor a dry run are judgments about candidates; lines add up to the whole."""
    test = make(studio, catch_rate=0.3)
    dry = studio.start_dry_run(test.id, by="Eve")
    sit(studio, dry.id)
    assert studio.results(test.id).whole.judgments == 0
    found = sit_all(studio, test)
    assert found.whole.judgments == 2 * 9
    assert sum(line.judgments for line in found.lines) == 18
    assert all(line.wins == line.decided for line in found.lines)
    assert all(one.kept and one.checks > 0 for one in found.reliability.reviewers)
    assert found.kept is None


def test_a_reviewer_who_fails_the_checks_is_left_out_and_both_are_shown(studio: Studio) -> None:
    """Ben always says A: his identical pairs and anchors fail, and the result without him stands beside."""
    test = make(studio, catch_rate=0.4, reviewers=("Ada", "Ben"))
    ada, ben = (each.session.id for each in studio.test(test.id).sittings)
    sit(studio, ada)
    while (view := studio.next_trial(ben)) is not None:
        studio.answer(view.trial_id, Choice.A)
    found = studio.results(test.id)
    assert [(one.reviewer, one.kept) for one in found.reliability.reviewers] == [("Ada", True), ("Ben", False)]
    assert found.kept is not None
    assert (found.whole.judgments, found.kept.judgments) == (18, 9)
    assert found.kept.gap > found.whole.gap


def test_the_stop_rule_of_a_fixed_test(studio: Studio) -> None:
    """Leader against runner-up, by the rule that the test was made with."""
    found = sit_all(studio, make(studio, stop=StopRule(method="evalue"), candidates=(BASE, TUNED)))
    assert found.stop is not None
    assert (found.stop.stop, found.stop.statistic) == (False, pytest.approx(2**6 / 7))
    assert found.more_until_stop == 2


@pytest.mark.parametrize("kind", [TrialKind.MOS, TrialKind.MULTI])
def test_ratings(studio: Studio, kind: TrialKind) -> None:
    """Means by candidate; the hidden control of a slider test is there under a letter."""
    found = sit_all(studio, make(studio, kind))
    assert len(found.whole.ratings) == 3
    assert found.whole.leader in found.names
    assert not any(name.startswith(("A (", "B (", "C (")) for name in found.whole.ratings)
    assert all(line.leader_mean and line.others_mean and line.leader_mean > line.others_mean for line in found.lines)


def test_an_exploration_under_letters(studio: Studio) -> None:
    """How far it is, without saying where the champion lies; unblinded with epoch and scale."""
    test = make(studio, design=Design.ADAPTIVE, stop=StopRule(method="none", max_judgments=16))
    found = sit_all(studio, test)
    assert found.explorer is not None
    assert (found.explorer.judgments, found.explorer.most) == (16, 16)
    assert found.explorer.champion in found.names
    assert {one.scale for one in found.explorer.believed} == {None}
    studio.unblind(test.id, by="Eve")
    named = studio.results(test.id).explorer
    assert named is not None
    assert {one.scale for one in named.believed} == {0.0, 0.5, 1.0}
    assert named.champion == studio.label(TUNED)
