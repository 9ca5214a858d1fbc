"""From answers to an outcome, with the reasons in sentences. Pure: the same answers give the same outcome.

Knows rules, answers, and what reviewers said to screeners' flags. Screeners flag and people decide: a flag decides
nothing by itself, except where a rule marks its screener as automatic. Knows nothing of what follows from an outcome.

How a tier comes out, the first that applies:

1. A fail that names one of the rule's fatal reasons fails the tier at once, whoever else passed it. So does a flag for
   a fatal reason that a reviewer confirmed and none refuted, and a flag of an automatic screener that none refuted.
2. A clip that somebody failed and nobody passed counts as failed; more than `max_fail` of them fail the tier.
3. A clip that was both passed and failed is disputed, as is such a flag that was both confirmed and refuted; and a pass
   that names a fatal reason contradicts itself. None of these decides anything: the tier stays undecided.
4. A flag for a fatal reason on a passed clip that was put to nobody yet leaves the tier undecided.
5. The tier passes with `min_pass` clips, each passed by `reviewers` different people, all of the rule's lines among
   them; it is undecided before that.

A candidate fails with any tier, passes with all tiers, and is undecided otherwise. Where a person answered, simulated
reviewers are not counted: the two are never mixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from engine.gate import record, words
from engine.types import BadInput, Candidate, Choice, Finding, Flag, FlagChoice, Gate, Outcome, Rule, Tier


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One answer to one gate trial, after unblinding: a reviewer passed or failed a clip of a candidate."""

    tier: Tier
    choice: Choice
    reasons: tuple[str, ...] = ()
    reviewer: str
    clip_id: str
    line_id: str = ""
    script_sha256: str = ""
    is_long_enough: bool = True  # the line, for its tier, as the voice's base speaks it
    is_first_draw: bool = True  # nothing could have been drawn again: a retry hides a failure
    simulated: bool = False


@dataclass(frozen=True, kw_only=True)
class Flagged:
    """What a screener says against a clip of the candidate, and who said what to it."""

    flag: Flag
    tier: Tier
    line_id: str = ""
    script_sha256: str = ""
    is_long_enough: bool = True
    is_first_draw: bool = True
    said: tuple[tuple[str, FlagChoice], ...] = ()  # reviewer and what they said, one a reviewer
    simulated: bool = False  # who said it

    def by(self, choice: FlagChoice) -> tuple[str, ...]:
        """The reviewers who said this, by name."""
        return tuple(sorted(reviewer for reviewer, said in self.said if said is choice))

    @property
    def is_confirmed(self) -> bool:
        """Somebody heard it too."""
        return bool(self.by(FlagChoice.YES))

    @property
    def is_refuted(self) -> bool:
        """Somebody says that it is not there."""
        return bool(self.by(FlagChoice.NO))


class Countable(Protocol):
    """What has a line of a script: an answer, a flag, a rendered clip."""

    @property
    def tier(self) -> Tier: ...
    @property
    def line_id(self) -> str: ...
    @property
    def script_sha256(self) -> str: ...
    @property
    def is_long_enough(self) -> bool: ...
    @property
    def is_first_draw(self) -> bool: ...


def decide(
    gate: Gate, candidate: Candidate, judged: Sequence[Judged], flagged: Sequence[Flagged] = ()
) -> tuple[Outcome, tuple[Finding, ...]]:
    """What the answers about `candidate` say under `gate`: the outcome, and a finding for every rule in its order.

    The base model is judged like any candidate, as the control: whether it may be promoted is not asked here. Answers
    about tiers, lines and scripts that the gate does not count are not counted. Raises BadInput for a gate that cannot
    decide, or an answer that is neither pass nor fail.
    """
    record.check(gate)
    for answer in judged:
        if answer.choice not in (Choice.PASS, Choice.FAIL):
            raise BadInput(f"{candidate.id}: a gate asks for pass or fail, not {answer.choice}; leave preferences out.")
    people_only = any(not answer.simulated for answer in judged)
    answers = [answer for answer in judged if not (people_only and answer.simulated)]
    flags = sorted((_unsaid(each) if people_only and each.simulated else each for each in flagged), key=_place)
    findings = tuple(
        _decide_tier(
            rule,
            [answer for answer in answers if answer.tier is rule.tier and counts(gate, answer)],
            [each for each in flags if each.tier is rule.tier and counts(gate, each)],
        )
        for rule in gate.rules
    )
    outcomes = [finding.outcome for finding in findings]
    if Outcome.FAIL in outcomes:
        return Outcome.FAIL, findings
    if all(outcome is Outcome.PASS for outcome in outcomes):
        return Outcome.PASS, findings
    return Outcome.UNDECIDED, findings


def counts(gate: Gate, heard: Countable) -> bool:
    """Whether what was heard counts for its tier: its line, its script, whether the line is long enough, and that no
    retry could have hidden a failure.
    """
    rule = gate.rule(heard.tier)
    if rule is None or not heard.is_first_draw or (gate.measured_tiers and not heard.is_long_enough):
        return False
    is_line = not rule.lines or heard.line_id in rule.lines
    return is_line and (not gate.scripts or heard.script_sha256 in gate.scripts)


def _place(flagged: Flagged) -> tuple[object, ...]:
    return (flagged.flag.clip_id, flagged.flag.id, flagged.flag.version, flagged.said)


def _unsaid(flagged: Flagged) -> Flagged:
    return replace(flagged, said=(), simulated=False)


@dataclass(frozen=True)
class _Heard:
    """The answers and flags of one tier, sorted by what the rule makes of them."""

    rule: Rule
    answers: Sequence[Judged]
    flags: Sequence[Flagged]

    @property
    def passed(self) -> list[Judged]:
        return [answer for answer in self.answers if answer.choice is Choice.PASS]

    @property
    def failed(self) -> list[Judged]:
        return [answer for answer in self.answers if answer.choice is Choice.FAIL]

    def is_fatal(self, answer: Judged) -> bool:
        return bool(set(answer.reasons) & set(self.rule.fatal_reasons))

    @property
    def disputed_clips(self) -> set[str]:
        return {answer.clip_id for answer in self.passed} & {answer.clip_id for answer in self.failed}

    @property
    def failed_clips(self) -> set[str]:
        return {answer.clip_id for answer in self.failed} - self.disputed_clips

    @property
    def passed_clips(self) -> dict[str, set[str]]:
        """Clips that nobody failed, with who passed them."""
        found: dict[str, set[str]] = {}
        for answer in self.passed:
            if answer.clip_id not in self.disputed_clips:
                found.setdefault(answer.clip_id, set()).add(answer.reviewer)
        return found

    @property
    def weighty(self) -> list[Flagged]:
        """Flags that can fail the tier: for a fatal reason, or of an automatic screener."""
        fatal, automatic = self.rule.fatal_reasons, self.rule.automatic
        return [each for each in self.flags if each.flag.reason in fatal or each.flag.screener in automatic]

    @property
    def standing(self) -> list[Flagged]:
        """Flags that fail the tier: not refuted, and confirmed unless automatic."""
        automatic = self.rule.automatic
        found = [each for each in self.weighty if not each.is_refuted]
        return [each for each in found if each.is_confirmed or each.flag.screener in automatic]

    @property
    def open_flags(self) -> list[Flagged]:
        """Flags for a fatal reason on clips that somebody passed, put to nobody yet."""
        heard = {answer.clip_id for answer in self.passed}
        return [each for each in self.weighty if each.flag.clip_id in heard and not each.said]


def _decide_tier(rule: Rule, answers: Sequence[Judged], flags: Sequence[Flagged]) -> Finding:
    heard = _Heard(rule, answers, flags)
    outcome, explanation, is_disputed = _outcome(heard)
    return Finding(
        tier=rule.tier,
        outcome=outcome,
        passes=len(heard.passed),
        fails=len(heard.failed),
        explanation=f"{rule.tier.capitalize()}: {explanation}",
        needed=_needed(heard) if outcome is Outcome.UNDECIDED else (),
        is_disputed=is_disputed,
    )


def _outcome(heard: _Heard) -> tuple[Outcome, str, bool]:
    """The outcome, why, and whether people disagree."""
    rule, passed, failed = heard.rule, heard.passed, heard.failed
    if fatal := [answer for answer in failed if heard.is_fatal(answer)]:
        named = [reason for reason in rule.fatal_reasons if any(reason in answer.reasons for answer in fatal)]
        who = words.people(answer.reviewer for answer in fatal)
        return Outcome.FAIL, f"{who} heard {words.listed(named)}, which fails this tier at once.", False
    if heard.standing:
        return Outcome.FAIL, _standing(heard.standing[0]), False
    disputed, agreed = heard.disputed_clips, heard.failed_clips
    why = words.because(answer.reasons for answer in failed)
    if len(agreed) > rule.max_fail:
        total = len({answer.clip_id for answer in heard.answers})
        told = f"{words.of(len(agreed), total)} failed{why}; {words.at_most(rule.max_fail)} may fail."
        return Outcome.FAIL, told, False
    if len(agreed) + len(disputed) > rule.max_fail:
        for_it = words.people(answer.reviewer for answer in passed if answer.clip_id in disputed)
        against = words.people(answer.reviewer for answer in failed if answer.clip_id in disputed)
        told = f"disputed, {words.clips(len(disputed))} passed by {for_it} and failed by {against}{why}."
        return Outcome.UNDECIDED, told, True
    return _of_passes(heard, why)


def _of_passes(heard: _Heard, why: str) -> tuple[Outcome, str, bool]:
    """The outcome where no fail decides it."""
    passed = heard.passed
    if torn := [answer for answer in passed if heard.is_fatal(answer)]:
        who = words.people(answer.reviewer for answer in torn)
        told = f"{who} passed a clip and named what fails this tier; that answer decides nothing."
        return Outcome.UNDECIDED, told, True
    if split := [each for each in heard.weighty if each.is_confirmed and each.is_refuted]:
        yes, no = (words.listed(split[0].by(choice)) for choice in (FlagChoice.YES, FlagChoice.NO))
        told = f"disputed, {yes} heard {words.flag(split[0].flag)} and {no} did not."
        return Outcome.UNDECIDED, told, True
    if not heard.answers:
        return Outcome.UNDECIDED, "not heard yet.", False
    if heard.open_flags:
        told = f"passed so far, but nobody has said whether {words.flag(heard.open_flags[0].flag)} is there."
        return Outcome.UNDECIDED, told, False
    if missing := _passes_missing(heard):
        return Outcome.UNDECIDED, missing, False
    return Outcome.PASS, f"{len(passed)} of {len(heard.answers)} answers passed{why}.", False


def _standing(flagged: Flagged) -> str:
    told = words.flag(flagged.flag)
    if flagged.is_confirmed:
        return f"{words.listed(flagged.by(FlagChoice.YES))} confirmed {told}, which fails this tier at once."
    return f"the screener {flagged.flag.screener} found {told}, which fails this tier by an automatic rule."


def _enough(heard: _Heard) -> set[str]:
    """The clips that enough people passed."""
    return {clip for clip, people in heard.passed_clips.items() if len(people) >= heard.rule.reviewers}


def _passes_missing(heard: _Heard) -> str:
    rule, enough = heard.rule, _enough(heard)
    lines = _lines_missing(heard)
    if len(enough) >= rule.min_pass and not lines:
        return ""
    each = "" if rule.reviewers == 1 else f" by {rule.reviewers} people"
    if len(enough) < rule.min_pass:
        return f"{len(enough)} of {rule.min_pass} passes{each}; {rule.min_pass - len(enough)} more needed."
    return f"{words.listed(lines)} {'is' if len(lines) == 1 else 'are'} not passed{each} yet."


def _lines_missing(heard: _Heard) -> list[str]:
    enough = _enough(heard)
    passed = {answer.line_id for answer in heard.passed if answer.clip_id in enough}
    return [line for line in heard.rule.lines if line not in passed]


# ------------------------------------------------------------------------------------------------------------- needed
def _needed(heard: _Heard) -> tuple[str, ...]:
    """What would decide an undecided tier, in sentences, the nearest first."""
    rule = heard.rule
    found = [_of_disputed(len(heard.disputed_clips))] if heard.disputed_clips else []
    for each in heard.weighty:
        if each.is_confirmed and each.is_refuted:
            found.append(f"Agreement on whether {words.flag(each.flag)} is there.")
    found += [f"Confirm or refute: {words.flag(each.flag)}." for each in heard.open_flags]
    short = rule.min_pass - len(_enough(heard)) - len(heard.disputed_clips)
    people = "" if rule.reviewers == 1 else f", each by {rule.reviewers} different people"
    if short > 0:
        found.append(f"{short} more {'clip' if short == 1 else 'clips'} passed{people}.")
    if lines := _lines_missing(heard):
        found.append(f"A pass of {words.listed(lines)}{people}.")
    return tuple(dict.fromkeys(found))


def _of_disputed(count: int) -> str:
    clips = "A disputed clip" if count == 1 else f"{count} disputed clips"
    return f"{clips}: listen together, then answer anew in a new sitting."
