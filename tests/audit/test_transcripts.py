"""Texts that are not spoken are found, right ones are left alone, and nothing is said where the ear cannot follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from engine.audit import transcripts
from engine.audit.english_ear import EnglishEar
from engine.audit.row import RowFacts
from engine.backends.finch.phonemes import EspeakVoice
from engine.backends.finch.pretrain.data import utter
from engine.recogniser import Reading, Recogniser
from engine.screeners import finch_ear
from engine.types import Action, BadInput, Severity
from engine.whisper import WordsHeard, units_of
from tests.audit.fact_factory import fact
from tests.audit.test_speakers import TEXTS

ALL_TEXTS = (
    *TEXTS,
    "Four hours of steady work faced the tired men.",
    "A large size in stockings is hard to sell here.",
)


@pytest.fixture(scope="module", name="ear")
def _ear() -> Recogniser:
    found = finch_ear.load()
    assert found is not None
    return EnglishEar(found)


@pytest.fixture(scope="module", name="rows")
def _rows(tmp_path_factory: pytest.TempPathFactory) -> list[RowFacts]:
    """Recordings of a voice, each with what it says."""
    folder = tmp_path_factory.mktemp("spoken")
    facts: list[RowFacts] = []
    for place, text in enumerate(ALL_TEXTS):
        samples = utter(text, EspeakVoice("en-us+steph", 165)).samples.numpy().astype(np.float32)
        soundfile.write(folder / f"{place}.wav", samples, 16000)
        facts.append(fact(f"r{place}", samples, text=text, audio_path=folder / f"{place}.wav"))
    return facts


def with_texts(rows: Sequence[RowFacts], texts: dict[int, str]) -> list[RowFacts]:
    return [
        replace(row, utterance=replace(row.utterance, text=texts.get(place, row.utterance.text)))
        for place, row in enumerate(rows)
    ]


def test_right_texts_are_left_alone(rows: list[RowFacts], ear: Recogniser) -> None:
    """A set whose texts are spoken has no finding, and all of it was judged."""
    assert transcripts.judge(rows, ear) == transcripts.Judged(findings=(), skipped="")


def test_swapped_texts_are_found_and_put_right(rows: list[RowFacts], ear: Recogniser) -> None:
    """A text of another row is an error, and the right one is proposed."""
    found = transcripts.judge(with_texts(rows, {2: ALL_TEXTS[7], 7: ALL_TEXTS[2]}), ear).findings
    assert [(f.row, f.severity, f.other, f.action) for f in found] == [
        ("r2", Severity.ERROR, "r7", Action.SET_TEXT),
        ("r7", Severity.ERROR, "r2", Action.SET_TEXT),
    ]
    assert [f.text for f in found] == [ALL_TEXTS[2], ALL_TEXTS[7]]
    assert {f.check for f in found} == {"transcript_mismatch"}


def test_a_text_of_no_row_is_found(rows: list[RowFacts], ear: Recogniser) -> None:
    """A wrong text is an error also where nobody knows the right one."""
    wrong = "Nothing of this sentence was ever recorded by anybody."
    (found,) = transcripts.judge(with_texts(rows, {4: wrong}), ear).findings
    assert (found.row, found.severity, found.other, found.action) == ("r4", Severity.ERROR, "", Action.NONE)


def test_a_text_that_goes_on_is_found(rows: list[RowFacts], ear: Recogniser) -> None:
    """A sentence that is not spoken after one that is."""
    (found,) = transcripts.judge(with_texts(rows, {3: f"{ALL_TEXTS[3]} {ALL_TEXTS[9]}"}), ear).findings
    assert (found.row, found.severity) == ("r3", Severity.ERROR)


def test_a_text_that_stops_early_is_found(rows: list[RowFacts], ear: Recogniser) -> None:
    """Half of what is spoken is not in the text."""
    half = " ".join(ALL_TEXTS[5].split()[:4])
    (found,) = transcripts.judge(with_texts(rows, {5: half}), ear).findings
    assert (found.row, found.severity) == ("r5", Severity.ERROR)
    assert "More is spoken" in found.explanation


def test_other_words_in_the_middle_are_named(rows: list[RowFacts], ear: Recogniser) -> None:
    """The finding says which words of the text do not fit."""
    text = "Rice is often carefully photographed by journalists with lemons."
    (found,) = transcripts.judge(with_texts(rows, {8: text}), ear).findings
    assert found.row == "r8"
    assert "photographed" in found.explanation


def test_the_ear_for_real_speech_is_the_first_choice(rows: list[RowFacts]) -> None:
    """hama, where it is installed, leaves right texts alone and names three other words in one of them."""
    recogniser = transcripts.builtin()
    assert recogniser is not None
    assert recogniser.name == "hama"
    text = "Rice is often carefully photographed by journalists with lemons."
    (found,) = transcripts.judge(with_texts(rows, {8: text})[4:], recogniser).findings
    assert found.row == "r8"
    assert "photographed" in found.explanation


def test_speech_that_the_ear_cannot_follow_is_not_judged(tmp_path: Path, rows: list[RowFacts], ear: Recogniser) -> None:
    """Speech played backwards is never called right or wrong: the report says that it was not judged."""
    backwards: list[RowFacts] = []
    for row in rows:
        samples, rate = soundfile.read(row.utterance.audio_path, dtype="float32")
        path = tmp_path / row.utterance.audio_path.name
        soundfile.write(path, samples[::-1], rate)
        backwards.append(replace(row, utterance=replace(row.utterance, audio_path=path)))
    judged = transcripts.judge(backwards, ear)
    assert judged.findings == ()
    assert "cannot follow this voice" in judged.skipped


class Writing:
    """A recogniser that writes down what is planned for a file, with every fifth word wrong."""

    name = "the writer"
    languages: tuple[str, ...] = ("en", "zh")
    least_excess = 5.0

    def __init__(self, spoken: dict[int, str]) -> None:
        self.spoken = spoken  # by the number of samples

    def read(self, text: str, language: str) -> Reading:
        if "@" in text:
            raise BadInput("It cannot read @.")
        units = units_of(text, language)
        return Reading(units=tuple(units), word_of=tuple(range(len(units))), words=tuple(units))

    def hear(self, samples: NDArray[np.float32], sample_rate: int, language: str) -> WordsHeard:
        units = units_of(self.spoken[len(samples)], language)
        return WordsHeard(["?" if place % 5 == 4 else unit for place, unit in enumerate(units)])


@pytest.fixture(name="written")
def _written(tmp_path: Path) -> tuple[list[RowFacts], Writing]:
    facts: list[RowFacts] = []
    for place, text in enumerate(ALL_TEXTS):
        samples = np.full(16000 + place, 0.1, np.float32)
        soundfile.write(tmp_path / f"{place}.wav", samples, 16000)
        facts.append(fact(f"r{place}", samples, text=text, audio_path=tmp_path / f"{place}.wav"))
    return facts, Writing({16000 + place: text for place, text in enumerate(ALL_TEXTS)})


def test_words_written_down_are_compared_as_well(written: tuple[list[RowFacts], Writing]) -> None:
    """The same judgement by word error rate: a recogniser that writes finds swapped texts."""
    rows, writer = written
    assert transcripts.judge(rows, writer).findings == ()
    found = transcripts.judge(with_texts(rows, {0: ALL_TEXTS[1], 1: ALL_TEXTS[0]}), writer).findings
    assert [(f.row, f.other) for f in found] == [("r0", "r1"), ("r1", "r0")]


def test_languages_that_are_not_known_are_left_out_aloud(written: tuple[list[RowFacts], Writing]) -> None:
    """Rows in another language are not judged, and the report says how many."""
    rows, writer = written
    foreign = [replace(r, utterance=replace(r.utterance, language="fr", text="Tout autre chose.")) for r in rows[:3]]
    judged = transcripts.judge([*foreign, *rows[3:]], writer)
    assert judged.findings == ()
    assert judged.skipped.startswith("3 rows are in languages other than the writer knows")


def test_few_rows_are_not_judged(written: tuple[list[RowFacts], Writing]) -> None:
    """Without other texts to compare with, nothing is known."""
    rows, writer = written
    assert "at least 4" in transcripts.judge(rows[:3], writer).skipped


def test_rows_that_cannot_be_heard_do_not_stop_the_others(written: tuple[list[RowFacts], Writing]) -> None:
    """A file that went away, an empty text and one that cannot be read are passed over."""
    rows, writer = written
    rows[0].utterance.audio_path.unlink()
    changed = with_texts(rows, {1: "  ", 2: "@", 6: ALL_TEXTS[7]})
    judged = transcripts.judge(changed, writer)
    assert [f.row for f in judged.findings] == ["r6"]
    assert judged.skipped == "1 rows could not be heard by the writer."


def test_progress_is_told_and_may_stop_it(written: tuple[list[RowFacts], Writing]) -> None:
    """Each row is told; an error raised there stops the listening."""
    rows, writer = written
    told: list[tuple[int, int, str]] = []
    list(transcripts.check(rows, writer, lambda *step: told.append(step)))
    assert [done for done, _, _ in told] == [0, *range(len(rows)), len(rows)]
    assert {total for _, total, _ in told} == {len(rows)}

    def stop(done: int, total: int, message: str) -> None:
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        transcripts.judge(rows, writer, stop)
