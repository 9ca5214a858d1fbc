"""Verbs about listening tests: make one, let reviewers in, see how far it is, take it away as data."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine import durable, listening_export
from engine.cli.choosing import parse_candidate
from engine.cli.output import table
from engine.cli.verb import Answer, Verb
from engine.invitations import DEFAULT_DAYS
from engine.types import Design, Order, Pairing, Switching, TrialKind

if TYPE_CHECKING:
    from engine.studio import Studio


# ----------------------------------------------------------------------------------------------------------- test-make
def _make_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="what engineers call it; reviewers never see it")
    parser.add_argument("--kind", choices=list(TrialKind), default="preference", help="(default: preference)")
    parser.add_argument(
        "--candidates", nargs="+", required=True, metavar="C", help="RUN@STEP:SCALE or base:BACKEND/VOICE"
    )
    parser.add_argument("--lines", nargs="+", default=(), metavar="ID", help="lines (default: all that they share)")
    parser.add_argument("--reviewers", nargs="+", required=True, metavar="NAME", help="a sitting is opened for each")
    parser.add_argument("--by", required=True, help="who makes the test")
    parser.add_argument("--judgments", type=int, default=0, metavar="N", help="a reviewer (default: 0, all once)")
    parser.add_argument("--design", choices=list(Design), default="fixed", help="(default: fixed)")
    parser.add_argument("--pairing", choices=list(Pairing), default="all", help="(default: all)")
    parser.add_argument("--order", choices=list(Order), default="random", help="(default: random)")
    parser.add_argument("--switching", choices=list(Switching), default="restart", help="(default: restart)")
    parser.add_argument("--catch-rate", type=float, default=0.1, metavar="S", help="share of checks (default: 0.1)")
    parser.add_argument("--low-anchor", action="store_true", help="the base, degraded, in every multi trial")
    parser.add_argument("--no-training", action="store_true", help="no training trial")
    parser.add_argument("--headphones", action="store_true", help="offer the headphone check")
    parser.add_argument("--seed", type=int, help="draws everything (default: drawn, and kept)")
    parser.add_argument("--dry", action="store_true", help="say what it would ask, and open nothing")


def _make(studio: Studio, args: Namespace) -> Answer:
    plan = studio.new_test(TrialKind(args.kind), by=args.by)
    plan = replace(
        plan,
        name=args.name,
        candidates=tuple(parse_candidate(studio, name) for name in args.candidates),
        lines=tuple(args.lines),
        reviewers=tuple(args.reviewers),
        judgments=args.judgments,
        design=Design(args.design),
        pairing=Pairing(args.pairing),
        order=Order(args.order),
        switching=Switching(args.switching),
        catch_rate=args.catch_rate,
        low_anchor=args.low_anchor,
        training=not args.no_training,
        headphones=args.headphones,
        seed=plan.seed if args.seed is None else args.seed,
    )
    found = studio.outline(plan)
    told = f"{found.trials} trials each, {found.catches} checks among them, about {found.minutes:.0f} min of listening."
    if args.dry:
        return Answer(data=found, text=told)
    test = studio.make_test(plan)
    sittings = [each.session for each in studio.test(test.id).sittings]
    rows = [(session.reviewer, session.id) for session in sittings]
    return Answer(
        data={"test": test, "sittings": sittings, "outline": found},
        text=f"{test.id} is open. {told}\n\n{table(('reviewer', 'sitting'), rows, empty='')}",
    )


# --------------------------------------------------------------------------------------------------------------- tests
def _tests_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--end", metavar="TEST", help="end this one: its sittings take no more answers")
    parser.add_argument("--by", default="", help="who ends it")


def _tests(studio: Studio, args: Namespace) -> Answer:
    if args.end:
        studio.close_test(args.end, by=args.by)
    found = studio.tests()
    rows = [
        (
            state.test.id,
            state.test.name,
            state.test.kind,
            len(state.sittings),
            f"{state.answered} of {state.total}",
            "open" if state.test.closed_at is None else "ended",
        )
        for state in found
    ]
    head = ("test", "name", "kind", "reviewers", "answers", "")
    return Answer(data=found, text=table(head, rows, empty="No listening tests yet; `test-make` opens one."))


# -------------------------------------------------------------------------------------------------------------- invite
def _invite_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("reviewer", nargs="?", default="", help="whom to invite; without a name, lists invitations")
    parser.add_argument("--by", default="", help="who invites or revokes")
    parser.add_argument("--days", type=float, default=DEFAULT_DAYS, help=f"(default: {DEFAULT_DAYS:g})")
    parser.add_argument("--revoke", metavar="ID", help="from now on this invitation opens nothing")


def _invite(studio: Studio, args: Namespace) -> Answer:
    if args.revoke:
        studio.revoke(args.revoke, by=args.by)
    if args.reviewer:
        new = studio.invite(args.reviewer, by=args.by, days=args.days)
        told = f"For {new.invitation.reviewer} alone, shown only now. Behind the server's address:\n{new.path}"
        return Answer(data={"id": new.invitation.id, "path": new.path}, text=told)
    found = studio.invitations_with_state()
    rows = [(each.id, each.reviewer, state, each.created_by) for each, state in found]
    data = [
        {"id": e.id, "reviewer": e.reviewer, "state": state, "expires_at": e.expires_at, "created_by": e.created_by}
        for e, state in found
    ]
    return Answer(data=data, text=table(("id", "reviewer", "", "sent by"), rows, empty="Nobody is invited yet."))


# --------------------------------------------------------------------------------------------------------- test-export
def _export_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("test", help="the test's id")
    parser.add_argument("--format", choices=listening_export.FORMATS, default="csv", help="(default: csv)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="(default: TEST.FORMAT in this folder)")
    parser.add_argument("--by", default="", help="who takes it: it unblinds, so the record has the name")


def _export(studio: Studio, args: Namespace) -> Answer:
    out = args.out or Path(f"{args.test}.{args.format}")
    data = studio.export_test(args.test, args.format, by=args.by)
    durable.write_bytes(out, data)
    return Answer(data={"file": out, "bytes": len(data)}, text=f"{out} is written.")


VERBS = (
    Verb(
        name="test-make",
        help="plan a listening test and open its sittings",
        description="The plan is kept before the first answer; sides, order and checks follow from its seed.",
        arguments=_make_arguments,
        run=_make,
    ),
    Verb(name="tests", help="list the listening tests; end one", arguments=_tests_arguments, run=_tests),
    Verb(
        name="invite",
        help="a link for one reviewer; list and revoke links",
        description="The link opens the reviewer's own sittings and nothing else. Its token is shown once.",
        arguments=_invite_arguments,
        run=_invite,
    ),
    Verb(
        name="test-export",
        help="a listening test as CSV, Parquet or JSON",
        description="One row a side of every answer, withdrawn ones too: seeds, sides, checksums, gains, events.",
        arguments=_export_arguments,
        run=_export,
    ),
)
