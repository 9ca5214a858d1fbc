"""Runs as their folders tell them now. Disk is the truth: every question reads it again.

Knows how record, events and state become a `Run`. A folder is made by `making`, its trainer started and stopped by
`launcher`, its state told by `state`. Knows nothing of training; the trainer is another process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from engine import events as event_log
from engine import run_config
from engine.runs import curves, launches, record, state
from engine.runs.folder import RunFolder
from engine.runs.progress import Progress, Snapshot, follow
from engine.types import BadInput, Event, Run, RunConfig, RunState, Series


def get(run_dir: Path, *, clock: Callable[[], float] = time.time) -> Run:
    """A run as its folder tells it now. Raises NotFound, or BadInput for a folder of another version."""
    told = record.read(run_dir)
    try:
        config, created_at = run_config.from_json(told["config"]), float(told["created_at"])
    except (BadInput, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{RunFolder(run_dir).record} is damaged ({error}); restore it from a copy.") from error
    progress = read_progress(run_dir)
    now = state.of(RunFolder(run_dir), progress, clock())
    if now is RunState.LOST:  # or it ended between the two looks: its last word is there before its lock is free
        progress = read_progress(run_dir)
        now = state.of(RunFolder(run_dir), progress, clock())
    return Run(
        id=run_dir.name,
        path=run_dir,
        config=config,
        state=now,
        created_at=created_at,
        format_version=record.FORMAT_VERSION,
        step=progress.step,
        total_steps=progress.total_steps,
        epoch=progress.epoch,
        train_loss=progress.train_loss,
        val_loss=progress.val_loss,
        eta_sec=None if now.is_over else progress.eta_sec,
        error=state.told(now, progress),
        alerts=tuple(progress.alerts),
    )


def listing(root: Path) -> list[Run]:
    """All runs below `root`, newest first.

    A folder that cannot be read is listed as lost with the sentence that says why.
    """
    found = []
    for path in sorted(root.glob("*/run.json")):
        try:
            found.append(get(path.parent))
        except BadInput as error:
            made, config = path.stat().st_mtime, RunConfig(name=path.parent.name)
            unread = Run(
                id=config.name, path=path.parent, config=config, state=RunState.LOST, created_at=made, format_version=0
            )
            found.append(replace(unread, error=str(error)))
    return sorted(found, key=lambda run: run.created_at, reverse=True)


def read_progress(run_dir: Path) -> Progress:
    """The events folded: the trainer's snapshot, and what came after it."""
    folder = RunFolder(run_dir)
    try:
        snapshot = Snapshot.from_json(folder.status.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        snapshot = Snapshot()
    newer, _ = event_log.read_from(folder.events, snapshot.offset)
    return follow(snapshot.progress, newer)


def events(run_dir: Path, after_seq: int = -1) -> list[Event]:
    """What the run told since an event."""
    return event_log.read(RunFolder(run_dir).events, after_seq)


def series(run_dir: Path) -> Series:
    """The curves."""
    return curves.series(events(run_dir), run_id=run_dir.name)


def exit_status(run_dir: Path) -> int | None:
    """How the process of the last launch ended, negative for a signal; None where nobody was there to see it."""
    folder = RunFolder(run_dir)
    launched, exited = launches.read(folder.launched), launches.read(folder.exited)
    if not launched or exited.get("launched_at") != launched["at"]:
        return None
    return int(exited["status"])
