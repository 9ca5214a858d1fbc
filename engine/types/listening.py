"""Listening tests: their plan, each reviewer's blind sitting, the trials with their sides, and the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from engine.types.adapters import Candidate
from engine.types.speaking import Tier


class TrialKind(StrEnum):
    """What is heard in a trial, and what can be answered."""

    GATE = "gate"  # one clip: pass or fail, with reason codes
    PREFERENCE = "preference"  # two clips: A, B or tie
    ABX = "abx"  # two clips and X, which is one of them: A or B
    CMOS = "cmos"  # two clips: B against A on -3..+3
    MOS = "mos"  # one clip: 1..5
    MULTI = "multi"  # up to eight clips, each on 0..100; no reference is named


class Choice(StrEnum):
    """What can be answered where no number is asked for."""

    PASS = "pass"
    FAIL = "fail"
    A = "a"
    B = "b"
    TIE = "tie"


class TrialRole(StrEnum):
    """What a trial is asked for. Reviewers cannot tell the roles apart, but for the training trial."""

    MAIN = "main"  # evidence about candidates
    TRAINING = "training"  # the first of a sitting: shows how the page works, never counted
    IDENTICAL = "identical"  # catch: the same clip on both sides
    ANCHOR = "anchor"  # catch: one side is degraded
    REPEAT = "repeat"  # catch: an earlier question of the sitting once more


CATCHES = (TrialRole.IDENTICAL, TrialRole.ANCHOR, TrialRole.REPEAT)


class Treatment(StrEnum):
    """What was done to a clip before it was heard, beyond what is done to all."""

    NONE = ""
    LOWPASS = "lowpass"  # nothing above 3.5 kHz, as the low anchor of BS.1534
    FAST = "fast"  # 15 % faster and as much higher, as a tape that runs too fast


class Design(StrEnum):
    """When a test's trials are drawn."""

    FIXED = "fixed"  # every trial is drawn before the first is heard
    ADAPTIVE = "adaptive"  # trials are added while answers come in: exploration


class Pairing(StrEnum):
    """Which candidates of a test meet."""

    ALL = "all"  # every candidate against every other
    FIRST = "first"  # every candidate against the first


class Order(StrEnum):
    """In which order the trials of a sitting come."""

    RANDOM = "random"  # seeded, no line twice in a row
    WILLIAMS = "williams"  # rows of a Williams square, one a reviewer


class Switching(StrEnum):
    """What happens to a clip that is switched to."""

    RESTART = "restart"  # the other side starts from its beginning
    CONTINUE = "continue"  # the other side goes on at the same place


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
class Screening:
    """When a reviewer's answers are left out: fixed with the test, before there is data, and applied as written.

    A reviewer goes when more than `max_failed_share` of their checks failed, and there were at least `min_checks`.
    A check is a catch trial, or the low anchor of a multi trial. It fails when an identical pair gets a preference, or
    a CMOS further than `cmos_within` from 0; when the degraded side is not judged worse (in a multi trial: not below
    the mean of the others); when a repeat gets another choice, or a rating further away than `cmos_within`,
    `mos_within` or (in the mean over the clips) `multi_within`.
    """

    max_failed_share: float = 0.15  # as BS.1534-3 has it for the hidden reference
    min_checks: int = 3
    cmos_within: float = 1.0
    mos_within: float = 1.0
    multi_within: float = 20.0


@dataclass(frozen=True, kw_only=True)
class StopRule:
    """When a test has heard enough: `method` is none, evalue, sprt or exact; at `max_judgments` it ends in any case."""

    method: str = "none"
    error_level: float = 0.05
    p1: float = 0.7  # what SPRT holds against one half
    max_judgments: int = 200


@dataclass(frozen=True, kw_only=True)
class ListeningTest:
    """The plan of a listening test: what is heard by whom, fixed before the first answer.

    `lines` are ids of script lines, all of which every candidate has rendered. `judgments` is the number of main trials
    a reviewer, 0 for every question once. `catch_rate` is the share of catch trials among all but the training trial,
    of the `catches` that the kind allows. `anchor` degrades the anchor; `low_anchor` adds it to every multi trial.
    """

    id: str
    name: str
    kind: TrialKind
    candidates: tuple[Candidate, ...]
    lines: tuple[str, ...]
    reviewers: tuple[str, ...]
    seed: int
    created_by: str
    created_at: float
    design: Design = Design.FIXED
    pairing: Pairing = Pairing.ALL
    judgments: int = 0
    stop: StopRule = StopRule()
    order: Order = Order.RANDOM
    catch_rate: float = 0.0
    catches: tuple[TrialRole, ...] = CATCHES
    anchor: Treatment = Treatment.LOWPASS
    low_anchor: bool = False
    switching: Switching = Switching.RESTART
    training: bool = True
    headphones: bool = False  # offer the headphone check before the first trial
    screening: Screening = Screening()
    gate: str = ""
    instructions: str = ""
    method: str = ""  # version of how trials are drawn and sounds prepared
    software: str = ""  # version of Earmark
    closed_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class Session:
    """One reviewer's blind sitting. `simulated` reviewers follow a stated rule and are never mixed up with people; a
    dry run is the engineer's own try and never counted. `place` is the reviewer's number in the test, from 0.
    """

    id: str
    kind: TrialKind
    reviewer: str
    seed: int
    gate: str
    created_at: float
    simulated: bool = False
    closed_at: float | None = None
    test_id: str = ""  # empty: a sitting of its own
    place: int = 0
    dry_run: bool = False
    switching: Switching = Switching.RESTART
    gate_sha256: str = ""  # of the rules that were in force when it was opened


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One side of a trial. The token is opaque, one a presentation; the clip id never leaves the server."""

    label: str
    token: str
    clip_id: str
    treatment: Treatment = Treatment.NONE


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One question. `control` is the label of a side that the reviewer is told to be the base, if there is one."""

    id: str
    session_id: str
    position: int
    kind: TrialKind
    line_id: str
    text: str
    tier: Tier
    slots: tuple[Slot, ...]
    role: TrialRole = TrialRole.MAIN
    repeats: str | None = None  # id of the trial that a repeat asks once more
    control: str | None = None

    @property
    def is_catch(self) -> bool:
        """Whether its answer is known beforehand."""
        return self.role in CATCHES

    @property
    def counts(self) -> bool:
        """Whether its answer is evidence about candidates."""
        return self.role is TrialRole.MAIN


@dataclass(frozen=True, kw_only=True)
class Presented:
    """What a side's audio was when it was heard: the gain that it got, in decibels, and the checksum of its bytes."""

    gain_db: float
    sha256: str


PlayerEvent = tuple[float, str, str, float]  # seconds since the trial was shown, what, side, a number that it came with


@dataclass(frozen=True, kw_only=True)
class Response:
    """One answer. Gate, preference and ABX have a `choice`; MOS (1..5) and CMOS (-3..3: B against A as presented,
    above 0 when B is better) a `rating`; multi has `ratings`, label -> 0..100.

    A withdrawn answer stays in the log; given anew, it is the next `attempt`.
    """

    trial_id: str
    session_id: str
    choice: Choice | None = None
    rating: float | None = None
    ratings: Mapping[str, float] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    note: str = ""
    plays: Mapping[str, int] = field(default_factory=dict)
    events: tuple[PlayerEvent, ...] = ()
    volume: float | None = None  # 0..1
    presented: Mapping[str, Presented] = field(default_factory=dict)  # by label
    shown_at: float | None = None
    answered_at: float
    attempt: int = 1
    withdrawn_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class Invitation:
    """A reviewer's way in from elsewhere. The token is in the link alone: here is its SHA-256."""

    id: str
    reviewer: str
    token_sha256: str
    created_by: str
    created_at: float
    expires_at: float
    revoked_at: float | None = None
