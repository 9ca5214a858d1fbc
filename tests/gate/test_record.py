"""Gates as JSON: strict, the same back, and the hash that tells versions apart."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import gate_files
from engine.gate import record as gate_record
from engine.types import REASON_CODES, BadInput, Control, ControlPrompt, Gate, Hearing, Rule, Tier

DEFAULT = gate_files.load()
lists = st.lists(st.sampled_from(["s1", "s2", "s3"]), unique=True).map(tuple)
rules = st.builds(
    Rule,
    tier=st.just(Tier.LONG),
    min_pass=st.just(1),
    max_fail=st.integers(0, 3),
    reviewers=st.integers(1, 5),
    fatal_reasons=st.lists(st.sampled_from(REASON_CODES), unique=True).map(tuple),
    lines=lists,
    automatic=lists,
)
gates = st.builds(
    Gate,
    name=st.sampled_from(["launch", "three-tiers"]),
    version=st.integers(1, 99),
    rules=rules.map(lambda rule: tuple(replace(rule, tier=tier) for tier in Tier)),
    about=st.text(st.characters(categories=["L"])),
    hearing=st.sampled_from(Hearing),
    hidden_control=st.booleans(),
    catch_rate=st.floats(0, 0.5),
    scripts=st.sampled_from([(), ("a" * 64,)]),
    control=st.none(),
) | st.builds(
    lambda control, hidden: replace(DEFAULT, hearing=Hearing.BESIDE_CONTROL, hidden_control=hidden, control=control),
    st.builds(
        Control,
        backend=st.sampled_from(["cosyvoice2", "finch"]),
        voice=st.just("default"),
        prompt=st.sampled_from([ControlPrompt.SAME, ControlPrompt.NONE]),
        base_sha256=st.sampled_from(["", "b" * 64]),
    )
    | st.just(Control(backend="finch", voice="reed", prompt=ControlPrompt.OWN, reference_sha256="c" * 64)),
    st.booleans(),
)


@given(gates)
def test_a_gate_comes_back_from_its_json_as_it_was(gate: Gate) -> None:
    """What is kept with a verdict explains it as well as the gate itself did."""
    back = json.loads(json.dumps(gate_record.to_record(gate)))
    assert gate_record.from_record(back, where="it") == gate


@given(gates, gates)
def test_other_rules_have_another_hash_and_the_layout_has_none(one: Gate, other: Gate) -> None:
    """The hash is a version's identity: of all that the gate says and of nothing else."""
    assert (gate_record.sha256(one) == gate_record.sha256(other)) == (one == other)
    turned = dict(reversed(gate_record.to_record(one).items()))
    assert gate_record.sha256(gate_record.from_record(turned, where="it")) == gate_record.sha256(one)


def test_the_hash_of_the_default_gate_is_pinned() -> None:
    """A hash that changed by itself would make every verdict look like one of other rules."""
    assert gate_record.sha256(DEFAULT)[:16] == "f51d8ebf4c2c0cba"


def changed(**fields: Any) -> dict[str, Any]:
    return {**gate_record.to_record(DEFAULT), **fields}


def with_control(**fields: Any) -> dict[str, Any]:
    control = {"backend": "cosyvoice2", "voice": "default", "prompt": "none"}
    return changed(hearing="beside control", control={**control, **fields})


def with_long(**fields: Any) -> dict[str, Any]:
    record = gate_record.to_record(DEFAULT)
    record["tiers"][2] |= fields
    return record


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ([], "it is not a JSON object"),
        (changed(naem="x"), "it has the field 'naem', which no gate has; the fields are"),
        ({key: value for key, value in changed().items() if key != "version"}, "it has no field 'version'; add it"),
        (changed(name="Launch Voice"), 'name is "Launch Voice"; give small letters'),
        (changed(version=0), "version is 0; give a whole number from 1"),
        (changed(version=True), "version is true; give a whole number"),
        (changed(catch_rate=0.9), "catch_rate is 0.9; give a share from 0 to 0.5"),
        (changed(hearing="twice"), 'hearing is "twice"; give one of alone, beside control'),
        (changed(hidden_control="yes"), "give true or false"),
        (changed(reasons=["ugly", "other"]), "reasons has 'ugly', which is none of dropped word"),
        (changed(reasons=["noise"]), "reasons must hold 'other'"),
        (changed(reasons=["noise", "noise"]), "a list without doubles"),
        (changed(scripts=["english"]), "scripts has 'english', which is no script's SHA-256"),
        (changed(tiers={}), "tiers is {}; give a list with one rule for each tier"),
        (changed(tiers=[]), "no rule for the short, medium, long tier"),
        (changed(tiers=[*changed()["tiers"], {"tier": "long"}]), "two rules for the long tier"),
        (with_long(tier="huge"), 'it, tier 3: tier is "huge"; give one of short, medium, long'),
        (with_long(min_pass=0), "it, tier 3: min_pass is 0; give a whole number from 1"),
        (with_long(reviewers=1.5), "reviewers is 1.5; give a whole number"),
        (with_long(max_fail=-1), "max_fail is -1"),
        (with_long(fatal_reasons=["ugly"]), "it, long tier: fatal_reasons has 'ugly'"),
        (with_long(fatal_reasons="noise"), "a list of texts"),
        (with_long(min_pass=3, lines=["l1"]), "asks for 3 passes of 1 lines"),
        (with_control(speaker="x"), "it, control has the field 'speaker', which no gate has"),
        (with_control(voice=""), "it, control: name the control's backend and its base voice"),
        (with_control(prompt="mine"), 'it, control: prompt is "mine"; give one of same, own, none'),
        (with_control(prompt="own"), "give the hash (64 hex digits) of a reference"),
        (with_control(reference_sha256="a" * 64), "set prompt to 'own', or leave reference_sha256 out"),
        (with_control(base_sha256="abc"), "base_sha256 is 'abc', no SHA-256 of weights"),
        (with_control() | {"hearing": "alone"}, "names a control that nobody would hear: set hearing"),
        (with_long(automatic=["nose"]), "it, long tier: automatic has 'nose', which is none of end, words"),
    ],
)
def test_a_bad_gate_is_refused_with_the_field_and_the_mend(record: Any, told: str) -> None:
    """Whoever writes a gate by hand learns which field is at fault and what to give."""
    with pytest.raises(BadInput) as refused:
        gate_record.from_record(record, where="it", screeners=("words", "end"))
    assert told in str(refused.value)
