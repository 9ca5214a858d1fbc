"""Verbs about voices: promote, roll back, export, verify."""

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
    parser.add_argument("--reason", default="", help="why; needed to move an alias that is in production")
    parser.add_argument("--reference", help="after which audio prompt, where it passed after several: its name or hash")
    parser.add_argument("--back", action="store_true", help="point --alias at what it pointed at before")
    parser.add_argument("--history", action="store_true", help="list everything that --alias ever pointed at")


def _promote(studio: Studio, args: Namespace) -> Answer:
    from engine.types import BadInput

    if args.back:
        if not args.alias or not args.by:
            raise BadInput("Going back needs --alias NAME, --by NAME and --reason TEXT.")
        made = studio.roll_back(args.alias, by=args.by, reason=args.reason)
        return Answer(data=made, text=f"{made.alias} is {made.candidate.id} again.")
    if args.candidate is None:
        found = studio.promotion_history(args.alias) if args.history and args.alias else studio.promotions()
        rows = [(p.alias, p.candidate.id, p.promoted_by, p.reason) for p in found]
        return Answer(
            data=found, text=table(("alias", "candidate", "by", "reason"), rows, empty="Nothing is promoted yet.")
        )
    if not args.alias or not args.by:
        raise BadInput("Promoting needs --alias NAME and --by NAME.")
    candidate = parse_candidate(studio, args.candidate)
    reference = studio.reference(args.reference).sha256 if args.reference else None
    made = studio.promote(candidate, alias=args.alias, by=args.by, reason=args.reason, reference=reference)
    text = f"{made.alias} is now {made.candidate.id}.\nExport it: python -m engine export {made.alias}"
    return Answer(data=made, text=text)


def _export_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("alias", help="a promoted voice, such as production/robin")
    parser.add_argument("--out", type=Path, help="the folder to write; it must not exist or be empty")
    parser.add_argument("--zip", action="store_true", help="write it as one file as well")
    parser.add_argument("--baked", action="store_true", help="also an adapter whose alpha carries the promoted scale")
    parser.add_argument("--merged", action="store_true", help="also the merged weights at the promoted scale")
    parser.add_argument("--consent", default="", help="who agreed to this voice, for its card")
    parser.add_argument("--licence", default="", help="the licence of the voice, for its card")


def _export(studio: Studio, args: Namespace) -> Answer:
    made = studio.export(
        args.alias,
        out=args.out,
        forms=[form for form in ("baked", "merged") if getattr(args, form)],
        consent=args.consent,
        licence=args.licence,
    )
    data = {"path": made.path, "sha256": made.sha256, "verified": made.verified, "files": made.files}
    text = f"{made.path}: {len(made.files)} files, verified."
    if args.zip:
        data["zip"] = studio.zipped(made)
        text += f"\n{data['zip']}"
    return Answer(data=data | {"notes": made.notes}, text="\n".join([text, *made.notes]))


def _import_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("path", type=Path, help="a folder or an archive: a PEFT adapter, or an exported voice")
    parser.add_argument("--backend", default="finch", help="the model that it was trained on (default: finch)")
    parser.add_argument("--voice", default="", help="the base voice that it steers; an exported voice knows its own")
    parser.add_argument("--part", default="", help="the part that a single PEFT folder adapts (default: what it fits)")
    parser.add_argument("--name", default="", help="a name for its run")
    parser.add_argument("--by", default="", help="who brings it in")


def _import(studio: Studio, args: Namespace) -> Answer:
    made = studio.import_adapter(
        args.path, backend=args.backend, voice=args.voice, part=args.part, name=args.name, by=args.by
    )
    text = f"{made.id} is here.\nSweep it: python -m engine sweep --run {made.run_id}"
    return Answer(data=made, text=text)


def _verify_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("path", type=Path, help="an exported folder")
    parser.add_argument("--quiet", action="store_true", help="check the files alone, speak nothing")


def _verify(studio: Studio, args: Namespace) -> Answer:
    found = studio.verify(args.path, listen=not args.quiet)
    data = {"path": found.path, "sha256": found.sha256, "verified": found.verified, "files": found.files}
    text = f"{found.path}: all {len(found.files)} files are as they were exported."
    return Answer(data=data | {"notes": found.notes}, text="\n".join([text, *found.notes]))


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
        name="import",
        help="bring in an adapter that was trained elsewhere, to sweep and judge it",
        description="Bring in a PEFT adapter or an exported voice as a checkpoint. Reads safetensors only.",
        arguments=_import_arguments,
        run=_import,
    ),
    Verb(
        name="verify",
        help="check an exported folder: its checksums, and that plain PEFT makes it speak",
        arguments=_verify_arguments,
        run=_verify,
        needs_home=lambda args: False,
    ),
)
