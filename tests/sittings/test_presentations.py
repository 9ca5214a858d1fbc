"""The audio behind tokens: made once, together, and the same again after it was forgotten."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine import audio
from engine.sittings import presentations, stimuli
from engine.sittings.presentations import Presentations
from engine.types import Clip, NotFound, Slot, Tier, Treatment, Trial, TrialKind
from tests.judgement_factory import make_clip

RATE_HZ = 24_000


def clip(folder: Path, name: str, seconds: float) -> Clip:
    random = np.random.default_rng(len(name))
    path = folder / f"{name}.flac"
    audio.write(path, (0.1 * random.standard_normal(round(seconds * RATE_HZ))).astype(np.float32), RATE_HZ)
    return replace(make_clip(), id=name, path=path)


def trial(*slots: Slot) -> Trial:
    return Trial(
        id="s-0001",
        session_id="s",
        position=1,
        kind=TrialKind.PREFERENCE,
        line_id="l",
        text="A line.",
        tier=Tier.SHORT,
        slots=slots,
    )


@pytest.fixture(name="clips")
def _clips(tmp_path: Path) -> dict[str, Clip]:
    return {name: clip(tmp_path, name, seconds) for name, seconds in (("one", 1.0), ("other", 1.4))}


PAIR = trial(Slot(label="A", token="t1", clip_id="one"), Slot(label="B", token="t2", clip_id="other"))
SAME = trial(Slot(label="A", token="t1", clip_id="one"), Slot(label="B", token="t2", clip_id="one"))


def test_the_same_presentation_has_the_same_bytes_after_a_restart(clips: dict[str, Clip]) -> None:
    """A reload after the app was started anew hears what was heard before; the record's checksum stays true."""
    first, second = (Presentations(clips.__getitem__).of(PAIR) for _ in range(2))
    assert {k: s.audio for k, s in first.items()} == {k: s.audio for k, s in second.items()}
    assert first["A"].presented == second["A"].presented


def test_two_presentations_of_one_clip_share_no_bytes(clips: dict[str, Clip]) -> None:
    """An identical pair is not known by comparing downloads."""
    sides = Presentations(clips.__getitem__).of(SAME)
    assert sides["A"].audio != sides["B"].audio
    assert len(sides["A"].audio) == len(sides["B"].audio)
    assert sides["A"].presented.gain_db == sides["B"].presented.gain_db


def test_a_trial_is_made_once_however_many_ask(clips: dict[str, Clip], monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests for both sides at the same moment wait for one another: the first tells nothing by taking longer."""
    made = []
    real = stimuli.together
    gate = threading.Barrier(4)

    def counted(*given: object, **named: object) -> object:
        made.append(given)
        return real(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(presentations.stimuli, "together", counted)
    kept = Presentations(clips.__getitem__)

    def ask(_: int) -> object:
        gate.wait()
        return kept.of(PAIR)

    with ThreadPoolExecutor(4) as pool:
        assert len({id(sides) for sides in pool.map(ask, range(4))}) == 1
    assert len(made) == 1


def test_memory_is_bounded(clips: dict[str, Clip]) -> None:
    """The oldest trials are let go of when there is no room; the newest is always there."""
    size = sum(len(side.audio) for side in Presentations(clips.__getitem__).of(PAIR).values())
    kept = Presentations(clips.__getitem__, trial_bytes=2 * size + 10, clip_bytes=1)
    for n in range(5):
        kept.of(replace(PAIR, id=f"s-{n:04d}"))
    assert list(kept._trials._values) == ["s-0003", "s-0004"]
    assert kept._trials._bytes == 2 * size
    assert len(kept._levelled._values) == 1


def test_a_clip_that_is_gone_is_told_each_time(clips: dict[str, Clip]) -> None:
    """A failure is not kept: once the clip is back, the trial can be heard."""

    def nowhere(clip_id: str) -> Clip:
        raise NotFound("gone")

    kept = Presentations(nowhere)
    for _ in range(2):
        with pytest.raises(NotFound):
            kept.of(PAIR)
    kept._clip = clips.__getitem__
    assert set(kept.of(PAIR)) == {"A", "B"}


@pytest.mark.parametrize("treatment", [Treatment.LOWPASS, Treatment.FAST])
def test_a_degraded_side_is_equal_in_all_that_others_are(clips: dict[str, Clip], treatment: Treatment) -> None:
    """The anchor has the length and the loudness of the clip beside it, and another sound."""
    bad = trial(
        Slot(label="A", token="t1", clip_id="one"), Slot(label="B", token="t2", clip_id="one", treatment=treatment)
    )
    sides = Presentations(clips.__getitem__).of(bad)
    assert len(sides["A"].audio) == len(sides["B"].audio)
    heard = [np.frombuffer(side.audio[44:], dtype="<i2").astype(np.float32) / 32_767 for side in sides.values()]
    loudness = [audio.loudness_lufs(side, RATE_HZ) for side in heard]
    assert loudness[0] == pytest.approx(loudness[1], abs=0.3)
    spectra = [np.abs(np.fft.rfft(side)) ** 2 for side in heard]
    hz = np.fft.rfftfreq(len(heard[0]), 1 / RATE_HZ)
    if treatment is Treatment.LOWPASS:
        assert spectra[1][hz > 4000].sum() < 1e-3 * spectra[0][hz > 4000].sum()
    else:
        lengths = [int(np.flatnonzero(np.abs(side) > 0.005)[-1]) for side in heard]
        assert lengths[0] / lengths[1] == pytest.approx(1.15, abs=0.02)
