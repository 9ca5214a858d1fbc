"""The verbs about gates, over a real workspace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine import gate_files
from engine.cli.main import main


def ran(words: list[str], home: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any, str]:
    """The exit code, the answer as data, and the complaint."""
    code = main([*words, "--home", str(home), "--json"])
    told = capsys.readouterr()
    return code, json.loads(told.out) if told.out.strip() else None, told.err


def test_a_gate_is_copied_changed_checked_and_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a shipped gate to a file of one's own, without a browser."""
    code, told, _ = ran(["gate", "copy", "three-tiers", "launch", "--by", "Ana"], tmp_path, capsys)
    assert (code, told["gate"]["name"], told["gate"]["version"]) == (0, "launch", 1)
    path = tmp_path / "gates" / "launch.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["tiers"][2]["reviewers"] = 2
    path.write_text(json.dumps(record), encoding="utf-8")
    code, _, why = ran(["gate", "check", str(path)], tmp_path, capsys)
    assert code == 5
    assert "give it version 2" in why
    path.write_text(json.dumps({**record, "version": 2}), encoding="utf-8")
    code, told, _ = ran(["gate", "check", str(path)], tmp_path, capsys)
    assert (code, told["gate"]["tiers"][2]["reviewers"]) == (0, 2)
    code, told, _ = ran(["gates"], tmp_path, capsys)
    assert [(each["name"], each["version"], each["shipped"]) for each in told] == [
        ("three-tiers", 2, True), ("launch", 2, False), ("release", 1, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["gate", "show", "lunch"], 3, "known are: three-tiers, release"),
        (["gate", "copy", "three-tiers", "launch"], 2, "--by NAME"),
        (["gate", "copy", "three-tiers"], 2, "takes a name and a new name"),
        (["gate", "check", "/nowhere.json"], 3, "cannot be read"),
        (["judge", "--by", "Ana", "--gate", "lunch"], 3, "no gate named 'lunch'"),
    ],
)
def test_what_cannot_be_done_is_said(
    words: list[str], code: int, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sentence with the mend, and the exit code for its kind."""
    found, _, why = ran(words, tmp_path, capsys)
    assert found == code
    assert told in why


def test_a_field_that_is_wrong_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever writes a gate by hand learns the file, the tier and the field."""
    record = json.loads((gate_files.SHIPPED / "three-tiers.json").read_text(encoding="utf-8"))
    record["tiers"][1]["reviewers"] = "two"
    path = tmp_path / "three-tiers.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    code, _, why = ran(["gate", "check", str(path)], tmp_path, capsys)
    assert code == 2
    assert 'three-tiers.json, tier 2: reviewers is "two"; give a whole number' in why


def test_judging_can_be_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run writes nothing, also where there is nothing."""
    code, told, _ = ran(["judge", "--by", "Ana", "--dry-run"], tmp_path, capsys)
    assert (code, told) == (0, {"changes": []})
