"""The other end of a served voice's pipe: `python -m engine.serving`, started by `engine.backends.serve`.

Keeps one base model loaded, with an `AdapterHost` over it, and does what it is asked, one thing at a time. Messages
have the standard output to themselves; whatever a library prints goes to the log. The process ends when its pipe
closes, so that it never outlives the app.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from engine import backends
from engine.backends import offers
from engine.backends.serve import frames
from engine.types import EngineError, Refused

if TYPE_CHECKING:
    from engine.adapters import AdapterHost
    from engine.types import Speech

log = logging.getLogger(__name__)

END_SEC = 0.5  # for an idle process to end by itself once its pipe is closed


class _GivenUp(Exception):
    """The caller does not want it any more."""


class Server:
    """One voice. `answer` is called in the main thread, `cancel` in the one that listens."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._writing = threading.Lock()
        self._host: AdapterHost | None = None
        self._unwanted: set[int] = set()

    def say(self, message: Mapping[str, Any], payload: bytes = b"") -> None:
        """Send one message."""
        with self._writing:
            frames.write(self._out, message, payload)

    def cancel(self, number: int) -> None:
        """The request of this number is not wanted any more: it ends at its next step."""
        self._unwanted.add(number)

    def answer(self, message: Mapping[str, Any]) -> None:
        """Do what is asked, and say how it went."""
        number = int(message["id"])
        try:
            told, payload = self._done(message, number)
        except _GivenUp:
            told, payload = {"cancelled": True}, b""
        except EngineError as error:
            told, payload = {"error": {"kind": type(error).__name__, "text": str(error)}}, b""
        except Exception as error:
            log.exception("%s failed", message.get("do"))
            told, payload = {"error": {"kind": "EngineError", "text": f"{type(error).__name__}: {error}"}}, b""
        self._unwanted.discard(number)
        self.say({**told, "id": number}, payload)

    def _done(self, message: Mapping[str, Any], number: int) -> tuple[dict[str, Any], bytes]:
        what = message["do"]
        if what == "load":
            return self._load(message), b""
        if what == "speak_bundle":
            told, payload = frames.speeches_to_frame([_bundle_spoken(message)])
            return {"speeches": told}, payload
        host = self._host
        if host is None:
            raise Refused("No voice is loaded yet; load one first.")
        if what == "speak":
            rows = [frames.row_from_json(told) for told in message["rows"]]
            told, payload = frames.speeches_to_frame(self._watched(host, number, lambda: host.speak(rows)))
            return {"speeches": told}, payload
        if what == "add":
            return {"sha256": host.add(frames.adapter_from_json(message["adapter"]))}, b""
        if what == "remove":
            host.remove(message["sha256"])
            return {}, b""
        if what == "agreement":
            return {"agreement": _agreement(host.model, message["text"], message["voice"])}, b""
        if what == "bring_in":
            return {"checkpoint": _brought_in(host, message)}, b""
        raise Refused(f"Nobody here knows how to {what}; both ends must be of one version.")

    def _load(self, message: Mapping[str, Any]) -> dict[str, Any]:
        from engine.adapters import AdapterHost

        model = backends.load(message["backend"], message["base_model"], message["device"])
        self._host = AdapterHost(model)
        return {
            "base_sha256": model.base_sha256,
            "sample_rate": model.sample_rate,
            "device": model.device,
            "capabilities": asdict(model.capabilities),
        }

    def _watched(self, host: AdapterHost, number: int, work: Callable[[], Any]) -> Any:
        """Progress is told, and a wish to give up is heard, at every step of a model that has steps to tell of."""

        def on_step(done: int, most: int) -> None:
            if number in self._unwanted:
                raise _GivenUp
            self.say({"id": number, "progress": [done, most]})

        model = host.model
        if not isinstance(model, offers.TellsSteps):
            return work()
        model.on_step = on_step
        try:
            return work()
        finally:
            model.on_step = None


def _agreement(model: Any, text: str, voice: str) -> float:
    if not isinstance(model, offers.ChecksTraining):
        raise Refused(f"{model.name} has no such check.")
    return model.agreement(text, voice)


def _bundle_spoken(message: Mapping[str, Any]) -> Speech:
    from engine.bundle import speaking

    given = {name: message[name] for name in ("seed", "variant", "base_model", "device")}
    return speaking.speak(Path(message["folder"]), message["voice"], message["text"], **given)


def _brought_in(host: AdapterHost, message: Mapping[str, Any]) -> str:
    from engine import importing

    made = importing.bring_in(
        Path(message["source"]),
        model=host.model,
        runs_root=Path(message["runs_root"]),
        name=message["name"],
        now=float(message["now"]),
        voice=message["voice"],
        part=message["part"],
    )
    return str(made.path)


def serve(source: BinaryIO, out: BinaryIO) -> None:
    """Answer requests until the pipe closes."""
    server = Server(out)
    requests: queue.Queue[Mapping[str, Any] | None] = queue.Queue()

    def listen() -> None:
        try:
            while (found := frames.read(source)) is not None:
                if "cancel" in found[0]:
                    server.cancel(int(found[0]["cancel"]))
                else:
                    requests.put(found[0])
        except EngineError as error:
            log.error("%s", error)
        requests.put(None)
        time.sleep(END_SEC)
        os._exit(0)  # nobody waits for what is still being done

    server.say({"protocol": frames.PROTOCOL, "pid": os.getpid(), "python": sys.version.split()[0]})
    threading.Thread(target=listen, name="listen", daemon=True).start()
    while (request := requests.get()) is not None:
        server.answer(request)


def main() -> None:
    """Take the standard streams for messages; what is printed from now on goes to the log."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    source = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    try:
        serve(source, out)
    except frames.BrokenPipe:
        log.info("the app is gone")


if __name__ == "__main__":
    main()
