"""Gates as files: shipped ones, a workspace's own, and versions that are never reused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine import gate_files, screeners
from engine.gate import record as gate_record
from engine.types import BadInput, NotFound, Refused


def test_every_shipped_gate_can_decide() -> None:
    """What is shipped is read with the same strictness as what people write."""
    listed = gate_files.listing()
    assert listed[0].name == gate_files.DEFAULT
    for file in listed:
        gate = gate_files.read(file.path, screeners=screeners.SCREENERS)
        assert gate.about
        assert not any(rule.automatic for rule in gate.rules)  # screeners decide nothing unless somebody says so


def test_a_workspaces_gate_comes_before_a_shipped_one_of_its_name(tmp_path: Path) -> None:
    """A team's changed rules are in force in its workspace; what is shipped stays as it was."""
    own = replace(gate_files.load(), version=3, about="ours")
    gate_files.write(own, tmp_path)
    assert gate_files.load(gate_files.DEFAULT, tmp_path) == own
    assert gate_files.load().version == 2
    assert [file.is_shipped for file in gate_files.listing(tmp_path) if file.name == gate_files.DEFAULT] == [False]


def test_a_file_that_cannot_be_used_says_where_it_is_wrong(tmp_path: Path) -> None:
    """Broken JSON, another name than the file's, and a gate that is not there."""
    path = gate_files.write(gate_files.load(), tmp_path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(BadInput, match=r"three-tiers\.json is no valid JSON"):
        gate_files.load(gate_files.DEFAULT, tmp_path)
    record = gate_record.to_record(replace(gate_files.load(), name="launch"))
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(BadInput, match="a gate's file has its name, so give 'three-tiers'"):
        gate_files.load(gate_files.DEFAULT, tmp_path)
    with pytest.raises(NotFound, match="known are: three-tiers, release"):
        gate_files.load("lunch")


def test_a_version_that_is_in_use_is_not_given_other_rules() -> None:
    """Verdicts name a version: under that name there is one set of rules for ever."""
    gate = gate_files.load()
    other = replace(gate, about="changed")
    gate_files.must_be_new(gate, [gate])
    with pytest.raises(Refused, match="give it version 3"):
        gate_files.must_be_new(other, [gate])
    assert gate_files.next_version("launch", [gate]) == 1
