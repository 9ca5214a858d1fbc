"""The nouns: what is derived from their fields, and what the form, the command line and the exit codes rely on."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import pytest

from engine import types
from engine.types import (
    AuditFinding,
    AuditReport,
    Candidate,
    EngineError,
    Manifest,
    RunConfig,
    RunState,
    Severity,
    Utterance,
)

RECORDS = [
    value
    for value in vars(types).values()
    if inspect.isclass(value) and value.__module__.startswith("engine.types") and dataclasses.is_dataclass(value)
]
ERRORS = [value for value in vars(types).values() if inspect.isclass(value) and issubclass(value, EngineError)]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_records_are_frozen_and_named(record: type) -> None:
    """Nobody changes a record that somebody else holds, and no field is given by position."""
    assert record.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert all(field.kw_only for field in dataclasses.fields(record))


def test_every_kind_of_error_has_its_own_exit_code() -> None:
    """A script can tell from the exit code what kind of error it met; 0 and 130 mean something else."""
    codes = [error.exit_code for error in ERRORS]
    assert len(set(codes)) == len(codes)
    assert not {0, 130} & set(codes)


@pytest.mark.parametrize("field", dataclasses.fields(RunConfig), ids=lambda field: field.name)
def test_every_setting_of_a_run_explains_itself(field: dataclasses.Field[object]) -> None:
    """Form, command line and checks read label, help and bounds here, and a default lies within its bounds."""
    assert field.metadata["label"]
    assert field.metadata["help"].endswith(".")
    if isinstance(field.default, int | float) and not isinstance(field.default, bool):
        assert field.metadata["minimum"] <= field.default <= field.metadata["maximum"]


@pytest.mark.parametrize(
    ("candidate", "name"),
    [
        (Candidate(backend="finch", voice="wren"), "base:finch/wren"),
        (Candidate(backend="finch", voice="wren", checkpoint_id="robin@000300", lora_scale=0.35), "robin@000300:0.35"),
        (Candidate(backend="finch", voice="wren", checkpoint_id="robin@000300", lora_scale=1.0), "robin@000300:1"),
    ],
    ids=["base", "fraction", "whole"],
)
def test_a_candidate_is_named_after_checkpoint_and_scale(candidate: Candidate, name: str) -> None:
    """The name that people type is the shortest one that tells candidates apart."""
    assert candidate.id == name
    assert candidate.is_base == name.startswith("base:")


def test_what_is_over_never_runs_again_by_itself() -> None:
    """Waiting for a run ends with these states and with no other."""
    over = {RunState.COMPLETED, RunState.STOPPED, RunState.FAILED, RunState.LOST}
    assert {state for state in RunState if state.is_over} == over


def test_a_report_counts_rows_with_errors_once() -> None:
    """Warnings keep no row out, two errors of one row are one row, and a finding about the whole set is no row."""
    manifest = Manifest(
        path=Path("manifest.jsonl"),
        sha256="",
        utterances=(
            Utterance(id="a", audio_path=Path("a.wav"), text="One.", duration_sec=1.5),
            Utterance(id="b", audio_path=Path("b.wav"), text="Two.", duration_sec=2.0),
        ),
    )
    report = AuditReport(
        manifest=manifest,
        backend="finch",
        findings=tuple(
            AuditFinding(check="c", severity=severity, row=row, explanation="", repair="")
            for severity, row in [
                (Severity.ERROR, "b"),
                (Severity.ERROR, "b"),
                (Severity.WARNING, "a"),
                (Severity.ERROR, ""),
            ]
        ),
    )
    assert report.rows_with_errors == {"b"}
    assert report.bad_row_share == 0.5
    assert report.tainted_share(2) == 0.75
    assert manifest.total_sec == 3.5


def test_a_row_that_could_not_be_read_counts() -> None:
    """A broken line of the source is a bad row too, though it is no utterance."""
    fault = AuditFinding(check="unreadable", severity=Severity.ERROR, row="line 2", explanation="", repair="")
    rows = (Utterance(id="a", audio_path=Path("a.wav"), text="One."),)
    manifest = Manifest(path=Path("m.jsonl"), sha256="", utterances=rows, faults=(fault,))
    report = AuditReport(manifest=manifest, backend="finch", findings=(fault,))
    assert (report.row_count, report.bad_row_share) == (2, 0.5)
