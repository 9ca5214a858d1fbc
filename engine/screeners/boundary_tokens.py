"""Is the reference said again where something new should begin? Asked of the discrete tokens that a model draws.

Knows sequences of tokens, of whatever codec, and what chance gives. How alike a stretch of the reference and a
beginning are is the longest common subsequence of their tokens, over the number of tokens in a second:

    alike(a, b) = LCS(a', b') / W        W = tokens in 1 s; a, b = W tokens each

a' and b' are a and b without tokens that only repeat the one before, and without those that are so common in what is
compared that they are pauses rather than speech. The definition is ours: the leak has been reported as "a high
correlation of the prompt's end with the target's start" without a formula (docs/models/cosyvoice.md), and tokens are
names, whose order can agree while Pearson's r of them means nothing.

A value means nothing by itself: the same words, or the same pauses, are alike too. So the same is computed with other
speech in the reference's place (the shuffled reference), over all beginnings at once: those that follow one reference
are not independent of one another, what stands in its place is. How unusual the reference is among the others is told
by the t of one further value of theirs (the prediction interval of a normal sample; Hahn & Meeker 1991, "Statistical
Intervals"). Where only one clip is at hand, other stretches of its own reference stand for other speech, as they do for
sounds in `leakage`. How often it fires on recordings, with and without a leak: benchmarks/results/boundary_tokens.md.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from engine.screeners.heard import Better, Heard, score
from engine.types import Score, SpeechTokens

WINDOW_SEC = 1.0
STEPS = 4  # that stretches of the reference begin apart, in a window
BEGINNING_SEC = 2.0  # of a clip, in which a leak would be: no null is taken from it
COMMON, COMMON_LEAST = 0.05, 4  # a token of more than this share, and that is there more often than so, is a pause
FLAGGED = 0.5  # of the reference's last second, in order. Ours: no voice with real weights was at hand to set it by
LEAST_OTHERS = 8  # in a reference's place, to tell what is usual
LEAST_SPREAD = 0.01  # of what is usual: a quarter of a token
Tokens = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """How alike beginnings are to a reference's last second (`end`), and to the second of it that is most alike
    (`anywhere`); and to other speech in its place.
    """

    end: float
    anywhere: float
    null_end: tuple[float, ...]
    null_anywhere: tuple[float, ...]
    beginnings: int = 1


@dataclass(frozen=True)
class Spoken:
    """Tokens of speech, and the line that they say: a line is never held against itself."""

    tokens: Tokens
    line: str


class BoundaryTokens:
    name = "boundary_tokens"
    version = 1
    unit = "%"
    better: Better = "less"
    title = "Tokens of the reference"
    about = "Whether the speech tokens at a beginning are those of the reference's last second, in the same order."
    serves = ("inserted speech", "onset")

    def __call__(self, heard: Heard) -> Score:
        """The share of the reference's last second, at the chunk where it is highest."""
        if heard.reference is None:
            return self._none(heard, "Not applicable: this voice speaks without a reference.")
        if heard.speech_tokens is None:
            return self._none(
                heard,
                "Not measured: there are no speech tokens beside this clip. Its model tells none, or it was rendered "
                "before they were kept; the leak of the reference is measured by its sounds.",
            )
        found = [each for each in (alone(chunk) for chunk in heard.speech_tokens) if each is not None]
        if not found:
            return self._none(heard, "Not measured: too few tokens of the reference or of the clip.")
        worst = max(found, key=lambda each: each.end - max(each.null_end))
        flagged = worst.end >= FLAGGED and worst.end > max(worst.null_end)
        usual = "more than other stretches of it do" if worst.end > max(worst.null_end) else "as others of it do"
        told = (
            f"{100 * worst.end:.0f} % of the reference's last second of tokens come again at the beginning, {usual}; "
            f"of its most alike second {100 * worst.anywhere:.0f} %."
        )
        reasons = {"inserted speech": ()} if flagged else None
        return score(self, heard, value=100 * worst.end, passed=not flagged, explanation=told, reasons=reasons)

    def _none(self, heard: Heard, told: str) -> Score:
        return score(self, heard, value=math.nan, passed=None, explanation=told)


def alone(chunk: SpeechTokens) -> Overlap | None:
    """One chunk beside its own reference, whose other stretches are the null; None where either is too short."""
    window, own = round(WINDOW_SEC * chunk.rate_hz), chunk.reference
    beginning = chunk.said[:window]
    if len(own) < 2 * window or len(beginning) < window:
        return None
    pauses = common([own, chunk.said])
    null = tuple(alike(each, beginning, window, pauses) for each in _stretches(own[:-window], window))
    end = alike(own[-window:], beginning, window, pauses)
    return Overlap(end=end, anywhere=max(end, *null), null_end=null, null_anywhere=())


def overlap(
    reference: Tokens, said: Sequence[Spoken], others: Sequence[Spoken], *, rate_hz: float, pauses: Collection[int] = ()
) -> Overlap | None:
    """The beginnings of what was `said` after one reference, beside it and beside `others` in its place: speech of the
    same codec that ends where a sentence ends. None where reference or beginnings are shorter than the window.

    One that is shorter than the reference is led on to by those before it: what may be looked through for a like
    stretch is as long for all.
    """
    window = round(WINDOW_SEC * rate_hz)
    begun = [Spoken(each.tokens[:window], each.line) for each in said if len(each.tokens) >= window]
    if len(reference) < window or not begun:
        return None

    def means(stream: Tokens, line: str | None) -> tuple[float, float] | None:
        heard = [each.tokens for each in begun if each.line != line]
        if not heard:
            return None
        stretches = _stretches(stream, window)
        end = [alike(stream[-window:], each, window, pauses) for each in heard]
        best = [max(alike(stretch, each, window, pauses) for stretch in stretches) for each in heard]
        return sum(end) / len(end), sum(best) / len(best)

    own = means(reference, None)
    assert own is not None
    streams = [(_led_on_to(others, place, len(reference)), each.line) for place, each in enumerate(others)]
    null = [means(stream, line) for stream, line in streams if len(stream) == len(reference)]
    return Overlap(
        end=own[0],
        anywhere=own[1],
        null_end=tuple(each[0] for each in null if each),
        null_anywhere=tuple(each[1] for each in null if each),
        beginnings=len(begun),
    )


def alike(one: Sequence[int], other: Sequence[int], window: int, pauses: Collection[int] = ()) -> float:
    """The longest common subsequence of what both say, over the window; see the top of this file."""
    return longest_common(_said(one, pauses), _said(other, pauses)) / window


def common(streams: Iterable[Sequence[int]]) -> frozenset[int]:
    """The tokens that are so frequent in these streams that they are pauses rather than speech."""
    counts = Counter(token for stream in streams for token, _ in groupby(stream))
    most = max(COMMON_LEAST, COMMON * counts.total())
    return frozenset(token for token, count in counts.items() if count > most)


def longest_common(one: Sequence[int], other: Sequence[int]) -> int:
    """The length of the longest common subsequence, a row of the table in the bits of one integer (Hyyrö 2004, "Bit-
    parallel LCS-length computation revisited", after Allison & Dix 1986).
    """
    places: dict[int, int] = {}
    for place, token in enumerate(one):
        places[token] = places.get(token, 0) | 1 << place
    whole = (1 << len(one)) - 1
    row = whole
    for token in other:
        met = row & places.get(token, 0)
        row = ((row + met) | (row - met)) & whole
    return len(one) - row.bit_count()


def by_chance(value: float, null: Sequence[float]) -> float:
    """How likely a value as high as this is, were it one more of `null`; NaN with fewer than `LEAST_OTHERS`."""
    from scipy import stats

    if len(null) < LEAST_OTHERS:
        return math.nan
    spread = max(LEAST_SPREAD, statistics.stdev(null)) * math.sqrt(1 + 1 / len(null))
    return float(stats.t.sf((value - statistics.fmean(null)) / spread, len(null) - 1))


def _said(tokens: Sequence[int], pauses: Collection[int]) -> list[int]:
    return [token for token, _ in groupby(tokens) if token not in pauses]


def _stretches(tokens: Tokens, window: int) -> list[Tokens]:
    """Stretches of a window each, a quarter of it apart, the last one at the end."""
    last = len(tokens) - window
    begins = dict.fromkeys([*range(0, last + 1, max(1, window // STEPS)), last])
    return [tokens[begin : begin + window] for begin in begins if begin >= 0]


def _led_on_to(streams: Sequence[Spoken], place: int, length: int) -> Tokens:
    """The last `length` tokens up to the end of one stream; those before it go round."""
    found = streams[place].tokens
    for before in range(1, len(streams)):
        if len(found) >= length:
            break
        found = streams[place - before].tokens + found
    return found[-length:]
