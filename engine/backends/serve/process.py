"""The process of a served voice: started, asked one thing at a time, told to give up, ended.

Knows the pipe and its patience, the log that the process writes, and how a death becomes a sentence. Knows no voice:
what is asked and answered is the caller's.
"""

from __future__ import annotations

import os
import queue
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from engine import types
from engine.backends.serve import frames
from engine.types import EngineError

REPOSITORY = Path(__file__).resolve().parents[3]
MODULE = "engine.serving"
SERVED = "EARMARK_SERVED"  # tells a process that it is one: it loads its voice itself
HELLO_SEC = 60.0  # until the interpreter is up and says so; it loads nothing before
LOG_LINES = 15  # of its log, in the sentence about its end
POLL_SEC = 0.1


@dataclass(frozen=True)
class Interpreter:
    """A Python that has what a voice needs, and folders for its `PYTHONPATH`, such as a checkout of upstream's."""

    python: Path
    paths: tuple[Path, ...] = ()

    def environment(self) -> dict[str, str]:
        """What a process of it needs beside the variables of this one: nothing but its folders, and this repository."""
        return {"PYTHONPATH": os.pathsep.join([*map(str, self.paths), str(REPOSITORY)])}


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a process may be silent, in seconds, and how long it has to give up when it is told to."""

    load_sec: float = 900.0
    speak_sec: float = 600.0
    give_up_sec: float = 10.0


class VoiceProcess:
    """One living process. It ends with `close`, when its owner is forgotten, and when its owner dies: it reads from a
    pipe that closes then.
    """

    def __init__(self, interpreter: Interpreter, environment: Mapping[str, str], *, give_up_sec: float) -> None:
        self._give_up_sec = give_up_sec
        handle, name = tempfile.mkstemp(prefix="earmark-voice-", suffix=".log")
        self.log = Path(name)
        try:
            self._child: subprocess.Popen[bytes] = subprocess.Popen(
                [str(interpreter.python), "-m", MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=handle,
                cwd=REPOSITORY,
                env={**environment, **interpreter.environment(), "PYTHONUNBUFFERED": "1"},
            )
        except OSError as error:
            self.log.unlink(missing_ok=True)
            raise EngineError(
                f"{interpreter.python} cannot be started ({error}); install the voice's environment again."
            ) from error
        finally:
            os.close(handle)
        self._messages: queue.Queue[tuple[dict[str, Any], bytes] | EngineError | None] = queue.Queue()
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._in = cast("BinaryIO", self._child.stdin)
        reader = threading.Thread(
            target=_listen,
            args=(cast("BinaryIO", self._child.stdout), self._messages),
            name=f"voice-{self._child.pid}",
            daemon=True,
        )
        reader.start()
        self._ended = weakref.finalize(self, _end, self._child, self.log)
        self._asked = 0
        self._must_greet(interpreter)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def is_alive(self) -> bool:
        return self._ended.alive and self._child.poll() is None

    def close(self) -> None:
        """End it, and forget its log."""
        self._ended()

    def ask(
        self,
        message: Mapping[str, Any],
        *,
        silence_sec: float,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> tuple[dict[str, Any], bytes]:
        """Send a request and wait for its answer. `on_progress` is told what the process tells, and called now and
        then besides; what it raises is raised here once the process has given up, or was ended for not doing so.

        Raises the error that the process answers with; EngineError, and the process is ended, when it is gone, says
        what is no message, or says nothing for `silence_sec`.
        """
        self._asked += 1
        number, progress = self._asked, (0, 0)
        try:
            frames.write(self._in, {**message, "id": number})
            deadline = time.monotonic() + silence_sec
            while True:
                found = self._next(POLL_SEC)
                if found is None:
                    if time.monotonic() > deadline:
                        raise self._dead(f"was silent for {silence_sec:g} s")
                else:
                    deadline = time.monotonic() + silence_sec
                    told, payload = found
                    if told.get("id") != number:
                        continue  # the late end of something that was given up
                    if "progress" not in told:
                        return _answer(told), payload
                    progress = (int(told["progress"][0]), int(told["progress"][1]))
                if on_progress is not None:
                    self._tell(on_progress, progress, number)
        except frames.BrokenPipe as error:
            raise self._dead("went away" if not self.is_alive else f"broke the protocol: {error}") from error

    def _tell(self, on_progress: Callable[[int, int], None], progress: tuple[int, int], number: int) -> None:
        try:
            on_progress(*progress)
        except BaseException:
            self._give_up(number)
            raise

    def _give_up(self, number: int) -> None:
        """Tell the process to leave its work; end it when it does not."""
        end = time.monotonic() + self._give_up_sec
        try:
            frames.write(self._in, {"cancel": number})
            while time.monotonic() < end:
                found = self._next(POLL_SEC)
                if found is not None and found[0].get("id") == number and "progress" not in found[0]:
                    return
        except EngineError:
            pass
        self.close()

    def _next(self, wait_sec: float) -> tuple[dict[str, Any], bytes] | None:
        """What came; None for nothing so far."""
        try:
            found = self._messages.get(timeout=wait_sec)
        except queue.Empty:
            return None
        if found is None:
            raise self._dead("ended")
        if isinstance(found, EngineError):
            raise found
        return found

    def _must_greet(self, interpreter: Interpreter) -> None:
        end = time.monotonic() + HELLO_SEC
        try:
            while (found := self._next(POLL_SEC)) is None:
                if time.monotonic() > end:
                    raise self._dead(f"did not come up within {HELLO_SEC:g} s")
        except frames.BrokenPipe as error:
            raise self._dead(f"broke the protocol: {error}") from error
        if found[0].get("protocol") != frames.PROTOCOL:
            raise self._dead(f"speaks protocol {found[0].get('protocol')!r} and {frames.PROTOCOL} is spoken here")

    def _dead(self, what: str) -> EngineError:
        """The process is ended; the sentence that says why, with the end of what it wrote."""
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout=1.0 if what in ("ended", "went away") else 0.0)
        status = self._child.poll()
        how = "" if status is None else f" (killed by signal {-status})" if status < 0 else f" (exit code {status})"
        written = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        self.close()
        tail = "\n".join(line for line in written if line.strip())
        said = f" The end of its log:\n{tail}" if tail else " It wrote nothing."
        return EngineError(f"The voice's process {what}{how}; it is started again at the next call.{said}")


def _answer(told: Mapping[str, Any]) -> dict[str, Any]:
    if "error" not in told:
        return dict(told)
    kind = getattr(types, str(told["error"]["kind"]), EngineError)
    if not (isinstance(kind, type) and issubclass(kind, EngineError)):
        kind = EngineError
    raise kind(str(told["error"]["text"]))


def _listen(stream: BinaryIO, messages: queue.Queue[Any]) -> None:
    """Every frame to the queue, then None; what is no frame is the last thing that is listened to."""
    try:
        while (found := frames.read(stream)) is not None:
            messages.put(found)
    except EngineError as error:
        messages.put(error)
    except (OSError, ValueError):
        pass
    messages.put(None)


def _end(child: subprocess.Popen[bytes], log: Path) -> None:
    """Close its pipe, which it takes for the end; kill it when it does not."""
    with suppress(OSError, ValueError):
        if child.stdin:
            child.stdin.close()
    try:
        child.wait(timeout=2.0)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    log.unlink(missing_ok=True)
