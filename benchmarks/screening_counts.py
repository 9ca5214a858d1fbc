"""How often the faults that were edited in are found, a kind at a time. Knows edits and answers, and no recogniser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.edited_speech import RATE, Edited, Fault
from engine.types import WordScore

KINDS = ("dropped", "repeated", "inserted", "merged")
NEAR_SEC = 0.15  # how far outside a fault an answer about it may lie
LENGTHS = {1: "one letter", 2: "two letters", 3: "three letters"}
LONGER = "four letters and more"
FIGURES = "figures"


@dataclass
class Counts:
    """Faults planted and found, and answers that were right or wrong, by kind."""

    planted: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    noticed: Counter[str] = field(default_factory=Counter)
    elsewhere: Counter[str] = field(default_factory=Counter)  # wrong, in copies without words run together
    cut: Counter[tuple[str, str]] = field(default_factory=Counter)  # kinds of words cut out, and what they were told
    unjudged: int = 0
    clean: int = 0
    clean_flagged: int = 0

    def __iadd__(self, other: Counts) -> Counts:
        for name in ("planted", "found", "right", "wrong", "noticed", "elsewhere", "cut"):
            getattr(self, name).update(getattr(other, name))
        for name in ("unjudged", "clean", "clean_flagged"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    def add(self, copy: Edited, words: Sequence[WordScore], *, judged: bool = True) -> None:
        """Count one copy's answers against its edits; what was not judged was not found."""
        self.unjudged += not judged
        told = answers(words)
        if not copy.faults:
            self.clean += 1
            self.clean_flagged += bool(told)
        matched: set[int] = set()
        for fault in copy.faults:
            own = {n for n, answer in enumerate(told) if answer.kind == fault.kind and _about(fault, answer)}
            other = {n for n, answer in enumerate(told) if _near(fault, answer)}
            self.planted[fault.kind] += 1
            self.found[fault.kind] += bool(own)
            self.noticed[fault.kind] += bool(own | other)
            matched |= own
            if fault.kind == "dropped":
                self._add_cut(copy, fault.words[0], words)
        for n, answer in enumerate(told):
            (self.right if n in matched else self.wrong)[answer.kind] += 1
            if n not in matched and not any(fault.kind == "merged" for fault in copy.faults):
                self.elsewhere[answer.kind] += 1

    def _add_cut(self, copy: Edited, place: int, words: Sequence[WordScore]) -> None:
        told = [word.state for word in words if word.state not in ("inserted", "repeated")]
        state = told[place] if place < len(told) else "not judged"
        where = "first word" if place == 0 else "last word" if place == len(copy.said.words) - 1 else "inside"
        for group in (kind_of_word(copy.said.words[place]), where):
            self.cut[group, state] += 1


def kind_of_word(word: str) -> str:
    """How long a word is, the only thing that tells short function words from others without a list of them."""
    plain = "".join(c for c in word if c.isalnum())
    return FIGURES if any(c.isdigit() for c in plain) else LENGTHS.get(len(plain), LONGER)


@dataclass(frozen=True)
class Answer:
    """One thing that was said to be wrong."""

    kind: str
    word: int  # place in the text of the word, or of the one that it stands before
    start_sec: float
    end_sec: float


def answers(words: Sequence[WordScore]) -> list[Answer]:
    """What was said to be wrong, each with its place in the text."""
    found: list[Answer] = []
    place = 0
    for word in words:
        extra = word.state in ("inserted", "repeated")
        if word.state in KINDS:
            found.append(Answer(word.state, place, word.start_sec, word.end_sec))
        place += not extra
    return found


def _about(fault: Fault, answer: Answer) -> bool:
    if fault.kind in ("dropped", "merged"):
        return answer.word in fault.words
    return _overlaps(fault, answer) or answer.word in range(min(fault.words) - 1, max(fault.words) + 3)


def _overlaps(fault: Fault, answer: Answer) -> bool:
    return answer.start_sec < fault.end / RATE + NEAR_SEC and answer.end_sec > fault.start / RATE - NEAR_SEC


def _near(fault: Fault, answer: Answer) -> bool:
    return _overlaps(fault, answer) or answer.word in range(min(fault.words) - 1, max(fault.words) + 2)
