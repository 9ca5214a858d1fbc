"""From a plan to a sitting: balance of sides, places and lines, checks at their rate, and plans that cannot be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import listening
from engine.types import (
    CATCHES,
    BadInput,
    Candidate,
    Clip,
    Design,
    ListeningTest,
    Order,
    Pairing,
    Session,
    Treatment,
    Trial,
    TrialKind,
    TrialRole,
)
from tests.judgement_factory import BASE, make_candidate, make_clip, make_session, token_factory

PAIRS = (TrialKind.PREFERENCE, TrialKind.CMOS, TrialKind.ABX)
kinds = st.sampled_from(TrialKind)
seeds = st.integers(0, 10_000)


def candidates(n: int) -> tuple[Candidate, ...]:
    return (BASE, *(make_candidate(step=100 * k) for k in range(1, n)))


def plan(kind: TrialKind, *, n: int = 4, lines: int = 5, **changes: Any) -> ListeningTest:
    test = ListeningTest(
        id="test",
        name="a test",
        kind=kind,
        candidates=candidates(n),
        lines=tuple(f"l{k}" for k in range(lines)),
        reviewers=("Ana", "Ben"),
        seed=7,
        created_by="Ed",
        created_at=1.0,
    )
    return replace(test, **changes)


def clips_of(test: ListeningTest) -> dict[tuple[str, str], Clip]:
    return {(c.id, line): make_clip(c, line=line) for c in test.candidates for line in test.lines}


def sit(test: ListeningTest, *, place: int = 0, balance: listening.SideBalance | None = None) -> list[Trial]:
    session = replace(make_session(f"s{place}", kind=test.kind), seed=listening.sitting_seed(test.seed, place))
    session = replace(session, place=place, test_id=test.id)
    return listening.sitting_trials(test, session, clips_of(test), new_token=token_factory(), balance=balance)


def name_of(clip_id: str) -> str:
    return clip_id.split(" ")[2]


def heard(trial: Trial) -> tuple[str, ...]:
    return tuple(f"{name_of(slot.clip_id)} {slot.treatment}".strip() for slot in trial.slots)


@given(st.sampled_from(PAIRS), st.integers(2, 5), st.integers(1, 8), seeds, st.integers(0, 5), st.sampled_from(Order))
@settings(max_examples=60)
def test_sides_are_even_after_any_number_of_trials(
    kind: TrialKind, n: int, lines: int, seed: int, place: int, order: Order
) -> None:
    """Of each pair, over the first 2k trials and any other beginning, A and B differ by one at most; X likewise."""
    standing: Counter[tuple[str, ...]] = Counter()
    for trial in sit(plan(kind, n=n, lines=lines, seed=seed, order=order, catch_rate=0.2), place=place):
        if trial.role not in (TrialRole.MAIN, TrialRole.REPEAT):
            continue
        a, b, *x = heard(trial)
        names = (min(a, b), max(a, b))
        standing[names] += 1 if a < b else -1
        if x:
            standing[(*names, "X")] += 1 if x[0] == a else -1
        assert all(abs(count) <= 1 for count in standing.values())


@given(seeds, st.integers(2, 6))
@settings(max_examples=30)
def test_sides_go_on_being_even_over_sittings(seed: int, lines: int) -> None:
    """What a reviewer has heard before counts on in their next sitting, for pairs and for X."""
    test = plan(TrialKind.ABX, n=3, lines=lines, seed=seed)
    trials: list[Trial] = []
    for place in range(3):
        trials += sit(test, place=place, balance=listening.side_balance(trials, name_of))
    assert all(abs(count) <= 1 for count in listening.side_balance(trials, name_of).values())


@pytest.mark.parametrize("kind", TrialKind)
def test_every_question_is_asked_once(kind: TrialKind) -> None:
    """Without a limit, each candidate, pair or set is heard on every line once, by every reviewer."""
    test = plan(kind)
    trials = [trial for trial in sit(test) if trial.counts]
    asked = Counter((frozenset(heard(trial)), trial.line_id) for trial in trials)
    assert set(asked.values()) == {1}
    assert len(asked) == len(listening.treatments(test)) * len(test.lines)


@pytest.mark.parametrize("kind", TrialKind)
@pytest.mark.parametrize("order", Order)
def test_no_sentence_comes_twice_in_a_row(kind: TrialKind, order: Order) -> None:
    """Not even between the training trial, the evidence and the checks."""
    for place in range(6):
        trials = sit(plan(kind, order=order, catch_rate=0.2), place=place)
        assert all(one.line_id != other.line_id for one, other in pairwise(trials))


def test_williams_rows_are_shared_out_over_reviewers() -> None:
    """With as many reviewers as rows, every candidate comes at every place and after every other equally often."""
    test = plan(TrialKind.MOS, order=Order.WILLIAMS, training=False, lines=4)
    first_passes = [[heard(trial)[0] for trial in sit(test, place=place)[:4]] for place in range(4)]
    after = Counter(pair for row in first_passes for pair in pairwise(row))
    assert set(after.values()) == {1}
    assert len(after) == 12
    assert all(len({row[place] for row in first_passes}) == 4 for place in range(4))


def test_the_places_of_a_multi_trial_are_balanced() -> None:
    """Over as many trials as a square has rows, every stimulus is under every label equally often."""
    trials = sit(plan(TrialKind.MULTI, n=4, lines=8, training=False))
    for place in range(4):
        assert set(Counter(heard(trial)[place] for trial in trials).values()) == {2}


@pytest.mark.parametrize("judgments", [3, 7, 12])
def test_a_part_of_the_questions_is_a_balanced_part(judgments: int) -> None:
    """Whoever answers fewer questions hears every pair about as often as any other, and reviewers other lines."""
    test = plan(TrialKind.PREFERENCE, judgments=judgments)
    parts = [[trial for trial in sit(test, place=place) if trial.counts] for place in range(3)]
    for part in parts:
        assert len(part) == judgments
        counts = Counter(frozenset(heard(trial)) for trial in part)
        assert max(counts.values()) - (min(counts.values()) if len(counts) == 6 else 0) <= 1
    assert len({frozenset((frozenset(heard(t)), t.line_id) for t in part) for part in parts}) == 3


@pytest.mark.parametrize("kind", TrialKind)
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.25, 0.5])
def test_checks_come_at_their_rate(kind: TrialKind, rate: float) -> None:
    """The stated share of all trials but training are checks, to the nearest trial."""
    asked = [trial for trial in sit(plan(kind, n=5, lines=6, catch_rate=rate)) if trial.role is not TrialRole.TRAINING]
    checks = sum(trial.is_catch for trial in asked)
    assert abs(checks - rate * len(asked)) <= 1


def test_checks_are_what_they_say() -> None:
    """An identical pair is one clip twice, an anchor is a clip and its degraded self, a repeat an earlier question."""
    trials = sit(plan(TrialKind.CMOS, catch_rate=0.4))
    by_id = {trial.id: trial for trial in trials}
    roles = Counter(trial.role for trial in trials if trial.is_catch)
    assert set(roles) == set(CATCHES)
    assert max(roles.values()) - min(roles.values()) <= 1
    for trial in trials:
        a, b = trial.slots
        if trial.role is TrialRole.IDENTICAL:
            assert (a.clip_id, a.treatment) == (b.clip_id, b.treatment)
        if trial.role is TrialRole.ANCHOR:
            assert a.clip_id == b.clip_id
            assert {a.treatment, b.treatment} == {Treatment.NONE, Treatment.LOWPASS}
        if trial.role is TrialRole.REPEAT:
            before = by_id[str(trial.repeats)]
            assert (before.position < trial.position, before.role) == (True, TrialRole.MAIN)
            assert (set(heard(before)), before.line_id) == (set(heard(trial)), trial.line_id)


@given(kinds, seeds, st.integers(0, 3))
@settings(max_examples=40)
def test_the_order_looks_at_lines_and_not_at_candidates(kind: TrialKind, seed: int, place: int) -> None:
    """Other candidates on the same lines: the same lines in the same order, roles at the same places."""
    test = plan(kind, seed=seed, catch_rate=0.2)
    others = replace(test, candidates=tuple(make_candidate(0.9, step=7 * k + 1, run="zz") for k in range(4)))
    shown = [[(t.line_id, t.text, len(t.slots), t.role) for t in sit(each, place=place)] for each in (test, others)]
    assert shown[0] == shown[1]


@given(kinds, seeds)
@settings(max_examples=30)
def test_a_seed_draws_the_same_sitting_again(kind: TrialKind, seed: int) -> None:
    """Whoever has the plan can draw every sitting again, side by side."""
    test = plan(kind, seed=seed, catch_rate=0.2)
    assert sit(test, place=1) == sit(test, place=1)
    assert [t.slots for t in sit(test, place=1)] != [t.slots for t in sit(test, place=2)]


def test_a_low_anchor_is_the_base_degraded_in_every_trial() -> None:
    """It is one of the sounds, under a label like theirs."""
    for trial in sit(plan(TrialKind.MULTI, low_anchor=True)):
        bad = [slot for slot in trial.slots if slot.treatment is Treatment.LOWPASS]
        assert [name_of(slot.clip_id) for slot in bad] == [BASE.id]
        assert len(trial.slots) == 5


def test_an_adaptive_sitting_begins_with_training_alone() -> None:
    """The rest is chosen while answers come in."""
    assert [t.role for t in sit(plan(TrialKind.PREFERENCE, design=Design.ADAPTIVE))] == [TrialRole.TRAINING]


def test_the_first_may_meet_each_other_one_alone() -> None:
    """With the first as the reference, pairs of others are not asked."""
    trials = [t for t in sit(plan(TrialKind.PREFERENCE, pairing=Pairing.FIRST)) if t.counts]
    assert all(BASE.id in heard(trial) for trial in trials)
    assert len(trials) == 3 * 5


WRONG: Sequence[tuple[dict[str, Any], str]] = [
    ({"name": " "}, "name"),
    ({"candidates": candidates(1)}, "at least 2"),
    ({"candidates": (BASE, BASE)}, "twice"),
    ({"lines": ()}, "line"),
    ({"reviewers": ()}, "reviewer"),
    ({"reviewers": ("Ana", "Ana")}, "twice"),
    ({"judgments": -1}, "judgments"),
    ({"catch_rate": 0.6}, "0.5"),
    ({"catches": (), "catch_rate": 0.1}, "catch trials"),
    ({"low_anchor": True}, "multi-stimulus"),
    ({"kind": TrialKind.MOS, "design": Design.ADAPTIVE}, "adaptive"),
    ({"anchor": Treatment.NONE}, "degraded"),
]


@pytest.mark.parametrize(("changes", "told"), WRONG, ids=lambda each: str(each)[:30])
def test_a_plan_that_cannot_be_carried_out_says_what_to_change(changes: dict[str, Any], told: str) -> None:
    """Before anything is kept."""
    listening.check_test(plan(TrialKind.PREFERENCE))
    with pytest.raises(BadInput, match=told):
        listening.check_test(replace(plan(TrialKind.PREFERENCE), **changes))


def test_more_than_eight_sounds_are_too_many() -> None:
    """Nobody holds more in mind; the anchor is one of them."""
    sit(plan(TrialKind.MULTI, n=8))
    with pytest.raises(BadInput, match="2 to 8"):
        sit(plan(TrialKind.MULTI, n=8, low_anchor=True))


def test_a_missing_clip_is_named() -> None:
    """With the candidate and the line, and what to do."""
    test = plan(TrialKind.MOS)
    session: Session = replace(make_session(kind=TrialKind.MOS), test_id=test.id)
    clips = clips_of(test)
    del clips[BASE.id, "l2"]
    with pytest.raises(BadInput, match=r"base:finch/robin has no clip of line 'l2'"):
        listening.sitting_trials(test, session, clips, new_token=token_factory())
