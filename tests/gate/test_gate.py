"""The gate: tables of answers and what they decide, and that order and simulated reviewers do not matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import gate_files
from engine.gate import Judged, decide
from engine.types import REASON_CODES, BadInput, Choice, Gate, Outcome, Rule, Tier
from tests.judgement_factory import BASE, make_candidate

DEFAULT_GATE = gate_files.load()
PASS, FAIL, UNDECIDED = Outcome.PASS, Outcome.FAIL, Outcome.UNDECIDED
CANDIDATE = make_candidate()
TWO_OF_THREE = Gate(
    name="two of three",
    version=1,
    rules=tuple(Rule(tier=tier, min_pass=2, max_fail=1, fatal_reasons=("merged word",)) for tier in Tier),
)


def heard(tier: Tier, told: str, *, reviewer: str = "Ada", simulated: bool = False) -> list[Judged]:
    """Answers in shorthand: '+a' passes clip a, '-a' fails it, '-a:dropped word' fails it with that reason."""
    answers = []
    for word in told.split(";"):
        if not word.strip():
            continue
        head, _, reason = word.strip().partition(":")
        answers.append(
            Judged(
                tier=tier,
                choice=Choice.PASS if head[0] == "+" else Choice.FAIL,
                reasons=(reason,) if reason else (),
                reviewer=reviewer,
                clip_id=f"{tier} {head[1:]}",
                simulated=simulated,
            )
        )
    return answers


def outcome_of_long(told: str, others: Sequence[Judged] = (), gate: Gate = DEFAULT_GATE) -> Outcome:
    _, findings = decide(gate, CANDIDATE, [*heard(Tier.LONG, told), *others])
    return findings[2].outcome


# --------------------------------------------------------------------------------------------------- one tier, by table
@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("", UNDECIDED),
        ("+a", PASS),
        ("+a; +b; +c", PASS),
        ("-a", FAIL),
        ("-a:noise", FAIL),
        ("+a; +b; -c", FAIL),  # nobody passed c: a fail is a fail, whatever else went well
        ("+a; -a", UNDECIDED),  # disputed
        ("+a; +a; -a", UNDECIDED),  # a majority does not settle it
        ("+a; -a; -b", FAIL),  # the dispute about a does not save b
        ("+a; -a; +b", UNDECIDED),
        ("-a:dropped word", FAIL),
        ("-a:merged word", FAIL),
        ("+a; -a:dropped word", FAIL),  # fatal: at once, dispute or not
        ("+a; +b; +c; -d:merged word", FAIL),
        ("+a:dropped word", UNDECIDED),  # contradicts itself
        ("+a:noise", PASS),  # a remark, not a contradiction
        ("+a:merged word; -b", FAIL),
    ],
)
def test_the_long_tier_by_default(told: str, expected: Outcome) -> None:
    """Dropped or merged words fail the long tier at once; other fails unless disputed; disputes decide nothing."""
    assert outcome_of_long(told) is expected


@pytest.mark.parametrize("tier", [Tier.SHORT, Tier.MEDIUM])
def test_dropped_words_are_fatal_in_the_long_tier_only(tier: Tier) -> None:
    """In the shorter tiers a disputed dropped word stays a dispute."""
    _, findings = decide(DEFAULT_GATE, CANDIDATE, heard(tier, "+a; -a:dropped word"))
    assert {finding.tier: finding.outcome for finding in findings}[tier] is UNDECIDED


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("", UNDECIDED),
        ("+a", UNDECIDED),  # one of two passes
        ("+a; +b", PASS),
        ("+a; +b; -c", PASS),  # one fail is allowed
        ("+a; +b; -c; -d", FAIL),
        ("-a; -b", FAIL),
        ("-a", UNDECIDED),  # neither passes nor fails enough
        ("+a; +b; -a", UNDECIDED),  # of two passed clips one is disputed
        ("+a; +b; +c; -a", PASS),  # the dispute is the one fail that is allowed
        ("+a; +b; -a; -b", UNDECIDED),  # two disputed
        ("+a; +b; -a; -c", UNDECIDED),  # one disputed, one failed: it hangs on the dispute
        ("+a; +b; -c:merged word", FAIL),
    ],
)
def test_a_tier_that_wants_two_passes_and_allows_one_fail(told: str, expected: Outcome) -> None:
    """`min_pass` and `max_fail` count as they say."""
    assert outcome_of_long(told, gate=TWO_OF_THREE) is expected


# -------------------------------------------------------------------------------------------------- all tiers, by table
@pytest.mark.parametrize(
    ("short", "medium", "long", "expected"),
    [
        ("+a", "+a", "+a", PASS),
        ("+a", "+a", "", UNDECIDED),
        ("+a", "", "+a", UNDECIDED),
        ("", "+a", "+a", UNDECIDED),
        ("", "", "", UNDECIDED),
        ("+a", "+a", "-a:dropped word", FAIL),
        ("+a", "+a", "-a", FAIL),
        ("-a", "+a", "+a", FAIL),
        ("-a", "", "", FAIL),  # one failed tier is enough, the others need not be heard
        ("", "", "-a:merged word", FAIL),
        ("+a", "+a; -a", "+a", UNDECIDED),
        ("-a", "+a; -a", "+a", FAIL),
    ],
)
def test_a_candidate_passes_with_all_tiers_and_fails_with_any(
    short: str, medium: str, long: str, expected: Outcome
) -> None:
    """Only one that passes all tiers passes; any failed tier fails it; anything else is undecided."""
    answers = heard(Tier.SHORT, short) + heard(Tier.MEDIUM, medium) + heard(Tier.LONG, long)
    outcome, findings = decide(DEFAULT_GATE, CANDIDATE, answers)
    assert outcome is expected
    assert [finding.tier for finding in findings] == list(Tier)


def test_the_base_is_judged_like_any_candidate() -> None:
    """The control gets an honest outcome: that it is never promoted is asked elsewhere."""
    answers = [answer for tier in Tier for answer in heard(tier, "+a")]
    assert decide(DEFAULT_GATE, BASE, answers)[0] is PASS


# ----------------------------------------------------------------------------------------------------------- properties
judged = st.builds(
    Judged,
    tier=st.sampled_from(Tier),
    choice=st.sampled_from([Choice.PASS, Choice.FAIL]),
    reasons=st.lists(st.sampled_from(REASON_CODES), max_size=2, unique=True).map(tuple),
    reviewer=st.sampled_from(["Ada", "Bo", "Cy"]),
    clip_id=st.sampled_from("abc"),
)
answer_lists = st.lists(judged, max_size=14)
gates = st.sampled_from([DEFAULT_GATE, TWO_OF_THREE])


@given(gates, answer_lists, st.randoms(use_true_random=False))
def test_the_order_of_the_answers_does_not_matter(gate: Gate, answers: list[Judged], random: object) -> None:
    """The same answers give the same outcome and the same words, in whatever order they are read."""
    shuffled = list(answers)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert decide(gate, CANDIDATE, answers) == decide(gate, CANDIDATE, shuffled)


@given(gates, answer_lists)
def test_a_pass_means_that_every_tier_was_heard_and_nothing_fatal_was(gate: Gate, answers: list[Judged]) -> None:
    """Nothing passes unheard, nor with a fail that the rule calls fatal."""
    outcome, findings = decide(gate, CANDIDATE, answers)
    if outcome is PASS:
        for rule, finding in zip(gate.rules, findings, strict=True):
            assert finding.passes >= rule.min_pass
            assert not any(
                answer.choice is Choice.FAIL and set(answer.reasons) & set(rule.fatal_reasons)
                for answer in answers
                if answer.tier is rule.tier
            )


@given(gates, answer_lists)
def test_a_fail_means_that_somebody_failed_it(gate: Gate, answers: list[Judged]) -> None:
    """Silence, missing tiers and passes alone never fail a candidate: what may delete weights needs a fail."""
    outcome, _ = decide(gate, CANDIDATE, answers)
    if outcome is FAIL:
        assert any(answer.choice is Choice.FAIL for answer in answers)


@given(gates, answer_lists, judged)
def test_one_more_fail_never_helps(gate: Gate, answers: list[Judged], more: Judged) -> None:
    """An added fail never turns an outcome that is not a pass into a pass."""
    before, _ = decide(gate, CANDIDATE, answers)
    after, _ = decide(gate, CANDIDATE, [*answers, replace(more, choice=Choice.FAIL)])
    assert after is not PASS or before is PASS


@given(gates, answer_lists.filter(bool), answer_lists)
def test_simulated_answers_are_not_mixed_with_a_persons(
    gate: Gate, people: list[Judged], machines: list[Judged]
) -> None:
    """Where a person answered, simulated reviewers are not counted; where nobody did, they decide."""
    simulated = [replace(answer, simulated=True) for answer in machines]
    assert decide(gate, CANDIDATE, [*people, *simulated]) == decide(gate, CANDIDATE, people)
    assert decide(gate, CANDIDATE, simulated) == decide(gate, CANDIDATE, machines)


# ---------------------------------------------------------------------------------------------------------------- words
@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        (heard(Tier.LONG, ""), "Long: not heard yet."),
        (heard(Tier.LONG, "+a; +b"), "Long: 2 of 2 answers passed."),
        (heard(Tier.LONG, "-a:noise"), "Long: the only clip failed (noise); none may fail."),
        (
            heard(Tier.LONG, "+a; -b:noise; -c:noise; -c:accent"),
            "Long: 2 of 3 clips failed (noise 2 times, accent); none may fail.",
        ),
        (
            heard(Tier.LONG, "-a:dropped word") + heard(Tier.LONG, "-a:merged word", reviewer="Bo"),
            "Long: Ada and Bo heard dropped word and merged word, which fails this tier at once.",
        ),
        (
            heard(Tier.LONG, "+a") + heard(Tier.LONG, "-a:too fast", reviewer="Bo"),
            "Long: disputed, one clip was passed by Ada and failed by Bo (too fast).",
        ),
        (
            heard(Tier.LONG, "+a:dropped word"),
            "Long: Ada passed a clip and named what fails this tier; that answer decides nothing.",
        ),
    ],
)
def test_a_finding_says_why(answers: list[Judged], sentence: str) -> None:
    """A reviewer understands the outcome without knowing the rules."""
    _, findings = decide(DEFAULT_GATE, CANDIDATE, answers)
    assert findings[2].explanation == sentence


def test_a_tier_that_lacks_passes_says_how_many() -> None:
    """An undecided tier tells what would decide it."""
    _, findings = decide(TWO_OF_THREE, CANDIDATE, heard(Tier.SHORT, "+a"))
    assert findings[0].explanation == "Short: 1 of 2 passes; 1 more needed."


# ------------------------------------------------------------------------------------------------------------ bad input
@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ((), "no rule for the short, medium, long tier"),
        ((Rule(tier=Tier.SHORT), Rule(tier=Tier.MEDIUM)), "no rule for the long tier"),
        ((*DEFAULT_GATE.rules, Rule(tier=Tier.LONG)), "two rules for the long tier"),
        ((*DEFAULT_GATE.rules[:2], Rule(tier=Tier.LONG, min_pass=0)), "without a pass"),
        ((*DEFAULT_GATE.rules[:2], Rule(tier=Tier.LONG, reviewers=0)), "without a pass"),
    ],
)
def test_a_gate_that_could_pass_the_unheard_is_refused(rules: tuple[Rule, ...], told: str) -> None:
    """A gate that forgets a tier must not let candidates through."""
    with pytest.raises(BadInput, match=told):
        decide(Gate(name="odd", version=1, rules=rules), CANDIDATE, [])


def test_a_preference_is_no_gate_answer() -> None:
    """A stray A/B answer stops the judging instead of counting as something."""
    with pytest.raises(BadInput, match="pass or fail, not tie"):
        decide(DEFAULT_GATE, CANDIDATE, [replace(heard(Tier.SHORT, "+a")[0], choice=Choice.TIE)])


def test_the_default_gate_is_pinned() -> None:
    """Changed rules are a new version: whoever edits the file must give it another one."""
    assert (
        Gate(
            name="three-tiers",
            version=2,
            about="One pass a tier and no fail; a word dropped or merged in the long tier fails at once.",
            rules=(
                Rule(tier=Tier.SHORT, min_pass=1, max_fail=0),
                Rule(tier=Tier.MEDIUM, min_pass=1, max_fail=0),
                Rule(tier=Tier.LONG, min_pass=1, max_fail=0, fatal_reasons=("dropped word", "merged word")),
            ),
        )
        == DEFAULT_GATE
    )
