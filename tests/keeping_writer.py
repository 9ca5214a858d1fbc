"""Moves, brings back, purges, promotes and exports at random until it is killed: `keeping_writer.py HOME SEED`.

Before a checkpoint is touched for the first time its checksums go to `ledger.jsonl`; every act that has returned is
printed. `check` says afterwards whether anything is torn or lost.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from engine import adapter_files, backends, checkpoints, durable, trash  # noqa: E402
from engine.bundle import checking  # noqa: E402
from engine.inventory import state_of  # noqa: E402
from engine.studio import Studio  # noqa: E402
from engine.types import Candidate, EngineError, Outcome  # noqa: E402
from engine.workspace import Workspace  # noqa: E402
from tests.checkpoint_writer import write  # noqa: E402
from tests.judgement_factory import make_verdict  # noqa: E402

DAY = 86_400.0
LEDGER = "ledger.jsonl"
ALIAS = "candidate/robin"
IN_PLAY = 5


def make_run(home: Path) -> Path:
    """A run's folder without any checkpoint."""
    folder = home / "runs" / "robin"
    if not folder.exists():
        folder.mkdir(parents=True)
        record = {"format_version": 1, "id": "robin", "created_at": 1.0, "config": {"dataset": "d"}}
        (folder / "run.json").write_text(json.dumps(record))
        end = {"seq": 0, "kind": "end", "at": 1.0, "data": {"reason": "completed", "exit": 0, "error": "", "step": 1}}
        (folder / "events.jsonl").write_text(json.dumps(end) + "\n")
    return folder


def candidate(step: int, scale: float = 0.5) -> Candidate:
    return Candidate(backend="toy", voice="tick", checkpoint_id=f"robin@{step:06d}", lora_scale=scale)


def publish(studio: Studio, step: int) -> None:
    """One more checkpoint with the state that resumes from it, judged: every tenth passed, the others failed."""
    run = make_run(studio.workspace.root)
    meta = {"epoch": step, "train_loss": 1.0, "val_loss": None, "created_at": 1.0}
    path = checkpoints.publish(run, step=step, write=write, meta=meta)
    state = state_of(checkpoints.load(path))
    state.mkdir(parents=True)
    (state / "optimizer.safetensors").write_bytes(os.urandom(5000))
    with (studio.workspace.root / LEDGER).open("a") as ledger:
        told = {"step": step, "checkpoint": durable.checksums(path), "state": durable.checksums(state)}
        ledger.write(json.dumps(told) + "\n")
        ledger.flush()
        os.fsync(ledger.fileno())
    outcome = Outcome.PASS if step % 10 == 0 else Outcome.FAIL
    verdict = make_verdict(candidate(step), outcome)
    studio.store.add_verdict(replace(verdict, id=f"verdict {step} {random.random()}"))


def act(studio: Studio, draw: random.Random) -> str:
    """One random act; returns what was done."""
    stones = studio.trashed()
    kind = draw.choice(["trash", "trash", "undo", "purge", "promote", "export"])
    if kind == "trash" and (going := [r.checkpoint_id for r in studio.retention() if not r.keep]):
        chosen = draw.choice(going)
        studio.trash([chosen], by="ada")
        return f"trash {chosen}"
    if kind in ("undo", "purge") and stones:
        stone = draw.choice(stones)
        getattr(studio, kind)(stone.id, by="ada")
        return f"{kind} {stone.checkpoint_id}"
    if kind == "promote":
        passed = [v.candidate for v in studio.verdicts() if v.outcome is Outcome.PASS]
        if passed:
            made = studio.promote(draw.choice(passed), alias=ALIAS, by="ada", reason=str(draw.random()))
            return f"promote {made.id}"
    if kind == "export" and studio.promotions():
        return f"export {studio.export(ALIAS, listen=False).path.name}"
    return "nothing"


def main(home: Path, seed: int) -> None:
    backends.EXPORTERS.clear()
    draw = random.Random(seed)
    days = itertools.count(1000)
    with Studio(Workspace(home), clock=lambda: next(days) * DAY) as studio:
        print("open", flush=True)
        while True:
            steps = [c.step for c in studio.checkpoints()] + [s.step for s in trash.records(studio.workspace.trash)]
            if len(studio.checkpoints()) < IN_PLAY:
                publish(studio, max(steps, default=0) + 1)
            try:
                print(act(studio, draw), flush=True)
            except EngineError as error:
                print(f"refused {error}", flush=True)


# ------------------------------------------------------------------------------------------------------------- checking
def check(home: Path, acknowledged: list[str]) -> list[str]:
    """What is torn or lost after a kill, in sentences; opening the workspace mends what may be mended."""
    faults: list[str] = []
    with Studio(Workspace(home), clock=lambda: 1e9) as studio:
        stones = {stone.checkpoint_id: stone for stone in trash.records(studio.workspace.trash)[::-1]}
        for line in _ledger(home):
            faults += _whole(studio, f"robin@{line['step']:06d}", line["checkpoint"], stones, "checkpoints")
            faults += _whole(studio, f"robin@{line['step']:06d}+state", line["state"], stones, "state")
        faults += _log_agrees(studio)
        promoted = {p.id for p in studio.store.promotion_history()}
        for told in acknowledged:
            if told.startswith("promote") and told[8:] not in promoted:
                faults.append(f"{told} is lost")
            if told.startswith("export") and not (studio.workspace.exports / told[7:]).is_dir():
                faults.append(f"{told} is lost")
        for folder in studio.workspace.exports.iterdir():
            if not folder.name.startswith("."):
                checking.verify(folder)
                adapter_files.load_adapter(folder)
    return faults


def _ledger(home: Path) -> list[dict[str, object]]:
    found = []
    for line in (home / LEDGER).read_text().splitlines() if (home / LEDGER).exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue  # torn by the kill: the checkpoint was not judged yet, so it could not be touched
    return found


def _whole(studio: Studio, name: str, sums: object, stones: dict[str, trash.Tombstone], what: str) -> list[str]:
    step = int(name.partition("@")[2].partition("+")[0])
    origin = studio.workspace.runs / "robin" / what / f"step_{step:06d}"
    if origin.is_dir():
        return [] if durable.checksums(origin) == sums else [f"{name} in its place is torn"]
    stone = stones.get(name)
    if stone is None:
        return [f"{name} is lost"]
    content = studio.workspace.trash / stone.id / trash.CONTENT
    if content.is_dir():
        return [] if durable.checksums(content) == sums else [f"{name} in the trash is torn"]
    return [] if stone.purged_at is not None else [f"{name} is lost from the trash"]


def _log_agrees(studio: Studio) -> list[str]:
    """After the last act of each checkpoint in the log, it is where the log says."""
    last: dict[str, str] = {}
    for done in studio.store.acts():
        if done.kind in ("trash", "undo", "purge"):
            last[str(done.data["checkpoint"])] = done.kind
    here = {c.id for c in studio.checkpoints()}
    here |= {f"{c.id}+state" for c in studio.checkpoints() if state_of(c).is_dir()}
    binned = {stone.checkpoint_id for stone in trash.listing(studio.workspace.trash)}
    places = {"undo": here, "trash": binned}
    return [
        f"{name}: the log ends with {kind}"
        for name, kind in last.items()
        if kind != "purge" and name not in places[kind]
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
