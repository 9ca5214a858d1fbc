"""Use cases before the start of a run: presets, what preflight finds, what to do next with a dataset.

Gathers facts from disk, device and judgements; `preflight`, `memory` and `advisor` decide.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace

from engine import advisor, backends, dataset, device, disk, environments, lease, preflight, presets, run_config
from engine.advisor import PastRun, Situation
from engine.backends import sizes
from engine.dataset import splitting
from engine.preflight import forecast
from engine.preflight.facts import Facts
from engine.runs import launcher, making
from engine.studio.watching import Watching
from engine.types import Advice, BadInput, Dataset, NotFound, Preflight, Preset, Run, RunConfig, RunState
from engine.workspace import Workspace


class Planning(Watching):
    """What the Runs page's form does before its start button."""

    def __init__(self, workspace: Workspace, *, clock: Callable[[], float], device: str = "auto") -> None:
        super().__init__(workspace, clock=clock, device=device)
        self._rows_sec: dict[str, tuple[tuple[float, ...], float]] = {}  # by the dataset's hash

    def presets(self, backend: str = "finch") -> tuple[Preset, ...]:
        """Settings for a purpose, the default first, each with its reason and its source."""
        return presets.of(backend)

    def default_config(self, backend: str = "finch") -> RunConfig:
        """The preset that a form starts from."""
        return presets.default(backend)

    def duplicate_config(self, run_id: str) -> RunConfig:
        """The settings of a run, to be edited and started again; nobody has accepted anything for the new one yet."""
        return presets.without_person(self.run(run_id).config)

    def preflight(self, config: RunConfig) -> Preflight:
        """Everything that can be said of a run before it starts: nothing is loaded, made or written.

        Raises BadInput for settings out of their bounds, NotFound for a dataset or backend that is not there.
        """
        _must_be_in_bounds(config)
        data = self.dataset(config.dataset)
        info = backends.info(config.backend, config.base_model)
        if config.voice and not info.has_voice(config.voice):
            raise BadInput(f"{config.backend} has no base voice {config.voice!r}; it has: {', '.join(info.voices)}.")
        facts = self._facts_of(config, data)
        now = self._clock()
        run_dir = self.workspace.runs / making.folder_name(config.name or data.id, now)
        return Preflight(
            config=config,
            items=preflight.items(config, facts),
            command=shlex.join(launcher.command(run_dir)),
            record=making.describe(run_dir, config, now=now, dataset=data),
            steps=forecast.steps(config, facts),
            memory=forecast.memory_estimate(config, facts),
            disk=forecast.disk_estimate(config, facts),
            advice=self._advice(data, config.backend),
        )

    def advice(self, dataset_id: str, backend: str = "finch") -> Advice:
        """What to do next with a dataset, with the reasons and who found them out."""
        return self._advice(self.dataset(dataset_id), backend)

    # ---------------------------------------------------------------------------------------------------------- facts
    def _facts_of(self, config: RunConfig, data: Dataset) -> Facts:
        wanted = lease.devices(config)
        to_train, in_all = self._seconds(data)
        # A run of the same data and model has filled the cache; whose files they are only the backend could tell.
        is_cached = any(
            run.config.dataset == data.id and run.config.backend == config.backend and run.step for run in self.runs()
        )
        return Facts(
            dataset=data,
            row_sec=to_train,
            device=wanted[0],
            size=sizes.of(config.backend, config.base_model),
            memory=device.memory(wanted[0]),
            free_disk_bytes=disk.free_bytes(self.workspace.root),
            is_leased=any(lease.holder(self.workspace, name) for name in wanted),
            full_sft=_can_be_full(config.backend, config.base_model),
            uncached_sec=0.0 if is_cached else in_all,
            environment_fault=self._environment_fault(config.backend),
            has_bf16=device.has_bf16(wanted[0]),
            card=device.card(wanted[0]) if wanted[0].startswith("cuda") else None,
        )

    def _environment_fault(self, backend: str) -> str:
        if backend not in backends.ENVIRONMENTS:
            return ""
        return environments.fault(environments.get(self.workspace, backend))

    def _seconds(self, data: Dataset) -> tuple[tuple[float, ...], float]:
        """Seconds of each row to train on, and of all rows; read once, since a prepared dataset never changes."""
        known = self._rows_sec.get(data.manifest_sha256)
        if known is None:
            rows = dataset.utterances(data)
            to_train = tuple(row.duration_sec for row in rows if row.split == splitting.TRAIN)
            known = self._rows_sec[data.manifest_sha256] = to_train, sum(row.duration_sec for row in rows)
        return known

    def _advice(self, data: Dataset, backend: str) -> Advice:
        verdicts = self.store.verdicts()
        minutes = data.train_sec / 60
        past = [
            PastRun(
                config=run.config,
                steps=run.step,
                checkpoints=len(self.checkpoints(run.id)),
                verdicts=[v for v in verdicts if _is_of(v.candidate.checkpoint_id, run)],
            )
            for run in self.runs()
            if run.config.dataset == data.id and run.config.backend == backend and run.state is not RunState.QUEUED
        ]
        known = presets.names(backend)
        return advisor.advise(
            Situation(dataset=data, minutes=minutes, runs=past, full_sft=_can_be_full(backend), presets=known)
        )


def _must_be_in_bounds(config: RunConfig) -> None:
    """As `run_config.check`, but an optimizer that this machine lacks is a finding with its mend, not an error."""
    try:
        run_config.check(config)
    except BadInput:
        run_config.check(replace(config, optimizer=RunConfig.optimizer))


def _is_of(checkpoint_id: str | None, run: Run) -> bool:
    return checkpoint_id is not None and checkpoint_id.partition("@")[0] == run.id


def _can_be_full(backend: str, base_model: str = "") -> bool:
    try:
        return backends.info(backend, base_model).full_sft
    except NotFound:  # its weights are not here: nothing can be said of them
        return False
