"""What a sweep looks like: the grid, a clip, its words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine import tiers
from engine.studio.grid import cell
from engine.types import Candidate, Tier, WordScore
from tests.ui.fake_studio import RUN_ID, FakeStudio
from ui import view_sweep, view_sweep_form

CELL = f"{RUN_ID}@000160:0.3"


def table(studio: FakeStudio, **changes: Any) -> str:
    given: dict[str, Any] = {"current": "", "marked": (), "verdicts": {v.candidate.id: v for v in studio.verdicts()}}
    return view_sweep.grid_table(studio.grid(RUN_ID, "words"), "Word errors", **(given | changes))


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


def test_takes_of_one_line_and_seed_are_told_apart_by_what_was_set(judged: FakeStudio) -> None:
    """The same line drawn at another temperature is another take; one that is alone needs no words."""
    clip, other = judged.clips()[:2]
    warm = replace(clip, id="warm", settings=replace(clip.settings, temperature=1.2))
    cool = replace(clip, settings=replace(clip.settings, temperature=0.3))
    assert view_sweep.told_apart([cool, warm, other]) == {clip.id: "temperature 0.3", "warm": "temperature 1.2"}
    earlier = replace(cool, id="earlier", harness_version="1")
    assert view_sweep.told_apart([cool, earlier])["earlier"] == "as version 1 divides texts"


def test_colour_grows_with_errors(judged: FakeStudio) -> None:
    """The worst cell is the darkest, the best the lightest."""
    grid = judged.grid(RUN_ID, "words")
    heats = view_sweep.heat(grid)
    by_value = sorted(grid.cells.values(), key=lambda c: c.value)
    assert heats[by_value[0].candidate.id] == 0
    assert heats[by_value[-1].candidate.id] == view_sweep.HEATS - 1
    ordered = [heats[c.candidate.id] for c in by_value]
    assert ordered == sorted(ordered)


def test_a_grid_without_a_difference_has_no_dark_cell(judged: FakeStudio) -> None:
    """Two tenths of a per cent of words are no reason for an alarm, though nothing else of the grid is worse."""
    grid = judged.grid(RUN_ID, "words")
    near = {k: replace(c, value=n * 0.01) for n, (k, c) in enumerate(grid.cells.items())}
    assert set(view_sweep.heat(replace(grid, cells=near)).values()) == {0}


def test_colour_of_a_measure_without_a_good_end_is_the_distance_from_the_base(judged: FakeStudio) -> None:
    """Pitch is neither good nor bad: what differs most from the base is darkest."""
    grid = judged.grid(RUN_ID, "pitch")
    heats = view_sweep.heat(grid)
    assert heats[Candidate(backend="finch", voice="aoede").id] == 0
    assert heats[f"{RUN_ID}@000160:1"] == view_sweep.HEATS - 1


def test_of_a_measure_of_which_more_is_better_the_least_is_the_darkest(judged: FakeStudio) -> None:
    """A clip that was cut at the cap is not drawn as the best one."""
    grid = replace(judged.grid(RUN_ID, "words"), better="more")
    heats = view_sweep.heat(grid)
    by_value = sorted(grid.cells.values(), key=lambda c: c.value)
    assert heats[by_value[0].candidate.id] == view_sweep.HEATS - 1
    assert heats[by_value[-1].candidate.id] == 0


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
    said = view_sweep.STATE_WORDS.get(state, state)
    assert f'class="em-{state}" title="{said}" data-at="0.25">captain' in told
    assert f'<span class="em-visually-hidden"> ({said})</span>' in told
    assert f'<span class="em-{state}">1 {said}</span>, of 2 words' in told


def test_a_word_without_a_time_cannot_be_clicked() -> None:
    """A dropped word may have no place in the audio; it has none on the page either."""
    told = view_sweep.word_marks(
        [WordScore(text="the", state="dropped", start_sec=float("nan"), end_sec=0.0, log_posterior=0)]
    )
    assert "data-at" not in told


def test_a_clip_shows_what_was_flagged_first(judged: FakeStudio) -> None:
    """A flag and its explanation are seen without opening anything."""
    clip = next(c for c in judged.clips() if c.candidate.id == f"{RUN_ID}@000240:1")
    told = view_sweep.clip_panel(clip, "epoch 6 at 1", judged.scores([clip.id])[clip.id], {"words": "Word errors"})
    assert told.index("em-state em-fail") < told.index("<details")
    assert "Word errors" in told
    assert f'data-take="{clip.id}"' in told


def test_what_nobody_has_screened_yet_is_not_what_cannot_be_judged(judged: FakeStudio) -> None:
    """While a sweep screens, a cell waits; it does not say that the ear has failed."""
    own = [c for c in judged.clips() if c.candidate.id == CELL]
    found = judged.scores([c.id for c in own])
    waits = cell(own[0].candidate, own, {}, "words")
    half = cell(own[0].candidate, own, {own[0].id: found[own[0].id]}, "words")
    assert (waits.unscored, waits.unjudged, half.unscored, half.unjudged) == (len(own), 0, len(own) - 1, 0)
    grid = replace(judged.grid(RUN_ID, "words"), cells={("x", 0.3): waits}, checkpoints=(), others=(waits, half))
    table = view_sweep.grid_table(grid, "Words", current="", marked=(), verdicts={})
    assert "not listened to yet" in table
    assert f"{len(own) - 1} of {len(own)} clips not listened to yet" in table
    assert "cannot judge" not in table


def test_what_cannot_be_judged_is_said_and_is_never_good(judged: FakeStudio) -> None:
    """A clip without a value has no colour, a cell with some says how many, and the words are named for the ear."""
    own = [c for c in judged.clips() if c.candidate.id == CELL]
    nan = [replace(s, value=float("nan"), passed=None) for s in judged.scores([own[0].id])[own[0].id]]
    none = cell(own[0].candidate, own, {c.id: nan for c in own}, "words")
    assert (none.value, none.unjudged) == (None, len(own))
    some = cell(own[0].candidate, own, {**judged.scores([c.id for c in own]), own[0].id: nan}, "words")
    assert some.unjudged == 1
    grid = replace(judged.grid(RUN_ID, "words"), cells={("x", 0.3): none}, checkpoints=())
    assert view_sweep.heat(grid) == {}
    table = view_sweep.grid_table(replace(grid, others=(none, some)), "Words", current="", marked=(), verdicts={})
    assert table.count("em-unknown") >= 1
    assert "cannot judge" in table
    assert "1 of 3 clips it cannot judge" in table
    assert "cannot judge" in view_sweep.score_list(nan)
    assert "nobody can say" in view_sweep.word_marks(())


def test_the_seeds_of_a_cell_are_shown_apart(judged: FakeStudio) -> None:
    """One lucky take proves little: with several seeds a cell has a bar from the worst mean to the best."""
    own = [c for c in judged.clips() if c.candidate.id == CELL]
    lucky = [replace(c, id=f"{c.id}-2", seed=43) for c in own]
    scores = judged.scores([c.id for c in own])
    scores |= {f"{key}-2": [replace(s, value=s.value / 2) for s in found] for key, found in scores.items()}
    found = cell(own[0].candidate, [*own, *lucky], scores, "words")
    assert found.seeds == 2
    assert found.seed_low == pytest.approx(found.seed_high / 2)  # type: ignore[operator]
    partly = cell(own[0].candidate, [*own, lucky[0]], scores, "words")
    assert partly.seed_high == scores[own[0].id][0].value, "seeds are compared on the lines that both have"
    grid = replace(judged.grid(RUN_ID, "words"), others=(found,))
    assert 'class="em-spread"' in view_sweep.grid_table(grid, "Words", current="", marked=(), verdicts={})
    assert 'class="em-spread"' not in table(judged)


def test_the_cost_of_a_sweep_is_told_before_it_starts(judged: FakeStudio) -> None:
    """How many clips, how long, how much room; and that what lies ready costs nothing."""
    from engine.studio import Request

    script = judged.script("english-brief")
    candidates = tuple(judged.candidates([f"{RUN_ID}@000160"], [0.3]))
    ready = judged.plan_sweep(Request(candidates=candidates, script=script))
    fresh = judged.plan_sweep(Request(candidates=candidates, script=script, seeds=(42, 43)))
    assert "nothing has to be rendered" in view_sweep_form.cost(ready)
    told = view_sweep_form.cost(fresh, 4.0)
    assert "2 candidates, 12 clips, 6 lie ready. To render: <b>6</b>, 54 s of audio, about <b>2 s</b>" in told
    assert "4 s for the screeners" in told


def test_only_voices_that_follow_a_reference_are_asked_for_one() -> None:
    """A prompt-free voice has no such question; one that needs a reference cannot be asked to do without."""
    offered = view_sweep_form.Offered(checkpoints=(), scripts=("english-brief",), takes="none", references=())
    assert "reference" not in view_sweep_form.form(offered)
    assert 'value="none"' in view_sweep_form.form(replace(offered, takes="optional"))
    required = view_sweep_form.form(replace(offered, takes="required"))
    assert "only after a reference" in required
    assert 'value="none"' not in required


def test_lines_that_are_too_short_for_their_tier_are_named() -> None:
    """A gate does not count them there, so the page says so before anybody listens."""
    fit = tiers.fit("long-orchard", Tier.LONG, [21.0])
    assert "long-orchard: 21.0 s with this voice: too short" in view_sweep_form.short_lines([fit])
    assert view_sweep_form.short_lines([tiers.fit("long-orchard", Tier.LONG, [31.0])]) == ""
