"""Long recordings are cut at pauses: pieces of the right length, apart, with all speech in them, in bounded memory."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from engine import audio, slicing
from engine.slicing import Heard
from engine.types import BadInput


def heard(*spans: tuple[float, float], duration: float, quiet_at: float | None = None) -> Heard:
    levels = np.ones(int(duration / slicing.LEVEL_SEC), np.float32)
    if quiet_at is not None:
        levels[int(quiet_at / slicing.LEVEL_SEC) - 3 : int(quiet_at / slicing.LEVEL_SEC) + 3] = 0.0
    return Heard(duration_sec=duration, speech=tuple(spans), levels=levels)


@st.composite
def recordings(draw: st.DrawFn) -> Heard:
    """Speech of any lengths with pauses of any lengths between."""
    spans = []
    at = draw(st.floats(0, 3))
    for _ in range(draw(st.integers(1, 40))):
        end = at + draw(st.floats(0.3, 25) | st.floats(0.3, 5))
        spans.append((at, end))
        at = end + draw(st.floats(0.1, 4))
    return heard(*spans, duration=at + draw(st.floats(0, 2)))


@given(recordings())
def test_pieces_hold_all_speech_and_no_piece_is_too_long(told: Heard) -> None:
    """Pieces are apart and in order, none is longer than allowed, and every moment of speech is in one of them."""
    pieces = slicing.plan(told)
    for piece in pieces:
        assert 0 <= piece.start_sec < piece.end_sec <= told.duration_sec + 1e-6
        assert piece.end_sec - piece.start_sec <= slicing.MAX_SEC + 1e-6
    for before, after in pairwise(pieces):
        assert before.end_sec <= after.start_sec + 1e-9
    in_pieces = sum(
        max(0.0, min(end, p.end_sec) - max(start, p.start_sec)) for start, end in told.speech for p in pieces
    )
    assert in_pieces >= sum(end - start for start, end in told.speech) - 0.003 * len(pieces)


@given(recordings())
def test_a_cut_lies_in_a_pause_wherever_there_is_one(told: Heard) -> None:
    """Only speech that is longer than a piece is cut into, and such pieces say so."""
    longest = max(end - start for start, end in told.speech)
    pieces = slicing.plan(told)
    if longest <= slicing.MAX_SEC - 2 * slicing.MARGIN_SEC:
        assert not any(piece.in_speech for piece in pieces)
    for piece in pieces:
        inside = [(s, e) for s, e in told.speech if s + 0.01 < piece.start_sec < e - 0.01]
        inside += [(s, e) for s, e in told.speech if s + 0.01 < piece.end_sec < e - 0.01]
        assert bool(inside) <= piece.in_speech


def test_long_pauses_are_cut_rather_than_short_ones() -> None:
    """Of two places where a cut would do, the longer pause is taken."""
    told = heard((0.5, 5), (5.15, 9), (10, 13.5), (13.65, 17), duration=18)
    assert [round(p.start_sec, 1) for p in slicing.plan(told)] == [0.3, 9.8]


def test_speech_without_a_pause_is_cut_where_it_is_quietest() -> None:
    """Where there is no pause the quietest point is taken, and both pieces say so."""
    pieces = slicing.plan(heard((0.0, 18.0), duration=18.0, quiet_at=7.3))
    assert [p.in_speech for p in pieces] == [True, True]
    assert pieces[0].end_sec == pytest.approx(7.3, abs=0.05)


def test_a_short_sentence_takes_silence_around_it() -> None:
    """A sentence that stands alone is lengthened with the room's own silence, as far as that is nobody else's."""
    pieces = slicing.plan(heard((1, 11), (20, 21), (30, 40), duration=45))
    assert pieces[1].end_sec - pieces[1].start_sec == pytest.approx(3.0, abs=0.01)


def write_speech(path: Path, seconds: float, monkeypatch: pytest.MonkeyPatch, rate: int = 22_050) -> None:
    """Noise that stands for speech, with pauses; the detector is a level here."""
    rng = np.random.default_rng(1)
    on = np.repeat(np.tile([1.0, 1.0, 1.0, 1.0, 0.0], int(seconds / 5) + 1), rate)[: int(seconds * rate)]
    soundfile.write(path, (0.1 * on * rng.standard_normal(len(on))).astype(np.float32), rate)

    def loud(samples: np.ndarray[tuple[int], np.dtype[np.float32]]) -> tuple[tuple[float, float], ...]:
        frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
        is_loud = np.concatenate([[False], np.abs(frames).max(axis=1) > 0.02, [False]])
        edges = np.flatnonzero(np.diff(is_loud.astype(int))) * 0.01
        return tuple(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))

    monkeypatch.setattr(slicing.voice_activity, "speech", loud)


def test_a_recording_becomes_rows_that_know_where_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row has its file at the recording's rate, its time code, its recording and no text; names sort in time."""
    monkeypatch.setattr(slicing, "BLOCK_SEC", 7.0)
    write_speech(tmp_path / "My talk.wav", 60.0, monkeypatch)
    before = (tmp_path / "My talk.wav").read_bytes()
    told: list[int] = []
    made = slicing.slice_recording(tmp_path / "My talk.wav", tmp_path / "s", on_progress=lambda d, t, m: told.append(d))
    rows = made.utterances
    assert len(rows) >= 5
    assert [u.id for u in rows] == sorted(u.id for u in rows)
    assert rows[0].id.startswith("My-talk_00")
    assert {(u.recording, u.group, u.text) for u in rows} == {("My-talk", "My-talk", "")}
    for u in rows:
        header = audio.probe(u.audio_path)
        assert (header.sample_rate, header.channels) == (22_050, 1)
        assert u.start_sec is not None
        assert u.end_sec is not None
        assert header.duration_sec == pytest.approx(u.end_sec - u.start_sec, abs=0.001)
        assert u.duration_sec == pytest.approx(header.duration_sec, abs=0.001)
        assert 3.0 <= header.duration_sec <= 12.0
    assert told
    assert (tmp_path / "My talk.wav").read_bytes() == before


def test_blocks_do_not_show_in_what_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading in blocks of any length hears the same speech."""
    write_speech(tmp_path / "a.wav", 31.0, monkeypatch)
    found = []
    for block in (3.0, 7.3, 100.0):
        monkeypatch.setattr(slicing, "BLOCK_SEC", block)
        found.append(slicing.listen(tmp_path / "a.wav"))
    for other in found[:-1]:
        assert np.allclose(other.speech, found[-1].speech, atol=0.02)
        assert abs(len(other.levels) - 3100) <= 12


def test_what_cannot_be_sliced_is_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence, no audio, a file that breaks off, and lengths that leave no choice."""
    write_speech(tmp_path / "a.wav", 20.0, monkeypatch)
    (tmp_path / "b.wav").write_bytes(b"nothing")
    soundfile.write(tmp_path / "quiet.wav", np.zeros(48_000, np.float32), 16_000)
    soundfile.write(tmp_path / "c.flac", soundfile.read(tmp_path / "a.wav")[0], 22_050)
    (tmp_path / "c.flac").write_bytes((tmp_path / "c.flac").read_bytes()[:300_000])
    for name, said in (("b.wav", "cannot be read"), ("quiet.wav", "Nobody speaks"), ("c.flac", "copy it again")):
        with pytest.raises(BadInput, match=said):
            slicing.slice_recording(tmp_path / name, tmp_path / "s")
    with pytest.raises(BadInput, match="twice the shortest"):
        slicing.slice_recording(tmp_path / "a.wav", tmp_path / "s", min_sec=3, max_sec=5)


MEASURED = """
import resource, sys
from pathlib import Path
from engine import slicing
slicing.voice_activity.speech  # loaded before the measurement
heard = slicing.listen(Path(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, round(heard.duration_sec))
"""


def test_memory_does_not_grow_with_the_recording(tmp_path: Path, repository: Path) -> None:
    """Listening to twenty minutes takes hardly more memory than listening to two."""
    rng = np.random.default_rng(1)
    minute = (0.05 * rng.standard_normal(60 * 16_000)).astype(np.float32)
    taken = {}
    for minutes in (2, 20):
        path = tmp_path / f"{minutes}.wav"
        with soundfile.SoundFile(path, "w", 16_000, 1, subtype="PCM_16") as file:
            for _ in range(minutes):
                file.write(minute)
        words = [sys.executable, "-c", MEASURED, str(path)]
        done = subprocess.run(words, cwd=repository, capture_output=True, text=True, check=True)
        taken[minutes] = int(done.stdout.split()[0])
    assert taken[20] - taken[2] < 20_000  # KB; twenty minutes are 77 MB of samples
