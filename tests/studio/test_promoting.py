"""What was judged is what is promoted, and what counts in a gate is what it asks about: references, seeds, redraws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.studio import State, Studio
from engine.types import (
    Adapter,
    BadInput,
    Checkpoint,
    Choice,
    Clip,
    GenerationSettings,
    Reference,
    Refused,
    Tier,
)
from engine.workspace import Workspace
from tests.test_references import recording
from tests.test_studio import BASE, TUNED, answer_all, put_clip

SECONDS = {Tier.SHORT: 5.0, Tier.MEDIUM: 15.0, Tier.LONG: 32.0}
CHECKPOINT = Checkpoint(
    id="steph@000010",
    run_id="steph",
    step=10,
    epoch=1,
    path=Path("nowhere"),
    adapter=Adapter(
        sha256="a" * 64,
        path=Path("nowhere"),
        backend="finch",
        base_sha256="b" * 64,
        voice="reed",
        parts=("lm",),
        rank=8,
        alpha=16.0,
    ),
    train_loss=1.0,
    val_loss=None,
    bytes=1,
    created_at=1.0,
)


@pytest.fixture(name="studio")
def _studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    monkeypatch.setattr(Studio, "checkpoint", lambda *_: CHECKPOINT)
    with Studio(Workspace(tmp_path), clock=lambda: 1_000.0) as studio:
        yield studio


def kept(studio: Studio, tmp_path: Path, name: str) -> Reference:
    return studio.keep_reference(recording(tmp_path / f"{name}.wav"), f"I am {name}.", name=name).reference


def speak(studio: Studio, reference: Reference | None, **changes: object) -> dict[Tier, Clip]:
    """The candidate in all tiers after a reference."""
    made = {}
    for tier in Tier:
        clip = put_clip(studio, TUNED, tier, duration_sec=SECONDS[tier])
        suffix = reference.sha256[:6] if reference else "none"
        made[tier] = replace(clip, id=f"{clip.id}-{suffix}-{len(changes)}", reference=reference, **changes)  # type: ignore[arg-type]
    studio.store.add_clips(list(made.values()))
    return made


def judge(studio: Studio, passes: dict[str, Choice]) -> None:
    """A sitting over everything; each clip by its id's ending, the rest pass."""
    session = studio.open_gate_session([TUNED], reviewer="Ada")
    trials = {trial.id: trial.slots[0].clip_id for trial in studio.store.trials(session.id)}
    while (trial := studio.next_trial(session.id)) is not None:
        said = next(
            (choice for ending, choice in passes.items() if trials[trial.trial_id].endswith(ending)), Choice.PASS
        )
        studio.answer(trial.trial_id, said)
    studio.judge(by="Ada")


def test_a_gate_hears_every_reference_and_the_promotion_keeps_the_judged_one(studio: Studio, tmp_path: Path) -> None:
    """Two references are two things to judge; after which one it is released must be said, and is kept."""
    put_clip(studio, BASE, Tier.SHORT)
    ada, grace = kept(studio, tmp_path, "ada"), kept(studio, tmp_path, "grace")
    spoken = [*speak(studio, ada).values(), *speak(studio, grace).values()]
    judge(studio, {})
    asked = {trial.slots[0].clip_id for s in studio.sessions() for trial in studio.store.trials(s.id)}
    assert {clip.id for clip in spoken} <= asked
    with pytest.raises(BadInput, match=r"several references.*ada.*grace|several references.*grace.*ada"):
        studio.promote(TUNED, alias="production/reed", by="Ada")
    made = studio.promote(TUNED, alias="production/reed", by="Ada", reference=grace.sha256)
    assert made.reference_sha256 == grace.sha256
    assert studio.promotion("production/reed").reference_sha256 == grace.sha256


def test_passes_that_are_spread_over_settings_release_nothing(studio: Studio) -> None:
    """A short line with one temperature and a long one with another: nothing that was judged passed every tier."""
    cool = GenerationSettings(temperature=0.7)
    for tier in Tier:
        put_clip(studio, TUNED, tier, duration_sec=SECONDS[tier], settings=cool if tier is Tier.LONG else None)
    judge(studio, {})
    with pytest.raises(Refused, match="by themselves"):
        studio.promote(TUNED, alias="production/reed", by="Ada")


def test_the_matrix_counts_what_the_gate_asks_about(studio: Studio) -> None:
    """A line in three seeds is one clip to answer about, and a clip that may have been drawn again is none."""
    for seed in (42, 43, 44):
        put_clip(studio, TUNED, Tier.SHORT, seed=seed)
    put_clip(studio, TUNED, Tier.MEDIUM, duration_sec=15.0, settings=GenerationSettings(retries=2))
    (row,) = studio.matrix()
    short, medium = row.tiers[Tier.SHORT], row.tiers[Tier.MEDIUM]
    assert (short.state, short.clips) == (State.WAITING, 1)
    assert (medium.state, medium.clips) == (State.NO_CLIPS, 0)
    session = studio.open_gate_session([TUNED], reviewer="Ada")
    (row,) = studio.matrix()
    assert row.tiers[Tier.SHORT].waiting == 1
    assert answer_all(studio, session.id, Choice.PASS) == 1
    answer_all(studio, studio.open_gate_session([TUNED], reviewer="Ada").id, Choice.PASS)
    (row,) = studio.matrix()
    assert (row.tiers[Tier.SHORT].passes, row.tiers[Tier.SHORT].clips) == (1, 1), "the same person twice is one answer"


def test_two_voices_are_compared_on_the_same_words(studio: Studio, tmp_path: Path) -> None:
    """A line whose text was edited since, or that was spoken after another reference, is no pair."""
    ada = kept(studio, tmp_path, "ada")
    base = put_clip(studio, BASE, Tier.SHORT)
    own = put_clip(studio, TUNED, Tier.SHORT)
    studio.store.add_clips([replace(own, id="other-text", text="Something else.", line_id="short-2")])
    studio.store.add_clips([replace(base, id="base-2", text="What it was before.", line_id="short-2")])
    studio.store.add_clips([replace(own, id="after-ada", seed=1, reference=ada)])
    session = studio.open_preference_session([(BASE, TUNED)], reviewer="Ada")
    (trial,) = studio.store.trials(session.id)
    assert {slot.clip_id for slot in trial.slots} == {base.id, own.id}
