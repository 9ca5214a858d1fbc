"""What can go wrong and be mended: every error of the engine, with the exit code of the command line.

Each says what is wrong, of which file, row or field, and what mends it. Knows nothing of how it is shown.
"""

from __future__ import annotations


class EngineError(Exception):
    """Something a person can mend. The message is one sentence that names the thing and what to do next."""

    exit_code = 1


class BadInput(EngineError):
    """A file, row, field or text that cannot be used as it is."""

    exit_code = 2


class NotFound(EngineError):
    """Something was named that does not exist (any more)."""

    exit_code = 3


class Busy(EngineError):
    """Somebody else holds what is needed: a second app on the workspace, a running render, a running training."""

    exit_code = 4


class Refused(EngineError):
    """The request is understood and not allowed: no passing verdict, a kept checkpoint, an adapter of another base."""

    exit_code = 5


class DiskFull(EngineError):
    """There is not enough free space for what is about to be written; nothing was written."""

    exit_code = 6
