"""What headers say: rates and channels unlike the backend's, files that are not there or no audio."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine import needs
from engine.audit import headers
from engine.audit.row import RowFacts
from engine.types import Action, Severity
from tests.audit.fact_factory import fact

QWEN = needs.of("qwen3_tts")
SILENT = np.zeros(1600, np.float32)


def row(**changes: int) -> RowFacts:
    made = fact("r", SILENT)
    return replace(made, utterance=replace(made.utterance, **changes))


@pytest.mark.parametrize(
    ("rate", "severity"),
    [(8_000, Severity.WARNING), (22_050, Severity.WARNING), (24_000, None), (48_000, Severity.INFO)],
)
def test_sample_rates(rate: int, severity: Severity | None) -> None:
    """A band that is missing is a warning, one too many is only resampled, the backend's own rate is not spoken of."""
    findings = list(headers.sample_rates([row(sample_rate=rate)], QWEN))
    assert [f.severity for f in findings] == ([severity] if severity else [])
    assert all(f.action is Action.RESAMPLE and "24000" in f.explanation for f in findings)


@pytest.mark.parametrize(
    ("count", "severity"), [(1, None), (2, Severity.WARNING), (3, Severity.ERROR), (8, Severity.ERROR)]
)
def test_channels(count: int, severity: Severity | None) -> None:
    """Stereo is averaged and said; of more channels nobody knows which is the voice."""
    assert [f.severity for f in headers.channels([row(channels=count)])] == ([severity] if severity else [])


def test_files() -> None:
    """A fault of the file is told under its own check, and a sound file has none."""
    sound = fact("sound", SILENT)
    facts = [
        sound,
        *(replace(sound, fault=f"It is {check}.", fault_check=check) for check in ("missing", "unreadable")),
    ]
    assert [(f.check, f.severity) for f in headers.files(facts)] == [
        ("missing", Severity.ERROR),
        ("unreadable", Severity.ERROR),
    ]
