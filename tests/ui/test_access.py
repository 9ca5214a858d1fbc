"""Who may see what."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from engine.types import Refused
from ui.access import COOKIE, Access, Guard, Role, is_loopback, rules

OPEN = Access(host="127.0.0.1")
CLOSED = Access(host="0.0.0.0", engineer_token="engineer-secret", reviewer_token="reviewer-secret")
PAGE = {"accept": "text/html"}


def client(access: Access, base: str = "http://127.0.0.1:7860") -> TestClient:
    everything = Starlette(routes=[Route("/{path:path}", lambda _: PlainTextResponse("in"), methods=["GET", "POST"])])
    return TestClient(Guard(everything, access), base_url=base, follow_redirects=False)


def signed_in(token: str) -> TestClient:
    browser = client(CLOSED)
    assert browser.post("/login", data={"token": token}).status_code == 303
    return browser


@pytest.mark.parametrize(("host", "is_own"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("[::1]", True)])
def test_this_machines_addresses_are_known(host: str, is_own: bool) -> None:
    """Loopback in any spelling is this machine alone."""
    assert is_loopback(host) is is_own


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "studio.local", ""])
def test_a_host_without_a_reviewer_token_is_refused(host: str) -> None:
    """A server that others can reach never starts open."""
    with pytest.raises(Refused, match="--reviewer-token"):
        rules(host)


def test_an_engineer_token_is_made_up_when_only_reviewers_have_one() -> None:
    """With a reviewer token nobody is an engineer by default."""
    made = rules("0.0.0.0", reviewer_token="for reviewers")
    assert len(made.engineer_token) >= 20
    assert not made.is_open


def test_one_token_for_both_roles_is_refused() -> None:
    """A reviewer's token must not open the engineers' pages."""
    with pytest.raises(Refused, match="same"):
        rules("0.0.0.0", reviewer_token="one", engineer_token="one")


def test_at_this_machine_everything_is_open() -> None:
    """Without tokens whoever sits at the machine is an engineer."""
    assert client(OPEN).get("/runs").text == "in"


def test_a_foreign_name_for_this_machine_is_refused() -> None:
    """A page elsewhere cannot reach the app through a name of its own that points at 127.0.0.1 (DNS rebinding)."""
    assert client(OPEN, "http://evil.example:7860").get("/blind/sittings").status_code == 403


def test_a_write_from_a_foreign_page_is_refused() -> None:
    """A page elsewhere cannot make the reader's browser start or trash something (cross-site request forgery)."""
    browser = client(OPEN)
    assert browser.post("/gradio_api/run/predict", headers={"origin": "http://evil.example"}).status_code == 403
    assert browser.post("/gradio_api/run/predict", headers={"origin": "http://127.0.0.1:7860"}).status_code == 200
    assert browser.put("/desk/uploads/a/b.wav", headers={"origin": "http://evil.example"}).status_code == 403
    assert browser.delete("/desk/drafts/a", headers={"origin": "http://evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "path", ["/", "/runs", "/listen/", "/blind/sittings", "/clips/abc", "/exports/a.zip", "/config", "/desk/home"]
)
def test_without_a_token_nothing_is_answered(path: str) -> None:
    """Our own routes and Gradio's stand behind the same check."""
    assert client(CLOSED).get(path).status_code == 401
    answer = client(CLOSED).get(path, headers=PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


@pytest.mark.parametrize("path", ["/listen/", "/listen/config", "/blind/trial", "/look/listen.js"])
def test_a_reviewer_may_listen(path: str) -> None:
    """The reviewer's token opens Listen with everything it needs."""
    assert signed_in("reviewer-secret").get(path).text == "in"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/runs",
        "/config",
        "/clips/abc",
        "/exports/a.zip",
        "/gradio_api/info",
        "/listening",
        "/blinded",
        "/desk/drafts/a",
    ],
)
def test_a_reviewer_may_only_listen(path: str) -> None:
    """No run, checkpoint, clip by its id, or export is a reviewer's."""
    browser = signed_in("reviewer-secret")
    assert browser.get(path).status_code == 403
    assert browser.get(path, headers=PAGE).headers["location"] == "/listen/"


def test_an_engineer_may_everything() -> None:
    """The engineer's token opens all pages."""
    browser = signed_in("engineer-secret")
    assert [browser.get(p).text for p in ("/", "/runs", "/listen/", "/clips/abc")] == ["in"] * 4


def test_the_cookie_is_not_the_token_and_no_script_can_read_it() -> None:
    """A stolen cookie says no token, and page scripts cannot steal it."""
    cookie = client(CLOSED).post("/login", data={"token": "reviewer-secret"}).headers["set-cookie"]
    assert "reviewer-secret" not in cookie
    assert "httponly" in cookie.lower()
    assert "samesite=lax" in cookie.lower()


def test_a_token_in_a_link_is_taken_out_of_the_address() -> None:
    """A link signs in once; the token does not stay in the address bar or the history."""
    answer = client(CLOSED).get("/listen/?session=abc&token=reviewer-secret", headers=PAGE)
    assert answer.headers["location"] == "/listen/?session=abc"
    assert COOKIE in answer.headers["set-cookie"]


@pytest.mark.parametrize("token", ["", "wrong", "reviewer-secre", "reviewer-secret "])
def test_a_wrong_token_is_refused(token: str) -> None:
    """Nothing but the token itself signs in."""
    answer = client(CLOSED).post("/login", data={"token": token})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_a_forged_cookie_is_refused() -> None:
    """The cookie of one role, or of another server, opens nothing else."""
    other = Access(host="0.0.0.0", engineer_token="another", reviewer_token="other")
    browser = client(CLOSED)
    browser.cookies.set(COOKIE, other.cookie(Role.ENGINEER))
    assert browser.get("/runs").status_code == 401
