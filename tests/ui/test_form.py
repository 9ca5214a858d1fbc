"""The form and the config it is made from say the same."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.types import BadInput, Preset, RunConfig
from ui import form

FIELDS = {f.name: f for f in fields(RunConfig)}
CHOICES: form.Choices = {
    "dataset": [("d (5 min)", "d")],
    "backend": ["finch"],
    "voice": [("closest", ""), ("bora", "bora")],
    "parts": ("lm", "decoder", "vocoder"),
}
PRESET = Preset(
    backend="finch", name="default", purpose="p", reason="r", source="s", config=RunConfig(rank=16, epochs=12)
)


class Elements(HTMLParser):
    """Every start tag with its attributes, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def fields(self) -> dict[str, dict[str, str | None]]:
        return {str(a["data-field"]): a for _, a in self.tags if "data-field" in a}


def built(config: RunConfig, *, preset: Preset = PRESET) -> Elements:
    shown = form.Shown(config=config, presets=(preset,), preset=preset.name, choices=CHOICES)
    return Elements(form.html(shown))


def sent(elements: Elements) -> dict[str, Any]:
    """What a browser would send of an untouched form."""
    found: dict[str, Any] = {}
    selected = ""
    for tag, attrs in elements.tags:
        name = attrs.get("name")
        if tag == "select":
            selected = str(name)
        elif tag == "option" and "selected" in attrs:
            found[selected] = attrs["value"]
        elif tag == "input" and name in FIELDS:
            kind = elements.fields()[name]["data-kind"]
            if kind == "checks":
                found.setdefault(name, [])
                found[name] += [attrs["value"]] if "checked" in attrs else []
            elif kind == "check":
                found[name] = "checked" in attrs
            else:
                found[name] = json.loads(attrs["value"] or "null") if kind == "number" else attrs["value"]
    return found


def test_every_setting_has_its_field_with_label_and_help() -> None:
    """A setting that is added to RunConfig is on the form without anybody adding it there."""
    elements = built(RunConfig())
    assert set(elements.fields()) == {*FIELDS, form.OTHER_RATES}
    for f in FIELDS.values():
        assert f.metadata["label"] in elements.text
        assert f.metadata["help"] in elements.text


def test_rates_beside_the_forms_own_are_read_as_they_were_typed() -> None:
    """A run each: numbers with commas, from a script's list or a field's text, and shown again with another preset."""
    assert form.other_rates({"other_rates": ["5e-6", "1e-5"]}) == form.other_rates({"other_rates": " 5e-6,1e-5,"})
    assert form.other_rates({"other_rates": ["5e-6", "1e-5"]}) == (5e-6, 1e-5)
    assert form.other_rates({}) == ()
    with pytest.raises(BadInput, match="5e-6x"):
        form.other_rates({"other_rates": ["5e-6x"]})
    shown = form.Shown(config=RunConfig(), presets=(), preset="", choices=CHOICES, other_rates="5e-6, 1e-5")
    assert 'value="5e-6, 1e-5"' in form.html(shown)


def test_every_control_has_a_label() -> None:
    """A screen reader names each control: by a label that points at it, encloses it, or heads its group."""
    elements = built(RunConfig())
    pointed = {a.get("for") for tag, a in elements.tags if tag == "label"}
    for name, attrs in elements.fields().items():
        if attrs["data-kind"] == "checks":
            assert attrs["aria-labelledby"] == f"label-{name}"
        elif attrs["data-kind"] != "check":  # its label encloses it
            assert f"input-{name}" in pointed


@pytest.mark.parametrize("name", [n for n, f in FIELDS.items() if "minimum" in f.metadata])
def test_a_number_has_its_bounds(name: str) -> None:
    """The browser refuses what the engine would refuse."""
    attrs, bounds = built(RunConfig()).fields()[name], FIELDS[name].metadata
    assert (float(attrs["data-minimum"]), float(attrs["data-maximum"])) == (bounds["minimum"], bounds["maximum"])  # type: ignore[arg-type]
    assert ("data-whole" in attrs) == isinstance(FIELDS[name].default, int)


def test_sections_are_folded_and_what_is_always_needed_is_not() -> None:
    """Nobody has to read thirty fields to start a run."""
    html = form.html(form.Shown(config=RunConfig(), presets=(), preset="", choices=CHOICES))
    always, folded = html.split("<details", 1)
    assert 'data-field="epochs"' in always
    assert 'data-field="seed"' in folded
    for title in {f.metadata["section"] for f in FIELDS.values() if f.metadata.get("section")}:
        assert f"<summary>{title} " in html


def test_what_a_preset_says_stands_at_the_field() -> None:
    """A field knows the preset's value, so that a change from it shows."""
    found = built(RunConfig(rank=4)).fields()
    assert json.loads(str(found["rank"]["data-base"])) == 16
    assert json.loads(str(found["rank"]["data-fallback"])) == FIELDS["rank"].default


def test_a_preset_names_its_purpose_its_reason_and_its_source() -> None:
    """Whose numbers these are is said where they are chosen."""
    told = built(RunConfig(), preset=replace(PRESET, purpose="A purpose.", source="A paper, page 3")).text
    assert "A purpose." in told
    assert "Source: A paper, page 3" in told


def test_fields_of_lora_apply_to_lora_alone() -> None:
    """Rank and alpha mean nothing while every weight is trained."""
    found = built(RunConfig()).fields()
    assert {n for n, a in found.items() if a.get("data-when") == "method=lora"} == {
        "rank", "alpha", "dropout", "target_modules"
    }  # fmt: skip


def test_a_preset_leaves_alone_what_it_says_nothing_about() -> None:
    """Choosing other settings loses neither the name nor the dataset."""
    before = RunConfig(name="robin", dataset="d", voice="bora", rank=4)
    after = form.with_preset(before, PRESET)
    assert (after.name, after.dataset, after.voice) == ("robin", "d", "bora")
    assert (after.rank, after.epochs) == (16, 12)


def test_what_a_person_wrote_is_escaped() -> None:
    """A name can hold anything; in the form it is a value."""
    told = form.html(form.Shown(config=RunConfig(name='"><script>'), presets=(), preset="", choices=CHOICES))
    assert "<script" not in told


def configs() -> st.SearchStrategy[RunConfig]:
    def values(name: str) -> st.SearchStrategy[object]:
        bounds, default = FIELDS[name].metadata, FIELDS[name].default
        if isinstance(default, bool):
            return st.booleans()
        if isinstance(default, tuple):
            known = CHOICES.get(name) or bounds.get("choices") or ("q_proj", "v_proj")
            return st.lists(st.sampled_from(list(known)), unique=True).map(lambda v: tuple(k for k in known if k in v))
        if isinstance(default, int):
            return st.integers(bounds["minimum"], bounds["maximum"])
        if isinstance(default, float):
            return st.floats(bounds["minimum"], bounds["maximum"])
        if known := CHOICES.get(name) or bounds.get("choices"):
            return st.sampled_from([one[1] if isinstance(one, tuple) else one for one in known])
        return st.text("abcäö-1 <\"'&", max_size=12).map(str.strip)

    return st.builds(
        lambda v: replace(RunConfig(), **v), st.fixed_dictionaries({name: values(name) for name in FIELDS})
    )


@given(config=configs())
def test_every_config_survives_the_way_through_a_browser(config: RunConfig) -> None:
    """What an untouched form sends is the config that it was made from, with its types."""
    got = form.read(json.loads(json.dumps(sent(built(config)))))
    assert got == config
    assert [type(getattr(got, n)) for n in FIELDS] == [type(getattr(config, n)) for n in FIELDS]


def test_an_emptied_field_is_an_empty_text() -> None:
    """A config never holds None where a text belongs."""
    assert form.read({"dataset": None, "name": " robin "}) == RunConfig(name="robin")


def test_names_are_taken_apart_at_commas() -> None:
    """Target modules are typed as a person would write them."""
    assert form.read({"target_modules": " q_proj, v_proj ,"}).target_modules == ("q_proj", "v_proj")


@pytest.mark.parametrize("value", [2.5, None, "many"])
def test_what_is_no_whole_number_stays_as_it_is(value: object) -> None:
    """It is for the engine to refuse with its sentence, not for the form to round."""
    assert form.read({"epochs": value}).epochs == value
