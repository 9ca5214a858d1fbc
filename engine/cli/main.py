"""From words on the command line to an answer and an exit code. The only place where an error becomes a sentence on
stderr.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli import (
    data,
    deciding,
    gating,
    keeping,
    listening,
    machine,
    prompting,
    releasing,
    rendering,
    statistics,
    sweeping,
    training,
    voices,
)
from engine.cli.output import dump
from engine.cli.verb import Answer, Verb
from engine.types import EngineError

if TYPE_CHECKING:
    from engine.studio import Studio

VERBS: tuple[Verb, ...] = (
    *data.VERBS,
    *training.VERBS,
    *prompting.VERBS,
    *sweeping.VERBS,
    *rendering.VERBS,
    *listening.VERBS,
    *deciding.VERBS,
    *gating.VERBS,
    *statistics.VERBS,
    *releasing.VERBS,
    *keeping.VERBS,
    *machine.VERBS,
    *voices.VERBS,
)
EXIT_CODES = """exit codes:
  0  done
  1  something unexpected, or a check that failed (a run, the doctor)
  2  bad input: a file, row, field, text or flag that cannot be used as it is
  3  something was named that is not there
  4  busy: somebody else holds the workspace, the device or the run
  5  refused: no passing verdict, a protected checkpoint, an adapter of another base
  6  the disk is too full
  130  interrupted; what was finished is kept
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line, with its help texts."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--home", type=Path, default=argparse.SUPPRESS, metavar="DIR", help="the workspace (default: this folder)"
    )
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="answer as JSON")
    common.add_argument("--device", default=argparse.SUPPRESS, help="auto, cpu or cuda:0 (default: auto)")
    common.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks")
    top = argparse.ArgumentParser(
        prog="python -m engine",
        description="Earmark without a browser: every use case of the listening studio as a verb.",
        epilog=EXIT_CODES + "\n`python -m engine VERB --help` explains a verb.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        own = verbs.add_parser(
            verb.name,
            help=verb.help,
            description=verb.description or f"{verb.help[0].upper()}{verb.help[1:]}.",
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
        )
        verb.arguments(own)
        own.set_defaults(chosen=verb)
    return top


def main(words: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code. The answer goes to stdout, everything else to stderr."""
    defaults = argparse.Namespace(
        home=Path(), json=False, device="auto", debug=False, whisper=_folder_of(os.environ.get("EARMARK_WHISPER", ""))
    )
    args = parser().parse_args(words, namespace=defaults)
    logging.basicConfig(level=logging.DEBUG if args.debug else logging.ERROR, stream=sys.stderr)
    try:
        answer = _answered(args.chosen, args)
    except KeyboardInterrupt:
        return _failed("Interrupted; what was finished is kept.", 130, debug=args.debug)
    except EngineError as error:
        return _failed(str(error), error.exit_code, debug=args.debug)
    except Exception as error:  # the last place that can turn a fault into a sentence
        told = f"{type(error).__name__}: {error}".strip().rstrip(".")
        return _failed(f"Something unexpected went wrong ({told}); --debug shows where.", 1, debug=args.debug)
    print(dump(answer.data) if args.json else answer.text)
    return answer.exit_code


def _answered(verb: Verb, args: argparse.Namespace) -> Answer:
    with _studio(verb, args) as studio:
        return verb.run(studio, args)


@contextmanager
def _studio(verb: Verb, args: argparse.Namespace) -> Iterator[Studio]:
    """The workspace of `--home`, or an empty one that is thrown away for a verb that needs none."""
    from engine.studio import Studio
    from engine.workspace import Workspace

    if verb.needs_home(args):
        with Studio(Workspace(args.home), device=args.device, whisper=args.whisper) as studio:
            yield studio
        return
    with (
        tempfile.TemporaryDirectory(prefix="earmark-") as folder,
        Studio(Workspace(Path(folder)), device=args.device, whisper=args.whisper) as studio,
    ):
        yield studio


def _folder_of(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


def _failed(sentence: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(" ".join(sentence.split()), file=sys.stderr)
    return code
