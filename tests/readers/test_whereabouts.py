"""Where audio lies: found where it is named or where it was moved to, never through a link out of the folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.readers.whereabouts import Whereabouts
from tests.readers.sources import sound


def test_names_are_relative_to_the_manifest_or_to_a_folder_above(tmp_path: Path) -> None:
    """Upstream manifests name audio from the project's folder: it is found there too."""
    beside, above = sound(tmp_path / "data/set/wavs/a.wav"), sound(tmp_path / "data/other/b.wav")
    places = Whereabouts(tmp_path / "data/set")
    assert places.find(places.root, "wavs/a.wav").path == beside
    assert places.find(places.root, "wavs\\a.wav").path == beside
    assert places.find(places.root, "data/other/b.wav").path == above
    assert places.find(places.root, str(above)).path == above


def test_moved_audio_is_found_by_its_name(tmp_path: Path) -> None:
    """An old absolute path leads to the one file of that name, and of two to the one in a like-named folder."""
    one, two = sound(tmp_path / "x/one.wav"), sound(tmp_path / "ada/two.wav")
    sound(tmp_path / "bob/two.wav")
    places = Whereabouts(tmp_path)
    found = places.find(tmp_path, "/old/place/one.wav")
    assert (found.path, found.moved) == (one, True)
    assert places.find(tmp_path, "D:\\sets\\ada\\two.wav").path == two
    assert places.find(tmp_path, "/old/ONE.WAV").path == one
    assert places.find(tmp_path, "/old/one.flac").path == one
    missing = places.find(tmp_path, "/old/two.wav")
    assert (missing.path, missing.moved) == (Path("/old/two.wav"), False)


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    """A link to a file or folder elsewhere loses the row; one that stays inside is fine."""
    outside = sound(tmp_path / "outside/secret.wav")
    root = tmp_path / "set"
    inside = sound(root / "a.wav")
    (root / "out.wav").symlink_to(outside)
    (root / "gone.wav").symlink_to(tmp_path / "outside/none.wav")
    (root / "in.wav").symlink_to(inside)
    (root / "folder").symlink_to(outside.parent)
    places = Whereabouts(root)
    for name in ("out.wav", "gone.wav", "folder/secret.wav", str(root / "out.wav")):
        found = places.find(root, name)
        assert found.path is None, name
        assert "link that leads out" in found.problem
    assert places.find(root, "in.wav").path == root / "in.wav"


def test_what_was_uploaded_reaches_nothing_else(tmp_path: Path) -> None:
    """A manifest of an upload may not name files of the machine."""
    outside = sound(tmp_path / "secret.wav")
    root = tmp_path / "upload"
    sound(root / "a.wav")
    places = Whereabouts(root, contained=True)
    for name in (str(outside), "../secret.wav", "secret.wav", "/no/where.wav"):
        found = places.find(root, name)
        assert found.path is None or found.path.is_relative_to(root), name
    assert places.find(root, "/old/a.wav").path == root / "a.wav"


@pytest.mark.parametrize("name", ["a\0b.wav", "x" * 300 + ".wav", "/".join(["deep"] * 900)])
def test_names_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    """An impossible name is a lost row instead of an error of the system."""
    assert Whereabouts(tmp_path).find(tmp_path, name).path is None
