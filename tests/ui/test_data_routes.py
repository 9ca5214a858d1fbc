"""The data desk over HTTP: what each piece of the page asks for, and what each act does."""

from __future__ import annotations

import io
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from engine import upstream_formats
from engine.jobs import Report
from engine.types import Action
from tests.ui.fake_studio import FakeStudio
from ui import routes
from ui import view_data_words as words


@pytest.fixture(name="desk")
def _desk(studio: FakeStudio) -> TestClient:
    app = FastAPI()
    routes.add(app, studio)  # type: ignore[arg-type]
    return TestClient(app)


@pytest.fixture(name="draft")
def _draft(studio: FakeStudio) -> str:
    """An audited draft of 90 rows."""
    draft = studio.open_rows(90, name="robin")
    studio.audited(draft.id)
    return draft.id


def over(desk: TestClient, job: str) -> dict[str, Any]:
    """A job's last word."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        told: dict[str, Any] = desk.get(f"/desk/jobs/{job}").json()
        if told["over"]:
            return told
        time.sleep(0.01)
    raise AssertionError("the job did not end")


def test_a_path_becomes_a_draft(desk: TestClient, studio: FakeStudio, tmp_path: Path) -> None:
    """Opening answers with the draft that the page then shows; home lists it."""
    told = desk.post("/desk/drafts", json={"path": f"  {tmp_path} ", "backend": "finch", "name": "robin"}).json()
    assert studio.draft(told["draft"]).source == tmp_path
    assert f"draft={told['draft']}" in desk.get("/desk/home").json()["html"]
    around = desk.get(f"/desk/drafts/{told['draft']}").json()
    assert (around["name"], around["audited"], around["job"]) == ("robin", False, "")
    assert "90 rows, not audited yet" in around["verdict"]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"path": "", "backend": "finch"}, 400),
        ({"path": "/no/such/folder", "backend": "finch"}, 404),
        ({"path": "/tmp", "backend": "finch", "shell": "rm"}, 422),
        ({"path": "/tmp"}, 422),
    ],
)
def test_what_cannot_be_opened_is_a_sentence(desk: TestClient, asked: dict[str, str], status: int) -> None:
    """A wrong path is refused with its mend, an unknown field without being read."""
    answer = desk.post("/desk/drafts", json=asked)
    assert answer.status_code == status
    if status != 422:
        assert "path" in answer.json()["error"]


def test_an_upload_becomes_a_draft_and_leaves_nothing(desk: TestClient, studio: FakeStudio) -> None:
    """Files arrive one by one; what they became is on the desk, and the place of the upload is empty again."""
    upload = desk.post("/desk/uploads").json()["upload"]
    for name in ("a.wav", "b.wav"):
        assert desk.put(f"/desk/uploads/{upload}/{name}", content=b"12345").json() == {"bytes": 5}
    asked = {"backend": "finch", "name": "robin"}
    draft = desk.post(f"/desk/uploads/{upload}/open", json=asked).json()["draft"]
    assert studio.draft(draft).row_count == 2
    assert list((studio.workspace.root / ".uploads").iterdir()) == []
    assert desk.post(f"/desk/uploads/{upload}/open", json=asked).status_code == 404


def test_a_name_of_a_file_leads_nowhere_else(desk: TestClient, studio: FakeStudio) -> None:
    """Dots and slashes, encoded or not, stay in the upload or are refused."""
    upload = desk.post("/desk/uploads").json()["upload"]
    for name in ("%2e%2e/%2e%2e/x.wav", "a/%2e%2e/%2e%2e/x.wav", "%2fetc%2fx.wav"):
        assert desk.put(f"/desk/uploads/{upload}/{name}", content=b"1").status_code == 400, name
    assert not list(studio.workspace.root.rglob("x.wav"))


def test_a_cancelled_upload_is_gone(desk: TestClient, studio: FakeStudio) -> None:
    """Nothing of an upload that somebody stopped stays on the disk."""
    upload = desk.post("/desk/uploads").json()["upload"]
    desk.put(f"/desk/uploads/{upload}/a.wav", content=b"1")
    desk.delete(f"/desk/uploads/{upload}")
    assert list((studio.workspace.root / ".uploads").iterdir()) == []


def test_an_uploaded_recording_is_cut(desk: TestClient, studio: FakeStudio) -> None:
    """Slicing is a job whose result is a draft; its upload goes when it is over."""
    upload = desk.post("/desk/uploads").json()["upload"]
    desk.put(f"/desk/uploads/{upload}/tape.wav", content=b"1")
    asked = {"backend": "finch", "name": "tape", "slice": True, "min_sec": 3, "max_sec": 12}
    told = over(desk, desk.post(f"/desk/uploads/{upload}/open", json=asked).json()["job"])
    assert studio.report(told["result"]).manifest.utterances[0].recording == "tape.wav"
    assert list((studio.workspace.root / ".uploads").iterdir()) == []


def test_an_audit_is_a_job_that_a_reloaded_page_finds(desk: TestClient, studio: FakeStudio, tmp_path: Path) -> None:
    """While it runs the draft names its job, asking again starts no second one, and the end is told."""
    go_on = threading.Event()

    def hold(report: Report) -> None:
        report(3, 90, "listening")
        go_on.wait(10)

    studio.hold = hold
    draft = studio.open_rows(90).id
    job = desk.post(f"/desk/drafts/{draft}/audit").json()["job"]
    assert desk.post(f"/desk/drafts/{draft}/audit").json()["job"] == job
    assert desk.get(f"/desk/drafts/{draft}").json()["job"] == job
    while "3 of 90" not in desk.get(f"/desk/jobs/{job}").json()["html"]:
        time.sleep(0.01)
    assert "not audited yet" in desk.get(f"/desk/drafts/{draft}").json()["verdict"]
    go_on.set()
    assert over(desk, job)["state"] == "done"
    around = desk.get(f"/desk/drafts/{draft}").json()
    assert (around["audited"], around["job"]) == (True, "")
    assert "have an error" in around["verdict"]


def test_a_cancelled_audit_leaves_the_draft_as_it_was(desk: TestClient, studio: FakeStudio) -> None:
    """Cancelling is heard, and nothing is half audited."""

    def hold(report: Report) -> None:
        while not report.cancelled():
            time.sleep(0.01)

    studio.hold = hold
    draft = studio.open_rows(90).id
    job = desk.post(f"/desk/drafts/{draft}/audit").json()["job"]
    desk.post(f"/desk/jobs/{job}/cancel")
    told = over(desk, job)
    assert (told["state"], told["result"]) == ("cancelled", "")
    assert not studio.draft(draft).audited


def test_rows_come_filtered_and_a_page_at_a_time(desk: TestClient, draft: str) -> None:
    """The address of the rows holds the filters; nothing else is needed to show them again."""
    at = f"/desk/drafts/{draft}/rows"
    assert desk.get(at).text.count("<tr data-row") == 6, "five rows want attention, one was lost"
    assert desk.get(at, params={"everything": 1}).text.count("<tr data-row") == 50
    assert desk.get(at, params={"everything": 1, "page": 2}).text.count("<tr data-row") == 41
    assert 'data-row="r023"' in desk.get(at, params={"check": "tags"}).text
    assert 'data-row="r041" aria-current="true"' in desk.get(at, params={"row": "r041"}).text
    assert desk.get(at, params={"order": "random"}).status_code == 422


def test_a_row_comes_by_its_id_or_by_its_place(desk: TestClient, draft: str) -> None:
    """The table names rows, plots count them; neighbours are those of the filter."""
    at = f"/desk/drafts/{draft}/row"
    card = desk.get(at, params={"row": "r023"}).text
    assert 'data-card="r023"' in card
    assert 'data-prev="r019" data-next="r055"' in card
    assert 'data-card="r023"' in desk.get(at, params={"at": 22}).text
    assert 'data-next="r024"' in desk.get(at, params={"row": "r023", "everything": 1, "order": "source"}).text
    assert desk.get(at, params={"row": "nothing"}).status_code == 404


def test_a_rows_sound_and_pictures(desk: TestClient, studio: FakeStudio, draft: str) -> None:
    """The sound as it lies there, and two pictures; a row whose file is missing is a sentence."""
    sound = desk.get(f"/desk/drafts/{draft}/audio", params={"row": "r023"})
    assert sound.content == studio.row_samples_path(draft, "r023").read_bytes()
    assert sound.headers["content-type"] == "audio/wav"
    for kind in ("wave", "spectrum"):
        picture = desk.get(f"/desk/drafts/{draft}/{kind}.png", params={"row": "r023"})
        assert picture.content.startswith(b"\x89PNG")
    for kind in ("audio", "wave.png", "spectrum.png"):
        answer = desk.get(f"/desk/drafts/{draft}/{kind}", params={"row": "r007"})
        assert answer.status_code == 404
        assert "put the file back" in answer.json()["error"]
        assert desk.get(f"/desk/drafts/{draft}/{kind}", params={"row": "../../etc/passwd"}).status_code == 404


def test_a_file_that_is_no_sound_is_never_a_page(desk: TestClient, studio: FakeStudio, draft: str) -> None:
    """A row may name any file; what is not known as sound is bytes to a browser, and never markup."""
    page = studio.workspace.root / "row.html"
    page.write_text("<script>alert(1)</script>", encoding="utf-8")
    studio.row_samples_path = lambda draft_id, row: page  # type: ignore[method-assign]
    answer = desk.get(f"/desk/drafts/{draft}/audio", params={"row": "r023"})
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_plots_get_a_column_a_measure(desk: TestClient, draft: str) -> None:
    """As many values as rows, by the rows' order, with what is worst about each."""
    told = desk.get(f"/desk/drafts/{draft}/points").json()
    assert [m["name"] for m in told["measures"]] == ["duration", "rate", "loudness", "snr"]
    assert {len(m["values"]) for m in told["measures"]} == {90} == {len(told["ids"])}
    assert told["worst"][22] == 1, "r023 has an error"
    assert told["measures"][1]["values"][6] is None, "r007 could not be measured"


def test_rows_are_decided_by_name_and_by_filter(desk: TestClient, studio: FakeStudio, draft: str) -> None:
    """Repair, drop, keep by a name, take back: of some rows, or of all that a filter leaves."""
    at = f"/desk/drafts/{draft}/decide"
    told = desk.post(at, json={"act": "repair", "rows": ["r023", "r019"]}).json()["told"]
    assert told == "1 row tags stripped, 1 row silence trimmed. 1 row had no proposed repair."
    assert {d.action for d in studio.decisions(draft)["r023"]} == {Action.STRIP_TAGS, Action.TRIM}
    desk.post(at, json={"act": "drop", "filters": {"severity": "error"}, "by": "Ana"})
    assert {r for r, d in studio.decisions(draft).items() if Action.DROP in {x.action for x in d}} == {
        "r007", "r019", "r023", "r055",
    }  # fmt: skip
    assert desk.post(at, json={"act": "keep", "rows": ["r041"]}).status_code == 409
    desk.post(at, json={"act": "keep", "rows": ["r041"], "by": "Ana"})
    assert studio.decisions(draft)["r041"][0].by == "Ana"
    desk.post(at, json={"act": "take_back", "filters": {"state": "drop"}})
    assert set(studio.decisions(draft)) == {"r041"}


def test_a_repair_can_be_of_one_check(desk: TestClient, studio: FakeStudio, draft: str) -> None:
    """Under a check's filter a bulk repair does that check's mend and nothing else."""
    desk.post(f"/desk/drafts/{draft}/decide", json={"act": "repair", "filters": {"check": "silence"}})
    assert {d.action for d in studio.decisions(draft)["r023"]} == {Action.TRIM}


@pytest.mark.parametrize("rows", [[], ["line 91"]])
def test_a_decision_about_nothing_is_refused(desk: TestClient, draft: str, rows: list[str]) -> None:
    """No row, or only one that could not be read: there is nothing to decide."""
    answer = desk.post(f"/desk/drafts/{draft}/decide", json={"act": "drop", "rows": rows})
    assert answer.status_code == 400
    assert "Select some rows" in answer.json()["error"]


def test_a_typed_text_is_the_rows_text(desk: TestClient, studio: FakeStudio, draft: str) -> None:
    """What was typed is decided, trimmed, and in the row at once."""
    desk.post(f"/desk/drafts/{draft}/text", json={"row": "r019", "text": " What she said.\n", "by": "Ana"})
    row = next(u for u in studio.report(draft).manifest.utterances if u.id == "r019")
    assert row.text == "What she said."
    assert ">What she said.</textarea>" in desk.get(f"/desk/drafts/{draft}/row", params={"row": "r019"}).text


def test_pasted_lines_fill_consecutive_rows(desk: TestClient, studio: FakeStudio, draft: str) -> None:
    """A line a row from the open one on; an empty line leaves its row alone; too many are refused as a whole."""
    at = f"/desk/drafts/{draft}/texts"
    assert (
        desk.post(at, json={"row": "r010", "lines": ["One.", "", "Three.", ""]}).json()["told"] == "2 texts filled in."
    )
    found = {r: d[0].text for r, d in studio.decisions(draft).items()}
    assert found == {"r010": "One.", "r012": "Three."}
    answer = desk.post(at, json={"row": "r090", "lines": ["One.", "Two."]})
    assert answer.status_code == 400
    assert "2 lines for 1 row" in answer.json()["error"]


def test_recognising_texts_says_what_is_missing(desk: TestClient, draft: str) -> None:
    """Without a recogniser the page says how to get one, or to type."""
    answer = desk.post(f"/desk/drafts/{draft}/transcribe", json={"act": "transcribe", "rows": ["r019"]})
    assert answer.status_code == 409
    assert "--whisper" in answer.json()["error"]


def test_a_dataset_is_prepared_with_the_forms_settings(desk: TestClient, studio: FakeStudio, draft: str) -> None:
    """Shares are typed in per cent and taken as shares; the end of the job is the way on."""
    seen: list[Any] = []
    start = studio.start_prepare
    studio.start_prepare = lambda draft_id, settings, *, name="": (  # type: ignore[method-assign]
        seen.append((settings, name)) or start(draft_id, settings, name=name)
    )
    assert 'name="validation_share" id="field-validation_share"' in desk.get(f"/desk/drafts/{draft}/prepare").text
    asked = {"given": True, "name": "robin", "trim": True, "validation_share": 5, "test_share": 2.5, "seed": 7,
             "append_silence_sec": 1, "loudness_lufs": -23}  # fmt: skip
    told = over(desk, desk.post(f"/desk/drafts/{draft}/prepare", json=asked).json()["job"])
    ((settings, name),) = seen
    assert name == "robin"
    assert (settings.backend, settings.trim, settings.seed, settings.loudness_lufs) == ("finch", True, 7, -23)
    assert (settings.validation_share, settings.test_share) == (0.05, 0.025)
    assert told["result"] == "robin"
    assert "/runs?dataset=robin" in told["html"]


def test_the_demo_is_on_the_desk(desk: TestClient, studio: FakeStudio) -> None:
    """One click makes the recordings and opens them; the manifest with faults is offered beside it."""
    told = desk.post("/desk/demo").json()
    assert studio.draft(told["draft"]).name == "demo"
    assert "manifest_with_faults.jsonl" in told["told"]


def test_a_draft_is_discarded(desk: TestClient, studio: FakeStudio, draft: str) -> None:
    """It is off the desk; asking for it again is a sentence."""
    assert desk.delete(f"/desk/drafts/{draft}").status_code == 200
    assert studio.drafts() == []
    assert desk.get(f"/desk/drafts/{draft}").status_code == 404


def test_every_format_that_can_be_written_can_be_downloaded() -> None:
    """The page offers what the engine writes, and knows which of it are folders."""
    assert set(words.EXPORT_NAMES) == set(upstream_formats.FORMATS)
    assert {name for name, is_folder in upstream_formats.FORMATS.items() if is_folder} == words.EXPORT_FOLDERS


def test_an_export_of_several_files_comes_as_one(desk: TestClient, studio: FakeStudio) -> None:
    """One file comes as it is, several in a zip, and nothing is left behind; a format that is none is a sentence."""
    studio.prepare(Path("source"), name="robin")
    answer = desk.get("/desk/datasets/robin/export", params={"format": "voxcpm"})
    assert 'filename="robin-voxcpm.jsonl"' in answer.headers["content-disposition"]

    def both(dataset_id: str, format: str, out: Path) -> Path:
        for name in ("train", "validation"):
            (out / name).mkdir(parents=True)
            (out / name / "text").write_text(name, encoding="utf-8")
        return out

    studio.export_rows = both  # type: ignore[method-assign]
    answer = desk.get("/desk/datasets/robin/export", params={"format": "cosyvoice"})
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert "robin-cosyvoice/validation/text" in names
    assert not list(studio.workspace.root.glob(".export-*"))
    assert desk.get("/desk/datasets/robin/export", params={"format": "../x"}).status_code == 404
