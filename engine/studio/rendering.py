"""Use cases about clips: candidates, what screeners say of their clips, the scores as a grid, any text spoken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine import adapter_files, dataset, harness, tiers
from engine.studio.grid import Grid, Measure, grid
from engine.studio.prompting import Prompting
from engine.studio.tempo import RateTrend, rate_trends
from engine.tiers import Fit
from engine.types import (
    Adapter,
    Candidate,
    Clip,
    NotFound,
    Reference,
    Score,
    Speech,
    Tier,
    Utterance,
    WordScore,
)
from engine.workspace import Workspace

if TYPE_CHECKING:
    from engine import screeners
    from engine.screeners import Ear, Profile


class Rendering(Prompting):
    """What the Sweep page does."""

    def __init__(self, workspace: Workspace, *, clock: Callable[[], float], device: str = "auto") -> None:
        super().__init__(workspace, clock=clock, device=device)
        self._ears: dict[tuple[str, str], tuple[Ear, ...]] = {}  # by backend and language
        self._targets: dict[str, Profile | None] = {}  # by dataset
        self._bases: dict[str, Profile | None] = {}  # by the base's clip

    # ----------------------------------------------------------------------------------------------------- candidates
    def candidates(
        self, checkpoint_ids: Iterable[str], scales: Iterable[float], *, with_base: bool = True
    ) -> list[Candidate]:
        """Every checkpoint at every scale, and the base of each voice as the control. Scale 0 is the base itself."""
        found: dict[str, Candidate] = {}
        steered = sorted({float(s) for s in scales if s})
        for checkpoint_id in checkpoint_ids:
            adapter = self.checkpoint(checkpoint_id).adapter
            if with_base:
                base = Candidate(backend=adapter.backend, voice=adapter.voice)
                found[base.id] = base
            for scale in steered:
                candidate = Candidate(
                    backend=adapter.backend, voice=adapter.voice, checkpoint_id=checkpoint_id, lora_scale=scale
                )
                found[candidate.id] = candidate
        return list(found.values())

    def label(self, candidate: Candidate) -> str:
        """How pages name a candidate: 'epoch 3 at 0.35', 'base'."""
        if candidate.checkpoint_id is None:
            return f"base ({candidate.voice})"
        try:
            epoch = f"epoch {self.checkpoint(candidate.checkpoint_id).epoch}"
        except NotFound:
            step = candidate.checkpoint_id.partition("@")[2]
            epoch = f"step {int(step) if step.isdecimal() else step} (removed)"
        return f"{epoch} at {candidate.lora_scale:g}"

    # ------------------------------------------------------------------------------------------------ clips and scores
    def clips(self, candidates: Iterable[Candidate] | None = None) -> list[Clip]:
        """The rendered clips of some candidates, or all."""
        return self.store.clips(None if candidates is None else [c.id for c in candidates])

    def clip(self, clip_id: str) -> Clip:
        """One clip. Raises NotFound."""
        return self.store.clip(clip_id)

    def is_screened(self, clip_id: str) -> bool:
        """Whether every screener, as it is now, has answered about a clip."""
        from engine import screeners

        known = {(score.screener, score.version) for score in self.store.scores([clip_id]).get(clip_id, [])}
        return {(each.name, each.version) for each in screeners.SCREENERS.values()} <= known

    def screen(self, clip: Clip) -> list[Score]:
        """All screeners' answers about a clip; computed once and kept."""
        from engine import screeners

        if self.is_screened(clip.id):
            return self.store.scores([clip.id])[clip.id]
        ears = self._ears_of(clip.candidate.backend, clip.language)
        fresh = screeners.screen(clip, ears=ears, target=self._target(clip), base=self._base(clip))
        self.store.add_scores(fresh)
        return fresh

    def screen_file(
        self, path: Path, text: str, *, backend: str = "finch", language: str = "en"
    ) -> screeners.Screening:
        """All screeners' answers about any file that should say `text`; nothing is kept."""
        from engine import screeners

        return screeners.screen_file(path, text, ears=self._ears_of(backend, language), language=language)

    def scores(self, clip_ids: Sequence[str]) -> dict[str, list[Score]]:
        """What the screeners said, by clip."""
        return self.store.scores(clip_ids)

    def words(self, clip_id: str) -> tuple[WordScore, ...]:
        """The clip's words with their times, by alignment of the audio against the text."""
        from engine import screeners

        clip = self.clip(clip_id)
        return screeners.words(clip, self._ears_of(clip.candidate.backend, clip.language))

    def measures(self) -> tuple[Measure, ...]:
        """What a grid can be coloured by."""
        from engine import screeners

        return tuple(
            Measure(name=each.name, title=each.title, unit=each.unit, about=each.about)
            for each in screeners.SCREENERS.values()
        )

    def grid(
        self,
        run_id: str,
        measure: str,
        *,
        tier: Tier | None = None,
        script_sha256: str = "",
        reference_sha256: str | None = None,
    ) -> Grid:
        """One measure over a run's checkpoints and scales, with the base as the first row: of all clips, or of one
        tier, one script, one reference ("" is none).
        """
        found = self.checkpoints(run_id)
        ids = {c.id for c in found}
        voices = {(c.adapter.backend, c.adapter.voice) for c in found}
        clips = [
            clip
            for clip in self.clips()
            if (tier is None or clip.tier is tier)
            and script_sha256 in ("", clip.script_sha256)
            and reference_sha256 in (None, clip.reference.sha256 if clip.reference else "")
            and (clip.candidate.checkpoint_id in ids or clip.candidate.is_base)
        ]
        scores = self.scores([clip.id for clip in clips])
        return grid(measure, found, voices, clips, scores)

    def rate_trends(
        self, run_id: str, *, script_sha256: str = "", reference_sha256: str | None = None
    ) -> tuple[RateTrend, ...]:
        """How fast a run's checkpoints speak beside their base at each scale, and whether that drifts over the epochs:
        of all clips, or of one script, one reference ("" is none).
        """
        found = self.checkpoints(run_id)
        voices = {(c.adapter.backend, c.adapter.voice) for c in found}
        bases = [Candidate(backend=backend, voice=voice) for backend, voice in voices]
        ids = {c.id for c in found}
        clips = [
            clip
            for clip in self.clips()
            if (clip.candidate.checkpoint_id in ids or clip.candidate in bases)
            and script_sha256 in ("", clip.script_sha256)
            and reference_sha256 in (None, clip.reference.sha256 if clip.reference else "")
        ]
        return rate_trends(found, clips, self.scores([clip.id for clip in clips]))

    def line_fits(self, run_id: str, script_sha256: str = "") -> tuple[Fit, ...]:
        """How the lines that the base of a run's voice has spoken stand to their tiers, by measured durations."""
        voices = {(c.adapter.backend, c.adapter.voice) for c in self.checkpoints(run_id)}
        controls = [Candidate(backend=backend, voice=voice) for backend, voice in voices]
        clips = [clip for clip in self.clips(controls) if script_sha256 in ("", clip.script_sha256)]
        return tuple(tiers.fits(clips).values())

    # ------------------------------------------------------------------------------------------------------- speaking
    def speak(
        self,
        text: str,
        *,
        candidate: Candidate,
        seed: int = 42,
        settings: Mapping[str, float] | None = None,
        reference: Reference | None = None,
        language: str = "en",
    ) -> Speech:
        """Speak any text through the splitter with the base or a checkpoint at its scale. `settings` are those that are
        set; the rest is as the model has it.
        """
        adapter = None if candidate.checkpoint_id is None else self.checkpoint(candidate.checkpoint_id).adapter
        return self._speak(text, candidate, adapter, seed, settings or {}, reference, language)

    def speak_adapter(
        self,
        text: str,
        *,
        adapter: Path,
        lora_scale: float,
        seed: int = 42,
        settings: Mapping[str, float] | None = None,
        reference: Reference | None = None,
        language: str = "en",
    ) -> Speech:
        """Speak with the adapter in a checkpoint's or an export's folder, whichever workspace it came from."""
        loaded = adapter_files.load_adapter(adapter)
        candidate = Candidate(
            backend=loaded.backend, voice=loaded.voice, checkpoint_id=loaded.sha256, lora_scale=lora_scale
        )
        return self._speak(text, candidate, loaded, seed, settings or {}, reference, language)

    def _speak(
        self,
        text: str,
        candidate: Candidate,
        adapter: Adapter | None,
        seed: int,
        settings: Mapping[str, float],
        reference: Reference | None,
        language: str,
    ) -> Speech:
        with self.host(candidate.backend, wait_sec=30) as host:
            if adapter is not None:
                host.add(adapter)
            return harness.speak(
                text,
                host=host,
                candidate=candidate,
                adapter=adapter,
                seed=seed,
                settings=self.settings_in_force(settings, candidate.backend),
                reference=self._taken(candidate.backend, reference),
                language=language,
            )

    # ------------------------------------------------------------------------------------------- what screeners need
    def _ears_of(self, backend: str, language: str = "en") -> tuple[Ear, ...]:
        if (backend, language) not in self._ears:
            from engine import screeners

            whisper = self._loaded_whisper() if self.whisper_folder is not None else None
            self._ears[backend, language] = screeners.ears(backend, language, whisper)
        return self._ears[backend, language]

    def _target(self, clip: Clip) -> Profile | None:
        """The recorded voice that a clip's candidate was trained towards, as numbers; None for the base."""
        if clip.candidate.checkpoint_id is None:
            return None
        name = self.run(clip.candidate.checkpoint_id.partition("@")[0]).config.dataset
        if name not in self._targets:
            known = {d.id: d for d in self.datasets()}
            recordings = dataset.utterances(known[name]) if name in known else ()
            self._targets[name] = self._profile_of(recordings, clip.candidate.backend)
        return self._targets[name]

    def _base(self, clip: Clip) -> Profile | None:
        """The base voice saying the same line with the same seed, as numbers; None when it was not rendered."""
        control = Candidate(backend=clip.candidate.backend, voice=clip.candidate.voice)
        asked = (clip.text, clip.seed, clip.reference)
        same = [c for c in self.clips([control]) if (c.text, c.seed, c.reference) == asked]
        if not same:
            return None
        if same[0].id not in self._bases:
            self._bases[same[0].id] = self._profile_of(same[:1], clip.candidate.backend)
        return self._bases[same[0].id]

    def _profile_of(self, recordings: Sequence[Utterance] | Sequence[Clip], backend: str) -> Profile | None:
        from engine import screeners

        language = recordings[0].language if recordings else "en"
        return screeners.profile(recordings, self._ears_of(backend, language))
