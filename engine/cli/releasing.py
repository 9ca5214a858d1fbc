"""Verbs about voices: promote, export, verify."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.choosing import parse_candidate
from engine.cli.output import table
from engine.cli.verb import Answer, Verb

if TYPE_CHECKING:
    from engine.studio import Studio


def _promote_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "candidate", nargs="?", help="RUN@STEP:SCALE; it must have passed the gate (default: list aliases)"
    )
    parser.add_argument("--alias", help="the name to point at it, such as production/robin")
    parser.add_argument("--by", help="who promotes it")
    parser.add_argument("--reason", default="", help="why, for those who come later")


def _promote(studio: Studio, args: Namespace) -> Answer:
    from engine.types import BadInput

    if args.candidate is None:
        found = studio.promotions()
        rows = [(p.alias, p.candidate.id, p.promoted_by, p.reason) for p in found]
        return Answer(
            data=found, text=table(("alias", "candidate", "by", "reason"), rows, empty="Nothing is promoted yet.")
        )
    if not args.alias or not args.by:
        raise BadInput("Promoting needs --alias NAME and --by NAME.")
    candidate = parse_candidate(studio, args.candidate)
    made = studio.promote(candidate, alias=args.alias, by=args.by, reason=args.reason)
    text = f"{made.alias} is now {made.candidate.id}.\nExport it: python -m engine export {made.alias}"
    return Answer(data=made, text=text)


def _export_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("alias", help="a promoted voice, such as production/robin")
    parser.add_argument("--zip", action="store_true", help="write it as one file as well")


def _export(studio: Studio, args: Namespace) -> Answer:
    if args.zip:
        path = studio.export_zip(args.alias)
        return Answer(data={"path": path}, text=str(path))
    made = studio.export(args.alias)
    data = {"path": made.path, "sha256": made.sha256, "verified": made.verified, "files": made.files}
    return Answer(data=data, text=f"{made.path}: {len(made.files)} files, verified.")


def _verify_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("path", type=Path, help="an exported folder")


def _verify(studio: Studio, args: Namespace) -> Answer:
    found = studio.verify(args.path)
    data = {"path": found.path, "sha256": found.sha256, "verified": found.verified, "files": found.files}
    return Answer(data=data, text=f"{found.path}: all {len(found.files)} files are as they were exported.")


VERBS = (
    Verb(
        name="promote",
        help="point an alias at a candidate that passed",
        description="Point an alias at a candidate. Refused unless its latest verdict is a pass.",
        arguments=_promote_arguments,
        run=_promote,
    ),
    Verb(
        name="export",
        help="write a promoted voice as a folder to use elsewhere",
        arguments=_export_arguments,
        run=_export,
    ),
    Verb(
        name="verify",
        help="check an exported folder against its checksums",
        arguments=_verify_arguments,
        run=_verify,
        needs_home=lambda args: False,
    ),
)
