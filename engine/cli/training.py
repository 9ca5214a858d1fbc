"""Verbs about runs: start one, watch, stop and resume them. The settings come from `RunConfig` and are not repeated
here.
"""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields, replace
from typing import TYPE_CHECKING, Any

from engine.cli.output import progress, seconds, size, table
from engine.cli.verb import Answer, Verb
from engine.types import BadInput, Busy, Checkpoint, Run, RunConfig, RunState

if TYPE_CHECKING:
    from engine.studio import Studio

WAIT_SEC = 24 * 3600.0


def _train_arguments(parser: ArgumentParser) -> None:
    for field in fields(RunConfig):
        if field.name != "device":  # a flag that every verb has
            _add_setting(parser, field)
    parser.add_argument(
        "--wait", action="store_true", help="wait until the run is over (it goes on if you stop waiting)"
    )


def _add_setting(parser: ArgumentParser, field: Field[Any]) -> None:
    default = field.default if field.default is not MISSING else ""
    told = (
        f"{field.metadata['help']} (default: {' '.join(default) if isinstance(default, tuple) else default or 'none'})"
    )
    flag = f"--{field.name.replace('_', '-')}"
    if isinstance(default, tuple):
        parser.add_argument(flag, nargs="+", default=SUPPRESS, metavar="PART", help=told)
    else:
        parser.add_argument(flag, type=type(default), default=SUPPRESS, help=told.replace("%", "%%"))


def _train(studio: Studio, args: Namespace) -> Answer:
    given = {field.name: getattr(args, field.name) for field in fields(RunConfig) if hasattr(args, field.name)}
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    config = replace(studio.default_config(given.get("backend", RunConfig().backend)), **given)
    run = studio.start_run(config)
    if args.wait:
        return _waited(studio, run.id)
    text = f"{run.id} is training in a process of its own.\nWatch it: python -m engine runs {run.id}"
    return Answer(data={"run": run, "checkpoints": []}, text=text)


def _runs_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "run", nargs="?", help="one run by its id: how it stands and its checkpoints (default: list all)"
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--wait", action="store_true", help="wait until it is over")
    action.add_argument("--stop", action="store_true", help="ask it to save and end at its next step")
    action.add_argument("--kill", action="store_true", help="end it now; steps since its last checkpoint are lost")
    action.add_argument("--resume", action="store_true", help="go on from its last checkpoint")


def _runs(studio: Studio, args: Namespace) -> Answer:
    if args.run is None:
        if args.wait or args.stop or args.kill or args.resume:
            raise BadInput(
                "Name the run to do that with: python -m engine runs RUN --stop; `python -m engine runs` lists them."
            )
        found = studio.runs()
        rows = [
            (r.id, r.state, r.step, r.total_steps, r.epoch, r.train_loss, r.val_loss, r.config.dataset) for r in found
        ]
        headers = ("run", "state", "step", "of", "epoch", "train loss", "val loss", "dataset")
        return Answer(
            data=found, text=table(headers, rows, empty="No runs yet. Start one: python -m engine train --dataset ID")
        )
    if args.wait:
        return _waited(studio, args.run)
    if args.stop or args.kill:
        studio.stop_run(args.run, force=args.kill)
    if args.resume:
        studio.resume_run(args.run)
    return _shown(studio.run(args.run), studio.checkpoints(args.run))


def _waited(studio: Studio, run_id: str) -> Answer:
    tell = progress()
    while True:
        run = studio.run(run_id)
        tell(run.step, run.total_steps, f"{run_id} {run.state}, step")
        if run.state.is_over:
            break
        try:
            studio.wait_run(run_id, timeout_sec=2.0)
        except Busy:
            continue
    return _shown(run, studio.checkpoints(run_id), exit_code=1 if run.state in (RunState.FAILED, RunState.LOST) else 0)


def _shown(run: Run, checkpoints: Sequence[Checkpoint], exit_code: int = 0) -> Answer:
    rows = [(c.id, c.epoch, c.step, c.train_loss, c.val_loss, size(c.bytes)) for c in checkpoints]
    left = f", about {seconds(run.eta_sec)} left" if run.eta_sec else ""
    told = f"{run.id}: {run.state}, step {run.step} of {run.total_steps}{left}." + (
        f" {run.error}" if run.error else ""
    )
    listed = table(("checkpoint", "epoch", "step", "train loss", "val loss", "size"), rows, empty="No checkpoints yet.")
    return Answer(data={"run": run, "checkpoints": checkpoints}, text=f"{told}\n\n{listed}", exit_code=exit_code)


VERBS = (
    Verb(
        name="train",
        help="start a training run in a process of its own",
        description="Start a fine-tuning run. It outlives this command and the app; every checkpoint is kept.",
        arguments=_train_arguments,
        run=_train,
    ),
    Verb(name="runs", help="list runs, or show, stop, resume one", arguments=_runs_arguments, run=_runs),
)
