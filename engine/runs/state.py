"""Where a run stands: its state, from the lock, the stop flag, what is written of its launches and its events.

Alive is a held lock, never a pid; what nobody wrote down follows from what is missing. Changes nothing.
"""

from __future__ import annotations

from engine import lease, locks
from engine.runs import launches
from engine.runs.folder import RunFolder
from engine.runs.progress import Progress, standing_aside
from engine.types import RunState

# From its start a trainer needs well under a second until it holds its lock (it takes it before it imports torch).
# One that is still silent after this long never came up.
START_GRACE_SEC = 60.0
# A queued run whose launches come to nothing (the app died between writing it down and doing it) is launched so often.
LAUNCHES = 3
DIED = "The trainer is gone without a word: killed, out of memory, or the machine went down; see train.log; resume it."


def of(folder: RunFolder, progress: Progress, now: float) -> RunState:
    """The state of a run whose events say `progress`; `now` in seconds since the epoch."""
    held = locks.is_held(folder.lock)
    launched, queued = launches.read(folder.launched), launches.read(folder.queued)
    stop_wanted = folder.stop_flag.exists()
    waits = bool(queued) and progress.last_seq <= queued["after_seq"] and not stop_wanted
    if launched and progress.last_seq <= launched["after_seq"]:  # not a word since this launch
        is_gone = launches.read(folder.exited).get("launched_at") == launched["at"]
        if held or (not is_gone and now - launched["at"] < START_GRACE_SEC):
            return RunState.STARTING
        again = waits and not is_gone and launched.get("attempt", 1) < LAUNCHES
        return RunState.QUEUED if again else RunState.LOST
    if waits and (progress.has_ended or not held):  # a trainer that said its last word may take seconds to be gone
        return RunState.QUEUED
    if progress.has_ended:
        return RunState(progress.phase)
    if not held and progress.last_seq < 0:
        return RunState.STOPPED if stop_wanted else RunState.QUEUED
    if not held:
        return RunState.LOST
    if stop_wanted:
        return RunState.STOPPING
    return RunState(progress.phase or "starting")


def told(state: RunState, progress: Progress) -> str:
    """What a person should read of the state: why it failed, or what it waits for."""
    if state is RunState.LOST:
        return DIED
    if state is RunState.PAUSED:
        return f"{progress.note} {standing_aside(progress)}"
    waits = state is RunState.STARTING and progress.note.startswith(lease.WAITS)
    return progress.note if waits else progress.error
