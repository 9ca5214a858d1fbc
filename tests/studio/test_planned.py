"""What preparing would do, told before it is done; and decisions that stay quick on a large draft."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import drafts
from engine.studio import Studio
from engine.types import Action, NotFound, PrepareSettings
from engine.workspace import Workspace
from tests.recordings import make_manifest
from tests.waiting import job_result

pytestmark = pytest.mark.usefixtures("tones_are_speech")

SETTINGS = PrepareSettings(backend="finch")


@pytest.fixture(name="studio")
def _studio(tmp_path: Path) -> Iterator[Studio]:
    with Studio(Workspace(tmp_path / "home"), clock=lambda: 1000.0, device="cpu") as studio:
        yield studio


@pytest.fixture(name="draft")
def _draft(studio: Studio, tmp_path: Path) -> str:
    """Ten sound rows, one with a tag in its text, one without text, and a line that is no row; audited."""
    tone = {"audio": "wav/r000.wav"}
    extra = [tone | {"id": "tag", "text": "Amber boats [noise] candle drift."}, tone | {"id": "none", "text": ""}, "{"]
    draft = studio.open_source(make_manifest(tmp_path / "source", 10, extra_rows=extra), backend="finch")
    return job_result(studio, studio.start_audit(draft.id))


def test_what_is_planned_is_what_is_prepared(studio: Studio, draft: str) -> None:
    """The rows that a plan lets in are those of the dataset; planning writes nothing."""
    studio.decide(draft, ["r001"], Action.DROP, by="Ana")
    before = sorted(studio.workspace.root.rglob("*"))
    planned = studio.planned(draft, SETTINGS)
    assert sorted(studio.workspace.root.rglob("*")) == before
    assert {r.utterance.id: r.steps[-1].by for r in planned.rows if not r.included}["r001"] == "Ana"
    assert len(planned.lost) == 1
    made = studio.dataset(job_result(studio, studio.start_prepare(draft, SETTINGS)))
    assert made.train_count + made.validation_count == len(planned.included)
    assert made.excluded_count == len(planned.rows) - len(planned.included) + len(planned.lost)


def test_many_texts_are_decided_at_once(studio: Studio, draft: str) -> None:
    """Every text is its row's at once; with one unknown row nothing is decided."""
    studio.set_texts(draft, {"r002": "Two.", "r003": "Three."}, by="Ana")
    texts = {u.id: u.text for u in studio.report(draft).manifest.utterances}
    assert (texts["r002"], texts["r003"]) == ("Two.", "Three.")
    assert studio.decisions(draft)["r002"][0].by == "Ana"
    with pytest.raises(NotFound, match="nothing"):
        studio.set_texts(draft, {"r004": "Four.", "nothing": "Five."})
    assert "r004" not in studio.decisions(draft)


def test_a_decision_does_not_read_the_draft_anew(studio: Studio, draft: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Typing in a set of 10,000 rows waits for one line on the disk; an audit is read again, and so is a text."""
    studio.report(draft)
    read: list[Path] = []
    whole = drafts.report
    monkeypatch.setattr(drafts, "report", lambda folder: read.append(folder) or whole(folder))
    for number in range(3):
        studio.decide(draft, ["r005"], Action.SET_TEXT, text=f"Text {number}.")
        assert any(u.text == f"Text {number}." for u in studio.report(draft).manifest.utterances)
    assert read == []
    job_result(studio, studio.start_audit(draft))
    read.clear()
    studio.report(draft)
    assert len(read) == 1
