"""What backends need: one list of names, each with limits that make sense and a source."""

from __future__ import annotations

import pytest

from engine import backends, needs
from engine.types import NotFound


def test_trainable_backends_come_first_and_no_name_twice() -> None:
    """A backend that can be trained here is offered once, with its own figures, also when it was listed before."""
    names = needs.names()
    assert names[: len(backends.names())] == backends.names()
    assert len(set(names)) == len(names)


def test_a_backend_that_becomes_trainable_is_not_listed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures of a backend that registers itself replace those that stood here for it."""
    monkeypatch.setitem(backends.INFO, "indextts2", backends.INFO["finch"])
    monkeypatch.delitem(backends.FOLDERS, "indextts2")
    assert needs.names().count("indextts2") == 1
    assert needs.of("indextts2").trainable_here


@pytest.mark.parametrize("need", needs.ELSEWHERE, ids=lambda need: need.name)
def test_every_figure_has_a_source(need: needs.Needs) -> None:
    """A limit that nobody can trace is a rumour."""
    assert need.source
    assert 8_000 <= need.sample_rate <= 48_000
    assert 0 < need.min_sec < need.max_sec
    assert not need.trainable_here
    assert needs.of(need.name) is need


def test_the_traps_of_upstream() -> None:
    """The three rates that people get wrong, and the silence that Qwen3-TTS wants at the end of a clip."""
    rates = {name: needs.of(name).sample_rate for name in ("qwen3_tts", "voxcpm", "voxcpm2", "cosyvoice3")}
    assert rates == {"qwen3_tts": 24_000, "voxcpm": 44_100, "voxcpm2": 16_000, "cosyvoice3": 24_000}
    assert needs.of("qwen3_tts").append_silence_sec == 1.0
    assert needs.of("finch").append_silence_sec == 0.0


def test_an_unknown_name_is_told_the_known_ones() -> None:
    """A typing error is answered with what can be typed."""
    with pytest.raises(NotFound, match="qwen3_tts"):
        needs.of("qwen")
