"""Verbs about judging: sittings, verdicts, and retention with its trash."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from engine.cli.output import day, size, table
from engine.cli.verb import Answer, Verb
from engine.types import BadInput

if TYPE_CHECKING:
    from engine.studio import GateChange, Studio


# ------------------------------------------------------------------------------------------------------------- sessions
def _no_arguments(parser: ArgumentParser) -> None:
    """Nothing beyond the common flags."""


def _sessions(studio: Studio, args: Namespace) -> Answer:
    found = [(session, *studio.session_progress(session.id)) for session in studio.sessions()]
    data = [{"session": session, "answered": answered, "total": total} for session, answered, total in found]
    rows = [
        (session.id, session.kind, session.reviewer, f"{answered} of {total}", "simulated" if session.simulated else "")
        for session, answered, total in found
    ]
    return Answer(
        data=data, text=table(("session", "kind", "reviewer", "answered", ""), rows, empty="No sittings yet.")
    )


# ---------------------------------------------------------------------------------------------------------------- judge
def _judge_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--by", required=True, help="who asks for the verdicts")
    parser.add_argument("--gate", default="", help="the gate that decides (default: three-tiers)")
    parser.add_argument("--dry-run", action="store_true", help="say what would change and write nothing")


def _judge(studio: Studio, args: Namespace) -> Answer:
    if args.dry_run:
        return _would_change(studio.gate_changes(args.gate))
    changed = studio.judge(by=args.by, gate=args.gate)
    matrix = studio.matrix(args.gate)
    rows = [(row.candidate.id, row.outcome or "-", row.evidence, row.keeps) for row in matrix]
    text = table(("candidate", "verdict", "evidence", "checkpoint"), rows, empty="Nothing was rendered or judged yet.")
    return Answer(data={"changed": changed, "matrix": matrix}, text=f"{text}\n\n{len(changed)} new verdicts.")


def _would_change(changes: list[GateChange]) -> Answer:
    rows = [(each.candidate.id, each.before or "-", each.after, each.why) for each in changes]
    text = table(("candidate", "now", "would be", "because"), rows, empty="No verdict would change.")
    return Answer(data={"changes": changes}, text=f"{text}\n\nNothing was written.")


# ------------------------------------------------------------------------------------------------------------ retention
def _retention_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--by", default="", help="the person who confirms; needed for everything but looking")
    action = parser.add_mutually_exclusive_group()
    action.add_argument(
        "--trash", nargs="+", metavar="CHECKPOINT", help="move these to the trash; refused for any that is kept"
    )
    action.add_argument("--trashed", action="store_true", help="list the trash")
    action.add_argument("--undo", metavar="ID", help="bring one back from the trash")
    action.add_argument("--purge", metavar="ID", help="delete one from the trash, once its delay of 14 days is over")
    action.add_argument("--pin", metavar="CHECKPOINT", help="keep this one whatever the verdicts say")
    action.add_argument("--unpin", metavar="CHECKPOINT", help="let the verdicts decide again")
    parser.add_argument(
        "--early", default="", metavar="CHECKPOINT", help="with --purge: its checkpoint's id, to delete it before that"
    )


def _retention(studio: Studio, args: Namespace) -> Answer:
    if (args.trash or args.undo or args.purge or args.pin or args.unpin) and not args.by.strip():
        raise BadInput("Say who confirms this with --by NAME.")
    if args.early and not args.purge:
        raise BadInput("--early confirms a --purge ID; give both, or leave it out.")
    if args.trash:
        studio.trash(args.trash, by=args.by)
    if args.trash or args.trashed:
        stones = studio.trashed()
        rows = [(s.id, s.checkpoint_id, size(s.bytes), day(s.purge_from()), s.by, s.reason) for s in stones]
        headers = ("id", "checkpoint", "size", "purge from", "by", "why")
        return Answer(data=stones, text=table(headers, rows, empty="The trash is empty."))
    if args.undo:
        back = studio.undo(args.undo, by=args.by)
        return Answer(data={"checkpoint": back}, text=f"{back} is back.")
    if args.purge:
        studio.purge(args.purge, by=args.by, typed=args.early)
        return Answer(data={"purged": args.purge}, text=f"{args.purge} is deleted.")
    if args.pin:
        studio.pin(args.pin, by=args.by)
    if args.unpin:
        studio.unpin(args.unpin, by=args.by)
    return _preview(studio)


def _preview(studio: Studio) -> Answer:
    found = studio.retention()
    rows = [(r.checkpoint_id, "keep" if r.keep else "may go", size(r.bytes), "; ".join(r.reasons)) for r in found]
    free = sum(r.bytes for r in found if not r.keep)
    text = table(("checkpoint", "", "size", "why"), rows, empty="There are no checkpoints yet.")
    data = [{"id": r.checkpoint_id, "keep": r.keep, "reasons": r.reasons, "bytes": r.bytes} for r in found]
    told = f"{text}\n\n{size(free)} may go. Nothing was touched." if free else text
    return Answer(data={"checkpoints": data}, text=told)


VERBS = (
    Verb(name="sessions", help="list the listening sessions", arguments=_no_arguments, run=_sessions),
    Verb(
        name="judge",
        help="turn the answers so far into verdicts",
        description="Decide every candidate that has answers, by the gate's rules; only changed verdicts are written.",
        arguments=_judge_arguments,
        run=_judge,
    ),
    Verb(
        name="retention",
        help="what may go and what keeps the rest; trash, undo, purge, pin",
        description="Without a flag: a preview with reasons; nothing is touched. Only verdicts let a checkpoint go.",
        arguments=_retention_arguments,
        run=_retention,
    ),
)
