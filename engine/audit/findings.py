"""Findings in one line each. Knows the severities and what they mean for a row; knows no check."""

from __future__ import annotations

from engine.types import Action, AuditFinding, Severity


def error(
    check: str,
    row: str,
    explanation: str,
    repair: str,
    action: Action = Action.DROP,
    *,
    other: str = "",
    text: str = "",
) -> AuditFinding:
    """The row should not be trained on as it is. Where a program knows no better, the proposal is to drop it."""
    return AuditFinding(
        check=check,
        severity=Severity.ERROR,
        row=row,
        explanation=explanation,
        repair=repair,
        action=action,
        other=other,
        text=text,
    )


def warning(
    check: str, row: str, explanation: str, repair: str, action: Action = Action.NONE, *, other: str = ""
) -> AuditFinding:
    """The row can be trained on, and probably should not be before somebody has listened to it."""
    return AuditFinding(
        check=check,
        severity=Severity.WARNING,
        row=row,
        explanation=explanation,
        repair=repair,
        action=action,
        other=other,
    )


def info(check: str, row: str, explanation: str, repair: str, action: Action = Action.NONE) -> AuditFinding:
    """Worth knowing; preparing takes care of it."""
    return AuditFinding(
        check=check, severity=Severity.INFO, row=row, explanation=explanation, repair=repair, action=action
    )
