"""A form made from a config dataclass: one component a field, from the label, help, bounds and choices in the field's
metadata.

Knows dataclass fields and Gradio components. The fields are read back by name, never by position; what a value may be
is checked by the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, fields, replace
from typing import Any

import gradio as gr

from engine.types import RunConfig

Choices = Mapping[str, Sequence[Any]]


def build(config: RunConfig, choices: Choices) -> dict[str, gr.components.Component]:
    """One component a field of the config, advanced ones folded. `choices` gives what is only known at run time."""
    plain = [f for f in fields(config) if not f.metadata.get("section")]
    advanced = [f for f in fields(config) if f.metadata.get("section")]
    made = _section(plain, config, choices)
    with gr.Accordion("Advanced", open=False):
        made |= _section(advanced, config, choices)
    return {f.name: made[f.name] for f in fields(config)}


def read(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """The config with what the form says. Numbers keep the type of the field's default."""
    return replace(config, **{f.name: _typed(f, values[f.name]) for f in fields(config) if f.name in values})


def show(config: RunConfig, choices: Choices) -> tuple[object, ...]:
    """What an already built form shall show: an update a field, in the fields' order, with new choices where given."""
    return tuple(_update(getattr(config, f.name), choices.get(f.name)) for f in fields(config))


def _update(value: Any, choices: Sequence[Any] | None) -> object:
    shown = list(value) if isinstance(value, tuple) else value  # Gradio would read a tuple as one choice
    return gr.update(value=shown) if choices is None else gr.update(value=shown, choices=list(choices))


def _section(wanted: Iterable[Field[Any]], config: RunConfig, choices: Choices) -> dict[str, gr.components.Component]:
    made: dict[str, gr.components.Component] = {}
    numbers: list[Field[Any]] = []
    for field in wanted:
        if _is_number(field) and field.name not in choices:
            numbers.append(field)
        else:
            made[field.name] = _component(field, getattr(config, field.name), choices.get(field.name))
    for pair in zip(numbers[::2], [*numbers[1::2], None], strict=False):
        with gr.Row():
            for field in filter(None, pair):
                made[field.name] = _component(field, getattr(config, field.name), None)
    return made


def _component(field: Field[Any], value: Any, choices: Sequence[Any] | None) -> gr.components.Component:
    shared: dict[str, Any] = {
        "label": field.metadata["label"],
        "info": field.metadata["help"],
        "elem_id": f"field-{field.name}",
    }
    if choices is None:
        choices = field.metadata.get("choices")
    if isinstance(value, tuple):
        return gr.CheckboxGroup(list(choices or value), value=list(value), **shared)
    if choices is not None:
        known = [c[1] if isinstance(c, tuple) else c for c in choices]
        return gr.Dropdown(list(choices), value=value if value in known else None, filterable=False, **shared)
    if _is_number(field):
        bounds: dict[str, Any] = {k: field.metadata.get(k) for k in ("minimum", "maximum")}
        return gr.Number(
            value, precision=0 if isinstance(field.default, int) else None, min_width=120, **bounds, **shared
        )
    return gr.Textbox(value, max_lines=1, **shared)


def _is_number(field: Field[Any]) -> bool:
    return isinstance(field.default, int | float) and not isinstance(field.default, bool)


def _typed(field: Field[Any], value: Any) -> Any:
    if isinstance(field.default, tuple):
        return tuple(value or ())
    if isinstance(field.default, str):
        return "" if value is None else str(value).strip()
    if value is None or not _is_number(field):
        return value
    is_whole = isinstance(field.default, int) and float(value).is_integer()
    return int(value) if is_whole else float(value)
