"""Text against time: clips that cannot hold their text or hold more, and clips outside a backend's limits.

Knows how fast people speak, per writing system, and robust statistics of a set. Knows no waveform: seconds of speech
come measured.
"""

from __future__ import annotations

import math
import statistics
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from engine.audit.findings import error, warning
from engine.audit.row import RowFacts
from engine.needs import Needs
from engine.types import AuditFinding, Severity

# Speech runs at about 10 to 20 letters a second of actual speech in the languages written with letters, and nobody
# sustains 30 (an auctioneer's 400 words a minute are 31). Below 2 the clip is not about its text. The statistical
# bounds catch subtler cases against the speaker's own rate.
FASTEST_LETTERS_PER_SEC = 30.0
SLOWEST_LETTERS_PER_SEC = 2.0
DETECTOR_SEC = 0.2  # a voice detector may miss as much of a short clip's edges
# Letters that take as long to say as one character of a script: about 5 ideographs or syllable blocks a second are
# usual, and 7 to 8 kana (Pellegrino et al. 2011, syllable rates of seven languages), where letters come at about 15.
# A digit is read as a word.
LETTERS_A_CHARACTER = {"CJK": 3.0, "HANGUL": 2.7, "HIRAGANA": 2.0, "KATAKANA": 2.0, "DIGIT": 4.0}
# Robust outliers: 4 scaled median absolute deviations of log rate, and never closer to the median than a factor of
# 1.6, since a very even reader has a deviation near 0, nor farther than 1.85, so that a text that stands there twice or
# by half is seen in a lively reader's set, too. 1.4826 makes the median absolute deviation a standard deviation.
OUTLIER_DEVIATIONS = 4.0
NEAREST_FACTOR, FARTHEST_FACTOR = 1.6, 1.85
MIN_ROWS_FOR_STATISTICS = 8
# Of a text of a word or two, "No." or "Hm, well.", the rate says little.
FEWEST_LETTERS = 8.0

MIN_TOTAL_SEC = 60.0
GOOD_TOTAL_SEC = 300.0


def characters(text: str) -> int:
    """Letters and digits of a text: what takes time to say."""
    return sum(c.isalnum() for c in text)


def letters(text: str) -> float:
    """How many letters of an alphabet would take as long to say as `text`."""
    return sum(LETTERS_A_CHARACTER.get(_script(c), 1.0) for c in text if c.isalnum())


def _script(character: str) -> str:
    if character < "\u0250":  # the Latin letters: no name to look up
        return "DIGIT" if character.isdigit() else ""
    return "DIGIT" if character.isdigit() else unicodedata.name(character, "").partition(" ")[0]


def speech_sec(fact: RowFacts) -> float:
    """Seconds of speech where they were measured, else the clip's."""
    if fact.measurement is not None and fact.measurement.speech_sec > 0:
        return fact.measurement.speech_sec
    return duration_sec(fact)


def duration_sec(fact: RowFacts) -> float:
    """Seconds of the clip as decoded, or as its header says where it was not."""
    return fact.measurement.duration_sec if fact.measurement is not None else fact.utterance.duration_sec


# -------------------------------------------------------------------------------------------------------------- limits
def durations(facts: Sequence[RowFacts], needs: Needs) -> Iterator[AuditFinding]:
    """Clips that the backend cannot or will not learn from, with what upstream does to them without a word."""
    silently = f" {needs.silently}" if needs.silently else ""
    for fact in facts:
        seconds = duration_sec(fact)
        if fact.fault or not fact.utterance.sample_rate:
            continue
        if seconds < needs.min_sec:
            said = f"The clip lasts {seconds:.2f} s and {needs.title} needs {needs.min_sec:g} s at least.{silently}"
            yield error("duration", fact.utterance.id, said, "Join it with its neighbour or drop the row.")
        elif seconds > needs.max_sec:
            said = f"The clip lasts {seconds:.1f} s and {needs.title} takes {needs.max_sec:g} s at most.{silently}"
            yield error("duration", fact.utterance.id, said, "Cut it at pauses into several rows, or drop the row.")


def whole_set(facts: Sequence[RowFacts], broken: frozenset[str]) -> Iterator[AuditFinding]:
    """Too little speech in all rows without an error (`broken` are the ids of the others)."""
    usable = [fact for fact in facts if fact.utterance.id not in broken]
    total = sum(speech_sec(fact) for fact in usable)
    if not usable:
        yield error("little_speech", "", "No row can be trained on.", "Mend the errors below, then audit again.")
    elif total < MIN_TOTAL_SEC:
        said = (
            f"Only {total:.0f} s of speech are usable; a voice needs {MIN_TOTAL_SEC:.0f} s at least, better "
            f"{GOOD_TOTAL_SEC / 60:.0f} minutes."
        )
        yield warning("little_speech", "", said, "Add recordings of the same speaker.")


# --------------------------------------------------------------------------------------------------------------- rates
@dataclass(frozen=True)
class _Timed:
    row: str
    group: tuple[str, str]
    letters: float
    seconds: float
    shown: float  # characters a second, as people count them

    @property
    def log_rate(self) -> float:
        return math.log(self.letters / self.seconds)


def speaking_rates(facts: Sequence[RowFacts]) -> Iterator[AuditFinding]:
    """Texts that are too long or too short for their clip: physically, or for this speaker in this language."""
    timed = [t for t in map(_timed, facts) if t is not None]
    usual = _usual(timed)
    for one in timed:
        said = _impossible(one)
        if said is None and one.letters >= FEWEST_LETTERS:
            said = _unusual(one, usual.get(one.group) or usual.get((one.group[0], "")))
        if said is not None:
            check, severity, explanation = said
            mend = "Listen to it and write down what is heard."
            make: Callable[..., AuditFinding] = error if severity is Severity.ERROR else warning
            yield make(check, one.row, explanation, mend)


def _timed(fact: RowFacts) -> _Timed | None:
    u = fact.utterance
    seconds, count = speech_sec(fact), characters(u.text)
    unspoken = fact.measurement is not None and not fact.speech
    if fact.fault or seconds <= 0 or not count or unspoken:
        return None  # said already
    return _Timed(u.id, (u.language.casefold(), u.speaker), letters(u.text), seconds, count / seconds)


def _impossible(one: _Timed) -> tuple[str, Severity, str] | None:
    if one.letters / (one.seconds + DETECTOR_SEC) > FASTEST_LETTERS_PER_SEC:
        said = (
            f"{one.shown:.0f} characters a second of speech: nobody speaks so fast, so the text is more than is said."
        )
        return "text_too_long", Severity.ERROR, said
    if one.letters / max(one.seconds - 2 * DETECTOR_SEC, 0.1) < SLOWEST_LETTERS_PER_SEC:
        said = f"{one.shown:.1f} characters a second of speech: much more is said than the text has."
        return "text_too_short", Severity.ERROR, said
    return None


def _usual(timed: Sequence[_Timed]) -> dict[tuple[str, str], tuple[float, float]]:
    """Median log rate and the width of the band around it, by (language, speaker) and by (language, "") for all."""
    rates: dict[tuple[str, str], list[float]] = {}
    for one in timed:
        if one.letters >= FEWEST_LETTERS:
            for group in {one.group, (one.group[0], "")}:
                rates.setdefault(group, []).append(one.log_rate)
    found = {}
    for group, logs in rates.items():
        if len(logs) >= MIN_ROWS_FOR_STATISTICS:
            middle = statistics.median(logs)
            spread = 1.4826 * statistics.median([abs(x - middle) for x in logs])
            band = max(math.log(NEAREST_FACTOR), OUTLIER_DEVIATIONS * spread)
            found[group] = middle, min(band, math.log(FARTHEST_FACTOR))
    return found


def _unusual(one: _Timed, usual: tuple[float, float] | None) -> tuple[str, Severity, str] | None:
    if usual is None or abs(one.log_rate - usual[0]) <= usual[1]:
        return None
    fast = one.log_rate > usual[0]
    factor = math.exp(abs(one.log_rate - usual[0]))
    said = (
        f"{one.shown:.1f} characters a second of speech, {factor:.1f} times {'more' if fast else 'fewer'} than usual "
        f"for this speaker: the text seems too {'long' if fast else 'short'} for the audio."
    )
    return ("text_too_long" if fast else "text_too_short"), Severity.WARNING, said
