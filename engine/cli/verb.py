"""What a verb of the command line is, and what it answers."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.studio import Studio


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`data` for `--json`, `text` for people, and the exit code (a check that failed is an answer, not an error)."""

    data: Any
    text: str
    exit_code: int = 0


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One verb. `needs_home` False: it works beside an open app, in an empty workspace that is thrown away."""

    name: str
    help: str
    arguments: Callable[[ArgumentParser], object]
    run: Callable[[Studio, Namespace], Answer]
    description: str = ""
    needs_home: Callable[[Namespace], bool] = lambda args: True
