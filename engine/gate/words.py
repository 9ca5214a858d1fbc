"""The words that findings are made of. Pure, and in one order whatever order the answers came in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from engine.types import Flag

NAMED = 3  # words of the text that a sentence names


def people(names: Iterable[str]) -> str:
    """'Ada and Bo', each once, by name."""
    return listed(sorted(set(names)))


def listed(words: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1] if words else ""]))


def because(reasons: Iterable[Sequence[str]]) -> str:
    """' (noise 2 times, onset)': what the fails named, the most frequent first; empty where they named nothing."""
    counted = Counter(reason for own in reasons for reason in own)
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(reason if count == 1 else f"{reason} {count} times" for reason, count in ordered)
    return f" ({told})" if told else ""


def flag(found: Flag) -> str:
    """'dropped word (frost)': what a screener found."""
    named = ", ".join(found.words[:NAMED])
    more = f" and {len(found.words) - NAMED} more" if len(found.words) > NAMED else ""
    return (found.reason or f"what {found.screener} measured") + (f" ({named}{more})" if named else "")


def clips(count: int) -> str:
    """The subject of a sentence about clips."""
    return "one clip was" if count == 1 else f"{count} clips were"


def of(count: int, total: int) -> str:
    """'2 of 3 clips', 'the only clip'."""
    return "the only clip" if count == total == 1 else f"{count} of {total} clips"


def at_most(count: int) -> str:
    """How many may fail."""
    return "none" if count == 0 else f"at most {count}"
