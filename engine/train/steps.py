"""One step, and one validation: what is computed, with which seeds, and what is told of it.

Knows that losses are means a token, so that batches of all sizes, training and validation lie on one axis; that a step
without a number in it is never applied; and that a step's share of several processes adds up to the step of one.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine import monitors
from engine.train import batches, seeds
from engine.train.schedule import learning_rate
from engine.train.session import Session
from engine.train.state_files import TrainState
from engine.types import BadInput

if TYPE_CHECKING:
    from torch import Tensor

LOOKED_AT = 16  # examples, where none is held out


@dataclass(frozen=True)
class Losses:
    """A loss and what it is the sum of, by name."""

    total: float
    parts: Mapping[str, float]


def step(session: Session, state: TrainState, group: Sequence[batches.Batch]) -> None:
    """One update of every part from a group of batches, and its event. Changes `state`.

    Raises BadInput, with nothing applied, when a loss or gradient is no number any more.
    """
    begin = time.perf_counter()
    resting = session.world.told(session.journal.resting)
    losses = _gradients(session, state, group, resting)
    norms = _update(session, state, losses, resting)
    state.step += 1
    state.batch += len(group)
    weight = sum(session.weights[i] for batch in group for i in batch)
    state.epoch_loss_sum += losses.total * weight
    state.epoch_tokens += weight
    session.where.steps_done += 1
    tokens = sum(session.lengths[i] for batch in group for i in batch)
    padded = sum(batches.padded_tokens(batch, session.lengths) for batch in group)
    session.journal.say(
        "step",
        step=state.step,
        epoch=state.epoch,
        loss=losses.total,
        parts=losses.parts,
        learning_rate=learning_rate(
            state.step - 1, peak=session.config.learning_rate, warmup_steps=session.config.warmup_steps
        ),
        grad_norm=norms,
        seconds=time.perf_counter() - begin,
        tokens=tokens,
        padding_share=1 - tokens / padded,
        memory_bytes=_peak_memory(str(session.model.device)),
    )


def _gradients(session: Session, state: TrainState, group: Sequence[batches.Batch], resting: frozenset[str]) -> Losses:
    """The mean loss a token over a group of batches, and its gradients on every part that does not rest."""
    for part in session.parts:
        part.module.train()
        part.optimizer.zero_grad(set_to_none=True)
    weights = [sum(session.weights[i] for i in batch) for batch in group]
    sums = dict.fromkeys(session.loss_names, 0.0)
    for names in _taught(session, resting):
        for place, batch in session.world.mine(group):
            share = weights[place] / sum(weights)
            teaches = resting.isdisjoint(names)
            for name, one in _backward(session, state, names, place, batch, share, teaches).items():
                sums[name] += share * one
    parts = session.world.add(sums)
    return Losses(sum(parts.values()), parts)


def _taught(session: Session, resting: frozenset[str]) -> Iterator[tuple[str, ...]]:
    """The parts that are computed at once, those that rest by themselves: their losses are told all the same."""
    for names in session.together:
        kept = (tuple(n for n in names if n not in resting), tuple(n for n in names if n in resting))
        yield from (group for group in kept if group)


def _backward(
    session: Session,
    state: TrainState,
    names: Sequence[str],
    place: int,
    batch: batches.Batch,
    share: float,
    teaches: bool,
) -> dict[str, float]:
    """The losses of some parts on one batch; `share` of their gradients is added to what is there."""
    import torch

    seed = seeds.of_batch(session.config.seed, state.step, place)
    seeds.set_generators(seed)
    session.where.enter("forward", batches.padded_tokens(batch, session.lengths))
    with session.precision(), torch.set_grad_enabled(teaches):
        tensors = session.model.loss([session.train[i] for i in batch], session.voice, names, seed)
    loss: Tensor = share * sum(tensors.values())  # type: ignore[assignment]  # at least one part, so never int 0
    if not teaches:
        return {name: float(one) for name, one in tensors.items()}
    session.where.enter("backward")
    loss.backward()  # type: ignore[no-untyped-call]
    return {name: float(one.detach()) for name, one in tensors.items()}


def _update(session: Session, state: TrainState, losses: Losses, resting: frozenset[str]) -> dict[str, float]:
    """Clip and step each part by itself: a large gradient of one must not shrink the other's. Returns the norms."""
    import torch

    norms = {}
    taught = [part for part in session.parts if part.name not in resting]
    for part in taught:
        session.world.add_gradients(part.parameters.values())
        norms[part.name] = float(torch.nn.utils.clip_grad_norm_(part.parameters.values(), session.config.max_grad_norm))
    _must_be_numbers(session, state, "The training loss", losses.total)
    for name, norm in norms.items():
        _must_be_numbers(session, state, f"The gradient of {name}", norm)
    session.where.enter("optimizer")
    for part in reversed(taught):  # the last one is on the card, where there is room for one
        session.model.part(part.name)
        part.gather_state()
        rate = learning_rate(state.step, peak=part.peak_rate, warmup_steps=session.config.warmup_steps)
        for group in part.optimizer.param_groups:
            group["lr"] = rate
        part.optimizer.step()
    return norms


def validate(session: Session, state: TrainState) -> Losses | None:
    """Mean loss a token over the held-out examples (None without any), and its event.

    The same batches, the same noise and no dropout each time.
    """
    if not session.validation:
        return None
    losses = _mean(session, session.validation, session.validation_lengths, session.validation_weights)
    _must_be_numbers(session, state, "The validation loss", losses.total)
    epoch = state.epoch if state.step else 0
    session.journal.say("validation", step=state.step, epoch=epoch, loss=losses.total, parts=losses.parts)
    return losses


def first_look(session: Session) -> Losses:
    """The same over some examples to train on: where a run begins that holds none out. Says nothing."""
    some = slice(LOOKED_AT)
    return _mean(session, session.train[some], session.lengths[some], session.weights[some])


def _mean(session: Session, examples: Sequence[Any], lengths: Sequence[int], weights: Sequence[int]) -> Losses:
    import torch

    for part in session.parts:
        part.module.eval()
    sums = dict.fromkeys(session.loss_names, 0.0)
    with torch.no_grad():
        for place, batch in session.world.mine(
            batches.fixed_batches(lengths, batch_tokens=session.config.batch_tokens)
        ):
            session.where.enter("validation", batches.padded_tokens(batch, lengths))
            seeds.set_generators(seeds.of_validation(session.config.seed, place))
            with session.precision():
                tensors = session.model.loss([examples[i] for i in batch], session.voice, session.part_names, None)
            weight = sum(weights[i] for i in batch)
            for name, loss in tensors.items():
                sums[name] += weight * float(loss)
    parts = {name: value / sum(weights) for name, value in session.world.add(sums).items()}
    return Losses(sum(parts.values()), parts)


def _must_be_numbers(session: Session, state: TrainState, what: str, value: float) -> None:
    """Raises BadInput, and marks the curve, for what cannot be trained on."""
    if math.isfinite(value):
        return
    alert = monitors.not_a_number(state.step + 1, state.epoch, what)
    session.journal.alert(alert)
    raise BadInput(f"{what} is {value} at step {state.step + 1}: {alert.text.partition(': ')[2]}")


def _peak_memory(device: str) -> int:
    """The most bytes that this process has held on its device so far; 0 where nobody counts."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
