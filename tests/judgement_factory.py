"""Makes the records that judging is about: candidates, clips, checkpoints, verdicts, promotions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from engine.types import (
    Adapter,
    Candidate,
    Checkpoint,
    Clip,
    Finding,
    GenerationSettings,
    Outcome,
    Promotion,
    Session,
    Stop,
    Tier,
    TrialKind,
    Verdict,
)

SETTINGS = GenerationSettings()
BASE = Candidate(backend="finch", voice="robin")


def make_candidate(scale: float = 0.5, *, step: int = 100, run: str = "run") -> Candidate:
    return Candidate(backend="finch", voice="robin", checkpoint_id=f"{run}@{step:06d}", lora_scale=scale)


def make_clip(candidate: Candidate | None = None, *, line: str = "s1", tier: Tier = Tier.SHORT, seed: int = 42) -> Clip:
    """A clip whose id names candidate, line and seed, so that a leak of it would be seen."""
    candidate = candidate or make_candidate()
    return Clip(
        id=f"key of {candidate.id} {line} {seed}",
        candidate=candidate,
        adapter_sha256="a" * 64,
        script_sha256="s" * 64,
        line_id=line,
        tier=tier,
        text=f"The text of {line}.",
        seed=seed,
        path=Path("/clips") / f"{candidate.checkpoint_id}_{candidate.lora_scale}_{line}.flac",
        sample_rate=24_000,
        duration_sec=4.5,
        stop=Stop.EOS,
        chunks=1,
        settings=SETTINGS,
        harness_version="1",
        render_sec=0.5,
    )


def make_checkpoint(step: int = 100, *, run: str = "run", path: Path = Path("/runs/run/checkpoints/x")) -> Checkpoint:
    return Checkpoint(
        id=f"{run}@{step:06d}",
        run_id=run,
        step=step,
        epoch=1,
        path=path,
        adapter=Adapter(
            sha256="a" * 64,
            path=path,
            backend="finch",
            base_sha256="b" * 64,
            voice="robin",
            parts=("lm",),
            rank=8,
            alpha=16.0,
        ),
        train_loss=1.0,
        val_loss=1.1,
        bytes=1000,
        created_at=1.0,
    )


def make_verdict(
    candidate: Candidate | None = None,
    outcome: Outcome = Outcome.FAIL,
    *,
    gate: str = "three-tiers",
    simulated: bool = False,
    tiers: Sequence[Tier] = tuple(Tier),
) -> Verdict:
    candidate = candidate or make_candidate()
    return Verdict(
        id=f"verdict {outcome} {candidate.id} {gate}",
        candidate=candidate,
        gate=gate,
        gate_version=1,
        outcome=outcome,
        findings=tuple(
            Finding(tier=tier, outcome=outcome, passes=1, fails=0, explanation=f"{tier.capitalize()}: {outcome}.")
            for tier in tiers
        ),
        decided_by="Ada",
        decided_at=10.0,
        simulated=simulated,
    )


def make_promotion(candidate: Candidate, *, alias: str = "production/robin", at: float = 20.0) -> Promotion:
    return Promotion(
        id=f"{alias} {candidate.id} {at}",
        alias=alias,
        candidate=candidate,
        adapter_sha256="a" * 64,
        base_sha256="b" * 64,
        settings=SETTINGS,
        harness_version="1",
        gate="three-tiers",
        gate_version=1,
        verdict_id=f"verdict {Outcome.PASS} {candidate.id} three-tiers",
        promoted_by="Ada",
        promoted_at=at,
    )


def make_session(session_id: str = "sitting", *, kind: TrialKind = TrialKind.GATE, reviewer: str = "Ada") -> Session:
    return Session(id=session_id, kind=kind, reviewer=reviewer, seed=1, gate="three-tiers", created_at=1.0)


def with_checkpoint(clip: Clip, candidate: Candidate) -> Clip:
    """The clip as it would be had `candidate` spoken it: another key, another path, the same line."""
    return replace(make_clip(candidate, line=clip.line_id, tier=clip.tier, seed=clip.seed), text=clip.text)


def token_factory() -> Callable[[], str]:
    """Tokens that only count: two sessions made alike get alike tokens."""
    numbers = count()
    return lambda: f"token-{next(numbers)}"
