"""A source's rows become a manifest: ids made unique, audio found and its header read, findings tied to their rows.

Knows what all formats share and no format. One row's fault never stops the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from engine import audio, manifest
from engine.readers import recordings
from engine.readers.cutting import Cutter
from engine.readers.row import Row, Source, lost, remark
from engine.readers.whereabouts import Whereabouts
from engine.types import AuditFinding, BadInput, Manifest, Severity, Utterance


@dataclass
class _Gathering:
    places: Whereabouts
    cutter: Cutter
    names: dict[str, str] = field(default_factory=dict)  # lower-case id -> the id
    utterances: list[Utterance] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)  # what each utterance's source calls it
    faults: list[AuditFinding] = field(default_factory=list)


def gather(source: Source, *, contained: bool = False, cut_into: Path | None = None) -> Manifest:
    """The manifest of a source. Raises BadInput when not one row can be used, with the first fault's sentence."""
    made = _Gathering(Whereabouts(source.root, contained), Cutter(cut_into))
    for item in source.items:
        if isinstance(item, AuditFinding):
            made.faults.append(item)
        else:
            _take(item, made)
    if not made.utterances:
        why = f": {made.faults[0].explanation} {made.faults[0].repair}" if made.faults else ": it has no rows."
        more = f" ({len(made.faults)} rows have such faults.)" if len(made.faults) > 1 else ""
        raise BadInput(f"{source.path} has no row that can be used{why}{more}")
    utterances = _with_recordings(made.utterances, made.labels)
    content = source.content if source.content is not None else _told(source, utterances)
    sha256 = hashlib.sha256(content).hexdigest()
    return Manifest(path=source.path, sha256=sha256, utterances=tuple(utterances), faults=tuple(made.faults))


def _take(row: Row, made: _Gathering) -> None:
    found = made.places.find(row.base, row.audio)
    if found.path is None:
        made.faults.append(lost(row.name, f"{row.name}: {found.problem}.", found.mend, check="missing"))
        return
    stem = _stem(row.audio)
    remarks = list(row.remarks)
    if found.moved:
        said = f"{row.name}: {row.audio[-120:]} is not there; a recording of that name was found at {found.path}."
        # Uploads lose their folders on the way, so there it is as it should be.
        severity = Severity.INFO if made.places.contained else Severity.WARNING
        remarks.append(
            remark("missing", said, "Check that it is the right one, or correct the path.", severity=severity)
        )
    name = _unique(row, stem, made, remarks)
    utterance = Utterance(
        id=name,
        audio_path=found.path,
        text=row.text,
        speaker=row.speaker,
        language=row.language or "en",
        group=row.group or row.recording,
        split=row.split,
        recording=row.recording,
        start_sec=row.start_sec,
        end_sec=row.end_sec,
        reference_audio=_reference(row, made, remarks),
        instruct=row.instruct,
        line=row.line,
    )
    if row.cut:
        try:
            utterance = made.cutter.cut(utterance)
        except BadInput as error:
            made.faults.append(lost(row.name, f"{row.name}: {error}", "Mend the recording, or remove the segment."))
            return
    made.names[name.lower()] = name
    made.labels.append(row.id or stem)
    made.utterances.append(manifest.probed(utterance))
    made.faults += [replace(r, row=name) for r in remarks]


def _stem(name: str) -> str:
    """A file's name without folders and without the suffix of audio; a time code's dot is no suffix."""
    last = (PureWindowsPath(name) if "\\" in name else PurePosixPath(name)).name
    head, dot, tail = last.rpartition(".")
    return head if dot and f".{tail.lower()}" in audio.READABLE + audio.FOREIGN else last


def _unique(row: Row, stem: str, made: _Gathering, remarks: list[AuditFinding]) -> str:
    """An id that no other row has, upper and lower case being the same. A given one is not renamed silently."""
    wanted = manifest.slug(row.id or stem)
    name, count = wanted, 2
    while name.lower() in made.names:
        name = f"{wanted}-{count}"
        count += 1
    if name != wanted and row.id:
        first = made.names[wanted.lower()]
        said = f"{row.name} has the id {wanted!r}, which another row has; it is called {name!r} here."
        found = remark("duplicate", said, "Give each row an id of its own, or drop one of the two.")
        remarks.append(replace(found, other=first))
    return name


def _reference(row: Row, made: _Gathering, remarks: list[AuditFinding]) -> Path | None:
    if not row.reference_audio:
        return None
    found = made.places.find(row.base, row.reference_audio)
    if found.path is not None and found.path.is_file():
        return found.path
    said = f"{row.name}: its reference audio {row.reference_audio[-120:]} "
    said += f"cannot be used: {found.problem}." if found.problem else "does not exist."
    remarks.append(remark("missing", said, found.mend or "Correct the path; the row is used without a reference."))
    return None


def _with_recordings(utterances: Sequence[Utterance], names: Sequence[str]) -> list[Utterance]:
    """What the names say of recordings, where the source did not say it."""
    places = recordings.of_all(names, [u.duration_sec for u in utterances])
    told = []
    for u, place in zip(utterances, places, strict=True):
        if place.recording and not u.recording:
            u = replace(u, recording=place.recording, group=u.group or place.recording)
            if u.start_sec is None:
                u = replace(u, start_sec=place.start_sec, end_sec=place.end_sec)
        told.append(u)
    return told


def _told(source: Source, utterances: Sequence[Utterance]) -> bytes:
    """The sorted names, sizes and texts of rows that are files."""
    root = source.root.absolute()
    told = []
    for u in utterances:
        path = u.audio_path.absolute()
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        size = u.audio_path.stat().st_size if u.audio_path.is_file() else -1
        told.append((name, size, u.id, u.text, u.speaker, u.language, u.split))
    return repr(sorted(told)).encode("utf-8", errors="surrogateescape")
