"""Verbs about data: audit a manifest, prepare a dataset."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.output import seconds, table
from engine.cli.verb import Answer, Verb
from engine.types import AuditReport

if TYPE_CHECKING:
    from engine.studio import Studio


def _manifest(parser: ArgumentParser) -> None:
    parser.add_argument("manifest", type=Path, help="a JSONL manifest, or an LJSpeech metadata.csv")
    parser.add_argument("--backend", default="finch", help="the model that the data is for (default: finch)")


def _audit(studio: Studio, args: Namespace) -> Answer:
    report = studio.audit(args.manifest, backend=args.backend)
    return Answer(data=_report(report), text=_told(report))


def _report(report: AuditReport) -> dict[str, object]:
    return {
        "manifest": report.manifest.path,
        "sha256": report.manifest.sha256,
        "rows": len(report.manifest.utterances),
        "seconds": report.manifest.total_sec,
        "rows_with_errors": sorted(report.rows_with_errors),
        "findings": report.findings,
    }


def _told(report: AuditReport) -> str:
    rows = [(f.row or None, f.severity, f.check, f"{f.explanation} {f.repair}") for f in report.findings]
    found = table(("row", "severity", "check", "what and what to do"), rows, empty="Nothing to mend.")
    total = f"{len(report.manifest.utterances)} rows, {seconds(report.manifest.total_sec)}"
    return f"{found}\n\n{total}; {len(report.rows_with_errors)} rows cannot be trained on."


def _prepare_arguments(parser: ArgumentParser) -> None:
    _manifest(parser)
    parser.add_argument("--name", default="", help="a short name for the dataset (default: made from the manifest's)")


def _prepare(studio: Studio, args: Namespace) -> Answer:
    made = studio.prepare(args.manifest, backend=args.backend, name=args.name)
    left_out = f"; {made.excluded_count} rows with errors were left out" if made.excluded_count else ""
    text = (
        f"{made.id}: {made.train_count} lines to train on ({seconds(made.train_sec)}), {made.validation_count} held out"
        f"{left_out}.\nTrain on it: python -m engine train --dataset {made.id}"
    )
    return Answer(data=made, text=text)


VERBS = (
    Verb(
        name="audit",
        help="look at every row of a manifest, change nothing",
        description="Look at every row of a manifest: unreadable audio, empty text, rates, lengths, odd words.",
        arguments=_manifest,
        run=_audit,
        needs_home=lambda args: False,
    ),
    Verb(
        name="prepare",
        help="make a split dataset of a manifest, without its faulty rows",
        arguments=_prepare_arguments,
        run=_prepare,
    ),
)
