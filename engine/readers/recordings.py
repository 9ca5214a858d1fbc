"""What a file's name says of where a clip was cut: the recording, and from which second to which (pure).

Knows how people and tools name slices: time codes (`talk_0012.50_0017.30`, `talk_00-01-12.5_00-01-17.3`,
`talk-0001250-0001730`), numbered slices (`LJ001-0001`, `talk_seg012`). Knows no files: a name comes without its suffix.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_CLOCK = r"(\d{1,2})[-.:h](\d{2})[-.:m](\d{2})(?:[.,](\d{1,3}))?s?"
_SEPARATOR = r"(?:_+|-+| +|@|\[|--|_-_)"
_CLOCKS = re.compile(rf"^(?P<recording>.+?){_SEPARATOR}{_CLOCK}(?:_+|-+|~){_CLOCK}\]?$")
_SECONDS = re.compile(rf"^(?P<recording>.+?){_SEPARATOR}(?P<start>\d+\.\d+)s?(?:_+|-+|~)(?P<end>\d+\.\d+)s?\]?$")
_UNITS = re.compile(rf"^(?P<recording>.+?){_SEPARATOR}(?P<start>\d+)(?P<unit>ms|s)(?:_+|-+|~)(?P<end>\d+)(?P=unit)\]?$")
_INTEGERS = re.compile(r"^(?P<recording>.+?)[_-](?P<start>\d{4,10})[_-](?P<end>\d{4,10})$")
_LIBRITTS = re.compile(r"^(?P<recording>\d+_\d+)_\d{6}_\d{6}$")  # speaker_chapter_paragraph_sentence
_LJSPEECH = re.compile(r"^(?P<recording>LJ\d{3})-\d{4}$")
_SLICE = re.compile(
    r"^(?P<recording>.+?)[_\-. ]+(?:seg|segment|chunk|part|slice|split|utt|clip|vad)[_\-. ]*\d+$", re.IGNORECASE
)
_COUNTER = re.compile(r"^(?P<recording>.+?)[_\- ]+\d{2,}$")
# Names that people give to any clip: what is left of `audio_0001` without its number is no recording.
_ANY_CLIP = frozenset(
    "audio clip file line part rec recording row sample segment sent sentence sound speech take text track utt "
    "utterance voice wav".split()
)
_UNITS_A_SEC = (1000.0, 100.0)  # milliseconds; the hundredths of a second of Kaldi's segments
_MATCH_SEC = 0.06  # a time code's length and the clip's own may differ by this much
LONGEST_SEC = 100 * 3600.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a clip was cut: "" and None where the name does not say. `sure` is False for a mere number at the end."""

    recording: str = ""
    start_sec: float | None = None
    end_sec: float | None = None
    sure: bool = True


NOWHERE = Place(sure=False)


def of(name: str, duration_sec: float = 0.0) -> Place:
    """What one name says. Whole numbers are time codes only when their difference is the clip's `duration_sec`."""
    for place in (_clocks(name), _seconds(name), _integers(name, duration_sec)):
        if place is not None:
            return place
    for pattern in (_LIBRITTS, _LJSPEECH, _SLICE):
        if found := pattern.match(name):
            return Place(recording=found["recording"])
    if (found := _COUNTER.match(name)) and found["recording"].lower() not in _ANY_CLIP:
        return Place(recording=found["recording"], sure=False)
    return NOWHERE


def of_all(names: Sequence[str], durations_sec: Sequence[float] = ()) -> list[Place]:
    """What names say together: a common prefix of all (`robin_0001`, `robin_0002`) is the set's name, no recording."""
    durations = durations_sec or [0.0] * len(names)
    places = [of(name, seconds) for name, seconds in zip(names, durations, strict=True)]
    if len({p.recording for p in places}) == 1:
        return [p if p.sure else NOWHERE for p in places]
    return places


def _clocks(name: str) -> Place | None:
    found = _CLOCKS.match(name)
    if not found:
        return None
    parts = found.groups()[1:]
    return _placed(found["recording"], _clock_sec(*parts[:4]), _clock_sec(*parts[4:]))


def _clock_sec(hours: str, minutes: str, seconds: str, fraction: str | None) -> float:
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction or 0}")


def _seconds(name: str) -> Place | None:
    if found := _SECONDS.match(name):
        return _placed(found["recording"], float(found["start"]), float(found["end"]))
    if found := _UNITS.match(name):
        scale = 1000.0 if found["unit"] == "ms" else 1.0
        return _placed(found["recording"], int(found["start"]) / scale, int(found["end"]) / scale)
    return None


def _integers(name: str, duration_sec: float) -> Place | None:
    found = _INTEGERS.match(name)
    if not found or duration_sec <= 0:
        return None
    start, end = int(found["start"]), int(found["end"])
    for scale in _UNITS_A_SEC:
        if abs((end - start) / scale - duration_sec) <= _MATCH_SEC:
            return _placed(found["recording"], start / scale, end / scale)
    return None


def _placed(recording: str, start: float, end: float) -> Place | None:
    recording = recording.rstrip("_-[@ ")
    return Place(recording=recording, start_sec=start, end_sec=end) if recording and start < end < LONGEST_SEC else None
