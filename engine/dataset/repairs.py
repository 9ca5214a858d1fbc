"""What preparing does with each row, and why: findings, decisions and settings become a plan. Pure.

Knows which repair mends which finding, and that a person's decision comes before a proposal. What a plan says of a
row's text is done; what it says of audio is done by `conditioning`. Knows no files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine.audit import boilerplate, texts
from engine.audit.row import RowFacts
from engine.dataset.conditioning import MARGIN_SEC
from engine.needs import Needs
from engine.types import (
    Action,
    AuditFinding,
    AuditReport,
    Decision,
    Measurement,
    PrepareSettings,
    Script,
    Severity,
    Utterance,
)

# Findings that speak of the text alone: they are looked for again in a text that was changed.
OF_THE_TEXT = frozenset(("empty_text", "boilerplate", "tags", "encoding", "unpronounceable"))
# Findings that hold the text against the audio: another text, written by somebody who listened, mends them.
AGAINST_THE_AUDIO = frozenset(("text_too_long", "text_too_short", "transcript_mismatch"))
NO_AUDIO = frozenset(("missing", "unreadable"))
MOST_CHANNELS = 2  # that are averaged; of more nobody can know which one is the voice
LISTENING_SCRIPT = "listening_script"
_BEFORE_PUNCTUATION = re.compile(r"\s+([,.;:!?…])")

Decisions = Mapping[str, Sequence[Decision]]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that was done to a row. `check` is the finding behind it, "" a setting or a person (`by`)."""

    row: str
    action: str
    why: str
    check: str = ""
    before: str | float = ""
    after: str | float = ""
    by: str = ""


@dataclass(frozen=True, kw_only=True)
class RowPlan:
    """One row: its text as it will be, whether it is in, and errors that stay in it. `trim` is the step to log."""

    utterance: Utterance
    included: bool
    steps: tuple[Step, ...] = ()
    trim: Step | None = None
    unresolved: tuple[AuditFinding, ...] = ()
    findings: tuple[AuditFinding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every row of a report in its order, and the steps of rows that were lost when they were read."""

    rows: tuple[RowPlan, ...]
    lost: tuple[Step, ...]

    @property
    def included(self) -> tuple[RowPlan, ...]:
        return tuple(row for row in self.rows if row.included)


def plan(
    report: AuditReport,
    settings: PrepareSettings,
    needs: Needs,
    *,
    decisions: Decisions | None = None,
    held_back: Mapping[str, str] | None = None,
    originals: Mapping[str, str] | None = None,
) -> Plan:
    """What to do. `held_back` are lines of listening scripts, from `listening_lines`: they are not trained on.

    `originals` are the source's texts of rows that were audited with a text that somebody had written before.
    """
    by_row: dict[str, list[AuditFinding]] = {}
    for finding in report.findings:
        by_row.setdefault(finding.row, []).append(finding)
    left_out: set[str] = set()
    rows = []
    for u in report.manifest.utterances:
        row = _Row(u, tuple(by_row.get(u.id, ())), (decisions or {}).get(u.id, ()), settings, needs)
        row.original = (originals or {}).get(u.id, u.text)
        made = row.plan(report.measurements.get(u.id), held_back or {}, left_out)
        if not made.included:
            left_out.add(u.id)
        rows.append(made)
    known = {u.id for u in report.manifest.utterances}
    lost = {f.row: f for f in report.manifest.faults if f.row and f.row not in known}
    told = (Step(row=row, action=Action.DROP, check=f.check, why=f.explanation) for row, f in lost.items())
    return Plan(rows=tuple(rows), lost=tuple(told))


def listening_lines(scripts: Sequence[Script]) -> dict[str, str]:
    """What listening scripts ask candidates to say, by letters alone -> where it stands."""
    return {
        boilerplate.letters_only(line.text): f"line {line.id} of the listening script {script.name}"
        for script in scripts
        for line in script.lines
    }


def without_tags(text: str, known: Sequence[str] = ()) -> str:
    """A text without its annotation tags and the gaps that they leave; the `known` ones stay."""
    stripped = texts.TAG.sub(lambda tag: tag[0] if tag[0] in known else " ", text)
    return _BEFORE_PUNCTUATION.sub(r"\1", " ".join(stripped.split()))


def without_folder(sentence: str, row: Utterance) -> str:
    """A sentence about a row with its file's name alone: where the source lay is nothing about the dataset."""
    return sentence.replace(f"{row.audio_path.parent}{os.sep}", "")


class _Row:
    """One row on its way to a plan."""

    def __init__(
        self,
        utterance: Utterance,
        findings: tuple[AuditFinding, ...],
        decisions: Sequence[Decision],
        settings: PrepareSettings,
        needs: Needs,
    ) -> None:
        self.row = utterance
        self.original = utterance.text
        self.findings = findings
        self.decided = {d.action: d for d in decisions if d.action is not Action.KEEP or d.by.strip()}
        self.settings = settings
        self.needs = needs
        self.steps: list[Step] = []

    def plan(self, measured: Measurement | None, held_back: Mapping[str, str], left_out: set[str]) -> RowPlan:
        if drop := self.decided.get(Action.DROP):
            return self._out("Somebody decided to leave it out.", by=drop.by)
        if why := self._cannot_be_read():
            return self._out(why[1], check=why[0])
        errors = self._with_texts_mended()
        if where := held_back.get(boilerplate.letters_only(self.row.text)):
            return self._out(f"It is {where}, which is kept out of training.", check=LISTENING_SCRIPT)
        trim = self._trim()
        errors = [f for f in errors if not self._mended(f, trim, measured, left_out)]
        keep = self.decided.get(Action.KEEP)
        if errors and keep is None and not self.settings.keep_errors:
            return self._out(errors[0].explanation, check=errors[0].check)
        for finding in errors:
            who = "Somebody decided to keep it." if keep else "The settings keep rows with errors."
            self._did(Action.KEEP, f"{finding.explanation} {who}", finding.check, by=keep.by if keep else "")
        return RowPlan(
            utterance=self.row,
            included=True,
            steps=tuple(self.steps),
            trim=trim,
            unresolved=tuple(replace(f, explanation=without_folder(f.explanation, self.row)) for f in errors),
            findings=self.findings,
        )

    def _did(self, action: str, why: str, check: str = "", *, before: str = "", after: str = "", by: str = "") -> None:
        self.steps.append(
            Step(
                row=self.row.id,
                action=action,
                why=without_folder(why, self.row),
                check=check,
                before=before,
                after=after,
                by=by,
            )
        )

    def _out(self, why: str, *, check: str = "", by: str = "") -> RowPlan:
        self._did(Action.DROP, why, check, by=by)
        return RowPlan(utterance=self.row, included=False, steps=tuple(self.steps), findings=self.findings)

    def _cannot_be_read(self) -> tuple[str, str] | None:
        """(check, why) of a row that nobody's decision can bring in."""
        for f in self.findings:
            if f.check in NO_AUDIO and f.severity is Severity.ERROR:
                return f.check, f.explanation
        if self.row.channels > MOST_CHANNELS:
            return "channels", f"It has {self.row.channels} channels, and nobody can know which one is the voice."
        return None

    # ----------------------------------------------------------------------------------------------------------- text
    def _with_texts_mended(self) -> list[AuditFinding]:
        """Set the text; returns the errors that are left of all."""
        errors = [f for f in self.findings if f.severity is Severity.ERROR]
        written = self.decided.get(Action.SET_TEXT)
        as_it_is = Action.KEEP in self.decided
        meant = next((f for f in errors if f.check == "encoding" and f.action is Action.SET_TEXT and f.text), None)
        # A text that the audit has seen already is judged by what the audit says of it.
        is_new = written is not None and written.text.strip() != self.row.text
        if written is not None:
            self._set(Action.SET_TEXT, written.text.strip(), "Somebody wrote down what is said.", by=written.by)
        elif meant is not None and not as_it_is:  # other proposed texts are guesses: somebody has to decide
            self._set(Action.SET_TEXT, meant.text.strip(), meant.explanation, meant.check)
        strip = self.decided.get(Action.STRIP_TAGS)
        tagged = next((f for f in errors if f.action is Action.STRIP_TAGS), None)
        if strip or ((tagged or self.steps) and not as_it_is):
            why = tagged.explanation if tagged else "Annotations in the text would be learned as speech."
            self._set(Action.STRIP_TAGS, self._stripped(), why, "tags", by=strip.by if strip else "")
        if not self.steps:
            return errors
        again = texts.check([RowFacts(utterance=self.row)], self.needs)
        settled = OF_THE_TEXT | (AGAINST_THE_AUDIO if is_new else frozenset())
        stay = [f for f in errors if f.check not in settled]
        return [*stay, *(f for f in again if f.severity is Severity.ERROR)]

    def _stripped(self) -> str:
        stripped = without_tags(self.row.text, self.needs.known_tags)
        return stripped if any(c.isalnum() for c in stripped) else ""

    def _set(self, action: Action, text: str, why: str, check: str = "", *, by: str = "") -> None:
        if text == self.row.text and action is Action.STRIP_TAGS:
            return
        before = self.row.text if self.steps else self.original
        self._did(action, why, check, before=before, after=text, by=by)
        self.row = replace(self.row, text=text)

    # ---------------------------------------------------------------------------------------------------------- audio
    def _trim(self) -> Step | None:
        silence = next((f for f in self.findings if f.action is Action.TRIM), None)
        decision = self.decided.get(Action.TRIM)
        if not (decision or self.settings.trim):
            return None
        why = silence.explanation if silence else "Silence around speech is cut off by the settings."
        return Step(
            row=self.row.id,
            action=Action.TRIM,
            why=why,
            check=silence.check if silence else "",
            by=decision.by if decision else "",
        )

    def _mended(
        self, finding: AuditFinding, trim: Step | None, measured: Measurement | None, left_out: set[str]
    ) -> bool:
        """Whether an error is none any more in the row as it will be."""
        if finding.check == "overlap":
            return True  # the split puts both rows on one side
        if finding.check == "duplicate":
            return finding.other in left_out
        if finding.action in (Action.RESAMPLE, Action.MONO):
            return True
        if finding.check == "silence":
            return trim is not None
        if finding.check == "duration" and trim is not None and measured is not None:
            around = max(0.0, measured.leading_silence_sec - MARGIN_SEC)
            around += max(0.0, measured.trailing_silence_sec - MARGIN_SEC)
            return self.needs.min_sec <= measured.duration_sec - around <= self.needs.max_sec
        return False
