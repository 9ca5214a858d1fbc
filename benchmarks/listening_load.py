"""A hundred reviewers at once, over HTTP, against the app as it is started: how long from an answer to the next trial
ready to play, how long a clip takes, and whether any answer was lost, doubled or crossed.

The reviewers are coroutines of this process, each with an invitation, a connection or two, and a cookie of their own.
Their sounds are shaped noise of the length of short lines: the server does with it what it does with speech.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from benchmarks.measure import Row, Table
from engine import audio
from engine.store import Store
from engine.studio import Studio
from engine.types import Candidate, Clip, GenerationSettings, ListeningTest, Stop, Tier, TrialKind
from engine.workspace import Workspace

REVIEWERS = 100
CANDIDATES = 6
LINES = 8
CLIP_SEC = (3.6, 5.6)  # with margins and buckets of 2 s: 4 or 6 s of audio, 192 or 288 kB a side
SEED = 20
LISTENING_SEC = (3.0, 9.0)  # between two answers; two clips of 5 s take a person longer
MEASURED_SEC = 30.0
RUSH_SEC = 8.0  # without any pause: what the machine can do at most
RATE_HZ = 24_000
STARTED_WITHIN_SEC = 60.0


@dataclass
class Seen:
    """What the reviewers measured and sent."""

    opened_sec: list[float] = field(default_factory=list)  # all at the same moment: link -> first trial, audio here
    ready_sec: list[float] = field(default_factory=list)  # answer -> next trial, all its audio here
    clip_sec: list[float] = field(default_factory=list)
    answered: dict[str, tuple[str, str]] = field(default_factory=dict)  # trial -> session, choice
    in_doubt: set[str] = field(default_factory=set)  # sent, and cut off before the reply


def run(turns: int, base_model: str) -> Sequence[Table]:
    """Both tables: reviewers who listen, and reviewers who do nothing but click."""
    with tempfile.TemporaryDirectory(prefix="earmark-load-") as folder:
        home = Path(folder)
        invites = _prepare(home)
        with _served(home) as address:
            calm = asyncio.run(_listen(address, invites, LISTENING_SEC, MEASURED_SEC, preload=False))
            ahead = asyncio.run(_listen(address, invites, LISTENING_SEC, MEASURED_SEC, preload=True))
            begin = time.perf_counter()
            rush = asyncio.run(_listen(address, invites, (0.0, 0.0), RUSH_SEC, preload=False))
            rush_sec = time.perf_counter() - begin
        faults = _faults(home, [calm, ahead, rush])
    return [
        Table(
            f"{REVIEWERS} reviewers, {LISTENING_SEC[0]:g} to {LISTENING_SEC[1]:g} s between a reviewer's answers",
            [
                *_rows("all audio asked for after the answer", calm),
                *_rows("the next trial's audio asked for ahead", ahead),
                Row("all open their links at the same moment: until the first trial", _quantiles(calm.opened_sec)),
            ],
            f"Reviewers and server share {os.cpu_count()} cores. Each trial: two clips of {CLIP_SEC[0]:g} to "
            f"{CLIP_SEC[1]:g} s.",
        ),
        Table(
            f"{REVIEWERS} reviewers who do nothing but click",
            [
                Row("answers a second", f"{len(rush.answered) / rush_sec:.0f}"),
                *_rows("", rush, aim=""),
            ],
            "No pause at all: the queue is as long as there are reviewers.",
        ),
        Table("Answers, held against the log", [Row(what, str(count), aim="0") for what, count in faults.items()]),
    ]


def _rows(how: str, seen: Seen, aim: str = "p95 < 150 ms") -> list[Row]:
    return [
        Row(f"answer to ready to play {how}".strip(), _quantiles(seen.ready_sec), f"{len(seen.ready_sec)} times", aim),
        Row(f"a clip {how}".strip(), _quantiles(seen.clip_sec), f"{len(seen.clip_sec)} clips", aim),
    ]


def _quantiles(seconds: Sequence[float]) -> str:
    if not seconds:
        return "-"
    p50, p95, p99 = (1e3 * float(np.quantile(seconds, q)) for q in (0.5, 0.95, 0.99))
    return f"p50 {p50:.0f}, p95 {p95:.0f}, p99 {p99:.0f} ms"


# ------------------------------------------------------------------------------------------------------------ workspace
def _prepare(home: Path) -> list[str]:
    """A workspace with a test for all reviewers; returns the path of each one's invitation."""
    voices = [Candidate(backend="finch", voice="robin")]
    voices += [replace(voices[0], checkpoint_id=f"load@{n:06d}", lora_scale=0.5) for n in range(1, CANDIDATES)]
    with Studio(Workspace(home)) as studio:
        for voice in voices:
            studio.store.add_clips([_clip(home, voice, line) for line in range(LINES)])
        names = tuple(f"Reviewer {n:03d}" for n in range(REVIEWERS))
        plan = studio.new_test(TrialKind.PREFERENCE, by="the benchmark")
        plan = replace(plan, name="load", candidates=tuple(voices), reviewers=names, catch_rate=0.1)
        test: ListeningTest = studio.make_test(plan)
        assert len(studio.test(test.id).sittings) == REVIEWERS
        return [studio.invite(name, by="the benchmark").path for name in names]


def _clip(home: Path, candidate: Candidate, line: int) -> Clip:
    draw = np.random.default_rng([SEED, line, round(1000 * candidate.lora_scale), len(candidate.id)])
    seconds = draw.uniform(*CLIP_SEC)
    n = round(seconds * RATE_HZ)
    syllables = 0.6 + 0.4 * np.sin(2 * np.pi * 4.0 * np.arange(n) / RATE_HZ)
    path = home / "clips" / f"{candidate.id.replace('/', '-').replace(':', '-')}-{line}.flac"
    audio.write(path, (0.1 * syllables * draw.standard_normal(n)).astype(np.float32), RATE_HZ)
    return Clip(
        id=f"{candidate.id} {line}",
        candidate=candidate,
        adapter_sha256=None,
        script_sha256="load",
        line_id=f"line-{line}",
        tier=Tier.SHORT,
        text=f"This is line {line} of the script.",
        seed=SEED,
        path=path,
        sample_rate=RATE_HZ,
        duration_sec=seconds,
        stop=Stop.EOS,
        chunks=1,
        settings=GenerationSettings(),
        harness_version="1",
        render_sec=0.1,
    )


@contextmanager
def _served(home: Path) -> Iterator[str]:
    """The app as anybody starts it, for the block alone; gives its address."""
    command = [sys.executable, "app.py", "--home", str(home), "--port", "0", "--no-browser"]
    command += ["--engineer-token", "benchmark-engineer-token"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as process:
        try:
            assert process.stdout is not None
            address = urlsplit(process.stdout.readline().split()[-1])
            asyncio.run(_until_open(f"{address.hostname}:{address.port}"))
            yield f"{address.hostname}:{address.port}"
        finally:
            process.terminate()
            process.wait(timeout=30)


async def _until_open(address: str) -> None:
    end = time.monotonic() + STARTED_WITHIN_SEC
    while time.monotonic() < end:
        browser = Browser(address)
        try:
            if (await browser.get("/look/theme.js"))[0] == 200:  # the app answers, not the opening page
                return
        except OSError:
            pass
        finally:
            browser.close()
        await asyncio.sleep(0.2)
    raise TimeoutError("The app did not open.")


# ------------------------------------------------------------------------------------------------------------ reviewers
class Browser:
    """As much of HTTP/1.1 as is needed, over kept connections: a client that costs little beside the server."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._cookie = ""

    async def get(self, path: str) -> tuple[int, bytes]:
        return await self._ask(f"GET {path} HTTP/1.1\r\n", b"")

    async def post(self, path: str, told: Any) -> tuple[int, bytes]:
        body = json.dumps(told).encode()
        head = f"POST {path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return await self._ask(head, body)

    def close(self) -> None:
        for _, writer in self._free:
            writer.close()
        self._free = []

    async def _ask(self, head: str, body: bytes) -> tuple[int, bytes]:
        if self._free:
            try:
                return await self._ask_over(*self._free.pop(), head, body)
            except (asyncio.IncompleteReadError, ConnectionError):
                pass  # it was closed while it lay idle; a browser asks again too
        host, _, port = self._address.partition(":")
        return await self._ask_over(*await asyncio.open_connection(host, int(port), limit=2**20), head, body)

    async def _ask_over(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str, body: bytes
    ) -> tuple[int, bytes]:
        cookie = f"Cookie: {self._cookie}\r\n" if self._cookie else ""
        writer.write(f"{head}Host: {self._address}\r\nAccept: application/json\r\n{cookie}\r\n".encode() + body)
        told = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in told[1:])}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        if "set-cookie" in headers:
            self._cookie = headers["set-cookie"].partition(";")[0]
        self._free.append((reader, writer))
        return int(told[0].split()[1]), content


async def _listen(
    address: str, invites: Sequence[str], pause_sec: tuple[float, float], seconds: float, *, preload: bool
) -> Seen:
    seen = Seen()
    end = time.perf_counter() + seconds
    draws = [random.Random(f"{SEED} {place}") for place in range(len(invites))]
    await asyncio.gather(
        *(
            _reviewer(address, invite, seen, draw, pause_sec, end, preload=preload)
            for invite, draw in zip(invites, draws, strict=True)
        )
    )
    return seen


async def _reviewer(
    address: str,
    invite: str,
    seen: Seen,
    draw: random.Random,
    pause_sec: tuple[float, float],
    end: float,
    *,
    preload: bool,
) -> None:
    """One reviewer from their link until the time is up: hear, think, answer."""
    browser = Browser(address)
    begin = time.perf_counter()
    await browser.get(invite)
    sittings = json.loads((await browser.get("/blind/sittings"))[1])["sittings"]
    if not sittings:
        return
    session = sittings[0]["session"]
    here: set[str] = set()
    trial = await _trial(browser, session, Seen(), here)
    seen.opened_sec.append(time.perf_counter() - begin)
    await asyncio.sleep(draw.uniform(0, pause_sec[1]))  # they do not all begin at once
    while trial.get("slots") and time.perf_counter() < end:
        if preload:
            await _clips(browser, trial["upcoming"], seen, here)
        await asyncio.sleep(draw.uniform(*pause_sec))
        choice = draw.choice(["a", "b", "tie"])
        told = {"session": session, "trial": trial["trial"], "choice": choice, "plays": {"A": 1, "B": 1}}
        told["events"] = [[0.1 * n, "switch", "AB"[n % 2], 0.0] for n in range(12)]
        begin = time.perf_counter()
        status, _ = await browser.post("/blind/answer", told)
        assert status == 200, status
        seen.answered[trial["trial"]] = (session, choice)
        trial = await _trial(browser, session, seen, here)
        seen.ready_sec.append(time.perf_counter() - begin)
    browser.close()


async def _trial(browser: Browser, session: str, seen: Seen, here: set[str]) -> Any:
    """The next trial once all its audio is here, as the page waits for it."""
    trial = json.loads((await browser.get(f"/blind/trial?session={session}"))[1])
    await _clips(browser, [slot["token"] for slot in trial.get("slots", ())], seen, here)
    return trial


async def _clips(browser: Browser, tokens: Sequence[str], seen: Seen, here: set[str]) -> None:
    async def clip(token: str) -> None:
        begin = time.perf_counter()
        status, content = await browser.get(f"/blind/audio/{token}")
        assert status == 200
        assert len(content) > 100_000
        seen.clip_sec.append(time.perf_counter() - begin)
        here.add(token)

    await asyncio.gather(*(clip(token) for token in tokens if token not in here))


# -------------------------------------------------------------------------------------------------------------- the log
def _faults(home: Path, runs: Sequence[Seen]) -> dict[str, int]:
    """Answers that the server confirmed and the log does not have, has twice, or has otherwise or elsewhere."""
    sent = {trial: told for seen in runs for trial, told in seen.answered.items()}
    kept: dict[str, list[tuple[str, str]]] = {}
    with Store(home / "evaluations.duckdb") as store:
        for session in store.sessions():
            for response in store.response_history(session.id):
                kept.setdefault(response.trial_id, []).append((session.id, str(response.choice)))
    return {
        f"lost, of {len(sent)}": sum(trial not in kept for trial in sent),
        "doubled": sum(len(each) > 1 for each in kept.values()),
        "crossed or changed": sum(kept[trial][0] != told for trial, told in sent.items() if trial in kept),
        "never sent": sum(trial not in sent for trial in kept),
    }
