"""The trainer on five minutes of speech: against the plainest loop, with and without buckets, and all told."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks import prepared
from benchmarks.measure import Row, Table, spread
from benchmarks.prepared import Place
from engine import backends, dataset, runs, speaking_settings
from engine.train import batches, loop, seeds
from engine.train.listening import Ear
from engine.train.session import Session, epoch_batches
from engine.train.state_files import TrainState
from engine.types import EngineError, Event

MINUTES = 5.0
EPOCHS = 3


def run(turns: int, base_model: str = "") -> list[Table]:
    """Epochs in turns in this process, then two runs in the trainer's own: the second finds its features cached."""
    with tempfile.TemporaryDirectory() as folder:
        place = prepared.make(Path(folder), MINUTES)
        against = _against_plain(place, turns, base_model)
        bucketed = _bucketed(place, turns, base_model)
        first, second = (_trained(place, name, base_model) for name in ("first", "second"))
        return [against, bucketed, _table(first, second, place.minutes)]


# ------------------------------------------------------------------------------------------------ the plainest loop
def _plain(session: Session, todo: Sequence[batches.Batch], seed: int) -> None:
    """What a training cannot do without: loss, gradients, clipping, update."""
    for place, batch in enumerate(todo):
        for part in session.parts:
            part.module.train()
            part.optimizer.zero_grad(set_to_none=True)
        examples = [session.train[i] for i in batch]
        losses = session.model.loss(examples, session.voice, session.part_names, seeds.of_batch(seed, place, 0))
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        for part in session.parts:
            torch.nn.utils.clip_grad_norm_(part.parameters.values(), session.config.max_grad_norm)
            part.optimizer.step()


class _StopWatch:
    """Seconds of blocks, by the clock and of the processors: the second do not count what else runs on the machine."""

    def __init__(self) -> None:
        self.laps: list[tuple[float, float]] = []
        self._before = 0.0
        self._begun: float | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        self._begun, cpu = time.perf_counter(), time.process_time()
        yield
        lap = time.perf_counter() - self._begun
        self.laps.append((lap, time.process_time() - cpu))
        self._before, self._begun = self._before + lap, None

    def now(self) -> float:
        """Seconds in blocks so far: a clock that stands still in between."""
        return self._before + (time.perf_counter() - self._begun if self._begun is not None else 0.0)


def _against_plain(place: Place, turns: int, base_model: str) -> Table:
    """An epoch of each a turn. Validation is work of its own, which the plain loop has not, and is left out.

    Whoever is first with an epoch's batches pays for what torch prepares for their shapes, some 8 % of an epoch here,
    so they go first by turns.
    """
    told, plain = _StopWatch(), _StopWatch()
    with (
        prepared.training(place.run("told", base_model=base_model)) as (session, state),
        prepared.training(place.run("plain", base_model=base_model)) as (bare, _),
    ):
        session = replace(session, validation=(), validation_lengths=(), validation_weights=())
        texts = [utterance.text for utterance in dataset.utterances(place.dataset)]
        settings = speaking_settings.usual(backends.info(session.config.backend, session.config.base_model))
        session = replace(session, ear=Ear(texts, settings, clock=told.now))
        for turn in range(1 + turns + turns % 2):  # the first one warms up; the others are as many of either order
            todo = epoch_batches(session, state.epoch)
            end_step = state.step + len(todo)

            def _told(state: TrainState = state, end_step: int = end_step) -> None:
                with told.running():
                    loop.train(replace(session, total_steps=end_step), state, clock=time.time)

            def _bare(todo: Sequence[batches.Batch] = todo, turn: int = turn) -> None:
                with plain.running():
                    _plain(bare, todo, turn)

            for each in (_told, _bare) if turn % 2 else (_bare, _told):
                each()
            state = TrainState(step=end_step, epoch=state.epoch + 1)
        checkpoints = [e for e in runs.events(session.folder.path) if e.kind == "checkpoint"][1:]
        steps = len(epoch_batches(session, 1))
    return _compared(told.laps[1:], plain.laps[1:], steps, checkpoints)


def _compared(
    told: Sequence[tuple[float, float]], plain: Sequence[tuple[float, float]], steps: int, checkpoints: Sequence[Event]
) -> Table:
    """Sums over all turns: a median would hide what happens in some epochs only, as listening does."""
    clock, cpu = (sum(b[k] for b in plain) / sum(a[k] for a in told) for k in (0, 1))
    pairs = [(told[i][0] + told[i + 1][0], plain[i][0] + plain[i + 1][0]) for i in range(0, len(told), 2)]
    ratios = [b / a for a, b in pairs]
    return Table(
        f"Against the plainest loop: {len(told)} epochs of {steps} steps of each in turns",
        [
            Row("the plainest loop", spread([one for one, _ in plain]), "1"),
            Row(
                "with events, monitors, listening and a checkpoint",
                spread([one for one, _ in told]),
                f"{clock:.3f} of its steps a second (by two epochs, one of either order: {min(ratios):.3f} to "
                f"{max(ratios):.3f})",
                ">= 0.97",
            ),
            Row("the same in processor time", spread([one for _, one in told]), f"{cpu:.3f}"),
            Row(
                "a checkpoint in the background, all its files",
                spread([float(e.data["seconds"]) for e in checkpoints]),
                f"{sum('speech' in e.data for e in checkpoints)} listenings",
            ),
        ],
        "The same model, data, batches and threads. The trainer's epoch includes an event on the disk at every step, "
        "the look at stop flag and disk, the monitors, the ear at the checkpoint, the copy to memory and waiting for "
        "its files at the end. Neither validates. The ratio is of all epochs together. Who is first with an epoch's "
        "batches alternates: torch prepares for new shapes, and the first pays for it.",
    )


# ---------------------------------------------------------------------------------------------------------- buckets
def _bucketed(place: Place, turns: int, base_model: str) -> Table:
    seconds: dict[str, list[float]] = {"buckets": [], "shuffled": []}
    with prepared.training(place.run("buckets", base_model=base_model)) as (session, _):
        plans = {"buckets": epoch_batches(session, 1), "shuffled": _shuffled(session)}
        for turn in range(turns + 1):
            for name, plan in plans.items():
                begin = time.perf_counter()
                _plain(session, plan, turn)
                if turn:
                    seconds[name].append(time.perf_counter() - begin)
        tokens = sum(session.lengths)
        padded = {n: sum(batches.padded_tokens(b, session.lengths) for b in plan) for n, plan in plans.items()}
    rates = {name: tokens / statistics.median(found) for name, found in seconds.items()}
    return Table(
        f"Batches by length against shuffled ones, at most {session.config.batch_tokens} tokens with padding",
        [
            Row(
                name,
                f"{rates[name]:.0f} tokens a second",
                f"{rates[name] / rates['shuffled']:.2f}",
                f"{1 - tokens / padded[name]:.1%} padding, {len(plans[name])} batches",
            )
            for name in seconds
        ],
        "Tokens are phonemes and speech tokens, padding not counted. One epoch of each in turns.",
    )


def _shuffled(session: Session) -> list[batches.Batch]:
    order = list(range(len(session.lengths)))
    random.Random(0).shuffle(order)
    return batches.pack(order, session.lengths, session.config.batch_tokens)


# ---------------------------------------------------------------------------------------------------------- all told
def _trained(place: Place, name: str, base_model: str) -> list[Event]:
    made = place.run(name, base_model=base_model, epochs=EPOCHS)
    command = [sys.executable, "-m", "engine.train", str(made.path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineError(f"The trainer ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return runs.events(made.path)


def _table(first: list[Event], second: list[Event], minutes: float) -> Table:
    steps = [event for event in second if event.kind == "step"]
    seconds = [float(event.data["seconds"]) for event in steps]
    epoch_sec = sum(seconds) / EPOCHS
    begun = {name: _before_training(events) for name, events in (("first", first), ("second", second))}
    whole = second[-1].at - second[0].at
    return Table(
        f"LoRA training of both parts on {minutes:.1f} minutes of speech ({len(steps) // EPOCHS} steps an epoch)",
        [
            Row(
                "steps a second", f"{len(steps) / sum(seconds):.1f}", f"median step {statistics.median(seconds):.2f} s"
            ),
            Row("an epoch, features cached", f"{epoch_sec:.1f} s", "", "<= 5 s"),
            Row(f"a run of {EPOCHS} epochs, all told", f"{whole:.1f} s"),
            Row("until the first step, features to be measured", f"{begun['first']:.1f} s"),
            Row("until the first step, features cached", f"{begun['second']:.1f} s"),
        ],
        "From the trainer's own events, in its own process, with validation and checkpoints at every epoch.",
    )


def _before_training(events: list[Event]) -> float:
    """Seconds from the first event to the beginning of the first step."""
    step = next(event for event in events if event.kind == "step")
    return step.at - float(step.data["seconds"]) - events[0].at
