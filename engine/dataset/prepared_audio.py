"""The audio files of a prepared dataset, written row by row, for a long set by a process a core.

Knows how a row's file is made and what is remembered of it; what is done to samples is `conditioning`'s. `main` is what
one of those processes runs: it reads pickled tasks from stdin, answers each with a pickled `Written`, and speaks with
its parent alone.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine import audio
from engine.dataset import conditioning
from engine.types import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SMALL_SET = 48  # rows that are written sooner than a process has started
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One row's audio: what is read, where it is written, and how it should be."""

    row: str
    source: Path
    target: Path
    wishes: conditioning.Wishes


@dataclass(frozen=True, kw_only=True)
class Written:
    """What became of a task. With a `fault` there is no file. The fingerprint and checksum are of the source."""

    row: str
    fault: str = ""
    duration_sec: float = 0.0
    done: tuple[conditioning.Done, ...] = ()
    content_sha256: str = ""
    fingerprint: NDArray[np.uint32] | None = None


def write(tasks: Sequence[Task], *, workers: int | None = None) -> Iterator[Written]:
    """Do the tasks, in their order with `workers` 0. None: a process a core, and none for a small set."""
    count = workers if workers is not None else (0 if len(tasks) < SMALL_SET else os.cpu_count() or 1)
    if count == 0:
        yield from map(write_one, tasks)
        return
    done: set[str] = set()
    for written in _by_processes(tasks, min(count, len(tasks))):
        done.add(written.row)
        yield written
    for task in tasks:  # those of a process that ended; the row that it ended with is told by it
        if task.row not in done:
            yield write_one(task)


def write_one(task: Task) -> Written:
    """Read, condition and write one row. A file that cannot be read is a fault and not the end of the preparation."""
    from engine.audit import fingerprints, measuring

    try:
        channels = audio.probe(task.source).channels
        samples, rate = audio.read(task.source)
    except (BadInput, OSError) as error:
        return Written(row=task.row, fault=str(error))
    if not len(samples):
        return Written(row=task.row, fault=f"{task.source.name} holds no samples.")
    at_16k = samples if rate == fingerprints.SAMPLE_RATE else audio.resample(samples, rate, fingerprints.SAMPLE_RATE)
    made, done = conditioning.condition(samples, rate, channels, task.wishes)
    audio.write(task.target, made, task.wishes.sample_rate)
    return Written(
        row=task.row,
        duration_sec=len(made) / task.wishes.sample_rate,
        done=done,
        content_sha256=measuring.content_sha256(samples, rate),
        fingerprint=fingerprints.fingerprint(at_16k),
    )


def main() -> None:
    """Do tasks until the parent closes the pipe, or is gone."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not end up among the answers
    for task in pickle.load(sys.stdin.buffer):
        try:
            answer: Written | Exception = write_one(task)
        except Exception as error:  # a full disk, say: no row is to blame, and the parent raises it
            answer = error
        pickle.dump(answer, answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()


# ----------------------------------------------------------------------------------------------------------- processes
def _by_processes(tasks: Sequence[Task], count: int) -> Iterator[Written]:
    answers: queue.Queue[Written | Exception | None] = queue.Queue()
    processes = [_start(tasks[first::count], answers) for first in range(count)]
    try:
        ended = 0
        while ended < count:
            answer = answers.get()
            if answer is None:
                ended += 1
            elif isinstance(answer, Exception):
                raise answer
            else:
                yield answer
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _start(share: Sequence[Task], answers: queue.Queue[Written | Exception | None]) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        # Not `-m`: what this module pickles must have its own name and not that of the program.
        [sys.executable, "-c", "from engine.dataset.prepared_audio import main; main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | ONE_THREAD | {"PYTHONPATH": paths},
    )
    threading.Thread(target=_converse, args=(process, share, answers), daemon=True).start()
    return process


def _converse(
    process: subprocess.Popen[bytes], share: Sequence[Task], answers: queue.Queue[Written | Exception | None]
) -> None:
    """Give a process its share and pass on what it answers. The row that it dies with is to blame."""
    assert process.stdin is not None
    assert process.stdout is not None
    answered = 0
    try:
        with process.stdin:
            pickle.dump(list(share), process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
        with process.stdout:
            while answered < len(share):
                answers.put(pickle.load(process.stdout))
                answered += 1
    except (EOFError, OSError, pickle.UnpicklingError):
        if answered:  # one that never began is no row's fault
            name = share[answered].source.name
            answers.put(Written(row=share[answered].row, fault=f"{name} ended the process that read it."))
    finally:
        answers.put(None)
