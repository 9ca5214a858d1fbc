"""The app as a whole: which endpoints there are, what Gradio may serve, what a reviewer's page holds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import gradio as gr
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.ui.fake_studio import FakeStudio
from ui import listen, pages

# Every event of every page. A new one is added here on purpose, never by accident.
ENDPOINTS = """
gate_ask gate_cell gate_choose gate_copy gate_inspect gate_judge gate_look gate_open gate_pin gate_promote gate_purge
gate_save gate_ticked gate_trash gate_try gate_undo gate_unpin
results_confirm results_open results_show results_unblind
runs_act runs_copy runs_open runs_preflight runs_preset runs_start
tests_add tests_dry tests_end tests_invite tests_kind tests_lines tests_make tests_open tests_outline tests_revoke
tests_watch
voices_back voices_base voices_bring voices_check voices_export voices_install voices_install_tick voices_lines
voices_models voices_open voices_remove voices_reveal voices_speak voices_verify
""".split()

RUNS = ("runs.js", "run_form.js", "run_plots.js", "curves.js", "live.js", "live_worker.js")
SWEEP = tuple(
    f"sweep{name}.js" for name in ("", *"_cells _clip _form _going _grid _page _player _script _send".split())
)
DESK = tuple(
    f"desk{name}.js" for name in ("", *"_api _card _home _jobs _plots _prepare _rows _upload _verdict".split())
)


@pytest.fixture(name="app", scope="module")
def _app(judged: FakeStudio) -> FastAPI:
    return pages.app(judged)  # type: ignore[arg-type]


@pytest.fixture(name="client", scope="module")
def _client(app: FastAPI) -> TestClient:
    return TestClient(app, headers={"accept": "text/html"})


def mounted(app: FastAPI) -> list[gr.Blocks]:
    return [route.app.get_blocks() for route in app.routes if hasattr(getattr(route, "app", None), "get_blocks")]


def test_the_endpoints_are_these_and_all_are_private(judged: FakeStudio) -> None:
    """No handler is reachable that nobody meant to be, and none is listed to strangers."""
    found = pages.engineering(judged).fns.values()  # type: ignore[arg-type]
    assert sorted(f.api_name for f in found) == sorted(ENDPOINTS)
    assert {f.api_visibility for f in found} == {"private"}


def test_the_public_interface_is_empty(client: TestClient) -> None:
    """What Gradio tells a program about the app is nothing."""
    info = client.get("/gradio_api/info").json()
    assert (info["named_endpoints"], info["unnamed_endpoints"]) == ({}, {})


def test_gradio_serves_no_file_and_keeps_no_history(app: FastAPI) -> None:
    """No folder is open to Gradio's file route; no call is kept in a browser; no footer, no analytics."""
    both = mounted(app)
    assert len(both) == 2
    for blocks in both:
        assert blocks.allowed_paths == []
        assert blocks.run_history is False
        assert blocks.footer_links == []
        assert blocks.analytics_enabled is False
        assert blocks.pwa is True


def test_a_workspace_file_cannot_be_had_through_gradio(client: TestClient, judged: FakeStudio) -> None:
    """A clip's path, guessed or known, is not served."""
    clip = judged.clips()[0].path
    assert client.get(f"/gradio_api/file={clip}").status_code in (403, 404)


@pytest.mark.parametrize("path", ["/", "/runs", "/sweep", "/tests", "/results", "/gate", "/voices", "/listen/"])
def test_every_page_answers(client: TestClient, path: str) -> None:
    """Each page is at its own address."""
    answer = client.get(path)
    assert answer.status_code == 200
    assert "gradio_config" in answer.text


def test_a_reviewers_page_has_no_events_and_no_names(judged: FakeStudio, client: TestClient) -> None:
    """The config that a reviewer's browser gets holds no handler, no other page and nothing of a run."""
    assert not listen.build(listen.words()).fns
    config = client.get("/listen/config").json()
    del config["css"]  # one style sheet for all pages: words of the look, none of a run
    told = json.dumps(config)
    assert not re.search(r"robin|finch|aoede|@0000|epoch|lora|sweep|voices|checkpoint", told, re.I)
    assert "href" not in told.replace('rel=\\"icon\\" href', "")


@pytest.mark.parametrize("path", ["/config", "/listen/config"])
def test_a_tab_keeps_no_connection_open(client: TestClient, path: str) -> None:
    """A browser opens six connections to an app at most: one a tab would lock the seventh tab out."""
    assert client.get(path).json()["connect_heartbeat"] is False


def test_the_app_can_be_installed(client: TestClient) -> None:
    """A browser finds what it needs to offer Earmark as a window of its own."""
    manifest = client.get("/manifest.json").json()
    assert (manifest["name"], manifest["display"]) == ("Earmark", "standalone")
    assert client.get(manifest["icons"][0]["src"]).content.startswith(b"\x89PNG")


def test_nothing_is_fetched_from_elsewhere(client: TestClient) -> None:
    """Style sheets and scripts of ours name no other machine: the app works without a network."""
    for name in (
        "earmark.css",
        "gradio.css",
        "theme.js",
        "player.js",
        "player_graph.js",
        "player_heard.js",
        "listen.js",
        "clips.js",
        "patch.js",
        *DESK,
        *RUNS,
        *SWEEP,
    ):
        text = client.get(f"/look/{name}").text
        assert text
        assert "://" not in text, name


def test_building_the_pages_asks_nothing_of_the_workspace(tmp_path: Path) -> None:
    """Pages are built once and for all visitors; what they show is read when they are opened."""

    class Untouched:
        def __getattr__(self, name: str) -> object:
            if name == "scripts":
                return lambda: ("english",)
            if name == "cancel":
                return lambda job_id: None
            raise AssertionError(f"{name} was asked while the pages were built")

    assert pages.engineering(Untouched()).fns  # type: ignore[arg-type]
