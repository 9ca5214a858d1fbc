"""A new run's folder: its settings held against the dataset and the voice, its record, and a name that is free.

Starts nothing. `describe` says what the record would be, so that it can be shown before the start.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from engine import backends, code_version, durable, manifest, run_config, runs
from engine import dataset as datasets
from engine.runs.folder import RunFolder
from engine.runs.record import FORMAT_VERSION
from engine.types import BadInput, Busy, Dataset, Run, RunConfig


def create(root: Path, config: RunConfig, *, now: float, dataset: Dataset) -> Run:
    """Make a run's folder with its immutable record; starts nothing.

    Raises BadInput naming the setting to change, Refused for a dataset with unresolved errors that nobody accepted.
    """
    run_config.check(config)
    _must_agree(config, dataset)
    datasets.must_be_accepted(dataset, by=config.accepted_by)
    folder = RunFolder(new_folder(root, config.name or dataset.id, now))
    folder.stop_flag.parent.mkdir()
    folder.checkpoints.mkdir()
    durable.write_bytes(folder.record, describe(folder.path, config, now=now, dataset=dataset).encode())
    folder.record.chmod(0o444)
    return runs.get(folder.path)


def describe(run_dir: Path, config: RunConfig, *, now: float, dataset: Dataset) -> str:
    """The text of the `run.json` that a run in this folder would have. Makes nothing.

    Base weights that are named by a model of the hub are written down with their commit: a resumed run has the same.
    """
    config = replace(config, base_model=backends.pinned(config.backend, config.base_model))
    record = {
        "format_version": FORMAT_VERSION,
        "id": run_dir.name,
        "created_at": now,
        "config": run_config.to_json(config),
        "dataset": {
            "id": dataset.id,
            "path": os.path.relpath(dataset.path.resolve(), run_dir.resolve()),  # a workspace may be moved
            "manifest_sha256": dataset.manifest_sha256,
        },
        "base_sha256": backends.info(config.backend, config.base_model).base_sha256,
        "code": code_version.facts(),
    }
    return json.dumps(record, indent=1) + "\n"


def folder_name(name: str, now: float) -> str:
    """What a new run's folder is called, from its name and the time."""
    return f"{manifest.slug(name)}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}"


def new_folder(root: Path, name: str, now: float) -> Path:
    """Make an empty folder for a run, with a name that no other run has."""
    base = folder_name(name, now)
    root.mkdir(parents=True, exist_ok=True)
    for count in range(1, 1000):
        path = root / (base if count == 1 else f"{base}-{count}")
        with suppress(FileExistsError):
            path.mkdir()
            return path
    raise Busy(f"{root} already has a thousand runs named {base}; give this one another name.")


def _must_agree(config: RunConfig, dataset: Dataset) -> None:
    known = backends.info(config.backend, config.base_model)
    if dataset.backend != config.backend or dataset.sample_rate != known.sample_rate:
        raise BadInput(
            f"Dataset {dataset.id} was prepared for {dataset.backend} at {dataset.sample_rate} Hz; "
            f"prepare it for {config.backend} ({known.sample_rate} Hz)."
        )
    strange = [p for p in config.parts if p not in known.parts]
    if strange:
        raise BadInput(f"{config.backend} has no part {strange[0]!r}; it has: {', '.join(known.parts)}.")
