"""What decides is light."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module", ["statistics.paired_model", "gate", "retention", "listening", "store", "sittings.stimuli"]
)
def test_deciding_needs_no_torch(module: str) -> None:
    """What decides can be imported at once: neither torch nor librosa nor scipy comes with it."""
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys, engine.{module}; print(sorted({{'torch', 'librosa', 'scipy'}} & set(sys.modules)))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "[]"
