"""The gate's whole table for one clip of one tier: every combination of answers, fatal reasons, flags and rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.gate import Flagged, Judged, decide
from engine.types import REASON_CODES, Choice, Flag, FlagChoice, Gate, Outcome, Rule, Tier
from tests.judgement_factory import make_candidate

CANDIDATE = make_candidate()
PASS, FAIL, UNDECIDED = Outcome.PASS, Outcome.FAIL, Outcome.UNDECIDED
# who passed and who failed the clip
ANSWERS = ("", "Ada+", "Ada-", "Ada+ Bo+", "Ada+ Bo-", "Ada- Bo-")
# what was said to the flag of the clip; None: no flag
SAID: tuple[tuple[tuple[str, FlagChoice], ...] | None, ...] = (
    None,
    (),
    (("Ada", FlagChoice.YES),),
    (("Ada", FlagChoice.NO),),
    (("Ada", FlagChoice.UNSURE),),
    (("Ada", FlagChoice.YES), ("Bo", FlagChoice.NO)),
)


def gate(*, reviewers: int = 1, automatic: bool = False) -> Gate:
    rule = Rule(
        tier=Tier.LONG,
        reviewers=reviewers,
        fatal_reasons=("dropped word",),
        automatic=("words",) if automatic else (),
    )
    return Gate(name="one", version=1, rules=(Rule(tier=Tier.SHORT), Rule(tier=Tier.MEDIUM), rule))


def answers(told: str, reason: str, clip_id: str = "a") -> list[Judged]:
    return [
        Judged(
            tier=Tier.LONG,
            choice=Choice.PASS if each[-1] == "+" else Choice.FAIL,
            reasons=(reason,) if reason and each[-1] == "-" else (),
            reviewer=each[:-1],
            clip_id=clip_id,
        )
        for each in told.split()
    ]


def flags(said: Sequence[tuple[str, FlagChoice]] | None, reason: str, clip_id: str = "a") -> list[Flagged]:
    if said is None:
        return []
    flag = Flag(clip_id=clip_id, screener="words", version=1, reason=reason, words=("frost",))
    return [Flagged(flag=flag, tier=Tier.LONG, said=tuple(said))]


def long_of(rules: Gate, judged: Sequence[Judged], flagged: Sequence[Flagged] = ()) -> Outcome:
    return decide(rules, CANDIDATE, judged, flagged)[1][2].outcome


def expected(
    told: str, reason: str, said: Sequence[tuple[str, FlagChoice]] | None, flag_reason: str, reviewers: int, auto: bool
) -> Outcome:
    """The rules of docs/user-guide/gate.md for one clip, written down a second time."""
    choices = {choice for _, choice in said or ()}
    is_weighty = said is not None and (flag_reason == "dropped word" or auto)
    passes, fails = told.count("+"), told.count("-")
    if fails and reason == "dropped word":
        return FAIL
    if is_weighty and FlagChoice.NO not in choices and (FlagChoice.YES in choices or auto):
        return FAIL
    if fails:
        return UNDECIDED if passes else FAIL
    if is_weighty and {FlagChoice.YES, FlagChoice.NO} <= choices:
        return UNDECIDED
    if is_weighty and not choices:
        return UNDECIDED
    return PASS if passes >= reviewers else UNDECIDED


@pytest.mark.parametrize("told", ANSWERS)
def test_the_whole_table(told: str) -> None:
    """Answers x the reason of a fail x what was said to a flag x its reason x reviewers x automatic: 864 cases."""
    cases = product(("", "noise", "dropped word"), SAID, ("dropped word", "noise"), (1, 2), (False, True))
    for reason, said, flag_reason, reviewers, auto in cases:
        found = long_of(gate(reviewers=reviewers, automatic=auto), answers(told, reason), flags(said, flag_reason))
        assert found is expected(told, reason, said, flag_reason, reviewers, auto), (
            told,
            reason,
            said,
            flag_reason,
            auto,
        )


def test_people_are_counted_and_not_answers() -> None:
    """Two answers of one person are one reviewer; two people on two different clips are none that two have passed."""
    two = gate(reviewers=2)
    assert long_of(two, answers("Ada+ Ada+", "")) is UNDECIDED
    assert long_of(two, [*answers("Ada+", "", "a"), *answers("Bo+", "", "b")]) is UNDECIDED
    assert long_of(two, answers("Ada+ Bo+", "")) is PASS
    (finding,) = decide(two, CANDIDATE, answers("Ada+", ""))[1][2:]
    assert finding.explanation == "Long: 0 of 1 passes by 2 people; 1 more needed."
    assert finding.needed == ("1 more clip passed, each by 2 different people.",)


def test_only_the_lines_of_the_rule_count_and_each_must_pass() -> None:
    """A gate that names its lines neither takes another line for one of them nor passes with one of them unheard."""
    rules = gate()
    named = replace(rules, rules=(*rules.rules[:2], Rule(tier=Tier.LONG, lines=("l1", "l2"))))
    passed = answers("Ada+", "")[0]
    assert long_of(named, [replace(passed, line_id="l9")]) is UNDECIDED
    assert long_of(named, [replace(passed, line_id="l1")]) is UNDECIDED
    assert long_of(named, [replace(passed, line_id="l1"), replace(passed, line_id="l2", clip_id="b")]) is PASS
    finding = decide(named, CANDIDATE, [replace(passed, line_id="l1")])[1][2]
    assert finding.explanation == "Long: l2 is not passed yet."


def test_only_clips_of_the_gates_scripts_count() -> None:
    """An edited script is another script: what was heard of it decides nothing under a gate that names its own."""
    rules = replace(gate(), scripts=("a" * 64,))
    passed = answers("Ada+", "")[0]
    assert long_of(rules, [replace(passed, script_sha256="b" * 64)]) is UNDECIDED
    assert long_of(rules, [replace(passed, script_sha256="a" * 64)]) is PASS


def test_a_flag_says_what_is_needed_of_whom() -> None:
    """Open flags and disputes are told as what would decide them."""
    open_one = decide(gate(), CANDIDATE, answers("Ada+", ""), flags((), "dropped word"))[1][2]
    assert open_one.needed == ("Confirm or refute: dropped word (frost).",)
    split = decide(gate(), CANDIDATE, answers("Ada+", ""), flags(SAID[5], "dropped word"))[1][2]
    assert split.is_disputed
    assert split.explanation == "Long: disputed, Ada heard dropped word (frost) and Bo did not."
    confirmed = decide(gate(), CANDIDATE, answers("Ada+", ""), flags(SAID[2], "dropped word"))[1][2]
    assert confirmed.explanation == "Long: Ada confirmed dropped word (frost), which fails this tier at once."
    machine = decide(gate(automatic=True), CANDIDATE, [], flags((), "noise"))[1][2]
    assert (
        machine.explanation
        == "Long: the screener words found noise (frost), which fails this tier by an automatic rule."
    )


# ----------------------------------------------------------------------------------------------------------- properties
judged = st.builds(
    Judged,
    tier=st.sampled_from(Tier),
    choice=st.sampled_from([Choice.PASS, Choice.FAIL]),
    reasons=st.lists(st.sampled_from(REASON_CODES), max_size=2, unique=True).map(tuple),
    reviewer=st.sampled_from(["Ada", "Bo", "Cy"]),
    clip_id=st.sampled_from("abc"),
    line_id=st.sampled_from(["l1", "l2"]),
    simulated=st.booleans(),
)
flagged = st.builds(
    Flagged,
    flag=st.builds(
        Flag,
        clip_id=st.sampled_from("abc"),
        screener=st.sampled_from(["words", "end"]),
        version=st.just(1),
        reason=st.sampled_from(["", "dropped word", "noise"]),
    ),
    tier=st.sampled_from(Tier),
    line_id=st.sampled_from(["l1", "l2"]),
    said=st.dictionaries(st.sampled_from(["Ada", "Bo"]), st.sampled_from(FlagChoice)).map(
        lambda said: tuple(sorted(said.items()))
    ),
    simulated=st.booleans(),
)
rules = st.builds(
    Rule,
    tier=st.just(Tier.LONG),
    min_pass=st.integers(1, 2),
    max_fail=st.integers(0, 1),
    reviewers=st.integers(1, 2),
    fatal_reasons=st.sampled_from([(), ("dropped word",), ("dropped word", "noise")]),
    lines=st.sampled_from([(), ("l1", "l2")]),
    automatic=st.sampled_from([(), ("end",), ("words", "end")]),
)
gates = rules.map(lambda rule: Gate(name="any", version=1, rules=tuple(replace(rule, tier=tier) for tier in Tier)))
answer_lists, flag_lists = st.lists(judged, max_size=10), st.lists(flagged, max_size=4)


@given(gates, answer_lists, flag_lists, st.randoms(use_true_random=False))
def test_the_order_of_answers_does_not_matter(
    rules: Gate, judged: list[Judged], flagged: list[Flagged], random: object
) -> None:
    """The same answers give the same outcome and the same words, in whatever order they came."""
    shuffled, turned = list(judged), list(flagged)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    random.shuffle(turned)  # type: ignore[attr-defined]
    assert decide(rules, CANDIDATE, judged, flagged) == decide(rules, CANDIDATE, shuffled, turned)


@given(gates, answer_lists, flag_lists, judged)
def test_one_more_pass_never_fails_anything(
    rules: Gate, heard: list[Judged], flagged: list[Flagged], more: Judged
) -> None:
    """A pass may open a dispute or a question; it never turns a pass, or what is undecided, into a fail."""
    people = [replace(answer, simulated=False) for answer in (*heard, replace(more, choice=Choice.PASS))]
    said = [replace(each, simulated=False) for each in flagged]
    before, _ = decide(rules, CANDIDATE, people[:-1], said)
    after, _ = decide(rules, CANDIDATE, people, said)
    assert after is not FAIL or before is FAIL


@given(gates, answer_lists, flag_lists)
def test_nothing_passes_unheard_whatever_screeners_say(
    rules: Gate, heard: list[Judged], flagged: list[Flagged]
) -> None:
    """A pass needs enough people's passes in every tier, for every line that the rule names."""
    outcome, _ = decide(rules, CANDIDATE, heard, flagged)
    if outcome is PASS:
        for rule in rules.rules:
            passed = [answer for answer in heard if answer.tier is rule.tier and answer.choice is Choice.PASS]
            assert len({answer.reviewer for answer in passed}) >= rule.reviewers
            assert {answer.line_id for answer in passed} >= set(rule.lines)
    assert decide(rules, CANDIDATE, [], flagged)[0] is not PASS


@given(gates, answer_lists, flag_lists)
def test_screeners_alone_fail_nothing_unless_the_gate_says_so(
    rules: Gate, heard: list[Judged], flagged: list[Flagged]
) -> None:
    """Without an automatic rule, flags that nobody has spoken to never change a pass or a fail into the other."""
    plain = replace(rules, rules=tuple(replace(rule, automatic=()) for rule in rules.rules))
    silent = [replace(each, said=()) for each in flagged]
    without, _ = decide(plain, CANDIDATE, heard, [])
    with_flags, _ = decide(plain, CANDIDATE, heard, silent)
    assert with_flags is without or (without is PASS and with_flags is UNDECIDED)


@given(gates, answer_lists.filter(lambda found: any(not answer.simulated for answer in found)), flag_lists)
def test_simulated_reviewers_say_nothing_where_people_did(
    rules: Gate, heard: list[Judged], flagged: list[Flagged]
) -> None:
    """Neither their answers nor what they said to flags is mixed with a person's."""
    people = [answer for answer in heard if not answer.simulated]
    unsaid = [replace(each, said=(), simulated=False) if each.simulated else each for each in flagged]
    assert decide(rules, CANDIDATE, heard, flagged) == decide(rules, CANDIDATE, people, unsaid)
