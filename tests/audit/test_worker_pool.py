"""Workers: the same facts as in one process, and a row that kills or hangs its worker costs that row alone."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from engine import readers
from engine.audit import worker_pool
from engine.audit.row import RowFacts
from engine.types import Utterance

# A worker that treats rows by their text: it dies of some, hangs at others, and says something of the rest.
STRANGE = """
import os, pickle, sys, time
from engine.audit.row import RowFacts
answers = os.fdopen(os.dup(1), "wb")
pickle.load(sys.stdin.buffer)
pickle.dump("ready", answers); answers.flush()
while True:
    try:
        row = pickle.load(sys.stdin.buffer)
    except EOFError:
        break
    if row.text == "die":
        os._exit(9)
    if row.text == "hang":
        time.sleep(600)
    pickle.dump(RowFacts(utterance=row, content_sha256="seen"), answers); answers.flush()
"""


def utterances(*texts: str) -> list[Utterance]:
    return [Utterance(id=f"r{n}", audio_path=Path(__file__), text=text) for n, text in enumerate(texts)]


def run(rows: list[Utterance], code: str = STRANGE, workers: int = 2, limit: float = 30.0) -> dict[int, RowFacts]:
    command = (sys.executable, "-c", code)
    return dict(worker_pool.measured(rows, workers=workers, row_limit_sec=limit, command=command))


def test_workers_find_what_one_process_finds(demo: Path) -> None:
    """The same facts of every row, whoever measured it."""
    rows = readers.read(demo).utterances[:6]
    alone, shared = (dict(worker_pool.measured(rows, workers=workers)) for workers in (0, 2))
    assert sorted(alone) == sorted(shared) == list(range(6))
    for place, facts in alone.items():
        assert facts.measurement == shared[place].measurement
        assert facts.content_sha256 == shared[place].content_sha256
        assert (facts.fingerprint == shared[place].fingerprint).all()  # type: ignore[union-attr]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_row_that_kills_its_worker_is_unreadable(workers: int) -> None:
    """The others are measured by the next worker, each once."""
    found = run(utterances(*["fine", "die", "fine", "fine", "die", "fine", "fine"]), workers=workers)
    assert sorted(found) == list(range(7))
    assert [place for place, facts in sorted(found.items()) if facts.fault] == [1, 4]
    assert found[1].fault_check == "unreadable"
    assert "ended the process" in found[1].fault
    assert all(facts.content_sha256 == "seen" for facts in found.values() if not facts.fault)


def test_a_row_that_takes_too_long_is_unreadable() -> None:
    """A hanging decoder does not hang the audit."""
    found = run(utterances("fine", "hang", "fine", "fine"), limit=3.0)
    assert [place for place, facts in sorted(found.items()) if facts.fault] == [1]
    assert "more than 3 s" in found[1].fault


def test_where_no_worker_can_start_the_caller_measures(demo: Path) -> None:
    """A broken environment for subprocesses makes the audit slow and not wrong."""
    rows = list(readers.read(demo).utterances[:3])
    found = run(rows, code="raise SystemExit(3)")
    assert sorted(found) == [0, 1, 2]
    assert all(facts.measurement is not None for facts in found.values())


def test_a_long_text_does_not_block_the_pipe() -> None:
    """A row larger than a pipe holds is given to a worker that waits for it."""
    found = run(utterances("fine", "x" * 300_000, "fine", "y" * 300_000, "fine"))
    assert all(facts.content_sha256 == "seen" for facts in found.values())
    assert len(found) == 5


def test_cancelling_takes_no_second() -> None:
    """Asked to stop while every worker is busy, the pool is gone at once with its processes."""
    stop = threading.Event()
    rows = worker_pool.measured(
        utterances(*["hang"] * 4), workers=2, cancelled=stop.is_set, command=(sys.executable, "-c", STRANGE)
    )
    threading.Timer(0.5, stop.set).start()
    began = time.monotonic()
    assert list(rows) == []
    assert time.monotonic() - began < 1.5


def test_what_a_worker_prints_is_no_answer(tmp_path: Path) -> None:
    """A library that prints to stdout does not spoil the answers: they have a pipe of their own."""
    from engine.audit import worker

    code = "import runpy, sys; sys.argv = ['worker']; import engine.audit.measuring as m; real = m.measure\n"
    code += "def loud(*a):\n    print('noise on stdout', flush=True)\n    return real(*a)\n"
    code += f"m.measure = loud\nimport {worker.__name__} as w\nw.main()\n"
    found = run(utterances("fine", "fine"), code=code)
    assert {facts.fault_check for facts in found.values()} == {"unreadable"}  # this file is no audio
    assert all("ended" not in facts.fault for facts in found.values())
