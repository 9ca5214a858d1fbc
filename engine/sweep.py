"""The sweep: candidates x lines x seeds become clips, planned first and rendered in mixed batches.

Knows what a clip's audio depends on and how chunks of many clips share a batch. Knows no model and no score: an
`AdapterHost` speaks, screeners listen elsewhere. Planning reads the cache and writes nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import clip_cache, harness
from engine.types import (
    Adapter,
    BadInput,
    Candidate,
    Clip,
    GenerationSettings,
    Line,
    NotFound,
    Script,
    SpeakRow,
    Speech,
    Stop,
    Tier,
)

if TYPE_CHECKING:
    from engine.adapters import AdapterHost
    from engine.backends import BackendInfo

BATCH_ROWS = 16
WINDOW_BATCHES = 4  # rows are sorted by length within so many batches: tight, and yet clips finish all along the way
CHARS_PER_SEC = 14.0  # of ordinary English speech; estimates only
BYTES_PER_SEC = 30_000  # of 16-bit mono FLAC at 24 kHz, rounded up; estimates only
RENDER_SEC_PER_AUDIO_SEC = 0.06  # on two CPU cores, until this workspace has clips to learn from


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the sweep form says. `tiers` None: all lines of the script."""

    candidates: tuple[Candidate, ...]
    script: Script
    seeds: tuple[int, ...] = (42,)
    settings: GenerationSettings = field(default_factory=GenerationSettings)
    tiers: tuple[Tier, ...] | None = None

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple(line for line in self.script.lines if self.tiers is None or line.tier in self.tiers)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One clip to be: what is asked, the rows that speak it, and the content key that names its files."""

    key: str
    recipe: Mapping[str, Any]
    candidate: Candidate
    adapter: Adapter | None
    line: Line
    script_sha256: str
    seed: int
    settings: GenerationSettings
    rows: tuple[SpeakRow, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All jobs of a request, which of them lie in the cache, and what the rest would cost.

    `audio_sec` is the expected length of what is to be rendered, `estimate_sec` the expected time to render it on
    this machine.
    """

    request: Request
    jobs: tuple[Job, ...]
    cached: frozenset[str]  # keys
    audio_sec: float
    estimate_sec: float
    estimate_bytes: int

    @property
    def missing(self) -> tuple[Job, ...]:
        """The jobs that must be rendered, in order; of several with one key only the first."""
        found: dict[str, Job] = {}
        for job in self.jobs:
            if job.key not in self.cached:
                found.setdefault(job.key, job)
        return tuple(found.values())


def plan(
    request: Request,
    *,
    clips: Path,
    adapters: Mapping[str, Adapter],
    infos: Mapping[str, BackendInfo],
) -> Plan:
    """What `request` asks for and what it costs. Reads the cache in `clips`; writes nothing and loads no model.

    `adapters` are by checkpoint id, `infos` by backend. Raises BadInput for a request without lines, seeds or
    candidates and for a line that the voice cannot pronounce, NotFound for a candidate whose adapter or backend is
    not given.
    """
    for what, given in (("candidate", request.candidates), ("line", request.lines), ("seed", request.seeds)):
        if not given:
            raise BadInput(f"A sweep needs at least one {what}; choose one and try again.")
    candidates = dict.fromkeys(request.candidates)
    for backend in {candidate.backend for candidate in candidates}:
        _check_backend(backend, request.lines, infos)
    jobs = tuple(
        _job(request, candidate, line, seed, adapters, infos)
        for seed in dict.fromkeys(request.seeds)
        for line in request.lines
        for candidate in candidates
    )
    facts = {job.key: found for job in jobs if (found := clip_cache.find(clips, job.key)) is not None}
    lengths = {job.key: _expected_sec(job) for job in jobs if job.key not in facts}
    audio_sec = sum(lengths.values())
    return Plan(
        request=request,
        jobs=jobs,
        cached=frozenset(facts),
        audio_sec=audio_sec,
        estimate_sec=audio_sec * _render_factor(facts.values()),
        estimate_bytes=round(audio_sec * BYTES_PER_SEC),
    )


def render(
    plan: Plan,
    *,
    host: AdapterHost,
    clips: Path,
    batch_rows: int = BATCH_ROWS,
    cancelled: Callable[[], bool] = lambda: False,
    now: Callable[[], float] = time.time,
) -> Iterator[Clip]:
    """Every clip of the plan: first those in the cache, then the others as they are finished and published.

    Rows of different adapters and scales share a batch. `cancelled` is asked before each batch; what was finished
    stays, and the next sweep goes on from there. Raises DiskFull before rendering when the disk is short, Refused (by
    the host) for an adapter of another base, BadInput (by the voice) for a text that it cannot pronounce.
    """
    for job in plan.jobs:
        if (facts := clip_cache.find(clips, job.key)) is not None:
            yield clip_of(job, clips, facts)
    missing = [job for job in plan.missing if clip_cache.find(clips, job.key) is None]
    twins: dict[str, list[Job]] = {}
    for job in plan.jobs:
        twins.setdefault(job.key, []).append(job)
    clip_cache.check_space(clips, plan.estimate_bytes)
    clips.mkdir(parents=True, exist_ok=True)
    for window in _windows(missing, batch_rows * WINDOW_BATCHES):
        for finished, speeches in _spoken(window, host, batch_rows, cancelled):
            facts = clip_cache.publish(clips, finished.recipe, speeches, rendered_at=now())
            for job in twins[finished.key]:
                yield clip_of(job, clips, facts)
        if cancelled():
            return


# ------------------------------------------------------------------------------------------------------------- planning
def _check_backend(backend: str, lines: Sequence[Line], infos: Mapping[str, BackendInfo]) -> None:
    if backend not in infos:
        raise NotFound(
            f"There is no backend named {backend!r}; choose candidates of: {', '.join(sorted(infos)) or 'none'}."
        )
    for line in lines:
        if why := infos[backend].unpronounceable(line.text):
            raise BadInput(f"The line {line.id!r} cannot be spoken by {backend}: {why.rstrip('.')}.")


def _job(
    request: Request,
    candidate: Candidate,
    line: Line,
    seed: int,
    adapters: Mapping[str, Adapter],
    infos: Mapping[str, BackendInfo],
) -> Job:
    info = infos[candidate.backend]
    adapter = None if candidate.checkpoint_id is None else adapters.get(candidate.checkpoint_id)
    if candidate.checkpoint_id is not None and adapter is None:
        raise NotFound(f"The adapter of {candidate.id} is not there; its checkpoint may be in the trash.")
    settings = dict(adapter.voice_settings) if adapter else {}
    rows = harness.rows(
        line.text,
        voice=candidate.voice,
        seed=seed,
        adapter_sha256=adapter.sha256 if adapter else None,
        lora_scale=candidate.lora_scale if adapter else 0.0,
        voice_settings=settings,
        settings=request.settings,
    )
    recipe = {
        "cache_version": clip_cache.CACHE_VERSION,
        "backend": candidate.backend,
        "backend_version": info.version,
        "base_sha256": info.base_sha256,
        "adapter_sha256": adapter.sha256 if adapter else None,
        "lora_scale": candidate.lora_scale if adapter else 0.0,
        "voice": candidate.voice,
        "voice_settings": settings,
        "text": line.text,
        "seed": seed,
        "settings": asdict(request.settings),
        "harness_version": harness.HARNESS_VERSION,
    }
    return Job(
        key=clip_cache.key(recipe),
        recipe=recipe,
        candidate=candidate,
        adapter=adapter,
        line=line,
        script_sha256=request.script.sha256,
        seed=seed,
        settings=request.settings,
        rows=tuple(rows),
    )


def _expected_sec(job: Job) -> float:
    return len(job.line.text) / CHARS_PER_SEC + harness.PAUSE_SEC * (len(job.rows) - 1)


def _render_factor(known: Iterable[Mapping[str, Any]]) -> float:
    """Seconds of rendering a second of audio: measured on the cached clips of this request when there are any."""
    measured = [(float(facts["render_sec"]), float(facts["duration_sec"])) for facts in known]
    spoken = sum(duration for _, duration in measured)
    return sum(render for render, _ in measured) / spoken if spoken > 0 else RENDER_SEC_PER_AUDIO_SEC


# ------------------------------------------------------------------------------------------------------------ rendering
def _windows(jobs: Sequence[Job], rows: int) -> Iterator[list[Job]]:
    """Runs of jobs with at least `rows` rows each (the last may have fewer)."""
    window: list[Job] = []
    for job in jobs:
        window.append(job)
        if sum(len(each.rows) for each in window) >= rows:
            yield window
            window = []
    if window:
        yield window


def _spoken(
    jobs: Sequence[Job], host: AdapterHost, batch_rows: int, cancelled: Callable[[], bool]
) -> Iterator[tuple[Job, list[Speech]]]:
    """The jobs as they become complete, with one speech a chunk. Chunks of like length share a batch, longest first."""
    for adapter in {job.adapter.sha256: job.adapter for job in jobs if job.adapter}.values():
        host.add(adapter)
    done: list[dict[int, Speech]] = [{} for _ in jobs]
    order = [(number, index) for number, job in enumerate(jobs) for index in range(len(job.rows))]
    order.sort(key=lambda at: -len(jobs[at[0]].rows[at[1]].text))
    for start in range(0, len(order), batch_rows):
        if cancelled():
            return
        batch = order[start : start + batch_rows]
        for (number, index), speech in zip(batch, _timed(host, [jobs[n].rows[i] for n, i in batch]), strict=True):
            done[number][index] = speech
        for number in dict.fromkeys(number for number, _ in batch):
            if len(done[number]) == len(jobs[number].rows):
                yield jobs[number], [done[number].pop(index) for index in range(len(jobs[number].rows))]


def _timed(host: AdapterHost, rows: list[SpeakRow]) -> list[Speech]:
    """One batch; each row's `render_sec` is its share of the batch's time, by its length."""
    begun = time.perf_counter()
    spoken = host.speak(rows)
    elapsed = time.perf_counter() - begun
    total = max(1, sum(len(speech.samples) for speech in spoken))
    return [
        Speech(
            samples=speech.samples,
            sample_rate=speech.sample_rate,
            tokens=speech.tokens,
            stop=speech.stop,
            render_sec=elapsed * len(speech.samples) / total,
        )
        for speech in spoken
    ]


# -------------------------------------------------------------------------------------------------------------- clips
def clip_of(job: Job, clips: Path, facts: Mapping[str, Any]) -> Clip:
    """The clip that a job became, from what the cache knows of its key."""
    return Clip(
        id=_clip_id(job),
        candidate=job.candidate,
        adapter_sha256=job.adapter.sha256 if job.adapter else None,
        script_sha256=job.script_sha256,
        line_id=job.line.id,
        tier=job.line.tier,
        text=job.line.text,
        seed=job.seed,
        path=clip_cache.audio_path(clips, job.key),
        sample_rate=int(facts["sample_rate"]),
        duration_sec=float(facts["duration_sec"]),
        stop=Stop(facts["stop"]),
        chunks=int(facts["chunks"]),
        settings=job.settings,
        harness_version=str(facts["recipe"]["harness_version"]),
        render_sec=float(facts["render_sec"]),
    )


def _clip_id(job: Job) -> str:
    """The audio's key with what asked for it: runs with equal adapters, and scripts with a line in common, share the
    audio on disk, and each still has a clip of its own to be judged.
    """
    asked = f"{job.key}/{job.candidate.id}/{job.script_sha256}/{job.line.id}"
    return hashlib.sha256(asked.encode()).hexdigest()
