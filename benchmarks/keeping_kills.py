"""Kills at random moments of trash, undo, purge, promote and export: `python -m benchmarks.keeping_kills [COUNT]`.

Each life of the writer goes on in the workspace that the kill before left behind. After each kill the workspace is
opened and every checkpoint that was ever published is looked for, byte for byte. Writes `results/keeping_kills.md`.
"""

from __future__ import annotations

import collections
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine
from tests.keeping_writer import ROOT, check

RESULT = Path(__file__).parent / "results" / "keeping_kills.md"
LIVES_A_WORKSPACE = 15  # a new workspace now and then: the ledger of an old one takes long to check


def main(count: int) -> int:
    """Kill `count` times; returns the exit status."""
    draw = random.Random(1)
    done: collections.Counter[str] = collections.Counter()
    faults: list[str] = []
    begin = time.perf_counter()
    killed = 0
    while killed < count:
        with tempfile.TemporaryDirectory(prefix="earmark-kills-") as folder:
            home, acknowledged = Path(folder) / "home", []
            for _ in range(min(LIVES_A_WORKSPACE, count - killed)):
                acknowledged += _life(home, seed=draw.getrandbits(30), seconds=draw.uniform(0.02, 1.5))
                faults += check(home, acknowledged)
                killed += 1
            done.update(told.split()[0] for told in acknowledged)
        print(f"{killed} kills, {len(faults)} faults, {dict(done)}", flush=True)
    _report(count, done, faults, time.perf_counter() - begin)
    return 1 if faults else 0


def _life(home: Path, *, seed: int, seconds: float) -> list[str]:
    """One writer from its start to its kill; returns what it said it had done."""
    command = [sys.executable, str(ROOT / "tests" / "keeping_writer.py"), str(home), str(seed)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=dict(os.environ))
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    told = child.stdout.read().splitlines()
    child.wait()
    child.stdout.close()
    return told


def _report(count: int, done: collections.Counter[str], faults: list[str], seconds: float) -> None:
    lines = ["# keeping_kills", "", *(f"- {fact}" for fact in machine.facts()), ""]
    lines += [f"{count} kills in {seconds / 60:.0f} minutes; faults found: {len(faults)}.", ""]
    lines += ["| act | acknowledged before a kill |", "|---|--:|"]
    lines += [f"| {kind} | {done[kind]} |" for kind in ("trash", "undo", "purge", "promote", "export")]
    lines += ["", *(f"- {fault}" for fault in faults)]
    RESULT.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 300))
