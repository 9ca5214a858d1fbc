"""Rows measured in worker processes: as many as there are cores, each with a few rows in hand.

Knows processes, pipes and time limits. A worker that dies or a row that takes too long costs that row, never the
audit. Knows nothing of what a worker measures.

The workers are programs of their own (`worker`), not `multiprocessing` children: those import the parent's main module
again, which for a page server or a notebook is slow or wrong, and forking a process with threads may hang.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from engine.audit.measuring import Unpronounceable, measure, unreadable
from engine.audit.row import RowFacts
from engine.types import Utterance

SMALL_SET = 16  # rows that are measured sooner than a worker has started
IN_HAND = 3  # rows that a worker has been given: it never waits for the next one
ROW_LIMIT_SEC = 120.0
SMALL_MESSAGE = 8192  # bytes of a row that fit into the pipe behind others, so that giving it never waits
TICK_SEC = 0.2  # how often cancelling and time limits are looked at
# One thread a worker: the libraries' own threads would only compete for the same cores.
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}
READY = "ready"
COMMAND = (sys.executable, "-m", "engine.audit.worker")
_ROOT = Path(__file__).resolve().parents[2]


def measured(
    utterances: Sequence[Utterance],
    *,
    unpronounceable: Unpronounceable | None = None,
    workers: int | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    row_limit_sec: float = ROW_LIMIT_SEC,
    command: Sequence[str] = COMMAND,
) -> Iterator[tuple[int, RowFacts]]:
    """(place, facts) of every row, in the order in which they are done; ends early once `cancelled`.

    `workers` None: one a core, and none for a small set, which is measured in this process. 0: in this process.
    """
    count = workers if workers is not None else (0 if len(utterances) < SMALL_SET else os.cpu_count() or 1)
    if count == 0:
        for place, utterance in enumerate(utterances):
            if cancelled():
                return
            yield place, measure(utterance, unpronounceable)
        return
    pool = _Pool(utterances, _pickled(unpronounceable), min(count, len(utterances)), row_limit_sec, command)
    try:
        while pool.workers and not cancelled():
            found = pool.next()
            if found is not None:
                yield found
    finally:
        pool.close()
    for place in pool.waiting:  # nothing, unless no worker could start
        if cancelled():
            return
        yield place, measure(utterances[place], unpronounceable)


class _Pool:
    """The rows that wait, the workers, and their answers on one queue."""

    def __init__(
        self, utterances: Sequence[Utterance], first: bytes, count: int, limit_sec: float, command: Sequence[str]
    ) -> None:
        self._rows = utterances
        self._first = first
        self._limit_sec = limit_sec
        self._command = command
        self._answers: queue.Queue[tuple[_Worker, RowFacts | None]] = queue.Queue()
        self.waiting = deque(range(len(utterances)))
        self.workers: list[_Worker] = []
        for _ in range(count):
            self._start()

    def next(self) -> tuple[int, RowFacts] | None:
        """The next row that is done; None when there was none for a tick."""
        late = next((w for w in self.workers if w.is_late(self._limit_sec)), None)
        if late is not None:
            return self._lost(late, f"took more than {self._limit_sec:.0f} s")
        try:
            worker, facts = self._answers.get(timeout=TICK_SEC)
        except queue.Empty:
            return None
        if worker not in self.workers:
            return None  # a last word of one that was given up
        if facts is None:
            return self._lost(worker, "ended the process that read it")
        place = worker.finished()
        self._fill(worker)
        if not worker.in_hand:
            self._retire(worker)
        return place, facts

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()

    def _start(self) -> None:
        worker = _Worker(self._command, self._first, self._answers)
        self.workers.append(worker)
        self._fill(worker)
        if not worker.in_hand:
            self._retire(worker)

    def _fill(self, worker: _Worker) -> None:
        while self.waiting and len(worker.in_hand) < IN_HAND:
            message = pickle.dumps(self._rows[self.waiting[0]], protocol=pickle.HIGHEST_PROTOCOL)
            if worker.in_hand and len(message) > SMALL_MESSAGE:
                return
            worker.give(self.waiting.popleft(), message)

    def _retire(self, worker: _Worker) -> None:
        worker.kill()
        self.workers.remove(worker)

    def _lost(self, worker: _Worker, how: str) -> tuple[int, RowFacts] | None:
        """Give up a worker: the row it was at is to blame, the others it had in hand go to the next one.

        One that never began is no row's fault: its rows wait for the others, or for the caller's own process.
        """
        self._retire(worker)
        rows = list(worker.in_hand)
        if not worker.began:
            self.waiting.extendleft(reversed(rows))
            return None
        culprit, *others = rows
        self.waiting.extendleft(reversed(others))
        if self.waiting:
            self._start()
        row = self._rows[culprit]
        return culprit, unreadable(row, f"{row.audio_path} {how}; open it in an audio editor, or convert it to WAV.")


class _Worker:
    """One process, the rows it was given, and a thread that waits for its answers."""

    def __init__(
        self, command: Sequence[str], first: bytes, answers: queue.Queue[tuple[_Worker, RowFacts | None]]
    ) -> None:
        self.in_hand: deque[int] = deque()
        self.began = False  # it has loaded its libraries
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment()
        )
        self._since = time.monotonic()
        threading.Thread(target=self._listen, args=(answers,), daemon=True).start()
        self._send(first)

    def give(self, place: int, message: bytes) -> None:
        if not self.in_hand:
            self._since = time.monotonic()
        self.in_hand.append(place)
        self._send(message)

    def _send(self, message: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(message)
            self._process.stdin.flush()
        except OSError:
            pass  # it has died: the listening thread says so

    def finished(self) -> int:
        self._since = time.monotonic()
        return self.in_hand.popleft()

    def is_late(self, limit_sec: float) -> bool:
        return time.monotonic() - self._since > limit_sec

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError:
            pass  # what was still to be written has no reader any more

    def _listen(self, answers: queue.Queue[tuple[_Worker, RowFacts | None]]) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        with pipe:
            try:
                while True:
                    answer = pickle.load(pipe)
                    if answer == READY:
                        self.began = True
                    else:
                        answers.put((self, answer))
            except (EOFError, OSError, ValueError, pickle.UnpicklingError):
                answers.put((self, None))


def _pickled(unpronounceable: Unpronounceable | None) -> bytes:
    """What tells unpronounceable texts, or None where it cannot travel: then the texts are asked about afterwards."""
    try:
        return pickle.dumps(unpronounceable)
    except (pickle.PicklingError, AttributeError, TypeError):
        return pickle.dumps(None)


def _environment() -> Mapping[str, str]:
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(paths)}
