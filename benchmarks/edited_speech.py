"""Speech with known faults: words cut out of, doubled in, added to and run together in clips that were clean.

Knows a clip whose words lie at known times, and how to edit it as an editor would: at the quietest point between two
words, with short cross-fades. Knows no screener and no voice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import librosa
import numpy as np
from numpy.typing import NDArray

RATE = 16_000
FADE = 96  # samples: 6 ms
SEARCHED_SEC = 0.04  # around a word's edge, for the quietest point
GAP_SEC = (0.03, 0.12)  # of silence around what is pasted
SQUEEZED = (1.8, 2.6)  # times as fast: two words squeezed together
OVERLAP_SEC = (0.07, 0.13)  # of two words that were laid over each other ...
COVERED = 0.6  # ... and at most so much of the shorter one
Samples = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Said:
    """A clip at 16 kHz: what it says and where each word lies, `edges[n]` to `edges[n + 1]` in samples."""

    voice: str
    group: str
    samples: Samples
    text: str
    edges: tuple[int, ...]  # one more than words; the first word begins at the first, the last ends at the last

    @property
    def words(self) -> list[str]:
        return self.text.split()


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One edit: its kind, the words of the text that it concerns, and where in the edited clip it can be heard."""

    kind: str  # dropped, repeated, inserted or merged
    words: tuple[int, ...]  # places in the text; of an added word the place that it stands before
    start: int = 0  # samples, in the edited clip
    end: int = 0


@dataclass(frozen=True, kw_only=True)
class Edited:
    """A clip after its edits; no faults: it is as it was."""

    said: Said
    samples: Samples
    faults: tuple[Fault, ...] = field(default=())


def quietest(samples: Samples, near: int, reach_sec: float = SEARCHED_SEC) -> int:
    """The quietest point (10 ms of least energy) within `reach_sec` of sample `near`."""
    reach, width = round(reach_sec * RATE), round(0.01 * RATE)
    low, high = max(0, near - reach), min(len(samples) - width, near + reach)
    if high <= low:
        return max(0, min(near, len(samples)))
    energy = np.convolve(samples[low : high + width].astype(np.float64) ** 2, np.ones(width), "valid")
    return low + int(energy.argmin()) + width // 2


def joined(pieces: Sequence[Samples]) -> tuple[Samples, list[int]]:
    """Pieces after one another with cross-fades of 6 ms, and where each begins."""
    result: Samples = np.zeros(0, np.float32)
    starts: list[int] = []
    for piece in pieces:
        fade = min(FADE, len(result), len(piece))
        starts.append(max(0, len(result) - fade))
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        middle = result[len(result) - fade :] * (1 - ramp) + piece[:fade] * ramp
        result = np.concatenate([result[: len(result) - fade], middle, piece[fade:]])
    return result, starts


def cut(said: Said, place: int, draw: random.Random) -> Edited:
    """Word `place` cut out."""
    before, after = said.samples[: said.edges[place]], said.samples[said.edges[place + 1] :]
    samples, starts = joined([before, after])
    return Edited(
        said=said,
        samples=samples,
        faults=(Fault(kind="dropped", words=(place,), start=starts[1], end=starts[1]),),
    )


def doubled(said: Said, place: int, draw: random.Random) -> Edited:
    """Words from `place` on (one, or a phrase of up to three) said twice, with a short pause between."""
    count = min(draw.choice([1, 1, 1, 2, 3]), len(said.words) - place)
    start, end = said.edges[place], said.edges[place + count]
    gap = np.zeros(round(draw.uniform(*GAP_SEC) * RATE), np.float32)
    again = said.samples[start:end]
    samples, starts = joined([said.samples[:end], gap, again, said.samples[end:]])
    fault = Fault(kind="repeated", words=tuple(range(place, place + count)), start=starts[2], end=starts[3])
    return Edited(said=said, samples=samples, faults=(fault,))


def merged(said: Said, place: int, draw: random.Random) -> Edited:
    """Words `place` and the one after it run together: squeezed in time, or laid over each other where the shorter one
    is long enough for that to be heard.
    """
    start, middle, end = said.edges[place : place + 3]
    shorter = min(middle - start, end - middle)
    if draw.random() < 0.5 or COVERED * shorter < OVERLAP_SEC[0] * RATE:
        fast = librosa.effects.time_stretch(said.samples[start:end], rate=draw.uniform(*SQUEEZED), n_fft=512)
        samples, starts = joined([said.samples[:start], fast.astype(np.float32), said.samples[end:]])
        heard = (starts[1], starts[2])
    else:
        over = min(round(draw.uniform(*OVERLAP_SEC) * RATE), round(COVERED * shorter))
        samples = np.concatenate([said.samples[:middle], np.zeros(end - middle - over, np.float32)])
        samples[middle - over :] += said.samples[middle:end]
        samples, starts = joined([samples, said.samples[end:]])
        heard = (start, starts[1])
    fault = Fault(kind="merged", words=(place, place + 1), start=heard[0], end=heard[1])
    return Edited(said=said, samples=samples.astype(np.float32), faults=(fault,))


def added(said: Said, place: int, draw: random.Random, donors: Sequence[Said]) -> Edited:
    """A word of another sentence of the same voice put before word `place` (or after the last one)."""
    own = {plain(word) for word in said.words}
    found = [(d, n) for d in donors if d.text != said.text for n, w in enumerate(d.words) if plain(w) not in own]
    donor, word = draw.choice(found)
    piece = donor.samples[donor.edges[word] : donor.edges[word + 1]]
    at = said.edges[place]
    before, after = (np.zeros(round(draw.uniform(*GAP_SEC) * RATE), np.float32) for _ in range(2))
    samples, starts = joined([said.samples[:at], before, piece, after, said.samples[at:]])
    return Edited(
        said=said,
        samples=samples,
        faults=(Fault(kind="inserted", words=(place,), start=starts[2], end=starts[3]),),
    )


def plain(word: str) -> str:
    """A word without case and punctuation."""
    return "".join(c for c in word.lower() if c.isalnum())


def edited(said: Said, donors: Sequence[Said], draw: random.Random, each: int) -> list[Edited]:
    """The clip as it is, and `each` edits of every kind, each in a copy of its own; first and last words among them."""
    count = len(said.words)

    def places(last: int) -> list[int]:
        chosen = [0, last - 1] if draw.random() < 0.3 else []
        rest = [n for n in range(last) if n not in chosen]
        return (chosen + draw.sample(rest, min(len(rest), each)))[:each]

    def add(one: Said, place: int, seeded: random.Random) -> Edited:
        return added(one, place, seeded, donors)

    kinds: list[tuple[Callable[[Said, int, random.Random], Edited], int]] = [
        (cut, count),
        (doubled, count),
        (add, count + 1),
        (merged, count - 1),
    ]
    copies = [Edited(said=said, samples=said.samples)]
    for edit, last in kinds:
        copies += [edit(said, place, draw) for place in places(last) if last > 0]
    return copies
