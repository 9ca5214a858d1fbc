"""The part of the Gate page where its rules are read, changed and kept as a new version, or copied under a new name.

Knows the form and its fields; what a gate must be is the engine's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from engine.types import REASON_CODES, BadInput, Control, ControlPrompt, Gate, Hearing, Rule, Tier
from ui import theme, view, view_gate_rules
from ui.events import on

if TYPE_CHECKING:
    from engine.studio import Studio

SHARED = tuple("about hearing control control_prompt hidden_control catch_rate measured_tiers scripts reasons".split())
OWN_BASE = ""  # the control is each candidate's own base
OF_A_TIER = ("min_pass", "reviewers", "max_fail", "fatal_reasons", "lines", "automatic")


def build() -> dict[str, Any]:
    """The rules in words, and a form to change them."""
    made: dict[str, Any] = {"told": theme.html()}
    with gr.Accordion("Change the rules", open=False, elem_id="change-rules"):
        made["about"] = gr.Textbox(label="What this gate is for", max_lines=2, elem_id="gate-about")
        with gr.Row(equal_height=False, elem_classes="em-top"):
            for tier in Tier:
                with gr.Column(min_width=260):
                    _tier(made, tier)
        theme.html("<h2>All tiers</h2>")
        _shared(made)
        with gr.Row(elem_classes="em-inline"):
            made["try"] = gr.Button("What would change?", elem_id="try-rules")
            made["save"] = gr.Button("Save as a new version", variant="primary", elem_id="save-rules")
        made["changes"] = theme.html()
        with gr.Row(elem_classes="em-inline"):
            made["new_name"] = gr.Textbox(
                label="Copy under another name", placeholder="launch-voice", max_lines=1, elem_id="gate-name"
            )
            made["copy"] = gr.Button("Copy", elem_id="copy-gate")
    return made


def _tier(made: dict[str, Any], tier: Tier) -> None:
    theme.html(f"<h2>{tier.value.capitalize()} tier</h2>")
    with gr.Row():
        made[f"{tier}.min_pass"] = gr.Number(label="Clips to pass", precision=0, minimum=1, min_width=90)
        made[f"{tier}.reviewers"] = gr.Number(
            label="People each", precision=0, minimum=1, min_width=90, elem_id=f"reviewers-{tier}"
        )
        made[f"{tier}.max_fail"] = gr.Number(label="Fails allowed", precision=0, minimum=0, min_width=90)
    made[f"{tier}.fatal_reasons"] = gr.Dropdown(
        list(REASON_CODES),
        multiselect=True,
        label="Fail at once",
        info="Reasons for which one fail is enough.",
    )
    made[f"{tier}.automatic"] = gr.Dropdown(
        [], multiselect=True, label="Automatic screeners",
        info="Their flags fail the tier unheard, until a reviewer refutes them. None is best.",
    )  # fmt: skip
    made[f"{tier}.lines"] = gr.Textbox(
        label="Lines", info="Ids with commas: these count, and each must pass. Empty: every line.", max_lines=1
    )


def _shared(made: dict[str, Any]) -> None:
    with gr.Row():
        made["hearing"] = gr.Radio([(each.value, each.value) for each in Hearing], label="A candidate is heard")
        made["catch_rate"] = gr.Number(
            label="Asked twice", info="Share of clips, 0 to 0.5.", minimum=0, maximum=0.5, step=0.05, min_width=120
        )
    with gr.Row():
        made["control"] = gr.Dropdown(
            [],
            label="The control",
            info="What is heard beside a candidate, or asked about too.",
            elem_id="gate-control",
        )
        made["control_prompt"] = gr.Dropdown(
            [],
            label="The control's audio prompt",
            info="Where that is another base than the candidate's own.",
            elem_id="gate-control-prompt",
        )
    made["hidden_control"] = gr.Checkbox(label="Ask about the control too, without its name")
    made["measured_tiers"] = gr.Checkbox(label="Leave out lines that are too short for their tier with this voice")
    made["scripts"] = gr.Dropdown(
        [], multiselect=True, label="Scripts that count",
        info="As they are now. None: all.",
    )  # fmt: skip
    made["reasons"] = gr.CheckboxGroup(list(REASON_CODES), label="Reasons offered to reviewers")


def fields(made: dict[str, Any]) -> list[Any]:
    """What `filled` fills: the words, then every field of the form."""
    return [made["told"], made["changes"], *_form(made)]


def _form(made: dict[str, Any]) -> list[Any]:
    return [*(made[name] for name in SHARED), *(made[f"{tier}.{name}"] for tier in Tier for name in OF_A_TIER)]


def filled(studio: Studio, name: str) -> tuple[object, ...]:
    """The rules of a gate in words, nothing tried yet, and the form with its values."""
    gate = studio.gate(name)
    scripts = [(each, studio.script(each).sha256) for each in studio.scripts()]
    named = {sha256 for _, sha256 in scripts}
    scripts += [(f"another version ({sha256[:8]})", sha256) for sha256 in gate.scripts if sha256 not in named]
    measures = [(measure.title, measure.name) for measure in studio.measures()]
    shared = (
        gate.about,
        gate.hearing.value,
        *_of_control(studio, gate.control),
        gate.hidden_control,
        gate.catch_rate,
        gate.measured_tiers,
        gr.update(choices=scripts, value=list(gate.scripts)),
        list(gate.reasons),
    )
    own = [value for tier in Tier for value in _of_rule(gate.rule(tier) or Rule(tier=tier), measures)]
    prompts = {each.reference.sha256: each.name for each in studio.references()}
    return view.heading("The rules", view_gate_rules.rules(gate, prompts)), "", *shared, *own


def _of_control(studio: Studio, control: Control | None) -> tuple[object, object]:
    """Which base is the control, and what it speaks after: what is here, and what the gate has whether it is or not."""
    bases = [("each candidate's own base", OWN_BASE)]
    bases += [
        (f"{voice} of {name}", f"{name}/{voice}") for name in studio.backends() for voice in studio.base_voices(name)
    ]
    prompts = [("the candidate's own", ControlPrompt.SAME.value), ("none", ControlPrompt.NONE.value)]
    prompts += [(f"{each.name} ({each.id})", each.reference.sha256) for each in studio.references()]
    if control is None:
        return gr.update(choices=bases, value=OWN_BASE), gr.update(choices=prompts, value=ControlPrompt.SAME.value)
    base, prompt = f"{control.backend}/{control.voice}", control.reference_sha256 or control.prompt.value
    if base not in {value for _, value in bases}:
        bases.append((f"{control.voice} of {control.backend} (not here)", base))
    if prompt not in {value for _, value in prompts}:
        prompts.append((f"{prompt[:12]}, not kept here", prompt))
    return gr.update(choices=bases, value=base), gr.update(choices=prompts, value=prompt)


def _of_rule(rule: Rule, measures: list[tuple[str, str]]) -> tuple[object, ...]:
    lines = ", ".join(rule.lines)
    automatic = gr.update(choices=measures, value=list(rule.automatic))
    return rule.min_pass, rule.reviewers, rule.max_fail, list(rule.fatal_reasons), lines, automatic


def bind(studio: Studio, made: dict[str, Any], chosen: gr.Dropdown, person: gr.Textbox) -> None:
    """Bind the form: try the rules on what was answered, keep them, copy them."""

    def _try(name: str, *values: Any) -> str:
        gate = _read(studio.gate(name), values)
        return view_gate_rules.changes(studio.gate_changes(gate), gate)

    def _save(
        name: str, by: str, *values: Any
    ) -> tuple[object, ...]:  # the form has what was saved, and maybe more by now
        kept = studio.save_gate(_read(studio.gate(name), values), by=by)
        gr.Info(f"{kept.name} is version {kept.version} now. Turn answers into verdicts to decide by it.")
        return filled(studio, kept.name)[:2]

    def _copy(name: str, new_name: str, by: str) -> tuple[object, ...]:
        kept = studio.copy_gate(name, new_name.strip(), by=by)
        gates = [(each.name, each.name) for each in studio.gates() if each.gate]
        return gr.update(choices=gates, value=kept.name), *filled(studio, kept.name)

    form = _form(made)
    on(made["try"].click, _try, inputs=[chosen, *form], outputs=[made["changes"]], latest=True, name="gate_try")
    words = [made["told"], made["changes"]]
    on(made["save"].click, _save, inputs=[chosen, person, *form], outputs=words, name="gate_save")
    copied = [chosen, *fields(made)]
    on(made["copy"].click, _copy, inputs=[chosen, made["new_name"], person], outputs=copied, name="gate_copy")


def _read(present: Gate, values: tuple[Any, ...]) -> Gate:
    """The gate that the form says, in place of `present`."""
    told = dict(zip(SHARED, values[: len(SHARED)], strict=True))
    rest = values[len(SHARED) :]
    rules = tuple(
        _rule(tier, rest[at : at + len(OF_A_TIER)])
        for tier, at in zip(Tier, range(0, len(rest), len(OF_A_TIER)), strict=True)
    )
    return replace(
        present,
        rules=rules,
        about=str(told["about"] or "").strip(),
        hearing=Hearing(told["hearing"]),
        control=_control(told["control"], told["control_prompt"], present.control),
        hidden_control=bool(told["hidden_control"]),
        catch_rate=float(_number("Asked twice", told["catch_rate"])),
        measured_tiers=bool(told["measured_tiers"]),
        scripts=tuple(told["scripts"] or ()),
        reasons=tuple(reason for reason in REASON_CODES if reason in (told["reasons"] or ())),
    )


def _control(base: str | None, prompt: str | None, present: Control | None) -> Control | None:
    """The control that the form says; the weights that the gate names stay those of the same base."""
    if not base:
        return None
    backend, _, voice = base.partition("/")
    told = ControlPrompt(prompt) if prompt in set(ControlPrompt) else ControlPrompt.OWN
    same_base = present is not None and (present.backend, present.voice) == (backend, voice)
    return Control(
        backend=backend,
        voice=voice,
        prompt=told,
        reference_sha256=(prompt or "") if told is ControlPrompt.OWN else "",
        base_sha256=present.base_sha256 if present is not None and same_base else "",
    )


def _rule(tier: Tier, values: tuple[Any, ...]) -> Rule:
    told = dict(zip(OF_A_TIER, values, strict=True))
    return Rule(
        tier=tier,
        min_pass=int(_number(f"Clips to pass ({tier})", told["min_pass"])),
        reviewers=int(_number(f"People for each ({tier})", told["reviewers"])),
        max_fail=int(_number(f"Fails allowed ({tier})", told["max_fail"])),
        fatal_reasons=tuple(told["fatal_reasons"] or ()),
        lines=tuple(line.strip() for line in str(told["lines"] or "").split(",") if line.strip()),
        automatic=tuple(told["automatic"] or ()),
    )


def _number(label: str, value: float | None) -> float:
    if value is None:
        raise BadInput(f"{label} is empty; give a number.")
    return value
