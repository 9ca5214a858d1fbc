"""What a sweep looks like: the grid, a clip, its words."""

from __future__ import annotations

from typing import Any

import pytest

from engine.types import Candidate, WordScore
from tests.ui.fake_studio import RUN_ID, FakeStudio
from ui import view_sweep

CELL = f"{RUN_ID}@000160:0.3"


def table(studio: FakeStudio, **changes: Any) -> str:
    given: dict[str, Any] = {"current": "", "marked": (), "verdicts": {v.candidate.id: v for v in studio.verdicts()}}
    return view_sweep.grid_table(studio.grid(RUN_ID, "words"), **(given | changes))


def test_every_candidate_has_one_cell_that_says_its_value_aloud(judged: FakeStudio) -> None:
    """Checkpoints times scales, and the base once; a screen reader hears what the colour shows."""
    told = table(judged)
    assert told.count("data-cell=") == 6 * 4 + 1
    assert 'aria-label="epoch 4 at 0.3: 3.7, from' in told


def test_the_open_and_the_marked_cells_are_told_apart(judged: FakeStudio) -> None:
    """What is heard now and what will be sent to listening are two things."""
    told = table(judged, current=CELL, marked=(CELL,))
    assert told.count('aria-current="true"') == 1
    assert told.count('aria-pressed="true"') == 1
    assert "marked for listening" in told


def test_a_checkpoints_verdict_names_the_scale_that_passed(judged: FakeStudio) -> None:
    """A checkpoint has no verdict of its own: its candidates do."""
    told = table(judged)
    assert "pass at 0.3" in told
    assert "control" in told


def test_colour_grows_with_errors(judged: FakeStudio) -> None:
    """The worst cell is the darkest, the best the lightest."""
    grid = judged.grid(RUN_ID, "words")
    heats = view_sweep.heat(grid)
    by_value = sorted(grid.cells.values(), key=lambda c: c.value)
    assert heats[by_value[0].candidate.id] == 0
    assert heats[by_value[-1].candidate.id] == view_sweep.HEATS - 1
    ordered = [heats[c.candidate.id] for c in by_value]
    assert ordered == sorted(ordered)


def test_colour_of_a_measure_without_a_good_end_is_the_distance_from_the_base(judged: FakeStudio) -> None:
    """Pitch is neither good nor bad: what differs most from the base is darkest."""
    grid = judged.grid(RUN_ID, "pitch")
    heats = view_sweep.heat(grid)
    assert heats[Candidate(backend="finch", voice="aoede").id] == 0
    assert heats[f"{RUN_ID}@000160:1"] == view_sweep.HEATS - 1


def test_a_grid_without_spread_has_one_colour(judged: FakeStudio) -> None:
    """Equal values never divide by zero."""
    assert set(view_sweep.heat(judged.grid(RUN_ID, "clipping")).values()) == {0}


@pytest.mark.parametrize("state", ["dropped", "merged", "wrong", "inserted"])
def test_a_word_that_went_wrong_is_marked_and_counted(state: str) -> None:
    """Each way to miss a word has its mark, its count, and a place to play from."""
    words = [
        WordScore(text="the", state="ok", start_sec=0.0, end_sec=0.2, log_posterior=-0.1),
        WordScore(text="captain", state=state, start_sec=0.25, end_sec=0.5, log_posterior=-9.0),
    ]
    told = view_sweep.word_marks(words)
    assert f'class="em-{state}" title="{state}" data-at="0.25">captain' in told
    assert f"1 {state}, of 2 words" in told


def test_a_word_without_a_time_cannot_be_clicked() -> None:
    """A dropped word may have no place in the audio; it has none on the page either."""
    told = view_sweep.word_marks(
        [WordScore(text="the", state="dropped", start_sec=float("nan"), end_sec=0.0, log_posterior=0)]
    )
    assert "data-at" not in told


def test_a_clip_shows_what_was_flagged_first(judged: FakeStudio) -> None:
    """A flag and its explanation are seen without opening anything."""
    clip = next(c for c in judged.clips() if c.candidate.id == f"{RUN_ID}@000240:1")
    told = view_sweep.clip_card(clip, judged.scores([clip.id])[clip.id])
    assert told.index("em-state em-fail") < told.index("<details")
    assert f'data-clip="/clips/{clip.id}"' in told


def test_the_cost_of_a_sweep_is_told_before_it_starts(judged: FakeStudio) -> None:
    """How many clips, how long, how much room; and that what lies ready costs nothing."""
    from engine.studio import Request

    script = judged.script("english-brief")
    candidates = tuple(judged.candidates([f"{RUN_ID}@000160"], [0.3]))
    ready = judged.plan_sweep(Request(candidates=candidates, script=script))
    fresh = judged.plan_sweep(Request(candidates=candidates, script=script, seeds=(42, 43)))
    assert "nothing has to be rendered" in view_sweep.cost(ready)
    assert "2 candidates, 12 clips, 6 lie ready. To render: 6, about 2 s" in view_sweep.cost(fresh)
