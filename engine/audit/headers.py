"""What a file's header says against what the backend needs; files that are not there or are no audio.

Knows sample rates and channels. Knows nothing of samples or texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.audit.findings import error, info, warning
from engine.audit.row import RowFacts
from engine.needs import Needs
from engine.types import Action, AuditFinding


def files(facts: Sequence[RowFacts]) -> Iterator[AuditFinding]:
    """Rows whose audio is not there or cannot be decoded."""
    for fact in facts:
        if fact.fault:
            check = fact.fault_check or "unreadable"
            mend = (
                "Put the recording there, correct its name in the manifest, or drop the row."
                if check == "missing"
                else "Copy or convert it again from its source, or drop the row."
            )
            yield error(check, fact.utterance.id, fact.fault, mend)


def sample_rates(facts: Sequence[RowFacts], needs: Needs) -> Iterator[AuditFinding]:
    """A lower rate than the backend's is a warning, a higher one is resampled."""
    for fact in facts:
        row, rate = fact.utterance.id, fact.utterance.sample_rate
        if 0 < rate < needs.sample_rate:
            said = f"The clip has {rate} Hz and {needs.title} {needs.sample_rate} Hz: its upper band is missing."
            mend = "Use the recording at its first, higher rate; resampling cannot bring the band back."
            yield warning("sample_rate", row, said, mend, Action.RESAMPLE)
        elif rate > needs.sample_rate:
            said = f"The clip has {rate} Hz and {needs.title} needs {needs.sample_rate} Hz."
            yield info("sample_rate", row, said, "Preparing resamples it.", Action.RESAMPLE)


def channels(facts: Sequence[RowFacts]) -> Iterator[AuditFinding]:
    """Stereo is averaged; of more channels nobody can know which one is the voice."""
    for fact in facts:
        row, count = fact.utterance.id, fact.utterance.channels
        if count == 2:
            said = "The clip is stereo; its channels will be averaged to one."
            mend = "Preparing makes it mono; export it as mono yourself if the voice is on one side only."
            yield warning("channels", row, said, mend, Action.MONO)
        elif count > 2:
            said = f"The clip has {count} channels, like a multi-track recording; nobody can know which is the voice."
            yield error("channels", row, said, "Export the voice's own track as mono.")
