"""The training loop: epochs of steps, a validation and a checkpoint after each, a look at the world before each step.

Knows the order of things and nothing of how a model works, how files are laid out or who watches. Deletes nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine import adapters, checkpoints
from engine.train import batches, lora, seeds, state_files
from engine.train.schedule import learning_rate
from engine.train.session import Session, epoch_batches, parameter_count
from engine.train.state_files import TrainState
from engine.types import BadInput, DiskFull

if TYPE_CHECKING:
    from torch import Tensor

# A checkpoint holds each trained number three times (weight and AdamW's two moments), in 4 bytes, and some JSON.
BYTES_A_PARAMETER = 12
BYTES_OF_JSON = 64 * 1024


@dataclass(frozen=True)
class Losses:
    """A loss and the parts that it is the sum of."""

    total: float
    parts: Mapping[str, float]


def train(session: Session, state: TrainState, *, clock: Callable[[], float]) -> str:
    """Train from `state` to the last epoch; returns "completed", or "stopped" when asked to (it saved then)."""
    _say_start(session, state)
    if state.step == 0 and state.batch == 0:
        validate(session, state)  # the base itself: what the first epoch is compared with
    while state.epoch <= session.config.epochs:
        todo = epoch_batches(session, state.epoch)
        while state.batch < len(todo):
            if session.control.stop_wanted():
                save(session, state, resume_at=state, val_loss=None, clock=clock)
                return "stopped"
            session.control.wait_for_room()
            step(session, state, todo[state.batch])
        state = finish_epoch(session, state, clock=clock)
    return "completed"


def finish_epoch(session: Session, state: TrainState, *, clock: Callable[[], float]) -> TrainState:
    """Validate, publish the epoch's checkpoint, return the state at the beginning of the next epoch."""
    validation = validate(session, state)
    following = state.next_epoch()
    save(session, state, resume_at=following, val_loss=validation.total if validation else None, clock=clock)
    return following


def step(session: Session, state: TrainState, batch: batches.Batch) -> None:
    """One update of every part, and its event. Changes `state`. Raises BadInput when the loss is no number any more."""
    begin = time.perf_counter()
    config = session.config
    seed = seeds.derive(config.seed, "step", state.step)
    seeds.set_generators(seed)
    for part in session.parts:
        part.module.train()
        part.optimizer.zero_grad(set_to_none=True)
    tensors = session.model.loss([session.train[i] for i in batch], session.voice, session.part_names, seed)
    sum(tensors.values()).backward()  # type: ignore[union-attr]  # at least one part, so never the int 0
    losses = _losses(tensors)
    norms = _update(session, state.step)
    if not all(map(math.isfinite, (losses.total, *norms.values()))):
        raise BadInput(
            f"The loss is {losses.total} at step {state.step + 1}: the training ran off; "
            "start a new run with a lower learning rate."
        )
    state.step += 1
    state.batch += 1
    state.epoch_loss_sum += losses.total
    session.journal.say(
        "step",
        step=state.step,
        epoch=state.epoch,
        loss=losses.total,
        parts=losses.parts,
        learning_rate=learning_rate(state.step - 1, peak=config.learning_rate, warmup_steps=config.warmup_steps),
        grad_norm=norms,
        seconds=time.perf_counter() - begin,
    )


def _update(session: Session, step_number: int) -> dict[str, float]:
    """Clip and step each part by itself: a large gradient of one must not shrink the other's. Returns the norms."""
    import torch

    norms = {}
    for part in session.parts:
        norm = torch.nn.utils.clip_grad_norm_(part.parameters.values(), session.config.max_grad_norm)
        for group in part.optimizer.param_groups:
            group["lr"] = learning_rate(step_number, peak=part.peak_rate, warmup_steps=session.config.warmup_steps)
        part.optimizer.step()
        norms[part.name] = float(norm)
    return norms


def validate(session: Session, state: TrainState) -> Losses | None:
    """Mean loss a token over the held-out examples (None without any), and its event; the same batches each time."""
    import torch

    if not session.validation:
        return None
    for part in session.parts:
        part.module.eval()
    seeds.set_generators(seeds.derive(session.config.seed, "validation"))
    sums = dict.fromkeys(session.part_names, 0.0)
    with torch.no_grad():
        for batch in batches.fixed_batches(session.validation_lengths, batch_tokens=session.config.batch_tokens):
            tensors = session.model.loss(
                [session.validation[i] for i in batch], session.voice, session.part_names, None
            )
            weight = sum(session.validation_lengths[i] for i in batch)
            for name, loss in tensors.items():
                sums[name] += weight * float(loss)
    parts = {name: value / sum(session.validation_lengths) for name, value in sums.items()}
    losses = Losses(sum(parts.values()), parts)
    if not math.isfinite(losses.total):
        raise BadInput(
            f"The validation loss is {losses.total} at step {state.step}; lower the learning rate in a new run."
        )
    epoch = state.epoch if state.step else 0
    session.journal.say("validation", step=state.step, epoch=epoch, loss=losses.total, parts=parts)
    return losses


def save(
    session: Session,
    state: TrainState,
    *,
    resume_at: TrainState,
    val_loss: float | None,
    clock: Callable[[], float],
) -> None:
    """Publish a checkpoint of this step, waiting for room as long as needed. Does nothing when it is saved already."""
    if state.step == 0 or (session.folder.checkpoints / checkpoints.folder_name(state.step)).exists():
        return
    needed = 2 * (parameter_count(session) * BYTES_A_PARAMETER + BYTES_OF_JSON)
    meta = {"epoch": state.epoch, "train_loss": state.epoch_loss, "val_loss": val_loss, "created_at": clock()}

    def write(folder: Path) -> None:
        _write(session, resume_at, folder)

    while True:
        session.control.wait_for_room(needed)
        try:
            path = checkpoints.publish(
                session.folder.path,
                step=state.step,
                write=write,
                meta=meta,
                needed_bytes=needed,
                free_bytes=session.control.free_bytes,
            )
            break
        except DiskFull as error:  # somebody else filled it meanwhile
            session.journal.say("note", text=str(error))
            time.sleep(1.0)
    size = checkpoints.load(path).bytes
    told = {k: meta[k] for k in ("epoch", "train_loss", "val_loss")}
    session.journal.say("checkpoint", step=state.step, path=path.name, bytes=size, **told)


def _write(session: Session, resume_at: TrainState, folder: Path) -> None:
    for part in session.parts:
        lora.save(part, folder)
    adapters.write_adapter(
        folder,
        backend=session.model.name,
        base_sha256=session.model.base_sha256,
        voice=session.voice,
        parts=session.part_names,
        rank=session.config.rank,
        alpha=session.config.alpha,
        voice_settings=session.voice_settings,
    )
    state_files.write(folder, session.parts, resume_at)


def _say_start(session: Session, state: TrainState) -> None:
    import os

    session.journal.say(
        "start",
        pid=os.getpid(),
        step=state.step,
        epoch=min(state.epoch, session.config.epochs),
        total_steps=session.total_steps,
        epochs=session.config.epochs,
        train_count=len(session.train),
        validation_count=len(session.validation),
        voice=session.voice,
        device=str(session.model.device),
        parameters=parameter_count(session),
    )


def _losses(tensors: Mapping[str, Tensor]) -> Losses:
    parts = {name: float(loss.detach()) for name, loss in tensors.items()}
    return Losses(sum(parts.values()), parts)
