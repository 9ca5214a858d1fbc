"""The server: an answer at once, the pages as soon as they are built, and one check in front of both.

Gradio takes seconds to import. `Front` therefore answers with an opening page while the app is built in a thread, and
hands every request to it from then on. Knows nothing of what the pages show.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import uvicorn
from starlette.responses import HTMLResponse, JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.types import Busy
from ui.access import Access, Guard, is_loopback

if TYPE_CHECKING:
    from fastapi import FastAPI

    from engine.studio import Studio

KEEP_ALIVE_SEC = 75  # a reviewer thinks for longer than uvicorn's 5 s, and a new connection costs them a moment

OPENING = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="1">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>Earmark</title>
<link rel="icon" href="data:,"><style>:root{color-scheme:light dark}
body{margin:0;display:grid;place-items:center;min-height:100vh;font:16px/1.5 system-ui,sans-serif;
background:light-dark(#faf8f3,#161513);color:light-dark(#1d1c1a,#efece5)}
b i{font-style:normal;color:light-dark(#0b6e69,#4fb8b0)}</style>
<p role="status"><b>ear<i>mark</i></b> is opening …</p></html>"""


class Front:
    """ASGI app: the opening page until the built app is ready, then that app."""

    def __init__(self, build: Callable[[], FastAPI]) -> None:
        self._build = build
        self._inner: ASGIApp | None = None
        self.fault: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._inner is not None:
            await self._inner(scope, receive, send)
        elif _wants_page(scope):
            await HTMLResponse(OPENING, headers={"Cache-Control": "no-store"})(scope, receive, send)
        else:
            await JSONResponse({"error": "Earmark is opening; try again in a second."}, 503)(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        async with _opened(self):
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def open(self, until: asyncio.Event) -> None:
        """Build the app in a thread, keep its lifespan until the server ends. A fault ends the server."""
        built = self._start_building()
        asked_to_end = asyncio.ensure_future(until.wait())
        await asyncio.wait((built, asked_to_end), return_when=asyncio.FIRST_COMPLETED)
        if not built.done():
            return
        if self.fault is not None:  # the server would otherwise promise a page that never comes
            signal.raise_signal(signal.SIGINT)
            return
        app = built.result()
        async with app.router.lifespan_context(app):
            self._inner = app
            await until.wait()

    def _start_building(self) -> asyncio.Future[FastAPI]:
        """A daemon thread, so that an app that is asked to end while it opens ends at once."""
        loop = asyncio.get_running_loop()
        built: asyncio.Future[Any] = loop.create_future()

        def work() -> None:
            app = None
            try:
                app = self._build()
            except Exception as error:
                self.fault = error
            with suppress(RuntimeError):  # the server ended meanwhile and its loop is closed
                loop.call_soon_threadsafe(built.set_result, app)

        threading.Thread(target=work, name="building the pages", daemon=True).start()
        return built


@asynccontextmanager
async def _opened(front: Front) -> AsyncIterator[None]:
    until = asyncio.Event()
    task = asyncio.create_task(front.open(until))
    try:
        yield
    finally:
        until.set()
        await task


def _wants_page(scope: Scope) -> bool:
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def build(studio: Studio) -> FastAPI:
    """The whole app: our routes, the reviewers' page, the engineers' pages. Imports Gradio."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("GRADIO_TEMP_DIR", str(studio.workspace.root / ".gradio"))
    from ui import pages

    app = pages.app(studio)
    studio.warm_up_listening()
    return app


def serve(studio: Studio, access: Access, *, port: int, open_browser: bool) -> None:
    """Serve until interrupted. Raises Busy when the port is taken, and whatever building the pages raised."""
    listener = _listen(access.host, port)
    at = f"http://{'127.0.0.1' if is_loopback(access.host) else access.host}:{listener.getsockname()[1]}"
    link = at + "/" + ("" if access.is_open else "?" + urlencode({"token": access.engineer_token}))
    print(f"Earmark: {link}", flush=True)
    if access.reviewer_token:
        print(f"Reviewers: {at}/listen/?token=<the reviewer token>", flush=True)
    if open_browser:
        threading.Timer(0.5, webbrowser.open, [link]).start()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that being asked to end closes the workspace too
    access = replace(access, guest=studio.guest)
    front = Front(lambda: build(studio))
    config = uvicorn.Config(
        Guard(front, access),
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=KEEP_ALIVE_SEC,
    )
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
    if front.fault is not None:
        raise front.fault


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio switches Nagle's algorithm off. Else a reply's body waits until its headers are
    # acknowledged, which the other side holds back for 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
        listener.listen()  # from here on a browser waits for the server instead of being refused
    except OSError as error:
        listener.close()
        raise Busy(f"{host}:{port} cannot be used ({error.strerror}); choose another with --port.") from None
    return listener
