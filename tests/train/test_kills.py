"""A trainer that is killed at random moments; `python -m benchmarks.kills` does it a hundred times."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import kills


@pytest.mark.slow
def test_kills_of_trainer_and_app_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each kill every checkpoint is whole and there, and the newest can be gone on from; the run ends bit for bit
    as one that nobody disturbed.
    """
    monkeypatch.setattr(kills, "LIFE_SEC", 1.5)
    monkeypatch.setattr(kills, "LOADING_SHARE", 0.0)
    tally = kills.Tally()
    yard = kills.make_yard(tmp_path, replace(kills.CONFIG, epochs=60))
    kills.run_of_kills(yard, 2, random.Random(7), tally)
    assert tally.faults == []
    assert tally.whole_runs == 1
    assert tally.kills.total() >= 1
    assert tally.checked > len(yard.weights) // 2
