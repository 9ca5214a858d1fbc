"""The data desk of the tests' studio: drafts, findings, decisions and jobs in memory, audio made on the fly.

The same methods and records as the real desk. A draft has as many rows as a test asks for; faults are planted by row.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine import audio
from engine.dataset import repairs
from engine.jobs import Jobs, Report
from engine.needs import Needs
from engine.types import (
    Action,
    AuditFinding,
    AuditReport,
    BadInput,
    Dataset,
    Decision,
    Draft,
    Manifest,
    Measurement,
    NotFound,
    PrepareSettings,
    Refused,
    Severity,
    Utterance,
)
from engine.workspace import Workspace

RATE_HZ = 24_000
TARGETS = (
    Needs(
        name="finch",
        title="Finch",
        sample_rate=RATE_HZ,
        min_sec=0.3,
        max_sec=20.0,
        languages=("en",),
        trainable_here=True,
    ),
    Needs(
        name="qwen3_tts",
        title="Qwen3-TTS",
        sample_rate=24_000,
        min_sec=1.0,
        max_sec=30.0,
        silently="Upstream drops rows over 30 s and does not say so.",
        append_silence_sec=1.0,
    ),
)
TEXTS = (
    "Twelve small boats waited near the harbour while the captain counted every blue bottle.",
    "She had your dark suit in greasy wash water all year.",
    "The orchard was quiet, and nobody had picked the pears.",
    "He wrote it down twice and read it aloud once.",
)
# Row number (from 1) -> what is wrong with it: check, severity, explanation, repair, action, text.
PLANTED: Mapping[int, tuple[tuple[str, Severity, str, str, Action, str], ...]] = {
    7: (
        (
            "missing",
            Severity.ERROR,
            "clips/r007.wav is not there.",
            "Put the file back, or drop the row.",
            Action.DROP,
            "",
        ),
    ),
    19: (("empty_text", Severity.ERROR, "The text is empty.", "Write what is said.", Action.NONE, ""),),
    23: (
        (
            "tags",
            Severity.ERROR,
            "The text holds the tag [laughs].",
            "Take the tag out of the text.",
            Action.STRIP_TAGS,
            "",
        ),
        (
            "silence",
            Severity.WARNING,
            "1.4 s of silence at the end.",
            "Trim it to 0.2 s.",
            Action.TRIM,
            "",
        ),
    ),
    41: (
        (
            "text_too_short",
            Severity.WARNING,
            "11.0 s for 14 characters.",
            "Listen, and mend the text.",
            Action.NONE,
            "",
        ),
    ),
    55: (("duplicate", Severity.ERROR, "The same audio as r054.", "Drop this row.", Action.DROP, ""),),
    60: (("sample_rate", Severity.INFO, "48000 Hz: will be resampled.", "Preparing does it.", Action.RESAMPLE, ""),),
}


def sound(key: str, seconds: float, pitch_hz: float = 150.0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A buzz in syllables, different for every key: enough to see a spectrogram and to tell two clips apart."""
    rng = np.random.default_rng(int(hashlib.sha256(key.encode()).hexdigest()[:8], 16))
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    syllables = np.clip(np.sin(2 * np.pi * (3.1 + rng.random()) * t + rng.random() * 6), 0, 1) ** 0.6
    drift = pitch_hz * (1 + 0.06 * np.sin(2 * np.pi * 0.7 * t + rng.random()))
    phase = 2 * np.pi * np.cumsum(drift) / RATE_HZ
    voice = sum(np.sin(k * phase) / k ** (1.1 + 0.3 * np.sin(2 * np.pi * 1.7 * t + k)) for k in range(1, 18))
    return (0.12 * syllables * voice + 0.002 * rng.standard_normal(len(t))).astype(np.float32)


def utterance(number: int, folder: Path) -> Utterance:
    """The row of a number, counted from 1."""
    text = "" if 19 in (number, number % 997) else TEXTS[number % len(TEXTS)]
    return Utterance(
        id=f"r{number:03d}",
        audio_path=folder / "clips" / f"r{number:03d}.wav",
        text=text + " [laughs]" * (number == 23),
        duration_sec=2.0 + (number * 37 % 100) / 12,
        sample_rate=48_000 if number == 60 else RATE_HZ,
        channels=1,
        line=number,
    )


def measured(row: Utterance, number: int) -> Measurement:
    """Numbers that spread as those of real recordings do."""
    wobble = math.sin(number * 1.7)
    return Measurement(
        row=row.id,
        duration_sec=row.duration_sec,
        characters_per_sec=len(row.text) / row.duration_sec,
        loudness_lufs=-23 + 3 * wobble,
        peak_dbfs=-3 + wobble,
        clipped_share=0.0,
        noise_floor_dbfs=-62 + 4 * wobble,
        snr_db=38 + 9 * math.sin(number * 0.9),
        speech_sec=row.duration_sec * 0.85,
        leading_silence_sec=0.2,
        trailing_silence_sec=0.3,
        longest_pause_sec=0.4,
    )


@dataclass
class Opened:
    """What a draft of the tests' studio holds."""

    draft: Draft
    rows: tuple[Utterance, ...]
    findings: tuple[AuditFinding, ...] = ()
    decisions: dict[str, dict[Action, Decision]] = field(default_factory=dict)


class FakeDesk:
    """The data desk's part of the tests' studio."""

    workspace: Workspace
    clock: Callable[[], float]
    _jobs: Jobs
    _datasets: list[Dataset]

    def open_desk(self) -> None:
        """Called once when the studio is made."""
        self._opened: dict[str, Opened] = {}
        self._results: dict[str, str] = {}
        self._writing = threading.Lock()
        self.hold: Callable[[Report], None] = lambda report: None  # a test may keep jobs from ending

    # ------------------------------------------------------------------------------------------------------- drafts
    def targets(self) -> tuple[Needs, ...]:
        return TARGETS

    def default_settings(self, backend: str) -> PrepareSettings:
        found = next((t for t in TARGETS if t.name == backend), TARGETS[0])
        return PrepareSettings(
            backend=backend, append_silence_sec=found.append_silence_sec, loudness_lufs=found.loudness_lufs
        )

    def open_source(self, path: Path, *, backend: str, name: str = "") -> Draft:
        if not path.exists():
            raise NotFound(f"There is nothing at {path}; give the path of a folder or of a manifest.")
        return self.open_rows(90, source=path, backend=backend, name=name or path.stem)

    def open_rows(self, count: int, *, source: Path = Path("source"), backend: str = "finch", name: str = "") -> Draft:
        """A draft of `count` rows; for tests."""
        made = f"{name or 'draft'}-{len(self._opened) + 1}"
        folder = self.workspace.root / "drafts" / made
        draft = Draft(
            id=made,
            path=folder,
            source=source,
            backend=backend,
            name=name or "draft",
            row_count=count,
            created_at=self.clock(),
        )
        self._opened[made] = Opened(draft, tuple(utterance(n, folder) for n in range(1, count + 1)))
        return draft

    def open_upload(self, files: Sequence[Path], *, backend: str, name: str = "") -> Draft:
        if not files:
            raise BadInput("There are no files to open.")
        return self.open_rows(len(files), source=files[0].parent, backend=backend, name=name or "upload")

    def start_slicing(
        self, recordings: Sequence[Path], *, backend: str, name: str = "", min_sec: float = 3.0, max_sec: float = 12.0
    ) -> str:
        missing = [r for r in recordings if not r.exists()]
        if missing or not recordings:
            raise NotFound(f"There is no recording at {missing[0] if missing else 'an empty path'}.")

        def work(report: Report) -> str:
            report(1, 1, "slicing")
            draft = self.open_rows(12, source=recordings[0], backend=backend, name=name or recordings[0].stem)
            held = self._opened[draft.id]
            held.rows = tuple(
                replace(u, text="", recording=recordings[0].name, start_sec=5.0 * i, end_sec=5.0 * i + u.duration_sec)
                for i, u in enumerate(held.rows)
            )
            return draft.id

        return self._start("slice", work)

    def drafts(self) -> list[Draft]:
        return [o.draft for o in self._opened.values()][::-1]

    def draft(self, draft_id: str) -> Draft:
        return self._held(draft_id).draft

    def _held(self, draft_id: str) -> Opened:
        if draft_id not in self._opened:
            raise NotFound(f"There is no draft {draft_id!r}; open the source again.")
        return self._opened[draft_id]

    def discard_draft(self, draft_id: str) -> None:
        self._held(draft_id)
        del self._opened[draft_id]

    # --------------------------------------------------------------------------------------------------------- jobs
    def _start(self, kind: str, work: Callable[[Report], str]) -> str:
        made: list[str] = []

        def run(report: Report) -> None:
            self.hold(report)
            if not report.cancelled():
                self._results[made[0]] = work(report)

        made.append(self._jobs.start(kind, lambda report: _when(made, run, report)))
        return made[0]

    def job_result(self, job_id: str) -> str:
        if job_id not in self._results:
            raise NotFound(f"{job_id} has made nothing yet.")
        return self._results[job_id]

    # -------------------------------------------------------------------------------------------------------- audit
    def start_audit(self, draft_id: str) -> str:
        held = self._held(draft_id)

        def work(report: Report) -> str:
            report(len(held.rows), len(held.rows), "listening")
            self.audited(draft_id)
            return draft_id

        return self._start("audit", work)

    def _planted(self, rows: Sequence[Utterance]) -> Sequence[AuditFinding]:
        """The planted faults; a set larger than the plan has three minor ones on every row."""
        found = [
            AuditFinding(
                check="little_speech",
                severity=Severity.WARNING,
                row="",
                explanation="9 minutes of speech: few voices are learnt from so little.",
                repair="Record more, or lower the epochs.",
            ),
            AuditFinding(
                check="encoding",
                severity=Severity.ERROR,
                row="line 91",
                explanation="Line 91 of manifest.jsonl is no JSON object.",
                repair="Mend the line and open the source again.",
            ),
        ]
        for number, row in enumerate(rows, start=1):
            wrong = PLANTED.get(number, ())
            if len(rows) > 1000:
                wrong = (
                    (
                        "sample_rate",
                        Severity.INFO,
                        "22050 Hz: will be resampled.",
                        "Nothing to do.",
                        Action.RESAMPLE,
                        "",
                    ),
                    ("noise", Severity.WARNING, "SNR of 14 dB.", "Listen, and drop it if it hisses.", Action.NONE, ""),
                    ("silence", Severity.WARNING, "1.1 s of silence at the end.", "Trim it.", Action.TRIM, ""),
                )
            for check, severity, explanation, repair, action, text in wrong:
                found.append(
                    AuditFinding(
                        check=check,
                        severity=severity,
                        row=row.id,
                        explanation=explanation,
                        repair=repair,
                        action=action,
                        text=text,
                    )
                )
        return found

    def report(self, draft_id: str) -> AuditReport:
        held = self._held(draft_id)
        texts = {row: d[Action.SET_TEXT].text for row, d in held.decisions.items() if Action.SET_TEXT in d}
        rows = tuple(replace(u, text=texts[u.id]) if u.id in texts else u for u in held.rows)
        manifest = Manifest(path=held.draft.source, sha256="0" * 64, utterances=rows)
        if not held.draft.audited:
            return AuditReport(manifest=manifest, backend=held.draft.backend, findings=())
        lost = tuple(f for f in held.findings if f.row.startswith("line "))
        return AuditReport(
            manifest=replace(manifest, faults=lost),
            backend=held.draft.backend,
            findings=held.findings,
            measurements={u.id: measured(u, n) for n, u in enumerate(rows, start=1) if n != 7},
            skipped={"transcript_mismatch": "No Whisper folder is configured; start Earmark with --whisper."},
        )

    # ---------------------------------------------------------------------------------------------------- decisions
    def decide(self, draft_id: str, rows: Sequence[str], action: Action, *, text: str = "", by: str = "") -> None:
        held = self._held(draft_id)
        known = {u.id for u in held.rows}
        if unknown := [r for r in rows if r not in known]:
            raise NotFound(f"There is no row {unknown[0]!r} in this draft.")
        if action is Action.KEEP and not by.strip():
            raise Refused("Keeping a row in spite of a finding needs the name of the person who decides it.")
        for row in rows:
            held.decisions.setdefault(row, {})[action] = Decision(
                row=row, action=action, text=text, by=by, at=self.clock()
            )

    def set_texts(self, draft_id: str, texts: Mapping[str, str], *, by: str = "") -> None:
        for row, text in texts.items():
            self.decide(draft_id, [row], Action.SET_TEXT, text=text, by=by)

    def take_back(self, draft_id: str, rows: Sequence[str]) -> None:
        for row in rows:
            self._held(draft_id).decisions.pop(row, None)

    def decisions(self, draft_id: str) -> dict[str, tuple[Decision, ...]]:
        return {row: tuple(found.values()) for row, found in self._held(draft_id).decisions.items()}

    def row_samples_path(self, draft_id: str, row: str) -> Path:
        """The row's audio, made when somebody asks for it."""
        found = next((u for u in self._held(draft_id).rows if u.id == row), None)
        if found is None:
            raise NotFound(f"There is no row {row!r} in this draft.")
        if row == "r007":
            raise NotFound("clips/r007.wav is not there; put the file back, or drop the row.")
        with self._writing:  # the page asks for sound and pictures at the same time
            if not found.audio_path.exists():
                found.audio_path.parent.mkdir(parents=True, exist_ok=True)
                audio.write(found.audio_path, sound(row, min(found.duration_sec, 6.0)), RATE_HZ)
        return found.audio_path

    def start_transcribing(self, draft_id: str, rows: Sequence[str]) -> str:
        raise Refused("No Whisper folder is configured: start Earmark with --whisper FOLDER, or type the texts.")

    # ------------------------------------------------------------------------------------------------------ prepare
    def planned(self, draft_id: str, settings: PrepareSettings) -> repairs.Plan:
        target = next(t for t in TARGETS if t.name == settings.backend)
        return repairs.plan(self.report(draft_id), settings, target, decisions=self.decisions(draft_id))

    def start_prepare(self, draft_id: str, settings: PrepareSettings, *, name: str = "") -> str:
        held = self._held(draft_id)
        if not held.draft.audited:
            raise Refused("Audit this draft first.")

        def work(report: Report) -> str:
            report(len(held.rows), len(held.rows), "writing")
            return self.prepare(held.draft.source, backend=settings.backend, name=name or held.draft.name).id

        return self._start("prepare", work)

    def audit(self, path: Path, *, backend: str = "finch") -> AuditReport:
        draft = self.open_source(path, backend=backend)
        self.audited(draft.id)
        return self.report(draft.id)

    def audited(self, draft_id: str) -> None:
        """The draft with its planted faults found, at once; for tests."""
        held = self._held(draft_id)
        held.findings, held.draft = tuple(self._planted(held.rows)), replace(held.draft, audited=True)

    def prepare(self, path: Path, *, backend: str = "finch", name: str = "") -> Dataset:
        made = Dataset(
            id=name or "robin",
            path=self.workspace.datasets / (name or "robin"),
            manifest_sha256="0" * 64,
            backend=backend,
            sample_rate=RATE_HZ,
            train_count=79,
            validation_count=9,
            test_count=0,
            train_sec=316.0,
            excluded_count=2,
            unresolved=0,
            bad_row_share=0.0,
            source=path,
            created_at=self.clock(),
        )
        self._datasets.append(made)
        return made

    def datasets(self) -> list[Dataset]:
        return self._datasets[::-1]

    def dataset(self, dataset_id: str) -> Dataset:
        found = next((d for d in self._datasets if d.id == dataset_id), None)
        if found is None:
            raise NotFound(f"There is no dataset {dataset_id!r}.")
        return found

    def export_rows(self, dataset_id: str, format: str, out: Path) -> Path:
        self.dataset(dataset_id)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps({"audio": "audio/r001.flac", "text": TEXTS[0]}) + "\n", encoding="utf-8")
        return out

    def make_demo_data(self, minutes: float = 5.0) -> Path:
        path = self.workspace.root / "demo" / "manifest.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n", encoding="utf-8")
        path.with_name("manifest_with_faults.jsonl").write_text("{}\n", encoding="utf-8")
        return path


def _when(made: Sequence[str], run: Callable[[Report], None], report: Report) -> None:
    """A job needs its own id, which is known a moment after it starts."""
    while not made:
        time.sleep(0.001)
    run(report)
