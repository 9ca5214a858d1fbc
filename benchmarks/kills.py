"""Kills of the trainer, the app that launched it, or both: `python -m benchmarks.kills [COUNT]`.

Each life of a run goes on where the kill before left it, until the run is complete and is compared, bit for bit, with
one that nobody disturbed. After each kill every checkpoint is looked at, byte for byte. Writes `results/kills.md`.
"""

from __future__ import annotations

import collections
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import machine
from engine import adapter_files, checkpoints, dataset, locks, manifest, runs
from engine.needs import Needs
from engine.runs import launcher, making
from engine.runs.folder import RunFolder
from engine.train import state_files
from engine.types import AuditReport, EngineError, PrepareSettings, Run, RunConfig, RunState
from engine.workspace import Workspace
from tests.recordings import make_manifest
from tests.train import trainer

RESULT = Path(__file__).parent / "results" / "kills.md"
ROOT = Path(__file__).resolve().parents[1]
WHOM = ("trainer", "app", "both")
LIFE_SEC = 6.0  # a kill comes so much later at most, counted from a life's launch or from its first step
LOADING_SHARE = 0.25  # of the kills are counted from the launch: most of them fall into loading
PATIENCE_SEC = 120.0
TOY = Needs(name="toy", title="Toy", sample_rate=16_000, min_sec=0.1, max_sec=60.0)
CONFIG = RunConfig(
    name="kills",
    backend="toy",
    epochs=150,
    batch_tokens=100,
    accumulation=2,
    save_every=3,
    save_unit="steps",
    learning_rate=0.003,
    rank=4,
    device="cpu",
)


@dataclass
class Tally:
    """What was done and found."""

    kills: collections.Counter[str] = field(default_factory=collections.Counter)
    moments: collections.Counter[str] = field(default_factory=collections.Counter)
    checked: int = 0
    whole_runs: int = 0
    torn: int = 0  # unfinished folders that a kill left: invisible, swept at the next start
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Yard:
    """A workspace with a dataset for the toy voice, its trainer's interpreter, and what an undisturbed run gives."""

    workspace: Workspace
    config: RunConfig
    python: str
    losses: tuple[float, ...]
    validations: tuple[float, ...]
    weights: dict[str, str]


def make_yard(folder: Path, config: RunConfig = CONFIG) -> Yard:
    """Prepare the data and train once without a disturbance."""
    trainer.register()
    workspace = Workspace(folder / "home")
    workspace.create()
    read = manifest.read(make_manifest(folder / "source", 20))
    report = AuditReport(manifest=read, backend="toy", findings=())
    settings = PrepareSettings(backend="toy", validation_share=0.2)
    made = dataset.prepare(report, settings, TOY, root=workspace.datasets, now=1.0)
    config = replace(config, dataset=made.id)
    python = trainer.executable(folder)
    whole = making.create(workspace.runs, config, now=time.time(), dataset=made)
    launcher.launch(whole.path, python=python)
    if _wait_until_over(whole.path).state is not RunState.COMPLETED:
        raise EngineError((whole.path / "train.log").read_text()[-2000:])
    series = runs.series(whole.path)
    return Yard(workspace, config, python, series.train_loss, series.val_loss, _weights(whole.path))


def run_of_kills(yard: Yard, kills: int, draw: random.Random, tally: Tally) -> None:
    """One run from its start to its end, disturbed up to `kills` times, then compared with the undisturbed one."""
    made = dataset.load(yard.workspace.datasets / yard.config.dataset)
    run = making.create(yard.workspace.runs, yard.config, now=time.time(), dataset=made)
    before: dict[str, str] = {}
    while kills and not _is_complete(run.path):
        whom = draw.choice(WHOM)
        trains_first = draw.random() >= LOADING_SHARE
        if _life(run, yard.python, whom, draw.uniform(0.0, LIFE_SEC), tally, trains_first=trains_first):
            kills -= 1
        before = _check(run.path, before, tally)
    if not _is_complete(run.path):
        if not locks.is_held(RunFolder(run.path).lock):
            launcher.launch(run.path, python=yard.python)
        _wait_until_over(run.path)
    _check(run.path, before, tally)
    _compare(run.path, yard, tally)


# ----------------------------------------------------------------------------------------------------------- a life
def _life(run: Run, python: str, whom: str, seconds: float, tally: Tally, *, trains_first: bool) -> bool:
    """Start what is not alive, wait, kill; True when something was killed."""
    begin = len(runs.events(run.path))
    command = [sys.executable, "-m", "benchmarks.kills", "--app", str(run.path), python]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as app:
        assert app.stdout is not None
        app.stdout.readline()  # the trainer is launched, or was alive
        if trains_first:
            _wait_for_training(run.path, begin)
        time.sleep(seconds)
        pid = locks.holder_pid(RunFolder(run.path).lock)
        if whom in ("trainer", "both"):
            if pid is None:
                app.kill()
                return False
            tally.moments[_moment(run.path)] += 1
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        app.kill()  # an app that is not the victim has nothing more to do
    tally.kills[whom] += 1
    if whom == "app" and pid is not None and not _is_complete(run.path) and not _goes_on(run.path):
        tally.faults.append("the trainer ended with its app")
    if whom != "app":
        end = time.monotonic() + PATIENCE_SEC
        while locks.is_held(RunFolder(run.path).lock) and time.monotonic() < end:
            time.sleep(0.02)
    return True


def _wait_for_training(run_dir: Path, begin: int) -> None:
    """Until this life's first step, or its end."""
    end = time.monotonic() + PATIENCE_SEC
    while not {"step", "end"} & {e.kind for e in runs.events(run_dir)[begin:]} and time.monotonic() < end:
        time.sleep(0.05)


def _moment(run_dir: Path) -> str:
    """What a run was doing, roughly: a folder that is being written says that it saves."""
    if list(run_dir.glob("*/.tmp-*")):
        return "saving"
    return "training" if runs.get(run_dir).state is RunState.RUNNING else "loading"


def _goes_on(run_dir: Path) -> bool:
    """Whether the trainer says something more without its app."""
    seen = runs.read_progress(run_dir).last_seq
    end = time.monotonic() + PATIENCE_SEC
    while runs.read_progress(run_dir).last_seq == seen and not _is_complete(run_dir):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _app(run_dir: Path, python: str) -> None:
    """As the app does: launch or resume what is not alive, then look at the run again and again."""
    run = runs.get(run_dir)
    if not locks.is_held(RunFolder(run_dir).lock):
        if run.state.is_over:
            launcher.launch(run_dir, python=python)
        else:
            launcher.launch(run_dir, python=python)
    print("launched", flush=True)
    while True:
        runs.get(run_dir)
        time.sleep(0.1)


# ----------------------------------------------------------------------------------------------------------- checks
def _check(run_dir: Path, before: dict[str, str], tally: Tally) -> dict[str, str]:
    """Every checkpoint whole, none lost or changed, none unannounced ones missing, and a resume that is offered."""
    root = RunFolder(run_dir).checkpoints
    alive = locks.is_held(RunFolder(run_dir).lock)
    tally.torn += 0 if alive else len(list(run_dir.glob("*/.tmp-*")))
    listed = checkpoints.listing(run_dir)
    seen: dict[str, str] = {}
    for checkpoint in listed:
        try:
            checkpoints.verify(checkpoint.path)
            adapter_files.load_adapter(checkpoint.path)
        except EngineError as error:
            tally.faults.append(f"torn: {error}")
        seen[checkpoint.path.name] = hashlib.sha256((checkpoint.path / "manifest.json").read_bytes()).hexdigest()
        tally.checked += 1
    if strange := {p.name for p in root.glob("step_*")} - seen.keys() and not alive:
        tally.faults.append(f"visible and not whole: {strange}")
    if not before.items() <= seen.items():
        tally.faults.append(f"lost or changed: {before.items() - seen.items()}")
    told = {str(e.data["path"]) for e in runs.events(run_dir) if e.kind == "checkpoint"}
    if not alive and not told <= seen.keys():
        tally.faults.append(f"announced and not there: {told - seen.keys()}")
    if not alive:
        run = runs.get(run_dir)
        if not run.state.is_over and run.state is not RunState.STARTING and run.state is not RunState.QUEUED:
            tally.faults.append(f"no resume is offered: {run.state}")
        if listed and not _is_complete(run_dir) and state_files.of(listed[-1]) is None:
            tally.faults.append(f"{listed[-1].id} cannot be gone on from")
    return seen


def _compare(run_dir: Path, yard: Yard, tally: Tally) -> None:
    run, series = runs.get(run_dir), runs.series(run_dir)
    tally.whole_runs += 1
    if run.state is not RunState.COMPLETED:
        tally.faults.append(f"{run.id} did not complete: {run.state} {run.error}")
    if (series.train_loss, series.val_loss) != (yard.losses, yard.validations):
        tally.faults.append(f"{run.id} has other losses than the undisturbed run")
    if _weights(run_dir) != yard.weights:
        tally.faults.append(f"{run.id} has other weights than the undisturbed run")


def _weights(run_dir: Path) -> dict[str, str]:
    return {
        f"{c.path.name}/{p.relative_to(c.path)}": hashlib.sha256(p.read_bytes()).hexdigest()
        for c in checkpoints.listing(run_dir)
        for p in sorted(c.path.rglob("*.safetensors"))
    }


def _is_complete(run_dir: Path) -> bool:
    return runs.get(run_dir).state is RunState.COMPLETED


def _wait_until_over(run_dir: Path) -> Run:
    end = time.monotonic() + PATIENCE_SEC
    while not (run := runs.get(run_dir)).state.is_over or locks.is_held(RunFolder(run_dir).lock):
        if time.monotonic() > end:
            raise EngineError(f"{run_dir.name} is still {run.state} after {PATIENCE_SEC:.0f} s.")
        time.sleep(0.05)
    return run


# ------------------------------------------------------------------------------------------------------------ report
def main(count: int) -> int:
    """Kill `count` times; returns the exit status."""
    draw, tally, begin = random.Random(1), Tally(), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="earmark-kills-") as folder:
        yard = make_yard(Path(folder))
        while (left := count - tally.kills.total()) > 0:
            run_of_kills(yard, min(12, left), draw, tally)
            print(f"{tally.kills.total()} kills, {tally.whole_runs} runs, faults: {tally.faults}", flush=True)
            _report(tally, len(yard.losses), time.perf_counter() - begin)  # one that is stopped has a true count
    return 1 if tally.faults else 0


def _report(tally: Tally, steps: int, seconds: float) -> None:
    lines = ["# kills", "", *(f"- {fact}" for fact in machine.facts()), ""]
    lines += [
        f"{tally.kills.total()} kills in {seconds / 60:.0f} minutes; faults found: {len(tally.faults)}.",
        "",
        "| what | count |",
        "|---|--:|",
        *(
            f"| kills of the {'trainer and the app' if whom == 'both' else whom} | {tally.kills[whom]} |"
            for whom in WHOM
        ),
        *(f"| trainers killed while {moment} | {count} |" for moment, count in sorted(tally.moments.items())),
        f"| runs completed and compared with an undisturbed one of {steps} steps | {tally.whole_runs} |",
        f"| checkpoints compared with their manifests, byte for byte | {tally.checked} |",
        f"| half-written folders that a kill left, invisible and swept | {tally.torn} |",
        "",
        "After each kill: every visible checkpoint is whole, none that was there is lost or changed, all that were "
        "announced are there, and the newest has its trainer's state. Each run's losses and weights are at its end "
        "those of the undisturbed run, bit for bit. The voice is the tests' toy, so that saves are frequent: every "
        "third step.",
        *(f"- {fault}" for fault in tally.faults),
    ]
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--app"]:
        trainer.register()
        _app(Path(sys.argv[2]), sys.argv[3])
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
