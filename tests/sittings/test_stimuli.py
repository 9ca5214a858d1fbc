"""Stimuli: what two sides of a trial have in common, whatever they were, and that nothing unprepared is served."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from engine import audio
from engine.sittings import stimuli
from engine.sittings.stimuli import SAMPLE_RATE_HZ, prepare
from engine.types import BadInput

Samples = NDArray[np.float32]
STEP = 1.0 / 32_767


def speech(
    seconds: float, *, gain: float = 0.1, lead: float = 0.0, tail: float = 0.0, rate: int = SAMPLE_RATE_HZ
) -> Samples:
    """Something with the envelope of speech: noise in syllables, between silences of `lead` and `tail` seconds."""
    n = round(seconds * rate)
    random = np.random.default_rng(n)
    syllables = 0.6 + 0.4 * np.sin(2 * np.pi * 4.0 * np.arange(n) / rate)
    sound = gain * syllables * random.standard_normal(n)
    return np.pad(sound, (round(lead * rate), round(tail * rate))).astype(np.float32)


def decode(data: bytes) -> Samples:
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SAMPLE_RATE_HZ)
        frames = file.readframes(file.getnframes())
    return (np.frombuffer(frames, dtype="<i2") * STEP).astype(np.float32)


def sound_of(data: bytes) -> tuple[int, int]:
    """First and last sample that is more than dither."""
    heard = np.flatnonzero(np.abs(decode(data)) > 8 * STEP)
    return int(heard[0]), int(heard[-1])


# -------------------------------------------------------------------------------------------------------- what is equal
SIDES = [
    [speech(2.0)],
    [speech(1.0), speech(4.7)],
    [speech(0.05, lead=1.3), speech(3.9, tail=1.5, gain=0.5)],
    [speech(1.79), speech(1.81), speech(0.5, gain=0.002)],  # with its margins one just fits a bucket, one just does not
]


@pytest.mark.parametrize("clips", SIDES)
def test_all_sides_of_a_trial_have_the_same_bytes_around_their_sound(clips: list[Samples]) -> None:
    """Byte count and header are equal within a trial, in buckets of two seconds: nothing to tell sides apart by."""
    served = prepare(clips, SAMPLE_RATE_HZ)
    assert len({len(data) for data in served}) == 1
    assert len({data[:44] for data in served}) == 1
    assert (len(served[0]) - 44) % (2 * 2 * SAMPLE_RATE_HZ) == 0


@pytest.mark.parametrize("gain", [0.001, 0.02, 0.5])
@pytest.mark.parametrize("seconds", [0.5, 3.3])
def test_all_sides_are_equally_loud(gain: float, seconds: float) -> None:
    """Sides differ by less than 0.1 LU, however loud and long they were and however much silence they had."""
    served = prepare([speech(seconds, gain=gain, lead=0.9, tail=1.1), speech(2.0)], SAMPLE_RATE_HZ)
    heard = [decode(data)[slice(*sound_of(data))] for data in served]
    loudness = [audio.loudness_lufs(side, SAMPLE_RATE_HZ) for side in heard]
    assert loudness == pytest.approx([stimuli.TARGET_LUFS] * 2, abs=0.1)


def test_a_usual_clip_is_served_at_the_target() -> None:
    """Without peaks at the cap, the loudness is -23 LUFS."""
    quiet, loud = prepare([speech(3.0, gain=0.01), speech(3.0, gain=0.2)], SAMPLE_RATE_HZ)
    for data in (quiet, loud):
        first, last = sound_of(data)
        assert audio.loudness_lufs(decode(data)[first:last], SAMPLE_RATE_HZ) == pytest.approx(-23.0, abs=0.1)


def test_a_peak_turns_all_sides_down_alike() -> None:
    """Where one side would pass the cap, both are lowered: the first is not clipped and not quieter than the other."""
    peaky = speech(3.0, gain=0.01)
    peaky[30_000] = 1.0
    both = [decode(data) for data in prepare([peaky, speech(3.0)], SAMPLE_RATE_HZ)]
    alone = decode(prepare([speech(3.0)], SAMPLE_RATE_HZ)[0])
    assert np.abs(both[0]).max() <= 10 ** (stimuli.PEAK_CAP_DBTP / 20) + 2 * STEP
    assert np.sqrt(np.mean(both[1] ** 2)) < 0.9 * np.sqrt(np.mean(alone**2))
    loudness = [audio.loudness_lufs(side, SAMPLE_RATE_HZ) for side in both]
    assert loudness[0] == pytest.approx(loudness[1], abs=0.5)


def test_silence_around_the_sound_is_not_served() -> None:
    """A clip with a second of silence before it starts when one without does, and both end in silence."""
    data = prepare([speech(2.0, lead=1.0, tail=0.7), speech(2.0), speech(1.0, lead=0.3)], SAMPLE_RATE_HZ)
    starts = [sound_of(side)[0] / SAMPLE_RATE_HZ for side in data]
    assert starts == pytest.approx([stimuli.MARGIN_SEC] * 3, abs=stimuli.FRAME_SEC)
    lengths = [(sound_of(side)[1] - sound_of(side)[0]) / SAMPLE_RATE_HZ for side in data]
    assert lengths == pytest.approx([2.0, 2.0, 1.0], abs=2 * stimuli.FRAME_SEC)
    assert all(len(decode(side)) / SAMPLE_RATE_HZ - sound_of(side)[1] / SAMPLE_RATE_HZ >= 0.1 for side in data)


def test_a_pause_inside_is_kept() -> None:
    """Only the ends are trimmed: a dropped word's gap is what the reviewer listens for."""
    gap = np.concatenate([speech(1.0), np.zeros(SAMPLE_RATE_HZ, dtype=np.float32), speech(1.0)])
    first, last = sound_of(prepare([gap], SAMPLE_RATE_HZ)[0])
    assert (last - first) / SAMPLE_RATE_HZ == pytest.approx(3.0, abs=0.03)


def test_cuts_cannot_be_heard_as_clicks() -> None:
    """A clip that begins and ends at full swing is faded: the first and last steps are small."""
    tone = (0.3 * np.cos(2 * np.pi * 200 * np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)).astype(np.float32)
    served = decode(prepare([tone], SAMPLE_RATE_HZ)[0])
    start = round(stimuli.MARGIN_SEC * SAMPLE_RATE_HZ)
    assert np.abs(np.diff(served[start - 2 : start + 10])).max() < 0.02
    assert np.abs(np.diff(served)).max() < 0.05


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_every_rate_is_served_at_one(rate: int) -> None:
    """Clips of another rate get the same container and keep their length."""
    first, last = sound_of(prepare([speech(2.0, rate=rate)], rate)[0])
    assert (last - first) / SAMPLE_RATE_HZ == pytest.approx(2.0, abs=0.03)


def test_two_presentations_share_no_bytes() -> None:
    """An identical pair, or a hidden repeat, cannot be found by comparing what was sent: dither differs, sound does
    not.
    """
    clip = speech(2.0)
    a, b = prepare([clip, clip], SAMPLE_RATE_HZ)
    (c,) = prepare([clip], SAMPLE_RATE_HZ)
    assert len({a[44:], b[44:], c[44:]}) == 3
    assert np.abs(decode(a) - decode(b)).max() <= 2.01 * STEP
    assert np.abs(decode(a)[: 2 * SAMPLE_RATE_HZ] - decode(c)[: 2 * SAMPLE_RATE_HZ]).max() <= 2.01 * STEP


def test_swapping_sides_swaps_nothing_but_the_sound() -> None:
    """Each side's audio is the same on either side; length and header do not tell which side has which."""
    one, other = speech(1.0, gain=0.3), speech(4.0, gain=0.02, lead=1.0)
    straight = prepare([one, other], SAMPLE_RATE_HZ, seed=1)
    crossed = prepare([other, one], SAMPLE_RATE_HZ, seed=1)
    assert len(straight[0]) == len(crossed[0])
    assert np.abs(decode(straight[0]) - decode(crossed[1])).max() <= 2.01 * STEP
    assert np.abs(decode(straight[1]) - decode(crossed[0])).max() <= 2.01 * STEP


def test_a_seed_fixes_every_byte() -> None:
    """With a seed the same clips give the same bytes."""
    clips = [speech(1.0), speech(1.5)]
    assert prepare(clips, SAMPLE_RATE_HZ, seed=3) == prepare(clips, SAMPLE_RATE_HZ, seed=3)
    assert prepare(clips, SAMPLE_RATE_HZ, seed=3) != prepare(clips, SAMPLE_RATE_HZ, seed=4)


def test_the_clips_are_left_as_they_were() -> None:
    """Preparing changes no caller's array."""
    clip = speech(1.0, lead=0.2)
    before = clip.copy()
    prepare([clip, clip], SAMPLE_RATE_HZ)
    assert np.array_equal(clip, before)


# ---------------------------------------------------------------------------------------------------------- fail closed
@pytest.mark.parametrize(
    ("side", "told"),
    [
        (np.zeros(0, dtype=np.float32), "Clip 2 of this trial is empty"),
        (np.array([0.1, np.nan, 0.1], dtype=np.float32), "not numbers"),
        (np.array([0.1, np.inf, 0.1], dtype=np.float32), "not numbers"),
        (np.zeros((2, 100), dtype=np.float32), "not mono"),
    ],
)
def test_what_cannot_be_made_equal_is_refused(side: Samples, told: str) -> None:
    """A broken side refuses the whole trial: the other one is not served either."""
    with pytest.raises(BadInput, match=told):
        prepare([speech(1.0), side], SAMPLE_RATE_HZ)


def test_a_trial_without_sides_is_refused() -> None:
    """There is nothing to serve."""
    with pytest.raises(BadInput, match="at least one clip"):
        prepare([], SAMPLE_RATE_HZ)


@pytest.mark.parametrize("silence", [np.zeros(5000, dtype=np.float32), np.full(5000, 1e-6, dtype=np.float32)])
def test_a_silent_side_is_served_silent(silence: Samples) -> None:
    """A voice that said nothing can be judged: its side is silent, the other is as loud as ever, both are of one
    length.
    """
    quiet, loud = prepare([silence, speech(2.0)], SAMPLE_RATE_HZ)
    assert len(quiet) == len(loud)
    assert np.abs(decode(quiet)).max() <= 2 * STEP
    first, last = sound_of(loud)
    assert audio.loudness_lufs(decode(loud)[first:last], SAMPLE_RATE_HZ) == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize("samples", [1, 2, 100, 239, 241])
def test_very_short_clips_are_served(samples: int) -> None:
    """A clip of a few samples, as an early stop leaves, is prepared like any other."""
    random = np.random.default_rng(samples)
    clips: Sequence[Samples] = [random.standard_normal(samples).astype(np.float32) * 0.1, speech(1.0)]
    served = prepare(clips, SAMPLE_RATE_HZ)
    assert len(served[0]) == len(served[1])
