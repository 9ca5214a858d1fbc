"""A reviewer's way in from another machine: a token in a link, of which only the hash is kept.

Knows tokens and times; keeps nothing. A token is 256 random bits, so a plain SHA-256 of it cannot be guessed back.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from engine.types import BadInput, Invitation

DAY_SEC = 24 * 3600.0
DEFAULT_DAYS = 14.0
MOST_DAYS = 365.0


@dataclass(frozen=True, kw_only=True)
class NewInvitation:
    """An invitation with its token, which is shown once and kept nowhere."""

    invitation: Invitation
    token: str

    @property
    def path(self) -> str:
        """What the link is behind the server's address."""
        return f"/listen/?invite={self.token}"


def invite(reviewer: str, *, by: str, now: float, token: str, days: float = DEFAULT_DAYS) -> NewInvitation:
    """An invitation that ends after `days`. Raises BadInput for a missing name or a time that makes no sense."""
    if not reviewer.strip():
        raise BadInput("An invitation needs the reviewer's name.")
    if not by.strip():
        raise BadInput("An invitation needs the name of the person who sends it.")
    if not 0 < days <= MOST_DAYS:
        raise BadInput(f"An invitation lasts more than 0 and at most {MOST_DAYS:g} days, not {days:g}.")
    hashed = token_sha256(token)
    return NewInvitation(
        invitation=Invitation(
            id=hashed[:12],
            reviewer=reviewer.strip(),
            token_sha256=hashed,
            created_by=by.strip(),
            created_at=now,
            expires_at=now + days * DAY_SEC,
        ),
        token=token,
    )


def token_sha256(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def state(invitation: Invitation, now: float) -> str:
    """valid, expired or revoked."""
    if invitation.revoked_at is not None:
        return "revoked"
    return "valid" if now < invitation.expires_at else "expired"
