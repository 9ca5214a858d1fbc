"""Recorded lines, datasets, what an audit says of them, and what an engineer decides about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One recorded line with its text. `group` names the source recording: a split never divides a group."""

    id: str
    audio_path: Path
    text: str
    speaker: str = ""
    language: str = "en"
    duration_sec: float = 0.0
    sample_rate: int = 0
    channels: int = 0
    group: str = ""
    split: str = ""  # "train", "validation", "test", or "" when not split yet
    recording: str = ""  # the long recording that this line was cut from
    start_sec: float | None = None  # where in `recording` it begins and ends; None when not known
    end_sec: float | None = None
    reference_audio: Path | None = None  # the audio prompt that upstream formats may name
    instruct: str = ""  # a style instruction that upstream formats may carry
    line: int = 0  # of the source file, counted from 1; 0 when rows are files


class Severity(StrEnum):
    """How much a finding of an audit weighs."""

    ERROR = "error"  # the row cannot be trained on
    WARNING = "warning"  # it can, and probably should not
    INFO = "info"  # worth knowing; preparing takes care of it


class Action(StrEnum):
    """What can be done about a row. Repairs make a new dataset; the source stays as it is."""

    KEEP = "keep"  # as it is, in spite of what was found
    DROP = "drop"
    STRIP_TAGS = "strip_tags"
    SET_TEXT = "set_text"
    TRIM = "trim"  # leading and trailing silence
    RESAMPLE = "resample"
    MONO = "mono"
    NONE = "none"  # nothing that a program could do


@dataclass(frozen=True, kw_only=True)
class AuditFinding:
    """One fault of one row: what is wrong and the mend. `row` is the utterance's id, "" the whole set."""

    check: str
    severity: Severity
    row: str
    explanation: str
    repair: str  # the mend, in a sentence
    action: Action = Action.NONE  # the mend that preparing can do
    other: str = ""  # the other row of a pair: of a duplicate, an overlap
    text: str = ""  # the text that Action.SET_TEXT would set


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A dataset's rows. `sha256` is of the bytes of the file, or of all texts and names where rows are files.

    `faults` are rows that could not be read, or only by a guess (a broken line, a text that is not UTF-8): a fault
    whose row is no utterance's id stands for a row that is lost.
    """

    path: Path
    sha256: str
    utterances: tuple[Utterance, ...]
    faults: tuple[AuditFinding, ...] = ()

    @property
    def total_sec(self) -> float:
        """Seconds of audio in all."""
        return sum(u.duration_sec for u in self.utterances)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one pass over a row's samples says. Levels in dBFS, loudness in LUFS; NaN where nothing can be said."""

    row: str
    duration_sec: float
    characters_per_sec: float
    loudness_lufs: float
    peak_dbfs: float
    clipped_share: float  # of the samples
    noise_floor_dbfs: float
    snr_db: float
    speech_sec: float  # by the voice activity detector
    leading_silence_sec: float
    trailing_silence_sec: float
    longest_pause_sec: float


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """Every finding, those of the whole set first, then by row. `skipped` says which checks could not run, and why."""

    manifest: Manifest
    backend: str
    findings: tuple[AuditFinding, ...]
    measurements: Mapping[str, Measurement] = field(default_factory=dict)  # by row id
    skipped: Mapping[str, str] = field(default_factory=dict)  # check id -> why

    @property
    def rows_with_errors(self) -> frozenset[str]:
        """The ids of the rows that cannot be trained on."""
        return frozenset(f.row for f in self.findings if f.severity is Severity.ERROR and f.row)

    @property
    def row_count(self) -> int:
        """Rows of the source, with those that could not be read."""
        known = {u.id for u in self.manifest.utterances}
        return len(known) + len({f.row for f in self.manifest.faults if f.row} - known)

    @property
    def bad_row_share(self) -> float:
        """p: the share of rows with an error."""
        return len(self.rows_with_errors) / self.row_count if self.row_count else 0.0

    def tainted_share(self, rows_a_step: int) -> float:
        """The share of optimizer steps that see a bad row, 1 - (1 - p)^N, when a step takes N rows."""
        return 1.0 - (1.0 - self.bad_row_share) ** rows_a_step


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What somebody decided of a row on the desk. The latest one of a row and action counts."""

    row: str
    action: Action
    text: str = ""  # of Action.SET_TEXT
    by: str = ""
    at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A dataset on the desk: an imported source, its audit and the decisions so far. Kept until it is discarded."""

    id: str
    path: Path
    source: Path
    backend: str
    name: str
    row_count: int
    created_at: float
    audited: bool = False


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """How a prepared dataset is made. The same rows, decisions and settings give the same bytes."""

    backend: str
    trim: bool = False
    append_silence_sec: float = 0.0
    loudness_lufs: float | None = None  # None: each clip keeps its level
    validation_share: float = 0.1
    test_share: float = 0.0
    seed: int = 42
    keep_errors: bool = False  # False: a row whose error no decision or repair mends is left out


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A prepared dataset in the workspace: mono audio at the voice's rate and a split manifest."""

    id: str
    path: Path  # its folder; the manifest is `manifest.jsonl` inside
    manifest_sha256: str
    backend: str
    sample_rate: int
    train_count: int
    validation_count: int
    test_count: int
    train_sec: float
    excluded_count: int
    unresolved: int  # errors that are still in it; a run needs a named override
    bad_row_share: float  # p of the rows that are in it
    source: Path
    created_at: float
    notes: tuple[str, ...] = ()  # what the preparation had to decide: rows left out, a split within one recording
