"""The grouped split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from engine.dataset import splitting
from engine.types import Utterance

NAMES = ["", "a", "b", "c", "d", "u1"]
SIDES = {"train", "validation", "test"}


def rows(groups: list[str], seconds: list[float] | None = None) -> list[Utterance]:
    lengths = seconds or [2.0] * len(groups)
    return [
        Utterance(id=f"u{i}", audio_path=Path(f"u{i}.wav"), text="x", group=group, duration_sec=sec)
        for i, (group, sec) in enumerate(zip(groups, lengths, strict=True))
    ]


@st.composite
def sets(draw: st.DrawFn) -> tuple[list[Utterance], list[set[str]]]:
    """Rows with groups and recordings, and clusters of rows that share audio."""
    groups = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=40))
    count = len(groups)
    seconds = draw(st.lists(st.floats(0.5, 20), min_size=count, max_size=count))
    recordings = draw(st.lists(st.sampled_from(["", "", "r", "s", "a"]), min_size=count, max_size=count))
    made = [replace(u, recording=r) for u, r in zip(rows(groups, seconds), recordings, strict=True)]
    ids = st.sampled_from([u.id for u in made])
    return made, draw(st.lists(st.sets(ids, min_size=2, max_size=4), max_size=5))


def sides(split: tuple[Utterance, ...], ids: set[str]) -> set[str]:
    return {u.split for u in split if u.id in ids}


@given(told=sets(), validation=st.floats(0, 0.3), test=st.floats(0, 0.2), seed=st.integers(0, 99))
def test_nothing_that_belongs_together_is_divided(
    told: tuple[list[Utterance], list[set[str]]], validation: float, test: float, seed: int
) -> None:
    """Every row is there once, no cluster and (of several) no recording is divided, and the seed decides."""
    utterances, clusters = told
    split, notes = splitting.split(
        utterances, validation_share=validation, test_share=test, seed=seed, clusters=clusters
    )
    assert [u.id for u in split] == [u.id for u in utterances]
    assert {u.split for u in split} <= SIDES
    assert "train" in {u.split for u in split}
    assert all(len(sides(split, cluster)) == 1 for cluster in clusters)
    if not any("one recording" in note for note in notes):
        for name in {u.group for u in utterances if u.group}:
            assert len({u.split for u in split if u.group == name}) == 1
        for name in {u.recording for u in utterances if u.recording}:
            assert len({u.split for u in split if u.recording == name}) == 1
    again = splitting.split(utterances, validation_share=validation, test_share=test, seed=seed, clusters=clusters)
    assert again == (split, notes)


@given(told=sets(), share=st.floats(0.02, 0.4), seed=st.integers(0, 99))
def test_shares_are_as_near_to_the_wish_as_the_largest_unit_allows(
    told: tuple[list[Utterance], list[set[str]]], share: float, seed: int
) -> None:
    """Held-out seconds miss the wish by half of the largest unit at most, where there are units enough."""
    utterances, _ = told
    alone = [replace(u, group="", recording="") for u in utterances]
    split, _ = splitting.split(alone, validation_share=share, seed=seed)
    held = sum(u.duration_sec for u in split if u.split == "validation")
    total = sum(u.duration_sec for u in alone)
    largest = max(u.duration_sec for u in alone)
    assert held > 0
    kept = total - held
    assert abs(held - share * total) <= largest or kept <= largest  # the last one is always trained on


def test_the_share_is_met_when_rows_are_small() -> None:
    """With rows of their own the held-out shares are what was asked, to within a row."""
    split, _ = splitting.split(rows([""] * 100), validation_share=0.1, test_share=0.05, seed=1)
    assert [sum(u.split == side for u in split) for side in ("validation", "test")] == [10, 5]


def test_a_test_share_does_not_change_the_validation_rows() -> None:
    """Who asks for a test split later keeps the validation rows of the earlier runs."""
    told = rows([""] * 50)
    without, _ = splitting.split(told, validation_share=0.1, seed=3)
    with_test, _ = splitting.split(told, validation_share=0.1, test_share=0.1, seed=3)
    held_out = {u.id for u in without if u.split == "validation"}
    assert {u.id for u in with_test if u.split == "validation"} == held_out


def test_another_seed_is_another_split() -> None:
    """The seed is what decides."""
    splits = {
        tuple(u.split for u in splitting.split(rows([""] * 40), validation_share=0.1, seed=seed)[0])
        for seed in range(5)
    }
    assert len(splits) > 1


def test_one_recording_is_divided_with_a_word_about_it() -> None:
    """A set from a single recording still has a validation side, which is said to flatter; shared audio stays whole."""
    told = rows(["talk"] * 10)
    split, notes = splitting.split(told, validation_share=0.2, seed=1, clusters=[{"u0", "u1", "u2", "u3"}])
    assert {"train", "validation"} == {u.split for u in split}
    assert "flatters" in notes[0]
    assert len(sides(split, {"u0", "u1", "u2", "u3"})) == 1


def test_a_set_that_shares_all_its_audio_is_all_training() -> None:
    """Where nothing can be held out without an overlap nothing is, and that is said."""
    split, notes = splitting.split(rows(["", ""]), validation_share=0.5, seed=1, clusters=[{"u0", "u1"}])
    assert {u.split for u in split} == {"train"}
    assert any("too few recordings" in note for note in notes)


def test_a_given_split_is_kept() -> None:
    """Rows that name their split decide it; another row goes where its recording is, else it trains."""
    told = rows(["", "", "", "a", "a"])
    given_ = [told[0], replace(told[1], split="validation"), told[2], replace(told[3], split="test"), told[4]]
    split, notes = splitting.split(given_, validation_share=0.5, seed=1)
    assert [u.split for u in split] == ["train", "validation", "train", "test", "test"]
    assert notes == ()


def test_a_given_split_that_divides_shared_audio_is_mended() -> None:
    """Rows that share audio go to the side that has more of it, with a note that names who moved."""
    told = rows(["", "", ""], [5.0, 2.0, 4.0])
    given_ = [replace(u, split=s) for u, s in zip(told, ("train", "validation", "validation"), strict=True)]
    split, notes = splitting.split(given_, validation_share=0.1, seed=1, clusters=[{"u0", "u1"}])
    assert [u.split for u in split] == ["train", "train", "validation"]
    assert "u1 went to train" in notes[0]


def test_one_row_is_all_training() -> None:
    """A single row is not held out."""
    assert [u.split for u in splitting.split(rows([""]), validation_share=0.5, seed=1)[0]] == ["train"]
