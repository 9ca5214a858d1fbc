"""The composition root: flags -> workspace -> studio -> pages -> serve. Nothing else wires things together."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.types import EngineError
from engine.workspace import Workspace
from ui import access

PORT = 7860


def parser() -> argparse.ArgumentParser:
    """The flags of the app."""
    made = argparse.ArgumentParser(
        prog="python app.py", description="Earmark: a listening studio for fine-tuned voices."
    )
    made.add_argument("--home", type=Path, default=Path(), metavar="DIR", help="the workspace (default: this folder)")
    made.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to serve at; any other than this machine's needs a token",
    )
    made.add_argument("--port", type=int, default=PORT, help=f"the port (default {PORT}; 0 takes a free one)")
    made.add_argument(
        "--whisper",
        type=Path,
        default=_folder_of(os.environ.get("EARMARK_WHISPER", "")),
        metavar="DIR",
        help="a Whisper model on this machine, for transcripts of recordings (safetensors)",
    )
    made.add_argument("--no-browser", action="store_true", help="do not open the browser")
    made.add_argument(
        "--reviewer-token", default=os.environ.get("EARMARK_REVIEWER_TOKEN", ""), help="opens Listen alone"
    )
    made.add_argument(
        "--engineer-token",
        default=os.environ.get("EARMARK_ENGINEER_TOKEN", ""),
        help="opens everything; made up and printed when a reviewer token is given without it",
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted. Returns the exit code: 0, or the one of the error that is told on stderr."""
    flags = parser().parse_args(arguments)
    try:
        rules = access.rules(flags.host, reviewer_token=flags.reviewer_token, engineer_token=flags.engineer_token)
        # Imported here so that a refused start and `--help` answer at once.
        from engine.studio import Studio
        from ui import server

        with Studio(Workspace(flags.home.expanduser().resolve()), whisper=flags.whisper) as studio:
            studio.watch_queue()
            studio.watch_sweeps()
            server.serve(studio, rules, port=flags.port, open_browser=_may_open_browser(no_browser=flags.no_browser))
    except EngineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _folder_of(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


def _may_open_browser(*, no_browser: bool) -> bool:
    """Not when it was asked not to, and not where there is no display."""
    has_display = sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    return has_display and not no_browser and not os.environ.get("EARMARK_NO_BROWSER")


if __name__ == "__main__":
    sys.exit(main())
