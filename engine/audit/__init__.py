"""The data audit: what is wrong with each row of a manifest, in a sentence, with the mend. It changes nothing.

Knows facts about rows: the header of the audio, the text, and how fast the text would have to be spoken. Knows no
model; what a voice needs comes in as arguments. Each check is a function from all rows to findings, listed once in
`audit`.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from engine import audio
from engine.needs import Needs
from engine.types import AuditFinding, AuditReport, BadInput, Manifest, Severity, Utterance

if TYPE_CHECKING:
    from engine.audit.transcripts import Recogniser

MIN_TOTAL_SEC = 60.0
# Speech runs at about 12 to 20 characters a second in the languages written with letters; beyond these, text and clip
# are not about the same thing. The statistical bounds below catch the subtler cases against the speaker's own rate.
FASTEST_CHARACTERS_PER_SEC = 35.0
SLOWEST_CHARACTERS_PER_SEC = 2.0
SILENCE_ALLOWANCE_SEC = 1.0  # of silence around a short text that must not count as slow speech
# Robust outliers: 4 scaled median absolute deviations of log rate, and never closer to the median than a factor of
# 1.6, since a very even reader has a deviation near 0. 1.4826 makes the median absolute deviation estimate a standard
# deviation.
OUTLIER_DEVIATIONS = 4.0
OUTLIER_FACTOR = 1.6
MIN_ROWS_FOR_STATISTICS = 8

TAG = re.compile(
    r"<[^<>]*>|\[[^\[\]]*\]|\{[^{}]*\}|\((?:laugh\w*|music|applause|noise|inaudible|silence|cough\w*|sigh\w*)\)|[♪♫]",
    re.I,
)

Check = Iterator[AuditFinding]


def audit(
    manifest: Manifest,
    needs: Needs,
    *,
    recogniser: Recogniser | None = None,
    workers: int | None = None,
    on_progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> AuditReport:
    """Look at every row; findings of the whole set (row "") come first, then those of the rows in their order."""
    rows = manifest.utterances
    checks: tuple[tuple[str, Check], ...] = (
        ("files", _unreadable(rows)),
        ("lengths", _length(rows, needs.min_sec, needs.max_sec)),
        ("sample rates", _sample_rate(rows, needs.sample_rate)),
        ("channels", _channels(rows)),
        ("texts", _text(rows)),
        ("pronunciation", _pronunciation(rows, needs.unpronounceable)),
        ("duplicates", _duplicates(rows)),
        ("speaking rates", _speaking_rate(rows)),
    )
    findings: list[AuditFinding] = []
    for done, (subject, check) in enumerate(checks):
        if on_progress is not None:
            on_progress(done, len(checks), f"Looking at {subject}")
        findings.extend(check)
    broken = {f.row for f in findings if f.severity is Severity.ERROR}
    findings.extend(_whole_set([u for row, u in _numbered(rows) if u.id not in broken]))
    if on_progress is not None:
        on_progress(len(checks), len(checks), "Done")
    order = {u.id: row for row, u in _numbered(rows)} | {"": 0}
    return AuditReport(manifest=manifest, backend=needs.name, findings=tuple(sorted(findings, key=lambda f: order[f.row])))


def characters(text: str) -> int:
    """Letters and digits of a text: what takes time to say."""
    return sum(c.isalnum() for c in text)


# --------------------------------------------------------------------------------------------------------------- checks
def _unreadable(rows: Sequence[Utterance]) -> Check:
    for row, u in _numbered(rows):
        if u.sample_rate:
            continue
        try:
            audio.probe(u.audio_path)
            explanation = f"{u.audio_path.name} could not be read when the manifest was opened."
        except BadInput as error:
            explanation = str(error)
        yield _error("unreadable", row, u, explanation, "Put the recording there, or remove the row.")


def _length(rows: Sequence[Utterance], min_sec: float, max_sec: float) -> Check:
    for row, u in _numbered(rows):
        if not u.sample_rate:
            continue
        if u.duration_sec < min_sec:
            said = f"The clip lasts {u.duration_sec:.2f} s; at least {min_sec:g} s are needed to learn from."
            yield _error("duration", row, u, said, "Join it with its neighbour or remove the row.")
        elif u.duration_sec > max_sec:
            said = f"The clip lasts {u.duration_sec:.1f} s; the voice learns from at most {max_sec:g} s at once."
            yield _error("duration", row, u, said, "Cut it at a pause into several rows.")


def _sample_rate(rows: Sequence[Utterance], sample_rate: int) -> Check:
    for row, u in _numbered(rows):
        if 0 < u.sample_rate < sample_rate:
            said = f"The clip has {u.sample_rate} Hz and the voice {sample_rate} Hz: its upper band is missing."
            yield _warning(
                "sample_rate", row, u, said, "Use the recording at its first, higher rate; it is resampled for you."
            )


def _channels(rows: Sequence[Utterance]) -> Check:
    for row, u in _numbered(rows):
        if u.channels == 2:
            said = "The clip is stereo; its channels will be averaged to one."
            yield _warning("channels", row, u, said, "Export it as mono if the voice is on one side only.")
        elif u.channels > 2:
            said = (
                f"The clip has {u.channels} channels, like a multi-track recording; nobody can know which is the voice."
            )
            yield _error("channels", row, u, said, "Export the voice's own track as mono.")


def _text(rows: Sequence[Utterance]) -> Check:
    for row, u in _numbered(rows):
        if not characters(u.text):
            yield _error(
                "empty_text", row, u, "There is no text to speak.", "Write down what is heard, or remove the row."
            )
        found = TAG.search(u.text)
        if found:
            said = f"The text holds a tag, {found.group()!r}, that would be learned as speech."
            yield _error("tags", row, u, said, "Remove the tag, or write down what is heard.")


def _pronunciation(rows: Sequence[Utterance], unpronounceable: Callable[[str], str | None] | None) -> Check:
    if unpronounceable is None:
        return
    for row, u in _numbered(rows):
        if not characters(u.text) or TAG.search(u.text):
            continue  # said already
        why = unpronounceable(u.text)
        if why:
            yield _error("unpronounceable", row, u, why, "Spell it out in letters that the voice can speak.")


def _duplicates(rows: Sequence[Utterance]) -> Check:
    first_text: dict[str, int] = {}
    first_audio: dict[str, int] = {}
    for row, u in _numbered(rows):
        text = " ".join("".join(c if c.isalnum() else " " for c in u.text.casefold()).split())
        if text and first_text.setdefault(text, row) != row:
            said = f"Row {first_text[text]} has the same text; repeated lines teach the voice to recite them."
            yield _warning("repeated_text", row, u, said, "Keep one of them unless both takes are wanted.")
        path = str(u.audio_path)
        if first_audio.setdefault(path, row) != row:
            said = f"Row {first_audio[path]} names the same audio file."
            yield _error("duplicate", row, u, said, "Name this row's own file, or remove the row.")


def _speaking_rate(rows: Sequence[Utterance]) -> Check:
    """Characters a second against what anybody can say and against this set's own median."""
    import math

    timed = [
        (row, u, characters(u.text) / u.duration_sec)
        for row, u in _numbered(rows)
        if u.duration_sec > 0 and characters(u.text)
    ]
    logs = [math.log(rate) for _, _, rate in timed]
    middle = statistics.median(logs) if logs else 0.0
    spread = 1.4826 * statistics.median([abs(x - middle) for x in logs]) if logs else 0.0
    band = max(math.log(OUTLIER_FACTOR), OUTLIER_DEVIATIONS * spread)
    for (row, u, rate), log_rate in zip(timed, logs, strict=True):
        voiced_sec = u.duration_sec - SILENCE_ALLOWANCE_SEC
        if rate > FASTEST_CHARACTERS_PER_SEC:
            said = (
                f"{rate:.0f} characters a second: nobody speaks that fast, so the clip holds only a part of its text."
            )
            yield _error("text_too_long", row, u, said, "Cut the text to what is heard, or use the whole clip.")
        elif voiced_sec > 0 and characters(u.text) / voiced_sec < SLOWEST_CHARACTERS_PER_SEC:
            said = f"{rate:.1f} characters a second: the clip holds much more than its text, or long silence."
            yield _error("text_too_short", row, u, said, "Write down all that is heard, or trim the clip.")
        elif len(timed) >= MIN_ROWS_FOR_STATISTICS and abs(log_rate - middle) > band:
            fast = log_rate > middle
            check = "text_too_long" if fast else "text_too_short"
            usual = f"{rate:.1f} characters a second where this set has {math.exp(middle):.1f}"
            said = f"{usual}: the clip seems too {'short' if fast else 'long'} for its text."
            yield _warning(check, row, u, said, "Listen to it and correct the text or the cut.")


def _whole_set(usable: Sequence[Utterance]) -> Check:
    total = sum(u.duration_sec for u in usable)
    if not usable:
        yield _about_all(
            "little_speech", Severity.ERROR, "No row can be trained on.", "Mend the errors below, then audit again."
        )
    elif total < MIN_TOTAL_SEC:
        said = (
            f"Only {total:.0f} s of speech are usable; a voice needs {MIN_TOTAL_SEC:.0f} s at least, better 5 minutes."
        )
        yield _about_all("little_speech", Severity.WARNING, said, "Add recordings of the same speaker.")
    speakers = sorted({u.speaker for u in usable})
    if len(speakers) > 1:
        names = ", ".join(s or "none" for s in speakers[:5])
        said = f"The rows name {len(speakers)} speakers ({names}); one adapter learns one voice."
        yield _about_all("speaker", Severity.WARNING, said, "Make one manifest for each speaker.")


# ------------------------------------------------------------------------------------------------------------- findings
def _numbered(rows: Sequence[Utterance]) -> Iterator[tuple[int, Utterance]]:
    return enumerate(rows, start=1)


def _error(check: str, row: int, u: Utterance, explanation: str, repair: str) -> AuditFinding:
    return AuditFinding(check=check, severity=Severity.ERROR, row=u.id, explanation=explanation, repair=repair)


def _warning(check: str, row: int, u: Utterance, explanation: str, repair: str) -> AuditFinding:
    return AuditFinding(check=check, severity=Severity.WARNING, row=u.id, explanation=explanation, repair=repair)


def _about_all(check: str, severity: Severity, explanation: str, repair: str) -> AuditFinding:
    return AuditFinding(check=check, severity=severity, row="", explanation=explanation, repair=repair)
