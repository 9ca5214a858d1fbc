"""The grouped split."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from engine import splitting
from engine.types import Utterance


def rows(groups: list[str], seconds: list[float] | None = None) -> list[Utterance]:
    lengths = seconds or [2.0] * len(groups)
    return [
        Utterance(id=f"u{i}", audio_path=Path(f"u{i}.wav"), text="x", group=group, duration_sec=sec)
        for i, (group, sec) in enumerate(zip(groups, lengths, strict=True))
    ]


@given(
    groups=st.lists(st.sampled_from(["", "a", "b", "c", "d", "u1"]), min_size=2, max_size=40),
    share=st.floats(0.02, 0.4),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_a_split_divides_no_group_and_leaves_both_sides_something(
    groups: list[str], share: float, seed: int, data: st.DataObject
) -> None:
    """Whatever the lengths, groups stay whole (unless there is but one), both splits have rows, the seed decides."""
    seconds = data.draw(st.lists(st.floats(0.5, 20), min_size=len(groups), max_size=len(groups)))
    told = rows(groups, seconds)
    split, note = splitting.split(told, validation_share=share, seed=seed)
    assert [u.id for u in split] == [u.id for u in told]
    assert {u.split for u in split} == {"train", "validation"}
    named = {u.group for u in told if u.group}
    alone = len(named) == 1 and all(u.group for u in told)
    assert bool(note) == alone
    if not alone:
        assert all(len({u.split for u in split if u.group == g}) == 1 for g in named)
    assert splitting.split(told, validation_share=share, seed=seed) == (split, note)


def test_the_share_is_met_when_rows_are_small() -> None:
    """With rows of their own the held-out share is what was asked, to within a row."""
    split, _ = splitting.split(rows([""] * 100), validation_share=0.1, seed=1)
    assert sum(u.split == "validation" for u in split) == 10


def test_a_given_split_is_kept() -> None:
    """Rows that name their split decide it; the others train."""
    from dataclasses import replace

    told = rows(["", "", ""])
    split, _ = splitting.split([told[0], replace(told[1], split="validation"), told[2]], validation_share=0.5, seed=1)
    assert [u.split for u in split] == ["train", "validation", "train"]


def test_one_row_is_all_training() -> None:
    """A single row is not held out."""
    assert [u.split for u in splitting.split(rows([""]), validation_share=0.5, seed=1)[0]] == ["train"]
