"""Speech tokens beside a clip: what the chunks said comes back, and what is not known is not made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine import clip_tokens
from engine.types import SpeakRow, Speech, SpeechTokens
from tests.fake_host import tone


def spoken(*said: int) -> Speech:
    tokens = SpeechTokens(said=said, reference=(4, 5), rate_hz=25.0)
    return replace(tone(SpeakRow(text="a", voice="robin", seed=1)), speech_tokens=tokens)


def test_tokens_come_back_and_what_is_damaged_is_not_known(tmp_path: Path) -> None:
    """A chunk without tokens leaves the clip without; so does a file of another version, or half a file."""
    path, chunks = tmp_path / "k.flac", [spoken(1, 2, 3), spoken(6)]
    clip_tokens.write(path, [chunks[0], replace(chunks[1], speech_tokens=None)])
    assert clip_tokens.read(path) is None
    clip_tokens.write(path, chunks)
    assert clip_tokens.read(path) == tuple(each.speech_tokens for each in chunks)
    kept = clip_tokens.path_of(path).read_text()
    for damaged in (kept.replace('"version":1', '"version":2'), kept[:20]):
        clip_tokens.path_of(path).write_text(damaged)
        assert clip_tokens.read(path) is None
