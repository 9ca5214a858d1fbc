"""Verbs about voices that live in environments of their own: voices and check-voice."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from engine.cli.output import table
from engine.cli.verb import Answer, Verb
from engine.types import BadInput

if TYPE_CHECKING:
    from engine.environments import Environment
    from engine.studio import Studio

TEXT = "The quick check of a voice takes one sentence."


def _voices_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=("list", "install", "remove"), default="list")
    parser.add_argument("backend", nargs="?", default="", help="the voice, for example qwen3_tts")


def _voices(studio: Studio, args: Namespace) -> Answer:
    """Works beside an open app: an environment is a folder of the workspace, with a lock of its own."""
    from engine import environments
    from engine.environments import installing
    from engine.workspace import Workspace

    workspace = Workspace(args.home)
    if args.action == "list":
        return _listed(environments.listing(workspace))
    if not args.backend:
        raise BadInput(f"Which voice? Name one of: {', '.join(environments.names())}.")
    if args.action == "remove":
        environments.requirements(args.backend)
        installing.remove(workspace, args.backend)
        return Answer(data={"removed": args.backend}, text=f"The environment of {args.backend} is gone.")
    made = installing.install(workspace, args.backend, tell=lambda line: print(line, file=sys.stderr, flush=True))
    return Answer(data=made, text=f"{args.backend} is trained and spoken with {made.python}.")


def _listed(found: list[Environment]) -> Answer:
    rows = [
        (
            one.backend,
            str(one.state),
            " ".join(f"{name}{version}" for name, version in one.packages.items() if version.startswith("==")),
            f"{one.bytes / 1e9:.1f} GB" if one.bytes else "",
            str(one.python or f"python -m engine voices install {one.backend}"),
        )
        for one in found
    ]
    headers = ("voice", "state", "packages", "size", "interpreter, or what to run")
    return Answer(data=found, text=table(headers, rows, empty="No voice needs an environment of its own."))


def _check_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("backend", help="the voice, for example qwen3_tts")
    parser.add_argument("--text", default=TEXT, help="what is spoken for it")
    parser.add_argument("--voice", default="", help="one of the model's voices (default: its first)")


def _check(studio: Studio, args: Namespace) -> Answer:
    share = studio.check_voice(args.backend, args.text, args.voice)
    fits = share == 1.0
    text = (
        f"{share:.3f} of the codes that it speaks without chance are what its training step teaches at their places. "
        + ("Training teaches what is spoken." if fits else "It must be 1.000: do not train with this installation.")
    )
    return Answer(data={"backend": args.backend, "agreement": share, "ok": fits}, text=text, exit_code=0 if fits else 1)


VERBS = (
    Verb(
        name="voices",
        help="environments of voices that need their own: list, install, remove",
        description=(
            "List the voices that need packages of their own, and install or remove their environments in the "
            "workspace. An installation that was interrupted goes on where it was. EARMARK_PYTHON_<VOICE> names an "
            "interpreter of your own instead, EARMARK_PATH_<VOICE> folders for its search path."
        ),
        arguments=_voices_arguments,
        run=_voices,
        needs_home=lambda args: False,
    ),
    Verb(
        name="check-voice",
        help="check that a voice's training step teaches what it speaks: 1.000 when it is right",
        arguments=_check_arguments,
        run=_check,
    ),
)
