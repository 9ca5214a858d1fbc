"""Our own routes: what a browser learns of a trial, and what it never learns."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from engine.types import Candidate, Choice, Score
from engine.workspace import Workspace
from tests.ui.fake_studio import RUN_ID, VOICE, FakeStudio
from ui import routes

FIRST = Candidate(backend="finch", voice=VOICE, checkpoint_id=f"{RUN_ID}@000080", lora_scale=0.3)
SECOND = Candidate(backend="finch", voice=VOICE, checkpoint_id=f"{RUN_ID}@000200", lora_scale=1.0)
IDENTIFYING = re.compile(
    r"robin|finch|aoede|@0000|checkpoint|lora|epoch|scale|short|medium|long|\.flac|/clips|\b0\.3\b", re.I
)


def client(studio: FakeStudio) -> TestClient:
    app = FastAPI()
    routes.add(app, studio)  # type: ignore[arg-type]
    return TestClient(app)


def rendered(folder: Path, *, swapped: bool = False) -> FakeStudio:
    """A studio with two candidates on one script, and tokens that are counted instead of drawn."""
    count = itertools.count()
    studio = FakeStudio(Workspace(folder), swapped=swapped, new_token=lambda: f"token{next(count):012d}")
    studio.start_run(studio.default_config().__class__(dataset="d"))
    for candidate in (FIRST, SECOND):
        for line in studio.script("english-brief").lines:
            studio._make_clip(candidate, line, 42)
    return studio


def sitting(studio: FakeStudio) -> list[tuple[Any, ...]]:
    """Everything that a browser gets in a whole A/B sitting, in order; audio as its size alone, and apart as bytes."""
    session = studio.open_preference_session([(FIRST, SECOND)], reviewer="Ana")
    browser = client(studio)
    seen: list[tuple[Any, ...]] = [("sittings", browser.get("/blind/sittings").text)]
    for _ in range(20):
        answer = browser.get("/blind/trial", params={"session": session.id})
        seen.append(("trial", answer.text, headers(answer.headers)))
        trial = answer.json()
        if trial.get("finished"):
            return seen
        for slot in trial["slots"]:
            audio = browser.get(f"/blind/audio/{slot['token']}")
            seen.append(("audio", len(audio.content), headers(audio.headers), audio.content))
        told = {"session": session.id, "trial": trial["trial"], "choice": "tie", "plays": {"A": 1, "B": 1}}
        answer = browser.post("/blind/answer", json=told)
        seen.append(("answer", answer.text, headers(answer.headers)))
    raise AssertionError("the sitting did not end")


def headers(found: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(k.lower(), v) for k, v in found.items()]


def test_exchanging_the_sides_changes_nothing_but_the_audio(tmp_path: Path) -> None:
    """The strongest test of blindness: swap which candidate is A; all that is observable stays, but the bytes."""
    one = sitting(rendered(tmp_path / "one"))
    other = sitting(rendered(tmp_path / "other", swapped=True))
    assert [step[:3] for step in one] == [step[:3] for step in other]
    audio = [(a[3], b[3]) for a, b in zip(one, other, strict=True) if a[0] == "audio"]
    assert audio
    assert all(a != b for a, b in audio), "the sides were not exchanged: the test would pass by doing nothing"


def gate_sitting(studio: FakeStudio) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Everything that a browser gets in a gate sitting in which every clip was flagged, and the questions."""
    for clip in studio.clips():
        told = {"dropped word": (clip.text.split()[0],)}
        score = Score(
            clip_id=clip.id, screener="words", version=1, value=9.0, unit="%", passed=False,
            explanation=f"{clip.candidate.id} misses a word", reasons=told,
        )  # fmt: skip
        studio.listening.store.add_scores([score])
    session = studio.open_gate_session([FIRST, SECOND], reviewer="Ana")
    browser = client(studio)
    seen: list[tuple[Any, ...]] = []
    asked: list[str] = []
    while "finished" not in (trial := (answer := browser.get("/blind/trial", params={"session": session.id})).json()):
        seen.append((answer.text, headers(answer.headers)))
        assert "question" not in trial, "no flag is asked about before the answer"
        plays = {slot["label"]: 1 for slot in trial["slots"]}
        told = {"session": session.id, "trial": trial["trial"], "choice": "pass", "plays": plays}
        answer = browser.post("/blind/answer", json=told)
        seen.append((answer.text, headers(answer.headers)))
        again = browser.get("/blind/trial", params={"session": session.id}).json()
        assert (again["trial"], again["question"]) == (trial["trial"], answer.json()["question"])  # after a reload
        asked.append(again["question"]["text"])
        said = {"session": session.id, "trial": trial["trial"], "choice": again["question"]["choices"][1][0]}
        for _ in range(2):
            answer = browser.post("/blind/flag", json=said)
            assert answer.json() == {"saved": True}
        seen.append((answer.text, headers(answer.headers)))
    return seen, asked


def test_a_flag_is_asked_about_after_the_answer_and_tells_nothing(tmp_path: Path) -> None:
    """Exchange what is behind the clips: the same trials, the same questions, in the same order, without names."""
    one, asked = gate_sitting(rendered(tmp_path / "one"))
    other, _ = gate_sitting(rendered(tmp_path / "other", swapped=True))
    assert one == other
    assert len(asked) == 6
    assert all(text.startswith("The ear missed the word") for text in asked)
    assert not [text for text, _ in one if re.search(r"robin|finch|@0000|words/|misses|\b9\.0\b", text)]


def test_a_flags_answer_is_one_that_was_offered(tmp_path: Path) -> None:
    """Another value, another sitting's trial or one that was not answered is refused and keeps nothing."""
    studio = rendered(tmp_path)
    session = studio.open_gate_session([FIRST], reviewer="Ana")
    browser = client(studio)
    trial = browser.get("/blind/trial", params={"session": session.id}).json()["trial"]
    early = browser.post("/blind/flag", json={"session": session.id, "trial": trial, "choice": "yes"})
    assert early.status_code == 404
    studio.answer(trial, Choice.PASS)
    wrong = browser.post("/blind/flag", json={"session": session.id, "trial": trial, "choice": "yes"})
    assert wrong.status_code == 400
    assert studio.listening.store.flag_answers() == []


def test_no_answer_to_a_reviewer_names_what_is_heard(tmp_path: Path) -> None:
    """Neither bodies nor headers hold a model, run, checkpoint, scale, tier or file name."""
    for step in sitting(rendered(tmp_path)):
        told = json.dumps(step[1:3]).replace('\\"scale\\":', "")  # of ratings
        texts = {line.text for line in rendered(tmp_path / "again").script("english-brief").lines}
        for text in texts:
            told = told.replace(text, "")
        assert not IDENTIFYING.search(told), told


def test_both_sides_come_with_the_same_headers(tmp_path: Path) -> None:
    """No length, date, tag or cache hint tells the sides of a trial apart, and nothing of them is kept."""
    steps = [s for s in sitting(rendered(tmp_path)) if s[0] == "audio"]
    for a, b in itertools.pairwise(steps[:2]):
        assert a[1:3] == b[1:3]
    names = dict(steps[0][2])
    assert names["cache-control"] == "no-store"
    assert names["content-type"] == "audio/wav"
    assert not {"etag", "last-modified", "content-disposition", "accept-ranges"} & names.keys()


def test_a_reload_gives_the_same_trial(tmp_path: Path) -> None:
    """Reloading does not re-roll: the open trial comes again, with its tokens."""
    studio = rendered(tmp_path)
    session = studio.open_gate_session([FIRST], reviewer="Ana")
    browser = client(studio)
    once, again = (browser.get("/blind/trial", params={"session": session.id}).json() for _ in range(2))
    assert once == again
    assert once["position"] == 1


def answered(studio: FakeStudio, **changes: Any) -> Any:
    session = studio.open_gate_session([FIRST], reviewer="Ana")
    browser = client(studio)
    trial = browser.get("/blind/trial", params={"session": session.id}).json()
    told = {"session": session.id, "trial": trial["trial"], "choice": "pass", "plays": {"A": 1}} | changes
    return browser.post("/blind/answer", json=told)


def test_an_answer_is_kept(tmp_path: Path) -> None:
    """What was answered is in the studio before the next trial is asked for."""
    studio = rendered(tmp_path)
    assert answered(studio, reasons=["noise"], note="a hiss").json() == {"saved": True}
    (kept,) = studio._responses.values()
    assert (kept.choice, kept.reasons, kept.note, kept.plays) == (Choice.PASS, ("noise",), "a hiss", {"A": 1})


@pytest.mark.parametrize("plays", [{}, {"A": 0}, {"B": 3}])
def test_an_answer_before_listening_is_refused(tmp_path: Path, plays: dict[str, int]) -> None:
    """The rule that every side is heard to its end holds on the server too."""
    studio = rendered(tmp_path)
    answer = answered(studio, plays=plays)
    assert answer.status_code == 409
    assert "Listen" in answer.json()["error"]
    assert not studio._responses


@pytest.mark.parametrize("changes", [{"choice": "maybe"}, {"verdict": "pass"}, {"note": "x" * 501}, {"plays": None}])
def test_an_answer_that_is_no_answer_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Unknown choices and fields, and texts without end, never reach the store."""
    studio = rendered(tmp_path)
    assert answered(studio, **changes).status_code == 422
    assert not studio._responses


def test_the_same_answer_twice_is_one_answer(tmp_path: Path) -> None:
    """A browser that sends again after a lost reply changes nothing; another answer is refused."""
    studio = rendered(tmp_path)
    session = studio.open_gate_session([FIRST], reviewer="Ana")
    browser = client(studio)
    trial = browser.get("/blind/trial", params={"session": session.id}).json()["trial"]
    told = {"session": session.id, "trial": trial, "choice": "pass", "plays": {"A": 1}}
    codes = [browser.post("/blind/answer", json=told | c).status_code for c in ({}, {}, {"choice": "fail"})]
    assert codes == [200, 200, 409]
    assert len(studio._responses) == 1


def test_a_token_that_is_none_says_nothing(tmp_path: Path) -> None:
    """The sentence about a missing clip names no clip."""
    answer = client(rendered(tmp_path)).get("/blind/audio/nonsense")
    assert answer.status_code == 404
    assert answer.json() == {"error": "This clip is not here any more; reload the page."}


def test_simulated_sittings_are_nobodys(tmp_path: Path) -> None:
    """A sitting that a rule answers is never offered to a person."""
    studio = rendered(tmp_path)
    studio.open_gate_session([FIRST], reviewer="rule", simulated=True)
    assert client(studio).get("/blind/sittings").json()["sittings"] == []


def test_engineers_hear_and_see_a_clip(tmp_path: Path) -> None:
    """A clip and its spectrogram come by the clip's id."""
    studio = rendered(tmp_path)
    browser = client(studio)
    clip = studio.clips()[0]
    assert browser.get(f"/clips/{clip.id}").content == clip.path.read_bytes()
    assert browser.get(f"/clips/{clip.id}/spectrum.png").content.startswith(b"\x89PNG")


def test_what_does_not_exist_is_a_sentence(tmp_path: Path) -> None:
    """Engine errors keep their sentence over HTTP."""
    answer = client(rendered(tmp_path)).get("/clips/none")
    assert (answer.status_code, answer.json()) == (404, {"error": "There is no clip 'none'."})


def test_the_first_page_is_found_by_its_name(tmp_path: Path) -> None:
    """Data lies at the root; whoever types its name as that of any other page gets there."""
    answer = client(rendered(tmp_path)).get("/data", follow_redirects=False)
    assert answer.headers["location"] == "/"


def test_an_export_comes_as_one_file(tmp_path: Path) -> None:
    """The download is a zip whose name is the alias."""
    answer = client(rendered(tmp_path)).get("/exports/production/robin.zip")
    assert answer.content.startswith(b"PK")
    assert 'filename="production-robin.zip"' in answer.headers["content-disposition"]
