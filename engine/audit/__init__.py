"""The data audit: what is wrong with each row of a manifest, in a sentence, with the mend. It changes nothing.

Knows the order of things: rows are measured once, in worker processes, then every check judges the measurements. What
a check knows is in the file of its name. What a voice needs comes in as `Needs`, a recogniser as an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from engine.audit.row import RowFacts
from engine.needs import Needs
from engine.types import AuditFinding, AuditReport, Manifest, Refused, Severity

if TYPE_CHECKING:
    from engine.audit.transcripts import Recogniser

Progress = Callable[[int, int, str], None]
CHECKS = (
    "empty_text boilerplate tags text_too_long text_too_short no_speech sample_rate channels clipping noise silence "
    "duration duplicate overlap transcript_mismatch speaker unreadable missing encoding repeated_text unpronounceable "
    "little_speech"
).split()
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
    findings = list(manifest.faults)
    known = {(f.check, f.row) for f in findings}
    for finding in _judged(facts, needs, recogniser, steps):
        if (finding.check, finding.row) not in known:  # the reader has said it already
            findings.append(finding)
    broken = frozenset(f.row for f in findings if f.severity is Severity.ERROR)
    findings.extend(_whole_set(facts, broken))
    steps.tell(steps.total, "Done")
    return AuditReport(
        manifest=manifest,
        backend=needs.name,
        findings=tuple(_in_order(findings, manifest)),
        measurements={fact.utterance.id: fact.measurement for fact in facts if fact.measurement is not None},
        skipped=_skipped(needs, recogniser),
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
    from engine.audit import worker_pool

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


def _judged(
    facts: Sequence[RowFacts], needs: Needs, recogniser: Recogniser | None, steps: _Steps
) -> Iterator[AuditFinding]:
    """Every check, each over all rows."""
    from engine.audit import duplicates, fingerprints, headers, levels, overlaps, speakers, texts, timing, transcripts

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
    yield from duplicates.check(facts, matches)
    yield from overlaps.check(facts, matches)
    steps.must_go_on()
    try:
        yield from speakers.check(facts)
    except NotImplementedError:
        pass
    steps.must_go_on()
    if recogniser is not None:
        try:
            yield from transcripts.check(facts, recogniser, steps.listened)
        except NotImplementedError:
            pass


def _whole_set(facts: Sequence[RowFacts], broken: frozenset[str]) -> Iterator[AuditFinding]:
    from engine.audit import timing

    yield from timing.whole_set(facts, broken)


def _skipped(needs: Needs, recogniser: Recogniser | None) -> dict[str, str]:
    """Checks that could not run, and what they would need."""
    skipped = {}
    if recogniser is None:
        skipped["transcript_mismatch"] = "No recogniser listened: the texts were not compared with what is said."
    if needs.unpronounceable is None:
        skipped["unpronounceable"] = f"Which texts {needs.title} cannot say is not known here."
    return skipped


def _in_order(findings: Sequence[AuditFinding], manifest: Manifest) -> list[AuditFinding]:
    """The whole set, then rows that were lost when reading, then the rows; the worst of a row first."""
    place = {u.id: number for number, u in enumerate(manifest.utterances)} | {"": -2}
    worst = list(Severity)
    return sorted(findings, key=lambda f: (place.get(f.row, -1), worst.index(f.severity)))
