"""Full fine-tuning on a disk that is too small: pause, verdicts, trash, purge, resume, with checkpoints of gigabytes.

The disk is a file system of its own where mounting one is permitted, so that it is really full; else an injected quota.
Weights and optimizer states are real, the voice is the tests' toy, made as wide as EARMARK_TOY_WIDTH says; the clips
that reviewers judge are noise, since it cannot speak. Nothing here looks at losses.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unittest.mock import patch

from benchmarks.measure import Row, Table
from engine import checkpoints, disk, lease, runs
from engine.runs import launcher
from engine.runs.folder import RunFolder
from engine.studio import Studio
from engine.train import state_files
from engine.types import EngineError, Refused, Run, RunState
from engine.workspace import Workspace
from tests import small_disk
from tests.studio.test_training import prepare
from tests.train import trainer

WIDTH = "8000"  # of the toy: 1.1 GB of weights, 9 GB of memory; 10200: 1.7 and 14 GB; 11000: 2 and about 16 GB
ROWS = 8  # one batch an epoch
PATIENCE_SEC = 3600.0
LOOK_SEC = 0.02
LEAVING_SEC = 60.0
OVERHEAD = 1.01  # of a file system, over the files in it
MKFS = ("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", "-T", "largefile4")
LEFT_BYTES = 32_000_000  # by somebody who fills the disk: events and logs still fit
BYTES_A_WEIGHT = 12 + 4 * 8  # of room on the disk that holds the small one, a trained number: the most that lies on it
GIGA = 1e9


def run(turns: int, base_model: str = "") -> list[Table]:
    """One undisturbed run, one on the small disk. Neither `turns` nor `base_model` applies.

    Raises DiskFull where they would not fit, Refused when the weights at the end are not the undisturbed run's.
    """
    os.environ.setdefault("EARMARK_TOY_WIDTH", WIDTH)
    width = int(os.environ["EARMARK_TOY_WIDTH"])
    parameters = 4 * width * width
    here = Path.cwd()
    disk.must_fit(here, BYTES_A_WEIGHT * parameters, free=disk.free_bytes(here), what="the scenario")
    trainer.register()
    with tempfile.TemporaryDirectory(dir=here, prefix=".full-retention-") as folder:
        scene = Scene(Path(folder))
        with patch.object(launcher, "launch", partial(launcher.launch, python=trainer.executable(scene.folder))):
            return _measured(scene)


@dataclass
class Scene:
    """What was seen so far: seconds by what took them, peak bytes of memory, and what else the table tells."""

    folder: Path
    seconds: dict[str, float] = field(default_factory=dict)
    peak_bytes: int = 0
    told: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[what] = time.perf_counter() - begin
        print(f"  {what}: {self.seconds[what]:.0f} s", flush=True)

    def until(self, studio: Studio, run_id: str, ends: Callable[[Run], bool]) -> Run:
        """Wait for a state of a run, looking at its trainer's memory meanwhile. Raises Refused when it never comes."""
        end = time.monotonic() + PATIENCE_SEC
        while not ends(found := studio.run(run_id)):
            if found.state.is_over or time.monotonic() > end:
                raise Refused(f"{run_id} is {found.state} instead: {found.error}")
            self.peak_bytes = max(self.peak_bytes, _peak_bytes(found.path))
            time.sleep(0.2)
        return found


def _peak_bytes(run_dir: Path) -> int:
    """The most main memory that a run's trainer has had, 0 where nobody says."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path(f"/proc/{runs.read_progress(run_dir).pid}/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    return 0


def _is_over(found: Run) -> bool:
    return found.state.is_over


def _is_paused(found: Run) -> bool:
    return found.state is RunState.PAUSED


# ------------------------------------------------------------------------------------------------------------ the runs
@contextmanager
def _opened(home: Path) -> Iterator[Studio]:
    with Studio(Workspace(home), device="cpu") as studio:
        studio.watch_queue()
        try:
            yield studio
        finally:
            for left in studio.runs():
                if not left.state.is_over:
                    studio.stop_run(left.id, force=True)
                    studio.wait_run(left.id, timeout_sec=60.0)


def _measured(scene: Scene) -> list[Table]:
    expected, room = _undisturbed(scene)
    with ExitStack() as stack:
        home = stack.enter_context(_small_disk(scene, room))
        studio = stack.enter_context(_opened(home / "home"))
        kept = _disturbed(scene, studio, expected)
    return [_table(scene, expected, kept)]


def _undisturbed(scene: Scene) -> tuple[dict[int, str], int]:
    """The hashes of a run with all the room it wants, which is removed then, and the room that is too little."""
    with _opened(scene.folder / "large") as studio, scene.timed("undisturbed"):
        made = prepare(studio.workspace, scene.folder / "source", "toy", rows=ROWS)
        started = studio.start_run(small_disk.config(made.id, "roomy"))
        found = scene.until(studio, started.id, _is_over)
        if found.state is not RunState.COMPLETED:
            raise Refused(f"The undisturbed run is {found.state}: {found.error}")
    one = checkpoints.listing(found.path)[-1]
    state = trainer.weights_bytes(state_files.path_of(found.path, one.step))
    scene.told["checkpoint"] = f"{one.bytes / GIGA:.2f} GB, and {state / GIGA:.2f} GB to resume from"
    scene.told["written"] = f"{(small_disk.EPOCHS * (one.bytes + state)) / GIGA:.0f} GB"
    expected, room = small_disk.weights(found.path), small_disk.room(found.path)
    for gone in (RunFolder(found.path).checkpoints, RunFolder(found.path).states):
        shutil.rmtree(gone)
    return expected, room


def _disturbed(scene: Scene, studio: Studio, expected: dict[int, str]) -> dict[int, str]:
    """Everything that happens on the small disk; returns the hashes of what is there at the end."""
    made = prepare(studio.workspace, scene.folder / "source", "toy", rows=ROWS)
    started = studio.start_run(small_disk.config(made.id, "small"))
    with scene.timed("filled by somebody else, and gone on"):
        _fill_during_a_save(scene, studio, started)
    with scene.timed("until it paused"):
        paused = scene.until(studio, started.id, _is_paused)
    scene.told["paused"] = paused.error
    with scene.timed("stopped: the device was free"):
        studio.stop_run(started.id)
        scene.until(studio, started.id, _is_over)
        while lease.holder(studio.workspace, "cpu"):
            time.sleep(LOOK_SEC)
    own = [f"{started.id}@{each.step:06d}" for each in checkpoints.listing(paused.path)]
    with scene.timed("judged, trashed, purged"):
        _let_go(scene, studio, own)
    with scene.timed("resumed, to the end"):
        studio.resume_run(started.id)
        ended = scene.until(studio, started.id, _is_over)
    if ended.state is not RunState.COMPLETED:
        raise Refused(f"The run is {ended.state}: {ended.error}")
    kept: dict[int, str] = small_disk.weights(ended.path)
    wanted = {s: w for s, w in expected.items() if f"{started.id}@{s:06d}" not in own[:3]}
    if kept != wanted:
        raise Refused(f"The weights at the end are not the undisturbed run's: {kept} instead of {wanted}.")
    if faults := studio.inspect(checksums=True):
        raise Refused(faults[0])
    return kept


def _let_go(scene: Scene, studio: Studio, own: list[str]) -> None:
    """Nothing goes unjudged; three fail and one passes; the three go, typed, and their room is there at once."""
    _must_refuse(lambda: studio.trash(own[:1], by="ada"))
    small_disk.judge(studio, own[:3], own[3])
    studio.promote(small_disk.candidate(own[3]), alias="production/tick", by="ada")
    _must_refuse(lambda: studio.trash([own[3]], by="ada"))
    before = studio.free_bytes()
    stones = studio.trash(own[:3], by="ada")
    _must_refuse(lambda: studio.purge(stones[0].id, by="ada"))
    for stone in stones:
        studio.purge(stone.id, by="ada", typed=stone.checkpoint_id)
    freed = studio.free_bytes() - before if scene.told["disk"] != QUOTA else sum(stone.bytes for stone in stones)
    scene.told["freed"] = f"{len(own)} there, {len(stones)} failed and purged, {freed / GIGA:.1f} GB free again"


def _must_refuse(act: Callable[[], object]) -> None:
    try:
        act()
    except Refused:
        return
    raise EngineError("What should have been refused was done.")


def _fill_during_a_save(scene: Scene, studio: Studio, started: Run) -> None:
    """Somebody else takes all room while the second checkpoint is written: the save is done again once it is back."""
    if scene.told["disk"] == QUOTA:
        return
    folder, ballast = RunFolder(started.path).checkpoints, studio.workspace.root.parent / "ballast"
    while not (checkpoints.listing(started.path) and any(folder.glob(".tmp-*"))):
        if studio.run(started.id).state.is_over:
            raise Refused(f"{started.id} ended: {studio.run(started.id).error}")
        time.sleep(LOOK_SEC)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, disk.free_bytes(ballast.parent) - LEFT_BYTES))
    scene.until(studio, started.id, _is_paused)
    said = [str(event.data.get("text")) for event in runs.events(started.path) if event.kind == "note"]
    # a save that was quicker than this look ended before the disk was full, and only the next one waited
    scene.told["full"] = next((text for text in said if "filled up while saving" in text), "")
    ballast.unlink()
    scene.until(studio, started.id, lambda found: found.state is RunState.RUNNING)


# ------------------------------------------------------------------------------------------------------ the small disk
QUOTA = "a quota that the trainer is told: no file system could be mounted here"


@contextmanager
def _small_disk(scene: Scene, room: int) -> Iterator[Path]:
    """A folder with so much room: an ext4 file system in a sparse file, or a quota where none can be mounted."""
    image, place = scene.folder / "disk.img", scene.folder / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(int(room * OVERHEAD))
    if not (_done(*MKFS, str(image)) and _done("mount", "-o", "loop", str(image), str(place))):
        scene.told["disk"] = QUOTA
        os.environ[trainer.QUOTA] = str(room)
        yield place
        return
    scene.told["disk"] = f"ext4, {disk.free_bytes(place) / GIGA:.1f} GB free, in a file of this machine's disk"
    try:
        yield place
    finally:
        end = time.monotonic() + LEAVING_SEC
        while not _done("umount", str(place)) and time.monotonic() < end:
            time.sleep(1.0)  # a large process is gone seconds after its last word


def _done(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


# ----------------------------------------------------------------------------------------------------------- the table
def _table(scene: Scene, expected: dict[int, str], kept: dict[int, str]) -> Table:
    rows = [
        Row("a checkpoint", scene.told["checkpoint"]),
        Row("written by the undisturbed run", f"{len(expected)} checkpoints, {scene.told['written']}"),
        Row("the small disk", scene.told["disk"]),
        *(Row(what, f"{seconds:.0f} s") for what, seconds in scene.seconds.items()),
        Row("checkpoints", scene.told["freed"]),
        Row("the most memory that a trainer had", f"{scene.peak_bytes / GIGA:.1f} GB"),
        Row(
            "checkpoints at the end whose weights are the undisturbed run's, to the byte",
            f"{len(kept)} of {len(kept)}",
            aim="all",
        ),
    ]
    note = f"What the run said while it was paused: *{scene.told['paused']}*"
    if full := scene.told.get("full"):
        note += f" And of the save that found the disk full: *{full.replace(str(scene.folder), '')}*"
    return Table("Full fine-tuning on a disk that is too small", rows, note)
