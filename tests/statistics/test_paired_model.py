"""Bradley-Terry and Davidson against published numbers, a brute-force maximum, and the cases that have no maximum."""

from __future__ import annotations

import math
from collections.abc import Sequence

import choix
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.statistics.comparison import Comparison
from engine.statistics.paired_model import PairedFit, fit
from engine.types import BadInput, Choice

A, B, TIE = Choice.A, Choice.B, Choice.TIE


def wins(winner: str, loser: str, times: int = 1) -> list[Comparison]:
    return [Comparison(winner, loser, A)] * times


def ties(a: str, b: str, times: int = 1) -> list[Comparison]:
    return [Comparison(a, b, TIE)] * times


def davidson(answers: Sequence[Comparison]) -> PairedFit:
    return fit(answers, model="davidson")


def logits(found: PairedFit) -> dict[str, float]:
    return {name: effect.estimate for name, effect in found.strengths.items()}


def errors(found: PairedFit) -> dict[str, float]:
    return {name: effect.se for name, effect in found.strengths.items()}


def log_likelihood(comparisons: Sequence[Comparison], strength: dict[str, float], tie: float) -> float:
    """Davidson's formula as it stands in the paper, in strengths and not in logs."""
    total = 0.0
    for a, b, choice, *_ in comparisons:
        p_a, p_b = math.exp(strength[a]), math.exp(strength[b])
        middle = tie * math.sqrt(p_a * p_b)
        total += math.log({A: p_a, B: p_b, TIE: middle}[choice] / (p_a + p_b + middle))
    return total


def test_the_worked_example_of_davidson() -> None:
    """Four players as in the encyclopedia's example: powers .640, 1.043, .660, 2.270 with geometric mean 1."""
    found = davidson(
        wins("A", "B", 2) + wins("B", "A", 3) + wins("A", "D", 1) + wins("D", "A", 4)
        + wins("B", "C", 5) + wins("C", "B", 3) + wins("C", "D", 1) + wins("D", "C", 3)
    )  # fmt: skip
    assert {name: math.exp(value) for name, value in logits(found).items()} == pytest.approx(
        {"A": 0.6398, "B": 1.0433, "C": 0.6598, "D": 2.2704}, abs=1e-4
    )
    assert found.ranking() == ["D", "B", "C", "A"]
    assert (found.tie_parameter, found.separated) == (0.0, False)


def test_a_case_of_choix() -> None:
    """Its second pairwise test case: maximum likelihood at .419617624, -.419617624, 0."""
    found = davidson([*wins("0", "1", 2), *wins("1", "2"), *wins("2", "0")])
    assert list(logits(found).values()) == pytest.approx([0.419617624, -0.419617624, 0.0], abs=1e-8)


def test_a_cycle_makes_equals() -> None:
    """0 beats 1 beats 2 beats 0: all the same, without divergence."""
    found = davidson([*wins("0", "1"), *wins("1", "2"), *wins("2", "0")])
    assert list(logits(found).values()) == pytest.approx([0.0] * 3, abs=1e-9)


def test_two_candidates_by_hand() -> None:
    """2 wins, 1 loss, 4 ties: odds of 2, and nu = ties / sqrt(wins * losses)."""
    found = davidson([*wins("a", "b", 2), *wins("b", "a"), *ties("a", "b", 4)])
    assert logits(found)["a"] - logits(found)["b"] == pytest.approx(math.log(2), abs=1e-9)
    assert found.tie_parameter == pytest.approx(4 / math.sqrt(2), rel=1e-9)
    # Without ties: the variance of the log odds of 2 : 1 is 1/2 + 1, and centring halves the difference.
    plain = davidson([*wins("a", "b", 2), *wins("b", "a")])
    assert errors(plain)["a"] == pytest.approx(math.sqrt(1.5) / 2, rel=1e-9)


@given(st.integers(1, 60), st.integers(1, 60))
def test_without_ties_two_candidates_have_their_odds(won: int, lost: int) -> None:
    """The difference of two log strengths is the log odds of the wins."""
    found = davidson(wins("a", "b", won) + wins("b", "a", lost))
    assert logits(found)["a"] - logits(found)["b"] == pytest.approx(math.log(won / lost), abs=1e-8)


comparisons = st.lists(
    st.builds(Comparison, st.sampled_from("abcd"), st.sampled_from("abcd"), st.sampled_from([A, B, TIE])).filter(
        lambda drawn: drawn.a != drawn.b
    ),
    min_size=1,
    max_size=40,
)


# Everybody beats somebody and loses to somebody: with whatever else is answered, a maximum exists.
RING = [Comparison(a, b, A) for a, b in ("ab", "bc", "cd", "da")]
settled = comparisons.map(lambda drawn: drawn + RING)


@settings(max_examples=40)
@given(settled, st.integers(0, 2**31 - 1))
def test_the_fit_is_the_maximum(answers: list[Comparison], seed: int) -> None:
    """No neighbouring strengths or tie parameter make the answers more likely; strengths have mean 0."""
    found = davidson(answers)
    assert not found.separated
    best = log_likelihood(answers, logits(found), found.tie_parameter) if found.tie_parameter else None
    assert sum(logits(found).values()) == pytest.approx(0.0, abs=1e-8)
    random = np.random.default_rng(seed)
    for _ in range(10):
        near = {name: value + 0.05 * random.standard_normal() for name, value in logits(found).items()}
        if best is not None:
            assert (
                log_likelihood(answers, near, found.tie_parameter * math.exp(0.05 * random.standard_normal()))
                <= best + 1e-9
            )


@settings(max_examples=40)
@given(comparisons)
def test_exchanging_sides_changes_nothing(answers: list[Comparison]) -> None:
    """Who was on side A is not who is better."""
    crossed = [Comparison(c.b, c.a, {A: B, B: A, TIE: TIE}[c.choice]) for c in answers]
    try:
        found = davidson(answers)
    except BadInput:
        with pytest.raises(BadInput):
            davidson(crossed)
        return
    assert logits(davidson(crossed)) == pytest.approx(logits(found), abs=1e-7)


def test_winning_everything_is_finite_and_said() -> None:
    """40 : 0 has no finite maximum: the prior holds the numbers and the fit says so."""
    found = davidson(wins("a", "b", 40))
    assert found.separated
    assert 1.0 < logits(found)["a"] < 10.0
    assert found.ranking() == ["a", "b"]


def test_a_win_and_a_tie_are_finite_and_said() -> None:
    """One win and one tie grow without end together with the tie parameter; a lost answer as well ends that."""
    assert davidson(wins("a", "b") + ties("a", "b")).separated
    assert not davidson(wins("a", "b") + ties("a", "b") + wins("b", "a")).separated


@given(st.integers(1, 5), st.integers(0, 6))
def test_a_ring_needs_more_wins_than_ties(won: int, tied: int) -> None:
    """Around a ring of comparisons, a maximum exists when all are reached and the ties do not outnumber the wins."""
    size = won + tied
    ring = [Comparison(str(n), str((n + 1) % size), A if n < won else TIE) for n in range(size)]
    assume(size >= 3)
    assert davidson(ring).separated is (tied > 0 and won <= tied)


def test_only_ties_are_finite_and_said() -> None:
    """Ties alone make equals, and the tie parameter does not run away."""
    found = davidson(ties("a", "b", 9))
    assert found.separated
    assert logits(found) == pytest.approx({"a": 0.0, "b": 0.0}, abs=1e-9)
    assert 1.0 < found.tie_parameter < 1e4


def test_groups_that_never_met_are_not_ranked() -> None:
    """A-B and C-D have no common scale: refused with both groups named."""
    with pytest.raises(BadInput, match=r"a, b and c, d were never compared"):
        davidson([*wins("a", "b"), *wins("b", "a"), *wins("c", "d"), *wins("d", "c")])


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([], "no preferences"),
        ([Comparison("a", "a", A)], "compared with itself"),
        ([Comparison("a", "b", Choice.PASS)], "not pass"),
    ],
)
def test_what_is_no_preference_is_refused(answers: list[Comparison], told: str) -> None:
    """Catch trials and gate answers do not belong in a fit."""
    with pytest.raises(BadInput, match=told):
        davidson(answers)


def test_a_weak_order_is_recovered() -> None:
    """Answers drawn from known strengths give those back within their standard errors."""
    truth = {"a": 1.0, "b": 0.3, "c": -0.2, "d": -1.1}
    random = np.random.default_rng(5)
    answers: list[Comparison] = []
    for _ in range(4000):
        a, b = random.choice(list(truth), size=2, replace=False)
        p_a, p_b = math.exp(truth[a]), math.exp(truth[b])
        middle = 0.8 * math.sqrt(p_a * p_b)
        shares = np.array([p_a, p_b, middle])
        answers.append(Comparison(str(a), str(b), (A, B, TIE)[random.choice(3, p=shares / shares.sum())]))
    found = davidson(answers)
    for name, value in truth.items():
        assert abs(logits(found)[name] - value) < 4 * errors(found)[name]
    assert found.tie_parameter == pytest.approx(0.8, abs=0.1)


# ----------------------------------------------------------------------------------------------------- published tables
# Agresti (2002), Categorical Data Analysis, table 10.10: 1987 season, home team, away team, wins of each.
TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
HOME_AND_AWAY_WINS = (
    "43 42 43 61 42 60", "33 42 43 60 61 43", "25 43 24 43 42 60", "33 51 25 43 42 61", "51 25 33 42 52 60",
    "25 33 34 43 42 24", "25 15 16 24 16 34",
)  # fmt: skip
# Davidson (1970): six brands of chocolate pudding; i, j, i preferred, j preferred, no difference.
PUDDING = (
    (1, 2, 19, 22, 16), (1, 3, 16, 19, 12), (2, 3, 19, 19, 10), (1, 4, 18, 23, 13), (2, 4, 23, 19, 9),
    (3, 4, 19, 20, 15), (1, 5, 13, 19, 18), (2, 5, 16, 20, 12), (3, 5, 16, 15, 17), (4, 5, 17, 14, 16),
    (1, 6, 18, 21, 12), (2, 6, 22, 20, 12), (3, 6, 13, 18, 10), (4, 6, 14, 19, 18), (5, 6, 11, 21, 12),
)  # fmt: skip
# Stigler (1994): citations between journals; winner, loser, how often.
CITATIONS = (
    ("Comm Statist", "Biometrika", 33), ("JASA", "Biometrika", 320), ("JRSS-B", "Biometrika", 284),
    ("Biometrika", "Comm Statist", 730), ("JASA", "Comm Statist", 813), ("JRSS-B", "Comm Statist", 276),
    ("Biometrika", "JASA", 498), ("Comm Statist", "JASA", 68), ("JRSS-B", "JASA", 325),
    ("Biometrika", "JRSS-B", 221), ("Comm Statist", "JRSS-B", 17), ("JASA", "JRSS-B", 142),
)  # fmt: skip


def baseball() -> list[Comparison]:
    games: list[Comparison] = []
    for home, row in zip(TEAMS, HOME_AND_AWAY_WINS, strict=True):
        for away, cell in zip([team for team in TEAMS if team != home], row.split(), strict=True):
            games += [Comparison(home, away, A)] * int(cell[0]) + [Comparison(home, away, B)] * int(cell[1])
    return games


def pudding() -> list[Comparison]:
    return [
        answer
        for i, j, first, second, tied in PUDDING
        for answer in (
            wins(str(i), str(j), first) + [Comparison(str(i), str(j), B)] * second + ties(str(i), str(j), tied)
        )
    ]


def test_baseball_without_home_advantage() -> None:
    """Agresti's table 10.11 and BradleyTerry2's fit: logits against Baltimore, residual and null deviance."""
    found = fit(baseball(), model="bt", reference="Baltimore")
    assert logits(found) == pytest.approx(
        {
            "Baltimore": 0.0, "Boston": 1.1077, "Cleveland": 0.6839, "Detroit": 1.4364, "Milwaukee": 1.5814,
            "New York": 1.2476, "Toronto": 1.2945,
        },
        abs=1e-4,
    )  # fmt: skip
    assert (found.deviance.residual, found.deviance.null) == pytest.approx((44.05, 78.02), abs=5e-3)
    assert (found.deviance.residual_df, found.deviance.null_df) == (36, 42)
    assert errors(found)["Baltimore"] == 0.0
    assert found.warnings == ()


def test_baseball_with_home_advantage() -> None:
    """The order effect is the home team's: .3023 with s.e. .1309, and a residual deviance of 38.64 on 35."""
    found = fit(baseball(), model="bt", order_effect=True, reference="Baltimore")
    assert logits(found) == pytest.approx(
        {
            "Baltimore": 0.0, "Boston": 1.1438, "Cleveland": 0.7047, "Detroit": 1.4754, "Milwaukee": 1.6196,
            "New York": 1.2813, "Toronto": 1.3271,
        },
        abs=1e-4,
    )  # fmt: skip
    assert errors(found) == pytest.approx(
        {
            "Baltimore": 0.0, "Boston": 0.3378, "Cleveland": 0.3350, "Detroit": 0.3446, "Milwaukee": 0.3474,
            "New York": 0.3404, "Toronto": 0.3403,
        },
        abs=1e-4,
    )  # fmt: skip
    assert found.order_effect is not None
    assert (found.order_effect.estimate, found.order_effect.se) == pytest.approx((0.3023, 0.1309), abs=5e-5)
    assert (found.deviance.residual, found.deviance.residual_df) == (pytest.approx(38.64, abs=5e-3), 35)


def test_pudding_with_ties() -> None:
    """Davidson's nu .7468; logits, errors and deviance as PlackettLuce prints them."""
    found = fit(pudding(), reference="1")
    assert list(logits(found).values()) == pytest.approx([0.0, 0.2202, 0.1530, 0.1753, 0.1339, 0.3771], abs=3e-4)
    assert list(errors(found).values()) == pytest.approx([0.0, 0.1872, 0.1935, 0.1882, 0.1927, 0.1924], abs=1e-4)
    assert found.tie_parameter == pytest.approx(0.7468, abs=1e-4)
    assert found.deviance.minus_two_log_likelihood == pytest.approx(1619.4, abs=0.05)
    assert found.deviance.aic == pytest.approx(1631.4, abs=0.05)


@pytest.mark.parametrize("as_winners", [True, False])
def test_citations_of_journals(as_winners: bool) -> None:
    """Logits, errors and deviance of the citation table, whether rows list winners or pairs in a fixed order."""
    answers = [answer for winner, loser, times in CITATIONS for answer in wins(winner, loser, times)]
    if not as_winners:
        answers = [c if c.a < c.b else Comparison(c.b, c.a, B) for c in answers]
    found = fit(answers, model="bt", reference="Biometrika")
    assert list(logits(found).values()) == pytest.approx([0.0, -2.9491, -0.4796, 0.2690], abs=1e-4)
    assert list(errors(found).values()) == pytest.approx([0.0, 0.1025, 0.0606, 0.0708], abs=1e-4)
    assert (found.deviance.residual, found.deviance.residual_df) == (pytest.approx(4.29, abs=5e-3), 3)
    assert found.deviance.null == pytest.approx(1925.2, abs=0.05)


@settings(max_examples=30)
@given(settled)
def test_choix_finds_the_same(answers: list[Comparison]) -> None:
    """An independent implementation of the maximum, without ties."""
    decided = [c for c in answers if c.choice is not TIE]
    found = fit(decided, model="bt")
    names = list(found.strengths)
    pairs = [(c.a, c.b) if c.choice is A else (c.b, c.a) for c in decided]
    theirs = choix.opt_pairwise(len(names), [(names.index(w), names.index(x)) for w, x in pairs], alpha=0.0)
    assert list(logits(found).values()) == pytest.approx((theirs - theirs.mean()).tolist(), abs=2e-3)


# ------------------------------------------------------------------------------------------------- what options mean
def test_a_tie_is_half_a_win_each_for_bradley_terry() -> None:
    """Two ties weigh as one win and one loss; the model has no tie parameter, and a note says so."""
    tied = fit(wins("a", "b", 3) + ties("a", "b", 2), model="bt")
    split = fit(wins("a", "b", 4) + wins("b", "a", 1), model="bt")
    assert logits(tied) == pytest.approx(logits(split), abs=1e-9)
    assert tied.tie_parameter is None
    assert any("half a win" in told for told in tied.warnings)


def test_the_reference_moves_the_scale_and_nothing_else() -> None:
    """Differences and their errors are the same against a named one and centred; the named one is 0 for certain."""
    centred, against = fit(pudding()), fit(pudding(), reference="4")
    assert sum(logits(centred).values()) == pytest.approx(0.0, abs=1e-9)
    assert against.strengths["4"].estimate == against.strengths["4"].se == 0.0
    for fitted in (centred, against):
        gap = fitted.difference("6", "1")
        assert (gap.estimate, gap.se) == pytest.approx((0.3771, 0.1924), abs=1e-4)
    with pytest.raises(BadInput, match="'7' was not compared"):
        fit(pudding(), reference="7")


def test_the_order_effect_is_the_first_ones_advantage() -> None:
    """Two equals, the first one wins 3 of 4 times in either order: log 3, also with ties around."""
    answers = [Comparison("a", "b", A)] * 3 + [Comparison("a", "b", B)] + [Comparison("b", "a", A)] * 3
    answers += [Comparison("b", "a", B)]
    for extra in ([], [Comparison("a", "b", TIE), Comparison("b", "a", TIE)] * 2):
        found = fit(answers + extra, order_effect=True)
        assert found.order_effect is not None
        assert found.order_effect.estimate == pytest.approx(math.log(3), abs=1e-8)
        assert logits(found) == pytest.approx({"a": 0.0, "b": 0.0}, abs=1e-8)
        # Davidson's nu with the order effect inside the root: ties over the root of wins times losses.
        assert found.tie_parameter == pytest.approx(len(extra) / math.sqrt(6 * 2), abs=1e-8)


def test_an_order_effect_that_cannot_be_told_is_refused() -> None:
    """With a always first, being first and being a are the same thing."""
    with pytest.raises(BadInput, match="cannot be told"):
        fit([Comparison("a", "b", A), Comparison("a", "b", B)], order_effect=True)


def test_a_list_of_winners_is_told_from_an_order() -> None:
    """Who writes winners first gets an order effect that says so, held by the prior."""
    found = fit(wins("a", "b", 3) + wins("b", "a", 3), model="bt", order_effect=True)
    assert found.separated
    assert any("same column" in told for told in found.warnings)


def test_regularising_pulls_together() -> None:
    """A precision of x on both logits: the mode of likelihood and prior, found here by hand for two candidates."""
    answers = wins("a", "b", 9) + wins("b", "a", 1)
    plain, held = fit(answers, model="bt"), fit(answers, model="bt", regularise=0.5)
    gap = held.difference("a", "b").estimate
    # d/dgap of 9 gap - 10 log(1 + exp(gap)) - 0.5 / 2 * 2 * (gap / 2)^2 is 0
    assert 9 - 10 / (1 + math.exp(-gap)) - 0.25 * gap == pytest.approx(0.0, abs=1e-8)
    assert gap < plain.difference("a", "b").estimate == pytest.approx(math.log(9), abs=1e-8)
    with pytest.raises(BadInput, match="precision of 0 or more"):
        fit(answers, regularise=-1.0)


def test_few_judgments_say_so() -> None:
    """Five answers about two candidates are fitted, with a sentence that it is a guess and how many are missing."""
    few = fit(wins("a", "b", 3) + wins("b", "a", 2))
    assert any("5 for 2 candidates; 15 more" in told for told in few.warnings)
    assert fit(wins("a", "b", 12) + wins("b", "a", 8)).warnings == ()


# ------------------------------------------------------------------------------------------------------------- clusters
def test_repeating_every_answer_makes_nothing_surer() -> None:
    """Each rater's answers copied: plain errors shrink by the root of 4, clustered ones do not."""
    random = np.random.default_rng(3)
    once = [
        Comparison(a, b, A if random.random() < 0.6 else B, rater=f"r{n}")
        for n in range(40)
        for a, b in [("a", "b"), ("b", "a"), ("b", "c"), ("c", "a")]
    ]
    first, copied = fit(once, model="bt"), fit(once * 4, model="bt")
    assert errors(copied) == pytest.approx(errors(first), rel=1e-6)
    assert copied.plain_errors["a"] == pytest.approx(first.plain_errors["a"] / 2, rel=1e-6)
    assert copied.clustered_by == ("rater",)
    assert copied.degrees == 39


def test_the_sandwich_by_hand() -> None:
    """Two candidates, raters of two answers each: the score of a rater is wins minus expected, the rest is algebra."""
    raters = [(2, 0)] * 7 + [(1, 1)] * 4 + [(0, 2)] * 4
    answers = [
        Comparison("a", "b", A if n < won else B, rater=str(who))
        for who, (won, lost) in enumerate(raters)
        for n in range(won + lost)
    ]
    found = fit(answers, model="bt", reference="b")
    share = 18 / 30
    meat = sum((won - 2 * share) ** 2 for won, _ in raters) * len(raters) / (len(raters) - 1)
    assert errors(found)["a"] == pytest.approx(math.sqrt(meat) / (30 * share * (1 - share)), rel=1e-9)


def test_two_ways_of_clustering() -> None:
    """Raters and lines that both disagree about who is better give wider errors than either alone."""
    random = np.random.default_rng(8)
    rater_likes, line_likes = random.normal(0, 1.2, 20), random.normal(0, 1.2, 20)
    answers = []
    for rater in range(20):
        for line in range(20):
            won = random.random() < 1 / (1 + math.exp(-(0.3 + rater_likes[rater] + line_likes[line])))
            answers.append(Comparison("a", "b", A if won else B, f"r{rater}", f"l{line}"))
    both = fit(answers, reference="b")
    by_rater = fit([c._replace(line="") for c in answers], reference="b")
    by_line = fit([c._replace(rater="") for c in answers], reference="b")
    assert both.clustered_by == ("rater", "line")
    assert errors(both)["a"] > max(errors(by_rater)["a"], errors(by_line)["a"]) > both.plain_errors["a"]
    assert abs(both.strengths["a"].estimate - 0.3) < 3 * errors(both)["a"]


def test_few_clusters_never_narrow_an_interval() -> None:
    """Three raters who happen to agree exactly: the plain error is the floor, and the note says how rough it is."""
    answers = [Comparison("a", "b", choice, rater=rater) for rater in ("x", "y", "z") for choice in [A] * 7 + [B] * 3]
    found = fit(answers)
    assert errors(found)["a"] == pytest.approx(found.plain_errors["a"], rel=1e-9)
    assert any("Only 3 raters" in told for told in found.warnings)
    assert found.degrees == 2


def test_one_rater_cannot_be_clustered() -> None:
    """Nothing can be said of how reviewers differ from one of them; the errors are plain and a note says it."""
    found = fit([Comparison("a", "b", choice, rater="x") for choice in [A] * 7 + [B] * 3])
    assert found.clustered_by == ()
    assert errors(found) == pytest.approx(dict(found.plain_errors))
    assert any("One rater alone" in told for told in found.warnings)


def test_clustered_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Raters with tastes of their own: about 95 % of the clustered intervals hold the mean, far fewer of the plain."""
    random = np.random.default_rng(11)
    held, plain_held, runs = 0, 0, 200
    for _ in range(runs):
        tastes = random.normal(0, 1.0, 16)
        answers = [
            Comparison("a", "b", A if random.random() < 1 / (1 + math.exp(-taste)) else B, rater=str(n))
            for n, taste in enumerate(tastes)
            for _ in range(12)
        ]
        gap = fit(answers, model="bt", reference="b").strengths["a"]
        plain = fit([c._replace(rater="") for c in answers], model="bt", reference="b").strengths["a"]
        held += gap.interval.low < 0 < gap.interval.high
        plain_held += plain.interval.low < 0 < plain.interval.high
    assert held / runs > 0.90
    assert plain_held / runs < 0.85
