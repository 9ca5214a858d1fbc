"""Verbs about the machine and the whole: doctor, models and demo."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from engine.cli.output import seconds, table
from engine.cli.verb import Answer, Verb

if TYPE_CHECKING:
    from engine.studio import Studio
    from engine.types import Fetched


def _doctor_arguments(parser: ArgumentParser) -> None:
    """Nothing beyond the common flags."""


def _doctor(studio: Studio, args: Namespace) -> Answer:
    from engine import doctor

    found = doctor.examine(args.home)
    marks = {True: "ok", False: "MEND", None: "note"}
    rows = [(check.name, marks[check.ok], check.found, check.mend) for check in found]
    failed = [check.name for check in found if check.ok is False]
    text = table(("what", "", "found", "what to do"), rows, empty="Nothing was checked.")
    verdict = f"To mend: {', '.join(failed)}." if failed else "Everything that Earmark needs is here."
    return Answer(data={"ok": not failed, "checks": found}, text=f"{text}\n\n{verdict}", exit_code=1 if failed else 0)


def _models_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--fetch", metavar="NAME", help="download a model of the hub: owner/name or owner/name@revision"
    )


def _models(studio: Studio, args: Namespace) -> Answer:
    if args.fetch:
        told = studio.fetch_model(args.fetch, tell=lambda line: print(line, file=sys.stderr, flush=True))
        return Answer(data=told, text=_fetched_told(told))
    found = studio.models()
    rows = [
        (
            model.name,
            model.title,
            f"{model.sample_rate} Hz" if model.sample_rate else "",
            " ".join(model.parts),
            model.reference,
            " ".join(model.languages) if model.languages or model.lacks else "any",
            "" if model.lacks else ("shared batch" if model.mixes_rows else "one by one"),
            "" if model.lacks else ("LoRA, full" if model.full_sft else "LoRA"),
            model.lacks or model.weights or "built in",
        )
        for model in found
    ]
    headers = ("model", "title", "data", "parts", "reference", "languages", "rows", "methods", "weights")
    return Answer(data=found, text=table(headers, rows, empty="There are no models."))


def _fetched_told(told: Fetched) -> str:
    size = f"{told.downloaded_bytes / 1e9:.2f} GB downloaded" if told.downloaded_bytes else "nothing was missing"
    lines = [f"{told.pinned} is in {told.path} ({size})."]
    lines += [f"Use it as {name}: set {variable}={told.pinned}" for name, variable in told.variables.items()]
    return "\n".join(lines if told.variables else [*lines, "No model here can use it; `models` says what each lacks."])


def _demo_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=None, help="minutes of speech to train on (default: 2)")
    parser.add_argument("--epochs", type=int, default=None, help="epochs to train (default: 4)")


def _demo(studio: Studio, args: Namespace) -> Answer:
    from engine import demo

    asked = {key: value for key, value in (("minutes", args.minutes), ("epochs", args.epochs)) if value is not None}
    told = demo.run(studio, demo.Demo(**asked), say=lambda line: print(line, file=sys.stderr, flush=True))
    return Answer(data=told, text=_demo_told(told))


def _demo_told(told: dict[str, object]) -> str:
    from engine import demo

    verdicts = told["verdicts"]
    assert isinstance(verdicts, list)
    rows = [(v["candidate"], v["outcome"], " ".join(f["explanation"] for f in v["findings"])) for v in verdicts]
    spent = told["seconds"]
    assert isinstance(spent, dict)
    lines = [
        f"Reviewers were simulated: {demo.RULE}",
        "",
        table(("candidate", "verdict", "why"), rows, empty="No verdicts."),
        "",
        demo.ending(told),
        f"{seconds(sum(spent.values()))} in all: " + ", ".join(f"{k} {seconds(v)}" for k, v in spent.items()),
    ]
    return "\n".join(lines)


VERBS = (
    Verb(
        name="doctor",
        help="check the environment: libraries, devices, disk, browser, weights, workspace",
        arguments=_doctor_arguments,
        run=_doctor,
        needs_home=lambda args: False,
    ),
    Verb(
        name="models",
        help="list the models that can be fine-tuned, what each can do or lacks; --fetch downloads one",
        description=(
            "List the models that can be fine-tuned here: rate of their data, parts, reference, languages, whether "
            "rows of several adapters share a batch, methods, and where their weights are or what they lack. With "
            "--fetch, download one by its name on the hub: the only time that Earmark downloads a model."
        ),
        arguments=_models_arguments,
        run=_models,
        needs_home=lambda args: False,
    ),
    Verb(
        name="demo",
        help="the whole loop on a small voice, with simulated reviewers",
        description=(
            "Run the whole loop without a browser: demo data, audit, prepare, train, sweep, screen, simulated "
            "reviewers who judge blind by a stated rule, verdicts, retention preview, promotion, export, verify."
        ),
        arguments=_demo_arguments,
        run=_demo,
    ),
)
