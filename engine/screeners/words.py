"""Words dropped, run together, said twice or invented, by the ear's alignment of the clip against its text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from engine.screeners.heard import Better, Heard, score
from engine.types import Score, WordScore

NAMED = 6  # words named in an explanation


class Words:
    name = "words"
    version = 6
    unit = "%"
    better: Better = "less"
    title = "Words"
    about = "Words dropped, run together, said twice or invented, and how many of the text's words are there."
    serves = ("dropped word", "merged word", "inserted speech")

    def __call__(self, heard: Heard) -> Score:
        """Per cent of the text's words that are missing, run together or said again, plus invented stretches; any one
        flags the clip.
        """
        if not heard.follows:
            return score(self, heard, value=math.nan, passed=None, explanation=heard.why_not)
        asked = [word for word in heard.words if word.state not in ("inserted", "repeated")]
        dropped, merged, repeated, inserted = (
            _texts(heard.words, state) for state in ("dropped", "merged", "repeated", "inserted")
        )
        unclear = _texts(heard.words, "wrong")
        value = 100.0 * (len(dropped) + len(merged) + len(repeated) + len(inserted)) / max(1, len(asked))
        faults = [
            _named(dropped, f"of {len(asked)} words missing"),
            _named(merged, "run together"),
            _named(repeated, "said again"),
            f"{len(inserted)} invented stretch{'es' if len(inserted) > 1 else ''}" if inserted else "",
        ]
        told = "; ".join(fault for fault in faults if fault) or f"All {len(asked)} words are there"
        if unclear:
            told += f"; {_named(unclear, 'unclear')}"
        found = {"dropped word": dropped, "merged word": merged, "inserted speech": [*repeated, *inserted]}
        reasons = {reason: texts for reason, texts in found.items() if texts}
        return score(self, heard, value=value, passed=not reasons, explanation=f"{told}.", reasons=reasons)


def bare(word: str) -> str:
    """A word of the text without the punctuation around it."""
    return word.strip(".,;:!?…\"'“”‘’«»()[]{}") or word


def _texts(words: Iterable[WordScore], state: str) -> list[str]:
    return [bare(word.text) for word in words if word.state == state]


def _named(words: Sequence[str], what: str) -> str:
    if not words:
        return ""
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    return f"{len(words)} {what}: {', '.join(words[:NAMED])}{more}"
