"""Use cases about leaks of the reference: the clips that the five gates need are rendered, measured and reported.

Beside what a sweep renders that is each clip once more with the reference's text left blank. These clips lie in the
cache alone: they are no candidates for listening. The shuffled null holds each clip's start against the words of
another reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine import backends, leak_records, references, sweep
from engine.jobs import JobView, Report
from engine.leak_records import LeakReport
from engine.studio.answers import reference_of
from engine.studio.sweeping import Sweeping
from engine.types import BadInput, Candidate, Clip, EngineError, Reference, Refused

if TYPE_CHECKING:
    from engine.screeners.leakage import Start
    from engine.studio.leak_tokens import LeakTokens

JOB = "leak check"
Key = tuple[str, int, str]  # line, seed, reference


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """The clips of all candidates: their starts, their errors in per cent, and those with a blank reference text."""

    starts: Mapping[Candidate, Mapping[Key, Start]]
    errors: Mapping[Candidate, Mapping[Key, float]]
    blank_errors: Mapping[Candidate, Mapping[Key, float]]
    tokens: LeakTokens


class LeakChecking(Sweeping):
    """What looks for leaks on the Sweep page."""

    def plan_leak_check(self, request: sweep.Request) -> sweep.Plan:
        """What a leak check of a sweep's candidates would render and cost. Raises Refused where no leak is possible: a
        voice, or a choice, without a reference.
        """
        full, blank = self._leak_plans(request)
        return replace(
            full,
            jobs=full.jobs + blank.jobs,
            cached=full.cached | blank.cached,
            audio_sec=full.audio_sec + blank.audio_sec,
            estimate_sec=full.estimate_sec + blank.estimate_sec,
            estimate_bytes=full.estimate_bytes + blank.estimate_bytes,
        )

    def start_leak_check(self, request: sweep.Request, *, by: str = "") -> str:
        """Render and measure in the background; returns the job's id. What was rendered stays when it is cancelled."""
        self.plan_leak_check(request)
        return self._jobs.start(JOB, lambda report: self._check_leaks(request, by, report))

    def leak_job(self) -> JobView | None:
        """The leak check that was asked for last in this process."""
        return next((job for job in self.jobs() if job.kind == JOB), None)

    def leak_reports(self, run_id: str = "") -> list[LeakReport]:
        """What leak checks found, of one run or all, the latest first."""
        found = leak_records.listing(self.workspace.sweeps)
        return [
            each for each in found if not run_id or (each.candidate.checkpoint_id or "").rpartition("@")[0] == run_id
        ]

    # ---------------------------------------------------------------------------------------------------------- inside
    def _leak_plans(self, request: sweep.Request) -> tuple[sweep.Plan, sweep.Plan]:
        given = tuple(each for each in request.references if each is not None)
        tuned = tuple(each for each in request.candidates if not each.is_base)
        for candidate in tuned:
            if self.takes_references(candidate.backend) == "none":
                raise Refused(f"Not applicable: {candidate.backend} speaks without a reference, so none can leak.")
        if not given or not tuned:
            raise Refused("A leak check needs a checkpoint and a reference that it speaks after; choose both.")
        bases = tuple(Candidate(backend=each.backend, voice=each.voice) for each in tuned)
        full = replace(request, candidates=tuple(dict.fromkeys((*tuned, *bases))), references=given)
        blank = replace(request, candidates=tuned, references=tuple(_blank(each) for each in given))
        return self.plan_sweep(full), self.plan_sweep(blank)

    def _check_leaks(self, request: sweep.Request, by: str, report: Report) -> None:
        full, blank = self._leak_plans(request)
        total = 2 * len(full.jobs) + 2 * len(blank.jobs)
        clips = self._leak_clips(full, 0, total, report)
        fault, blanks = "", list[Clip]()
        try:
            blanks = self._leak_clips(blank, len(full.jobs), total, report)
        except BadInput as error:  # many voices refuse a reference without its text: three gates are left
            fault = str(error)
        measured = self._leaks_measured(clips, blanks, self._other_texts(request), report)
        if measured is None:
            return
        for candidate in dict.fromkeys(clip.candidate for clip in clips if not clip.candidate.is_base):
            leak_records.write(self.workspace.sweeps, self._leak_report(candidate, measured, request, by, fault))

    def _leak_clips(self, plan: sweep.Plan, before: int, total: int, report: Report) -> list[Clip]:
        found: dict[str, Clip] = {}

        def tell(message: str) -> None:
            report(before + len(found), total, message)

        for clip in self._spoken(plan, tell, report.cancelled):
            found[clip.id] = clip
            tell("rendering for the leak check")
        return list(found.values())

    def _leaks_measured(
        self, clips: Sequence[Clip], blanks: Sequence[Clip], others: Callable[[Clip], str], report: Report
    ) -> _Measured | None:
        """None when it was cancelled."""
        from engine import screeners
        from engine.studio import leak_tokens

        starts: dict[Candidate, dict[Key, Start]] = {}
        errors: dict[Candidate, dict[Key, float]] = {}
        blank_errors: dict[Candidate, dict[Key, float]] = {}
        total = 2 * (len(clips) + len(blanks))
        for done, clip in enumerate((*clips, *blanks), start=len(clips) + len(blanks)):
            if report.cancelled():
                return None
            report(done, total, "listening for leaks")
            ears = self._ears_of(clip.candidate.backend, clip.language)
            is_blank = clip.reference is not None and not clip.reference.text
            with self._lane:
                start, percent = screeners.leak(clip, ears, other_text=others(clip))
            (blank_errors if is_blank else errors).setdefault(clip.candidate, {})[_key(clip)] = percent
            if start is not None:
                starts.setdefault(clip.candidate, {})[_key(clip)] = start
        return _Measured(starts=starts, errors=errors, blank_errors=blank_errors, tokens=leak_tokens.of(clips))

    def _leak_report(
        self, candidate: Candidate, measured: _Measured, request: sweep.Request, by: str, fault: str
    ) -> LeakReport:
        from engine.screeners.leakage_gates import gates

        own = measured.starts.get(candidate, {})
        control = measured.starts.get(Candidate(backend=candidate.backend, voice=candidate.voice), {})
        common = [key for key in own if key in control] or list(own)
        blank = measured.blank_errors.get(candidate, {})
        heard = {key for key, start in own.items() if start.is_followed}
        answers = gates(
            [own[key] for key in common],
            base=[control[key] for key in common if key in control],
            errors=[percent for key, percent in measured.errors.get(candidate, {}).items() if key in heard],
            blank_errors=[percent for percent in blank.values() if heard and math.isfinite(percent)],
            tokens=measured.tokens.evidence(candidate, tells=backends.info(candidate.backend).tells_tokens),
        )
        return LeakReport(
            candidate=candidate,
            references=tuple(each.sha256 for each in request.references if each),
            script=request.script.name,
            clips=len(common),
            gates=answers,
            by=by,
            checked_at=self._clock(),
            blank_fault=fault,
        )

    def _other_texts(self, request: sweep.Request) -> Callable[[Clip], str]:
        """For each clip the words of a reference that it was not spoken after: another of the check, of the workspace,
        or a row of the data that the voice learned from.
        """
        texts = [each.text for each in request.references if each is not None]
        texts += [each.reference.text for each in self.references()]
        for candidate in request.candidates:
            if candidate.checkpoint_id is not None:
                try:
                    run = self.run(candidate.checkpoint_id.rpartition("@")[0])
                    texts += [text for _, text in self.dataset_rows(run.config.dataset)[:20]]
                except EngineError:  # its dataset is gone
                    continue
                break
        known = list(dict.fromkeys(text for text in texts if text.strip()))

        def other(clip: Clip) -> str:
            own = clip.reference.text if clip.reference else ""
            usable = [text for text in known if text != own and text != clip.text]
            return usable[clip.seed % len(usable)] if usable else ""

        return other


def _blank(reference: Reference) -> Reference:
    """The same recording without its words: another reference, by its hash."""
    return Reference(audio_path=reference.audio_path, text="", sha256=references.sha256(reference.audio_path, ""))


def _key(clip: Clip) -> Key:
    return clip.line_id, clip.seed, reference_of(clip)
