"""Saving a checkpoint: the copy in memory while training waits, the files in the background.

Knows the order that makes it safe: the trainer's state first, then the checkpoint it belongs to, then older states go.
Whoever sees a checkpoint can go on from it; a kill between the two leaves a state that nobody misses.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import adapter_files, checkpoints, sealed
from engine.train import optimizers, state_files
from engine.train.parts import parameter_count
from engine.train.publisher import Publisher
from engine.train.session import Session
from engine.train.state_files import TrainState
from engine.train.trained_part import TrainedPart
from engine.types import Adapter, DiskFull

if TYPE_CHECKING:
    from torch import Tensor

WEIGHT_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Everything a save writes, in main memory: training may go on."""

    step: int
    resume_at: TrainState
    weights: Mapping[str, Mapping[str, Tensor]]  # by part
    moments: Mapping[str, Tensor]
    meta: Mapping[str, Any]
    speech: Mapping[str, float] | None


class Saver:
    """Saves each step once. Process 0 alone writes."""

    def __init__(self, session: Session, publisher: Publisher, clock: Callable[[], float]) -> None:
        self._session = session
        self._publisher = publisher
        self._clock = clock
        self._saved = 0  # the last step that was handed to the publisher

    def save(self, state: TrainState, *, resume_at: TrainState, val_loss: float | None) -> None:
        """Keep a checkpoint of this step, waiting for room as long as needed; its files appear in the background."""
        session = self._session
        if session.world.rank or state.step in (0, self._saved) or _is_complete(session.folder.path, state.step):
            return
        session.control.wait_for_room(needed_bytes(session))
        session.where.enter("listening")
        speech = session.ear.listen(session)
        session.where.enter("saving")
        self._publisher.wait()  # before the copy: two of them at once might not fit in memory
        snapshot = Snapshot(
            step=state.step,
            resume_at=replace(resume_at),
            weights={part.name: part.weights() for part in session.parts},
            moments=state_files.moments(session.parts),
            meta={
                "epoch": state.epoch,
                "train_loss": state.epoch_loss,
                "val_loss": val_loss,
                "created_at": self._clock(),
            },
            speech=speech,
        )
        self._saved = state.step
        self._publisher.submit(lambda: publish(session, snapshot))


def publish(session: Session, snapshot: Snapshot) -> None:
    """Write what a snapshot holds and tell of it. Raises DiskFull with nothing left behind."""
    begin = time.perf_counter()
    run_dir = session.folder.path

    def write(folder: Path) -> None:
        adapter = _write_weights(session, snapshot, folder)
        state_files.publish(run_dir, snapshot.step, snapshot.resume_at, snapshot.moments, adapter.sha256)

    path = checkpoints.path_of(run_dir, snapshot.step)
    if path.exists():  # an earlier life published it and its state was lost since
        _publish_state_alone(session, snapshot, path)
        return
    checkpoints.publish(
        run_dir, step=snapshot.step, write=write, meta=snapshot.meta, free_bytes=session.control.free_bytes
    )
    state_files.prune(run_dir)
    told = {name: snapshot.meta[name] for name in ("epoch", "train_loss", "val_loss")}
    session.journal.say(
        "checkpoint",
        step=snapshot.step,
        path=path.name,
        bytes=checkpoints.load(path).bytes,
        seconds=time.perf_counter() - begin,
        **told,
        **({"speech": dict(snapshot.speech)} if snapshot.speech else {}),
    )


def needed_bytes(session: Session) -> int:
    """Room for the next two checkpoints with their states."""
    each = WEIGHT_BYTES + optimizers.STATE_BYTES[session.config.optimizer]
    return 2 * (parameter_count(session.parts) * each + checkpoints.BYTES_OF_JSON)


def making_room(session: Session) -> Callable[[DiskFull], None]:
    """What a publisher does when somebody else filled the disk in the middle of a save: say so, and wait for room."""

    def wait(error: DiskFull) -> None:
        session.journal.say("note", text=str(error))
        session.control.wait_for_room(needed_bytes(session))
        time.sleep(1.0)

    return wait


def _is_complete(run_dir: Path, step: int) -> bool:
    return checkpoints.path_of(run_dir, step).exists() and state_files.path_of(run_dir, step).exists()


def _publish_state_alone(session: Session, snapshot: Snapshot, path: Path) -> None:
    """The same training gives the same weights, where the device computes the same twice; else the step stays as it is.

    A state belongs to the weights that it was made with.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=sealed.UNFINISHED) as folder:
        sha256 = _write_weights(session, snapshot, Path(folder)).sha256
    if sha256 == checkpoints.load(path).adapter.sha256:
        state_files.publish(session.folder.path, snapshot.step, snapshot.resume_at, snapshot.moments, sha256)
        state_files.prune(session.folder.path)
    else:
        text = f"{path.name} is kept as it was published; trained again, it came out a little different."
        session.journal.say("note", text=text)


def _write_weights(session: Session, snapshot: Snapshot, folder: Path) -> Adapter:
    trained: Mapping[str, TrainedPart] = {part.name: part for part in session.parts}
    for name, weights in snapshot.weights.items():
        trained[name].write(folder, weights)
    config = session.config
    is_full = config.method == adapter_files.FULL
    return adapter_files.write_adapter(
        folder,
        backend=session.model.name,
        base_sha256=session.model.base_sha256,
        voice=session.voice,
        parts=session.part_names,
        rank=0 if is_full else config.rank,
        alpha=0.0 if is_full else config.alpha,
        voice_settings=session.voice_settings,
        kind=config.method,
    )
