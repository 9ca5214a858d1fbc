"""Releasing a voice: an alias for a candidate that passed. Without a passing verdict nothing is released.

Knows aliases, verdicts and who may move what. Writes nothing: the store keeps promotions, `bundle` exports them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.harness import HARNESS_VERSION
from engine.types import (
    Adapter,
    BadInput,
    Candidate,
    GenerationSettings,
    NotFound,
    Outcome,
    Promotion,
    Refused,
    Tier,
    Verdict,
)

STAGES = ("candidate", "production", "archive")
PROTECTED = ("production",)  # what others rely on: it moves only with a reason

_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a candidate spoke when it was judged: after which reference (a hash, "" for none), how tokens were drawn."""

    reference_sha256: str
    settings: GenerationSettings


def manner(passed: Sequence[Manner], reference: str | None, names: Mapping[str, str]) -> Manner:
    """What is released of the manners that passed, the latest last: what was judged, and nothing else.

    `reference` says after which audio prompt, `names` what people call them. Raises Refused where no manner passed by
    itself or not after this reference, BadInput where several references passed and none is named.
    """
    if not passed:
        raise Refused(
            "No audio prompt and no settings passed every tier by themselves: the passes are spread over several. "
            "Let reviewers hear all tiers after one reference."
        )
    after = list(dict.fromkeys(each.reference_sha256 for each in passed))
    told = ", ".join(f"{names.get(key, key[:12])} ({key[:12]})" if key else "no reference" for key in after)
    if reference is None and len(after) > 1:
        raise BadInput(f"It passed after several references; say which one is released: {told}.")
    chosen = after[0] if reference is None else reference
    found = [each for each in passed if each.reference_sha256 == chosen]
    if not found:
        raise Refused(f"It did not pass after this reference; it passed after: {told}.")
    return found[-1]


def promote(
    candidate: Candidate,
    *,
    adapter: Adapter | None,
    verdict: Verdict | None,
    alias: str,
    settings: GenerationSettings,
    by: str,
    now: float,
    reason: str = "",
    holder: Promotion | None = None,
    reference_sha256: str = "",
    trainer_version: str = "",
) -> Promotion:
    """Point `alias` at `candidate`. `verdict` is the one in force about it, `adapter` its checkpoint's, `holder` what
    the alias points at now.

    Raises Refused for the base model, without a verdict, unless every tier of the verdict passed, and for moving a
    protected alias without a reason; BadInput for an alias that is not `stage/voice`, or without the name of who
    promotes.
    """
    _check_alias(alias)
    _check_move(alias, candidate, holder, reason)
    if not by.strip():
        raise BadInput(f"Promoting {candidate.id} needs the name of who decides it.")
    if candidate.is_base or adapter is None:
        raise Refused(f"{candidate.id} is the base model, the control of every gate; promote a tuned candidate.")
    passed = _passing(candidate, verdict)
    identity = f"{alias}\0{candidate.id}\0{passed.id}\0{by}\0{now!r}"
    return Promotion(
        id=hashlib.sha256(identity.encode()).hexdigest()[:12],
        alias=alias,
        candidate=candidate,
        adapter_sha256=adapter.sha256,
        base_sha256=adapter.base_sha256,
        settings=settings,
        harness_version=HARNESS_VERSION,
        gate=passed.gate,
        gate_version=passed.gate_version,
        verdict_id=passed.id,
        promoted_by=by.strip(),
        promoted_at=now,
        reason=reason.strip(),
        reference_sha256=reference_sha256,
        trainer_version=trainer_version,
    )


def before(alias: str, history: Sequence[Promotion]) -> Promotion:
    """What `alias` pointed at before its present holder: where a rollback goes. `history` is all, oldest first.

    Raises NotFound when there is nothing to go back to.
    """
    own = [promotion for promotion in history if promotion.alias == alias]
    earlier = [promotion for promotion in own if promotion.candidate != own[-1].candidate]
    if not earlier:
        raise NotFound(f"{alias} never pointed at anything else; there is nothing to go back to.")
    return earlier[-1]


def _check_alias(alias: str) -> None:
    if not _ALIAS.fullmatch(alias):
        raise BadInput(f"{alias!r} is no alias; write it as stage/voice, for example production/robin.")
    stage = alias.partition("/")[0]
    if stage not in STAGES:
        raise BadInput(f"{alias!r} begins with {stage}; write it as stage/voice with {', '.join(STAGES)} as stage.")


def _check_move(alias: str, candidate: Candidate, holder: Promotion | None, reason: str) -> None:
    moves = holder is not None and holder.candidate != candidate
    if moves and alias.partition("/")[0] in PROTECTED and not reason.strip():
        raise Refused(f"{alias} is in use; moving it needs a reason, which is kept in its history.")


def _passing(candidate: Candidate, verdict: Verdict | None) -> Verdict:
    """The verdict, when it lets this very candidate be released."""
    if verdict is None or verdict.candidate != candidate:
        raise Refused(f"{candidate.id} has no verdict yet; let reviewers judge it in Listen first.")
    if verdict.outcome is not Outcome.PASS:
        why = next((f" {f.explanation}" for f in verdict.findings if f.outcome is verdict.outcome), "")
        what = "failed its gate" if verdict.outcome is Outcome.FAIL else "is undecided"
        raise Refused(f"{candidate.id} {what} and cannot be promoted.{why}")
    heard = {finding.tier for finding in verdict.findings if finding.outcome is Outcome.PASS}
    if missing := [tier for tier in Tier if tier not in heard]:
        raise Refused(
            f"{candidate.id} was not passed in the {', '.join(missing)} tier; only a pass in all tiers is promoted."
        )
    return verdict
