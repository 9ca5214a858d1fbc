"""The training loop: epochs of steps, validations and checkpoints between them, a look at the world before each step.

Knows the order of things and nothing of how a model works, how files are laid out or who watches. Deletes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from engine.train import alignment, batches, saving, steps
from engine.train.parts import parameter_count
from engine.train.publisher import Publisher
from engine.train.saving import Saver
from engine.train.session import Session, epoch_batches
from engine.train.state_files import TrainState

GO, STOP = 0, 1


def train(session: Session, state: TrainState, *, clock: Callable[[], float]) -> str:
    """Train from `state` to the last step; returns "completed", or "stopped" when asked to (it saved then)."""
    _say_start(session, state)
    with Publisher(make_room=saving.making_room(session)) as publisher:
        saver = Saver(session, publisher, clock)
        if state.step == 0:
            base = steps.validate(session, state)  # the base itself: what the first epoch is compared with
            alignment.must_be_loaded(session, base)
        todo = epoch_batches(session, state.epoch)
        while state.step < session.total_steps:
            publisher.look()
            if session.world.told(_wish(session)) == STOP:
                saver.save(state, resume_at=state, val_loss=None)
                publisher.wait()
                return "stopped"
            step(session, state, todo[state.batch : state.batch + session.config.accumulation])
            ends_epoch = state.batch >= len(todo)
            after = _between(session, saver, state, ends_epoch=ends_epoch)
            if ends_epoch and after.step < session.total_steps:
                todo = epoch_batches(session, after.epoch)
            state = after
    return "completed"


def step(session: Session, state: TrainState, group: Sequence[batches.Batch]) -> None:
    """One update of every part from a group of batches, and its event. Changes `state`."""
    steps.step(session, state, group)


def _wish(session: Session) -> int:
    """Process 0's word on how to go on. It waits here while there is no room."""
    if session.world.rank:
        return GO
    if session.control.stop_wanted() or session.journal.stopping is not None:
        return STOP
    if session.journal.resting.issuperset(session.part_names):
        return STOP
    session.control.wait_for_room()
    return GO


def _between(session: Session, saver: Saver, state: TrainState, *, ends_epoch: bool) -> TrainState:
    """Validate and save where it is time; returns the state to go on from."""
    config = session.config
    is_last = state.step >= session.total_steps
    following = state.next_epoch() if ends_epoch else replace(state)
    if config.save_unit == "steps":
        is_due = state.step % config.save_every == 0
    else:
        is_due = ends_epoch and state.epoch % config.save_every == 0
    if is_due or is_last or ends_epoch:
        validation = steps.validate(session, state)
        if is_due or is_last:
            saver.save(state, resume_at=following, val_loss=validation.total if validation else None)
    return following


def _say_start(session: Session, state: TrainState) -> None:
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
        parameters=parameter_count(session.parts),
        processes=session.world.size,
        unloaded_loss=dict(session.unloaded_loss),
    )
