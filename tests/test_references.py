"""References: kept once, found again, refused where no voice could follow them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine import audio, references
from engine.types import BadInput, NotFound


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    return tmp_path / "references"


def recording(path: Path, seconds: float = 3.0, level: float = 0.1) -> Path:
    """A file of noise: what matters here is that it is audio of a length."""
    noise = np.random.default_rng(0).standard_normal(round(16_000 * seconds)).astype(np.float32)
    audio.write(path, level * noise / np.abs(noise).max(), 16_000)
    return path


def test_a_reference_is_a_copy_of_the_file_with_its_words(folder: Path, tmp_path: Path) -> None:
    """The bytes are those that came, and removing the source changes nothing."""
    source = recording(tmp_path / "ada.wav")
    content = source.read_bytes()
    kept = references.keep(folder, source, "  Good \n morning. ", now=5.0)
    source.unlink()
    assert kept.reference.audio_path.read_bytes() == content
    assert (kept.reference.text, kept.name, kept.kept_at) == ("Good morning.", "ada", 5.0)
    assert kept.duration_sec == pytest.approx(3.0)
    assert references.listing(folder) == [kept]


def test_one_recording_with_the_same_words_is_kept_once(folder: Path, tmp_path: Path) -> None:
    """Another transcript is another reference: a voice that goes on from its words would sound another way."""
    source = recording(tmp_path / "ada.wav")
    first = references.keep(folder, source, "Good morning.", now=1.0)
    assert references.keep(folder, source, "Good morning.", name="again", now=2.0) == first
    other = references.keep(folder, source, "Good evening.", now=3.0)
    assert other.reference.sha256 != first.reference.sha256
    assert references.listing(folder) == [other, first]


def test_a_reference_is_found_by_its_name_or_the_beginning_of_its_hash(folder: Path, tmp_path: Path) -> None:
    """What is not there is told with what is; what is meant twice is not guessed."""
    source = recording(tmp_path / "ada.wav")
    first = references.keep(folder, source, "One.", name="ada", now=1.0)
    assert references.load(folder, "ada") == references.load(folder, first.id) == first
    with pytest.raises(NotFound, match=f"ada \\({first.id}\\)"):
        references.load(folder, "grace")
    references.keep(folder, source, "Two.", name="ada", now=2.0)
    with pytest.raises(BadInput, match="Several"):
        references.load(folder, "ada")


@pytest.mark.parametrize(
    ("seconds", "level", "said"), [(0.5, 0.1, "0.5 s long"), (31.0, 0.1, "31.0 s long"), (3.0, 1e-5, "silent")]
)
def test_what_no_voice_could_follow_is_refused(
    folder: Path, tmp_path: Path, seconds: float, level: float, said: str
) -> None:
    """Too short, too long and silent files are named with the mend, and nothing is kept."""
    with pytest.raises(BadInput, match=said) as caught:
        references.keep(folder, recording(tmp_path / "ada.wav", seconds, level), "Hello.", now=1.0)
    assert "ada.wav" in str(caught.value)
    assert references.listing(folder) == []


def test_half_a_reference_is_none(folder: Path, tmp_path: Path) -> None:
    """A crash between the copy and its facts, or a file that went, leaves a list that can be read."""
    kept = references.keep(folder, recording(tmp_path / "ada.wav"), "Hello.", now=1.0)
    facts = folder / f"{kept.reference.sha256}.json"
    told = json.loads(facts.read_text())
    facts.write_text(json.dumps({**told, "file": "gone.wav"}))
    assert references.listing(folder) == []
    facts.write_text("{")
    assert references.listing(folder) == []
