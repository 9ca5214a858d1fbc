"""Full fine-tuning of the toy voice on a small disk: what a test at toy size and the benchmark at real size share.

Knows how much room makes such a run pause after its fourth checkpoint and lets it end once three are gone, and how
reviewers judge. Knows no pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from engine import checkpoints, disk, runs
from engine.studio import Studio
from engine.train import state_files
from engine.types import Candidate, Choice, RunConfig, Tier
from tests.test_studio import put_clip
from tests.train.trainer import weights_bytes

EPOCHS = 7
BEFORE_THE_PAUSE = 4
REVIEWERS = ("ada", "bo", "cy")
SECONDS = {Tier.SHORT: 5.0, Tier.MEDIUM: 15.0, Tier.LONG: 32.0}


def config(dataset_id: str, name: str) -> RunConfig:
    """A full run of the toy with a checkpoint an epoch."""
    return RunConfig(
        name=name, dataset=dataset_id, backend="toy", method="full", epochs=EPOCHS, batch_tokens=200,
        learning_rate=0.003, device="cpu",
    )  # fmt: skip


def room(run_dir: Path) -> int:
    """Bytes for four checkpoints with two states, and for what a trainer wants to have left before a fifth, as an
    undisturbed run's files say.
    """
    one = checkpoints.listing(run_dir)[-1]
    weights, state = weights_bytes(one.path), weights_bytes(state_files.path_of(run_dir, one.step))
    start = next(event.data for event in runs.events(run_dir) if event.kind == "start")
    wanted = 2 * (12 * int(start["parameters"]) + 64 * 1024)
    return int((BEFORE_THE_PAUSE - 0.5) * weights) + 2 * state + wanted + disk.RESERVE_BYTES


def candidate(checkpoint_id: str) -> Candidate:
    return Candidate(backend="toy", voice="tock", checkpoint_id=checkpoint_id, lora_scale=1.0)


def judge(studio: Studio, failing: Sequence[str], passing: str) -> None:
    """Every reviewer hears every tier of the candidates beside the base's, and says what they think."""
    candidates = [candidate(each) for each in (*failing, passing)]
    for each in (Candidate(backend="toy", voice="tock"), *candidates):
        for tier in Tier:
            put_clip(studio, each, tier, duration_sec=SECONDS[tier])
    for reviewer in REVIEWERS:
        session = studio.open_gate_session(candidates, reviewer=reviewer)
        by_trial: Callable[[str], Candidate] = partial(_heard, studio, session.id)
        while (trial := studio.next_trial(session.id)) is not None:
            fails = by_trial(trial.trial_id).checkpoint_id in failing
            reasons = ("dropped word",) if fails else ()
            studio.answer(trial.trial_id, Choice.FAIL if fails else Choice.PASS, reasons=reasons)
    studio.judge(by=REVIEWERS[0])


def _heard(studio: Studio, session_id: str, trial_id: str) -> Candidate:
    trial = next(each for each in studio.store.trials(session_id) if each.id == trial_id)
    return studio.store.clip(trial.slots[0].clip_id).candidate


def weights(run_dir: Path) -> dict[int, str]:
    """The hash of every checkpoint's weights, by its step."""
    return {c.step: c.adapter.sha256 for c in checkpoints.listing(run_dir)}
