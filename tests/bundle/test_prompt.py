"""The audio prompt in a bundle: a voice that was judged after one takes it along."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.bundle import prompt
from engine.types import BadInput, Reference


def test_a_prompt_goes_along_with_its_words(tmp_path: Path) -> None:
    """What is read back is the same recording and words, wherever the bundle lies; without one there is none."""
    clip = tmp_path / "0123.flac"
    clip.write_bytes(b"sound")
    kept = Reference(audio_path=clip, text="Good day.", sha256="0" * 64)
    for name, given in (("with", kept), ("without", None)):
        (tmp_path / name).mkdir()
        prompt.write(tmp_path / name, given)
    assert prompt.read(tmp_path / "without") is None
    moved = (tmp_path / "with").rename(tmp_path / "elsewhere")
    found = prompt.read(moved)
    assert found is not None
    assert (found.text, found.sha256, found.audio_path.read_bytes()) == (kept.text, kept.sha256, b"sound")
    assert found.audio_path.is_relative_to(moved)


def test_a_prompt_that_is_gone_or_damaged_is_named(tmp_path: Path) -> None:
    """No bundle without the recording that it was judged after, and no guess at what a damaged one said."""
    with pytest.raises(BadInput, match="the voice was judged after it"):
        prompt.write(tmp_path, Reference(audio_path=tmp_path / "gone.wav", text="", sha256="0"))
    (tmp_path / prompt.FOLDER).mkdir()
    (tmp_path / prompt.FOLDER / prompt.WORDS_FILE).write_text("{")
    with pytest.raises(BadInput, match="is damaged"):
        prompt.read(tmp_path)
