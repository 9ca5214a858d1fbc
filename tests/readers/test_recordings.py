"""Names of clips: time codes and numbered slices are told from names that say nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.readers import recordings


@pytest.mark.parametrize(
    ("name", "duration", "recording", "start", "end"),
    [
        ("rec_0012.50_0017.30", 0.0, "rec", 12.5, 17.3),
        ("my-talk-12.5-17.25", 0.0, "my-talk", 12.5, 17.25),
        ("talk@1.0-2.5", 0.0, "talk", 1.0, 2.5),
        ("talk_[3.0-4.0]", 0.0, "talk", 3.0, 4.0),
        ("talk_12500ms_17300ms", 0.0, "talk", 12.5, 17.3),
        ("talk_00-01-12.5_00-01-17.300", 0.0, "talk", 72.5, 77.3),
        ("talk_1h02m03_1h02m05", 0.0, "talk", 3723.0, 3725.0),
        ("sw02001-A-0001250-0001730", 4.8, "sw02001-A", 12.5, 17.3),
        ("talk_0012500_0017300", 4.8, "talk", 12.5, 17.3),
    ],
)
def test_time_codes(name: str, duration: float, recording: str, start: float, end: float) -> None:
    """A name with two points in time says where a clip was cut."""
    place = recordings.of(name, duration)
    assert (place.recording, place.start_sec, place.end_sec) == (recording, pytest.approx(start), pytest.approx(end))
    assert place.sure


@pytest.mark.parametrize(
    ("name", "recording"),
    [
        ("LJ001-0001", "LJ001"),
        ("rec-000123", ""),
        ("interview-000123", "interview"),
        ("talk_seg012", "talk"),
        ("1034_121119_000005_000008", "1034_121119"),
        ("1034-121119-0005", "1034-121119"),
        ("talk_0017300_0012500", "talk_0017300"),
        ("001", ""),
        ("audio_0001", ""),
        ("r000", ""),
        ("hello", ""),
    ],
)
def test_slices_and_names_that_say_nothing(name: str, recording: str) -> None:
    """A number at the end makes the rest a recording, unless that is what people call any clip."""
    place = recordings.of(name, 3.0)
    assert (place.recording, place.start_sec) == (recording, None)


def test_whole_numbers_are_times_only_where_they_fit_the_clip() -> None:
    """Paragraph and sentence numbers of LibriTTS look like time codes; the clip's length tells them apart."""
    assert recordings.of("a_000100_000400", 3.0).start_sec == 1.0
    assert recordings.of("a_000100_000400", 2.0).start_sec is None
    assert recordings.of("a_000100_000400").start_sec is None


def test_what_all_names_share_is_no_recording() -> None:
    """`robin_0001` to `robin_0009` say nothing, unless names differ or carry time codes."""
    assert {p.recording for p in recordings.of_all(["robin_0001", "robin_0002"])} == {""}
    assert [p.recording for p in recordings.of_all(["robin_0001", "wren_0001"])] == ["robin", "wren"]
    assert {p.recording for p in recordings.of_all(["robin_1.0_2.0", "robin_2.0_3.0"])} == {"robin"}
    assert {p.recording for p in recordings.of_all(["LJ001-0001", "LJ001-0002"])} == {"LJ001"}


@settings(deadline=None, max_examples=100)
@given(name=st.text(st.sampled_from("abr_-.@[]0123456789hms "), max_size=40), seconds=st.floats(0, 100))
def test_any_name_is_answered(name: str, seconds: float) -> None:
    """A time code always runs forwards and belongs to a recording."""
    place = recordings.of(name, seconds)
    if place.start_sec is not None:
        assert place.end_sec is not None
        assert place.recording
        assert 0 <= place.start_sec < place.end_sec
