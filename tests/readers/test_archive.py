"""Archives: nothing leaves the folder, nothing exceeds the stated size, and it is all or nothing."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import readers
from engine.readers.archive import unpack
from engine.types import BadInput
from tests.readers.sources import snapshot, sound, texts

MOST_BYTES, MOST_FILES = 1_000_000, 20


def zipped(path: Path, members: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return path


def tarred(path: Path, members: Mapping[str, bytes]) -> Path:
    mode = "w:gz" if path.name.endswith("gz") else "w"
    with tarfile.open(path, mode) as made:  # type: ignore[call-overload]
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return path


def plain(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def linked(path: Path, *, kind: bytes = tarfile.SYMTYPE) -> Path:
    with tarfile.open(path, "w:gz") as made:
        member = tarfile.TarInfo("a.wav")
        member.type, member.linkname = kind, "/etc/passwd"
        made.addfile(member)
    return path


def zip_link(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        member = zipfile.ZipInfo("a.wav")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(member, "/etc/passwd")
    return path


def encrypted(path: Path) -> Path:
    content = bytearray(zipped(path, {"a.txt": b"x"}).read_bytes())
    content[6] |= 1  # the flag of the local header, and of the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    return path


def bomb_in_tar(path: Path) -> Path:
    """A long name of 50 MB, which a reader would hold in memory."""
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 50_000_000
    with gzip.open(path, "wb") as made:
        made.write(member.tobuf(tarfile.GNU_FORMAT) + b"a" * 1_000_000)
    return path


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz", "set.tgz"])
def test_what_is_packed_is_read(tmp_path: Path, name: str) -> None:
    """The one folder in an archive is the set; what Macs add is left out."""
    wav = sound(tmp_path / "x.wav").read_bytes()
    members = {
        "README.md": b"x",
        "set/001.wav": wav,
        "set/001.txt": b"hello",
        "__MACOSX/set/._001.wav": b"x",
        "set/.DS_Store": b"x",
    }
    made = zipped(tmp_path / name, members) if name == "set.zip" else tarred(tmp_path / name, members)
    folder = unpack(made, tmp_path / "into", max_bytes=MOST_BYTES, max_files=MOST_FILES)
    assert folder == tmp_path / "into/set"
    assert sorted(snapshot(folder)) == ["001.txt", "001.wav"]
    assert texts(readers.read(folder)) == {"001": "hello"}


REFUSED: Mapping[str, tuple[Callable[[Path], Path], str]] = {
    "up.zip": (lambda p: zipped(p, {"ok.txt": b"x", "../up.txt": b"x"}), "leads out of the folder"),
    "up.tar.gz": (lambda p: tarred(p, {"ok.txt": b"x", "a/../../up.txt": b"x"}), "leads out of the folder"),
    "windows.zip": (lambda p: zipped(p, {"..\\up.txt": b"x"}), "leads out of the folder"),
    "absolute.zip": (lambda p: zipped(p, {"/abs.txt": b"x"}), "absolute name"),
    "drive.zip": (lambda p: zipped(p, {"C:\\abs.txt": b"x"}), "absolute name"),
    "absolute.tar": (lambda p: tarred(p, {"/abs.txt": b"x"}), "absolute name"),
    "link.zip": (zip_link, "link or device"),
    "link.tar.gz": (linked, "link or device"),
    "hard.tar.gz": (lambda p: linked(p, kind=tarfile.LNKTYPE), "link or device"),
    "device.tar.gz": (lambda p: linked(p, kind=tarfile.CHRTYPE), "link or device"),
    "pipe.tar.gz": (lambda p: linked(p, kind=tarfile.FIFOTYPE), "link or device"),
    "encrypted.zip": (encrypted, "encrypted member"),
    "bomb.zip": (lambda p: zipped(p, {"a.txt": b"\0" * 5_000_000}), "more than 1 MB when unpacked"),
    "bomb.tgz": (lambda p: tarred(p, {"a.txt": b"\0" * 5_000_000}), "more than 1 MB when unpacked"),
    "hidden.tgz": (lambda p: tarred(p, {"._a": b"\0" * 5_000_000}), "more than 1 MB when unpacked"),
    "many.zip": (lambda p: zipped(p, {f"{i}.txt": b"" for i in range(21)}), "more than 20 files"),
    "many.tar": (lambda p: tarred(p, {f"{i}.txt": b"" for i in range(21)}), "more than 20 files"),
    "long.tar.gz": (bomb_in_tar, "damaged or no archive"),
    "long.zip": (lambda p: zipped(p, {"x" * 300: b"x"}), "no file can have"),
    "clash.tar": (lambda p: tarred(p, {"a": b"x", "a/b": b"x"}), "cannot be unpacked"),
    "empty.zip": (lambda p: plain(p, b""), "damaged or no archive"),
    "text.tar.gz": (lambda p: plain(p, b"hello" * 500), "damaged or no archive"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    """The sentence names the archive and the member, and neither the folder nor a part of it appears."""
    make, said = REFUSED[name]
    made = make(tmp_path / name)
    before = snapshot(tmp_path)
    with pytest.raises(BadInput, match=said):
        unpack(made, tmp_path / "drafts/into", max_bytes=MOST_BYTES, max_files=MOST_FILES)
    assert snapshot(tmp_path) == before
    assert list((tmp_path / "drafts").iterdir()) == []


def test_lies_about_sizes_do_not_help(tmp_path: Path) -> None:
    """Bytes are counted as they are written: a directory that says 10 bytes does not let 5 MB through."""
    made = zipped(tmp_path / "lie.zip", {"a.txt": b"\0" * 5_000_000})
    content = bytearray(made.read_bytes())
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = (10).to_bytes(4, "little")
    made.write_bytes(content)
    with pytest.raises(BadInput):
        unpack(made, tmp_path / "into", max_bytes=MOST_BYTES, max_files=MOST_FILES)
    assert not (tmp_path / "into").exists()


def test_a_name_that_stands_twice(tmp_path: Path) -> None:
    """Which of the two was meant cannot be told."""
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as made:
        made.writestr("a.txt", "one")
        with pytest.warns(UserWarning, match="Duplicate name"):
            made.writestr("a.txt", "two")
    with pytest.raises(BadInput, match=r"names 'a\.txt' twice"):
        unpack(tmp_path / "two.zip", tmp_path / "into", max_bytes=MOST_BYTES, max_files=MOST_FILES)


def test_a_folder_with_files_is_not_touched(tmp_path: Path) -> None:
    """An archive is never unpacked over something; an empty folder is taken."""
    made = zipped(tmp_path / "a.zip", {"a.txt": b"x", "b.txt": b"x"})
    (tmp_path / "into").mkdir()
    assert unpack(made, tmp_path / "into", max_bytes=MOST_BYTES, max_files=MOST_FILES) == tmp_path / "into"
    with pytest.raises(BadInput, match="already holds something"):
        unpack(made, tmp_path / "into", max_bytes=MOST_BYTES, max_files=MOST_FILES)
    with pytest.raises(BadInput, match="does not exist"):
        unpack(tmp_path / "none.zip", tmp_path / "other", max_bytes=MOST_BYTES, max_files=MOST_FILES)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_damaged_archives(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever bytes change, an archive is unpacked inside its folder or refused in a sentence."""
    folder = tmp_path_factory.mktemp("a")
    make, name = data.draw(st.sampled_from([(zipped, "a.zip"), (tarred, "a.tar"), (tarred, "a.tar.gz")]))
    made = make(folder / name, {"x/a.txt": b"hello" * 20, "x/b.wav": b"\0" * 300})
    content = bytearray(made.read_bytes())
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=6)):
        content[at] = value
    made.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    before = snapshot(folder)
    try:
        unpack(made, folder / "d/into", max_bytes=10_000, max_files=5)
    except BadInput:
        assert list((folder / "d").iterdir()) == []
    after = snapshot(folder)
    assert {k: v for k, v in after.items() if not k.startswith("d/into/")} == before
