"""Reads what people bring, as rows with findings: one small file a format, a broken row never stops the others.

Knows the table of kinds and how a path's kind is told. The source is never changed.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from pathlib import Path

from engine import audio
from engine.readers import archive, folder, gathering, huggingface, jsonl, kaldi, ljspeech
from engine.readers.row import Source
from engine.types import BadInput, DiskFull, Manifest

# Kind -> what it is called. In the order in which a folder is tried.
KINDS: Mapping[str, str] = {
    "kaldi": "Kaldi folder (wav.scp, text, utt2spk)",
    "huggingface": "Hugging Face audio folder (metadata with file_name)",
    "ljspeech": "LJSpeech metadata.csv, or a table with a header",
    "jsonl": "JSONL manifest (Qwen3-TTS, VoxCPM, CosyVoice, IndexTTS2)",
    "folder": "Recordings with a text file each",
}
_SOURCES: Mapping[str, Callable[[Path], Source]] = {
    "kaldi": kaldi.source,
    "huggingface": huggingface.source,
    "ljspeech": ljspeech.source,
    "jsonl": jsonl.source,
    "folder": folder.source,
}
# What tells a folder's kind, the surest first: a stray table beside a JSONL manifest is not what is meant.
_TELLS: tuple[tuple[str, Callable[[Path], object]], ...] = (
    ("kaldi", kaldi.folders),
    ("huggingface", huggingface.files),
    ("ljspeech", ljspeech.metadata),
    ("jsonl", jsonl.files),
    ("ljspeech", ljspeech.file),
)


def read(path: Path, *, kind: str = "", contained: bool = False, cut_into: Path | None = None) -> Manifest:
    """The rows of a file or a folder, with `faults` for those that are lost or doubtful.

    `kind` is a name of KINDS, "" finds out. `contained` uses no file outside of the folder, as for uploads. Rows that
    are pieces of long recordings (Kaldi's `segments`) are cut into files in `cut_into`; without it they are lost with
    a finding. Audio that is missing, empty or no audio is left to the audit. Raises BadInput where nothing can be read.
    """
    if kind and kind not in KINDS:
        raise BadInput(f"There is no kind of dataset named {kind!r}; known are {', '.join(KINDS)}.")
    try:
        chosen = kind or detect(path)
        return gathering.gather(_SOURCES[chosen](path), contained=contained, cut_into=cut_into)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(f"There is no room to cut {path} into {cut_into}; make room there.") from error
        raise BadInput(f"{path} cannot be read ({error.strerror or error}); check the path and its rights.") from error


def detect(path: Path) -> str:
    """Which kind a path is. Raises BadInput when there is nothing, or nothing that is known."""
    try:
        there = path.exists()
    except (OSError, ValueError):
        there = False
    if not there:
        raise BadInput(
            f"{str(path)[:200]} does not exist; give the path of a manifest, or of a folder with recordings."
        )
    return _kind_of_file(path) if path.is_file() else _kind_of_folder(path)


def _kind_of_folder(path: Path) -> str:
    if (path / "dataset.json").is_file() and (path / "manifest.jsonl").is_file():
        return "jsonl"  # a prepared dataset
    for kind, tells in _TELLS:
        if tells(path):
            return kind
    if list(path.glob("*.jsonl")):
        raise BadInput(f"{path} holds several JSONL files; give the path of the one that is meant.")
    if folder.has_sound(path):
        return "folder"
    raise BadInput(
        f"{path} holds no dataset that is known: no manifest (JSONL, metadata.csv), no wav.scp, no recordings."
    )


def _kind_of_file(path: Path) -> str:
    suffix = path.suffix.lower()
    if path.name == "wav.scp":
        return "kaldi"
    if archive.is_archive(path):
        raise BadInput(f"{path} is an archive; unpack it and give the folder, or upload it on the Data page.")
    if suffix in audio.READABLE + audio.FOREIGN:
        raise BadInput(f"{path} is one recording; slice it on the Data page, or give the folder that it lies in.")
    if suffix in jsonl.SUFFIXES:
        return "huggingface" if huggingface.files(path) else "jsonl"
    if suffix in ljspeech.SUFFIXES:
        return "huggingface" if huggingface.files(path) else "ljspeech"
    raise BadInput(f"{path} is no manifest that is known; give a .jsonl or .csv file, or a folder.")
