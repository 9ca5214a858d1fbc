"""Records to table rows and back: what a record looks like in the database, without the database.

Those of listening are in `listening_rows`. Knows column names and JSON; knows no SQL. Every pair of functions here is
an exact round trip, except that paths come back absolute: those inside the workspace are kept relative to it, so that a
workspace can be moved or renamed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.gate import record as gate_record
from engine.types import (
    BadInput,
    Candidate,
    Clip,
    Finding,
    Flag,
    FlagAnswer,
    FlagChoice,
    Gate,
    GenerationSettings,
    Outcome,
    Promotion,
    Reference,
    Score,
    Stop,
    Tier,
    Verdict,
)

Row = dict[str, Any]


def dump(value: object) -> str:
    """JSON for a column. Raises BadInput for what JSON cannot say, such as NaN."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadInput(f"This record cannot be kept ({error}); give numbers, texts, lists and maps of them.") from error


# ----------------------------------------------------------------------------------------------------------- candidates
def from_candidate(candidate: Candidate) -> Row:
    return {
        "candidate_id": candidate.id,
        "backend": candidate.backend,
        "voice": candidate.voice,
        "checkpoint_id": candidate.checkpoint_id,
        "lora_scale": candidate.lora_scale,
    }


def to_candidate(row: Mapping[str, Any]) -> Candidate:
    return Candidate(
        backend=row["backend"],
        voice=row["voice"],
        checkpoint_id=row["checkpoint_id"],
        lora_scale=row["lora_scale"],
    )


# ----------------------------------------------------------------------------------------------------- clips and scores
def from_clip(clip: Clip, home: Path | None) -> Row:
    return {
        "id": clip.id,
        **from_candidate(clip.candidate),
        "adapter_sha256": clip.adapter_sha256,
        "script_sha256": clip.script_sha256,
        "line_id": clip.line_id,
        "tier": clip.tier.value,
        "text": clip.text,
        "seed": clip.seed,
        "path": _kept_path(clip.path, home),
        "sample_rate": clip.sample_rate,
        "duration_sec": clip.duration_sec,
        "stop": clip.stop.value,
        "chunks": clip.chunks,
        "settings": dump(asdict(clip.settings)),
        "harness_version": clip.harness_version,
        "render_sec": clip.render_sec,
        "language": clip.language,
        "reference": _from_reference(clip.reference, home),
        "attempts": clip.attempts,
    }


def to_clip(row: Mapping[str, Any], home: Path | None) -> Clip:
    return Clip(
        id=row["id"],
        candidate=to_candidate(row),
        adapter_sha256=row["adapter_sha256"],
        script_sha256=row["script_sha256"],
        line_id=row["line_id"],
        tier=Tier(row["tier"]),
        text=row["text"],
        seed=row["seed"],
        path=(home or Path()) / row["path"],
        sample_rate=row["sample_rate"],
        duration_sec=row["duration_sec"],
        stop=Stop(row["stop"]),
        chunks=row["chunks"],
        settings=GenerationSettings(**json.loads(row["settings"])),
        harness_version=row["harness_version"],
        render_sec=row["render_sec"],
        language=row["language"],
        reference=_to_reference(row["reference"], home),
        attempts=row["attempts"],
    )


def _from_reference(reference: Reference | None, home: Path | None) -> str | None:
    if reference is None:
        return None
    path = _kept_path(reference.audio_path, home)
    return dump({"audio_path": path, "text": reference.text, "sha256": reference.sha256})


def _to_reference(kept: str | None, home: Path | None) -> Reference | None:
    if kept is None:
        return None
    told = json.loads(kept)
    return Reference(audio_path=(home or Path()) / told["audio_path"], text=told["text"], sha256=told["sha256"])


def _kept_path(path: Path, home: Path | None) -> str:
    path = path.absolute()
    return (path.relative_to(home) if home is not None and path.is_relative_to(home) else path).as_posix()


def from_score(score: Score) -> Row:
    return {
        "clip_id": score.clip_id,
        "screener": score.screener,
        "version": score.version,
        "value": score.value,
        "unit": score.unit,
        "passed": score.passed,
        "explanation": score.explanation,
        "reasons": dump({reason: list(words) for reason, words in score.reasons.items()}),
    }


def to_score(row: Mapping[str, Any]) -> Score:
    return Score(
        clip_id=row["clip_id"],
        screener=row["screener"],
        version=row["version"],
        value=row["value"],
        unit=row["unit"],
        passed=row["passed"],
        explanation=row["explanation"],
        reasons={reason: tuple(words) for reason, words in json.loads(row["reasons"]).items()},
    )


# ------------------------------------------------------------------------------------------------- verdicts and keeping
def from_verdict(verdict: Verdict) -> Row:
    return {
        "id": verdict.id,
        **from_candidate(verdict.candidate),
        "gate": verdict.gate,
        "gate_version": verdict.gate_version,
        "outcome": verdict.outcome.value,
        "findings": dump([asdict(finding) for finding in verdict.findings]),
        "decided_by": verdict.decided_by,
        "decided_at": verdict.decided_at,
        "simulated": verdict.simulated,
        "gate_sha256": verdict.gate_sha256,
    }


def to_verdict(row: Mapping[str, Any]) -> Verdict:
    return Verdict(
        id=row["id"],
        candidate=to_candidate(row),
        gate=row["gate"],
        gate_version=row["gate_version"],
        outcome=Outcome(row["outcome"]),
        findings=tuple(_to_finding(finding) for finding in json.loads(row["findings"])),
        decided_by=row["decided_by"],
        decided_at=row["decided_at"],
        simulated=row["simulated"],
        gate_sha256=row["gate_sha256"],
    )


def _to_finding(kept: Mapping[str, Any]) -> Finding:
    needed = tuple(kept.get("needed", ()))
    return Finding(**{**kept, "tier": Tier(kept["tier"]), "outcome": Outcome(kept["outcome"]), "needed": needed})


def from_gate(gate: Gate, at: float) -> Row:
    record = gate_record.to_record(gate)
    sha256 = gate_record.sha256(gate)
    return {"sha256": sha256, "name": gate.name, "version": gate.version, "record": dump(record), "kept_at": at}


def to_gate(row: Mapping[str, Any]) -> Gate:
    return gate_record.from_record(json.loads(row["record"]), where=f"the kept gate {row['sha256'][:8]}")


def from_flag_answer(answer: FlagAnswer) -> Row:
    return {
        "session_id": answer.session_id,
        "trial_id": answer.trial_id,
        "clip_id": answer.flag.clip_id,
        "screener": answer.flag.screener,
        "version": answer.flag.version,
        "reason": answer.flag.reason,
        "words": dump(list(answer.flag.words)),
        "choice": answer.choice.value,
        "answered_at": answer.answered_at,
    }


def to_flag_answer(row: Mapping[str, Any]) -> FlagAnswer:
    flag = Flag(
        clip_id=row["clip_id"],
        screener=row["screener"],
        version=row["version"],
        reason=row["reason"],
        words=tuple(json.loads(row["words"])),
    )
    return FlagAnswer(
        session_id=row["session_id"],
        trial_id=row["trial_id"],
        flag=flag,
        choice=FlagChoice(row["choice"]),
        answered_at=row["answered_at"],
    )


def from_promotion(promotion: Promotion) -> Row:
    return {
        "id": promotion.id,
        "alias": promotion.alias,
        **from_candidate(promotion.candidate),
        "adapter_sha256": promotion.adapter_sha256,
        "base_sha256": promotion.base_sha256,
        "settings": dump(asdict(promotion.settings)),
        "harness_version": promotion.harness_version,
        "gate": promotion.gate,
        "gate_version": promotion.gate_version,
        "verdict_id": promotion.verdict_id,
        "promoted_by": promotion.promoted_by,
        "promoted_at": promotion.promoted_at,
        "reason": promotion.reason,
        "reference_sha256": promotion.reference_sha256,
        "trainer_version": promotion.trainer_version,
    }


def to_promotion(row: Mapping[str, Any]) -> Promotion:
    return Promotion(
        id=row["id"],
        alias=row["alias"],
        candidate=to_candidate(row),
        adapter_sha256=row["adapter_sha256"],
        base_sha256=row["base_sha256"],
        settings=GenerationSettings(**json.loads(row["settings"])),
        harness_version=row["harness_version"],
        gate=row["gate"],
        gate_version=row["gate_version"],
        verdict_id=row["verdict_id"],
        promoted_by=row["promoted_by"],
        promoted_at=row["promoted_at"],
        reason=row["reason"],
        reference_sha256=row["reference_sha256"],
        trainer_version=row["trainer_version"],
    )
