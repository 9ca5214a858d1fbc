"""A reviewer's blind sitting: trials, their sides, and the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.types.speaking import Tier


class TrialKind(StrEnum):
    GATE = "gate"  # one clip: pass or fail, with reason codes
    PREFERENCE = "preference"  # two clips: A, B or tie


class Choice(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    A = "a"
    B = "b"
    TIE = "tie"


OTHER = "other"  # says nothing by itself: it needs a note
REASON_CODES = (
    "dropped word",
    "merged word",
    "inserted speech",
    "wrong timbre",
    "accent drift",
    "too fast",
    "too slow",
    "noise",
    "onset",
    "monotone",
    OTHER,
)
# What earlier versions called them. Answers keep the word that was said; where they are counted, it is this one's.
EARLIER_REASON_CODES: Mapping[str, str] = {
    "merged words": "merged word",
    "repeated or invented words": "inserted speech",
    "wrong voice": "wrong timbre",
    "accent": "accent drift",
    "bad start or end": "onset",
}


def reason_code(said: str) -> str:
    """The code of today for what an answer says; a code that no version had stays as it is."""
    return EARLIER_REASON_CODES.get(said, said)


@dataclass(frozen=True, kw_only=True)
class Session:
    """One reviewer's blind sitting. `simulated` reviewers follow a stated rule and are never mixed up with people."""

    id: str
    kind: TrialKind
    reviewer: str
    seed: int
    gate: str
    created_at: float
    simulated: bool = False
    closed_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One side of a trial. The token is opaque, one a presentation; the clip id never leaves the server."""

    label: str
    token: str
    clip_id: str


@dataclass(frozen=True, kw_only=True)
class Trial:
    id: str
    session_id: str
    position: int
    kind: TrialKind
    line_id: str
    text: str
    tier: Tier
    slots: tuple[Slot, ...]
    is_catch: bool = False


@dataclass(frozen=True, kw_only=True)
class Response:
    trial_id: str
    session_id: str
    choice: Choice
    reasons: tuple[str, ...]
    note: str
    plays: Mapping[str, int]
    answered_at: float
