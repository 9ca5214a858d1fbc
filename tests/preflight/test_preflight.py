"""Preflight: what stands against a run, with numbers, and changes that mend it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine import checkpoints, disk, memory, preflight
from engine.backends import sizes
from engine.device import Card, DeviceMemory
from engine.preflight import forecast
from engine.preflight.facts import Facts
from engine.types import Dataset, Level, PreflightItem, RunConfig
from tests.run_factory import prepared

GB, MB = 2**30, 2**20
CONFIG = RunConfig(dataset="set-1")
FULL = replace(CONFIG, method="full")
DATA = prepared(Path("home"))
FACTS = Facts(
    dataset=DATA,
    row_sec=[8.0] * 120,  # 16 minutes
    device="cpu",
    size=sizes.of("finch"),
    memory=DeviceMemory(free_bytes=8 * GB, total_bytes=16 * GB),
    free_disk_bytes=50 * GB,
    uncached_sec=1000.0,  # with the rows that are held out
)
GPU = replace(FACTS, device="cuda:0")
# A model of which no layer can be computed twice.
_WHOLE = sizes.PartSize(name="lm", tensors=(9,), linears={}, targets=(), saved=sizes.Saved(trained=9, frozen=9))
UNSPLIT = replace(FACTS.size, parts=(_WHOLE,)) if FACTS.size else None


def found(check: str, config: RunConfig = CONFIG, facts: Facts = FACTS) -> PreflightItem:
    items = {item.check: item for item in preflight.items(config, facts)}
    assert check in items, f"nothing was said of {check}: {sorted(items)}"
    return items[check]


def levels(config: RunConfig, facts: Facts) -> dict[str, Level]:
    return {item.check: item.level for item in preflight.items(config, facts)}


def data(**changes: object) -> Dataset:
    return prepared(Path("home"), **changes)


def test_a_sound_run_has_nothing_against_it() -> None:
    """All that was looked at is told, with numbers, and nothing is worse than fine."""
    items = preflight.items(CONFIG, FACTS)
    assert [item.check for item in items] == ["rows", "minutes", "validation", "memory", "disk", "checkpoints"]
    assert {item.level for item in items} == {Level.OK}
    assert all(item.text.endswith(".") and any(c.isdigit() for c in item.text) for item in items[1:])


def test_an_environment_that_cannot_be_used_is_said_before_the_start() -> None:
    """The sentence and its mend come before the run, which the voice itself still refuses when it is loaded."""
    item = found("environment", facts=replace(FACTS, environment_fault="It is broken: install it again."))
    assert (item.level, item.text) == (Level.WARN, "It is broken: install it again.")


# ----------------------------------------------------------------------------------------------------------------- data
def test_errors_that_nobody_decided_about_are_refused_until_somebody_accepts_them() -> None:
    """The refusal says how many steps would learn from a bad row, and which setting overrides it; a name does."""
    bad = replace(FACTS, dataset=data(unresolved=6, bad_row_share=0.1))
    item = found("rows", CONFIG, bad)
    assert (item.level, item.override) == (Level.REFUSE, "accepted_by")
    assert "6 of 66 rows" in item.text
    accepted = found("rows", replace(CONFIG, accepted_by="Ada"), bad)
    assert (accepted.level, "Ada accepted that" in accepted.text) == (Level.WARN, True)


def test_the_share_of_tainted_steps_is_that_of_the_formula() -> None:
    """1 - (1 - p)^N, where N is how many rows a step takes with its batches."""
    bad = replace(FACTS, dataset=data(unresolved=6, bad_row_share=0.1))
    rows = round(1500 / forecast.lengths(FACTS)[0])
    assert f"{1 - 0.9**rows:.0%}" in found("rows", CONFIG, bad).text
    assert f"{1 - 0.9 ** (8 * rows):.0%}" in found("rows", replace(CONFIG, accumulation=8), bad).text


def test_full_fine_tuning_on_bad_rows_has_no_override() -> None:
    """All weights would learn the errors: nobody's name helps, LoRA would be another matter."""
    bad = replace(FACTS, dataset=data(unresolved=6, bad_row_share=0.1))
    item = found("rows", replace(FULL, accepted_by="Ada"), bad)
    assert (item.level, item.override, item.changes[0].new) == (Level.REFUSE, "", "lora")


@pytest.mark.parametrize(
    ("minutes", "config", "level"),
    [
        (0, CONFIG, Level.REFUSE),
        (2, CONFIG, Level.WARN),
        (5, CONFIG, Level.OK),
        (5, FULL, Level.WARN),
        (15, FULL, Level.OK),
    ],
)
def test_minutes_are_enough_for_a_method(minutes: int, config: RunConfig, level: Level) -> None:
    """Nothing to train on is refused, little is told, and full fine-tuning wants more than LoRA."""
    assert found("minutes", config, replace(FACTS, row_sec=[6.0] * 10 * minutes)).level is level


def test_a_stop_by_validation_needs_something_to_validate_with() -> None:
    """Without held-out rows a run can be started and is told so; a stop that could never happen is refused."""
    nothing = replace(FACTS, dataset=data(validation_count=0))
    assert found("validation", CONFIG, nothing).level is Level.WARN
    item = found("validation", replace(CONFIG, stop_when=("drift", "validation_rising")), nothing)
    assert (item.level, item.changes[0].new) == (Level.REFUSE, ("drift",))


# --------------------------------------------------------------------------------------------------------------- memory
def needing(config: RunConfig, facts: Facts = FACTS) -> int:
    estimate = forecast.memory_estimate(config, facts)
    assert estimate is not None
    return estimate.needed_bytes


def with_memory(facts: Facts, free_bytes: int) -> Facts:
    return replace(facts, memory=DeviceMemory(free_bytes=free_bytes, total_bytes=64 * GB))


def test_a_run_that_does_not_fit_is_refused_with_the_change_that_would() -> None:
    """The tokens a batch that are proposed make the same preflight say that it fits."""
    little = with_memory(FACTS, needing(CONFIG) - 100 * MB)
    item = found("memory", CONFIG, little)
    assert (item.level, item.override) == (Level.REFUSE, "accepted_by")
    change = item.changes[0]
    assert (change.setting, change.old) == ("batch_tokens", 1500)
    assert change.text in item.text
    for change in item.changes:
        fitting = replace(CONFIG, **{change.setting: change.new})
        assert found("memory", fitting, little).level is not Level.REFUSE, change.text


def test_an_estimate_may_be_overridden_and_a_sum_may_not() -> None:
    """Who knows better than an estimate of activations may try; what is counted to the byte cannot fit."""
    named = replace(CONFIG, accepted_by="Ada")
    assert found("memory", named, with_memory(FACTS, needing(CONFIG) - 100 * MB)).level is Level.WARN
    item = found("memory", named, with_memory(FACTS, 20 * MB))
    assert (item.level, item.override, item.changes) == (Level.REFUSE, "", ())
    assert "use a larger device" in item.text


def test_a_tight_run_is_warned_of() -> None:
    """Between nine tenths of what is free and all of it, one long batch more may be too much."""
    assert found("memory", CONFIG, with_memory(FACTS, int(needing(CONFIG) / 0.95))).level is Level.WARN
    assert found("memory", CONFIG, with_memory(FACTS, int(needing(CONFIG) / 0.85))).level is Level.OK


def test_a_run_behind_another_one_is_compared_with_the_whole_device() -> None:
    """A queued run starts when the one before has let go of its memory."""
    waiting = replace(with_memory(FACTS, 20 * MB), is_leased=True)
    item = found("memory", CONFIG, waiting)
    assert (item.level, "another run has it now" in item.text) == (Level.OK, True)


def test_a_paged_optimizer_is_offered_on_a_card_alone() -> None:
    """What is offered can be run on this device."""
    config = replace(FULL, parts=("lm",))
    for facts, expected in ((GPU, True), (FACTS, False)):
        little = with_memory(facts, needing(config, facts) - 20 * MB)
        offered = {change.setting for change in found("memory", config, little).changes}
        assert ("optimizer" in offered) is expected


def test_what_nobody_knows_is_not_made_up() -> None:
    """A model without sizes and a device that does not answer are told as unknown, and stop nothing."""
    for facts in (replace(FACTS, size=None), replace(FACTS, memory=None)):
        assert found("memory", CONFIG, facts).level is Level.WARN
    unknown = replace(FACTS, size=None)
    assert found("disk", CONFIG, unknown).level is Level.WARN
    assert (forecast.steps(CONFIG, unknown), forecast.memory_estimate(CONFIG, unknown)) == (0, None)


# ----------------------------------------------------------------------------------------------------------------- disk
def test_the_disk_is_counted_checkpoint_by_checkpoint() -> None:
    """Every checkpoint is kept; state to resume from only for the last two; features as far as they are not there."""
    estimate = forecast.disk_estimate(replace(CONFIG, epochs=12), replace(FACTS, uncached_sec=0.0))
    assert estimate is not None
    trained = memory.trained_tensors(CONFIG, FACTS.size)
    assert estimate.checkpoints == 12
    assert estimate.checkpoint_bytes - checkpoints.BYTES_OF_JSON == 4 * sum(trained)
    assert estimate.resume_bytes == 2 * memory.optimizer_bytes(trained, "adamw")[0]
    assert estimate.features_bytes == 0
    assert forecast.disk_estimate(CONFIG, FACTS).features_bytes == 1000 * FACTS.size.feature_bytes_a_second


@pytest.mark.parametrize("config", [CONFIG, FULL], ids=["lora", "full"])
def test_a_checkpoint_is_as_large_as_was_said(config: RunConfig, tmp_path: Path) -> None:
    """What a trainer writes of its parts is at most the estimate, which leaves a little for JSON."""
    import torch

    from engine import backends
    from engine.train import parts

    for part in parts.attach(backends.load("finch"), config):
        for parameter in part.parameters.values():  # what no step has moved costs no room
            parameter.grad = torch.zeros_like(parameter)
        part.optimizer.step()
        part.write(tmp_path, part.weights())
    written = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    estimate = forecast.disk_estimate(config, FACTS)
    assert estimate is not None
    assert 0.9 * estimate.checkpoint_bytes <= written <= estimate.checkpoint_bytes


def test_a_disk_that_fills_is_told_with_how_often_to_save() -> None:
    """The interval that is proposed makes the same preflight say that it fits."""
    config = replace(FULL, epochs=40)
    little = replace(FACTS, free_disk_bytes=disk.RESERVE_BYTES + 400 * MB)
    item = found("disk", config, little)
    assert item.level is Level.WARN
    [change] = item.changes
    assert change.setting == "save_every"
    assert found("disk", replace(config, save_every=change.new), little).level is Level.OK


def test_a_disk_without_room_for_two_checkpoints_is_refused() -> None:
    """A run that would pause before it has anything to compare is not started; an adapter may still fit."""
    little = replace(FACTS, free_disk_bytes=disk.RESERVE_BYTES + 40 * MB)
    item = found("disk", FULL, little)
    assert (item.level, item.override) == (Level.REFUSE, "")
    assert [(change.setting, change.new) for change in item.changes] == [("method", "lora")]
    assert found("disk", replace(FULL, method="lora"), little).level is Level.OK


# ------------------------------------------------------------------------------------------------------------- settings
def test_steps_are_those_of_the_trainers_own_batches() -> None:
    """Batches are packed as the trainer packs them; accumulation makes fewer steps, and steps at most ends them."""
    an_epoch = forecast.steps_an_epoch(CONFIG, FACTS)
    assert 30 <= an_epoch <= 120
    assert forecast.steps(replace(CONFIG, epochs=3), FACTS) == 3 * an_epoch
    assert forecast.steps(replace(CONFIG, max_steps=50), FACTS) == 50
    assert forecast.steps_an_epoch(replace(CONFIG, accumulation=4), FACTS) == -(-an_epoch // 4)


def test_one_checkpoint_is_nothing_to_choose_from() -> None:
    """A run that saves once is told so, with the interval that gives two."""
    item = found("checkpoints", replace(CONFIG, max_steps=100, save_every=100, save_unit="steps"))
    assert (item.level, item.changes[0].new) == (Level.WARN, 50)
    rare = replace(CONFIG, epochs=100, save_every=1000, save_unit="steps")
    assert "what was not saved is lost" in found("checkpoints", rare).text


@pytest.mark.parametrize(
    ("check", "config", "facts", "level", "setting", "value"),
    [
        ("optimizer", replace(CONFIG, optimizer=memory.PAGED), FACTS, Level.REFUSE, "optimizer", "adamw"),
        (
            "precision",
            replace(CONFIG, precision="bf16"),
            replace(FACTS, has_bf16=False),
            Level.WARN,
            "precision",
            "fp32",
        ),
        (
            "precision",
            replace(CONFIG, precision="bf16"),
            replace(GPU, has_bf16=False, card=Card(name="Tesla T4", major=7, minor=5)),
            Level.REFUSE,
            "precision",
            "fp32",
        ),
        ("method", FULL, replace(FACTS, full_sft=False), Level.REFUSE, "method", "lora"),
        (
            "gradient_checkpointing",
            replace(CONFIG, gradient_checkpointing=True),
            replace(FACTS, size=UNSPLIT),
            Level.REFUSE,
            "gradient_checkpointing",
            False,
        ),
        ("memory stack", FULL, GPU, Level.WARN, "gradient_checkpointing", True),
        ("warm-up", replace(CONFIG, max_steps=100, warmup_steps=100), FACTS, Level.WARN, "warmup_steps", 10),
        ("alpha", replace(CONFIG, rank=4, alpha=64.0), FACTS, Level.WARN, "alpha", 8.0),
        ("batch", replace(CONFIG, batch_tokens=100), FACTS, Level.WARN, "batch_tokens", 339),
    ],
)
def test_settings_that_make_no_sense_together_are_told(
    check: str, config: RunConfig, facts: Facts, level: Level, setting: str, value: object
) -> None:
    """Each with the change that mends it, and the change does."""
    item = found(check, config, facts)
    assert (item.level, item.changes[0].setting, item.changes[0].new) == (level, setting, value)
    mended = config
    for change in item.changes:
        mended = replace(mended, **{change.setting: change.new})
    assert check not in levels(mended, facts)
