"""Files on their way to the desk: their names lead nowhere else, their sizes have an end."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.types import BadInput, EngineError, NotFound, Refused
from ui.data_uploads import Uploads, safe_name


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def receive(uploads: Uploads, upload: str, name: str, *parts: bytes) -> int:
    return run(uploads.receive(upload, name, chunks(*parts)))


def run(work: Coroutine[Any, Any, int]) -> int:
    """In a thread of its own: while a browser is driven, this one has a loop already."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result()


def test_a_folder_arrives_with_its_structure(tmp_path: Path) -> None:
    """Files lie under their own names, in the order of names, whole."""
    uploads = Uploads(tmp_path / "uploads")
    upload = uploads.begin()
    assert receive(uploads, upload, "robin/wavs/b.wav", b"12", b"345") == 5
    receive(uploads, upload, "robin/a.txt", b"text")
    found = uploads.files(upload)
    root = tmp_path / "uploads" / upload
    assert [p.relative_to(root).as_posix() for p in found] == ["robin/a.txt", "robin/wavs/b.wav"]
    assert found[1].read_bytes() == b"12345"


@pytest.mark.parametrize(
    "name",
    [
        "../a.wav",
        "a/../../b.wav",
        "/etc/passwd",
        "a//b",
        "..",
        "",
        "a/./b",
        "~/a",
        "..\\a.wav",
        "C:/a",
        "a\0b",
        "a\nb",
        ".hidden",
        "a/.b",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    """Nothing is written outside of the upload's folder, whatever a browser sends."""
    uploads = Uploads(tmp_path / "uploads")
    upload = uploads.begin()
    with pytest.raises(BadInput, match="rename"):
        receive(uploads, upload, name, b"x")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


@given(st.text(max_size=40))
def test_any_name_stays_inside_or_is_refused(name: str) -> None:
    """For every text: a path below the folder, or a sentence."""
    try:
        found = safe_name(name)
    except EngineError:
        return
    root = Path("/somewhere/uploads/abc")
    assert (root / found).resolve().is_relative_to(root.resolve())
    assert found.parts


def test_an_upload_has_a_size_and_a_number_of_files(tmp_path: Path) -> None:
    """A browser cannot fill the disk; what was too much leaves no piece behind."""
    uploads = Uploads(tmp_path / "uploads", max_bytes=10, max_files=2)
    upload = uploads.begin()
    receive(uploads, upload, "a.wav", b"123456")
    with pytest.raises(Refused, match="GB"):
        receive(uploads, upload, "b.wav", b"123", b"456")
    assert [p.name for p in uploads.files(upload)] == ["a.wav"]
    few = Uploads(tmp_path / "few", max_files=1)
    upload = few.begin()
    receive(few, upload, "a.wav", b"1")
    with pytest.raises(Refused, match="files"):
        receive(few, upload, "b.wav", b"1")


def test_an_upload_that_breaks_off_leaves_no_half_file(tmp_path: Path) -> None:
    """A lost connection is no short recording."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"123"
        raise ConnectionError

    uploads = Uploads(tmp_path / "uploads")
    upload = uploads.begin()
    with pytest.raises(BadInput, match="upload again"):
        run(uploads.receive(upload, "a.wav", broken()))
    with pytest.raises(BadInput, match="Nothing was uploaded"):
        uploads.files(upload)


def test_what_is_not_known_or_discarded_takes_nothing(tmp_path: Path) -> None:
    """A token that nobody gave out opens no folder, and discarding removes what lies there."""
    uploads = Uploads(tmp_path / "uploads")
    with pytest.raises(NotFound, match="choose the files again"):
        receive(uploads, "../x", "a.wav", b"1")
    upload = uploads.begin()
    receive(uploads, upload, "a.wav", b"1")
    uploads.discard(upload)
    assert list((tmp_path / "uploads").iterdir()) == []
    uploads.discard("../..")
    assert tmp_path.exists()


def test_what_an_earlier_app_left_goes(tmp_path: Path) -> None:
    """An upload that was never opened does not stay for ever; one that goes on does."""
    now = [1_000_000_000.0]
    first = Uploads(tmp_path / "uploads", clock=lambda: now[0])
    receive(first, first.begin(), "a.wav", b"1")
    second = Uploads(tmp_path / "uploads")
    going_on = second.begin()
    receive(second, going_on, "a.wav", b"1")
    assert [p.name for p in (tmp_path / "uploads").iterdir()] == [going_on]
    second.begin()
    assert second.files(going_on)


def test_a_folder_is_handed_on_with_its_folders(tmp_path: Path) -> None:
    """Two files of one name in two folders stay two: the folder travels as an archive of its own name."""
    uploads = Uploads(tmp_path / "uploads")
    upload = uploads.begin()
    for name in ("robin/one/a.wav", "robin/two/a.wav"):
        receive(uploads, upload, name, name.encode())
    (archive,) = uploads.packed(upload)
    assert archive.name == "robin.zip"
    with zipfile.ZipFile(archive) as inside:
        assert inside.read("robin/two/a.wav") == b"robin/two/a.wav"
    assert len(uploads.files(upload)) == 2, "the archive is no file of the upload"
    flat = uploads.begin()
    receive(uploads, flat, "a.wav", b"1")
    assert [p.name for p in uploads.packed(flat)] == ["a.wav"]


def test_an_upload_stays_while_a_job_reads_it(tmp_path: Path) -> None:
    """A recording that is being cut is there until the cutting is over, and then it is gone."""
    uploads = Uploads(tmp_path / "uploads")
    upload = uploads.begin()
    receive(uploads, upload, "tape.wav", b"1")
    uploads.discard_after("slice-001", upload)
    uploads.job_over("slice-002")
    assert uploads.files(upload)
    uploads.job_over("slice-001")
    assert not (tmp_path / "uploads" / upload).exists()
