"""Screeners' flags, and the question that a reviewer is asked about each. Pure.

A question is asked only after the reviewer's own answer about the clip was stored, and says nothing that could tell
one candidate from another: it is made of fixed phrases, the reason code and words of the text, never of a screener's
explanation, which may compare with the base.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from engine.gate.words import NAMED, listed
from engine.types import Flag, FlagAnswer, FlagChoice, Score

CHOICES: tuple[tuple[FlagChoice, str], ...] = (
    (FlagChoice.YES, "Yes"),
    (FlagChoice.NO, "No"),
    (FlagChoice.UNSURE, "Cannot tell"),
)
_WITHOUT_WORDS: Mapping[str, str] = {
    "dropped word": "The ear missed a word in this clip. Was one missing?",
    "merged word": "The ear heard two words run together. Were they?",
    "inserted speech": "The ear heard something that is not in the text. Was there?",
    "wrong timbre": "A measure finds the sound of this voice off. Is it?",
    "accent drift": "A measure finds the accent or the melody of this clip off. Is it?",
    "too fast": "A measure finds this clip too fast. Is it?",
    "too slow": "A measure finds this clip too slow. Is it?",
    "noise": "A measure finds noise or distortion in this clip. Is there any?",
    "onset": "A measure finds something wrong at the very start of this clip. Is there?",
    "monotone": "A measure finds this clip monotone. Is it?",
}
_UNNAMED = "A measure finds this clip unusual, and cannot say how. Is something wrong with it?"


def flags(scores: Iterable[Score], serves: Mapping[str, Sequence[str]]) -> list[Flag]:
    """The flags among scores about clips, in their order: one a reason that a score names.

    `serves` are the reason codes that each screener is evidence for in general: where a score names none and its
    screener serves one alone, it is that one; where it serves several, nobody knows which.
    """
    found = []
    for score in scores:
        if score.passed is not False:
            continue
        general = serves.get(score.screener, ())
        named = score.reasons or {general[0] if len(general) == 1 else "": ()}
        found += [
            Flag(clip_id=score.clip_id, screener=score.screener, version=score.version, reason=reason, words=words)
            for reason, words in named.items()
        ]
    return found


def unanswered(found: Sequence[Flag], answers: Iterable[FlagAnswer]) -> list[Flag]:
    """Those that nobody answered to, one a reason: what one measure was asked about another need not ask again."""
    said = {(answer.flag.clip_id, answer.flag.reason or answer.flag.screener) for answer in answers}
    open_ones: dict[tuple[str, str], Flag] = {}
    for flag in found:
        key = (flag.clip_id, flag.reason or flag.screener)
        if key not in said:
            open_ones.setdefault(key, flag)
    return list(open_ones.values())


def question(flag: Flag, text: str) -> str:
    """What the reviewer is asked about a flag of a clip that should say `text`."""
    words = [word for word in flag.words if word.strip()]
    if not words or flag.reason not in ("dropped word", "merged word"):
        return _WITHOUT_WORDS.get(flag.reason, _UNNAMED)
    named = listed([f"“{word}”" for word in words[:NAMED]])
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    where = _where(words[0], text) if len(words) == 1 else ""
    if flag.reason == "merged word":
        return f"The ear heard {named}{more} run together with a neighbour{where}. Did you?"
    if len(words) == 1:
        return f"The ear missed the word {named}{where}. Was it missing?"
    return f"The ear missed the words {named}{more}. Was any of them missing?"


def _where(word: str, text: str) -> str:
    """' at the start', ' in the middle', ' at the end'; nothing where the text has the word several times, or never."""
    words = re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.casefold())
    places = [place for place, each in enumerate(words) if each == word.casefold()]
    if len(places) != 1 or len(words) < 3:
        return ""
    third = 3 * places[0] // len(words)
    return (" near the start", " in the middle", " near the end")[third]
