"""The form and the config it is made from say the same."""

from __future__ import annotations

from dataclasses import fields, replace

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.types import RunConfig
from ui import form

FIELDS = {f.name: f for f in fields(RunConfig)}


def built(config: RunConfig) -> dict[str, gr.components.Component]:
    with gr.Blocks(analytics_enabled=False):
        return form.build(config, {"parts": ("lm", "decoder", "vocoder")})


def test_every_setting_has_its_widget_with_label_and_help() -> None:
    """A setting that is added to RunConfig is on the form without anybody adding it there."""
    made = built(RunConfig())
    assert list(made) == list(FIELDS)
    for name, component in made.items():
        assert component.label == FIELDS[name].metadata["label"]
        assert component.info == FIELDS[name].metadata["help"]


@pytest.mark.parametrize("name", [n for n, f in FIELDS.items() if "minimum" in f.metadata])
def test_a_number_has_its_bounds(name: str) -> None:
    """The browser refuses what the engine would refuse."""
    component = built(RunConfig())[name]
    bounds = FIELDS[name].metadata
    assert (component.minimum, component.maximum) == (bounds["minimum"], bounds["maximum"])


def test_what_is_shown_is_the_config() -> None:
    """Reading the untouched form gives back the config that it was made from, with its types."""
    config = RunConfig(name="robin", dataset="d", epochs=3, learning_rate=5e-4, parts=("lm",))
    values = {name: component.value for name, component in built(config).items()}
    values["backend"] = config.backend
    assert form.read(RunConfig(), values) == config


def test_a_built_form_can_be_shown_another_config() -> None:
    """A page that opens fills the form with the preset and with what can be chosen now, field by field in order."""
    updates = form.show(RunConfig(epochs=12, dataset="d"), {"dataset": ["d", "e"]})
    by_name = dict(zip(FIELDS, updates, strict=True))
    assert by_name["epochs"]["value"] == 12
    assert by_name["dataset"]["choices"] == ["d", "e"]
    assert "choices" not in by_name["rank"]
    assert by_name["parts"]["value"] == ["lm", "decoder"], "a tuple would be taken for one choice"


def configs() -> st.SearchStrategy[RunConfig]:
    def values(name: str) -> st.SearchStrategy[object]:
        bounds, default = FIELDS[name].metadata, FIELDS[name].default
        if isinstance(default, tuple):
            return st.sampled_from([("lm",), ("decoder",), ("lm", "decoder")])
        if isinstance(default, int):
            return st.integers(bounds["minimum"], bounds["maximum"])
        if isinstance(default, float):
            return st.floats(bounds["minimum"], bounds["maximum"])
        return st.text("abcäö-1 ", max_size=12).map(str.strip)

    return st.builds(
        lambda v: replace(RunConfig(), **v), st.fixed_dictionaries({name: values(name) for name in FIELDS})
    )


@given(config=configs())
def test_every_config_survives_the_way_through_a_browser(config: RunConfig) -> None:
    """Tuples become lists and whole floats become integers in JSON; reading undoes both."""
    sent = {name: getattr(config, name) for name in FIELDS}
    sent = {
        k: list(v) if isinstance(v, tuple) else int(v) if isinstance(v, float) and v.is_integer() else v
        for k, v in sent.items()
    }
    got = form.read(RunConfig(), sent)
    assert got == config
    assert [type(getattr(got, n)) for n in FIELDS] == [type(getattr(config, n)) for n in FIELDS]


def test_an_emptied_field_is_an_empty_text() -> None:
    """A dropdown without a choice sends nothing; a config never holds None."""
    assert form.read(RunConfig(dataset="d"), {"dataset": None, "name": " robin "}) == RunConfig(name="robin")


def test_a_number_that_is_not_whole_stays_as_it_is() -> None:
    """2.5 epochs are for the engine to refuse with its sentence, not for the form to round."""
    assert form.read(RunConfig(), {"epochs": 2.5}).epochs == 2.5
