"""Listening records to table rows and back; the others are in `rows`. Every pair is an exact round trip."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from engine.store.rows import Row, dump
from engine.types import (
    Candidate,
    Choice,
    Design,
    Invitation,
    ListeningTest,
    Order,
    Pairing,
    Presented,
    Response,
    Screening,
    Session,
    Slot,
    StopRule,
    Switching,
    Tier,
    Treatment,
    Trial,
    TrialKind,
    TrialRole,
)

_IN_COLUMNS = ("id", "name", "kind", "created_by", "created_at", "closed_at")


# --------------------------------------------------------------------------------------------------------------- tests
def from_test(test: ListeningTest) -> Row:
    plan = {name: value for name, value in asdict(test).items() if name not in _IN_COLUMNS}
    return {
        "id": test.id,
        "name": test.name,
        "kind": test.kind.value,
        "created_by": test.created_by,
        "created_at": test.created_at,
        "plan": dump(plan),
    }


def to_test(row: Mapping[str, Any]) -> ListeningTest:
    plan = json.loads(row["plan"])
    return ListeningTest(
        id=row["id"],
        name=row["name"],
        kind=TrialKind(row["kind"]),
        created_by=row["created_by"],
        created_at=row["created_at"],
        closed_at=row["closed_at"],
        **{
            **plan,
            "candidates": tuple(Candidate(**candidate) for candidate in plan["candidates"]),
            "lines": tuple(plan["lines"]),
            "reviewers": tuple(plan["reviewers"]),
            "design": Design(plan["design"]),
            "pairing": Pairing(plan["pairing"]),
            "stop": StopRule(**plan["stop"]),
            "order": Order(plan["order"]),
            "catches": tuple(TrialRole(role) for role in plan["catches"]),
            "anchor": Treatment(plan["anchor"]),
            "switching": Switching(plan["switching"]),
            "screening": Screening(**plan["screening"]),
        },
    )


# ----------------------------------------------------------------------------------------------------------- sittings
def from_session(session: Session) -> Row:
    return {
        "id": session.id,
        "kind": session.kind.value,
        "reviewer": session.reviewer,
        "seed": session.seed,
        "gate": session.gate,
        "created_at": session.created_at,
        "simulated": session.simulated,
        "test_id": session.test_id,
        "place": session.place,
        "dry_run": session.dry_run,
        "switching": session.switching.value,
        "gate_sha256": session.gate_sha256,
    }


def to_session(row: Mapping[str, Any]) -> Session:
    return Session(
        id=row["id"],
        kind=TrialKind(row["kind"]),
        reviewer=row["reviewer"],
        seed=row["seed"],
        gate=row["gate"],
        created_at=row["created_at"],
        simulated=row["simulated"],
        closed_at=row["closed_at"],
        test_id=row["test_id"],
        place=row["place"],
        dry_run=row["dry_run"],
        switching=Switching(row["switching"]),
        gate_sha256=row["gate_sha256"],
    )


def from_trial(trial: Trial) -> Row:
    return {
        "id": trial.id,
        "session_id": trial.session_id,
        "position": trial.position,
        "kind": trial.kind.value,
        "line_id": trial.line_id,
        "text": trial.text,
        "tier": trial.tier.value,
        "is_catch": trial.is_catch,
        "role": trial.role.value,
        "repeats": trial.repeats,
        "control": trial.control,
    }


def from_slots(trial: Trial) -> list[Row]:
    return [
        {
            "token": slot.token,
            "trial_id": trial.id,
            "place": place,
            "label": slot.label,
            "clip_id": slot.clip_id,
            "treatment": slot.treatment.value,
        }
        for place, slot in enumerate(trial.slots)
    ]


def to_trial(row: Mapping[str, Any], slots: Sequence[Slot]) -> Trial:
    return Trial(
        id=row["id"],
        session_id=row["session_id"],
        position=row["position"],
        kind=TrialKind(row["kind"]),
        line_id=row["line_id"],
        text=row["text"],
        tier=Tier(row["tier"]),
        slots=tuple(slots),
        role=_role(row),
        repeats=row["repeats"],
        control=row["control"],
    )


def _role(row: Mapping[str, Any]) -> TrialRole:
    """Earlier versions wrote only whether a trial was a catch: a gate's was a repeat, a pair's the same clip twice."""
    if row["role"]:
        return TrialRole(row["role"])
    if not row["is_catch"]:
        return TrialRole.MAIN
    return TrialRole.REPEAT if row["kind"] == TrialKind.GATE else TrialRole.IDENTICAL


def to_slot(row: Mapping[str, Any]) -> Slot:
    return Slot(label=row["label"], token=row["token"], clip_id=row["clip_id"], treatment=Treatment(row["treatment"]))


# ------------------------------------------------------------------------------------------------------------- answers
def from_response(response: Response, *, attempt: int) -> Row:
    return {
        "trial_id": response.trial_id,
        "session_id": response.session_id,
        "attempt": attempt,
        "choice": None if response.choice is None else response.choice.value,
        "rating": response.rating,
        "ratings": dump(dict(response.ratings)),
        "reasons": dump(list(response.reasons)),
        "note": response.note,
        "plays": dump(dict(response.plays)),
        "events": dump(list(response.events)),
        "volume": response.volume,
        "presented": dump({label: asdict(heard) for label, heard in response.presented.items()}),
        "shown_at": response.shown_at,
        "answered_at": response.answered_at,
    }


def to_response(row: Mapping[str, Any]) -> Response:
    return Response(
        trial_id=row["trial_id"],
        session_id=row["session_id"],
        attempt=row["attempt"],
        choice=None if row["choice"] is None else Choice(row["choice"]),
        rating=row["rating"],
        ratings=json.loads(row["ratings"]),
        reasons=tuple(json.loads(row["reasons"])),
        note=row["note"],
        plays=json.loads(row["plays"]),
        events=tuple((at, what, label, value) for at, what, label, value in json.loads(row["events"])),
        volume=row["volume"],
        presented={label: Presented(**heard) for label, heard in json.loads(row["presented"]).items()},
        shown_at=row["shown_at"],
        answered_at=row["answered_at"],
        withdrawn_at=row["withdrawn_at"],
    )


# --------------------------------------------------------------------------------------------------------- invitations
def from_invitation(invitation: Invitation) -> Row:
    return {field.name: getattr(invitation, field.name) for field in fields(invitation) if field.name != "revoked_at"}


def to_invitation(row: Mapping[str, Any]) -> Invitation:
    return Invitation(**{field.name: row[field.name] for field in fields(Invitation)})
