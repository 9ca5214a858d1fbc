"""Sweeps on disk: what was asked comes back as it was, and a damaged file stands in nobody's way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine import references, scripts, sweep, sweep_records
from engine.sweep_records import AutomaticSweep, SweepRecord, SweepState
from engine.types import BadInput, Candidate, NotFound, Tier
from tests.test_references import recording


@pytest.fixture(name="prompts")
def _prompts(tmp_path: Path) -> Path:
    references.keep(tmp_path / "references", recording(tmp_path / "ada.wav"), "Good morning.", now=1.0)
    return tmp_path / "references"


def record(prompts: Path, sweep_id: str = "sweep-0001") -> SweepRecord:
    """A sweep with everything that can be asked for."""
    request = sweep.Request(
        candidates=(
            Candidate(backend="finch", voice="robin"),
            Candidate(backend="finch", voice="robin", checkpoint_id="r@000010", lora_scale=0.35),
        ),
        script=scripts.load("mandarin-brief"),
        seeds=(1, 2),
        settings={"temperature": 0.7, "retries": 1},
        tiers=(Tier.SHORT, Tier.LONG),
        references=(None, references.listing(prompts)[0].reference),
    )
    return SweepRecord(
        id=sweep_id,
        request=request,
        state=SweepState.PAUSED,
        by="Ada",
        run_id="r",
        created_at=1.0,
        changed_at=2.0,
        clips=8,
        rendered=3,
        message="rendering",
    )


def test_what_was_asked_comes_back_as_it_was(tmp_path: Path, prompts: Path) -> None:
    """Candidates, the script's lines, seeds, settings, tiers, references and how far it is survive the disk."""
    sweep_records.write(tmp_path / "sweeps", record(prompts))
    assert sweep_records.read(tmp_path / "sweeps", "sweep-0001", prompts) == record(prompts)


def test_the_lines_are_those_that_were_asked_for(tmp_path: Path, prompts: Path) -> None:
    """A script that is edited while a sweep waits does not change the sweep."""
    scripts.save(tmp_path / "scripts", "mine", "a | short | Good morning.", language="en")
    script = scripts.load("mine", tmp_path / "scripts")
    asked = record(prompts)
    sweep_records.write(tmp_path / "sweeps", replace(asked, request=replace(asked.request, script=script, tiers=None)))
    scripts.save(tmp_path / "scripts", "mine", "a | short | Good evening.", language="en")
    kept = sweep_records.read(tmp_path / "sweeps", "sweep-0001", prompts)
    assert kept.request.script == script


def test_sweeps_are_numbered_and_listed_newest_first(tmp_path: Path, prompts: Path) -> None:
    """An id is used once, and a file that cannot be read is left out of the list and named when it is asked for."""
    folder = tmp_path / "sweeps"
    for _ in range(3):
        sweep_records.write(folder, record(prompts, sweep_records.new_id(folder)))
    (folder / "sweep-0002.json").write_text("{")
    assert [each.id for each in sweep_records.listing(folder, prompts)] == ["sweep-0003", "sweep-0001"]
    with pytest.raises(BadInput, match="sweep-0002"):
        sweep_records.read(folder, "sweep-0002", prompts)
    for name in ("sweep-0009", "../sweep-0001", ""):
        with pytest.raises(NotFound):
            sweep_records.read(folder, name, prompts)


def test_a_setting_for_new_checkpoints_is_kept_until_it_is_dropped(tmp_path: Path) -> None:
    """One a run, with the checkpoints that were seen already."""
    folder = tmp_path / "sweeps"
    setting = AutomaticSweep(run_id="r", tiers=(Tier.LONG,), seeds=(1, 2), references=("abc", None))
    sweep_records.keep_automatic(folder, setting)
    sweep_records.keep_automatic(folder, sweep_records.with_handled(setting, ("r@000010", "r@000010")))
    assert sweep_records.automatic(folder) == [replace(setting, handled=("r@000010",))]
    written = json.loads((folder / "automatic" / "r.json").read_text())
    for newer in ("controls", "gates", "trouble"):  # an earlier version knew none of them
        del written[newer]
    (folder / "automatic" / "r.json").write_text(json.dumps(written))
    assert sweep_records.automatic(folder) == [replace(setting, handled=("r@000010",))]
    wide = replace(setting, controls=(Candidate(backend="b", voice="v"),), gates=("pair",), trouble="No script.")
    sweep_records.keep_automatic(folder, wide)
    assert sweep_records.automatic(folder) == [wide]
    sweep_records.drop_automatic(folder, "r")
    sweep_records.drop_automatic(folder, "r")
    assert sweep_records.automatic(folder) == []
