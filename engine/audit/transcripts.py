"""Texts that are not what is spoken, by a recogniser that may err a lot.

Knows how to tell a wrong text from a right one by comparison: what a row's own text costs is held against what texts of
the same length cost that are certainly not spoken there. Where the own texts of a set cost no less than those, the
recogniser does not follow the voice and nothing is judged. Knows no recogniser by itself: `builtin` gives the one for
English that Earmark brings, `engine.whisper` another.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.audit.row import RowFacts
from engine.recogniser import Hearing, Reading, Recogniser, Stretch
from engine.types import Action, AuditFinding, BadInput, Severity, Utterance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLE_RATE = 16000
FOREIGN_TEXTS = 12  # that a row's own is compared with
FEWEST_ROWS = 4  # without others to compare with nothing is known
SAMPLED_ROWS = 64  # by which the recogniser's usual costs are learned before the rows are judged
FEWEST_FOLLOWED = 0.6  # of the sampled rows must have their own text cost less than every foreign one
NARROWEST_GAP = 4.0  # between own and foreign texts, in standard deviations of the foreign ones
# How far a text is followed: 1 where it costs what right texts of the set cost, 0 where it costs what foreign ones do.
# Measured on real speech with the built-in ear, which never heard any: right texts have 0.6 and more, swapped ones at
# most 0.35 in 100 rows.
NOT_SPOKEN = 0.4
OTHER_FITS = 0.6  # how far another row's text has to be followed to be proposed
MOST_OF_IT = 0.7  # of a text in the worst stretch: then it is another text and no part of this one
CLEAR_SHARE = 1 / 3  # of text or audio that does not fit, from which on the row is an error
_CANDIDATES = 40  # texts of other rows that are tried on a row whose own is not spoken


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What was found, and why some or all rows could not be judged ("" where all were)."""

    findings: tuple[AuditFinding, ...]
    skipped: str = ""


@dataclass(frozen=True, kw_only=True)
class _Usual:
    """What texts cost in this set, a unit: right ones and foreign ones."""

    right: float
    foreign: float

    def followed(self, own: float, foreign: float) -> float:
        return (foreign - own) / (self.foreign - self.right)


def builtin(folder: Path | None = None) -> Recogniser | None:
    """The recogniser for English that comes with Earmark; None where its weights are not installed."""
    from engine.audit import english_ear

    return english_ear.load(folder)


def judge(
    facts: Sequence[RowFacts],
    recogniser: Recogniser,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> Judged:
    """Every row's text against its audio. `on_progress(done, total, message)` may raise to stop.

    Each row is decoded and heard once more; a sample of the rows twice.
    """
    judging = _Judging(facts, recogniser)
    if len(judging.rows) < FEWEST_ROWS:
        what = f"{len(judging.rows)} rows that {recogniser.name} could hear"
        few = f"There are {what}; at least {FEWEST_ROWS} are needed to compare."
        return Judged(findings=(), skipped=f"{few} {judging.left_out}".strip())
    total = len(judging.rows)
    say = on_progress or (lambda done, total, message: None)
    say(0, total, "Learning how well the recogniser follows")
    usual, reason = judging.usual()
    if usual is None:
        return Judged(findings=(), skipped=reason)
    judging.unheard = 0  # the sampled rows come again
    findings: list[AuditFinding] = []
    for done, row in enumerate(judging.rows):
        say(done, total, "Listening for the texts")
        findings += judging.findings(row, usual)
    say(total, total, "Listened to all texts")
    return Judged(findings=tuple(findings), skipped=judging.left_out)


def check(
    facts: Sequence[RowFacts],
    recogniser: Recogniser,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> Iterator[AuditFinding]:
    """The findings of `judge`. What it could not judge is not told: `judge` does, for `AuditReport.skipped`."""
    yield from judge(facts, recogniser, on_progress).findings


class _Judging:
    """The rows of one set that can be heard, with their texts as units."""

    def __init__(self, facts: Sequence[RowFacts], recogniser: Recogniser) -> None:
        self._recogniser = recogniser
        self._readings: dict[int, Reading] = {}
        self._utterances: Mapping[int, Utterance] = {place: fact.utterance for place, fact in enumerate(facts)}
        foreign = 0
        for place, fact in enumerate(facts):
            if fact.measurement is None or not fact.speech or not fact.utterance.text.strip():
                continue
            if not self._follows(fact.utterance.language):
                foreign += 1
                continue
            try:
                reading = recogniser.read(fact.utterance.text, fact.utterance.language)
            except BadInput:
                continue
            if reading.units:
                self._readings[place] = reading
        self.rows = tuple(self._readings)
        self.unheard = 0
        self._foreign_rows = foreign

    @property
    def left_out(self) -> str:
        """Which rows were not judged though others were."""
        told: list[str] = []
        if self._foreign_rows:
            known = ", ".join(self._recogniser.languages)
            told.append(
                f"{self._foreign_rows} rows are in languages other than {self._recogniser.name} knows ({known})."
            )
        if self.unheard:
            told.append(f"{self.unheard} rows could not be heard by {self._recogniser.name}.")
        return " ".join(told)

    def _follows(self, language: str) -> bool:
        known = self._recogniser.languages
        return not known or language.lower().replace("_", "-").partition("-")[0] in known

    def usual(self) -> tuple[_Usual | None, str]:
        """What texts cost in this set; None and why when own texts do not stand out from foreign ones."""
        import numpy as np

        step = max(1, len(self.rows) // SAMPLED_ROWS)
        compared = [found for row in self.rows[::step] if (found := self._compare(row)) is not None]
        if len(compared) < FEWEST_ROWS:
            return None, "Too few rows could be read again."
        own = np.array([cost for _, cost, _ in compared])
        foreign = np.array([costs for _, _, costs in compared])
        usual = _Usual(right=float(np.median(own)), foreign=float(np.median(foreign)))
        first = int((own < foreign.min(axis=1)).sum())
        spread = float(np.median(foreign.std(axis=1)))
        if first < FEWEST_FOLLOWED * len(own) or usual.foreign - usual.right < NARROWEST_GAP * spread:
            return None, (
                f"{self._recogniser.name} cannot follow this voice: in {first} of {len(own)} rows alone does it hear "
                "the row's own text rather than another. It does not know such speech, or most texts are wrong."
            )
        return usual, ""

    def findings(self, row: int, usual: _Usual) -> Iterator[AuditFinding]:
        """What is wrong with one row's text."""
        compared = self._compare(row)
        if compared is None:
            return
        hearing, own, foreign = compared
        units = self._units(row)
        stretch = hearing.stretch(units, (usual.right + usual.foreign) / 2)
        if usual.followed(own, float(foreign.mean())) >= NOT_SPOKEN:
            if stretch.excess >= self._recogniser.least_excess:
                yield self._partly(row, stretch)
            return
        other = self._whose(row, hearing, float(foreign.mean()), usual)
        if other is None and stretch.end - stretch.begin < MOST_OF_IT * len(units):
            yield self._partly(row, stretch)
        else:
            yield self._not_spoken(row, other)

    def _compare(self, row: int) -> tuple[Hearing, float, NDArray[np.float64]] | None:
        """The clip as heard, what its own text costs, and what foreign texts of that length cost."""
        from engine import audio

        utterance = self._utterances[row]
        try:
            samples, rate = audio.read(utterance.audio_path, SAMPLE_RATE)
            hearing = self._recogniser.hear(samples, rate, utterance.language)
        except BadInput:  # gone since it was measured, too short to hear, or in a language that is not known
            self.unheard += 1
            return None
        own = self._readings[row].units
        costs = hearing.costs([own, *self._foreign(row, len(own))])
        return hearing, float(costs[0]), costs[1:]

    def _foreign(self, row: int, count: int) -> list[tuple[str, ...]]:
        """Runs of `count` units from other rows' texts, the same ones each time."""
        draw = random.Random(row)
        others = [other for other in self.rows if other != row and self._readings[other].units != self._units(row)]
        texts: list[tuple[str, ...]] = []
        for _ in range(FOREIGN_TEXTS):
            units: list[str] = []
            while len(units) < count + 10:
                units += self._units(draw.choice(others or self.rows))
            start = draw.randint(0, len(units) - count)
            texts.append(tuple(units[start : start + count]))
        return texts

    def _units(self, row: int) -> tuple[str, ...]:
        return self._readings[row].units

    def _whose(self, row: int, hearing: Hearing, foreign: float, usual: _Usual) -> Utterance | None:
        """The row nearby whose text is spoken here, if there is one: rows are often swapped or shifted."""
        near = sorted((r for r in self.rows if r != row), key=lambda r: abs(r - row))[:_CANDIDATES]
        costs = hearing.costs([self._units(r) for r in near])
        best = min(range(len(near)), key=lambda i: costs[i])
        return self._utterances[near[best]] if usual.followed(float(costs[best]), foreign) >= OTHER_FITS else None

    def _not_spoken(self, row: int, other: Utterance | None) -> AuditFinding:
        said = f"The text is not what {self._recogniser.name} hears"
        return self._finding(
            row,
            Severity.ERROR,
            f"{said}; the text of row {other.id} fits." if other else f"{said}.",
            "Write down what is spoken." if other is None else f"Give it the text of row {other.id}.",
            other=other,
        )

    def _partly(self, row: int, stretch: Stretch) -> AuditFinding:
        """Some of the text fits and some does not."""
        reading = self._readings[row]
        expected, total = stretch.end - stretch.begin, len(reading.units)
        words = reading.part(stretch.begin, stretch.end)
        clear = (
            max(expected, stretch.heard) >= CLEAR_SHARE * total
            and stretch.excess >= 1.5 * self._recogniser.least_excess
        )
        if stretch.heard >= 2 * expected:
            said = f"More is spoken than the text says, at {words!r}."
            repair = "Write down all that is heard, or cut the clip."
        elif expected >= 2 * stretch.heard:
            said = f"Not heard is {words!r}."
            repair = "Take out of the text what is not spoken, or use the whole clip."
        else:
            said = f"Something else is heard where the text says {words!r}."
            repair = "Write down what is spoken."
        return self._finding(row, Severity.ERROR if clear else Severity.WARNING, said, repair)

    def _finding(
        self, row: int, severity: Severity, said: str, repair: str, other: Utterance | None = None
    ) -> AuditFinding:
        return AuditFinding(
            check="transcript_mismatch",
            severity=severity,
            row=self._utterances[row].id,
            explanation=said,
            repair=repair,
            action=Action.SET_TEXT if other else Action.NONE,
            other=other.id if other else "",
            text=other.text if other else "",
        )
