"""From answers to an outcome, with the reasons in sentences. Pure: the same answers give the same outcome.

Knows rules and answers. Knows nothing of scores: screeners flag, people decide. Knows nothing of what follows from an
outcome.

How a tier comes out:

- A fail that names one of the rule's fatal reasons fails the tier at once, whoever else passed it.
- A clip that somebody failed and nobody passed counts as failed; more than `max_fail` of them fail the tier.
- A clip that was both passed and failed is disputed, and a pass that names a fatal reason contradicts itself. Neither
  decides anything: the tier stays undecided.
- Otherwise the tier passes with `min_pass` passes, and is undecided before that.

A candidate fails with any tier, passes with all tiers, and is undecided otherwise. Where a person answered, simulated
reviewers are not counted: the two are never mixed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from engine.types import BadInput, Candidate, Choice, Finding, Gate, Outcome, Rule, Tier


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One answer to one gate trial, after unblinding: a reviewer passed or failed a clip of a candidate."""

    tier: Tier
    choice: Choice
    reasons: tuple[str, ...] = ()
    reviewer: str
    clip_id: str
    simulated: bool = False


DEFAULT_GATE = Gate(
    name="three-tiers",
    version=1,
    rules=(
        Rule(tier=Tier.SHORT),
        Rule(tier=Tier.MEDIUM),
        Rule(tier=Tier.LONG, fatal_reasons=("dropped word", "merged word")),
    ),
)


def decide(gate: Gate, candidate: Candidate, judged: Sequence[Judged]) -> tuple[Outcome, tuple[Finding, ...]]:
    """What the answers about `candidate` say under `gate`: the outcome, and a finding for every rule in its order.

    The base model is judged like any candidate, as the control: whether it may be promoted is not asked here. Answers
    about tiers without a rule are not counted. Raises BadInput for a gate that cannot decide, or an answer that is
    neither pass nor fail.
    """
    _check(gate)
    for answer in judged:
        if answer.choice not in (Choice.PASS, Choice.FAIL):
            raise BadInput(f"{candidate.id}: a gate asks for pass or fail, not {answer.choice}; leave preferences out.")
    counted = [answer for answer in judged if not answer.simulated] or judged
    findings = tuple(
        _decide_tier(rule, [answer for answer in counted if answer.tier is rule.tier]) for rule in gate.rules
    )
    outcomes = [finding.outcome for finding in findings]
    if Outcome.FAIL in outcomes:
        return Outcome.FAIL, findings
    if all(outcome is Outcome.PASS for outcome in outcomes):
        return Outcome.PASS, findings
    return Outcome.UNDECIDED, findings


def _check(gate: Gate) -> None:
    tiers = Counter(rule.tier for rule in gate.rules)
    if missing := [tier for tier in Tier if tiers[tier] == 0]:
        raise BadInput(
            f"Gate {gate.name!r} has no rule for the {', '.join(missing)} tier; nothing passes unheard, so add one."
        )
    if twice := [tier for tier, count in tiers.items() if count > 1]:
        raise BadInput(f"Gate {gate.name!r} has two rules for the {', '.join(twice)} tier; keep one.")
    for rule in gate.rules:
        if rule.min_pass < 1 or rule.max_fail < 0:
            raise BadInput(f"Gate {gate.name!r} lets the {rule.tier} tier pass without a pass; ask for at least one.")


def _decide_tier(rule: Rule, answers: Sequence[Judged]) -> Finding:
    passed = [answer for answer in answers if answer.choice is Choice.PASS]
    failed = [answer for answer in answers if answer.choice is Choice.FAIL]
    outcome, explanation = _outcome(rule, passed, failed)
    return Finding(
        tier=rule.tier,
        outcome=outcome,
        passes=len(passed),
        fails=len(failed),
        explanation=f"{rule.tier.capitalize()}: {explanation}",
    )


def _outcome(rule: Rule, passed: Sequence[Judged], failed: Sequence[Judged]) -> tuple[Outcome, str]:
    if fatal := [answer for answer in failed if set(answer.reasons) & set(rule.fatal_reasons)]:
        named = [reason for reason in rule.fatal_reasons if any(reason in answer.reasons for answer in fatal)]
        return Outcome.FAIL, f"{_names(fatal)} heard {_and(named)}, which fails this tier at once."
    failed_clips = {answer.clip_id for answer in failed}
    disputed = failed_clips & {answer.clip_id for answer in passed}
    agreed = failed_clips - disputed
    if len(agreed) > rule.max_fail:
        heard = len({answer.clip_id for answer in (*passed, *failed)})
        return Outcome.FAIL, f"{_of(len(agreed), heard)} failed{_because(failed)}; {_at_most(rule.max_fail)} may fail."
    if len(failed_clips) > rule.max_fail:
        for_it = _names([answer for answer in passed if answer.clip_id in disputed])
        against = _names([answer for answer in failed if answer.clip_id in disputed])
        told = f"disputed, {_clips(len(disputed))} passed by {for_it} and failed by {against}{_because(failed)}."
        return Outcome.UNDECIDED, told
    if torn := [answer for answer in passed if set(answer.reasons) & set(rule.fatal_reasons)]:
        return (
            Outcome.UNDECIDED,
            f"{_names(torn)} passed a clip and named what fails this tier; that answer decides nothing.",
        )
    if len(passed) < rule.min_pass:
        short = rule.min_pass - len(passed)
        return Outcome.UNDECIDED, (
            "not heard yet."
            if not (passed or failed)
            else f"{len(passed)} of {rule.min_pass} passes; {short} more needed."
        )
    return Outcome.PASS, f"{len(passed)} of {len(passed) + len(failed)} answers passed{_because(failed)}."


# ---------------------------------------------------------------------------------------------------------------- words
def _names(answers: Sequence[Judged]) -> str:
    return _and(sorted({answer.reviewer for answer in answers}))


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _because(failed: Sequence[Judged]) -> str:
    counts = Counter(reason for answer in failed for reason in answer.reasons)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(reason if count == 1 else f"{reason} {count} times" for reason, count in ordered)
    return f" ({told})" if told else ""


def _clips(count: int) -> str:
    return "one clip was" if count == 1 else f"{count} clips were"


def _of(count: int, total: int) -> str:
    return "the only clip" if count == total == 1 else f"{count} of {total} clips"


def _at_most(count: int) -> str:
    return "none" if count == 0 else f"at most {count}"
