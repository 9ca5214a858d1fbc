"""The sweep: candidates x lines x seeds become clips, planned first and rendered in mixed batches.

Knows what a clip's audio depends on and how chunks of many clips share a batch. Knows no model and no score: an
`AdapterHost` speaks, screeners listen elsewhere. Planning reads the cache and writes nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import clip_cache, giving_up, harness, pace, speaking_settings
from engine.pace import Pace
from engine.types import (
    Adapter,
    BadInput,
    Candidate,
    Clip,
    GenerationSettings,
    Line,
    NotFound,
    Reference,
    Script,
    SpeakRow,
    Speech,
    Stop,
    Tier,
)

if TYPE_CHECKING:
    from engine.adapters import AdapterHost
    from engine.backends.backend_info import BackendInfo

BATCH_ROWS = 16
WINDOW_BATCHES = 4  # rows are sorted by length within so many batches: tight, and yet clips finish all along the way


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the sweep form says. `tiers` None: all lines of the script. `settings` are those that were set, the rest
    is as each model has it. Every candidate is rendered with each of the `references` that its voice can take, or with
    its `own_references`; None is none.
    """

    candidates: tuple[Candidate, ...]
    script: Script
    seeds: tuple[int, ...] = (42,)
    settings: Mapping[str, float] = field(default_factory=dict)
    tiers: tuple[Tier, ...] | None = None
    references: tuple[Reference | None, ...] = (None,)
    own_references: Mapping[Candidate, tuple[Reference | None, ...]] = field(default_factory=dict)

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
    language: str = "en"
    reference: Reference | None = None


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

    @property
    def backends(self) -> tuple[str, ...]:
        """The voices' models, in the order of the request: each is loaded once and renders all of its own."""
        return tuple(dict.fromkeys(job.candidate.backend for job in self.jobs))

    def of(self, backend: str) -> Plan:
        """The part of the plan that one model renders; costs are those of the whole."""
        return replace(self, jobs=tuple(job for job in self.jobs if job.candidate.backend == backend))


def plan(
    request: Request,
    *,
    clips: Path,
    adapters: Mapping[str, Adapter],
    infos: Mapping[str, BackendInfo],
    paces: Mapping[str, Pace] | None = None,
) -> Plan:
    """What `request` asks for and what it costs. Reads the cache in `clips`; writes nothing and loads no model.

    `adapters` are by checkpoint id, `infos` and `paces` by backend. Raises BadInput for a request without lines, seeds
    or candidates, for a line that the voice cannot pronounce and for a voice that needs a reference and gets none,
    NotFound for a candidate whose adapter or backend is not given.
    """
    for what, given in (("candidate", request.candidates), ("line", request.lines), ("seed", request.seeds)):
        if not given:
            raise BadInput(f"A sweep needs at least one {what}; choose one and try again.")
    candidates = dict.fromkeys(request.candidates)
    speaking_settings.check_names(request.settings, infos.values())
    prompts = {candidate: _prompts(candidate, request, infos) for candidate in candidates}
    jobs = tuple(
        _job(request, candidate, line, seed, prompt, adapters, infos)
        for seed in dict.fromkeys(request.seeds)
        for line in request.lines
        for candidate in candidates
        for prompt in prompts[candidate]
    )
    cached = frozenset(job.key for job in jobs if clip_cache.find(clips, job.key) is not None)
    made = Plan(request=request, jobs=jobs, cached=cached, audio_sec=0.0, estimate_sec=0.0, estimate_bytes=0)
    known = {backend: (paces or {}).get(backend, Pace()) for backend in made.backends}
    lengths = [(expected_sec(job) * known[job.candidate.backend].audio_sec, job) for job in made.missing]
    return replace(
        made,
        audio_sec=sum(length for length, _ in lengths),
        estimate_sec=sum(length * known[job.candidate.backend].render_sec for length, job in lengths),
        estimate_bytes=round(sum(length * known[job.candidate.backend].bytes for length, job in lengths)),
    )


def cached(plan: Plan, clips: Path) -> Iterator[Clip]:
    """The clips of a plan that lie in the cache."""
    for job in plan.jobs:
        if (facts := clip_cache.find(clips, job.key)) is not None:
            yield clip_of(job, clips, facts)


def render(
    plan: Plan,
    *,
    host: AdapterHost,
    clips: Path,
    batch_rows: int = BATCH_ROWS,
    cancelled: Callable[[], bool] = lambda: False,
    spoke: Callable[[Sequence[SpeakRow], float], None] | None = None,
    now: Callable[[], float] = time.time,
) -> Iterator[Clip]:
    """Every clip of the plan: first those in the cache, then the others as they are finished and published. What has
    no job missing should be asked of `cached`, which needs no model.

    Rows of different adapters and scales share a batch. `cancelled` is asked before each batch, and at every step of a
    voice that tells its steps; what was finished stays, and the next sweep goes on from there. `spoke` is told each
    batch with its seconds: a long clip is complete only with its last chunk. Raises DiskFull before rendering when the
    disk is short, Refused (by the host) for an adapter of another base, BadInput (by the voice) for a text that it
    cannot pronounce.
    """
    yield from cached(plan, clips)
    missing = [job for job in plan.missing if clip_cache.find(clips, job.key) is None]
    twins: dict[str, list[Job]] = {}
    for job in plan.jobs:
        twins.setdefault(job.key, []).append(job)
    clip_cache.check_space(clips, plan.estimate_bytes)
    clips.mkdir(parents=True, exist_ok=True)
    for window in _windows(missing, batch_rows * WINDOW_BATCHES):
        for finished, speeches in _spoken(window, host, batch_rows, cancelled, spoke):
            facts = clip_cache.publish(clips, finished.recipe, speeches, rendered_at=now())
            for job in twins[finished.key]:
                yield clip_of(job, clips, facts)
        if cancelled():
            return


# ------------------------------------------------------------------------------------------------------------- planning
def _prompts(candidate: Candidate, request: Request, infos: Mapping[str, BackendInfo]) -> tuple[Reference | None, ...]:
    """The references that a candidate is rendered with; what its model cannot speak is said here."""
    backend = candidate.backend
    if backend not in infos:
        raise NotFound(
            f"There is no backend named {backend!r}; choose candidates of: {', '.join(sorted(infos)) or 'none'}."
        )
    info = infos[backend]
    if info.languages and request.script.language not in info.languages:
        raise BadInput(
            f"{info.title} speaks {', '.join(info.languages)} and the script {request.script.name} is in "
            f"{request.script.language}: choose a script in a language of the voice."
        )
    for line in request.lines:
        if why := info.unpronounceable(line.text):
            raise BadInput(f"The line {line.id!r} cannot be spoken by {backend}: {why.rstrip('.')}.")
    if info.reference == "none":
        return (None,)
    given = tuple(dict.fromkeys(request.own_references.get(candidate, request.references))) or (None,)
    if info.reference == "required" and None in given:
        raise BadInput(f"{info.title} speaks only after a reference: choose a recording of the voice with its words.")
    return given


def _job(
    request: Request,
    candidate: Candidate,
    line: Line,
    seed: int,
    reference: Reference | None,
    adapters: Mapping[str, Adapter],
    infos: Mapping[str, BackendInfo],
) -> Job:
    info = infos[candidate.backend]
    adapter = None if candidate.checkpoint_id is None else adapters.get(candidate.checkpoint_id)
    if candidate.checkpoint_id is not None and adapter is None:
        raise NotFound(f"The adapter of {candidate.id} is not there; its checkpoint may be in the trash.")
    manner = speaking_settings.in_force(request.settings, info)
    settings = dict(adapter.voice_settings) if adapter else {}
    language = request.script.language
    rows = harness.rows(
        line.text,
        voice=candidate.voice,
        seed=seed,
        adapter_sha256=adapter.sha256 if adapter else None,
        lora_scale=candidate.lora_scale if adapter else 0.0,
        voice_settings=settings,
        settings=manner,
        reference=reference,
        language=language,
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
        "language": language,
        "reference_sha256": reference.sha256 if reference else None,
        "seed": seed,
        "settings": {name: value for name, value in asdict(manner).items() if name != "own" or value},
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
        settings=manner,
        rows=tuple(rows),
        language=language,
        reference=reference,
    )


def expected_sec(job: Job) -> float:
    """How long a clip is expected to be, in ordinary speech."""
    return pace.expected_sec(job.line.text, len(job.rows))


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
    jobs: Sequence[Job],
    host: AdapterHost,
    batch_rows: int,
    cancelled: Callable[[], bool],
    spoke: Callable[[Sequence[SpeakRow], float], None] | None,
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
        rows = [jobs[n].rows[i] for n, i in batch]
        try:
            with giving_up.when(cancelled, host.model):
                speeches = _timed(host, rows)
        except giving_up.GaveUp:
            return
        if spoke is not None:
            spoke(rows, sum(speech.render_sec for speech in speeches))
        for (number, index), speech in zip(batch, speeches, strict=True):
            done[number][index] = speech
        for number in dict.fromkeys(number for number, _ in batch):
            if len(done[number]) == len(jobs[number].rows):
                yield jobs[number], [done[number].pop(index) for index in range(len(jobs[number].rows))]


def _timed(host: AdapterHost, rows: list[SpeakRow]) -> list[Speech]:
    """One batch; each row's `render_sec` is its share of the batch's time, by its length."""
    begun = time.perf_counter()
    spoken = harness.spoken(rows, host)
    elapsed = time.perf_counter() - begun
    total = max(1, sum(len(speech.samples) for speech in spoken))
    return [replace(speech, render_sec=elapsed * len(speech.samples) / total) for speech in spoken]


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
        language=job.language,
        reference=job.reference,
        attempts=int(facts.get("attempts", 1)),
    )


def _clip_id(job: Job) -> str:
    """The audio's key with what asked for it: runs with equal adapters, and scripts with a line in common, share the
    audio on disk, and each still has a clip of its own to be judged.
    """
    asked = f"{job.key}/{job.candidate.id}/{job.script_sha256}/{job.line.id}"
    return hashlib.sha256(asked.encode()).hexdigest()
