"""A studio without an engine: the same methods and records, a run that is trained already, real audio made on the fly.

It lets the pages be tested without weights, in milliseconds, and can be served by hand:
`python -m tests.ui.fake_studio PORT`.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from engine import audio, backends, references, scripts, speaking_settings, tiers
from engine.inventory import Spent
from engine.jobs import Jobs, JobView, Report
from engine.leak_records import LeakReport
from engine.studio import EachCheckpoint, Measure, grid, tempo
from engine.sweep_progress import SweepView
from engine.sweep_records import AutomaticSweep, SweepRecord, SweepState
from engine.types import (
    Candidate,
    Checkpoint,
    Choice,
    Clip,
    Dataset,
    GenerationSettings,
    NotFound,
    Outcome,
    Promotion,
    Refused,
    Response,
    Retained,
    Run,
    Score,
    Script,
    Speech,
    Stop,
    Tier,
    Trial,
    Verdict,
    WordScore,
)
from engine.workspace import Workspace
from tests.ui.fake_desk import RATE_HZ, FakeDesk, sound
from tests.ui.fake_leaks import FakeLeaks
from tests.ui.fake_listening import FakeListening
from tests.ui.fake_training import RUN_ID, VOICE, FakeTraining, add_runs
from tests.ui.fake_voices import FakeVoices

SECONDS = {Tier.SHORT: 0.6, Tier.MEDIUM: 0.9, Tier.LONG: 1.2}  # of the sound that is made, so that tests are fast
LENGTHS = {Tier.SHORT: 5.0, Tier.MEDIUM: 15.0, Tier.LONG: 32.0}  # of the clip that it stands for
MEASURES = ("words", "rate", "end", "silence", "clipping", "pitch", "similarity")
UNITS = {"words": "%", "rate": "× base", "end": "", "silence": "s", "clipping": "%", "pitch": "Hz", "similarity": "%"}


@dataclass
class FakeStudio(FakeTraining, FakeDesk, FakeVoices, FakeLeaks):
    """Everything in memory but audio and exports. `swapped` turns the sides of every preference trial round."""

    workspace: Workspace
    clock: Callable[[], float] = lambda: 1_790_000_000.0
    swapped: bool = False
    takes: str = "none"  # whether the voice follows a reference
    new_token: Callable[[], str] = lambda: uuid.uuid4().hex
    _datasets: list[Dataset] = field(default_factory=list)
    _runs: dict[str, Run] = field(default_factory=dict)
    _checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    _clips: dict[str, Clip] = field(default_factory=dict)
    _history: list[Promotion] = field(default_factory=list)
    _trash: dict[str, Any] = field(default_factory=dict)
    _pinned: set[str] = field(default_factory=set)
    _asked_of: dict[str, Any] = field(default_factory=dict)
    _automatic: dict[str, AutomaticSweep] = field(default_factory=dict)
    _leaks: dict[Candidate, LeakReport] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.workspace.create()
        self._jobs = Jobs(self.clock)
        self.listening = FakeListening(self)
        self.open_desk()
        self.open_training()

    # ---------------------------------------------------------------------------------------------------------- data
    def backends(self) -> list[str]:
        return ["finch"]

    def base_voices(self, backend: str = "finch") -> tuple[str, ...]:
        return (VOICE, "bora", "calla")

    def scripts(self) -> tuple[str, ...]:
        return scripts.names(scripts.SCRIPTS, self.workspace.scripts)

    def script(self, name: str = "english") -> Script:
        return scripts.load(name, scripts.SCRIPTS, self.workspace.scripts)

    def is_shipped(self, name: str) -> bool:
        return name in scripts.names()

    def script_text(self, name: str) -> str:
        return scripts.to_text(self.script(name))

    def script_faults(self, text: str) -> Any:
        return scripts.faults(text)

    def script_languages(self) -> tuple[str, ...]:
        return scripts.LANGUAGES

    def save_script(self, name: str, text: str, *, language: str) -> Script:
        return scripts.save(self.workspace.scripts, name, text, language=language)

    # ---------------------------------------------------------------------------------------------------- references
    def takes_references(self, backend: str) -> str:
        return self.takes

    def settings_offered(self, backend: str) -> Any:
        return speaking_settings.offered(backends.info(backend))

    def references(self) -> Any:
        return references.listing(self.workspace.references)

    def reference(self, name: str) -> Any:
        return references.load(self.workspace.references, name).reference

    def keep_reference(self, path: Path, text: str, *, name: str = "") -> Any:
        return references.keep(self.workspace.references, path, text, name=name, now=self.clock())

    def dataset_rows(self, dataset_id: str) -> list[tuple[str, str]]:
        return [("row-1", "The first row.")]

    # --------------------------------------------------------------------------------------------------------- sweep
    def candidates(
        self, checkpoint_ids: Iterable[str], scales: Iterable[float], *, with_base: bool = True
    ) -> list[Candidate]:
        found = [Candidate(backend="finch", voice=VOICE)] if with_base else []
        steered = sorted({s for s in scales if s})
        return found + [
            Candidate(backend="finch", voice=VOICE, checkpoint_id=c, lora_scale=s)
            for c in checkpoint_ids
            for s in steered
        ]

    def label(self, candidate: Candidate) -> str:
        if candidate.checkpoint_id is None:
            return f"base ({candidate.voice})"
        return f"epoch {int(candidate.checkpoint_id[-6:]) // 40} at {candidate.lora_scale:g}"

    def plan_sweep(self, request: Any) -> Any:
        jobs = tuple((c, line, s) for c in request.candidates for line in request.lines for s in request.seeds)
        cached = frozenset(self._key(*j) for j in jobs) & self._clips.keys()
        left = len(jobs) - len(cached)
        return SimpleNamespace(
            request=request,
            jobs=jobs,
            cached=cached,
            missing=tuple(j for j in jobs if self._key(*j) not in cached),
            estimate_sec=0.4 * left,
            estimate_bytes=90_000 * left,
            audio_sec=9.0 * left,
        )

    def _key(self, candidate: Candidate, line: Any, seed: int) -> str:
        return hashlib.sha256(f"{candidate.id} {line.id} {seed}".encode()).hexdigest()[:16]

    def screening_sec(self, plan: Any) -> float:
        return 0.05 * plan.audio_sec

    def start_sweep(self, request: Any, *, by: str = "", run_id: str = "") -> str:
        plan = self.plan_sweep(request)
        made = self._jobs.start("sweep", lambda report: self._render(plan.jobs, report))
        self._asked_of[made] = request
        return made

    def sweep_view(self, sweep_id: str) -> SweepView:
        """A sweep as its job tells it."""
        job = self._jobs.view(sweep_id)
        request = self._asked_of[sweep_id]
        record = SweepRecord(
            id=job.id,
            request=request,
            state=SweepState(job.state.value) if job.ended_at else SweepState.RUNNING,
            by="",
            run_id=RUN_ID,
            created_at=job.started_at,
            changed_at=job.ended_at or job.started_at,
            clips=max(1, job.total),
            rendered=job.done,
            screened=job.done,
            error=job.error,
        )
        return SweepView(record=record, done=job.done, total=max(1, job.total), message=job.message, left_sec=12.0)

    def sweeps(self) -> list[SweepView]:
        return [self.sweep_view(job.id) for job in self._jobs.views() if job.id in self._asked_of]

    def cancel_sweep(self, sweep_id: str) -> None:
        self._jobs.cancel(sweep_id)

    pause_sweep = resume_sweep = cancel_sweep

    def automatic_sweeps(self) -> list[AutomaticSweep]:
        return list(self._automatic.values())

    def sweep_new_checkpoints(self, setting: AutomaticSweep) -> None:
        self._automatic[setting.run_id] = setting

    def stop_sweeping_new(self, run_id: str) -> None:
        self._automatic.pop(run_id, None)

    def each_checkpoint(self, setting: AutomaticSweep, backend: str) -> EachCheckpoint:
        lines = self.script(setting.script).lines
        clips = len(lines) * len(setting.scales) * len(setting.seeds)
        return EachCheckpoint(
            lines=lines, clips=clips, audio_sec=9.0 * clips, render_sec=0.4 * clips, screen_sec=0.45 * clips,
            bytes=90_000 * clips,
        )  # fmt: skip

    def _render(self, jobs: Sequence[tuple[Candidate, Any, int]], report: Report) -> None:
        for done, (candidate, line, seed) in enumerate(jobs, start=1):
            if report.cancelled():
                return
            self._make_clip(candidate, line, seed)
            report(done, len(jobs), "rendering")

    def _make_clip(self, candidate: Candidate, line: Any, seed: int) -> Clip:
        key = self._key(candidate, line, seed)
        path = self.workspace.clips / f"{key}.flac"
        seconds = SECONDS[line.tier] * (1 - 0.02 * candidate.lora_scale)
        if not path.exists():
            audio.write(path, sound(key, seconds, 120 + 70 * candidate.lora_scale), RATE_HZ)
        self._clips[key] = clip = Clip(
            id=key,
            candidate=candidate,
            adapter_sha256=None,
            script_sha256="s" * 64,
            line_id=line.id,
            tier=line.tier,
            text=line.text,
            seed=seed,
            path=path,
            sample_rate=RATE_HZ,
            duration_sec=LENGTHS[line.tier],
            stop=Stop.EOS,
            chunks=1,
            settings=GenerationSettings(),
            harness_version="1",
            render_sec=0.1,
        )
        self.listening.store.add_clips([clip])
        return clip

    def job(self, job_id: str) -> JobView:
        return self._jobs.view(job_id)

    def jobs(self) -> list[JobView]:
        return self._jobs.views()

    def close(self) -> None:
        self._jobs.close()

    def cancel(self, job_id: str) -> None:
        self._jobs.cancel(job_id)

    def clips(self, candidates: Iterable[Candidate] | None = None) -> list[Clip]:
        wanted = None if candidates is None else set(candidates)
        return [c for c in self._clips.values() if wanted is None or c.candidate in wanted]

    def clip(self, clip_id: str) -> Clip:
        if clip_id not in self._clips:
            raise NotFound(f"There is no clip {clip_id!r}.")
        return self._clips[clip_id]

    def _value(self, clip: Clip, measure: str) -> float:
        epoch = 0 if clip.candidate.is_base else int(clip.candidate.checkpoint_id[-6:]) // 40  # type: ignore[index]
        scale, long = clip.candidate.lora_scale, {Tier.SHORT: 0, Tier.MEDIUM: 1, Tier.LONG: 2}[clip.tier]
        words = 3 + long + 12 * scale**2 * (0.6 + abs(epoch - 4) / 3) - 3 * scale * (scale < 0.6)
        return {
            "words": words,
            "rate": 1 + 0.02 * scale * epoch,
            "end": 0.0,
            "silence": 0.2,
            "clipping": 0.0,
            "pitch": 120 + 70 * scale,
            "similarity": 100 * scale,
        }[measure]

    def measures(self) -> tuple[Measure, ...]:
        return tuple(Measure(name=m, title=m.capitalize(), unit=UNITS[m], about=f"What {m} are.") for m in MEASURES)

    def scores(self, clip_ids: Sequence[str]) -> dict[str, list[Score]]:
        return {
            i: [
                Score(
                    clip_id=i,
                    screener=m,
                    version=1,
                    value=self._value(self.clip(i), m),
                    unit=UNITS[m],
                    passed=(self._value(self.clip(i), m) < 12) if m == "words" else None,
                    explanation=f"{m} as measured",
                )
                for m in MEASURES
            ]
            for i in clip_ids
        }

    def words(self, clip_id: str) -> tuple[WordScore, ...]:
        clip = self.clip(clip_id)
        texts = clip.text.split()
        step = SECONDS[clip.tier] / len(texts)
        state = lambda i: "dropped" if i == 5 and self._value(clip, "words") > 8 else "merged" if i == 8 else "ok"  # noqa: E731
        return tuple(
            WordScore(text=t, state=state(i), start_sec=i * step, end_sec=(i + 1) * step, log_posterior=-0.1)
            for i, t in enumerate(texts)
        )

    def grid(self, run_id: str, measure: str, *, tier: Tier | None = None, **narrowed: Any) -> Any:
        clips = [c for c in self.clips() if tier is None or c.tier is tier]
        scores = self.scores([c.id for c in clips])
        return grid.grid(measure, self.checkpoints(run_id), {("finch", VOICE)}, clips, scores)

    def rate_trends(self, run_id: str, **narrowed: Any) -> Any:
        clips = self.clips()
        return tempo.rate_trends(self.checkpoints(run_id), clips, self.scores([c.id for c in clips]))

    def manners(self, candidate: Candidate, gate: str = "") -> list[Any]:
        return []

    def line_fits(self, run_id: str, script_sha256: str = "") -> Any:
        return tuple(tiers.fits(self.clips()).values())

    def speak(
        self,
        text: str,
        *,
        candidate: Candidate,
        seed: int = 42,
        settings: GenerationSettings | None = None,
        reference: Any = None,
    ) -> Speech:
        return Speech(samples=sound(text, 1.0), sample_rate=RATE_HZ, tokens=25, stop=Stop.EOS, render_sec=0.1)

    # -------------------------------------------------------------------------------------------------------- listen
    def __getattr__(self, name: str) -> Any:
        """What the studio has from its listening lab is that lab's."""
        if FakeListening.offers(name):
            return getattr(self.listening, name)
        raise AttributeError(name)

    @property
    def _trials(self) -> dict[str, Trial]:
        return self.listening.all_trials()

    @property
    def _responses(self) -> dict[str, Response]:
        return self.listening.all_responses()

    # ---------------------------------------------------------------------------------------------------------- gate
    @property
    def _verdicts(self) -> dict[Candidate, Verdict]:
        return {verdict.candidate: verdict for verdict in self.listening.verdicts()}

    def preferences(self) -> list[Any]:
        return []

    def spent(self) -> list[Spent]:
        adapters = self.checkpoints()
        size = sum(c.bytes for c in adapters)
        return [Spent(what="adapters", count=len(adapters), bytes=size), Spent(what="clips", count=12, bytes=4_000_000)]

    def free_bytes(self) -> int:
        return 50_000_000_000

    def inspect(self, *, checksums: bool = False) -> list[str]:
        return []

    def retention(self) -> list[Retained]:
        verdicts, answered = self._verdicts, self._responses
        open_trials = [t for t in self._trials.values() if t.id not in answered]
        return [self._retained(c, verdicts, open_trials) for c in self.checkpoints()]

    def _retained(
        self, checkpoint: Checkpoint, verdicts: Mapping[Candidate, Verdict], open_trials: Sequence[Trial]
    ) -> Retained:
        reasons = [f"promoted as {p.alias}" for p in self.promotions() if p.candidate.checkpoint_id == checkpoint.id]
        swept = {c.candidate for c in self.clips() if c.candidate.checkpoint_id == checkpoint.id}
        reasons += ["pinned"] if checkpoint.id in self._pinned else []
        reasons += [
            f"passed at {v.candidate.lora_scale:g}"
            for v in verdicts.values()
            if v.candidate in swept and v.outcome is Outcome.PASS
        ]
        if any(self.clip(s.clip_id).candidate in swept for t in open_trials for s in t.slots):
            reasons.append("in an open trial")
        unjudged = [c for c in swept if c not in verdicts or verdicts[c].outcome is Outcome.UNDECIDED]
        if not swept or unjudged:
            reasons.append("not judged yet" if not swept else f"{len(unjudged)} candidates wait for a verdict")
        keep = bool(reasons)
        return Retained(
            checkpoint_id=checkpoint.id,
            keep=keep,
            reasons=tuple(reasons or ["every candidate of it failed"]),
            bytes=checkpoint.bytes,
        )

    def trash(self, checkpoint_ids: Sequence[str], *, by: str) -> list[Any]:
        if not by.strip():
            raise Refused("Moving checkpoints to the trash needs the name of the person who confirms it.")
        stones = []
        for checkpoint_id in checkpoint_ids:
            answer = next(r for r in self.retention() if r.checkpoint_id == checkpoint_id)
            if answer.keep:
                raise Refused(f"{checkpoint_id} stays: {'; '.join(answer.reasons)}.")
            found = self._checkpoints.pop(checkpoint_id)
            stone = SimpleNamespace(
                id=uuid.uuid4().hex[:8],
                checkpoint_id=checkpoint_id,
                by=by,
                reason="; ".join(answer.reasons),
                bytes=found.bytes,
                at=self.clock(),
                verdict_ids=(),
                original=found,
            )
            stone.purge_from = lambda at=stone.at: at + 14 * 86_400
            self._trash[stone.id] = stone
            stones.append(stone)
        return stones

    def trashed(self) -> list[Any]:
        return list(self._trash.values())[::-1]

    def undo(self, tombstone_id: str, *, by: str) -> str:
        stone = self._trash.pop(tombstone_id)
        self._checkpoints[stone.checkpoint_id] = stone.original
        self._checkpoints = dict(sorted(self._checkpoints.items()))
        return str(stone.checkpoint_id)

    def purge(self, tombstone_id: str, *, by: str, typed: str = "") -> None:
        if typed.strip() != self._trash[tombstone_id].checkpoint_id:
            raise Refused("This checkpoint is in the trash since less than 14 days; type its id to delete it now.")
        del self._trash[tombstone_id]

    def pin(self, checkpoint_id: str, *, by: str) -> None:
        self._pinned.add(checkpoint_id)

    def unpin(self, checkpoint_id: str, *, by: str) -> None:
        self._pinned.discard(checkpoint_id)


def with_everything(folder: Path) -> FakeStudio:
    """A studio with a run, a sweep, answers, verdicts, one promoted voice and one checkpoint that may go."""
    studio = FakeStudio(Workspace(folder))
    dataset = studio.prepare(studio.make_demo_data(), name="robin")
    studio.start_run(replace(studio.default_config(), name="robin", dataset=dataset.id))
    found = studio.candidates([c.id for c in studio.checkpoints()], (0.2, 0.3, 0.5, 1.0))
    for candidate in found:
        for line in studio.script("english-brief").lines:
            studio._make_clip(candidate, line, 42)
    judged = [c for c in found if c.is_base or c.lora_scale in (0.3, 1.0) or c.checkpoint_id == f"{RUN_ID}@000040"]
    session = studio.open_gate_session(judged, reviewer="Ana")
    while (view := studio.next_trial(session.id)) is not None:
        clip = studio.clip(studio._trials[view.trial_id].slots[0].clip_id)
        bad = studio._value(clip, "words") > 9 or clip.candidate.checkpoint_id == f"{RUN_ID}@000040"
        studio.answer(view.trial_id, Choice.FAIL if bad else Choice.PASS, reasons=["dropped word"] if bad else [])
    studio.judge(by="Ana")
    studio.open_gate_session([c for c in found if c.lora_scale == 0.5][1:3], reviewer="Ben")
    studio.open_preference_session([(found[6], found[7])], reviewer="Cleo")
    best = next(v.candidate for v in studio.verdicts() if v.outcome is Outcome.PASS and not v.candidate.is_base)
    studio.promote(best, alias="production/robin", by="Ana", reason="Clear best on the long tier.")
    return studio


if __name__ == "__main__":
    import sys
    import tempfile

    from ui import access, server

    home = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp())
    made = with_everything(home) if "empty" not in sys.argv else FakeStudio(Workspace(home))
    if "runs" in sys.argv:
        add_runs(made, made.datasets()[0])
    server.serve(made, access.rules("127.0.0.1"), port=int(sys.argv[1]), open_browser=False)  # type: ignore[arg-type]
