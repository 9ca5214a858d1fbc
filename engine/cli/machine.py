"""Verbs about the machine and the whole: doctor and demo."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from engine.cli.output import seconds, table
from engine.cli.verb import Answer, Verb

if TYPE_CHECKING:
    from engine.studio import Studio


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
