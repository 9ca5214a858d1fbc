"""What preflight's card says and offers."""

from __future__ import annotations

from dataclasses import replace

from engine.types import Change, Level, MemoryEstimate, Preflight, PreflightItem, RunConfig
from tests.ui.fake_studio import FakeStudio
from ui import view_preflight

BAD = "<script>alert(1)</script>"


def found(studio: FakeStudio, **settings: object) -> Preflight:
    return studio.preflight(RunConfig(dataset="d", **settings))  # type: ignore[arg-type]


def test_a_refusal_stands_first_with_what_mends_it(studio: FakeStudio) -> None:
    """Refusals before warnings before what is fine; each change is a button that carries its value."""
    told = view_preflight.card(found(studio, batch_tokens=6000, learning_rate=0.01))
    assert told.index("Cannot start like this") < told.index("6000 tokens") < told.index("A rate of") < told.index("79")
    assert 'data-change="batch_tokens" data-to="2500"' in told
    assert 'data-change="gradient_checkpointing" data-to="true"' in told
    assert 'data-settings="batch_tokens gradient_checkpointing"' in told


def test_a_finding_that_somebody_may_accept_asks_for_the_name(studio: FakeStudio) -> None:
    """Who trains on a faulty dataset does so under a name."""
    told = view_preflight.card(studio.preflight(RunConfig(dataset="faulty")))
    assert 'data-ask="accepted_by"' in told


def test_memory_is_shown_by_class_against_what_is_there(studio: FakeStudio) -> None:
    """The bar's parts add up to what is needed, and what does not fit says by how much."""
    memory = found(studio, batch_tokens=6000).memory
    assert memory is not None
    told = view_preflight.card(found(studio, batch_tokens=6000))
    assert "2.6 GB needed, 1.6 GB free" in told
    assert "956.0 MB too much" in told
    assert "em-over" in told
    assert "em-over" not in view_preflight.card(found(studio))


def test_memory_that_cannot_be_asked_for_is_no_fault() -> None:
    """Without a free figure the need is told alone."""
    memory = MemoryEstimate(
        device="cuda:0", weights=1, gradients=0, optimizer=0, activations=0, adapter=0, reserve=0, free_bytes=None
    )
    told = view_preflight.card(Preflight(config=RunConfig(), items=(), command="c", record="r", memory=memory))
    assert "1 bytes needed" in told
    assert "em-over" not in told


def test_command_and_record_can_be_copied(studio: FakeStudio) -> None:
    """What exactly will run is there before the start."""
    told = view_preflight.card(found(studio))
    assert told.count("data-copy") == 2
    assert "python -m engine train" in told
    assert "run.json" in told


def test_advice_has_reasons_and_sources_and_a_way_to_take_it(studio: FakeStudio) -> None:
    """A recommendation without its reasons would be an order."""
    told = view_preflight.card(found(studio))
    assert "decision tree, step 2" in told
    assert 'data-preset="preflight"' in told


def test_what_people_wrote_is_escaped(studio: FakeStudio) -> None:
    """A dataset's name can be in every sentence."""
    change = Change(setting=BAD, old=BAD, new=BAD, effect=BAD)
    item = PreflightItem(check=BAD, level=Level.REFUSE, text=BAD, changes=(change,), override=BAD)
    told = view_preflight.card(replace(found(studio), items=(item,), command=BAD, record=BAD))
    assert "<script" not in told + view_preflight.refused(BAD)


def test_several_runs_say_what_all_of_them_take(studio: FakeStudio) -> None:
    """Who queues a run at several rates sees before the start how many there are and what they write together."""
    one = found(studio)
    assert one.disk is not None
    disk = replace(one.disk, features_bytes=7_000_000)
    told = view_preflight.card(replace(one, disk=disk), runs=3)
    alone = view_preflight.card(replace(one, disk=disk))
    assert "63.0 MB to write, " in alone
    assert " runs" not in alone
    assert "175.0 MB to write by 3 runs" in told
    assert "3 runs, each about" in told
