"""Who may see what: one check in front of every answer of the server, Gradio's and ours alike.

Knows tokens, roles, cookies and paths. Knows nothing of pages. Without tokens (a server bound to this machine alone)
everybody is an engineer, but only requests that were really made to this machine by one of its own pages are
answered.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.types import Refused

COOKIE = "earmark"
GUEST_COOKIE = "earmark_guest"  # the token of an invitation: it ends when the invitation does
COOKIE_MAX_AGE_SEC = 30 * 24 * 3600
LISTEN = "/listen/"
REVIEWER_PATHS = ("/listen", "/blind", "/look")  # a reviewer hears clips and answers: no run, no checkpoint, no export
PUBLIC_PATHS = ("/login", "/look", "/manifest.json", "/pwa_icon", "/favicon.ico")  # fetched without cookies

# What Gradio can do and no page of ours asks for: files by path, fetching other servers, uploads.
UNUSED = re.compile(r"/gradio_api/(file[=/]|proxy=|upload|stream/)")


class Role(StrEnum):
    ENGINEER = "engineer"
    REVIEWER = "reviewer"


def is_loopback(host: str) -> bool:
    """True for an address that only this machine can reach."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Who listens: an invited reviewer, by name, or somebody else of this workspace. `everybodys` opens any sitting."""

    reviewer: str | None = None
    everybodys: bool = True


@dataclass(frozen=True, kw_only=True)
class Access:
    """The rules of one server. Empty tokens: bound to this machine, and open to whoever sits at it."""

    host: str
    engineer_token: str = ""
    reviewer_token: str = ""
    guest: Callable[[str], str | None] = lambda token: None  # the reviewer whom an invitation's token lets in

    @property
    def is_open(self) -> bool:
        return not self.engineer_token

    def role(self, token: str) -> Role | None:
        """The role that a token opens; compared in constant time."""
        for known, role in ((self.engineer_token, Role.ENGINEER), (self.reviewer_token, Role.REVIEWER)):
            if known and hmac.compare_digest(token.encode(), known.encode()):
                return role
        return None

    def cookie(self, role: Role) -> str:
        """What a browser keeps instead of the token. It ends with the token that it was made from."""
        token = self.engineer_token if role is Role.ENGINEER else self.reviewer_token
        return hmac.new(token.encode(), f"earmark {role}".encode(), hashlib.sha256).hexdigest()

    def role_of_cookie(self, value: str) -> Role | None:
        """The role that a browser's cookie stands for."""
        for role, token in ((Role.ENGINEER, self.engineer_token), (Role.REVIEWER, self.reviewer_token)):
            if token and hmac.compare_digest(value.encode(), self.cookie(role).encode()):
                return role
        return None


def rules(host: str, *, reviewer_token: str = "", engineer_token: str = "") -> Access:
    """The rules for a server at `host`. Raises Refused when others could reach it and no token was set.

    An engineer token that is needed and was not given is made up; the caller prints it once.
    """
    if not is_loopback(host) and not reviewer_token and not engineer_token:
        raise Refused(
            f"--host {host} lets other machines in: give --engineer-token too (reviewers then come by invitation), or "
            "--reviewer-token (with it they open Listen alone), or leave --host out to serve this machine only."
        )
    if reviewer_token and not engineer_token:
        engineer_token = secrets.token_urlsafe(18)
    if reviewer_token and reviewer_token == engineer_token:
        raise Refused("The reviewer token and the engineer token are the same; give reviewers one of their own.")
    return Access(host=host, engineer_token=engineer_token, reviewer_token=reviewer_token)


class Guard:
    """ASGI middleware: no request reaches the app without passing here."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await ((await self._answer(Request(scope, receive))) or self.app)(scope, receive, send)
        else:  # nothing here speaks over a web socket
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, request: Request) -> Response | None:
        """A refusal, a redirect or the login page; None lets the request through."""
        if not self._is_own_page(request):
            return JSONResponse({"error": "This request did not come from one of Earmark's own pages."}, 403)
        if UNUSED.search(request.url.path):
            return JSONResponse({"error": "Earmark's pages neither upload files nor fetch them by path."}, 403)
        if "invite" in request.query_params and request.method == "GET":
            return self._welcome(request, request.query_params["invite"])
        request.scope.setdefault("state", {})["listener"] = self._listener(request)
        if self.access.is_open:
            return None
        if request.url.path == "/login":
            return await self._login(request)
        if "token" in request.query_params and request.method == "GET":
            return self._enter(request, request.query_params["token"], _without(request, "token"))
        return self._admit(request)

    def _listener(self, request: Request) -> Listener:
        """An invited reviewer hears their own sittings alone, unless they are more than that by another token."""
        token = _cookie(request, GUEST_COOKIE)
        reviewer = self.access.guest(token) if token else None
        is_member = self.access.is_open or self.access.role_of_cookie(_cookie(request, COOKIE)) is not None
        return Listener(reviewer=reviewer, everybodys=is_member)

    def _welcome(self, request: Request, token: str) -> Response:
        """Somebody opens the link of an invitation: from now on their browser has the token in a cookie."""
        if self.access.guest(token) is None:
            return _login_page("This invitation has ended or was taken back. Ask for a new link.", status=401)
        answer = RedirectResponse(_without(request, "invite"), 303)
        self._set_cookie(request, answer, GUEST_COOKIE, token)
        return answer

    def _is_own_page(self, request: Request) -> bool:
        """Refuses a name that merely points at this machine (DNS rebinding) and a write sent from a foreign page."""
        host = request.headers.get("host", "")
        if is_loopback(self.access.host) and not is_loopback(_name(host)):
            return False
        origin = request.headers.get("origin")
        return request.method in ("GET", "HEAD") or origin is None or urlsplit(origin).netloc == host

    def _admit(self, request: Request) -> Response | None:
        path = request.url.path
        role = self.access.role_of_cookie(_cookie(request, COOKIE))
        if role is None and request.state.listener.reviewer is not None:
            role = Role.REVIEWER
        if role is Role.ENGINEER or _under(path, PUBLIC_PATHS) or (role and _under(path, REVIEWER_PATHS)):
            return None
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse(
                {"error": "Sign in first." if role is None else "Reviewers listen only."}, 401 if role is None else 403
            )
        return RedirectResponse(LISTEN if role else "/login", 303)

    async def _login(self, request: Request) -> Response:
        if request.method != "POST":
            return _login_page("")
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        return self._enter(request, form.get("token", ""), "/")

    def _enter(self, request: Request, token: str, to: str) -> Response:
        role = self.access.role(token)
        if role is None:
            return _login_page("This token is not known. Ask for a new link.", status=401)
        answer = RedirectResponse(to, 303)
        self._set_cookie(request, answer, COOKIE, self.access.cookie(role))
        return answer

    def _set_cookie(self, request: Request, answer: Response, name: str, value: str) -> None:
        answer.set_cookie(
            name,
            value,
            max_age=COOKIE_MAX_AGE_SEC,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        answer.headers["Referrer-Policy"] = "no-referrer"  # the token was in the address
        answer.headers["Cache-Control"] = "no-store"


def _name(host: str) -> str:
    """The name in a Host header, without the port."""
    return host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]


def _under(path: str, prefixes: tuple[str, ...]) -> bool:
    return any(path == prefix or path.startswith(prefix + "/") for prefix in prefixes)


def _cookie(request: Request, name: str) -> str:
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _without(request: Request, name: str) -> str:
    """The address that was asked for, without the secret in it."""
    left = urlencode([(k, v) for k, v in request.query_params.multi_items() if k != name])
    return request.url.path + (f"?{left}" if left else "")


def _login_page(told: str, status: int = 200) -> Response:
    notice = f'<p class="em-notice em-bad" role="alert">{told}</p>' if told else ""
    return HTMLResponse(
        f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Earmark: sign in</title><link rel="stylesheet" href="/look/earmark.css"><script src="/look/theme.js"></script>
<body class="em" style="margin:0;background:var(--paper)"><main style="max-width:420px;margin:12vh auto;padding:16px">
<form class="em-card em-stack" method="post" action="/login"><h1><span class="em-logo">ear<i>mark</i></span></h1>
<p>Paste the token that you were given, or open the link that came with it.</p>{notice}
<input name="token" type="password" autocomplete="current-password" aria-label="Token" required autofocus>
<button class="em-primary" style="width:100%">Sign in</button></form></main></body></html>""",
        status,
        headers={"Cache-Control": "no-store"},
    )
