"""The use cases, from rendered clips to a release, without a model: what the pages and the command line rely on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine import audio
from engine.studio import Studio
from engine.types import (
    Adapter,
    BadInput,
    Busy,
    Candidate,
    Checkpoint,
    Choice,
    Clip,
    GenerationSettings,
    NotFound,
    Outcome,
    Refused,
    RunConfig,
    Stop,
    Tier,
)
from engine.workspace import Workspace

BASE = Candidate(backend="finch", voice="reed")
TUNED = Candidate(backend="finch", voice="reed", checkpoint_id="steph@000010", lora_scale=0.5)


@pytest.fixture(name="studio")
def _studio(tmp_path: Path) -> Iterator[Studio]:
    with Studio(Workspace(tmp_path), clock=lambda: 1_000.0) as studio:
        yield studio


def put_clip(
    studio: Studio,
    candidate: Candidate,
    tier: Tier,
    *,
    seed: int = 42,
    level: float = 0.1,
    settings: GenerationSettings | None = None,
    duration_sec: float = 1.0,
) -> Clip:
    """A second of noise that stands for a rendered clip of `duration_sec`."""
    name = f"{candidate.id}-{tier}-{seed}".replace("/", "_").replace(":", "_")
    path = studio.workspace.clips / f"{name}.flac"
    noise = np.random.default_rng(len(name)).normal(0, level, 16_000).astype(np.float32)
    audio.write(path, noise, 16_000)
    clip = Clip(
        id=name,
        candidate=candidate,
        adapter_sha256=None,
        script_sha256="s",
        line_id=f"{tier}-1",
        tier=tier,
        text=f"The {tier} line.",
        seed=seed,
        path=path,
        sample_rate=16_000,
        duration_sec=duration_sec,
        stop=Stop.EOS,
        chunks=1,
        settings=settings or GenerationSettings(),
        harness_version="1",
        render_sec=0.1,
    )
    studio.store.add_clips([clip])
    return clip


def answer_all(studio: Studio, session_id: str, choice: Choice, *reasons: str) -> int:
    """Answer every trial of a sitting the same way; returns how many there were."""
    answered = 0
    while (trial := studio.next_trial(session_id)) is not None:
        studio.answer(trial.trial_id, choice, reasons=reasons)
        answered += 1
    return answered


def test_a_second_app_on_a_workspace_is_told_who_holds_it(studio: Studio) -> None:
    """One process holds a workspace; the second one is refused with the holder's number, and the first goes on."""
    with pytest.raises(Busy, match="process"), Studio(studio.workspace):
        pass
    assert studio.runs() == []


def test_a_run_needs_a_prepared_dataset(studio: Studio) -> None:
    """Starting on a dataset that is not there names it and starts nothing."""
    with pytest.raises(NotFound, match="'nowhere'"):
        studio.start_run(replace(RunConfig(), name="x", dataset="nowhere"))
    assert list(studio.workspace.runs.iterdir()) == []


@pytest.mark.parametrize("run_id", ["", "..", "../clips", "a/b"])
def test_a_run_id_cannot_leave_the_folder_of_runs(studio: Studio, run_id: str) -> None:
    """An id from a page is a name, never a path."""
    with pytest.raises(NotFound):
        studio.run(run_id)


def test_a_gate_hears_no_clip_that_might_have_been_drawn_again(studio: Studio) -> None:
    """A retry hides a failure that users would hear: clips with retries are for other uses."""
    put_clip(studio, TUNED, Tier.SHORT, seed=1, settings=GenerationSettings(retries=2))
    with pytest.raises(BadInput, match="sweep"):
        studio.open_gate_session([TUNED], reviewer="Ada")
    plain = put_clip(studio, TUNED, Tier.SHORT, seed=2)
    session = studio.open_gate_session([TUNED], reviewer="Ada")
    assert {slot.clip_id for trial in studio.store.trials(session.id) for slot in trial.slots} == {plain.id}


def test_one_take_a_line_is_judged(studio: Studio) -> None:
    """With several seeds a line, a gate hears the lowest seed, not the luckiest take."""
    first = put_clip(studio, TUNED, Tier.SHORT, seed=1)
    put_clip(studio, TUNED, Tier.SHORT, seed=2)
    session = studio.open_gate_session([TUNED], reviewer="Ada")
    trials = studio.store.trials(session.id)
    assert [slot.clip_id for trial in trials for slot in trial.slots] == [first.id]


def test_a_session_needs_rendered_clips_and_a_reviewer(studio: Studio) -> None:
    """Nothing to hear, or nobody to hear it, is said before a session exists."""
    with pytest.raises(BadInput, match="run a sweep"):
        studio.open_gate_session([TUNED], reviewer="Ada")
    put_clip(studio, TUNED, Tier.SHORT)
    with pytest.raises(BadInput, match="name"):
        studio.open_gate_session([TUNED], reviewer="  ")
    assert studio.sessions() == []


def test_reload_resumes_the_same_trial(studio: Studio) -> None:
    """Asking again before the answer shows the same trial with the same tokens: no re-roll."""
    put_clip(studio, TUNED, Tier.SHORT)
    put_clip(studio, TUNED, Tier.LONG)
    session = studio.open_gate_session([TUNED], reviewer="Ada")
    assert studio.next_trial(session.id) == studio.next_trial(session.id)


def test_the_stimulus_is_served_by_token_and_nothing_else(studio: Studio) -> None:
    """A token gives audio of its trial, both sides alike in length; a clip's id gives nothing."""
    clip = put_clip(studio, TUNED, Tier.SHORT)
    put_clip(studio, BASE, Tier.SHORT, level=0.02)
    session = studio.open_preference_session([(TUNED, BASE)], reviewer="Ada")
    trial = studio.next_trial(session.id)
    assert trial is not None
    first, second = (studio.stimulus(token) for _, token in trial.slots)
    assert len(first) == len(second)
    assert first != second
    with pytest.raises(NotFound):
        studio.stimulus(clip.id)


def test_answers_become_verdicts_and_only_changes_are_written(studio: Studio) -> None:
    """All tiers passed is a pass; judging again without new answers writes nothing."""
    for tier in Tier:
        put_clip(studio, TUNED, tier)
    session = studio.open_gate_session([TUNED], reviewer="Ada")
    assert answer_all(studio, session.id, Choice.PASS) == 3
    assert studio.session(session.id).closed_at == 1_000.0
    assert [v.outcome for v in studio.judge(by="Ada")] == [Outcome.PASS]
    assert studio.judge(by="Ada") == []
    row = next(row for row in studio.matrix() if row.candidate == TUNED)
    assert row.outcome is Outcome.PASS
    assert {tier: state.passes for tier, state in row.tiers.items()} == dict.fromkeys(Tier, 1)


def test_a_dropped_word_in_the_long_tier_fails(studio: Studio) -> None:
    """One reviewer who heard a dropped word in the long tier is enough to fail a candidate."""
    for tier in Tier:
        put_clip(studio, TUNED, tier)
    session = studio.open_gate_session([TUNED], reviewer="Ada")
    while (trial := studio.next_trial(session.id)) is not None:
        long = "long" in trial.text
        studio.answer(trial.trial_id, Choice.FAIL if long else Choice.PASS, reasons=["dropped word"] if long else [])
    assert [v.outcome for v in studio.judge(by="Ada")] == [Outcome.FAIL]


def test_simulated_answers_give_way_to_a_persons(studio: Studio) -> None:
    """Where a person answered, simulated answers do not count, and the verdict is no longer called simulated."""
    for tier in Tier:
        put_clip(studio, TUNED, tier)
    simulated = studio.open_gate_session([TUNED], reviewer="rule", simulated=True)
    answer_all(studio, simulated.id, Choice.PASS)
    assert [(v.outcome, v.simulated) for v in studio.judge(by="rule")] == [(Outcome.PASS, True)]
    person = studio.open_gate_session([TUNED], reviewer="Ada")
    answer_all(studio, person.id, Choice.FAIL, "noise")
    assert [(v.outcome, v.simulated) for v in studio.judge(by="Ada")] == [(Outcome.FAIL, False)]


def test_the_base_is_never_promoted_and_nothing_without_a_pass(studio: Studio) -> None:
    """Promotion needs a passing verdict of a tuned candidate."""
    with pytest.raises(Refused):
        studio.promote(BASE, alias="production/reed", by="Ada")
    with pytest.raises(NotFound):
        studio.promote(TUNED, alias="production/steph", by="Ada")
    assert studio.promotions() == []


def test_trash_needs_a_name(studio: Studio) -> None:
    """A nameless confirmation moves nothing."""
    with pytest.raises(Refused, match="name"):
        studio.trash(["steph@000010"], by=" ")


def test_preferences_are_kept_out_of_verdicts(studio: Studio) -> None:
    """An A/B answer says which is better, not whether it may ship: it makes no verdict."""
    put_clip(studio, TUNED, Tier.SHORT)
    put_clip(studio, BASE, Tier.SHORT)
    session = studio.open_preference_session([(TUNED, BASE)], reviewer="Ada")
    answer_all(studio, session.id, Choice.TIE)
    assert studio.judge(by="Ada") == []
    assert studio.session_progress(session.id) == (1, 1)


def test_a_preference_is_counted_for_the_candidate_and_not_for_the_side(studio: Studio) -> None:
    """Whoever was on side A, a win goes to the candidate that was heard there."""
    for tier in Tier:
        put_clip(studio, TUNED, tier)
        put_clip(studio, BASE, tier)
    session = studio.open_preference_session([(TUNED, BASE)], reviewer="Ada", seed=3)
    while (trial := studio.next_trial(session.id)) is not None:
        slots = studio.store.trial(trial.trial_id).slots
        tuned_on_a = studio.clip(slots[0].clip_id).candidate == TUNED
        studio.answer(trial.trial_id, Choice.A if tuned_on_a else Choice.B)
    (row,) = studio.preferences()
    assert (row.first, row.second) == (BASE, TUNED)
    assert (row.summary.wins, row.summary.losses, row.summary.ties) == (0, 3, 0)


def test_sides_stay_even_over_the_sittings_of_a_reviewer(studio: Studio) -> None:
    """A pair that a reviewer heard once is turned round in their next sitting, whatever its seed; others start anew."""
    put_clip(studio, TUNED, Tier.SHORT)
    put_clip(studio, BASE, Tier.SHORT)

    def on_side_a(reviewer: str, seed: int) -> Candidate:
        session = studio.open_preference_session([(TUNED, BASE)], reviewer=reviewer, seed=seed)
        (trial,) = studio.store.trials(session.id)
        answer_all(studio, session.id, Choice.TIE)
        return studio.clip(trial.slots[0].clip_id).candidate

    heard = [on_side_a("Ada", seed) for seed in range(6)]
    assert all({heard[n], heard[n + 1]} == {TUNED, BASE} for n in (0, 2, 4))
    assert {on_side_a(f"reviewer {seed}", seed) for seed in range(12)} == {TUNED, BASE}


def test_a_promotion_speaks_with_the_settings_that_were_judged(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The verdict is about how the clips sounded, so the alias keeps the temperature they were drawn with."""
    adapter = Adapter(
        sha256="a", path=tmp_path, backend="finch", base_sha256="b", voice="reed", parts=("lm",), rank=8, alpha=16.0
    )
    checkpoint = Checkpoint(
        id="steph@000010",
        run_id="steph",
        step=10,
        epoch=1,
        path=tmp_path,
        adapter=adapter,
        train_loss=None,
        val_loss=None,
        bytes=1,
        created_at=0.0,
    )
    monkeypatch.setattr(studio, "checkpoint", lambda checkpoint_id: checkpoint)
    warm = GenerationSettings(temperature=0.7)
    for tier in Tier:
        put_clip(studio, TUNED, tier, settings=warm)
    answer_all(studio, studio.open_gate_session([TUNED], reviewer="Ada").id, Choice.PASS)
    studio.judge(by="Ada")
    assert studio.promote(TUNED, alias="production/steph", by="Ada").settings == warm


def test_opening_a_workspace_mends_what_a_crash_left(tmp_path: Path) -> None:
    """A move to the trash that was killed before its tombstone was written leaves no folder behind the next start."""
    Workspace(tmp_path).create()
    (tmp_path / "trash" / "steph@000010-1").mkdir()
    with Studio(Workspace(tmp_path)) as studio:
        assert studio.trashed() == []
    assert list((tmp_path / "trash").iterdir()) == []
