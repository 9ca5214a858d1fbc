"""Answers as JSON and as tables."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cli import output
from engine.types import Candidate, Clip, GenerationSettings, Stop, Tier


def test_records_become_plain_json() -> None:
    """Paths and enums are strings, nested records objects, sets lists, and NaN is null: JSON has no NaN."""
    clip = Clip(
        id="c",
        candidate=Candidate(backend="finch", voice="reed"),
        adapter_sha256=None,
        script_sha256="s",
        line_id="l",
        tier=Tier.LONG,
        text="“x”",
        seed=1,
        path=Path("clips") / "c.flac",
        sample_rate=16_000,
        duration_sec=math.nan,
        stop=Stop.CAP,
        chunks=2,
        settings=GenerationSettings(),
        harness_version="1",
        render_sec=math.inf,
    )
    told = json.loads(output.dump({"clip": clip, Tier.SHORT: {3, 1}, None: 1}))
    assert told["clip"]["candidate"]["voice"] == "reed"
    assert told["clip"]["tier"] == "long"
    assert told["clip"]["stop"] == "cap"
    assert told["clip"]["path"] == str(Path("clips") / "c.flac")
    assert told["clip"]["duration_sec"] is None
    assert told["clip"]["render_sec"] is None
    assert told["short"] == [1, 3]
    assert told["clip"]["text"] == "“x”"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(ANYTHING)
def test_whatever_is_answered_is_valid_json(value: object) -> None:
    """No value that a measure may give breaks the output."""
    json.loads(output.dump(value), parse_constant=pytest.fail)


def test_tables_align_and_say_when_they_are_empty() -> None:
    """Numbers stand to the right, unknown values are dashes, and an empty table is a sentence."""
    told = output.table(("name", "n", "x"), [("a", 3, math.nan), ("long name", 12, 0.5)], empty="none")
    lines = told.splitlines()
    assert lines[0].split() == ["name", "n", "x"]
    assert lines[2].startswith("a  ")
    assert lines[2].endswith("-")
    assert lines[2].index("3") == lines[3].index("12") + 1
    assert output.table(("name",), [], empty="Nothing yet.") == "Nothing yet."


@pytest.mark.parametrize(("value", "told"), [(4.25, "4.2 s"), (185.0, "3 min 5 s"), (0, "0.0 s")])
def test_seconds_are_told_for_people(value: float, told: str) -> None:
    """Short times in seconds, long ones in minutes."""
    assert output.seconds(value) == told


def test_progress_in_a_file_is_a_line_a_tenth() -> None:
    """A log gets a few lines and not a thousand."""
    stream = io.StringIO()
    tell = output.progress(stream)
    for done in range(1, 501):
        tell(done, 500, "rendering")
    assert 10 <= len(stream.getvalue().splitlines()) <= 12
    assert "\r" not in stream.getvalue()
