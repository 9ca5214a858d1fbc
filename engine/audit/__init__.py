"""The data audit: what is wrong with each row of a manifest, in a sentence, with the mend. It changes nothing.

Knows the order of things: rows are measured once, in worker processes, then every check judges the measurements. What
a check knows is in the file of its name. What a voice needs comes in as `Needs`, a recogniser as an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from engine.audit import (
    duplicates,
    fingerprints,
    headers,
    levels,
    overlaps,
    speakers,
    texts,
    timing,
    transcripts,
    worker_pool,
)
from engine.audit.row import RowFacts
from engine.needs import Needs
from engine.recogniser import Recogniser
from engine.types import AuditFinding, AuditReport, Manifest, Refused, Severity

Progress = Callable[[int, int, str], None]
CHECKS = (
    "empty_text boilerplate tags text_too_long text_too_short no_speech sample_rate channels clipping noise silence "
    "duration duplicate overlap transcript_mismatch speaker unreadable missing encoding repeated_text unpronounceable "
    "little_speech"
).split()
_LISTENS = "transcript_mismatch"
MEASURING, COMPARING, LISTENING = "Measuring rows", "Comparing rows", "Listening to rows"


def audit(
    manifest: Manifest,
    needs: Needs,
    *,
    recogniser: Recogniser | None = None,
    workers: int | None = None,
    on_progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> AuditReport:
    """Look at every row; findings of the whole set (row "") come first, then lost rows, then the rows in their order.

    `workers` processes measure the rows (None: one a core, and none for a small set). Progress counts rows: each is
    measured once, and listened to once more where there is a `recogniser`. Raises Refused when `cancelled`.
    """
    steps = _Steps(len(manifest.utterances), recogniser is not None, on_progress, cancelled or (lambda: False))
    facts = _measured(manifest, needs, workers, steps)
    found = list(_judged(facts, needs, steps))
    skipped = _not_asked(needs)
    if recogniser is None:
        skipped[_LISTENS] = "No recogniser listened: the texts were not compared with what is said."
    else:
        judged = transcripts.judge(facts, recogniser, steps.listened)
        found.extend(judged.findings)
        if judged.skipped:
            skipped[_LISTENS] = judged.skipped
    said = {(f.check, f.row) for f in manifest.faults}  # the reader's faults, which are not told twice
    findings = [*manifest.faults, *(f for f in found if (f.check, f.row) not in said)]
    findings.extend(timing.whole_set(facts, frozenset(f.row for f in findings if f.severity is Severity.ERROR)))
    steps.tell(steps.total, "Done")
    return AuditReport(
        manifest=manifest,
        backend=needs.name,
        findings=tuple(_in_order(findings, manifest)),
        measurements={fact.utterance.id: fact.measurement for fact in facts if fact.measurement is not None},
        skipped=skipped,
    )


class _Steps:
    """How far the audit is, in rows, and whether it is still wanted."""

    def __init__(self, rows: int, listening: bool, on_progress: Progress | None, cancelled: Callable[[], bool]) -> None:
        self.rows = rows
        self.total = rows * (2 if listening else 1)
        self.cancelled = cancelled
        self._on_progress = on_progress

    def tell(self, done: int, message: str) -> None:
        if self._on_progress is not None:
            self._on_progress(done, self.total, message)

    def listened(self, done: int, total: int, message: str) -> None:
        """Progress of the recogniser, whose rows come after the measured ones."""
        self.must_go_on()
        self.tell(self.rows + (self.total - self.rows) * done // max(total, 1), message or LISTENING)

    def must_go_on(self) -> None:
        if self.cancelled():
            raise Refused("The audit was stopped before its end; start it again for a report.")


def _measured(manifest: Manifest, needs: Needs, workers: int | None, steps: _Steps) -> list[RowFacts]:
    """The facts of every row, in the rows' order."""
    found: dict[int, RowFacts] = {}
    steps.tell(0, MEASURING)
    rows = worker_pool.measured(
        manifest.utterances,
        unpronounceable=needs.unpronounceable,
        workers=workers,
        cancelled=steps.cancelled,
    )
    for place, facts in rows:
        found[place] = facts
        steps.tell(len(found), MEASURING)
    steps.must_go_on()
    return [found[place] for place in range(len(manifest.utterances))]


def _judged(facts: Sequence[RowFacts], needs: Needs, steps: _Steps) -> Iterator[AuditFinding]:
    """Every check but the recogniser's, each over all rows."""
    steps.tell(steps.rows, COMPARING)
    yield from headers.files(facts)
    yield from headers.sample_rates(facts, needs)
    yield from headers.channels(facts)
    yield from texts.check(facts, needs)
    yield from texts.repeated(facts)
    yield from timing.durations(facts, needs)
    yield from timing.speaking_rates(facts)
    yield from levels.check(facts, needs)
    steps.must_go_on()
    matches = fingerprints.matches([fact.fingerprint for fact in facts])
    steps.must_go_on()
    yield from duplicates.check(facts, matches)
    yield from overlaps.check(facts, matches)
    steps.must_go_on()
    yield from speakers.check(facts)
    steps.must_go_on()


def _not_asked(needs: Needs) -> dict[str, str]:
    """Checks that nothing is known for."""
    if needs.unpronounceable is not None:
        return {}
    return {"unpronounceable": f"Which texts {needs.title} cannot say is not known here."}


def _in_order(findings: Sequence[AuditFinding], manifest: Manifest) -> list[AuditFinding]:
    """The whole set, then rows that were lost when reading, then the rows; the worst of a row first."""
    place = {u.id: number for number, u in enumerate(manifest.utterances)} | {"": -2}
    worst = list(Severity)
    return sorted(findings, key=lambda f: (place.get(f.row, -1), worst.index(f.severity)))
