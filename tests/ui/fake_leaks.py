"""The tests' studio: leak checks. Clips are made like a sweep's, and the engine's own gates judge made-up starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.jobs import Jobs, JobView, Report
from engine.leak_records import LeakReport
from engine.screeners.leakage import Start
from engine.screeners.leakage_gates import gates
from engine.types import Candidate, Refused

JOB = "leak check"
LEAKS_FROM = 0.5  # the scale from which an adapter says the reference's words


class FakeLeaks:
    """The Sweep page's leak checks."""

    clock: Callable[[], float]
    plan_sweep: Callable[[Any], Any]
    _make_clip: Callable[..., Any]
    _jobs: Jobs
    _leaks: dict[Candidate, LeakReport]

    def plan_leak_check(self, request: Any) -> Any:
        if not any(request.references):
            raise Refused("A leak check needs a checkpoint and a reference that it speaks after; choose both.")
        return self.plan_sweep(request)

    def start_leak_check(self, request: Any, *, by: str = "") -> str:
        plan = self.plan_leak_check(request)

        def work(report: Report) -> None:
            for done, job in enumerate(plan.jobs, start=1):
                if report.cancelled():
                    return
                self._make_clip(*job)
                report(done, len(plan.jobs), "rendering for the leak check")
            for candidate in request.candidates:
                if not candidate.is_base:
                    self._leaks[candidate] = self._leak_report(candidate, request, by)

        return self._jobs.start(JOB, work)

    def leak_job(self) -> JobView | None:
        return next((job for job in self._jobs.views() if job.kind == JOB), None)

    def leak_reports(self, run_id: str = "") -> list[LeakReport]:
        return sorted(self._leaks.values(), key=lambda each: (-each.checked_at, each.candidate.id))

    def _leak_report(self, candidate: Candidate, request: Any, by: str) -> LeakReport:
        many = len(request.lines) * len(request.seeds)
        own = [_start(candidate.lora_scale >= LEAKS_FROM)] * many
        return LeakReport(
            candidate=candidate,
            references=tuple(each.sha256 for each in request.references if each),
            script=request.script.name,
            clips=many,
            gates=gates(own, base=[_start(False)] * many, errors=[4.0] * many, blank_errors=[6.0] * many),
            by=by,
            checked_at=self.clock(),
        )


def _start(leaks: bool) -> Start:
    """A clip that begins with two sequences of its reference, still one after 0.93 s; or one with none."""
    null = tuple(n / 100 for n in range(40))
    return Start(
        hits=2 if leaks else 0,
        trimmed_hits=1 if leaks else 0,
        by_chance=0,
        correlation=0.9 if leaks else 0.2,
        null=null,
    )
