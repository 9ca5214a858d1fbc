"""Which checkpoints may go, and what keeps the others. Pure: nothing is touched, and no verdict means no deletion.

Knows checkpoints and what was judged, promoted, pinned and exported. Each policy is a small function that gives its
reasons for keeping one checkpoint, or none; a checkpoint is kept while any policy has a reason. Only when none has,
and every candidate of it that was rendered or judged has a failing verdict, may it go; then the reasons say which
verdicts those are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.types import Candidate, Checkpoint, Outcome, Promotion, Retained, Verdict

PROMOTED_KEPT_SEC = 90 * 86_400.0


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What retention may know. `verdicts` are those in force, one a candidate and gate; `promotions` all there ever
    were, in order.

    `overtaken_candidates` have a failing verdict that the answers of today no longer give.

    `resume_points`, `open_trial_checkpoints`, `pinned` and `exported` are ids of checkpoints, `favourites` too: what
    reviewers preferred in A/B trials, best first. `now` is seconds since
    the epoch. Simulated reviewers' failing verdicts let a checkpoint go only with `simulated_counts`; what they passed
    or left undecided is kept either way.
    """

    verdicts: Sequence[Verdict] = ()
    promotions: Sequence[Promotion] = ()
    open_trial_checkpoints: frozenset[str] = frozenset()
    pinned: frozenset[str] = frozenset()
    resume_points: frozenset[str] = frozenset()
    exported: frozenset[str] = frozenset()
    swept_candidates: frozenset[Candidate] = frozenset()
    overtaken_candidates: frozenset[Candidate] = frozenset()
    favourites: Sequence[str] = ()
    now: float
    promoted_kept_sec: float = PROMOTED_KEPT_SEC
    simulated_counts: bool = True

    def verdicts_of(self, checkpoint_id: str) -> list[Verdict]:
        """Verdicts in force about any scale of a checkpoint, by scale."""
        own = [verdict for verdict in self.verdicts if verdict.candidate.checkpoint_id == checkpoint_id]
        return sorted(own, key=lambda verdict: (verdict.candidate.lora_scale, verdict.gate))


Policy = Callable[[Checkpoint, Facts], tuple[str, ...]]


def retain(checkpoints: Sequence[Checkpoint], facts: Facts) -> list[Retained]:
    """One answer a checkpoint, in their order: keep it or not, and why. The base model has no checkpoint and is never
    asked.
    """
    last = {checkpoint.run_id: checkpoint for checkpoint in sorted(checkpoints, key=lambda checkpoint: checkpoint.step)}
    return [_answer(checkpoint, facts, is_last=last[checkpoint.run_id] is checkpoint) for checkpoint in checkpoints]


def _answer(checkpoint: Checkpoint, facts: Facts, *, is_last: bool) -> Retained:
    reasons = [reason for policy in POLICIES for reason in policy(checkpoint, facts)]
    if is_last and checkpoint.id not in facts.resume_points:
        reasons.append(f"last checkpoint of run {checkpoint.run_id}")
    return Retained(
        checkpoint_id=checkpoint.id,
        keep=bool(reasons),
        reasons=tuple(reasons) or tuple(_failed(verdict) for verdict in facts.verdicts_of(checkpoint.id)),
        bytes=checkpoint.bytes,
    )


# ------------------------------------------------------------------------------------------------------------- policies
def champion(checkpoint: Checkpoint, facts: Facts) -> tuple[str, ...]:
    """An alias points at it now."""
    current = {promotion.alias: promotion for promotion in facts.promotions}
    return tuple(
        f"promoted as {alias} at scale {promotion.candidate.lora_scale:g}"
        for alias, promotion in current.items()
        if promotion.candidate.checkpoint_id == checkpoint.id
    )


def promoted_before(checkpoint: Checkpoint, facts: Facts) -> tuple[str, ...]:
    """An alias pointed at it within the last `promoted_kept_sec`: going back to the last voice must stay possible."""
    kept = []
    pointing: dict[str, Promotion] = {}
    for promotion in facts.promotions:
        before = pointing.get(promotion.alias)
        if before and before.candidate.checkpoint_id == checkpoint.id != promotion.candidate.checkpoint_id:
            ended_sec_ago = facts.now - promotion.promoted_at
            if ended_sec_ago <= facts.promoted_kept_sec:
                kept.append(f"was promoted as {promotion.alias} until {max(0.0, ended_sec_ago) / 86_400:.0f} days ago")
        pointing[promotion.alias] = promotion
    return tuple(dict.fromkeys(kept))


def passed(checkpoint: Checkpoint, facts: Facts) -> tuple[str, ...]:
    """A candidate of it passed a gate."""
    return tuple(
        f"{_scale(verdict.candidate)} passed"
        for verdict in facts.verdicts_of(checkpoint.id)
        if verdict.outcome is Outcome.PASS
    )


def undecided(checkpoint: Checkpoint, facts: Facts) -> tuple[str, ...]:
    """A candidate of it has too few answers."""
    return tuple(
        f"{_scale(verdict.candidate)} is undecided"
        for verdict in facts.verdicts_of(checkpoint.id)
        if verdict.outcome is Outcome.UNDECIDED and not _is_disputed(verdict)
    )


def disputed(checkpoint: Checkpoint, facts: Facts) -> tuple[str, ...]:
    """Reviewers disagree about a candidate of it: who is right is not known yet."""
    return tuple(
        f"{_scale(verdict.candidate)} is disputed ({_tally(verdict)})"
        for verdict in facts.verdicts_of(checkpoint.id)
        if verdict.outcome is Outcome.UNDECIDED and _is_disputed(verdict)
    )


def favourite(checkpoint: Checkpoint, facts: Facts) -> tuple[str, ...]:
    """Reviewers liked it best, or second best: a gate that turns out too strict must not have cost it."""
    places = dict(zip(facts.favourites, ("preferred most by reviewers", "runner-up in preference"), strict=False))
    return (places[checkpoint.id],) if checkpoint.id in places else ()


def not_judged(checkpoint: Checkpoint, facts: Facts) -> tuple[str, ...]:
    """No verdict, no deletion: neither for the checkpoint, nor for any scale of it that was rendered."""
    verdicts = facts.verdicts_of(checkpoint.id)
    counted = {verdict.candidate for verdict in verdicts if facts.simulated_counts or not verdict.simulated}
    rendered = {candidate for candidate in facts.swept_candidates if candidate.checkpoint_id == checkpoint.id}
    if not counted and not rendered:
        return ("no verdict yet",)
    simulated_only = {verdict.candidate for verdict in verdicts} - counted
    waiting = sorted((rendered | simulated_only) - counted, key=lambda candidate: candidate.lora_scale)
    return tuple(f"{_scale(candidate)} has no verdict yet" for candidate in waiting)


def unheard(checkpoint: Checkpoint, facts: Facts) -> tuple[str, ...]:
    """A candidate of it was failed by automatic rules alone: a verdict, but nobody has listened."""
    return tuple(
        f"{_scale(verdict.candidate)} failed by an automatic rule and was heard by nobody"
        for verdict in facts.verdicts_of(checkpoint.id)
        if verdict.outcome is Outcome.FAIL and not any(f.passes or f.fails for f in verdict.findings)
    )


def overtaken(checkpoint: Checkpoint, facts: Facts) -> tuple[str, ...]:
    """A candidate of it failed, but what was answered since says something else."""
    return tuple(
        f"{_scale(candidate)} was answered about since its verdict"
        for candidate in sorted(facts.overtaken_candidates, key=lambda candidate: candidate.lora_scale)
        if candidate.checkpoint_id == checkpoint.id
    )


def in_open_trial(checkpoint: Checkpoint, facts: Facts) -> tuple[str, ...]:
    """A reviewer may be listening to it."""
    return ("in an open trial",) if checkpoint.id in facts.open_trial_checkpoints else ()


def pinned(checkpoint: Checkpoint, facts: Facts) -> tuple[str, ...]:
    """A person said so."""
    return ("pinned",) if checkpoint.id in facts.pinned else ()


def resume_point(checkpoint: Checkpoint, facts: Facts) -> tuple[str, ...]:
    """Its run goes on from here."""
    return (f"run {checkpoint.run_id} resumes from it",) if checkpoint.id in facts.resume_points else ()


def exported(checkpoint: Checkpoint, facts: Facts) -> tuple[str, ...]:
    """Somebody uses it elsewhere, and will ask where it came from."""
    return ("exported",) if checkpoint.id in facts.exported else ()


POLICIES: tuple[Policy, ...] = (
    champion,
    promoted_before,
    passed,
    undecided,
    disputed,
    favourite,
    not_judged,
    unheard,
    overtaken,
    in_open_trial,
    pinned,
    exported,
    resume_point,
)


# ---------------------------------------------------------------------------------------------------------------- words
def _scale(candidate: Candidate) -> str:
    return f"scale {candidate.lora_scale:g}"


def _is_disputed(verdict: Verdict) -> bool:
    return any(finding.is_disputed or (finding.passes and finding.fails) for finding in verdict.findings)


def _tally(verdict: Verdict) -> str:
    passes, fails = (sum(getattr(finding, what) for finding in verdict.findings) for what in ("passes", "fails"))
    return f"{passes} pass, {fails} fail"


def _failed(verdict: Verdict) -> str:
    by = "simulated reviewers" if verdict.simulated else verdict.decided_by
    why = next((finding.explanation for finding in verdict.findings if finding.outcome is Outcome.FAIL), "")
    return f"{_scale(verdict.candidate)} failed ({by}){': ' + why.rstrip('.') if why else ''}"
