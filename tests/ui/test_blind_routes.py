"""What leaves the server in every kind of test: the same whatever is behind each side, and a reviewer's own alone."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from engine import scripts
from engine.types import CATCHES, Candidate, ListeningTest, Switching, TrialKind, TrialRole
from engine.workspace import Workspace
from tests.ui.fake_studio import RUN_ID, VOICE, FakeStudio
from ui import routes
from ui.access import GUEST_COOKIE, Access, Guard

BASE = Candidate(backend="finch", voice=VOICE)
TUNED = [
    Candidate(backend="finch", voice=VOICE, checkpoint_id=f"{RUN_ID}@{step:06d}", lora_scale=scale)
    for step, scale in ((80, 0.3), (200, 1.0))
]
EVERYBODY = (BASE, *TUNED)
SECRET = re.compile(
    r"robin|finch|aoede|@0000|checkpoint|lora|epoch|short|medium|long|\.flac|/clips|lowpass|anchor|catch|identical|repeat",
    re.I,
)
GIVEN: Mapping[TrialKind, dict[str, Any]] = {
    TrialKind.GATE: {"choice": "pass"},
    TrialKind.PREFERENCE: {"choice": "a"},
    TrialKind.ABX: {"choice": "b"},
    TrialKind.CMOS: {"rating": -2},
    TrialKind.MOS: {"rating": 4},
    TrialKind.MULTI: {},
}


def rendered(folder: Path, *, swapped: bool = False) -> FakeStudio:
    """A studio with three candidates on one script, and tokens that are counted instead of drawn."""
    count = itertools.count()
    studio = FakeStudio(Workspace(folder), swapped=swapped, new_token=lambda: f"{next(count):012d}token")
    studio.start_run(studio.default_config().__class__(dataset="d"))
    for candidate in EVERYBODY:
        for line in studio.script("english-brief").lines:
            studio._make_clip(candidate, line, 42)
    return studio


def made(studio: FakeStudio, kind: TrialKind, **plan: Any) -> ListeningTest:
    test = replace(
        studio.new_test(kind, by="Ed"),
        name="epoch 2 or 5",
        candidates=EVERYBODY,
        reviewers=("Ana", "Ben"),
        switching=Switching.CONTINUE,
        **{"catch_rate": 0.3, "low_anchor": kind is TrialKind.MULTI, **plan},
    )
    return studio.make_test(test)


def client(studio: FakeStudio, access: Access | None = None) -> TestClient:
    app = FastAPI()
    routes.add(app, studio)  # type: ignore[arg-type]
    guarded = Guard(app, access or Access(host="127.0.0.1"))
    return TestClient(guarded, base_url="http://127.0.0.1", follow_redirects=False)


def session_of(studio: FakeStudio, test: ListeningTest, reviewer: str = "Ana") -> str:
    return next(each.session.id for each in studio.test(test.id).sittings if each.session.reviewer == reviewer)


def answer_to(trial: Mapping[str, Any], session: str) -> dict[str, Any]:
    labels = [slot["label"] for slot in trial["slots"]]
    given = dict(GIVEN[TrialKind(trial["kind"])])
    if trial["kind"] == "multi":
        given["ratings"] = {label: 10 * n for n, label in enumerate(labels)}
    events = [[0.5, "play", labels[0], 0.0], [2.0, "ended", labels[0], 1.0]]
    plays = dict.fromkeys(labels, 1)
    return {"session": session, "trial": trial["trial"], "plays": plays, "events": events, "volume": 0.5, **given}


def walk(browser: TestClient, session: str) -> Iterator[tuple[str, Any, Any]]:
    """Everything that a browser gets in a whole sitting, in order: name, what it sees, and what it hears."""

    def seen(name: str, reply: Any, *, heard: bytes = b"") -> tuple[str, Any, Any]:
        body = len(reply.content) if heard else reply.text
        return name, (reply.status_code, body, [(k.lower(), v) for k, v in reply.headers.items()]), heard

    yield seen("sittings", browser.get("/blind/sittings"))
    yield seen("level", browser.get("/blind/level"))
    checks = browser.get("/blind/headphones", params={"session": session})
    yield seen("headphones", checks)
    told = {"session": session, "answers": [0] * 6}
    yield seen("checked", browser.post("/blind/headphones", json=told))
    for _ in range(60):
        reply = browser.get("/blind/trial", params={"session": session})
        yield seen("trial", reply)
        trial = reply.json()
        if trial.get("finished"):
            return
        for slot in trial["slots"]:
            audio = browser.get(f"/blind/audio/{slot['token']}")
            yield seen("audio", audio, heard=audio.content)
        given = answer_to(trial, session)
        yield seen("unheard", browser.post("/blind/answer", json={**given, "plays": {}}))
        yield seen("answer", browser.post("/blind/answer", json=given))
        yield seen("again", browser.post("/blind/answer", json=given))
        yield seen("other", browser.post("/blind/answer", json={**given, "note": "another"}))
        yield seen("late", browser.get(f"/blind/audio/{trial['slots'][0]['token']}"), heard=b"late")
    raise AssertionError("the sitting did not end")


Walked = Callable[..., list[tuple[str, Any, Any]]]


@pytest.fixture(name="walked", scope="module")
def _walked(tmp_path_factory: pytest.TempPathFactory) -> Walked:
    """The walk through a whole sitting of a kind; each is gone once for all tests."""

    @cache
    def go(kind: TrialKind, *, swapped: bool = False) -> list[tuple[str, Any, Any]]:
        studio = rendered(tmp_path_factory.mktemp("walked"), swapped=swapped)
        return list(walk(client(studio), session_of(studio, made(studio, kind))))

    return go


@pytest.mark.parametrize("kind", TrialKind)
def test_exchanging_the_mapping_changes_nothing_but_the_audio(walked: Walked, kind: TrialKind) -> None:
    """The strongest test of blindness: every side of every trial holds another candidate's clip, and all bodies,
    headers, lengths and orders stay as they were; only the audio's bytes do not.
    """
    one, other = walked(kind), walked(kind, swapped=True)
    assert [step[:2] for step in one] == [step[:2] for step in other]
    audio = [(a[2], b[2]) for a, b in zip(one, other, strict=True) if a[0] == "audio"]
    assert len(audio) > 6
    assert all(a != b for a, b in audio), "the sides were not exchanged: the test would pass by doing nothing"


@pytest.mark.parametrize("kind", TrialKind)
def test_nothing_names_what_is_heard(walked: Walked, kind: TrialKind) -> None:
    """Neither a body nor a header holds a model, run, checkpoint, tier, file, treatment, or the name of the test."""
    texts = [line.text for line in scripts.load("english-brief").lines]
    for name, seen, _ in walked(kind):
        told = json.dumps(seen)
        for text in texts:
            told = told.replace(json.dumps(text)[1:-1].replace('"', '\\"'), "")
        assert not SECRET.search(told), (name, told)


@pytest.mark.parametrize("kind", TrialKind)
def test_every_side_of_a_trial_looks_alike(walked: Walked, kind: TrialKind) -> None:
    """Within a trial all audio has one length and the same headers; no two presentations share their bytes."""
    steps = walked(kind)
    trials = [list(group) for name, group in itertools.groupby(steps, lambda step: step[0]) if name == "audio"]
    assert all(len({json.dumps(side[1]) for side in sides}) == 1 for sides in trials)
    heard = [step[2] for step in steps if step[0] == "audio"]
    assert len(set(heard)) == len(heard)
    names = dict(trials[0][0][1][2])
    assert names["cache-control"] == "no-store"
    assert not {"etag", "last-modified", "content-disposition", "accept-ranges", "set-cookie"} & names.keys()


def test_the_payload_of_a_trial_is_what_pages_are_built_on(tmp_path: Path) -> None:
    """Field by field: what a page gets of the training trial and of the first that counts."""
    studio = rendered(tmp_path)
    session = session_of(studio, made(studio, TrialKind.CMOS))
    browser = client(studio)
    training = browser.get("/blind/trial", params={"session": session}).json()
    assert (training["training"], training["position"], training["previous"]) == (True, 0, None)
    browser.post("/blind/answer", json=answer_to(training, session))
    trial = browser.get("/blind/trial", params={"session": session}).json()
    assert set(trial) == set(
        "trial kind text slots position total reasons scale training switching upcoming previous control".split()
    )
    assert (trial["kind"], trial["position"], trial["training"], trial["switching"]) == ("cmos", 1, False, "continue")
    assert trial["previous"] == training["trial"]
    assert [slot["label"] for slot in trial["slots"]] == ["A", "B"]
    assert trial["scale"]["labels"][0] == [-3, "much worse"]
    later = browser.get(f"/blind/audio/{trial['upcoming'][0]}")
    assert later.status_code == 200  # the next trial's audio is to be had before its text


def test_an_answer_is_taken_back_and_given_anew(tmp_path: Path) -> None:
    """The trial comes again as the next one; the log keeps both answers, and one is in force."""
    studio = rendered(tmp_path)
    session = session_of(studio, made(studio, TrialKind.MOS))
    browser = client(studio)
    trial = browser.get("/blind/trial", params={"session": session}).json()
    given = answer_to(trial, session)
    browser.post("/blind/answer", json=given)
    told = {"session": session, "trial": trial["trial"]}
    assert [browser.post("/blind/withdraw", json=told).json() for _ in range(2)] == [{"withdrawn": True}] * 2
    again = browser.get("/blind/trial", params={"session": session}).json()
    assert again["trial"] == trial["trial"]
    assert browser.post("/blind/answer", json={**given, "rating": 2}).status_code == 200
    kept = studio.listening.store.response_history(session)
    assert [(r.attempt, r.rating, r.withdrawn_at is None) for r in kept] == [(1, 4, False), (2, 2, True)]


def test_only_the_last_answer_can_be_taken_back(tmp_path: Path) -> None:
    """What lies further back stands, or reviewers would line up their answers."""
    studio = rendered(tmp_path)
    session = session_of(studio, made(studio, TrialKind.MOS))
    browser = client(studio)
    asked = []
    for _ in range(2):
        asked.append(browser.get("/blind/trial", params={"session": session}).json())
        browser.post("/blind/answer", json=answer_to(asked[-1], session))
    refused = browser.post("/blind/withdraw", json={"session": session, "trial": asked[0]["trial"]})
    assert (refused.status_code, "last answer" in refused.json()["error"]) == (409, True)


def test_what_was_heard_is_kept_with_the_answer(tmp_path: Path) -> None:
    """Gain and checksum of every side, the player's events, the volume and the time it took are in the record."""
    studio = rendered(tmp_path)
    session = session_of(studio, made(studio, TrialKind.PREFERENCE))
    browser = client(studio)
    trial = browser.get("/blind/trial", params={"session": session}).json()
    browser.post("/blind/answer", json=answer_to(trial, session))
    (kept,) = studio.listening.store.responses(session)
    assert set(kept.presented) == {"A", "B"}
    assert all(len(side.sha256) == 64 and abs(side.gain_db) < 60 for side in kept.presented.values())
    assert kept.events[0] == (0.5, "play", "A", 0.0)
    assert (kept.volume, kept.shown_at) == (0.5, studio.clock())


@pytest.mark.parametrize(
    "changes",
    [{"rating": 9}, {"rating": 2.5}, {"choice": "a"}, {"ratings": {"A": 3}}, {"volume": 2}, {"events": [[1, "x"]]}, {}],
)
def test_a_rating_that_is_none_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Off the scale, between its steps, of another kind, or missing: nothing of it is kept."""
    studio = rendered(tmp_path)
    session = session_of(studio, made(studio, TrialKind.MOS))
    browser = client(studio)
    trial = browser.get("/blind/trial", params={"session": session}).json()
    given = answer_to(trial, session) | changes
    if not changes:
        del given["rating"]
    assert browser.post("/blind/answer", json=given).status_code in (400, 422)
    assert studio.listening.store.responses(session) == []


# -------------------------------------------------------------------------------------------------------- invitations
ELSEWHERE = {"host": "0.0.0.0", "engineer_token": "engineer-secret"}


def invited(studio: FakeStudio, reviewer: str) -> tuple[TestClient, str]:
    """The browser of somebody who opened their link, and the id of the invitation."""
    new = studio.invite(reviewer, by="Ed")
    browser = client(studio, Access(**ELSEWHERE, guest=studio.guest))  # type: ignore[arg-type]
    reply = browser.get(new.path)
    assert (reply.status_code, reply.headers["location"]) == (303, "/listen/")
    assert new.token not in reply.headers["location"]
    return browser, new.invitation.id


def test_an_invited_reviewer_finds_their_own_queue_and_nothing_else(tmp_path: Path) -> None:
    """The list, the trial, the audio and the answer of somebody else's sitting are not there for them."""
    studio = rendered(tmp_path)
    test = made(studio, TrialKind.PREFERENCE, instructions="Judge the words.")
    ana, _ = invited(studio, "Ana")
    queue = ana.get("/blind/sittings").json()
    own, others = session_of(studio, test), session_of(studio, test, "Ben")
    assert queue["reviewer"] == "Ana"
    assert [(s["session"], s["done"], s["instructions"]) for s in queue["sittings"]] == [(own, 0, "Judge the words.")]
    assert ana.get("/blind/trial", params={"session": own}).status_code == 200
    token = studio.listening.store.trials(others)[0].slots[0].token
    trial = studio.listening.store.trials(others)[0].id
    replies = [
        ana.get("/blind/trial", params={"session": others}),
        ana.get("/blind/trial", params={"session": "000000000000"}),
        ana.get(f"/blind/audio/{token}"),
        ana.get("/blind/audio/nonsense"),
        ana.get("/blind/headphones", params={"session": others}),
        ana.post("/blind/answer", json={"session": others, "trial": trial, "choice": "a", "plays": {"A": 1, "B": 1}}),
        ana.post("/blind/answer", json={"session": own, "trial": trial, "choice": "a", "plays": {"A": 1, "B": 1}}),
        ana.post("/blind/withdraw", json={"session": others, "trial": trial}),
    ]
    assert [reply.status_code for reply in replies] == [404, 404, 404, 404, 404, 404, 400, 404]
    assert replies[0].json() == replies[1].json()
    assert replies[2].json() == replies[3].json()
    assert studio.listening.store.responses(others) == []
    for path in ("/", "/runs", "/clips/abc", "/exports/a.zip", "/config", "/desk/home"):
        assert ana.get(path).status_code == 403


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_an_invitation_ends_at_once(tmp_path: Path, end: str) -> None:
    """A link that was taken back or is too old opens nothing, and a browser that came by it is out."""
    studio = rendered(tmp_path)
    made(studio, TrialKind.PREFERENCE)
    ana, invitation = invited(studio, "Ana")
    assert ana.get("/blind/sittings").status_code == 200
    if end == "revoked":
        studio.revoke(invitation, by="Ed")
    else:
        studio.listening._clock = lambda: studio.clock() + 15 * 24 * 3600
    assert ana.get("/blind/sittings").status_code == 401
    token = ana.cookies[GUEST_COOKIE]
    again = client(studio, Access(**ELSEWHERE, guest=studio.guest)).get(f"/listen/?invite={token}")  # type: ignore[arg-type]
    assert again.status_code == 401
    assert "set-cookie" not in again.headers


def test_the_token_of_an_invitation_is_nowhere_but_in_its_link(tmp_path: Path) -> None:
    """The database holds its hash; the cookie is for the server alone, and the address forgets it."""
    studio = rendered(tmp_path)
    new = studio.invite("Ana", by="Ed", days=2)
    kept = studio.listening.store._rows("SELECT * FROM invitations")
    assert new.token not in json.dumps(kept)
    assert len(new.token) > 40
    reply = client(studio, Access(**ELSEWHERE, guest=studio.guest)).get(new.path)  # type: ignore[arg-type]
    cookie = reply.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert reply.headers["referrer-policy"] == "no-referrer"


def test_an_engineer_may_try_a_test_and_is_never_counted(tmp_path: Path) -> None:
    """A dry run is a sitting like a reviewer's; the verdicts and preferences know nothing of it."""
    studio = rendered(tmp_path)
    test = made(studio, TrialKind.PREFERENCE)
    session = studio.start_dry_run(test.id, by="Ed")
    steps = list(walk(client(studio), session.id))
    assert steps[-1][1][1].startswith('{"finished":true')
    state = studio.test(test.id)
    assert (state.answered, len(state.dry_runs), state.dry_runs[0].session.dry_run) == (0, 1, True)
    assert studio.listening.store.pairs_answered_by("Ed") == []


def test_the_roles_of_trials_are_in_the_record_alone(tmp_path: Path) -> None:
    """A sitting holds training, evidence and all kinds of catch trials, and counts the evidence."""
    studio = rendered(tmp_path)
    session = session_of(studio, made(studio, TrialKind.PREFERENCE, catch_rate=0.4))
    roles = [trial.role for trial in studio.listening.store.trials(session)]
    assert roles[0] is TrialRole.TRAINING
    assert set(roles[1:]) == {TrialRole.MAIN, *CATCHES}
