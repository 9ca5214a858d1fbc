"""The trainer's command line. Imports nothing heavy, so that the run's lock is held a moment after the start."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from engine.train import processes, worker
from engine.types import EngineError

USAGE = "usage: python -m engine.train RUN_DIR"
# Segments of the card's memory that can grow leave fewer holes. Read by torch when it is first imported.
ALLOCATOR, EXPANDABLE = "PYTORCH_ALLOC_CONF", "expandable_segments:True"
OLD_NAME = "`is_gradient_checkpointing` is deprecated"  # peft asks transformers for it under the old name


def main(arguments: Sequence[str]) -> int:
    """Train the run in a folder to its end; returns the exit status (0 also when it was asked to stop)."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(USAGE, file=sys.stderr)
        return 2
    os.environ.setdefault(ALLOCATOR, EXPANDABLE)
    warnings.filterwarnings("ignore", OLD_NAME, FutureWarning)
    run_dir = Path(arguments[0]).resolve()
    try:
        return worker.follow(run_dir) if processes.rank() else worker.work(run_dir)
    except EngineError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
