"""Sentences that transcribers make up where nobody speaks, or that belong to a video and not to a reader's text.

Knows the phrases of `boilerplate.txt`, in the languages that have such subtitles, and how to compare them: whole
sentences by their letters alone, so that a book in which somebody gives thanks is not caught.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path

PHRASES = Path(__file__).with_name("boilerplate.txt")
# Anywhere in a text: no reader's text has them.
SIGNATURES = re.compile(
    r"amara\.org|dimatorzok|castingwords\.com|opensubtitles\.org|subtitles by |\bsubs by www\.|otter\.ai|"
    r"©\s*(?:bf-?watch|wdr|zdf|swr)\b|www\.zeoranger\.co\.uk|[\w.]*youtube\.com/",
    re.I,
)
_SENTENCE = re.compile("[^.!?\u3002\uff01\uff1f\u2026\n]+[.!?\u3002\uff01\uff1f\u2026]*")
_ARABIC_VOWELS = re.compile("[\u064b-\u0652]")  # written or not


def letters_only(text: str) -> str:
    """Letters, marks and digits of a text in one case: what is left when punctuation and width do not count."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _ARABIC_VOWELS.sub("", "".join(c for c in folded if unicodedata.category(c)[0] in "LMN"))


def found(text: str) -> tuple[str, bool]:
    """(the sentence that is boilerplate, whether it is beyond doubt); ("", False) where there is none.

    In doubt are the endings of a real talk where they end a longer text.
    """
    signature = SIGNATURES.search(text)
    if signature:
        return signature.group().strip(), True
    certain, polite = _phrases()
    whole = letters_only(text)
    if whole in certain or whole in polite:
        return text.strip(), True
    sentences = [s.strip() for s in _SENTENCE.findall(text)]
    for known, beyond_doubt in ((certain, True), (polite, False)):
        for sentence in sentences:
            if letters_only(sentence) in known:
                rest = [s for s in sentences if letters_only(s) not in {"", *certain, *polite}]
                return sentence, beyond_doubt or not rest
    return "", False


@cache
def _phrases() -> tuple[frozenset[str], frozenset[str]]:
    """The phrases beyond doubt and the polite ones, by their letters."""
    certain, _, polite = PHRASES.read_text(encoding="utf-8").partition("# polite\n")
    first, second = (
        frozenset(letters_only(line) for line in part.splitlines() if line.strip() and not line.startswith("#"))
        for part in (certain, polite)
    )
    return first, second
