"""A listening test as data for anybody's analysis: one row for every side of every trial and answer.

Pure: records in, columns out. What it takes to do the analysis again is in every row or beside them: seeds, the
mapping of sides, checksums of clips and of what was heard, gains, the player's events, and which versions drew, played
and counted.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.types import Clip, ListeningTest, Response, Session, Slot, Trial

FORMATS = ("csv", "parquet", "json")

# Column -> its type in the database's words.
COLUMNS: Mapping[str, str] = {
    "test_id": "VARCHAR",
    "test": "VARCHAR",
    "test_seed": "BIGINT",
    "method": "VARCHAR",
    "software": "VARCHAR",
    "session": "VARCHAR",
    "reviewer": "VARCHAR",
    "place": "BIGINT",
    "session_seed": "BIGINT",
    "dry_run": "BOOLEAN",
    "simulated": "BOOLEAN",
    "trial": "VARCHAR",
    "position": "BIGINT",
    "kind": "VARCHAR",
    "role": "VARCHAR",
    "repeats": "VARCHAR",
    "line": "VARCHAR",
    "tier": "VARCHAR",
    "text": "VARCHAR",
    "label": "VARCHAR",
    "candidate": "VARCHAR",
    "checkpoint": "VARCHAR",
    "lora_scale": "DOUBLE",
    "clip": "VARCHAR",
    "clip_seed": "BIGINT",
    "clip_sha256": "VARCHAR",
    "treatment": "VARCHAR",
    "gain_db": "DOUBLE",
    "heard_sha256": "VARCHAR",
    "attempt": "BIGINT",
    "choice": "VARCHAR",
    "rating": "DOUBLE",
    "reasons": "VARCHAR",
    "note": "VARCHAR",
    "plays": "BIGINT",
    "volume": "DOUBLE",
    "events": "VARCHAR",
    "shown_at": "DOUBLE",
    "answered_at": "DOUBLE",
    "withdrawn_at": "DOUBLE",
}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A test with all that happened in it. `responses` hold withdrawn answers too; `clip_sha256` is of clips' files,
    empty for one that is gone.
    """

    test: ListeningTest
    sessions: Sequence[Session]
    trials: Sequence[Trial]
    responses: Sequence[Response]
    clips: Mapping[str, Clip]
    clip_sha256: Mapping[str, str]


def rows(exported: Exported) -> list[dict[str, Any]]:
    """One row for each side of each answer, in the order of presentation; a trial without an answer has rows too."""
    given: dict[str, list[Response]] = {}
    for response in exported.responses:
        given.setdefault(response.trial_id, []).append(response)
    sessions = {session.id: session for session in exported.sessions}
    return [
        row
        for trial in exported.trials
        for response in given.get(trial.id, [None])
        for row in _sides(exported, sessions[trial.session_id], trial, response)
    ]


def to_csv(found: Sequence[Mapping[str, Any]]) -> bytes:
    """Comma-separated UTF-8 with a header; nothing for what is missing."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue().encode()


def to_json(exported: Exported) -> bytes:
    """The plan, the sittings, and the rows, as one object."""
    told = {
        "test": asdict(exported.test),
        "sessions": [asdict(session) for session in exported.sessions],
        "rows": rows(exported),
    }
    return json.dumps(told, ensure_ascii=False, indent=1, default=str).encode()


def _sides(exported: Exported, session: Session, trial: Trial, response: Response | None) -> Iterator[dict[str, Any]]:
    test = exported.test
    shared = {
        "test_id": test.id,
        "test": test.name,
        "test_seed": test.seed,
        "method": test.method,
        "software": test.software,
        "session": session.id,
        "reviewer": session.reviewer,
        "place": session.place,
        "session_seed": session.seed,
        "dry_run": session.dry_run,
        "simulated": session.simulated,
        "trial": trial.id,
        "position": trial.position,
        "kind": trial.kind.value,
        "role": trial.role.value,
        "repeats": trial.repeats,
        "line": trial.line_id,
        "tier": trial.tier.value,
        "text": trial.text,
    }
    for slot in trial.slots:
        row = {**shared, **_side(exported, slot), **_answer(slot, response)}
        yield {name: row.get(name) for name in COLUMNS}


def _side(exported: Exported, slot: Slot) -> dict[str, Any]:
    clip = exported.clips.get(slot.clip_id)
    known: dict[str, Any] = (
        {}
        if clip is None
        else {
            "candidate": clip.candidate.id,
            "checkpoint": clip.candidate.checkpoint_id,
            "lora_scale": clip.candidate.lora_scale,
            "clip_seed": clip.seed,
        }
    )
    return {
        **known,
        "label": slot.label,
        "clip": slot.clip_id,
        "clip_sha256": exported.clip_sha256.get(slot.clip_id, ""),
        "treatment": slot.treatment.value,
    }


def _answer(slot: Slot, response: Response | None) -> dict[str, Any]:
    if response is None:
        return {}
    heard = response.presented.get(slot.label)
    return {
        "gain_db": None if heard is None else heard.gain_db,
        "heard_sha256": None if heard is None else heard.sha256,
        "attempt": response.attempt,
        "choice": None if response.choice is None else response.choice.value,
        "rating": response.ratings.get(slot.label, response.rating),
        "reasons": "; ".join(response.reasons),
        "note": response.note,
        "plays": response.plays.get(slot.label, 0),
        "volume": response.volume,
        "events": json.dumps([list(event) for event in response.events], ensure_ascii=False),
        "shown_at": response.shown_at,
        "answered_at": response.answered_at,
        "withdrawn_at": response.withdrawn_at,
    }
