"""What a source says of one line before any file is looked up, and the findings that a reader makes of a line.

Knows the record that every reader yields and how a lost row is named. Knows no format.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.types import Action, AuditFinding, Severity


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line as its source has it: names are not looked up and the id need not be unique.

    `audio` and `reference_audio` are relative to `base`. `remarks` are findings of this row; their `row` is filled in
    when it has its id. `cut` says that `audio` is the whole recording, of which the row is start_sec to end_sec.
    """

    base: Path
    line: int
    audio: str
    text: str
    label: str = ""  # what a finding calls the row when it is lost; "" = "line 17"
    id: str = ""  # "" = made from the audio's name
    speaker: str = ""
    language: str = ""
    group: str = ""
    split: str = ""
    recording: str = ""
    start_sec: float | None = None
    end_sec: float | None = None
    reference_audio: str = ""
    instruct: str = ""
    cut: bool = False
    remarks: tuple[AuditFinding, ...] = ()

    @property
    def name(self) -> str:
        return self.label or f"line {self.line}"


Item = Row | AuditFinding  # a finding stands for a row that is lost


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a reader found: the rows with the findings of lost ones, in the source's order.

    `path` is the file, or the folder where several files tell the rows. Links may not lead out of `root`, and audio
    that was moved is looked for below it. `content` is the file's bytes; None where rows are files.
    """

    path: Path
    root: Path
    items: Iterable[Item]
    content: bytes | None = None


def lost(row: str, explanation: str, repair: str, *, check: str = "unreadable") -> AuditFinding:
    """A row that cannot be used: the import goes on without it."""
    return AuditFinding(check=check, severity=Severity.ERROR, row=row, explanation=explanation, repair=repair)


def remark(check: str, explanation: str, repair: str, *, severity: Severity = Severity.WARNING) -> AuditFinding:
    """Something about a row that stays."""
    return AuditFinding(check=check, severity=severity, row="", explanation=explanation, repair=repair)


def guessed(where: str, text: str) -> AuditFinding:
    """A text that is not UTF-8 and was read as Windows-1252."""
    return AuditFinding(
        check="encoding",
        severity=Severity.ERROR,
        row="",
        explanation=f"{where} is not UTF-8; read as Windows-1252 (Latin-1) its text is {text[:80]!r}.",
        repair="Check the text and keep it, or save the file as UTF-8.",
        action=Action.SET_TEXT,
        text=text,
    )
