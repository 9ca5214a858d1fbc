"""The speaking rate over the epochs of a run, as the pages show it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from engine.studio.tempo import RateTrend, rate_trends
from engine.types import Candidate, Checkpoint, Clip, GenerationSettings, Score, Stop, Tier
from tests.fake_host import adapter

LINES = {"short": 12.0, "long": 16.0}  # lines have rates of their own


def checkpoint(epoch: int) -> Checkpoint:
    return Checkpoint(
        id=f"run@{epoch:06d}",
        run_id="run",
        step=epoch,
        epoch=epoch,
        path=Path("nowhere"),
        adapter=adapter(),
        train_loss=None,
        val_loss=None,
        bytes=1,
        created_at=float(epoch),
    )


def clip(epoch: int, line: str, seed: int) -> Clip:
    """Of a checkpoint at 0.5, or of the base at epoch 0."""
    own = Candidate(backend="fake", voice="robin", checkpoint_id=f"run@{epoch:06d}", lora_scale=0.5)
    return Clip(
        id=f"{epoch}-{line}-{seed}",
        candidate=own if epoch else Candidate(backend="fake", voice="robin"),
        adapter_sha256=None,
        script_sha256="s",
        line_id=line,
        tier=Tier.SHORT,
        text=line,
        seed=seed,
        path=Path("nowhere"),
        sample_rate=16_000,
        duration_sec=1.0,
        stop=Stop.EOS,
        chunks=1,
        settings=GenerationSettings(),
        harness_version="1",
        render_sec=0.1,
    )


def rate(of: Clip, value: float) -> Score:
    return Score(clip_id=of.id, screener="rate", version=1, value=value, unit="1/s", passed=None, explanation="")


def test_each_checkpoint_stands_beside_the_base_and_a_drift_marks_those_that_are_off() -> None:
    """3 % faster an epoch is flagged from the epoch on that is 5 % away; a line that epochs lack makes no trend."""
    epochs = range(1, 7)
    clips = [clip(e, line, seed) for e in (0, *epochs) for line in LINES for seed in (1, 2)]
    rates = {
        each.id: LINES[each.line_id] * (1 + 0.03 * int(each.id[0])) * (1 + 0.01 * (-1) ** each.seed) for each in clips
    }
    scores = {each.id: [rate(each, rates[each.id])] for each in clips}
    (found,) = rate_trends([checkpoint(e) for e in epochs], clips, scores)
    assert found.trend.passed is False
    assert "faster" in found.trend.explanation
    assert [round(each.of_base_percent) for each in found.checkpoints] == [103, 106, 109, 112, 115, 118]
    assert [each.has_drifted for each in found.checkpoints] == [False, False, True, True, True, True]
    # Even speech, of which the first epochs have the slow line alone and the last ones the fast one: no drift.
    gone = {("long", "1"), ("long", "2"), ("short", "5"), ("short", "6")}
    part = [c for c in clips if (c.line_id, c.id[0]) not in gone]
    even = {c.id: [rate(c, LINES[c.line_id] * (1 + 0.01 * (-1) ** (c.seed + int(c.id[0]))))] for c in part}
    (found,) = rate_trends([checkpoint(e) for e in epochs], part, even)
    assert found.trend.passed is True
    assert not any(each.has_drifted for each in found.checkpoints)


def test_rates_that_lie_far_apart_are_no_proof_of_an_even_pace() -> None:
    """A pace that jumps about is never "no drift"; and in a drift only what is off that way is marked."""

    def rated(*by_epoch: float) -> RateTrend:
        epochs = range(1, len(by_epoch) + 1)
        clips = [clip(e, line, 1) for e in (0, *epochs) for line in LINES]
        shares = (1.0, *by_epoch)
        scores = {c.id: [rate(c, LINES[c.line_id] * shares[int(c.id[0])])] for c in clips}
        (found,) = rate_trends([checkpoint(e) for e in epochs], clips, scores)
        return found

    jumps = rated(1.0, 1.6, 0.5, 1.1)
    assert jumps.trend.passed is None
    assert "too far apart" in jumps.trend.explanation
    slower = rated(1.0, 1.03, 0.8, 0.6)
    assert slower.trend.passed is False
    assert [each.has_drifted for each in slower.checkpoints] == [False, False, True, True]


def test_without_the_base_or_a_score_nothing_is_made_up() -> None:
    """A clip that was not screened counts for nothing, and without the base there is no per cent of it."""
    clips = [clip(epoch, "short", 1) for epoch in (1, 2)]
    scores = {clips[0].id: [rate(clips[0], 12.0)], clips[1].id: [rate(clips[1], math.nan)]}
    (found,) = rate_trends([checkpoint(1), checkpoint(2)], [*clips, replace(clips[0], id="unscored")], scores)
    assert found.trend.passed is None
    (only,) = found.checkpoints
    assert (only.epoch, only.clips) == (1, 1)
    assert math.isnan(only.of_base_percent)
