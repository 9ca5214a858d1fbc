"""The matrix of candidates and tiers, put together from a record of answers. Pure: from one record comes one matrix.

Knows how a tier stands at this moment under a gate, whether or not a verdict was written since the last answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine import gate
from engine.gate import Flagged, Judged
from engine.statistics import binomial
from engine.studio.answers import Answered, Record
from engine.studio.evidence import AnswerSeen, ClipSeen
from engine.types import Candidate, Choice, Clip, Finding, Gate, Outcome, Retained, Session, Tier, Verdict


class State(StrEnum):
    """How a candidate stands in a tier."""

    NO_CLIPS = "no clips"  # nothing that counts was rendered
    WAITING = "waiting"  # rendered, and nobody has answered
    IN_REVIEW = "in review"  # answered, and not decided
    PASS = "pass"
    FAIL = "fail"
    DISPUTED = "disputed"  # people disagree


@dataclass(frozen=True, kw_only=True)
class TierState:
    """One cell of the matrix. `clips` are those that the gate asks about: one take a line and reference. `waiting`
    trials are open; `pass_rate_above` is what the passes prove with 95 %
    confidence, None without answers.
    """

    state: State
    passes: int = 0
    fails: int = 0
    waiting: int = 0
    clips: int = 0
    open_flags: int = 0
    explanation: str = ""
    needed: tuple[str, ...] = ()
    pass_rate_above: float | None = None


@dataclass(frozen=True, kw_only=True)
class MatrixRow:
    """One candidate over the tiers, with the evidence in words and what keeps its checkpoint.

    `outcome` is of its verdict in force under this gate, None without one; `is_behind`: the answers say something else
    by now.
    """

    candidate: Candidate
    label: str
    tiers: Mapping[Tier, TierState]
    outcome: Outcome | None
    evidence: str
    keeps: str
    simulated: bool
    is_behind: bool = False
    retained: Retained | None = None  # of its checkpoint; None for the base, and for one that is not there


def build(
    rules: Gate,
    record: Record,
    verdicts: Mapping[Candidate, Verdict],
    label: Callable[[Candidate], str],
    kept: Mapping[str, Retained],
) -> list[MatrixRow]:
    """Every candidate of the record, base first, then by checkpoint and scale."""
    rendered: dict[Candidate, list[Clip]] = {}
    for clip in record.clips:
        rendered.setdefault(clip.candidate, []).append(clip)
    everyone = rendered.keys() | record.judged.keys() | verdicts.keys()
    rows = []
    for candidate in sorted(everyone, key=lambda c: (c.checkpoint_id or "", c.lora_scale, c.id)):
        answers, flags = record.judged.get(candidate, []), record.flagged.get(candidate, [])
        outcome, findings = gate.decide(rules, candidate, answers, flags)
        verdict = verdicts.get(candidate)
        clips = rendered.get(candidate, [])
        takes = record.takes(rules, candidate)
        rows.append(
            MatrixRow(
                candidate=candidate,
                label=label(candidate),
                tiers={f.tier: _tier_state(rules, record, f, clips, takes, answers, flags) for f in findings},
                outcome=verdict.outcome if verdict else None,
                evidence=_evidence(answers),
                keeps=_keeps(candidate, kept),
                retained=kept.get(candidate.checkpoint_id or ""),
                simulated=bool(answers) and all(answer.simulated for answer in answers),
                is_behind=bool(answers) and (verdict is None or verdict.outcome is not outcome),
            )
        )
    return rows


def clips_seen(
    rules: Gate, record: Record, candidate: Candidate, tier: Tier, gate_label: Callable[[Session], str]
) -> list[ClipSeen]:
    """The clips of a candidate in a tier, those that were answered about or flagged first."""
    answered: dict[str, list[Answered]] = {}
    for each in record.answered:
        answered.setdefault(each.clip.id, []).append(each)
    flags = record.flagged.get(candidate, [])
    seen = [
        ClipSeen(
            clip=clip,
            answers=tuple(_answer_seen(each, gate_label) for each in answered.get(clip.id, [])),
            flags=tuple(each for each in flags if each.flag.clip_id == clip.id),
            counts=gate.counts(rules, record.countable(clip)),
            fit=_fit(record, clip),
            is_waiting=clip.id in record.waiting,
        )
        for clip in record.clips
        if clip.candidate == candidate and clip.tier is tier
    ]
    return sorted(seen, key=lambda s: (not s.counts, not s.answers, not s.flags, s.clip.line_id, s.clip.seed))


def _fit(record: Record, clip: Clip) -> str:
    found = record.fit(clip)
    return found.sentence if found else ""


def _answer_seen(each: Answered, gate_label: Callable[[Session], str]) -> AnswerSeen:
    assert each.response.choice is not None
    return AnswerSeen(
        reviewer=each.session.reviewer,
        choice=each.response.choice,
        reasons=each.response.reasons,
        note=each.response.note,
        answered_at=each.response.answered_at,
        gate=gate_label(each.session),
        is_simulated=each.session.simulated,
    )


def _tier_state(
    rules: Gate,
    record: Record,
    finding: Finding,
    clips: Sequence[Clip],
    takes: Sequence[Clip],
    answers: Sequence[Judged],
    flags: Sequence[Flagged],
) -> TierState:
    counted = {c.id for c in clips if c.tier is finding.tier and gate.counts(rules, record.countable(c))}
    asked = {clip.id for clip in takes if clip.tier is finding.tier}
    told = asked | {answer.clip_id for answer in answers if answer.tier is finding.tier}
    heard = finding.passes + finding.fails
    return TierState(
        state=_state(finding, has_clips=bool(asked) or heard > 0),
        passes=finding.passes,
        fails=finding.fails,
        waiting=sum(record.waiting.get(clip_id, 0) for clip_id in counted),
        clips=len(asked),
        open_flags=sum(each.flag.clip_id in told & counted and not each.said for each in flags),
        explanation=finding.explanation,
        needed=finding.needed,
        pass_rate_above=binomial.pass_rate_lower_bound(finding.passes, heard, 0.95) if heard else None,
    )


def _state(finding: Finding, *, has_clips: bool) -> State:
    if finding.outcome is Outcome.PASS:
        return State.PASS
    if finding.outcome is Outcome.FAIL:
        return State.FAIL
    if finding.is_disputed:
        return State.DISPUTED
    if finding.passes or finding.fails:
        return State.IN_REVIEW
    return State.WAITING if has_clips else State.NO_CLIPS


def _evidence(answers: Sequence[Judged]) -> str:
    """'9 of 9 passes: above 72 % with 95 % confidence', or the reasons of the fails with their counts."""
    if not answers:
        return ""
    passes = sum(answer.choice is Choice.PASS for answer in answers)
    if passes == len(answers):
        bound = binomial.pass_rate_lower_bound(passes, len(answers), 0.95)
        return f"{passes} of {len(answers)} passes: above {bound:.0%} with 95 % confidence"
    reasons = Counter(reason for answer in answers for reason in answer.reasons)
    told = ", ".join(f"{reason} ×{count}" for reason, count in reasons.most_common())
    return f"{passes} of {len(answers)} passes" + (f"; {told}" if told else "")


def _keeps(candidate: Candidate, kept: Mapping[str, Retained]) -> str:
    if candidate.checkpoint_id is None:
        return "control"
    answer = kept.get(candidate.checkpoint_id)
    return "in the trash or gone" if answer is None else "; ".join(answer.reasons)
