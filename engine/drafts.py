"""Datasets on the desk: an imported source, its audit and the decisions so far, kept until they are discarded.

Knows the folder of a draft: `draft.json`, `rows.jsonl` with `faults.jsonl` as they were read, `audit.json`,
`decisions.jsonl` (append-only: a line a decision, the latest of a row and action counts), and `upload/` or `slices/`.
Knows nothing of checks and repairs. A torn last line, from a machine that went down, is as if it was never written.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from engine import durable, manifest
from engine.types import (
    Action,
    AuditFinding,
    AuditReport,
    BadInput,
    Busy,
    Decision,
    Draft,
    Manifest,
    Measurement,
    NotFound,
    Severity,
    Utterance,
)

FORMAT_VERSION = 1
_PATHS = ("audio_path", "reference_audio")
_TAKEN_BACK = "taken_back"


# --------------------------------------------------------------------------------------------------------------- making
def new_folder(root: Path, name: str, now: float) -> Path:
    """An empty folder for a draft; it is none until `keep` has been called."""
    base = f"{manifest.slug(name)}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}"
    root.mkdir(parents=True, exist_ok=True)
    for count in range(1, 1000):
        path = root / (base if count == 1 else f"{base}-{count}")
        with suppress(FileExistsError):
            path.mkdir()
            return path
    raise Busy(f"{root} already has a thousand drafts named {base}; give this one another name.")


def keep(folder: Path, rows: Manifest, *, source: Path, backend: str, name: str, now: float) -> Draft:
    """Write a draft's rows; from here on it is listed."""
    _write_lines(folder / "rows.jsonl", (_as_row(u, folder) for u in rows.utterances))
    _write_lines(folder / "faults.jsonl", (asdict(f) for f in rows.faults))
    told = {
        "format_version": FORMAT_VERSION,
        "source": str(source),
        "manifest": str(rows.path),
        "sha256": rows.sha256,
        "backend": backend,
        "name": name,
        "row_count": len(rows.utterances),
        "created_at": now,
    }
    durable.write_bytes(folder / "draft.json", (json.dumps(told, indent=1) + "\n").encode())
    return load(folder)


def load(folder: Path) -> Draft:
    """Raises NotFound when there is none, BadInput when it is damaged or of another version."""
    told = _told(folder)
    return Draft(
        id=folder.name,
        path=folder,
        source=Path(told["source"]),
        backend=told["backend"],
        name=told["name"],
        row_count=told["row_count"],
        created_at=told["created_at"],
        audited=(folder / "audit.json").is_file(),
    )


def listing(root: Path) -> list[Draft]:
    """The drafts below `root`, newest first; what cannot be read is left out."""
    found = []
    for path in sorted(root.glob("*/draft.json")):
        with suppress(BadInput, NotFound):
            found.append(load(path.parent))
    return sorted(found, key=lambda draft: (draft.created_at, draft.id), reverse=True)


def discard(folder: Path) -> None:
    """Remove a draft with its uploads and slices. It is no draft from the first moment on, whatever interrupts this."""
    load(folder)
    (folder / "draft.json").unlink()
    shutil.rmtree(folder, ignore_errors=True)


def sweep(root: Path) -> None:
    """Remove folders that never became drafts: an import or a slicing that was killed. Call it when nobody imports."""
    if not root.is_dir():
        return
    for path in root.iterdir():
        if path.is_dir() and not (path / "draft.json").exists():
            shutil.rmtree(path, ignore_errors=True)


def _told(folder: Path) -> dict[str, Any]:
    path = folder / "draft.json"
    if not path.is_file():
        raise NotFound(f"There is no draft {folder.name!r}; open the source again on the Data page.")
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        wanted: Mapping[str, type | tuple[type, ...]] = {
            **dict.fromkeys(("source", "manifest", "sha256", "backend", "name"), str),
            "row_count": int,
            "created_at": (int, float),
        }
        if told["format_version"] == FORMAT_VERSION and all(isinstance(told[n], t) for n, t in wanted.items()):
            return dict(told)
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is damaged ({error!r}); discard the draft and open the source again.") from error
    raise BadInput(f"{path} is of another version of this program; discard the draft and open the source again.")


# ----------------------------------------------------------------------------------------------------------------- rows
def rows(folder: Path) -> Manifest:
    """A draft's rows as they were read."""
    told = _told(folder)
    try:
        utterances = tuple(_utterance(row, folder) for row in _lines(folder / "rows.jsonl"))
        faults = tuple(_finding(row) for row in _lines(folder / "faults.jsonl"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"The rows of draft {folder.name} are damaged ({error!r}); open the source again.") from error
    return Manifest(path=Path(told["manifest"]), sha256=told["sha256"], utterances=utterances, faults=faults)


def _as_row(u: Utterance, folder: Path) -> dict[str, Any]:
    """Paths inside the draft are kept relative: a workspace may be moved."""
    told = asdict(u)
    for name in _PATHS:
        path = told[name]
        if path is not None:
            told[name] = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path.absolute())
    return told


def _utterance(row: dict[str, Any], folder: Path) -> Utterance:
    paths = {name: folder / row[name] for name in _PATHS if row[name] is not None}
    return Utterance(**(row | paths))


def original_texts(folder: Path) -> dict[str, str]:
    """The source's texts of the rows for which a text was decided."""
    decided = {row for row, made in decisions(folder).items() if Action.SET_TEXT in made}
    return {u.id: u.text for u in rows(folder).utterances if u.id in decided} if decided else {}


# ---------------------------------------------------------------------------------------------------------------- audit
def save_audit(folder: Path, report: AuditReport) -> None:
    """Keep what an audit found, and which texts it saw; the draft is audited from then on."""
    as_read = {u.id: u.text for u in rows(folder).utterances}
    told = {
        "texts": {u.id: u.text for u in report.manifest.utterances if u.text != as_read.get(u.id)},
        "findings": [asdict(f) for f in report.findings],
        "skipped": dict(report.skipped),
        "fields": [f.name for f in fields(Measurement)],
        "measurements": [list(asdict(m).values()) for m in report.measurements.values()],
    }
    durable.write_bytes(folder / "audit.json", json.dumps(told, default=str).encode("utf-8", errors="replace"))


def report(folder: Path) -> AuditReport:
    """A draft's rows as they were audited, with what was found; as they were read before any audit."""
    manifest_, backend = rows(folder), _told(folder)["backend"]
    path = folder / "audit.json"
    if not path.is_file():
        return AuditReport(manifest=manifest_, backend=backend, findings=())
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        names = told["fields"]
        measured = (Measurement(**dict(zip(names, values, strict=True))) for values in told["measurements"])
        return AuditReport(
            manifest=_with_texts(manifest_, told["texts"]),
            backend=backend,
            findings=tuple(_finding(row) for row in told["findings"]),
            measurements={m.row: m for m in measured},
            skipped=told["skipped"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is damaged ({error!r}); audit the draft again.") from error


def _finding(row: dict[str, Any]) -> AuditFinding:
    return AuditFinding(**(row | {"severity": Severity(row["severity"]), "action": Action(row["action"])}))


# ------------------------------------------------------------------------------------------------------------ decisions
def decide(folder: Path, made: Sequence[Decision]) -> None:
    """Append decisions; they are on the disk when this returns."""
    _append(folder, (asdict(decision) for decision in made))


def take_back(folder: Path, rows_: Sequence[str], now: float) -> None:
    """Append that the decisions of rows count no more. What an audit said of a text that is taken back goes with it."""
    _forget_audited(folder, set(rows_))
    _append(folder, ({"row": row, "action": _TAKEN_BACK, "at": now} for row in rows_))


def _forget_audited(folder: Path, taken_back: set[str]) -> None:
    """Rows that were audited with a text that is no more: nothing is known of the text that they had before."""
    path = folder / "audit.json"
    if not path.is_file():
        return
    told = json.loads(path.read_text(encoding="utf-8"))
    stale = sorted(taken_back & set(told["texts"]))
    if not stale:
        return
    unknown = (
        AuditFinding(
            check="transcript_mismatch",
            severity=Severity.ERROR,
            row=row,
            explanation="The text that was audited was taken back, and the one before was not audited.",
            repair="Audit the draft again.",
        )
        for row in stale
    )
    told["findings"] = [f for f in told["findings"] if f["row"] not in stale] + [asdict(f) for f in unknown]
    told["texts"] = {row: text for row, text in told["texts"].items() if row not in stale}
    durable.write_bytes(path, json.dumps(told).encode())


def decisions(folder: Path) -> dict[str, dict[Action, Decision]]:
    """The decisions in force, by row and action."""
    found: dict[str, dict[Action, Decision]] = {}
    for told in _decided_lines(folder / "decisions.jsonl"):
        row = told["row"]
        if told["action"] == _TAKEN_BACK:
            found.pop(row, None)
            continue
        decision = Decision(**(told | {"action": Action(told["action"])}))
        of_row = found.setdefault(row, {})
        # To keep a row and to leave it out exclude one another: the later one counts.
        for opposite in {Action.KEEP: (Action.DROP,), Action.DROP: (Action.KEEP,)}.get(decision.action, ()):
            of_row.pop(opposite, None)
        of_row[decision.action] = decision
    return found


def with_texts(report_: AuditReport, decided: Mapping[str, Mapping[Action, Decision]]) -> AuditReport:
    """A report whose rows have the texts that were decided."""
    texts = {row: made[Action.SET_TEXT].text for row, made in decided.items() if Action.SET_TEXT in made}
    if not texts:
        return report_
    return replace(report_, manifest=_with_texts(report_.manifest, texts))


def _with_texts(rows_: Manifest, texts: Mapping[str, str]) -> Manifest:
    utterances = tuple(replace(u, text=texts[u.id]) if u.id in texts else u for u in rows_.utterances)
    return replace(rows_, utterances=utterances)


def _append(folder: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    path = folder / "decisions.jsonl"
    text = "".join(json.dumps(line) + "\n" for line in lines)
    with path.open("a+b") as file:
        if file.tell() and _last_byte(file) != b"\n":
            text = "\n" + text  # behind a torn line
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def _last_byte(file: Any) -> bytes:
    file.seek(-1, os.SEEK_END)
    return bytes(file.read(1))


def _decided_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines that are whole. A torn one is nobody's decision."""
    if not path.is_file():
        return
    names = {f.name for f in fields(Decision)}
    actions = {_TAKEN_BACK, *Action}
    for line in path.read_bytes().split(b"\n"):
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict) and isinstance(told.get("row"), str) and told.get("action") in actions:
            yield {name: value for name, value in told.items() if name in names}


# ---------------------------------------------------------------------------------------------------------------- lines
def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            yield json.loads(line)


def _write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    durable.write_bytes(path, "".join(json.dumps(line, default=_plain) + "\n" for line in lines).encode())


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else str(value)
