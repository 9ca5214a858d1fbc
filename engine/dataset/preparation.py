"""One preparation on its way: the files of a dataset, written into the folder where it is built.

Knows what each file says and that nothing in them differs between two preparations of the same rows. Where the folder
is, and when it becomes a dataset, is `dataset`'s.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from engine import durable, manifest
from engine.audit.row import RowFacts
from engine.dataset import conditioning, prepared_audio, repairs, splitting
from engine.dataset.repairs import Plan, RowPlan, Step
from engine.needs import Needs
from engine.types import Action, AuditReport, Measurement, PrepareSettings, Utterance

FORMAT_VERSION = 2
NAMED_ROWS = 5  # in a sentence
Progress = Callable[[int, int, str], None]


class Preparation:
    """The files of one dataset, in the folder where it is built."""

    def __init__(
        self,
        folder: Path,
        settings: PrepareSettings,
        needs: Needs,
        workers: int | None,
        on_progress: Progress | None,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.needs = needs
        self.rows: tuple[Utterance, ...] = ()
        self.facts: list[RowFacts] = []
        self.written: dict[str, prepared_audio.Written] = {}
        self.unresolved: list[dict[str, Any]] = []
        self._workers = workers
        self._on_progress = on_progress

    def audio(self, rows: Sequence[RowPlan]) -> list[RowPlan]:
        """Write the audio; returns the rows whose samples could be read."""
        tasks = [self._task(row) for row in rows]
        names = [task.row for task in tasks]
        for written in prepared_audio.write(tasks, workers=self._workers):
            self._tell(len(self.written), len(tasks), f"Preparing {written.row}")
            self.written[written.row] = written
        self._tell(len(tasks), len(tasks), "Done")
        return [row for row, name in zip(rows, names, strict=True) if not self.written[name].fault]

    def split(self, rows: Sequence[RowPlan], report: AuditReport) -> tuple[str, ...]:
        """Write the split manifest; returns what could not be as wished."""
        from engine.audit import overlaps

        facts = [self._facts(row) for row in rows]
        prepared = [self._prepared(row) for row in rows]
        clusters: list[set[str]] = overlaps.clusters(facts)
        known = {u.id for u in prepared}
        pairs = ((f.row, f.other) for f in report.findings if f.check in ("overlap", "duplicate") and f.other)
        clusters += [{row, other} for row, other in pairs if row in known and other in known]
        self.rows, notes = splitting.split(
            prepared,
            validation_share=self.settings.validation_share,
            test_share=self.settings.test_share,
            seed=self.settings.seed,
            clusters=clusters,
        )
        manifest.write(self.folder / "manifest.jsonl", self.rows)
        return notes

    def logs(self, plan: Plan) -> None:
        """`repairs.jsonl`, a line a row and action, and `unresolved.jsonl`, a line an error that is still in."""
        steps: list[Step] = list(plan.lost)
        for row in plan.rows:
            steps += row.steps
            written = self.written.get(row.utterance.id)
            if written is None:
                continue
            if written.fault:
                why = repairs.without_folder(written.fault, row.utterance)
                steps.append(Step(row=written.row, action=Action.DROP, check="unreadable", why=why))
                continue
            steps += [_logged(done, row, self.settings) for done in written.done]
            self.unresolved += [{"row": f.row, "check": f.check, "explanation": f.explanation} for f in row.unresolved]
        _write_lines(self.folder / "repairs.jsonl", [asdict(step) for step in steps])
        _write_lines(self.folder / "unresolved.jsonl", self.unresolved)

    def describe(self, report: AuditReport, *, notes: Sequence[str], name: str) -> None:
        """Write `dataset.json`; the id follows from the content of all files."""
        side = [u.split for u in self.rows]
        told: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "manifest_sha256": durable.file_sha256(self.folder / "manifest.jsonl"),
            "backend": self.settings.backend,
            "sample_rate": self.needs.sample_rate,
            "train_count": side.count(splitting.TRAIN),
            "validation_count": side.count(splitting.VALIDATION),
            "test_count": side.count(splitting.TEST),
            "train_sec": sum(u.duration_sec for u in self.rows if u.split == splitting.TRAIN),
            "excluded_count": report.row_count - len(self.rows),
            "unresolved": len(self.unresolved),
            "bad_row_share": len({u["row"] for u in self.unresolved}) / len(self.rows),
            "notes": list(notes),
            "settings": asdict(self.settings),
        }
        told["content_sha256"] = content = _content_sha256(told, self.folder)
        told["id"] = f"{manifest.slug(name)}-{content[:8]}"
        told["source"] = str(report.manifest.path)
        (self.folder / "dataset.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")

    def _tell(self, done: int, total: int, message: str) -> None:
        if self._on_progress is not None:
            self._on_progress(done, total, message)

    def _task(self, row: RowPlan) -> prepared_audio.Task:
        u = row.utterance
        wishes = conditioning.Wishes(
            sample_rate=self.needs.sample_rate,
            trim=row.trim is not None,
            append_silence_sec=self.settings.append_silence_sec,
            loudness_lufs=self.settings.loudness_lufs,
            max_sec=self.needs.max_sec,
        )
        return prepared_audio.Task(row=u.id, source=u.audio_path, target=self._audio_path(u), wishes=wishes)

    def _audio_path(self, u: Utterance) -> Path:
        return self.folder / "audio" / f"{manifest.slug(u.id)}.flac"

    def _prepared(self, row: RowPlan) -> Utterance:
        u = row.utterance
        return replace(
            u,
            audio_path=self._audio_path(u),
            duration_sec=self.written[u.id].duration_sec,
            sample_rate=self.needs.sample_rate,
            channels=1,
            reference_audio=self._reference(u.reference_audio),
        )

    def _reference(self, source: Path | None) -> Path | None:
        """A copy of an audio prompt, named by its content: a dataset names no file outside of itself."""
        if source is None or not source.is_file():
            return None
        target = self.folder / "reference" / f"{durable.file_sha256(source)[:16]}{source.suffix.lower()}"
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(source, target)
        return target

    def _facts(self, row: RowPlan) -> RowFacts:
        """What tells rows with shared audio, of the source's samples: trimming and levels do not hide a copy."""
        written = self.written[row.utterance.id]
        measured = Measurement(row=row.utterance.id, duration_sec=written.duration_sec, **_NOT_MEASURED)
        return RowFacts(
            utterance=row.utterance,
            measurement=measured,
            content_sha256=written.content_sha256,
            fingerprint=written.fingerprint,
        )


_NOT_KNOWN = math.nan
_NOT_MEASURED: Mapping[str, float] = {
    "characters_per_sec": _NOT_KNOWN,
    "loudness_lufs": _NOT_KNOWN,
    "peak_dbfs": _NOT_KNOWN,
    "clipped_share": _NOT_KNOWN,
    "noise_floor_dbfs": _NOT_KNOWN,
    "snr_db": _NOT_KNOWN,
    "speech_sec": _NOT_KNOWN,
    "leading_silence_sec": _NOT_KNOWN,
    "trailing_silence_sec": _NOT_KNOWN,
    "longest_pause_sec": _NOT_KNOWN,
}
_CHECKS: Mapping[str, str] = {"mono": "channels", "resample": "sample_rate", "trim": "silence"}
_WHY: Mapping[str, str] = {
    "mono": "Voices are trained on one channel.",
    "resample": "The backend needs this rate.",
    "loudness": "The settings ask for one level.",
    "append_silence": "The settings ask for silence at the end, so that the voice learns to stop.",
}


def _logged(done: conditioning.Done, row: RowPlan, settings: PrepareSettings) -> Step:
    """A line of the log: what was done to samples, with the finding or setting behind it."""
    check = _CHECKS.get(done.what, "")
    finding = next((f for f in row.findings if f.check == check), None) if check else None
    why = row.trim.why if row.trim and done.what == "trim" else finding.explanation if finding else _WHY[done.what]
    if done.shortfall:
        wished = settings.loudness_lufs if done.what == "loudness" else settings.append_silence_sec
        why += f" It could not be {wished:g} {'LUFS' if done.what == 'loudness' else 's'}: {done.shortfall}."
    by = row.trim.by if row.trim and done.what == "trim" else ""
    found = check if finding else ""
    before, after = (_number(value) for value in (done.before, done.after))
    return Step(row=row.utterance.id, action=done.what, why=why, check=found, before=before, after=after, by=by)


def _number(value: float) -> float | str:
    """Rounded for reading; silence has a loudness that JSON cannot say."""
    return round(value, 6) if abs(value) < float("inf") else "-inf"


def _write_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_bytes(text.encode("utf-8", errors="surrogateescape"))


def _content_sha256(told: Mapping[str, Any], folder: Path) -> str:
    """Over what the description says and every file, so that a recording mended in place makes another dataset."""
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    digest.update(json.dumps(durable.checksums(folder), sort_keys=True).encode())
    return digest.hexdigest()


def left_out_notes(plan: Plan, wanted: Sequence[RowPlan], done: Sequence[RowPlan]) -> Iterator[str]:
    """Sentences for people: which of the wanted rows are not in the dataset, and why."""
    readable = {row.utterance.id for row in done}
    for row in wanted:
        if row.utterance.id not in readable:
            yield f"{row.utterance.id} was left out: its samples cannot be read."
    in_script = [s.row for row in plan.rows for s in row.steps if s.check == repairs.LISTENING_SCRIPT]
    if in_script:
        yield f"{_some(in_script)} left out: lines of the listening scripts are kept out of training."


def _some(rows: Sequence[str]) -> str:
    more = f" and {len(rows) - NAMED_ROWS} more" if len(rows) > NAMED_ROWS else ""
    return f"{', '.join(rows[:NAMED_ROWS])}{more} {'were' if len(rows) > 1 else 'was'}"
