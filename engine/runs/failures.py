"""Why a run ended badly, and what to change before the next try: what the failure card says.

Knows what an end event, an exit status and the log mean to a person. The class of memory that ran out, with the
settings that help it, is the trainer's own finding (`train.faults`); for a trainer that was killed it is made here.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine import runs
from engine.runs import launcher
from engine.runs.folder import RunFolder
from engine.types import Change, Failure, Run, RunConfig, RunState

LOG_LINES = 40
LOG_BYTES = 64 * 1024
LEAST_TOKENS = 100  # a batch may not be smaller
MACHINE = "machine"  # the class of memory that a kill speaks for; the trainer itself names the others
KILLED = (
    "The trainer was killed (signal 9) before it could say why: most likely the machine ran out of memory and its "
    "kernel ended the largest process."
)


def failure(run_dir: Path) -> Failure | None:
    """The card of a run that failed or is lost; None for any other. Raises NotFound or BadInput as `runs.get`."""
    run = runs.get(run_dir)
    if run.state not in (RunState.FAILED, RunState.LOST):
        return None
    ends = [event.data for event in runs.events(run_dir) if event.kind == "end"]
    end = ends[-1] if ends and run.state is RunState.FAILED else {}
    return card(run, end, exit_status=runs.exit_status(run_dir), log=log_lines(RunFolder(run_dir).log))


def card(run: Run, end: Mapping[str, Any], *, exit_status: int | None, log: tuple[str, ...]) -> Failure:
    """What to say of a run: `end` is the data of its last end event, empty when it said nothing."""
    status = int(end["exit"]) if "exit" in end and exit_status is None else exit_status
    told = end.get("fault")
    fault: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    if not end and status == -signal.SIGKILL:
        reason, memory_class, changes = KILLED, MACHINE, tuple(_for_a_killed(run.config))
    else:
        reason = str(end.get("error", "")) if end else _unheard(run, status)
        memory_class = str(fault.get("kind", ""))
        changes = tuple(_change(told) for told in fault.get("changes", ()))
    return Failure(
        run_id=run.id,
        reason=reason,
        exit_status=status,
        memory_class=memory_class,
        changes=changes,
        step=run.step,
        log=log,
    )


def log_lines(path: Path, count: int = LOG_LINES) -> tuple[str, ...]:
    """The last lines of a log; none when there is no log. Reads its end alone."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - LOG_BYTES))
            content = file.read()
    except OSError:
        return ()
    return tuple(content.decode("utf-8", errors="replace").splitlines()[-count:])


def _change(told: Mapping[str, Any]) -> Change:
    """A change as an end event has it, where tuples have become lists."""
    old, new = (tuple(v) if isinstance(v, list) else v for v in (told.get("old"), told.get("new")))
    return Change(setting=str(told.get("setting", "")), old=old, new=new, effect=str(told.get("effect", "")))


def _unheard(run: Run, status: int | None) -> str:
    if status is None or status == 0:
        return run.error
    if status == launcher.NOT_STARTED:
        return "The trainer could not be started at all; the last line of its log says why."
    if status < 0:
        return f"The trainer was ended by signal {-status} before it could say why; resume goes on from its last save."
    return f"The trainer ended with status {status} before it could say why; the end of its log tells more."


def _for_a_killed(config: RunConfig) -> Iterator[Change]:
    """What needs less of the machine's own memory, the mildest first."""
    if config.processes > 1:
        yield Change(setting="processes", old=config.processes, new=1, effect="the model is held once")
    half = max(LEAST_TOKENS, config.batch_tokens // 2)
    if half < config.batch_tokens:
        yield Change(setting="batch_tokens", old=config.batch_tokens, new=half, effect="half of the activations")
    if config.method != "lora":
        told = "gradients and optimizer state of small adapters alone"
        yield Change(setting="method", old=config.method, new="lora", effect=told)
    elif config.rank > 1:
        told = "half of the adapter, its gradients and its optimizer state"
        yield Change(setting="rank", old=config.rank, new=config.rank // 2, effect=told)
