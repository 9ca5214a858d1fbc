"""Puts the pages together: our routes, the reviewers' app, the engineers' app. The only file that mounts Gradio."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from fastapi import FastAPI

from ui import data, gate, listen, results, routes, runs, sweep, tests, theme, voices

if TYPE_CHECKING:
    from engine.studio import Studio


def app(studio: Studio) -> FastAPI:
    """One FastAPI app. The reviewers' page is an app of its own, so that nothing of the engineers' is in its config."""
    server = FastAPI(title="Earmark", docs_url=None, redoc_url=None, openapi_url=None)
    routes.add(server, studio)
    words = listen.words()
    _mount(server, listen.build(words), "/listen", with_clips=False, css=theme.css("listen.css"), i18n=words)
    _mount(server, engineering(studio), "/", with_clips=True, css=theme.css("sweep.css"), favicon_path=str(theme.ICON))
    return server


def engineering(studio: Studio) -> gr.Blocks:
    """The engineers' pages, one route each."""
    blocks: gr.Blocks
    with gr.Blocks(title="Earmark", analytics_enabled=False) as blocks:
        data.build()
    with blocks.route("Sweep", "/sweep", show_in_navbar=False):
        sweep.build()
    for page, name in ((runs, "Runs"), (tests, "Tests"), (results, "Results"), (gate, "Gate"), (voices, "Voices")):
        with blocks.route(name, f"/{name.lower()}", show_in_navbar=False):
            page.build(studio)
    return blocks


def _mount(server: FastAPI, blocks: gr.Blocks, path: str, *, with_clips: bool, **own: Any) -> None:
    blocks.queue(api_open=False)
    warnings.filterwarnings("ignore", "SSR mode is not supported", UserWarning)  # it is off
    gr.mount_gradio_app(
        server,
        blocks,
        path=path,
        theme=theme.theme(),
        head=theme.head(with_clips=with_clips),
        footer_links=[],
        run_history=False,  # Gradio would keep inputs and outputs of every call in the reviewer's browser
        allowed_paths=[],  # nothing of a run is ever served by Gradio
        blocked_paths=[str(Path.cwd())],
        pwa=True,
        ssr_mode=False,
        show_error=True,
        **own,
    )
    # It would keep a connection open for every tab. A browser opens six to an app at most, so the seventh tab would
    # wait for ever. Without it Gradio learns of a closed tab when it runs out of places for sessions.
    blocks.config["connect_heartbeat"] = False
