"""Retention: what keeps a checkpoint, by table, and that nothing ever drops what must stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import retention
from engine.retention import Facts, retain
from engine.types import Checkpoint, Outcome, Retained, Tier, Verdict
from tests.judgement_factory import BASE, make_candidate, make_checkpoint, make_promotion, make_verdict

DAY = 86_400.0
NOW = 1000 * DAY
PASS, FAIL, UNDECIDED = Outcome.PASS, Outcome.FAIL, Outcome.UNDECIDED

SUBJECT = make_checkpoint(100)
LAST = make_checkpoint(200)  # so that the subject is not the last of its run
HALF, FULL = make_candidate(0.5), make_candidate(1.0)
OTHER = make_candidate(0.5, step=200)
FAILED = (make_verdict(HALF),)


def disputed_verdict() -> Verdict:
    """Two reviewers passed the short tier and one failed it."""
    verdict = make_verdict(HALF, UNDECIDED)
    return replace(verdict, findings=(replace(verdict.findings[0], passes=2, fails=1),))


def torn_verdict() -> Verdict:
    """Everybody passed it, and they disagree about a flag."""
    verdict = make_verdict(HALF, UNDECIDED)
    return replace(verdict, findings=tuple(replace(finding, is_disputed=True) for finding in verdict.findings))


def unheard_verdict() -> Verdict:
    """An automatic rule failed it before anybody listened."""
    verdict = make_verdict(HALF)
    return replace(verdict, findings=tuple(replace(finding, passes=0) for finding in verdict.findings))


def answer(**facts: object) -> Retained:
    """What retention says of the subject; by default it has one candidate, rendered and failed."""
    given_facts: dict[str, object] = {"verdicts": FAILED, "swept_candidates": frozenset({HALF}), "now": NOW, **facts}
    return retain([SUBJECT, LAST], Facts(**given_facts))[0]  # type: ignore[arg-type]


def test_a_checkpoint_whose_every_candidate_failed_may_go() -> None:
    """Nothing keeps it: the reasons are the failing verdicts, with who decided and why."""
    told = answer(verdicts=(*FAILED, make_verdict(FULL)), swept_candidates=frozenset({HALF, FULL}))
    assert told == Retained(
        checkpoint_id="run@000100",
        keep=False,
        reasons=("scale 0.5 failed (Ada): Short: fail", "scale 1 failed (Ada): Short: fail"),
        bytes=1000,
    )


@pytest.mark.parametrize(
    ("facts", "reasons"),
    [
        ({"verdicts": (), "swept_candidates": frozenset()}, ("no verdict yet",)),
        ({"verdicts": ()}, ("scale 0.5 has no verdict yet",)),
        ({"swept_candidates": frozenset({HALF, FULL})}, ("scale 1 has no verdict yet",)),
        ({"verdicts": (make_verdict(HALF, UNDECIDED),)}, ("scale 0.5 is undecided",)),
        ({"verdicts": (make_verdict(HALF, PASS),)}, ("scale 0.5 passed",)),
        ({"verdicts": (*FAILED, make_verdict(FULL, PASS))}, ("scale 1 passed",)),
        ({"verdicts": (*FAILED, make_verdict(HALF, PASS, gate="strict"))}, ("scale 0.5 passed",)),
        ({"open_trial_checkpoints": frozenset({SUBJECT.id})}, ("in an open trial",)),
        ({"pinned": frozenset({SUBJECT.id})}, ("pinned",)),
        ({"verdicts": (disputed_verdict(),)}, ("scale 0.5 is disputed (2 pass, 1 fail)",)),
        ({"verdicts": (torn_verdict(),)}, ("scale 0.5 is disputed (3 pass, 0 fail)",)),
        ({"verdicts": (unheard_verdict(),)}, ("scale 0.5 failed by an automatic rule and was heard by nobody",)),
        ({"overtaken_candidates": frozenset({HALF})}, ("scale 0.5 was answered about since its verdict",)),
        ({"favourites": (SUBJECT.id, LAST.id)}, ("preferred most by reviewers",)),
        ({"favourites": (LAST.id, SUBJECT.id)}, ("runner-up in preference",)),
        ({"exported": frozenset({SUBJECT.id})}, ("exported",)),
        ({"resume_points": frozenset({SUBJECT.id})}, ("run run resumes from it",)),
        ({"promotions": (make_promotion(HALF),)}, ("promoted as production/robin at scale 0.5",)),
        (
            {"promotions": (make_promotion(HALF), make_promotion(HALF, alias="staging/robin"))},
            ("promoted as production/robin at scale 0.5", "promoted as staging/robin at scale 0.5"),
        ),
        (
            {"promotions": (make_promotion(HALF, at=NOW - 200 * DAY), make_promotion(OTHER, at=NOW - 3 * DAY))},
            ("was promoted as production/robin until 3 days ago",),
        ),
        (
            {"pinned": frozenset({SUBJECT.id}), "verdicts": (make_verdict(HALF, PASS),)},
            ("scale 0.5 passed", "pinned"),
        ),
    ],
)
def test_what_keeps_a_checkpoint(facts: dict[str, object], reasons: tuple[str, ...]) -> None:
    """Each policy keeps what it names and says so."""
    assert answer(**facts) == Retained(checkpoint_id=SUBJECT.id, keep=True, reasons=reasons, bytes=1000)


@pytest.mark.parametrize(
    "facts",
    [
        {"verdicts": (*FAILED, make_verdict(OTHER, PASS))},
        {"swept_candidates": frozenset({HALF, OTHER, BASE})},
        {"verdicts": (*FAILED, make_verdict(BASE, PASS))},
        {"pinned": frozenset({LAST.id}), "exported": frozenset({LAST.id}), "resume_points": frozenset({LAST.id})},
        {"promotions": (make_promotion(OTHER),)},
        {"promotions": (make_promotion(HALF, at=NOW - 300 * DAY), make_promotion(OTHER, at=NOW - 91 * DAY))},
    ],
)
def test_what_is_about_others_does_not_keep_it(facts: dict[str, object]) -> None:
    """Verdicts, pins and promotions of another checkpoint, and promotions of long ago, keep nothing here."""
    assert not answer(**facts).keep


def test_the_last_checkpoint_of_a_run_stays() -> None:
    """A run can always go on, also one whose every checkpoint failed; each run has its own last one."""
    checkpoints = [make_checkpoint(step, run=run) for run in ("a", "b") for step in (300, 100, 200)]
    verdicts = tuple(make_verdict(make_candidate(0.5, step=c.step, run=c.run_id)) for c in checkpoints)
    kept = [told for told in retain(checkpoints, Facts(verdicts=verdicts, now=NOW)) if told.keep]
    assert [(told.checkpoint_id, told.reasons) for told in kept] == [
        ("a@000300", ("last checkpoint of run a",)),
        ("b@000300", ("last checkpoint of run b",)),
    ]


def test_simulated_verdicts_are_named_and_can_be_left_out() -> None:
    """A reader sees that no person listened; where simulated reviewers do not count, the checkpoint stays."""
    verdicts = (make_verdict(HALF, simulated=True),)
    assert answer(verdicts=verdicts).reasons == ("scale 0.5 failed (simulated reviewers): Short: fail",)
    kept = answer(verdicts=verdicts, simulated_counts=False)
    assert (kept.keep, kept.reasons) == (True, ("scale 0.5 has no verdict yet",))
    passed = answer(verdicts=(make_verdict(HALF, PASS, simulated=True), *FAILED), simulated_counts=False)
    assert passed.keep


def test_every_policy_is_asked() -> None:
    """A policy that is written and not listed would protect nothing."""
    written = {
        value
        for value in vars(retention).values()
        if callable(value) and getattr(value, "__annotations__", {}).get("return") == "tuple[str, ...]"
    }
    assert written == set(retention.POLICIES)


# ----------------------------------------------------------------------------------------------------------- properties
CHECKPOINTS = [make_checkpoint(step, run=run) for run in ("a", "b") for step in (100, 200, 300)]
IDS = [checkpoint.id for checkpoint in CHECKPOINTS]
CANDIDATES = [make_candidate(scale, step=c.step, run=c.run_id) for c in CHECKPOINTS for scale in (0.3, 1.0)]

some_ids = st.frozensets(st.sampled_from(IDS), max_size=2)
verdicts = st.lists(
    st.builds(
        make_verdict,
        st.sampled_from([*CANDIDATES, BASE]),
        st.sampled_from([FAIL, FAIL, FAIL, PASS, UNDECIDED]),
        simulated=st.booleans(),
        tiers=st.just(tuple(Tier)),
    ),
    max_size=14,
    unique_by=lambda verdict: verdict.candidate,
)
promotions = st.lists(
    st.builds(
        make_promotion,
        st.sampled_from(CANDIDATES),
        alias=st.sampled_from(["production/robin", "staging/robin"]),
        at=st.floats(0, NOW),
    ),
    max_size=4,
)
facts_drawn = st.builds(
    Facts,
    verdicts=verdicts,
    promotions=promotions.map(lambda made: sorted(made, key=lambda promotion: promotion.promoted_at)),
    open_trial_checkpoints=some_ids,
    pinned=some_ids,
    resume_points=some_ids,
    exported=some_ids,
    swept_candidates=st.frozensets(st.sampled_from([*CANDIDATES, BASE])),
    favourites=st.lists(st.sampled_from(IDS), max_size=2, unique=True),
    now=st.just(NOW),
    simulated_counts=st.booleans(),
)


def dropped(facts: Facts, checkpoints: Sequence[Checkpoint] = CHECKPOINTS) -> set[str]:
    return {told.checkpoint_id for told in retain(checkpoints, facts) if not told.keep}


def outcomes(verdicts: Sequence[Verdict], checkpoint_id: str) -> list[Outcome]:
    return [verdict.outcome for verdict in verdicts if verdict.candidate.checkpoint_id == checkpoint_id]


@given(facts_drawn)
def test_nothing_that_must_stay_is_dropped(facts: Facts) -> None:
    """Promoted, pinned, exported, in an open trial, a resume point, passed, undecided: never to be removed."""
    now_pointing = {promotion.alias: promotion.candidate.checkpoint_id for promotion in facts.promotions}
    recently = {p.candidate.checkpoint_id for p in facts.promotions if facts.now - p.promoted_at <= 90 * DAY}
    gone = dropped(facts)
    assert not gone & (facts.pinned | facts.exported | facts.resume_points | facts.open_trial_checkpoints)
    assert not gone & (set(now_pointing.values()) | recently)
    for checkpoint_id in gone:
        assert set(outcomes(facts.verdicts, checkpoint_id)) == {FAIL}


@given(facts_drawn)
def test_dropping_needs_a_failing_verdict_for_each_candidate(facts: Facts) -> None:
    """No verdict, no deletion: every scale that was rendered has a failing verdict, and there is at least one."""
    for checkpoint_id in dropped(facts):
        judged = {
            verdict.candidate
            for verdict in facts.verdicts
            if verdict.candidate.checkpoint_id == checkpoint_id and (facts.simulated_counts or not verdict.simulated)
        }
        rendered = {candidate for candidate in facts.swept_candidates if candidate.checkpoint_id == checkpoint_id}
        assert judged >= rendered
        assert judged


@given(facts_drawn)
def test_without_verdicts_nothing_is_dropped(facts: Facts) -> None:
    """Whatever else is known, judgements alone let a checkpoint go."""
    assert dropped(replace(facts, verdicts=())) == set()


@given(facts_drawn)
def test_every_answer_has_a_reason(facts: Facts) -> None:
    """Kept or not, a person reads why; answers come in the order of the checkpoints."""
    told = retain(CHECKPOINTS, facts)
    assert [answer.checkpoint_id for answer in told] == IDS
    assert all(answer.reasons for answer in told)


@given(facts_drawn, facts_drawn)
def test_more_protection_never_drops_more(facts: Facts, others: Facts) -> None:
    """Adding pins, exports, open trials, resume points or rendered candidates only keeps more."""
    protecting = (
        "open_trial_checkpoints",
        "pinned",
        "resume_points",
        "exported",
        "swept_candidates",
        "overtaken_candidates",
    )
    more = replace(facts, **{name: getattr(facts, name) | getattr(others, name) for name in protecting})
    assert dropped(more) <= dropped(facts)


@given(facts_drawn, st.permutations(CHECKPOINTS))
def test_the_order_of_the_checkpoints_does_not_matter(facts: Facts, shuffled: list[Checkpoint]) -> None:
    """The same checkpoints get the same answers in whatever order they are listed."""
    assert dropped(facts, shuffled) == dropped(facts)


def test_the_facts_are_pinned() -> None:
    """Loss, scores and similarity are not what retention may know: what people judged decides, and nothing else."""
    assert [field.name for field in fields(Facts)] == [
        "verdicts",
        "promotions",
        "open_trial_checkpoints",
        "pinned",
        "resume_points",
        "exported",
        "swept_candidates",
        "overtaken_candidates",
        "favourites",
        "now",
        "promoted_kept_sec",
        "simulated_counts",
    ]
