"""`run.json`: what a run was made of. Written once when its folder is made, then read-only.

Knows the version of its format and what a damaged one looks like. What is in it is put together by `making`, and by
`engine.importing` for a run that was trained elsewhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.runs.folder import RunFolder
from engine.types import BadInput, NotFound

FORMAT_VERSION = 1


def read(run_dir: Path) -> dict[str, Any]:
    """`run.json`. Raises NotFound without one, BadInput for one that is damaged or of another version."""
    path = RunFolder(run_dir).record
    if not path.is_file():
        raise NotFound(f"{run_dir} is not a run: it has no run.json.")
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        version = told["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{path} is damaged ({error!r}); restore it from a copy, the checkpoints are untouched."
        ) from error
    if version != FORMAT_VERSION:
        raise BadInput(
            f"{run_dir.name} is a run of format {version} and this program reads {FORMAT_VERSION}: "
            "open it with the version that made it."
        )
    return dict(told)
