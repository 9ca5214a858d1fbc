"""The Sweep page in a browser, and over HTTP: listening in place, marking, sending, editing a script, references."""

from __future__ import annotations

import io
import threading
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient

from engine.jobs import JobState
from engine.types import Candidate, Choice, RunState, Tier
from tests.studio.test_sweeping import wait_until
from tests.test_references import recording
from tests.ui import fake_studio
from tests.ui.fake_studio import FakeStudio
from tests.ui.fake_training import RUN_ID
from tests.ui.held_back import HeldBack
from ui import pages

if TYPE_CHECKING:
    from playwright.sync_api import Page

CELL = f"{RUN_ID}@000160:0.3"
FORM = {"run": RUN_ID, "checkpoints": [f"{RUN_ID}@000160"], "scales": "0.3", "script": "english-brief"}


@pytest.fixture(name="ours", scope="module")
def _ours(tmp_path_factory: pytest.TempPathFactory) -> FakeStudio:
    return fake_studio.with_everything(tmp_path_factory.mktemp("ours"))


@pytest.fixture(name="client")
def _client(ours: FakeStudio) -> Iterator[TestClient]:
    with TestClient(pages.app(ours), base_url="http://127.0.0.1") as client:  # type: ignore[arg-type]
        yield client


# ---- over HTTP
def test_the_cost_is_asked_without_rendering(client: TestClient, ours: FakeStudio) -> None:
    """What a sweep would cost is told, and a half-typed number is a sentence."""
    before = len(ours.clips())
    assert "nothing has to be rendered" in client.post("/sweeps/plan", json=FORM).text
    assert "To render" in client.post("/sweeps/plan", json={**FORM, "seeds": "1, 2"}).text
    refused = client.post("/sweeps/plan", json={**FORM, "scales": "0.3, x"})
    assert (refused.status_code, "numbers with commas" in refused.json()["error"]) == (400, True)
    assert client.post("/sweeps/plan", json={**FORM, "seeds": "1.5"}).status_code == 400
    assert client.post("/sweeps/plan", json={**FORM, "unknown": 1}).status_code == 422
    assert len(ours.clips()) == before


def test_the_grid_tells_what_lies_behind_every_cell(client: TestClient) -> None:
    """Each cell has its takes by tier, line and seed; a tier leaves the others out."""
    found = client.get("/sweeps/grid", params={"run": RUN_ID, "measure": "words"}).json()
    assert [tier for _, _, tier, *_ in found["takes"][CELL]] == ["short", "medium", "long"]
    assert "<svg" in found["curves"]
    assert "<svg" in found["trend"]
    long = client.get("/sweeps/grid", params={"run": RUN_ID, "tier": "long"}).json()
    assert {take[2] for takes in long["takes"].values() for take in takes} == {"long"}


def test_a_script_is_checked_line_by_line_and_kept_under_its_own_name(client: TestClient, ours: FakeStudio) -> None:
    """Faults name their line, a shipped name is refused, and what is saved can be chosen."""
    told = client.post("/sweeps/scripts/check", json={"text": "a | epic | x"}).json()
    assert not told["usable"]
    assert "line 1" in told["html"]
    good = {"text": "a | short | Good morning.", "language": "en"}
    assert client.post("/sweeps/scripts", json={"name": "english", **good}).status_code == 409
    assert "mine" in client.post("/sweeps/scripts", json={"name": "mine", **good}).json()["scripts"]
    assert ours.script("mine").lines[0].text == "Good morning."
    assert "Good morning." in client.get("/sweeps/scripts/mine").text


def test_a_recording_becomes_a_reference(client: TestClient, ours: FakeStudio, tmp_path: Path) -> None:
    """By its path or as an upload; one that is no audio is refused and nothing is kept."""
    path = recording(tmp_path / "ada.wav")
    made = client.post("/sweeps/references/path", json={"path": str(path), "text": "Hello.", "name": "ada"}).json()
    assert ours.reference("ada").sha256 == made["id"]
    sent = {"file": ("grace.wav", path.read_bytes(), "audio/wav")}
    assert client.post("/sweeps/references/upload", files=sent, data={"text": "Bye."}).status_code == 200
    kept = len(ours.references())
    sound = io.BytesIO()
    with wave.open(sound, "wb") as empty:
        empty.setparams((1, 2, 16_000, 0, "NONE", ""))
    for content in (b"not audio", sound.getvalue()):
        bad = client.post("/sweeps/references/upload", files={"file": ("x.wav", content, "audio/wav")})
        assert bad.status_code == 400
    assert len(ours.references()) == kept


def test_new_checkpoints_are_swept_when_the_page_says_so(client: TestClient, ours: FakeStudio) -> None:
    """The switch keeps the form's settings, and takes them back."""
    asked = {**FORM, "seeds": "1, 2", "controls": ["gate:pair", "base:other/wren"], "on": True}
    told = client.post("/sweeps/automatic", json=asked).text
    assert "<b>6 clips</b>, 3 lines (1 short, 1 medium, 1 long) of english-brief at scale 0.3, seeds 1, 2" in told
    assert "beside the base and the control of pair, base:other/wren" in told
    (kept,) = ours.automatic_sweeps()
    assert (kept.seeds, kept.gates) == ((1, 2), ("pair",))
    assert kept.controls == (Candidate(backend="other", voice="wren"),)
    assert kept.tiers == tuple(Tier)
    client.post("/sweeps/automatic", json={**FORM, "on": False})
    assert ours.automatic_sweeps() == []


def test_a_selection_is_sent_to_a_sitting(client: TestClient) -> None:
    """A gate takes one candidate, a comparison two; both answer with the sitting's link."""
    one = {"kind": "gate", "candidates": [CELL], "reviewer": "Ana"}
    assert "/listen/?session=" in client.post("/sweeps/send", json=one).text
    assert client.post("/sweeps/send", json={**one, "gate": "nowhere"}).status_code == 404
    too_few = client.post("/sweeps/send", json={**one, "kind": "preference"})
    assert "Mark two candidates" in too_few.json()["error"]
    assert client.post("/sweeps/send", json={**one, "reviewer": " "}).status_code == 400


KINDS: dict[str, dict[str, Any]] = {
    "gate": {"choice": Choice.PASS},
    "preference": {"choice": Choice.A},
    "abx": {"choice": Choice.A},
    "cmos": {"rating": 1.0},
    "mos": {"rating": 4.0},
    "multi": {},  # a rating each side
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_sent_and_answered_to_its_end(client: TestClient, ours: FakeStudio, kind: str) -> None:
    """The outline says how many questions it will ask, and the sitting asks so many and keeps an answer to each."""
    before = {session.id for session in ours.sessions()}
    asked = {"kind": kind, "candidates": [CELL, f"{RUN_ID}@000160:0.5"], "gate": "release" if kind == "gate" else ""}
    told = client.post("/sweeps/send/outline", json=asked)
    assert told.status_code == 200, told.text
    assert {session.id for session in ours.sessions()} == before, "asking what it would ask opens nothing"
    assert client.post("/sweeps/send", json={**asked, "reviewer": f"Ana {kind}"}).status_code == 200
    (session,) = (s for s in ours.sessions() if s.id not in before)
    assert (session.kind, session.gate) == (kind, "release" if kind == "gate" else "")
    total = ours.session_progress(session.id)[1]
    answered = 0
    while (trial := ours.next_trial(session.id)) is not None:
        ours.answer(trial.trial_id, **(KINDS[kind] or {"ratings": {label: 50.0 for label, _ in trial.slots}}))
        answered += 1
    assert f"{answered} question" in told.text
    assert ours.session_progress(session.id) == (total, total)
    assert ours.session(session.id).closed_at is not None


def test_a_leak_check_is_costed_run_and_shown(tmp_path: Path) -> None:
    """It needs a reference; its cost is told first, and its gates stand on the page."""
    spoken = fake_studio.with_everything(tmp_path / "home")
    spoken.takes = "optional"
    with TestClient(pages.app(spoken), base_url="http://127.0.0.1") as client:  # type: ignore[arg-type]
        assert "data-leak-form" in client.get("/sweeps/page", params={"run": RUN_ID}).json()["form"]
        for path in ("/sweeps/leaks/plan", "/sweeps/leaks"):
            refused = client.post(path, json=FORM)
            assert (refused.status_code, "choose both" in refused.json()["error"]) == (409, True)
        made = {"path": str(recording(tmp_path / "ada.wav")), "text": "Hello."}
        asked = {**FORM, "scales": "0.3, 1", "by": "Ana"}
        asked["references"] = [client.post("/sweeps/references/path", json=made).json()["id"]]
        assert "clips" in client.post("/sweeps/leaks/plan", json=asked).text
        job = client.post("/sweeps/leaks", json=asked).json()["id"]
        wait_until(lambda: spoken.job(job).ended_at is not None)
        assert job in client.get("/sweeps/going").json()["stamp"]
        told = client.get("/sweeps/grid", params={"run": RUN_ID}).json()["leaks"]
        assert told.index("epoch 4 at 1<") < told.index("epoch 4 at 0.3"), "what leaks most is first"
        assert told.count("<li>") == 10
        assert "Ana" in told


def test_a_leak_check_can_be_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its progress has a bar and a button; after a cancel nothing is reported, and without a check nothing happens."""
    spoken = fake_studio.with_everything(tmp_path / "home")
    held = threading.Event()
    monkeypatch.setattr(spoken, "_make_clip", lambda *_: held.wait(10))
    with TestClient(pages.app(spoken), base_url="http://127.0.0.1") as client:  # type: ignore[arg-type]
        assert client.post("/sweeps/leaks/cancel").status_code == 200
        made = {"path": str(recording(tmp_path / "ada.wav")), "text": "Hello."}
        asked = {**FORM, "references": [client.post("/sweeps/references/path", json=made).json()["id"]]}
        job = client.post("/sweeps/leaks", json=asked).json()["id"]
        going = client.get("/sweeps/going").json()
        assert (going["active"], "cancel-leaks" in going["html"]) == (True, True)
        client.post("/sweeps/leaks/cancel")
        held.set()
        wait_until(lambda: spoken.job(job).ended_at is not None)
        assert spoken.job(job).state is JobState.CANCELLED
        assert spoken.leak_reports() == []


# ---- in a browser
@pytest.mark.browser
def test_cells_are_switched_in_place(page: Page, address: str) -> None:
    """Going to another cell keeps the line, goes on playing, and marks are told apart from what is open."""
    page.goto(f"{address}/sweep?run={RUN_ID}")
    page.locator(f"[data-cell='{CELL}']").click()
    page.wait_for_selector(".em-take .em-wave-done")
    page.locator("[data-take-of]").nth(1).click()
    page.wait_for_selector("h2:has-text('medium tier')")
    page.locator(f"[data-cell='{CELL}']").focus()
    page.keyboard.press(" ")
    page.wait_for_selector(".em-play[aria-pressed=true]")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("h2:has-text('at 0.5 · medium tier')")
    assert page.evaluate("document.activeElement.dataset.cell") == f"{RUN_ID}@000160:0.5"
    page.keyboard.press("m")
    page.wait_for_selector(f"[data-cell='{RUN_ID}@000160:0.5'][aria-pressed=true]")
    assert page.locator("[data-act=send-open]").text_content() == "Send 1 to a blind test"
    assert "cell=" in page.url


@pytest.mark.browser
def test_a_missing_word_is_struck_through_and_named(page: Page, address: str) -> None:
    """Colour alone says nothing: the word is struck through, and a screen reader hears that it was dropped."""
    page.goto(f"{address}/sweep?run={RUN_ID}&cell={RUN_ID}@000040:1")
    dropped = page.wait_for_selector(".em-words del")
    assert dropped is not None
    assert "(dropped)" in (dropped.text_content() or "")


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(page: Page, address: str, width: int) -> None:
    """The grid scrolls in itself; the page does not, with the form open as well."""
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(f"{address}/sweep?run={RUN_ID}&cell={CELL}")
    page.wait_for_selector("[data-take]")
    page.click("[data-act=ask]")
    page.wait_for_selector("[data-cost] b, [data-cost] p")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


# ---- while answers are on their way
@pytest.mark.browser
def test_the_run_chosen_last_is_the_one_that_is_open(page: Page, address: str, judged: FakeStudio) -> None:
    """A run that was left is not brought back by its late answer; until one is here, the form is the shown run's."""
    other = judged.add_run("lark", judged.default_config(), RunState.RUNNING, step=5)
    runs, asked = HeldBack(page, r"/sweeps/page\?"), HeldBack(page, "/sweeps$", on=True)
    page.goto(f"{address}/sweep?run={RUN_ID}&cell={CELL}")
    page.wait_for_selector("[data-take]")
    page.click("[data-act=ask]")
    runs.on = True
    page.select_option("#run", other.id)
    page.click("[data-act=render]")
    asked.wait(1)
    assert asked.routes[0].request.post_data_json["run"] == RUN_ID
    page.select_option("#run", RUN_ID)
    runs.wait(2)
    runs.let_go(1)
    runs.let_go(0)
    assert page.input_value("#run") == RUN_ID
    assert f"run={RUN_ID}" in page.url
    assert page.locator(f"[data-cell='{CELL}'][aria-current=true]").count() == 1


@pytest.mark.browser
def test_a_press_outlives_a_grid_that_is_drawn_anew(page: Page, address: str) -> None:
    """What was pressed is opened, although the answer came between the button's going down and up."""
    grids = HeldBack(page, r"/sweeps/grid\?")
    page.goto(f"{address}/sweep?run={RUN_ID}")
    page.wait_for_selector(f"[data-cell='{CELL}']")
    grids.on = True
    page.select_option("#tier", "long")
    grids.wait(1)
    page.hover(f"[data-cell='{CELL}']")
    page.mouse.down()
    grids.let_go()
    page.mouse.up()
    page.wait_for_selector(f"[data-cell='{CELL}'][aria-current=true]")


@pytest.mark.browser
def test_a_panel_speaks_of_the_clip_that_it_shows(page: Page, address: str) -> None:
    """A word that is pressed while another clip's panel is on its way does not play that other clip."""
    panels = HeldBack(page, "/sweeps/clips/")
    page.goto(f"{address}/sweep?run={RUN_ID}&cell={CELL}")
    page.wait_for_selector("[data-take] [data-at]")
    panels.on = True
    page.locator(f"[data-cell='{RUN_ID}@000160:0.5']").click()
    panels.wait(1)
    page.locator("[data-take] [data-at]").first.click()
    panels.let_go()
    page.wait_for_selector("h2:has-text('at 0.5')")
    assert page.locator(".em-play[aria-pressed=true]").count() == 0


@pytest.mark.browser
def test_one_sitting_is_opened_however_often_it_is_pressed(page: Page, address: str) -> None:
    """A second press while the first is on its way is not a second sitting."""
    sent = HeldBack(page, "/sweeps/send$", on=True)
    page.goto(f"{address}/sweep?run={RUN_ID}&cell={CELL}")
    page.wait_for_selector(f"[data-cell='{CELL}'][aria-current=true]")
    page.locator(f"[data-cell='{CELL}']").click()
    page.click("[data-act=send-open]")
    page.fill("#reviewer input", "Ana")
    page.dblclick("#send")
    sent.wait(1)
    sent.let_go()
    page.wait_for_selector("[data-sent] a")
    assert len(sent.routes) == 1


@pytest.mark.browser
def test_what_is_typed_while_a_reference_is_kept_stays(
    page: Page, address: str, judged: FakeStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form that comes with the new reference leaves what was typed, and the caret, where they are."""
    monkeypatch.setattr(judged, "takes", "optional")
    forms = HeldBack(page, r"/sweeps/page\?")
    page.goto(f"{address}/sweep?run={RUN_ID}&cell={CELL}")
    page.wait_for_selector("[data-take]")
    page.click("[data-act=ask]")
    page.get_by_text("Add a reference").click()
    page.fill("#reference-path", str(recording(tmp_path / "ada.wav")))
    page.fill("#reference-text", "Hello.")
    forms.on = True
    page.click("[data-act=add-reference]")
    forms.wait(1)
    page.fill("#scales", "0.7")
    forms.let_go()
    page.wait_for_selector("#references .em-box:has-text('ada')")
    page.keyboard.type("5")
    assert page.input_value("#scales") == "0.75"
    assert page.input_value("#reference-path") == ""
