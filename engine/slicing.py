"""One long recording becomes utterances: cut at pauses, found by voice activity, in pieces of a few seconds.

Knows how to choose the cuts (pure: `plan`) and how to listen to an hour in blocks, so that what is in memory does not
grow with the recording but for its levels, 400 bytes a second. The recording is only read; what was cut from where
stays with each row, since a split needs it. Knows no texts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from engine import audio, manifest
from engine.audit import voice_activity
from engine.types import BadInput, Utterance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_SEC, MAX_SEC = 3.0, 12.0
MARGIN_SEC = 0.2  # of the pause that stays on either side of speech, or half of the pause where it is shorter
BLOCK_SEC = 60.0
CONTEXT_SEC = 2.0  # around a block, so that the detector knows what goes before and comes after
LEVEL_SEC = 0.01  # a frame of the levels by which the quietest point is found
JOIN_SEC = 0.05  # stretches of speech that meet at the edge of a block are one

# What a cut costs and what a piece does. A cut in a pause of 0.1 s costs 1.3, one of 1 s 0.27; a pause inside a piece
# costs as it grows; each second that a piece lacks costs what silence in its place does, or more than any cut.
_CUT_COST, _SHORTEST_PAUSE_SEC = 0.3, 0.13
_INNER_PAUSE_SEC = 0.6  # longer pauses inside a piece are cut when the pieces allow
_SILENCE_COST, _SHORT_COST = 1.0, 10.0
_SMOOTH_FRAMES = 5

Span = tuple[float, float]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of the recording in seconds. `in_speech`: one of its ends lies in speech, since there was no pause."""

    start_sec: float
    end_sec: float
    in_speech: bool = False


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What listening to a recording leaves: speech in seconds, and the level of each frame of `LEVEL_SEC`."""

    duration_sec: float
    speech: tuple[Span, ...]
    levels: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Sliced:
    """The rows that were cut, without texts, and what was noticed: cuts in speech, stretches that were too short."""

    utterances: tuple[Utterance, ...]
    notes: tuple[str, ...] = ()


def slice_recording(
    recording: Path,
    folder: Path,
    *,
    name: str = "",
    min_sec: float = MIN_SEC,
    max_sec: float = MAX_SEC,
    on_progress: Progress | None = None,
) -> Sliced:
    """Cut a recording into FLAC files `<recording>_<start ms>_<end ms>.flac` in `folder`, at the recording's own rate.

    `name` is what the recording is called, else its file's name.
    `on_progress(done, total, message)` counts seconds and may raise to stop. Raises BadInput when it cannot be read or
    nobody speaks in it.
    """
    if not 0.5 <= min_sec <= max_sec / 2:
        raise BadInput(f"Pieces of {min_sec:g} to {max_sec:g} s cannot be cut; the longest must be twice the shortest.")
    tell = on_progress or (lambda done, total, message: None)
    heard = listen(recording, on_progress=tell)
    if not heard.speech:
        raise BadInput(f"Nobody speaks in {recording.name}; give a recording of speech.")
    pieces = plan(heard, min_sec=min_sec, max_sec=max_sec)
    name = manifest.slug(name or recording.stem)
    header = audio.probe(recording)
    rows, notes = [], []
    for piece in pieces:
        tell(round(piece.start_sec), round(heard.duration_sec), f"Cutting {recording.name}")
        row_id = f"{name}_{round(piece.start_sec * 1000):07d}_{round(piece.end_sec * 1000):07d}"
        if piece.end_sec - piece.start_sec < min_sec:
            notes.append(f"{row_id} lasts {piece.end_sec - piece.start_sec:.1f} s: there is no more around it.")
        if piece.in_speech:
            notes.append(f"{row_id} was cut at a quiet point within speech: there is no pause for {max_sec:g} s.")
        path = folder / f"{row_id}.flac"
        audio.cut(recording, path, piece.start_sec, piece.end_sec)
        rows.append(
            Utterance(
                id=row_id,
                audio_path=path,
                text="",
                duration_sec=piece.end_sec - piece.start_sec,
                sample_rate=header.sample_rate,
                channels=header.channels,
                group=name,
                recording=name,
                start_sec=piece.start_sec,
                end_sec=piece.end_sec,
            )
        )
    return Sliced(utterances=tuple(rows), notes=tuple(notes))


# ------------------------------------------------------------------------------------------------------------ listening
def listen(recording: Path, *, on_progress: Progress | None = None) -> Heard:
    """Speech and levels of a recording of any length, read block by block."""
    import numpy as np

    duration = audio.probe(recording).duration_sec
    speech: list[Span] = []
    levels: list[NDArray[np.float32]] = []
    for begin, samples, rate in audio.blocks(recording, BLOCK_SEC, CONTEXT_SEC):
        block = audio.resample(samples, rate, voice_activity.SAMPLE_RATE)
        if on_progress is not None:
            on_progress(round(begin), round(duration), f"Listening to {recording.name}")
        end = min(begin + BLOCK_SEC, duration)
        offset = max(0.0, begin - CONTEXT_SEC)
        for start, stop in voice_activity.speech(block):
            inside = (max(begin, offset + start), min(end, offset + stop))
            if inside[0] < inside[1]:
                speech.append(inside)
        own = block[round((begin - offset) * voice_activity.SAMPLE_RATE) :]
        levels.append(_levels(own[: math.ceil((end - begin) * voice_activity.SAMPLE_RATE)]))
    return Heard(
        duration_sec=duration,
        speech=_joined(speech),
        levels=np.concatenate(levels) if levels else np.zeros(0, np.float32),
    )


def _levels(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    frame = round(LEVEL_SEC * voice_activity.SAMPLE_RATE)
    whole = samples[: len(samples) // frame * frame].reshape(-1, frame)
    found: NDArray[np.float32] = np.sqrt((whole**2).mean(axis=1))
    return found


def _joined(spans: Sequence[Span]) -> tuple[Span, ...]:
    joined: list[Span] = []
    for start, end in spans:
        if joined and start - joined[-1][1] <= JOIN_SEC:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return tuple(joined)


# ------------------------------------------------------------------------------------------------------------- choosing
def plan(heard: Heard, *, min_sec: float = MIN_SEC, max_sec: float = MAX_SEC) -> tuple[Piece, ...]:
    """The pieces, in order and apart: all speech is in one of them, and none is longer than `max_sec`.

    Cuts lie in pauses, in long ones rather than in short ones. Speech that goes on for longer is cut where it is
    quietest. A piece is shorter than `min_sec` only where neither speech nor silence around it is left.
    """
    parts: list[tuple[Span, bool, bool]] = []  # (speech, cut at its start, cut at its end)
    for span in heard.speech:
        whole = _without_pauses(span, heard, min_sec, max_sec - 2 * MARGIN_SEC)
        parts += [(one, i > 0, i < len(whole) - 1) for i, one in enumerate(whole)]
    spans = [span for span, _, _ in parts]
    pieces = []
    for first, last in _grouped(spans, min_sec, max_sec, heard.duration_sec):
        start, end = spans[first][0], spans[last][1]
        room = max(0.0, max_sec - (end - start)) / 2
        early = min(MARGIN_SEC, room, _own_silence(spans, first, heard.duration_sec))
        late = min(MARGIN_SEC, room, _own_silence(spans, last + 1, heard.duration_sec))
        in_speech = parts[first][1] or parts[last][2]
        pieces.append(_piece(start - early, end + late, in_speech))
    return tuple(_lengthened(pieces, min_sec, heard.duration_sec))


def _piece(start: float, end: float, in_speech: bool) -> Piece:
    """In whole milliseconds, inwards: two pieces that touch do not share any."""
    return Piece(
        start_sec=math.ceil(start * 1000 - 1e-6) / 1000,
        end_sec=math.floor(end * 1000 + 1e-6) / 1000,
        in_speech=in_speech,
    )


def _own_silence(spans: Sequence[Span], place: int, duration: float) -> float:
    """Seconds of the pause before the stretch at `place` that belong to either side: half, and all at the ends."""
    if place == 0:
        return spans[0][0]
    if place == len(spans):
        return duration - spans[-1][1]
    return (spans[place][0] - spans[place - 1][1]) / 2


def _without_pauses(span: Span, heard: Heard, min_sec: float, longest: float) -> list[Span]:
    """Speech that fits as it is, else cut where it is quietest until it does."""
    import numpy as np

    start, end = span
    found: list[Span] = []
    while end - start > longest:
        # Both sides keep at least the shortest length, and the left one fits.
        low = math.ceil((start + min_sec) / LEVEL_SEC)
        high = max(low + 1, int(min(start + longest, end - min_sec) / LEVEL_SEC))
        frames = heard.levels[low:high]
        if len(frames) > _SMOOTH_FRAMES:
            frames = np.convolve(frames, np.ones(_SMOOTH_FRAMES, np.float32), mode="same")
        at = (low + (int(np.argmin(frames)) if len(frames) else 0) + 0.5) * LEVEL_SEC
        found.append((start, at))
        start = at
    return [*found, (start, end)]


def _grouped(spans: Sequence[Span], min_sec: float, max_sec: float, duration: float) -> list[tuple[int, int]]:
    """(first, last) of the stretches of each piece: the cheapest way to divide them, by dynamic programming."""
    best = [0.0] + [math.inf] * len(spans)
    begin = [0] * (len(spans) + 1)
    for last in range(len(spans)):
        inner = 0.0
        for first in range(last, -1, -1):
            seconds = spans[last][1] - spans[first][0]
            if first < last:
                inner += max(0.0, spans[first + 1][0] - spans[first][1] - _INNER_PAUSE_SEC)
                if seconds + 2 * MARGIN_SEC > max_sec:
                    break
            around = _own_silence(spans, first, duration) + _own_silence(spans, last + 1, duration)
            missing = max(0.0, min_sec - seconds)
            short = _SILENCE_COST * min(missing, around) + _SHORT_COST * max(0.0, missing - around)
            cost = best[first] + _cut_cost(spans, first) + inner + short
            if cost < best[last + 1]:
                best[last + 1], begin[last + 1] = cost, first
    pieces: list[tuple[int, int]] = []
    end = len(spans)
    while end:
        pieces.append((begin[end], end - 1))
        end = begin[end]
    return pieces[::-1]


def _cut_cost(spans: Sequence[Span], first: int) -> float:
    """Of cutting before a stretch."""
    if first == 0:
        return 0.0
    pause = spans[first][0] - spans[first - 1][1]
    return _CUT_COST / (pause + _SHORTEST_PAUSE_SEC)


def _lengthened(pieces: Sequence[Piece], min_sec: float, duration: float) -> Iterator[Piece]:
    """Pieces that are too short take what they need of the silence around them, as far as it is nobody else's."""
    edges = [0.0, *((a.end_sec + b.start_sec) / 2 for a, b in pairwise(pieces)), duration]
    for place, piece in enumerate(pieces):
        missing = min_sec - (piece.end_sec - piece.start_sec)
        if missing <= 0:
            yield piece
            continue
        left, right = piece.start_sec - edges[place], edges[place + 1] - piece.end_sec
        early = min(left, max(missing / 2, missing - right))
        late = min(right, missing - early)
        yield _piece(piece.start_sec - early, piece.end_sec + late, piece.in_speech)
