"""The training half of the tests' studio: runs, their events, a queue, presets and preflight, all in memory.

A run that is started is complete at once, with curves that a real one could have; `with_runs` makes one of each state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from engine.sweep_records import AutomaticSweep
from engine.types import (
    Adapter,
    Advice,
    Change,
    Checkpoint,
    Dataset,
    DiskEstimate,
    Event,
    Failure,
    Level,
    MemoryEstimate,
    NotFound,
    Preflight,
    PreflightItem,
    Preset,
    Reason,
    Refused,
    Run,
    RunConfig,
    RunState,
)
from engine.workspace import Workspace

RUN_ID = "robin-001"
VOICE = "aoede"
STEPS_AN_EPOCH = 40
MB, GB = 1_000_000, 1_000_000_000
PRESETS = (
    ("default", "Tune a voice on about five minutes of speech.", RunConfig(rank=16, alpha=32.0, epochs=12)),
    ("preflight", "100 to 500 steps: does this dataset move the model the right way?", RunConfig(max_steps=200)),
    ("gentle", "Little data, or early epochs that already drop words.", RunConfig(learning_rate=5e-4, epochs=24)),
    ("full", "Every weight, once LoRA has shown its limit.", RunConfig(method="full", learning_rate=1e-4, epochs=3)),
)
LONG_BATCH = "1 batch of 6000 tokens needs 2.1 GB and 1.6 GB are free."


class FakeTraining:
    """What the Runs page asks of a studio."""

    workspace: Workspace
    clock: Callable[[], float]
    _runs: dict[str, Run]
    _checkpoints: dict[str, Checkpoint]

    def open_training(self) -> None:
        self._told: dict[str, list[Event]] = {}
        self._waiting: list[str] = []
        self._failures: dict[str, Failure] = {}

    # -------------------------------------------------------------------------------------------------- before a start
    def presets(self, backend: str = "finch") -> tuple[Preset, ...]:
        return tuple(
            Preset(
                backend=backend,
                name=name,
                purpose=purpose,
                reason="Rank 16 at 1e-3 is the recipe behind the model card's figures.",
                source="The model card's recipe for a tuned voice",
                config=config,
            )
            for name, purpose, config in PRESETS
        )

    def default_config(self, backend: str = "finch") -> RunConfig:
        return RunConfig()

    def duplicate_config(self, run_id: str) -> RunConfig:
        return self.run(run_id).config

    def preflight(self, config: RunConfig) -> Preflight:
        """Tokens a batch over 4000 are refused, a dataset called `faulty` needs a name, all else is fine."""
        items = [PreflightItem(check="dataset", level=Level.OK, text="79 lines to train on, 9 to validate; no errors.")]
        if config.batch_tokens > 4000:
            changes = (
                Change(setting="batch_tokens", old=config.batch_tokens, new=2500, effect="fits"),
                Change(setting="gradient_checkpointing", old=False, new=True, effect="about 900 MB less"),
            )
            items.append(PreflightItem(check="memory", level=Level.REFUSE, text=LONG_BATCH, changes=changes))
        if config.dataset == "faulty" and not config.accepted_by:
            told = "3 rows with errors are in this dataset and nobody has accepted that."
            items.append(PreflightItem(check="dataset", level=Level.REFUSE, text=told, override="accepted_by"))
        if config.learning_rate > 2e-3:
            changes = (Change(setting="learning_rate", old=config.learning_rate, new=1e-3, effect="as in the preset"),)
            told = f"A rate of {config.learning_rate:g} is above what this model was tuned with."
            items.append(PreflightItem(check="rate", level=Level.WARN, text=told, changes=changes))
        words = [f"--{k.replace('_', '-')} {v}" for k, v in asdict(config).items() if v != getattr(RunConfig(), k)]
        return Preflight(
            config=config,
            items=tuple(items),
            command=" ".join(["python -m engine train", *words]),
            record=f'{{"format_version": 1, "config": {{"name": "{config.name}", "epochs": {config.epochs}}}}}',
            steps=config.max_steps or config.epochs * STEPS_AN_EPOCH,
            memory=_memory(config),
            disk=DiskEstimate(
                checkpoints=config.epochs,
                checkpoint_bytes=4 * MB,
                resume_bytes=24 * MB,
                features_bytes=0,
                free_bytes=41 * GB,
            ),
            advice=self.advice(config.dataset, config.backend),
        )

    def advice(self, dataset_id: str, backend: str = "finch") -> Advice:
        return Advice(
            action="lora_preflight",
            title="LoRA preflight first",
            reasons=(
                Reason(text="No run of this dataset is known yet: 200 steps show it.", source="decision tree, step 2"),
                Reason(text="5.3 minutes are enough for rank 16.", source="model card of the built-in voice"),
            ),
            hints=(Reason(text="Sweep 0.2 to 0.5 before judging: 1.0 over-steers.", source="listening report"),),
            preset="preflight",
        )  # fmt: skip

    # ---------------------------------------------------------------------------------------------------------- a start
    def start_run(self, config: RunConfig) -> Run:
        """The run is done at once: six checkpoints with a loss that falls."""
        if not config.dataset:
            raise Refused("Choose a dataset first; the Data page prepares one.")
        refusals = self.preflight(config).refusals
        if refusals:
            raise Refused(refusals[0].text)
        run = self.add_run(_free_id(self._runs), config, RunState.COMPLETED, step=240)
        for epoch in range(1, 7):
            self._add_checkpoint(run, epoch)
        return run

    def enqueue(self, config: RunConfig, *, swept: AutomaticSweep | None = None) -> Run:
        run = self.start_run(config)
        if swept is not None:
            self.sweep_new_checkpoints(replace(swept, run_id=run.id))
        return run

    def sweep_new_checkpoints(self, setting: AutomaticSweep) -> None:
        raise NotImplementedError

    def add_run(self, run_id: str, config: RunConfig, state: RunState, *, step: int = 0, error: str = "") -> Run:
        """A run in any state, with the events that lead there."""
        run = Run(
            id=run_id,
            path=self.workspace.runs / run_id,
            config=config,
            state=state,
            created_at=self.clock() + len(self._runs),
            format_version=1,
            step=step,
            total_steps=240 if step else 0,
            epoch=-(-step // STEPS_AN_EPOCH),
            train_loss=round(_loss(step), 3) if step else None,
            val_loss=1.411 if step >= STEPS_AN_EPOCH else None,
            eta_sec=None if state.is_over or not step else (240 - step) * 0.6,
            error=error,
        )
        self._runs[run_id] = run
        if state is RunState.QUEUED:
            self._waiting.append(run_id)
        else:
            self.tell(run_id, "start", step=0, epoch=1, total_steps=240, epochs=6)
            self.tell(run_id, "validation", step=0, epoch=0, loss=2.5, parts={})
        for one in range(1, step + 1):
            self.tell_step(run_id, one)
        return run

    def tell(self, run_id: str, kind: str, **data: Any) -> Event:
        """One more event of a run."""
        told = self._told.setdefault(run_id, [])
        event = Event(seq=len(told), kind=kind, at=self.clock() + len(told), data=data)
        told.append(event)
        return event

    def tell_step(self, run_id: str, step: int) -> None:
        """A step, and at the end of an epoch its validation and checkpoint."""
        epoch = -(-step // STEPS_AN_EPOCH)
        self.tell(
            run_id, "step", step=step, epoch=epoch, loss=_loss(step) + _shift(run_id), parts={}, seconds=0.6,
            learning_rate=self.run(run_id).config.learning_rate * min(1.0, step / 10),
            tokens=1300 + 7 * (step % 11), padding_share=0.06,
            grad_norm={"lm": 0.8 + 0.2 * math.sin(step / 3), "decoder": 0.4 + 0.1 * math.sin(step / 2)},
            memory_bytes=int(1.1 * GB + 2 * MB * min(step, 60)),
        )  # fmt: skip
        if step % STEPS_AN_EPOCH == 0:
            self.tell(run_id, "validation", step=step, epoch=epoch, loss=_val_loss(step) + _shift(run_id), parts={})
            self.tell(run_id, "checkpoint", step=step, epoch=epoch, path=f"step_{step:06d}", bytes=MB)

    def _add_checkpoint(self, run: Run, epoch: int) -> None:
        step = epoch * STEPS_AN_EPOCH
        found = Checkpoint(
            id=f"{run.id}@{step:06d}",
            run_id=run.id,
            step=step,
            epoch=epoch,
            path=run.path / "checkpoints" / f"step_{step:06d}",
            adapter=Adapter(
                sha256=f"{epoch:064d}",
                path=run.path,
                backend="finch",
                base_sha256="b" * 64,
                voice=VOICE,
                parts=("lm", "decoder"),
                rank=8,
                alpha=16.0,
            ),
            train_loss=2.2 / math.sqrt(epoch),
            val_loss=2.2 / math.sqrt(epoch) + 0.02 * (epoch - 3) ** 2,
            bytes=1_240_000,
            created_at=self.clock() + 60 * epoch,
        )
        self._checkpoints[found.id] = found

    # ---------------------------------------------------------------------------------------------------------- queue
    def queue(self) -> list[Run]:
        return [self.run(run_id) for run_id in self._waiting]

    def move_run(self, run_id: str, position: int) -> None:
        self._waiting.remove(run_id)
        self._waiting.insert(position - 1, run_id)

    def cancel_run(self, run_id: str) -> None:
        self._waiting.remove(run_id)
        self._runs[run_id] = replace(self._runs[run_id], state=RunState.STOPPED)

    # --------------------------------------------------------------------------------------------------------- watching
    def runs(self) -> list[Run]:
        return [self.run(run_id) for run_id in reversed(self._runs)]

    def run(self, run_id: str) -> Run:
        if run_id not in self._runs:
            raise NotFound(f"There is no run {run_id!r}.")
        place = self._waiting.index(run_id) + 1 if run_id in self._waiting else None
        return replace(self._runs[run_id], queue_position=place)

    def events(self, run_id: str, after_seq: int = -1) -> list[Event]:
        return [e for e in self._told.get(run_id, ()) if e.seq > after_seq]

    def news(self, run_id: str, offset: int = 0) -> tuple[list[Event], int]:
        told = self._told.get(run_id, [])
        return told[offset:], len(told)

    def log_tail(self, run_id: str) -> str:
        return "\n".join(["loaded finch", *(f"epoch {e} done" for e in range(1, self.run(run_id).epoch + 1))])

    def failure(self, run_id: str) -> Failure | None:
        return self._failures.get(run_id)

    def stop_run(self, run_id: str, *, force: bool = False) -> None:
        self._runs[run_id] = replace(self.run(run_id), state=RunState.STOPPED)

    def resume_run(self, run_id: str) -> Run:
        self._runs[run_id] = replace(self.run(run_id), state=RunState.RUNNING)
        return self._runs[run_id]

    def checkpoints(self, run_id: str | None = None) -> list[Checkpoint]:
        return [c for c in self._checkpoints.values() if run_id in (None, c.run_id)]

    def checkpoint(self, checkpoint_id: str) -> Checkpoint:
        if checkpoint_id not in self._checkpoints:
            raise NotFound(f"There is no checkpoint {checkpoint_id!r}; it may be in the trash (Gate page, undo).")
        return self._checkpoints[checkpoint_id]


def add_runs(studio: FakeTraining, dataset: Dataset) -> None:
    """One run of each state beside the complete one: resumed with alerts, failed, running, two that wait."""
    config = RunConfig(name="robin", dataset=dataset.id, epochs=6)
    run = studio.add_run("robin-002", config, RunState.COMPLETED, step=130)
    studio.tell(run.id, "start", step=120, epoch=4, total_steps=240, epochs=6)
    for step in range(121, 241):
        studio.tell_step(run.id, step)
    for step, monitor, text in (
        (
            200,
            "validation_rising",
            "Validation loss rose 3 times in a row; it was best at step 120: hear epoch 3 first.",
        ),
        (222, "gradient_norm", "The gradient norm is 6.1, five times its running median; look at this step's rows."),
    ):
        studio.tell(run.id, "alert", monitor=monitor, step=step, epoch=step // 40, text=text, stops=False)
    studio._runs[run.id] = replace(run, step=240, epoch=6)
    for epoch in range(1, 7):
        studio._add_checkpoint(run, epoch)
    failed = studio.add_run("wren-001", replace(config, name="wren", batch_tokens=6000), RunState.FAILED, step=0)
    studio._failures[failed.id] = Failure(
        run_id=failed.id,
        reason="Memory ran out on cpu: 2.1 GB were asked for and 1.6 GB were free.",
        exit_status=1,
        memory_class="activations",
        changes=(
            Change(setting="batch_tokens", old=6000, new=2500, effect="fits"),
            Change(setting="gradient_checkpointing", old=False, new=True, effect="about 900 MB less"),
        ),
        log=("epoch 1", "torch.OutOfMemoryError: tried to allocate 2.1 GB"),
    )
    running = studio.add_run("lark-001", replace(config, name="lark"), RunState.RUNNING, step=150)
    for epoch in range(1, 4):
        studio._add_checkpoint(running, epoch)
    for name in ("wren-002", "lark-002"):
        waits = "Waits for cpu: training lark-001"
        studio.add_run(name, replace(config, name=name[:4]), RunState.QUEUED, error=waits)


def _free_id(taken: Sequence[str] | dict[str, Run]) -> str:
    return next(f"robin-{n:03d}" for n in range(1, 1000) if f"robin-{n:03d}" not in taken)


def _shift(run_id: str) -> float:
    """Runs differ a little."""
    return 0.05 * (sum(run_id.encode()) % 5)


def _loss(step: int) -> float:
    return 2.4 * max(step, 1) ** -0.13 + 0.05 * math.sin(step) + 0.03 * math.sin(step * 1.7)


def _val_loss(step: int) -> float:
    return 2.4 * step**-0.12 + 0.00001 * max(0, step - 120) ** 2


def _memory(config: RunConfig) -> MemoryEstimate:
    full = config.method == "full"
    return MemoryEstimate(
        device="cpu",
        weights=420 * MB,
        gradients=420 * MB if full else 9 * MB,
        optimizer=840 * MB if full else 18 * MB,
        activations=config.batch_tokens * (120_000 if config.gradient_checkpointing else 320_000),
        adapter=0 if full else 9 * MB,
        reserve=180 * MB,
        free_bytes=int(1.6 * GB),
        total_bytes=4 * GB,
    )
