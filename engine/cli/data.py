"""Verbs about data: audit a source, prepare a dataset of it, cut a long recording, export for another trainer."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine import dataset, upstream_formats
from engine.cli.output import progress, seconds, table
from engine.cli.verb import Answer, Verb
from engine.types import AuditReport, PrepareSettings, Severity

if TYPE_CHECKING:
    from engine.studio import Studio

ROWS_A_STEP = 8  # with 8 accumulation steps of one row
SOURCES = "a folder or file: recordings with texts, LJSpeech, JSONL, Kaldi, a Hugging Face audio folder"


def _source(parser: ArgumentParser) -> None:
    parser.add_argument("path", type=Path, metavar="PATH", help=SOURCES)
    parser.add_argument("--backend", default="finch", help="the model that the data is for (default: finch)")
    parser.add_argument("--no-recogniser", action="store_true", help="do not hold the texts against what is said")
    _whisper(parser)


def _whisper(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--whisper",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="DIR",
        help="a Whisper model on this machine, for transcripts (safetensors)",
    )


# --------------------------------------------------------------------------------------------------------------- audit
def _audit_arguments(parser: ArgumentParser) -> None:
    _source(parser)
    parser.add_argument(
        "--rows-a-step", type=int, default=ROWS_A_STEP, metavar="N", help=f"rows a step takes (default: {ROWS_A_STEP})"
    )


def _audit(studio: Studio, args: Namespace) -> Answer:
    report = studio.audit(args.path, backend=args.backend, listen=not args.no_recogniser, on_progress=progress())
    rows_a_step = max(1, args.rows_a_step)
    return Answer(data=_report(report, rows_a_step), text=_told(report, rows_a_step))


def _report(report: AuditReport, rows_a_step: int) -> dict[str, object]:
    return {
        "rows": report.row_count,
        "seconds": round(report.manifest.total_sec, 3),
        "findings": [
            {
                "check": f.check,
                "severity": f.severity,
                "row": f.row,
                "explanation": f.explanation,
                "repair": f.repair,
            }
            for f in report.findings
        ],
        "bad_row_share": report.bad_row_share,
        "rows_a_step": rows_a_step,
        "tainted_share": report.tainted_share(rows_a_step),
        "skipped": report.skipped,
    }


def _told(report: AuditReport, rows_a_step: int) -> str:
    counts = Counter((f.check, f.severity) for f in report.findings)
    order = list(Severity)
    worst_first = sorted(counts.items(), key=lambda item: (order.index(item[0][1]), -item[1], item[0][0]))
    parts = [
        table(
            ("row", "severity", "check", "what and what to do"),
            [
                (f.row or None, f.severity, f.check, f"{f.explanation} {f.repair}")
                for f in report.findings
                if f.severity is not Severity.INFO
            ],
            empty="Nothing to mend.",
        ),
        table(("check", "severity", "findings"), [(c, s, n) for (c, s), n in worst_first], empty=""),
        "\n".join(f"Not checked: {check}. {why}" for check, why in report.skipped.items()),
        f"{report.row_count} rows, {seconds(report.manifest.total_sec)}; {len(report.rows_with_errors)} with errors, "
        f"p = {report.bad_row_share:.1%}. With N = {rows_a_step} rows a step, 1 - (1 - p)^N = "
        f"{report.tainted_share(rows_a_step):.1%} of the steps would see one.",
    ]
    return "\n\n".join(part for part in parts if part)


# ------------------------------------------------------------------------------------------------------------- prepare
def _prepare_arguments(parser: ArgumentParser) -> None:
    _source(parser)
    usual = PrepareSettings(backend="")
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder (default: one in the workspace)")
    parser.add_argument("--name", default="", help="a short name for the dataset (default: made from the source's)")
    parser.add_argument("--seed", type=int, default=usual.seed, help=f"of the split (default: {usual.seed})")
    parser.add_argument("--trim", action="store_true", help="cut off silence around speech")
    parser.add_argument("--silence", type=float, metavar="SEC", help="append so much silence (default: the backend's)")
    parser.add_argument("--loudness", type=float, metavar="LUFS", help="bring all rows to one level")
    parser.add_argument(
        "--validation", type=float, default=usual.validation_share, metavar="SHARE", help="held out (default: 0.1)"
    )
    parser.add_argument(
        "--test", type=float, default=usual.test_share, metavar="SHARE", help="kept for a test (default: 0)"
    )
    parser.add_argument("--keep-errors", action="store_true", help="keep rows whose errors nothing mends")


def _prepare(studio: Studio, args: Namespace) -> Answer:
    usual = studio.default_settings(args.backend)
    settings = replace(
        usual,
        trim=args.trim,
        append_silence_sec=usual.append_silence_sec if args.silence is None else args.silence,
        loudness_lufs=usual.loudness_lufs if args.loudness is None else args.loudness,
        validation_share=args.validation,
        test_share=args.test,
        seed=args.seed,
        keep_errors=args.keep_errors,
    )
    made = studio.prepare(
        args.path,
        backend=args.backend,
        settings=settings,
        out=args.out,
        name=args.name,
        listen=not args.no_recogniser,
        on_progress=progress(),
    )
    left_out = f"; {made.excluded_count} rows were left out" if made.excluded_count else ""
    still = f"; {made.unresolved} errors are still in it" if made.unresolved else ""
    test = f", {made.test_count} for a test" if made.test_count else ""
    what_next = (
        f"It lies in {made.path}; repairs.jsonl there says what was done to each row and why."
        if args.out
        else f"Train on it: python -m engine train --dataset {made.id}"
    )
    text = (
        f"{made.id}: {made.train_count} lines to train on ({seconds(made.train_sec)}), {made.validation_count} held out"
        f"{test}{left_out}{still}.\n{what_next}"
    )
    return Answer(data=made, text="\n".join([text, *made.notes]))


# ----------------------------------------------------------------------------------------------------- slice and export
def _slice_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("recording", type=Path, help="one long recording")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder for the pieces")
    parser.add_argument("--shortest", type=float, default=3.0, metavar="SEC", help="of a piece (default: 3)")
    parser.add_argument("--longest", type=float, default=12.0, metavar="SEC", help="of a piece (default: 12)")
    _whisper(parser)


def _slice(studio: Studio, args: Namespace) -> Answer:
    rows, notes = studio.slice_recording(
        args.recording, args.out, min_sec=args.shortest, max_sec=args.longest, on_progress=progress()
    )
    total = sum(u.duration_sec for u in rows)
    written = any(u.text for u in rows)
    what_next = "Check the texts" if written else "Write the texts into it, or open it on the Data page"
    data = {"manifest": args.out / "manifest.jsonl", "rows": len(rows), "seconds": round(total, 3), "notes": notes}
    text = f"{len(rows)} pieces, {seconds(total)}, in {args.out}/manifest.jsonl. {what_next}."
    return Answer(data=data, text="\n".join([text, *notes]))


def _export_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("dataset", help="a prepared dataset: its id, or the folder that --out named")
    parser.add_argument("--format", required=True, choices=sorted(upstream_formats.FORMATS), help="whose rows")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="a new file or folder")


def _export(studio: Studio, args: Namespace) -> Answer:
    source = dataset.load(Path(args.dataset)) if _is_folder(args) else studio.dataset(args.dataset)
    made = studio.export_dataset(source, args.format, args.out)
    text = "\n".join([f"{source.id} as {args.format}: {made.path}", *map(str, made.others), *made.notes])
    return Answer(data=made, text=text)


def _is_folder(args: Namespace) -> bool:
    return (Path(args.dataset) / "dataset.json").is_file()


VERBS = (
    Verb(
        name="audit",
        help="look at every row of a dataset, change nothing",
        description="Look at every row of a dataset: texts, audio, duplicates, what is said. Nothing is changed.",
        arguments=_audit_arguments,
        run=_audit,
        needs_home=lambda args: False,
    ),
    Verb(
        name="prepare",
        help="repair and split a dataset into a new folder",
        arguments=_prepare_arguments,
        run=_prepare,
        needs_home=lambda args: args.out is None,
    ),
    Verb(
        name="slice",
        help="cut a long recording at its pauses",
        arguments=_slice_arguments,
        run=_slice,
        needs_home=lambda args: False,
    ),
    Verb(
        name="export-data",
        help="write a prepared dataset as another trainer wants it",
        arguments=_export_arguments,
        run=_export,
        needs_home=lambda args: not _is_folder(args),
    ),
)
