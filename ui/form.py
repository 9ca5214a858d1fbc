"""The run form in our own markup, made from `RunConfig`: label, help, bounds, choices and section of each field.

Pure: takes configs, returns HTML, and reads back what a browser sends by name. What a value may be is checked by the
engine; the bounds stand in the markup so that `runs.js` can say so at the field before anything is sent.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, fields, replace
from html import escape
from typing import Any

from engine.types import BadInput, Preset, RunConfig

Choices = Mapping[str, Sequence[Any]]

# Fields that only mean something beside another one's value: field -> (the other, its value).
APPLIES = {
    "rank": ("method", "lora"),
    "alpha": ("method", "lora"),
    "dropout": ("method", "lora"),
    "target_modules": ("method", "lora"),
}
# Shown once preflight asks for it: a person takes the responsibility for what it found.
ON_DEMAND = ("accepted_by",)
# What a preset says nothing about: choosing another one leaves these as they are.
OWN = ("name", "dataset", "voice", "base_model", "device", "accepted_by", "weights_accepted_by")
OTHER_RATES = "other_rates"  # what the form asks for beside a run's settings
CODE = re.compile(r"`([^`]+)`")
MONITOR_WORDS = {
    "validation_rising": "validation rises",
    "gradient_norm": "gradient jumps",
    "not_a_number": "not a number",
    "talks_to_itself": "talks to itself",
    "unloaded_weights": "weights not loaded",
    "drift": "pace or endings drift",
}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a form shows: the settings, the presets to choose from and the one that was, the lists, and what is asked
    about new checkpoints, as HTML.
    """

    config: RunConfig
    presets: Sequence[Preset]
    preset: str
    choices: Choices
    after: str = ""
    other_rates: str = ""


def html(shown: Shown) -> str:
    """The whole form: presets, the fields that are always there, the others folded by section, the start button."""
    base = next((p.config for p in shown.presets if p.name == shown.preset), RunConfig())
    inside = {f.name: _field(f, getattr(shown.config, f.name), getattr(base, f.name), shown.choices) for f in _all()}
    rates = _other_rates(shown.other_rates)
    always = [f.name for f in _all() if not f.metadata.get("section") or f.name in ON_DEMAND]
    sections = dict.fromkeys(str(f.metadata["section"]) for f in _all() if f.name not in always)
    folded = "".join(
        f'<details class="em-section"><summary>{escape(title)} <span class="em-count" data-count></span></summary>'
        f'<div class="em-fields">{"".join(inside[f.name] for f in _all() if _is_in(f, title, always))}</div></details>'
        for title in sections
    )
    return (
        f'<form class="em-form" data-form novalidate>{_presets(shown)}'
        f'<div class="em-fields">{"".join(inside[name] for name in always)}{rates}</div>{shown.after}{folded}'
        '<div class="em-row em-submit"><button type="submit" class="em-primary" id="start">Start the run</button>'
        '<span class="em-quiet" data-submit-note></span></div></form>'
    )


def read(values: Mapping[str, Any]) -> RunConfig:
    """The settings that a browser sent, by name; what it left out has its default. Numbers keep their field's type."""
    return replace(RunConfig(), **{f.name: _typed(f, values[f.name]) for f in _all() if f.name in values})


def typed_rates(values: Mapping[str, Any]) -> str:
    """What was typed as learning rates beside the form's own."""
    told = values.get(OTHER_RATES) or ()
    return told if isinstance(told, str) else ", ".join(map(str, told))


def other_rates(values: Mapping[str, Any]) -> tuple[float, ...]:
    """These rates, for a run each. Raises BadInput for what is no number."""
    try:
        return tuple(float(one) for one in typed_rates(values).split(",") if one.strip())
    except ValueError as error:
        raise BadInput(
            f"Other rates should be numbers with commas between them, such as 5e-6, 1e-5 ({error})."
        ) from error


def with_preset(config: RunConfig, preset: Preset) -> RunConfig:
    """The preset's settings, with what a preset says nothing about as it was."""
    return replace(preset.config, **{name: getattr(config, name) for name in OWN})


def _all() -> tuple[Field[Any], ...]:
    return fields(RunConfig)


def _is_in(f: Field[Any], title: str, always: Sequence[str]) -> bool:
    return f.metadata.get("section") == title and f.name not in always


# ---- presets
def _presets(shown: Shown) -> str:
    if not shown.presets:
        return ""
    options = "".join(_preset(p, checked=p.name == shown.preset) for p in shown.presets)
    return f'<fieldset class="em-presets"><legend>Preset</legend>{options}</fieldset>'


def _preset(preset: Preset, *, checked: bool) -> str:
    name, reason = escape(preset.name), CODE.sub(r"<code>\1</code>", escape(preset.reason))
    return (
        f'<label class="em-preset"><input type="radio" name="preset" value="{name}"{" checked" if checked else ""}>'
        f"<span><b>{name}</b><span>{escape(preset.purpose)}</span></span>"
        f'<span class="em-why"><small>{reason}</small>'
        f"<small>Source: {escape(preset.source)}</small></span></label>"
    )


def _other_rates(value: str) -> str:
    """No setting of a run: what is typed here makes further runs."""
    told = "The same run once more for each, to be compared: 5e-6, 1e-5."
    return (
        f'<div class="em-field" id="field-{OTHER_RATES}" data-field="{OTHER_RATES}" data-kind="list" data-base="[]" '
        f'data-fallback="[]"><label for="input-{OTHER_RATES}">Other rates</label><small id="help-{OTHER_RATES}">{told}'
        f'</small><input id="input-{OTHER_RATES}" name="{OTHER_RATES}" aria-describedby="help-{OTHER_RATES}" '
        f'value="{escape(value)}" {PLAIN_TEXT}><p class="em-mark" id="mark-{OTHER_RATES}" data-mark></p></div>'
    )


# ---- fields
def _field(f: Field[Any], value: Any, base: Any, choices: Choices) -> str:
    kind, control = _control(f, value, choices.get(f.name))
    told = f'<small id="help-{f.name}">{escape(f.metadata["help"])}</small>'
    label = escape(f.metadata["label"])
    mark = f'<p class="em-mark" id="mark-{f.name}" data-mark></p>'
    facts = f'id="field-{f.name}" data-field="{f.name}" data-kind="{kind}" data-base="{_json(_sent(base))}"'
    facts += f' data-fallback="{_json(_sent(f.default))}"{_limits(f)}{_when(f)}'
    if kind == "check":
        inside = f'<label class="em-check">{control}<span>{label}{told}</span></label>'
        return f'<div class="em-field" {facts}>{inside}{mark}</div>'
    if kind == "checks":
        named = f'role="group" aria-labelledby="label-{f.name}"'
        return f'<div class="em-field" {named} {facts}><b id="label-{f.name}">{label}</b>{told}{control}{mark}</div>'
    return f'<div class="em-field" {facts}><label for="input-{f.name}">{label}</label>{told}{control}{mark}</div>'


def _control(f: Field[Any], value: Any, listed: Sequence[Any] | None) -> tuple[str, str]:
    """The kind of a field, which says how its value is read, and its control."""
    tied = f'id="input-{f.name}" name="{f.name}" aria-describedby="help-{f.name} mark-{f.name}"'
    known = listed if listed is not None else f.metadata.get("choices")
    if isinstance(f.default, bool):
        return "check", f'<input type="checkbox" {tied}{" checked" if value else ""}>'
    if isinstance(f.default, tuple) and (known is not None or f.default):
        return "checks", _boxes(f.name, known if known is not None else f.default, value)
    if isinstance(f.default, tuple):
        return "list", f'<input {tied} value="{escape(", ".join(value))}" placeholder="q_proj, v_proj" {PLAIN_TEXT}>'
    if known is not None:
        return "text", f"<select {tied}>{_options(known, value)}</select>"
    if _is_number(f):
        return "number", f'<input type="number" inputmode="decimal" {tied} value="{_plain(value)}" step="{_step(f)}">'
    return "text", f'<input {tied} value="{escape(str(value))}" {PLAIN_TEXT}>'


PLAIN_TEXT = 'autocomplete="off" spellcheck="false"'


def _boxes(name: str, known: Sequence[str], value: Sequence[str]) -> str:
    boxes = "".join(
        f'<label class="em-box"><input type="checkbox" name="{name}" value="{escape(one)}"'
        f"{' checked' if one in value else ''}>{escape(MONITOR_WORDS.get(one, one))}</label>"
        for one in known
    )
    return f'<div class="em-boxes">{boxes}</div>'


def _options(known: Sequence[Any], value: str) -> str:
    pairs = [one if isinstance(one, tuple) else (one, one) for one in known]
    if value not in [v for _, v in pairs]:
        pairs.insert(0, (value or "choose one", value))
    return "".join(
        f'<option value="{escape(v)}"{" selected" if v == value else ""}>{escape(word)}</option>' for word, v in pairs
    )


def _limits(f: Field[Any]) -> str:
    if not _is_number(f) or "minimum" not in f.metadata:
        return ""
    whole = ' data-whole="true"' if isinstance(f.default, int) else ""
    return f' data-minimum="{f.metadata["minimum"]!r}" data-maximum="{f.metadata["maximum"]!r}"{whole}'


def _when(f: Field[Any]) -> str:
    if f.name in ON_DEMAND:
        return " data-on-demand"
    if f.name not in APPLIES:
        return ""
    other, value = APPLIES[f.name]
    return f' data-when="{other}={value}"'


def _step(f: Field[Any]) -> str:
    """What one press of an arrow key adds: 1 for whole numbers, else a tenth of the default's first digit."""
    if isinstance(f.default, int):
        return "1"
    default = float(str(f.default))
    return _plain(10.0 ** (math.floor(math.log10(default)) - 1)) if default else "0.01"


def _plain(value: Any) -> str:
    """A number as a browser's number field takes it: the shortest spelling that reads back the same."""
    return "" if value is None else repr(int(value) if float(value).is_integer() else value)


def _is_number(f: Field[Any]) -> bool:
    return isinstance(f.default, int | float) and not isinstance(f.default, bool)


# ---- the way through a browser
def _sent(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _json(value: Any) -> str:
    return escape(json.dumps(value))


def _typed(f: Field[Any], value: Any) -> Any:
    if isinstance(f.default, tuple):
        found = value.split(",") if isinstance(value, str) else value or ()
        return tuple(one.strip() for one in map(str, found) if one.strip())
    if isinstance(f.default, bool):
        return value
    if isinstance(f.default, str):
        return "" if value is None else str(value).strip()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value  # for the engine to refuse with its sentence
    is_whole = isinstance(f.default, int) and float(value).is_integer()
    return int(value) if is_whole else float(value)
