"""The sweep: what is planned, what is rendered, and what a cache may promise."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine import audio, clip_cache, disk, harness, pace, segmentation, sweep
from engine.types import (
    BadInput,
    Candidate,
    Clip,
    DiskFull,
    GenerationSettings,
    Line,
    NotFound,
    Reference,
    Script,
    SpeakingSetting,
    SpeakRow,
    Speech,
    Stop,
    Tier,
)
from tests.fake_host import FakeHost, adapter, backend_info

LONG = "One sentence of an ordinary length stands here. " * 8
ADAPTERS = {"run@000010": adapter("a1"), "run@000020": adapter("a2")}
BASE = Candidate(backend="fake", voice="robin")
STEERED = tuple(
    Candidate(backend="fake", voice="robin", checkpoint_id=checkpoint, lora_scale=scale)
    for checkpoint in ADAPTERS
    for scale in (0.35, 1.0)
)


def script(*texts: str, name: str = "test") -> Script:
    """A script of short lines, the last one long."""
    tiers = [Tier.SHORT] * (len(texts) - 1) + [Tier.LONG]
    lines = tuple(Line(id=f"line-{n}", tier=t, text=x) for n, (t, x) in enumerate(zip(tiers, texts, strict=True)))
    return Script(name=name, language="en", lines=lines, sha256=f"sha-{name}")


def request(**changes: object) -> sweep.Request:
    """Base and two checkpoints at two scales, two lines."""
    asked = sweep.Request(candidates=(BASE, *STEERED), script=script("Good morning.", LONG))
    return replace(asked, **changes)  # type: ignore[arg-type]


@pytest.fixture(name="clips")
def _clips(tmp_path: Path) -> Path:
    return tmp_path / "clips"


def planned(clips: Path, asked: sweep.Request | None = None, **infos: str) -> sweep.Plan:
    return sweep.plan(asked or request(), clips=clips, adapters=ADAPTERS, infos={"fake": backend_info(**infos)})


def rendered(
    clips: Path,
    asked: sweep.Request | None = None,
    *,
    host: FakeHost | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    batch_rows: int = 16,
) -> list[Clip]:
    plan = planned(clips, asked)
    found = sweep.render(
        plan, host=host or FakeHost(), clips=clips, batch_rows=batch_rows, cancelled=cancelled, now=lambda: 1.0
    )  # type: ignore[arg-type]
    return list(found)


def test_a_plan_counts_and_writes_nothing(clips: Path) -> None:
    """Planning is pure: every candidate on every line and seed, the cost, and no file."""
    plan = planned(clips, request(seeds=(1, 2, 2)))
    assert len(plan.jobs) == 5 * 2 * 2
    assert not plan.cached
    assert plan.missing == plan.jobs
    assert plan.audio_sec == pytest.approx(10 * (13 + len(LONG.strip())) / 14, rel=0.05)
    assert plan.estimate_sec > 0
    assert plan.estimate_bytes > 0
    assert not clips.exists()


def test_tiers_choose_lines(clips: Path) -> None:
    """A sweep may be of some tiers only, and must have a line."""
    assert {job.line.tier for job in planned(clips, request(tiers=(Tier.LONG,))).jobs} == {Tier.LONG}
    with pytest.raises(BadInput, match="line"):
        planned(clips, request(tiers=(Tier.MEDIUM,)))


def test_every_clip_is_rendered_once_and_found_again(clips: Path) -> None:
    """A second sweep renders nothing and gives the same clips; a wider one renders only what is new."""
    first = rendered(clips)
    assert len(first) == len({clip.id for clip in first}) == 10
    again = FakeHost()
    assert sorted(c.id for c in rendered(clips, host=again)) == sorted(c.id for c in first)
    assert again.spoken == 0
    wider = FakeHost()
    rendered(clips, request(seeds=(42, 43)), host=wider)
    assert {row.seed for batch in wider.batches for row in batch} == {
        harness.chunk_seed(43, i) for i in range(len(segmentation.split(LONG)))
    }


def test_a_clip_says_what_it_is(clips: Path) -> None:
    """Length, chunks, settings and ending are those of the audio on disk."""
    settings = {"temperature": 0.9}
    found = rendered(clips, request(script=script("Go on forever.", LONG), settings=settings))
    short = next(c for c in found if c.line_id == "line-0")
    long = next(c for c in found if c.line_id == "line-1" and not c.candidate.is_base)
    assert short.stop is Stop.CAP
    assert short.chunks == 1
    assert long.stop is Stop.EOS
    assert long.chunks == len(segmentation.split(LONG))
    assert long.settings == GenerationSettings(temperature=0.9)
    assert long.harness_version == harness.HARNESS_VERSION
    info = audio.probe(long.path)
    assert info.sample_rate == long.sample_rate
    assert info.duration_sec == pytest.approx(long.duration_sec, abs=1e-3)
    assert long.render_sec >= 0


@pytest.mark.parametrize(
    "changed",
    [
        lambda: request(settings={"temperature": 0.31}),
        lambda: request(settings={"max_factor": 2.0}),
        lambda: request(seeds=(43,)),
        lambda: request(script=script("Good evening.", LONG + " ")),
        lambda: request(candidates=tuple(replace(c, lora_scale=c.lora_scale + 0.01) for c in STEERED)),
        lambda: request(candidates=(replace(BASE, voice="wren"),)),
    ],
    ids=["temperature", "cap", "seed", "text", "scale", "voice"],
)
def test_whatever_changes_the_audio_changes_the_key(clips: Path, changed: Callable[[], sweep.Request]) -> None:
    """Nothing stale is ever taken for what was asked."""
    before = {job.key for job in planned(clips).jobs}
    after = {job.key for job in planned(clips, changed()).jobs if job.line.id == "line-0"}
    assert after
    assert not before & after


def test_a_models_own_setting_is_part_of_its_clips_key_alone(clips: Path) -> None:
    """What only one model has is recorded with that model's clips; the key of a model without any is what it was."""
    own = SpeakingSetting(name="guidance", title="Guidance", about="How strictly.", usual=2.0, least=0, most=10)
    plain = planned(clips).jobs[0]
    assert "own" not in plain.recipe["settings"]
    infos = {"fake": replace(backend_info(), own_settings=(own,))}
    usual, set_ = (
        sweep.plan(request(settings=given), clips=clips, adapters=ADAPTERS, infos=infos).jobs[0]
        for given in ({}, {"guidance": 3.0})
    )
    assert len({plain.key, usual.key, set_.key}) == 3
    assert (set_.settings.own, set_.rows[0].settings) == ({"guidance": 3.0}, set_.settings)
    with pytest.raises(BadInput, match="setting 'guidance'"):
        planned(clips, request(settings={"guidance": 3.0}))


@pytest.mark.parametrize("changed", [{"base_sha256": "other"}, {"version": "2"}])
def test_another_base_or_backend_is_another_clip(clips: Path, changed: dict[str, str]) -> None:
    """The base's weights and the code that speaks with them belong to the key."""
    assert not {job.key for job in planned(clips).jobs} & {job.key for job in planned(clips, **changed).jobs}


def test_another_harness_is_another_clip(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed splitter invalidates every clip."""
    before = {job.key for job in planned(clips).jobs}
    monkeypatch.setattr(harness, "HARNESS_VERSION", "next")
    assert not before & {job.key for job in planned(clips).jobs}


def test_equal_audio_is_shared_and_clips_are_not(clips: Path) -> None:
    """Two runs with the same weights share the file, but each candidate has a clip of its own to be judged."""
    twin = Candidate(backend="fake", voice="robin", checkpoint_id="twin@000010", lora_scale=0.35)
    adapters = {**ADAPTERS, "twin@000010": ADAPTERS["run@000010"]}
    asked = request(candidates=(STEERED[0], twin))
    plan = sweep.plan(asked, clips=clips, adapters=adapters, infos={"fake": backend_info()})
    host = FakeHost()
    found = list(sweep.render(plan, host=host, clips=clips))  # type: ignore[arg-type]
    assert len(found) == 4
    assert len({c.id for c in found}) == 4
    assert len({c.path for c in found}) == 2
    assert host.spoken == 1 + len(segmentation.split(LONG))


def test_rows_of_all_candidates_share_batches(clips: Path) -> None:
    """Batches are full, mix adapters and scales, and hold chunks of like length."""
    host = FakeHost()
    rendered(clips, host=host, batch_rows=8)
    assert all(len(batch) == 8 for batch in host.batches[:-1])
    assert max(len({(row.adapter_sha256, row.lora_scale) for row in batch}) for batch in host.batches) >= 3
    assert [len(r.text) for b in host.batches for r in b] == sorted(
        (len(r.text) for b in host.batches for r in b), reverse=True
    )
    assert sorted(set(host.added)) == ["a1", "a2"]


def test_batching_changes_no_audio(clips: Path, tmp_path: Path) -> None:
    """A clip rendered among others is the clip rendered alone."""
    together = {c.id: c.path.read_bytes() for c in rendered(clips)}
    alone = {c.id: c.path.read_bytes() for c in rendered(tmp_path / "alone", batch_rows=1)}
    assert together == alone


def test_a_voice_that_tells_its_steps_is_left_at_the_next_one(clips: Path) -> None:
    """Cancelling a large batch of a slow voice takes a step, not the batch; what was finished before stays, and the
    voice is as it was.
    """

    class Stepping(FakeHost):
        def __init__(self) -> None:
            super().__init__()
            self.model = SimpleNamespace(on_step=None)
            self.steps = 0

        def speak(self, rows: Sequence[SpeakRow]) -> list[Speech]:
            for step in range(100):
                self.steps += 1
                self.model.on_step(step, 100)
            return super().speak(rows)

    host = Stepping()
    finished = rendered(clips, host=host, cancelled=lambda: host.steps >= 130, batch_rows=4)
    assert (host.steps, len(host.batches)) == (130, 1)
    assert {clip.path for clip in finished} == set(clips.glob("*.flac"))
    assert host.model.on_step is None


def test_a_cancelled_sweep_keeps_what_it_finished(clips: Path) -> None:
    """Cancel is heard between batches, and the next sweep goes on from there."""
    host = FakeHost()
    finished = rendered(clips, host=host, cancelled=lambda: len(host.batches) >= 4, batch_rows=4)
    assert 0 < len(finished) < 10
    rest = FakeHost()
    assert len(rendered(clips, host=rest)) == 10
    assert rest.spoken < sum(len(job.rows) for job in planned(clips).jobs)
    assert len(planned(clips).cached) == 10


@pytest.mark.parametrize("torn", ["json", "flac"])
@pytest.mark.parametrize("kept", [0, 20, None], ids=["emptied", "cut", "gone"])
def test_half_a_clip_is_no_clip(clips: Path, torn: str, kept: int | None) -> None:
    """Audio without facts, facts without audio, and either cut short are rendered again."""
    victim = rendered(clips)[0]
    key = victim.path.stem
    path = clips / f"{key}.{torn}"
    content = path.read_bytes()
    path.unlink()
    if kept is not None:
        path.write_bytes(content[:kept])
    assert key not in planned(clips).cached
    rendered(clips)
    assert key in planned(clips).cached


def test_a_killed_render_leaves_nothing_torn(clips: Path) -> None:
    """After kill -9 in the middle, whatever the cache lists is whole, and the sweep can be finished."""
    program = textwrap.dedent(
        f"""
        import os, signal
        from pathlib import Path
        from engine import sweep
        from tests import test_sweep, fake_host
        host = fake_host.FakeHost()
        speak = host.speak
        def dying(rows):
            if len(host.batches) == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            return speak(rows)
        host.speak = dying
        test_sweep.rendered(Path({str(clips)!r}), host=host, batch_rows=4)
        """
    )
    root = Path(__file__).resolve().parent.parent
    died = subprocess.run(
        [sys.executable, "-c", program], cwd=root, env={"PYTHONPATH": str(root), "PATH": ""}, check=False
    )
    assert died.returncode == -signal.SIGKILL
    cached = planned(clips).cached
    assert cached
    for key in cached:
        facts = clip_cache.find(clips, key)
        assert facts is not None
        assert audio.probe(clip_cache.audio_path(clips, key)).duration_sec == pytest.approx(
            facts["duration_sec"], abs=1e-3
        )
    assert len(rendered(clips)) == 10


def test_a_full_disk_is_said_before_anything_is_rendered(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimate is checked first, and the sentence says how much is missing where."""
    monkeypatch.setattr(disk, "free_bytes", lambda _: 1000)
    host = FakeHost()
    with pytest.raises(DiskFull, match="the sweep needs"):
        rendered(clips, host=host)
    assert host.spoken == 0


def test_a_disk_that_fills_up_tears_nothing(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When writing fails for want of space, finished clips stay and the one in work leaves no facts."""
    written: list[Path] = []
    write = audio.write

    def filling(path: Path, *rest: object) -> None:
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(path)
        write(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(audio, "write", filling)
    with pytest.raises(DiskFull, match="finished clips are kept"):
        rendered(clips)
    assert len(planned(clips).cached) == 3
    assert sorted(p.suffix for p in clips.iterdir()) == [".flac"] * 3 + [".json"] * 3


def test_a_line_that_cannot_be_spoken_is_named_before_rendering(clips: Path) -> None:
    """The voice's own reason is passed on with the line's id."""
    with pytest.raises(BadInput, match="'line-0' cannot be spoken by fake: it is unspeakable"):
        planned(clips, request(script=script("unspeakable", LONG)))


def test_a_candidate_without_its_adapter_or_backend_is_named(clips: Path) -> None:
    """A checkpoint that lies in the trash, or a backend that is not there, is a sentence and no key error."""
    gone = Candidate(backend="fake", voice="robin", checkpoint_id="gone@000001", lora_scale=1.0)
    with pytest.raises(NotFound, match="gone@000001"):
        planned(clips, request(candidates=(gone,)))
    with pytest.raises(NotFound, match="'other'"):
        planned(clips, request(candidates=(Candidate(backend="other", voice="x"),)))


def test_an_utterly_silent_voice_still_gives_a_clip(clips: Path) -> None:
    """A model that stops at once is a finding for the screeners, not an error of the sweep."""
    host = FakeHost()
    speak = host.speak
    host.speak = lambda rows: [replace(s, samples=s.samples[:0]) for s in speak(rows)]  # type: ignore[method-assign]
    found = rendered(clips, request(script=script("Nothing.")), host=host)
    assert all(clip.duration_sec == pytest.approx(clip_cache.MIN_SEC) for clip in found)
    assert all(audio.probe(clip.path).duration_sec > 0 for clip in found)


def test_the_estimate_learns_from_what_was_rendered(clips: Path) -> None:
    """Once clips of a backend are there, the rest is expected at their pace, their length and their size."""
    known = [replace(clip, render_sec=2 * clip.duration_sec) for clip in rendered(clips, request(tiers=(Tier.LONG,)))]
    learnt = pace.learnt(known)["fake"]
    assert learnt.render_sec == pytest.approx(2.0)
    assert learnt.audio_sec == pytest.approx(1.0, rel=0.05)
    assert learnt.bytes == pytest.approx(sum(c.path.stat().st_size for c in known) / sum(c.duration_sec for c in known))
    infos = {"fake": backend_info()}
    plan = sweep.plan(request(seeds=(7,)), clips=clips, adapters=ADAPTERS, infos=infos, paces={"fake": learnt})
    assert plan.estimate_sec == pytest.approx(2 * plan.audio_sec)
    assert plan.estimate_bytes == pytest.approx(plan.audio_sec * learnt.bytes, abs=1)
    assert pace.learnt([replace(known[0], path=clips / "gone.flac")]) == {}


PROMPTS = tuple(Reference(audio_path=Path(f"{n}.flac"), text=f"Words {n}.", sha256=n) for n in ("p1", "p2"))


def with_reference(kind: str, **changes: object) -> sweep.Plan:
    infos = {"fake": replace(backend_info(), reference=kind)}
    return sweep.plan(request(**changes), clips=Path("nowhere"), adapters=ADAPTERS, infos=infos)


def test_a_voice_is_rendered_with_every_reference_that_it_can_take() -> None:
    """Each reference is a clip of its own, in every row of it; a prompt-free voice has one clip whatever is chosen."""
    plain = with_reference("optional")
    both = with_reference("optional", references=(None, *PROMPTS))
    assert len(both.jobs) == 3 * len(plain.jobs)
    assert {job.key for job in plain.jobs} < {job.key for job in both.jobs}
    assert all(row.reference == job.reference for job in both.jobs for row in job.rows)
    free = with_reference("none", references=PROMPTS)
    assert [job.key for job in free.jobs] == [job.key for job in with_reference("none").jobs]


def test_a_voice_that_needs_a_reference_says_so() -> None:
    """Without one nothing is planned; with one it is."""
    with pytest.raises(BadInput, match="only after a reference"):
        with_reference("required")
    assert {job.reference for job in with_reference("required", references=PROMPTS[:1]).jobs} == {PROMPTS[0]}


def test_a_clip_names_its_language_reference_and_attempts(clips: Path) -> None:
    """What it was spoken with is kept with it, and a clip that was drawn again says how often."""
    asked = request(
        script=replace(script("Go on forever.", "Good evening."), language="de"),
        references=PROMPTS[:1],
        settings={"retries": 1},
    )
    infos = {"fake": replace(backend_info(), reference="optional")}
    plan = sweep.plan(asked, clips=clips, adapters=ADAPTERS, infos=infos)
    for clip in sweep.render(plan, host=FakeHost(), clips=clips):  # type: ignore[arg-type]
        assert (clip.language, clip.reference) == ("de", PROMPTS[0])
        assert (clip.attempts, clip.stop) == ((2, Stop.CAP) if clip.line_id == "line-0" else (1, Stop.EOS))


def test_a_plan_over_several_models_has_a_part_for_each(clips: Path) -> None:
    """Candidates of two backends in one request are rendered model by model, and nothing is left out."""
    other = Candidate(backend="other", voice="robin")
    infos = {"fake": backend_info(), "other": backend_info("other")}
    plan = sweep.plan(request(candidates=(BASE, other, *STEERED)), clips=clips, adapters=ADAPTERS, infos=infos)
    assert plan.backends == ("fake", "other")
    parts = [plan.of(backend) for backend in plan.backends]
    assert [len(part.jobs) for part in parts] == [10, 2]
    assert sum(len(list(sweep.render(part, host=FakeHost(), clips=clips))) for part in parts) == 12  # type: ignore[arg-type]
