"""Verbs about what is spoken and after whom: listening scripts, audio prompts."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.output import seconds, table
from engine.cli.verb import Answer, Verb
from engine.types import BadInput, Script

if TYPE_CHECKING:
    from engine.studio import Studio


# -------------------------------------------------------------------------------------------------------------- scripts
def _script_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="a script to show as text: id | tier | text, a line a row")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep such a text under NAME, in this workspace")
    parser.add_argument("--language", default="en", help="the language of a text that is saved (default: en)")


def _script(studio: Studio, args: Namespace) -> Answer:
    if args.save is not None:
        if args.name is None:
            raise BadInput("A script that is saved needs a name: script NAME --save FILE.")
        return _script_told(studio, studio.save_script(args.name, _read(args.save), language=args.language))
    if args.name is not None:
        return _script_told(studio, studio.script(args.name))
    found = [studio.script(name) for name in studio.scripts()]
    rows = [(s.name, s.language, len(s.lines), s.sha256[:12], studio.is_shipped(s.name)) for s in found]
    told = table(("script", "language", "lines", "sha256", "shipped"), rows, empty="No scripts.")
    return Answer(data={"scripts": found}, text=told)


def _script_told(studio: Studio, script: Script) -> Answer:
    head = f"# {script.name}, {script.language}, {script.sha256[:12]}"
    return Answer(data=script, text=f"{head}\n{studio.script_text(script.name)}")


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read as text ({error}); save it as UTF-8.") from error
    return "\n".join("" if line.startswith("#") else line for line in text.splitlines())


# ----------------------------------------------------------------------------------------------------------- references
def _reference_arguments(parser: ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--add", type=Path, metavar="FILE", help="keep this recording as an audio prompt")
    which.add_argument("--row", metavar="DATASET/ROW", help="keep this row of a prepared dataset, with its text")
    parser.add_argument("--text", default="", help="what is said in the recording")
    parser.add_argument("--name", default="", help="what to call it (default: the file's name)")


def _reference(studio: Studio, args: Namespace) -> Answer:
    if args.add is not None:
        found = [studio.keep_reference(args.add, args.text, name=args.name)]
    elif args.row is not None:
        dataset_id, _, row = args.row.partition("/")
        found = [studio.reference_of_row(dataset_id, row)]
    else:
        found = studio.references()
    rows = [(each.id, each.name, seconds(each.duration_sec), each.reference.text[:60]) for each in found]
    return Answer(
        data={"references": found}, text=table(("id", "name", "length", "words"), rows, empty="No references yet.")
    )


VERBS = (
    Verb(
        name="script",
        help="list the listening scripts, show one, or keep an edited one under a new name",
        arguments=_script_arguments,
        run=_script,
    ),
    Verb(
        name="reference",
        help="list the audio prompts, or keep a recording or a dataset's row as one",
        arguments=_reference_arguments,
        run=_reference,
    ),
)
