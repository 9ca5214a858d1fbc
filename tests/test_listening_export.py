"""A test as data: every side of every answer with all that an analysis needs, alike in each kind of file."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from engine import durable, listening_export
from engine.types import BadInput, TrialKind
from tests.ui.fake_studio import FakeStudio
from tests.ui.test_blind_routes import EVERYBODY, answer_to, client, made, rendered, session_of


@pytest.fixture(name="answered", scope="module")
def _answered(tmp_path_factory: pytest.TempPathFactory) -> tuple[FakeStudio, str, str]:
    """A test of three answers, one of them withdrawn and given anew: the studio, the test's and the sitting's id."""
    studio = rendered(tmp_path_factory.mktemp("export"))
    test = made(studio, TrialKind.PREFERENCE)
    session = session_of(studio, test)
    browser = client(studio)
    for note in ("first", "second"):
        trial = browser.get("/blind/trial", params={"session": session}).json()
        browser.post("/blind/answer", json={**answer_to(trial, session), "note": note})
    browser.post("/blind/withdraw", json={"session": session, "trial": trial["trial"]})
    browser.post("/blind/answer", json={**answer_to(trial, session), "choice": "tie", "note": 'a, "b"\nc ü'})
    return studio, test.id, session


def table(data: bytes, tmp_path: Path, kind: str) -> list[dict[str, Any]]:
    if kind == "csv":
        return list(csv.DictReader(io.StringIO(data.decode())))
    if kind == "json":
        return list(json.loads(data)["rows"])
    file = tmp_path / "rows.parquet"
    file.write_bytes(data)
    found = duckdb.connect().execute(f"SELECT * FROM '{file}'")
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.mark.parametrize("kind", listening_export.FORMATS)
def test_an_export_has_every_side_of_every_answer(
    answered: tuple[FakeStudio, str, str], tmp_path: Path, kind: str
) -> None:
    """Both answers to the trial that was answered anew, the mapping of sides, and the trials without an answer."""
    studio, test_id, session = answered
    rows = table(studio.export_test(test_id, kind, by="Ed"), tmp_path, kind)
    assert list(rows[0]) == list(listening_export.COLUMNS)
    own = [row for row in rows if row["session"] == session and row["answered_at"] not in (None, "")]
    assert [(str(r["attempt"]), r["choice"], r["withdrawn_at"] in (None, "")) for r in own if r["label"] == "A"] == [
        ("1", "a", True),
        ("1", "a", False),
        ("2", "tie", True),
    ]
    assert own[-1]["note"] == 'a, "b"\nc ü'
    trials = {(r["session"], r["trial"]) for r in rows}
    kept = studio.listening.store
    assert len(trials) == sum(len(kept.trials(each.id)) for each in kept.sessions(test_id))


def test_what_an_analysis_needs_is_in_every_row(answered: tuple[FakeStudio, str, str], tmp_path: Path) -> None:
    """Seeds, clip, its checksum, gain and checksum of what was heard, the player's events, and the versions."""
    studio, test_id, _ = answered
    row = next(r for r in json.loads(studio.export_test(test_id, "json"))["rows"] if r["answered_at"])
    clip = studio.clip(row["clip"])
    assert row["candidate"] == clip.candidate.id in {each.id for each in EVERYBODY}
    assert row["clip_sha256"] == durable.file_sha256(clip.path)
    assert len(row["heard_sha256"]) == 64
    assert isinstance(row["gain_db"], float)
    assert row["test_seed"] == studio.test(test_id).test.seed
    assert json.loads(row["events"])[0][1] == "play"
    assert row["method"].startswith("listening/")
    assert row["software"]


def test_taking_an_export_is_kept_as_an_act(answered: tuple[FakeStudio, str, str]) -> None:
    """It names the candidates; who took it and when is in the record."""
    studio, test_id, _ = answered
    before = len(studio.listening.store.acts("export test"))
    studio.export_test(test_id, "csv", by="Ed")
    acts = studio.listening.store.acts("export test")
    assert len(acts) == before + 1
    assert (acts[-1].who, acts[-1].data["test"]) == ("Ed", test_id)


def test_an_export_comes_over_http_and_other_kinds_are_refused(answered: tuple[FakeStudio, str, str]) -> None:
    """A download with a name; an unknown kind of file is a sentence."""
    studio, test_id, _ = answered
    browser = client(studio)
    got = browser.get(f"/listening-tests/{test_id}.csv")
    assert got.text.startswith("test_id,test,test_seed")
    assert f"listening-test-{test_id}.csv" in got.headers["content-disposition"]
    assert browser.get(f"/listening-tests/{test_id}.xlsx").status_code == 400
    with pytest.raises(BadInput, match="xlsx"):
        studio.export_test(test_id, "xlsx")
