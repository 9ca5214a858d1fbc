"""The part of the run form that says what becomes of its checkpoints: whether each new one is swept, and how.

Pure: takes what was asked, returns HTML, and reads back what a browser sends by name. The names begin with `sweep_`, so
that none is taken for a setting of the trainer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from engine.studio import AutomaticSweep
from ui.sweep_asked import NO_REFERENCE, numbers, whole_numbers

SCALES = "0.2, 0.3, 0.35, 0.5, 1.0"


@dataclass(frozen=True, kw_only=True)
class Offered:
    """What can be chosen for a voice: scripts, references as label and hash, and gates that name another model's
    control. `takes` says whether the voice follows a reference: none, optional or required.
    """

    scripts: Sequence[str]
    takes: str = "none"
    references: Sequence[tuple[str, str]] = ()
    gates: Sequence[str] = ()


def html(offered: Offered, values: Mapping[str, Any]) -> str:
    """The switch, and beside it what is rendered of each new checkpoint once it is on."""
    on = bool(values.get("sweep_on"))
    usual = next((name for name in offered.scripts if name.endswith("-brief")), next(iter(offered.scripts), ""))
    fields = [
        _select("script", "Script", "The lines that every checkpoint speaks.", _pairs(offered.scripts), values, usual),
        _text("scales", "Scales", "The base is always rendered beside them.", values, SCALES),
        _text("seeds", "Seeds", "Several show how lucky a take is.", values, "42"),
    ]
    if offered.takes != "none":
        prompts = [*offered.references, *([("no reference", NO_REFERENCE)] if offered.takes == "optional" else [])]
        told = "What is spoken before. More than one: on the Sweep page."
        usual = prompts[0][1] if prompts else ""
        fields.append(_select("reference", "Reference", told, prompts, values, usual))
    if offered.gates:
        fields.append(_gates(offered.gates, values))
    return (
        '<fieldset class="em-sweep-new"><legend>New checkpoints</legend>'
        f"{_switch(on)}<div class='em-fields'>{''.join(fields)}</div></fieldset>"
    )


def read(values: Mapping[str, Any]) -> AutomaticSweep | None:
    """What a browser sent, for a run that is not there yet; None where new checkpoints are left alone. Raises BadInput
    for text that is no numbers.
    """
    if not values.get("sweep_on"):
        return None
    reference = str(values.get("sweep_reference", NO_REFERENCE)) or NO_REFERENCE
    return AutomaticSweep(
        run_id="",
        script=str(values["sweep_script"]),
        scales=numbers(str(values["sweep_scales"]), "Scales", "0.3, 1.0"),
        seeds=whole_numbers(str(values["sweep_seeds"])),
        references=(None if reference == NO_REFERENCE else reference,),
        gates=tuple(str(name) for name in values.get("sweep_gates") or ()),
    )


def values_of(setting: AutomaticSweep | None) -> dict[str, Any]:
    """A setting as the form's values: what a copy of a run begins with."""
    if setting is None:
        return {}
    return {
        "sweep_on": True,
        "sweep_script": setting.script,
        "sweep_scales": ", ".join(f"{scale:g}" for scale in setting.scales),
        "sweep_seeds": ", ".join(str(seed) for seed in setting.seeds),
        "sweep_reference": next(iter(setting.references), None) or NO_REFERENCE,
        "sweep_gates": list(setting.gates),
    }


# ---- fields: as `form` makes them, without a preset's value
def _switch(on: bool) -> str:
    told = (
        "Each is rendered and screened by itself when the device is free, after trainings that wait. Hear them on the "
        "Sweep page, where it can be changed at any time."
    )
    return (
        f'<div class="em-field" {_facts("on", "check", fallback=False)}><label class="em-check"><input type="checkbox" '
        f'id="input-sweep_on" name="sweep_on"{" checked" if on else ""}><span>Sweep every new checkpoint'
        f'<small id="help-sweep_on">{told}</small></span></label>{_mark("on")}</div>'
    )


def _text(name: str, label: str, told: str, values: Mapping[str, Any], usual: str) -> str:
    value = escape(str(values.get(f"sweep_{name}", usual)))
    control = f'<input {_tied(name)} value="{value}" autocomplete="off" spellcheck="false">'
    return _field(name, label, told, "text", control, usual)


def _select(
    name: str, label: str, told: str, pairs: Sequence[tuple[str, str]], values: Mapping[str, Any], usual: str
) -> str:
    chosen = str(values.get(f"sweep_{name}", usual))
    chosen = chosen if chosen in [value for _, value in pairs] else usual
    options = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(word)}</option>'
        for word, value in pairs
    )
    if not pairs:
        options, told = '<option value="">none yet</option>', "It speaks only after one: add it on the Sweep page."
    return _field(name, label, told, "text", f"<select {_tied(name)}>{options}</select>", usual)


def _gates(gates: Sequence[str], values: Mapping[str, Any]) -> str:
    chosen = values.get("sweep_gates") or ()
    boxes = "".join(
        f'<label class="em-box"><input type="checkbox" name="sweep_gates" value="{escape(name)}"'
        f"{' checked' if name in chosen else ''}>{escape(name)}</label>"
        for name in gates
    )
    told = "Another model's base, which a gate lets candidates be heard beside; rendered once."
    return (
        f'<div class="em-field" role="group" aria-labelledby="label-sweep_gates" {WHEN_ON} '
        f'{_facts("gates", "checks", fallback=[])}><b id="label-sweep_gates">With the control of</b>'
        f"<small>{told}</small>"
        f'<div class="em-boxes">{boxes}</div>{_mark("gates")}</div>'
    )


WHEN_ON = 'data-when="sweep_on=true"'


def _field(name: str, label: str, told: str, kind: str, control: str, fallback: str) -> str:
    return (
        f'<div class="em-field" {_facts(name, kind, fallback=fallback)} {WHEN_ON}><label for="input-sweep_{name}">'
        f'{label}</label><small id="help-sweep_{name}">{told}</small>{control}{_mark(name)}</div>'
    )


def _facts(name: str, kind: str, *, fallback: Any) -> str:
    told = escape(json.dumps(fallback))
    return (
        f'id="field-sweep_{name}" data-field="sweep_{name}" data-kind="{kind}" data-own data-base="null" '
        f'data-fallback="{told}"'
    )


def _tied(name: str) -> str:
    return f'id="input-sweep_{name}" name="sweep_{name}" aria-describedby="help-sweep_{name} mark-sweep_{name}"'


def _mark(name: str) -> str:
    return f'<p class="em-mark" id="mark-sweep_{name}" data-mark></p>'


def _pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, name) for name in names]
