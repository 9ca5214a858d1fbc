"""Publishing a checkpoint of 10 MB and of 2 GB: how long its files take, and how long training waits for it."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import nn

from benchmarks.measure import Row, Table, spread
from engine import disk
from engine.runs.folder import RunFolder
from engine.train import state_files
from engine.train.full import WholePart
from engine.train.publisher import Publisher
from engine.train.saving import Saver
from engine.train.session import Session
from engine.train.state_files import TrainState
from engine.train.world import Alone
from engine.types import RunConfig

BYTES_A_NUMBER = 12  # a weight and AdamW's two moments
TENSORS = 24
WORK = 600  # the side of the matrices whose products stand for training


@dataclass(frozen=True)
class Measured:
    copy_sec: float  # of weights and moments, by itself
    wait_sec: float  # of the training, for a save to begin
    publish_sec: float
    slowdown: float  # of training steps while files are written


def run(turns: int, base_model: str = "") -> list[Table]:
    """Saves of both sizes in a folder of its own. `base_model` does not apply."""
    rows = []
    for title, size in (("10 MB", 10_000_000), ("2 GB", 2_000_000_000)):
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            found = _measure(Path(folder), size, max(2, turns if size < 10**9 else 3))
        wait, copy = (statistics.median(getattr(one, name) for one in found) for name in ("wait_sec", "copy_sec"))
        rows += [
            Row(f"{title}: until all is published", spread([one.publish_sec for one in found])),
            Row(f"{title}: training waits", f"{wait * 1000:.0f} ms", f"{wait / copy:.2f} of the copy", "the copy"),
            Row(f"{title}: copying alone", f"{copy * 1000:.0f} ms", "1"),
            Row(
                f"{title}: steps while files are written",
                f"{statistics.median(one.slowdown for one in found):.2f} of their time before",
            ),
        ]
    note = (
        "Full weights with AdamW's moments: weights, state, checksums, flushes and renames, in the background. "
        "Training waits for the copy to memory alone; its steps are products of matrices in another thread than the "
        "files."
    )
    return [Table("Publishing a checkpoint", rows, note)]


def _measure(folder: Path, size: int, turns: int) -> list[Measured]:
    found = []
    run_dir = folder / "run"
    part = _part(size // BYTES_A_NUMBER)
    session = _session(run_dir, part)
    with Publisher(make_room=lambda error: None) as publisher:
        saver = Saver(session, publisher, time.time)
        for turn in range(turns + 1):
            state = TrainState(step=turn + 1)
            copy_sec = _timed(lambda: (part.weights(), state_files.moments([part])))
            before = _step_seconds(lambda: False)
            wait_sec = _timed(lambda s=state: saver.save(s, resume_at=s, val_loss=None))
            begin = time.perf_counter()
            during = _step_seconds(lambda: publisher.busy)
            publisher.wait()
            if turn:
                found.append(Measured(copy_sec, wait_sec, wait_sec + time.perf_counter() - begin, during / before))
    return found


def _part(numbers: int) -> WholePart:
    """A part of so many numbers whose optimizer has been at work."""
    module = nn.ParameterDict({f"w{i:02d}": nn.Parameter(torch.randn(numbers // TENSORS)) for i in range(TENSORS)})
    parameters = dict(module.named_parameters())
    optimizer = torch.optim.AdamW(parameters.values(), lr=1e-4)
    for parameter in parameters.values():
        optimizer.state[parameter] = {
            "step": torch.tensor(1.0),
            "exp_avg": torch.randn_like(parameter),
            "exp_avg_sq": torch.rand_like(parameter),
        }
    return WholePart(name="lm", module=module, parameters=parameters, optimizer=optimizer, peak_rate=1e-4)


def _session(run_dir: Path, part: WholePart) -> Session:
    """As much of a session as saving looks at."""
    journal = SimpleNamespace(say=lambda kind, **data: None, alert=lambda alert: None)
    control = SimpleNamespace(free_bytes=disk.free_bytes, wait_for_room=lambda needed: None)
    made = SimpleNamespace(
        folder=RunFolder(run_dir),
        config=RunConfig(method="full"),
        model=SimpleNamespace(name="none", base_sha256="0" * 64),
        voice="v",
        voice_settings={},
        parts=[part],
        part_names=("lm",),
        journal=journal,
        control=control,
        world=Alone(),
        where=SimpleNamespace(enter=lambda stage: None),
        ear=SimpleNamespace(listen=lambda session: None),
    )
    return cast(Session, made)


def _step_seconds(goes_on: Any, least: int = 5) -> float:
    """Median seconds of a step, over at least so many and as long as `goes_on()`."""
    a = torch.randn(WORK, WORK)
    seconds: list[float] = []
    while len(seconds) < least or goes_on():
        seconds.append(_timed(lambda: a @ a))
    return statistics.median(seconds)


def _timed(work: Any) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
