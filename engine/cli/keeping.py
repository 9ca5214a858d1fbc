"""Verbs about keeping what there is: rebuild the database, back the workspace up, restore it."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.output import size
from engine.cli.verb import Answer, Verb

if TYPE_CHECKING:
    from engine.studio import Studio


def _no_arguments(parser: ArgumentParser) -> None:
    """Nothing beyond the common flags."""


def _rebuild(studio: Studio, args: Namespace) -> Answer:
    from engine import rebuild
    from engine.workspace import Workspace

    found = rebuild.rebuild(Workspace(args.home))
    lines = [
        f"{found.judgements} rows of judgements came back from the journal.",
        f"{found.runs} runs, {found.checkpoints} whole checkpoints, {found.clips} clips on the disk; "
        f"{found.new_clips} clips were new to the database.",
    ]
    lines += [f"The old database is kept as {found.set_aside}."] if found.set_aside else []
    lines += (
        [f"{found.unknown_clips} clips belong to no checkpoint or script of this workspace."]
        if found.unknown_clips
        else []
    )
    return Answer(data=found, text="\n".join([*lines, *found.damaged_checkpoints]))


def _backup_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("target", type=Path, help="the file to write, for example earmark-backup.zip")
    parser.add_argument("--without-clips", action="store_true", help="leave out the clips: they can be rendered again")


def _backup(studio: Studio, args: Namespace) -> Answer:
    from engine import backup
    from engine.workspace import Workspace

    def tell(done: int, total: int, name: str) -> None:
        if sys.stderr.isatty():
            print(f"\r{done}/{total} {name[:60]:<60}", end="" if done < total else "\n", file=sys.stderr)

    made = backup.write(
        Workspace(args.home), args.target, now=time.time(), with_clips=not args.without_clips, on_progress=tell
    )
    database = (
        "" if made.with_database else " The database is not in it; its journal of judgements is, and makes it again."
    )
    text = f"{made.path}: {made.files} files, {size(made.bytes)}.{database}"
    return Answer(data=made, text=text)


def _restore_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("archive", type=Path, help="a backup")
    parser.add_argument("into", type=Path, help="the new workspace: a folder that does not exist or is empty")


def _restore(studio: Studio, args: Namespace) -> Answer:
    from engine import backup

    count = backup.restore(args.archive, args.into)
    text = f"{count} files restored to {args.into}.\nOpen it: python app.py --home {args.into}"
    return Answer(data={"home": args.into, "files": count}, text=text)


VERBS = (
    Verb(
        name="rebuild",
        help="make the database again from the disk: judgements, clips",
        description=(
            "Bring the database up to what the disk knows: judgements from their journal, clips from the cache. "
            "Changes no judgement; a database that cannot be read is kept under another name."
        ),
        arguments=_no_arguments,
        run=_rebuild,
        needs_home=lambda args: False,
    ),
    Verb(
        name="backup",
        help="write the workspace to one file, with checksums",
        description="Write everything that cannot be made again to one file. Works while the app is open.",
        arguments=_backup_arguments,
        run=_backup,
        needs_home=lambda args: False,
    ),
    Verb(
        name="restore",
        help="make a workspace from a backup",
        arguments=_restore_arguments,
        run=_restore,
        needs_home=lambda args: False,
    ),
)
