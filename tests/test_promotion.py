"""Promotion: only what passed, by a named person, and what others rely on moves with a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine import promotion
from engine.adapter_files import write_adapter
from engine.types import (
    Adapter,
    BadInput,
    Candidate,
    GenerationSettings,
    NotFound,
    Outcome,
    Promotion,
    Refused,
    Tier,
    Verdict,
)
from tests.judgement_factory import BASE, make_candidate, make_verdict

PASSED = make_candidate(0.35)
SETTINGS = GenerationSettings(temperature=0.4)


@pytest.fixture
def adapter(tmp_path: Path) -> Adapter:
    """A checkpoint's folder: the adapter of two parts, and what else a checkpoint holds."""
    folder = tmp_path / "step_000100"
    for part in ("lm", "decoder"):
        (folder / part).mkdir(parents=True)
        (folder / part / "adapter_config.json").write_text('{"r": 8, "target_modules": ["q_proj"]}')
        (folder / part / "adapter_model.safetensors").write_bytes(f"{part} weights".encode() * 99)
        (folder / part / "README.md").write_text("PEFT's own card")
    (folder / "optimizer.safetensors").write_bytes(b"state" * 99)
    return write_adapter(
        folder,
        backend="finch",
        base_sha256="b" * 64,
        voice="robin",
        parts=("lm", "decoder"),
        rank=8,
        alpha=16.0,
        voice_settings={"clock": 1.04},
    )


def promote(
    adapter: Adapter | None,
    candidate: Candidate = PASSED,
    verdict: Verdict | None = None,
    *,
    alias: str = "production/robin",
    by: str = "Ada",
) -> Promotion:
    return promotion.promote(
        candidate, adapter=adapter, verdict=verdict, alias=alias, settings=SETTINGS, by=by, now=50.0, reason="warm"
    )


def verdict_of(outcome: Outcome, **others: object) -> Verdict:
    return make_verdict(PASSED, outcome, **others)  # type: ignore[arg-type]


@pytest.fixture
def promoted(adapter: Adapter) -> Promotion:
    return promote(adapter, PASSED, verdict_of(Outcome.PASS))


# -------------------------------------------------------------------------------------------------------------- promote
def test_a_candidate_that_passed_is_promoted_with_all_it_needs(promoted: Promotion, adapter: Adapter) -> None:
    """A promotion names candidate, scale, adapter, base, settings, harness, gate, verdict and who decided."""
    assert promoted.candidate == PASSED
    assert (promoted.adapter_sha256, promoted.base_sha256) == (adapter.sha256, "b" * 64)
    assert (promoted.settings, promoted.gate, promoted.gate_version) == (SETTINGS, "three-tiers", 1)
    assert promoted.verdict_id == verdict_of(Outcome.PASS).id
    assert (promoted.promoted_by, promoted.promoted_at, promoted.reason) == ("Ada", 50.0, "warm")
    assert promoted.harness_version


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        (None, "no verdict yet"),
        (make_verdict(make_candidate(0.5), Outcome.PASS), "no verdict yet"),  # of another scale
        (verdict_of(Outcome.FAIL), r"failed its gate and cannot be promoted\. Short: fail\."),
        (verdict_of(Outcome.UNDECIDED), "is undecided and cannot be promoted"),
        (verdict_of(Outcome.PASS, tiers=(Tier.SHORT, Tier.MEDIUM)), "not passed in the long tier"),
        (verdict_of(Outcome.PASS, tiers=()), "not passed in the short, medium, long tier"),
    ],
    ids=["none", "of another scale", "fail", "undecided", "two tiers", "no findings"],
)
def test_without_a_passing_verdict_nothing_is_promoted(adapter: Adapter, verdict: Verdict | None, told: str) -> None:
    """Only a pass in all tiers, about this very candidate, releases a voice."""
    with pytest.raises(Refused, match=told):
        promote(adapter, PASSED, verdict)


def test_the_base_is_never_promoted(adapter: Adapter) -> None:
    """The control of every gate is no product, even when it passed."""
    for given_adapter in (None, adapter):
        with pytest.raises(Refused, match="is the base model"):
            promote(given_adapter, BASE, make_verdict(BASE, Outcome.PASS))


@pytest.mark.parametrize(
    "alias", ["robin", "", "production/", "/robin", "production/../x", "a/b/c", "production/ro bin", "a/.b"]
)
def test_an_alias_has_a_stage_and_a_voice(adapter: Adapter, alias: str) -> None:
    """Aliases become folder names: nothing that could lead elsewhere is accepted."""
    with pytest.raises(BadInput, match="stage/voice"):
        promote(adapter, PASSED, verdict_of(Outcome.PASS), alias=alias)


def test_promoting_needs_a_name(adapter: Adapter) -> None:
    """Somebody answers for a released voice."""
    with pytest.raises(BadInput, match="name of who"):
        promote(adapter, PASSED, verdict_of(Outcome.PASS), by=" ")


# ---------------------------------------------------------------------------------------------------- aliases in use
OTHER = make_candidate(0.5)


def move(adapter: Adapter, holder: Promotion, *, alias: str = "production/robin", reason: str = "") -> Promotion:
    """Point the alias of `holder` at another candidate that passed."""
    return promotion.promote(
        OTHER,
        adapter=adapter,
        verdict=make_verdict(OTHER, Outcome.PASS),
        alias=alias,
        settings=SETTINGS,
        by="Bo",
        now=60.0,
        reason=reason,
        holder=replace(holder, alias=alias),
    )


def test_a_stage_is_one_of_three(adapter: Adapter) -> None:
    """What is protected is known by its stage, so a misspelled stage is no stage."""
    with pytest.raises(BadInput, match="candidate, production, archive"):
        promote(adapter, PASSED, verdict_of(Outcome.PASS), alias="prodution/robin")


@pytest.mark.parametrize(
    ("alias", "reason", "moves"),
    [
        ("production/robin", "", False),
        ("production/robin", "  ", False),
        ("production/robin", "clearer endings", True),
        ("candidate/robin", "", True),
        ("archive/robin", "", True),
    ],
)
def test_a_protected_alias_moves_with_a_reason(
    promoted: Promotion, adapter: Adapter, alias: str, reason: str, moves: bool
) -> None:
    """Others rely on production: who moves it says why; the other stages are free."""
    if moves:
        assert move(adapter, promoted, alias=alias, reason=reason).reason == reason
        return
    with pytest.raises(Refused, match="needs a reason"):
        move(adapter, promoted, alias=alias, reason=reason)


def test_the_same_candidate_again_is_no_move(promoted: Promotion, adapter: Adapter) -> None:
    """Other settings for the voice that is there need no reason."""
    again = promotion.promote(
        PASSED,
        adapter=adapter,
        verdict=verdict_of(Outcome.PASS),
        alias="production/robin",
        settings=SETTINGS,
        by="Bo",
        now=60.0,
        holder=promoted,
    )
    assert again.id != promoted.id


def test_a_rollback_goes_to_the_holder_before(promoted: Promotion, adapter: Adapter) -> None:
    """Not to an earlier entry of the same voice, not to another alias; and nowhere when there was none."""
    moved = move(adapter, promoted, reason="clearer")
    other_alias = replace(promoted, alias="candidate/robin")
    history = [promoted, other_alias, moved, replace(moved, id="again")]
    assert promotion.before("production/robin", history) == promoted
    with pytest.raises(NotFound, match="nothing to go back to"):
        promotion.before("candidate/robin", history)
