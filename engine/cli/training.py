"""Verbs about runs: look before, start or queue one, watch, stop and resume them. The settings come from `RunConfig`
and are not repeated here.
"""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields, replace
from typing import TYPE_CHECKING, Any

from engine.cli.output import progress, seconds, size, table
from engine.cli.verb import Answer, Verb
from engine.types import BadInput, Busy, Checkpoint, Level, NotFound, Refused, Run, RunConfig, RunState

if TYPE_CHECKING:
    from engine.studio import Studio


def _train_arguments(parser: ArgumentParser) -> None:
    _setting_arguments(parser)
    parser.add_argument(
        "--other-rates",
        nargs="+",
        type=float,
        default=(),
        metavar="RATE",
        help="the same run once more for each of these learning rates, to be compared",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--wait", action="store_true", help="wait until the run is over (it goes on if you stop waiting)")
    how.add_argument("--queue", action="store_true", help="only queue it; the app or `queue --wait` starts it")


def _setting_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--preset", metavar="NAME", help="settings to start from (default: the model's default)")
    for field in fields(RunConfig):
        if field.name != "device":  # a flag that every verb has
            _add_setting(parser, field)


def _add_setting(parser: ArgumentParser, field: Field[Any]) -> None:
    default = field.default if field.default is not MISSING else ""
    shown = " ".join(default) if isinstance(default, tuple) else default
    told = f"{field.metadata['help']} (default: {shown if shown != '' else 'none'})".replace("%", "%%")
    flag = f"--{field.name.replace('_', '-')}"
    choices = field.metadata.get("choices")
    if isinstance(default, bool):
        parser.add_argument(flag, action=BooleanOptionalAction, default=SUPPRESS, help=told)
    elif isinstance(default, tuple):
        parser.add_argument(flag, nargs="*", default=SUPPRESS, metavar="NAME", choices=choices, help=told)
    else:
        parser.add_argument(flag, type=type(default), default=SUPPRESS, choices=choices, help=told)


def _config(studio: Studio, args: Namespace) -> RunConfig:
    """The preset's settings with the given ones over them."""
    given = {field.name: getattr(args, field.name) for field in fields(RunConfig) if hasattr(args, field.name)}
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    backend = given.get("backend", RunConfig().backend)
    if args.preset is None:
        return replace(studio.default_config(backend), **given)
    known = {preset.name: preset.config for preset in studio.presets(backend)}
    if args.preset not in known:
        raise NotFound(f"{backend} has no preset {args.preset!r}; it has: {', '.join(known)}.")
    return replace(known[args.preset], **given)


def _train(studio: Studio, args: Namespace) -> Answer:
    config = _config(studio, args)
    if args.other_rates:
        return _compared(studio, config, args)
    run = studio.enqueue(config, start=False) if args.queue else studio.start_run(config)
    if args.wait:
        return _waited(studio, run.id)
    if run.state is RunState.QUEUED:
        text = (
            f"{run.id} waits at position {run.queue_position}; the app starts it when its device is free, "
            "or: python -m engine queue --wait"
        )
    else:
        text = f"{run.id} is training in a process of its own.\nWatch it: python -m engine runs {run.id}"
    return Answer(data={"run": run, "checkpoints": []}, text=text)


def _compared(studio: Studio, config: RunConfig, args: Namespace) -> Answer:
    """One run a learning rate, all else the same."""
    made = studio.enqueue_rates(config, args.other_rates, start=not args.queue)
    if args.wait:
        return _worked_off(studio, [run.id for run in made])
    rows = [(run.id, f"{run.config.learning_rate:g}", run.state) for run in made]
    listed = table(("run", "learning rate", "state"), rows, empty="")
    return Answer(data=made, text=f"{listed}\n\nThe app starts them in turn, or: python -m engine queue --wait")


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


def _queue_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", help="a run that waits")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--move", type=int, metavar="N", help="let it start as number N, 1 being next")
    action.add_argument("--cancel", action="store_true", help="take it out; its folder stays")
    action.add_argument("--wait", action="store_true", help="start what waits, one after the other, until all are over")


def _queue(studio: Studio, args: Namespace) -> Answer:
    if (args.move is not None or args.cancel) and args.run is None:
        raise BadInput("Name the run to do that with: python -m engine queue RUN --cancel; without one all are listed.")
    if args.move is not None:
        studio.move_run(args.run, args.move)
    elif args.cancel:
        studio.cancel_run(args.run)
    elif args.wait:
        return _worked_off(studio, [run.id for run in studio.queue()])
    found = studio.queue()
    rows = [(run.queue_position, run.id, run.config.dataset, run.config.method, run.error) for run in found]
    return Answer(data=found, text=table(("next", "run", "dataset", "method", ""), rows, empty="No run waits."))


def _worked_off(studio: Studio, todo: Sequence[str]) -> Answer:
    """Start what waits and stay until these runs are over; the trainers go on if this ends before."""
    studio.watch_queue()
    over = [_waited(studio, run_id) for run_id in todo]
    return Answer(
        data=[answer.data for answer in over],
        text="\n\n".join(answer.text for answer in over) or "No run waits.",
        exit_code=max((answer.exit_code for answer in over), default=0),
    )


def _preflight(studio: Studio, args: Namespace) -> Answer:
    found = studio.preflight(_config(studio, args))
    lines = [f"{item.level.upper():7}{item.text}" for item in found.items]
    lines += [f"       {change.text}" for item in found.items for change in item.changes if item.level is not Level.OK]
    if found.memory is not None:
        classes = ", ".join(f"{name} {size(count)}" for name, count in found.memory.by_class.items() if count)
        lines.append(f"memory on {found.memory.device}: {classes}")
    if found.advice is not None:
        lines.append(f"advice: {found.advice.title}")
    lines.append(f"command: {found.command}")
    refused = bool(found.refusals)
    data = {"preflight": found, "refused": refused}
    return Answer(data=data, text="\n".join(lines), exit_code=Refused.exit_code if refused else 0)


def _advise_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("dataset", help="a prepared dataset by its id")
    parser.add_argument("--backend", default=RunConfig().backend, help="the model (default: %(default)s)")


def _advise(studio: Studio, args: Namespace) -> Answer:
    found = studio.advice(args.dataset, args.backend)
    lines = [found.title, *(f"- {reason.text} [{reason.source}]" for reason in found.reasons)]
    lines += [f"Hint: {hint.text} [{hint.source}]" for hint in found.hints]
    if found.preset:
        lines.append(f"python -m engine train --dataset {args.dataset} --preset {found.preset}")
    return Answer(data=found, text="\n".join(lines))


VERBS = (
    Verb(
        name="train",
        help="start a training run in a process of its own",
        description="Start a fine-tuning run. It outlives this command and the app; every checkpoint is kept.",
        arguments=_train_arguments,
        run=_train,
    ),
    Verb(
        name="preflight",
        help="say what stands against a run before it starts",
        description="Look at data, memory, disk and settings of a run that is not started. Exit code 5: refused.",
        arguments=_setting_arguments,
        run=_preflight,
    ),
    Verb(name="advise", help="say what to do next with a dataset, and why", arguments=_advise_arguments, run=_advise),
    Verb(
        name="queue",
        help="list the runs that wait; move, cancel or start them",
        description="Runs that wait for their device, next first. The order lies on disk and survives the app.",
        arguments=_queue_arguments,
        run=_queue,
    ),
    Verb(name="runs", help="list runs, or show, stop, resume one", arguments=_runs_arguments, run=_runs),
)
