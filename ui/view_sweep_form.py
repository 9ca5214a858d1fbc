"""What the Sweep page asks: what to render, after whom, how tokens are drawn; what it costs; how far it is; the script
editor.

Pure like `view`: records in, HTML out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from engine.types import Checkpoint, Script, SpeakingSetting, Tier
from ui import view, view_leaks, view_swept
from ui.sweep_asked import NO_REFERENCE

if TYPE_CHECKING:
    from engine.references import KeptReference
    from engine.studio import AutomaticSweep, EachCheckpoint, Outline
    from engine.sweep import Plan
    from engine.sweep_progress import SweepView
    from engine.tiers import Fit

ACTIVE = ("waiting", "running")
SHOWN_PAST = 3
SHOWN_GOING = 2
SCALES = "0.2, 0.3, 0.35, 0.5, 1.0"


@dataclass(frozen=True, kw_only=True)
class Offered:
    """What can be chosen for a run. `takes` says whether the voice follows a reference: none, optional or required."""

    checkpoints: Sequence[Checkpoint]
    scripts: Sequence[str]
    takes: str
    references: Sequence[KeptReference]
    settings: Sequence[SpeakingSetting] = ()
    rows: Sequence[tuple[str, str]] = ()  # of the run's dataset: id, text
    dataset: str = ""
    controls: Sequence[tuple[str, str]] = ()  # bases of other voices: label, id
    automatic: AutomaticSweep | None = None
    each: EachCheckpoint | None = None  # what that renders of one checkpoint


# ---- the form
def form(offered: Offered) -> str:
    """What to render, with its cost below."""
    boxes = "".join(_box("checkpoints", c.id, f"epoch {c.epoch}", checked=True) for c in offered.checkpoints)
    chosen = next((name for name in offered.scripts if name.endswith("-brief")), offered.scripts[0])
    tiers = "".join(_box("tiers", t.value, t.value, checked=True) for t in Tier)
    scripts = "".join(_option(name, name, chosen=name == chosen) for name in offered.scripts)
    return (
        '<form class="em-sweep-form em-stack" data-form onsubmit="return false">'
        f'<fieldset id="checkpoints"><legend>Checkpoints</legend><div class="em-row em-boxes">{boxes or _none()}</div>'
        "</fieldset>"
        '<div class="em-fields">'
        f"{_field('scales', 'Scales', SCALES, hint='The base is always rendered as the control.')}"
        f"{_field('seeds', 'Seeds', '42', hint='Several show how lucky a take is.')}"
        f'<label class="em-field" for="script"><b>Script</b><select id="script" name="script">{scripts}</select>'
        '<button type="button" class="em-link" data-act="edit-script">Edit a copy</button></label>'
        f'<fieldset id="tiers"><legend>Tiers</legend><div class="em-row em-boxes">{tiers}</div></fieldset></div>'
        f"{references(offered)}{_controls(offered)}{_settings(offered.settings)}"
        f'<div class="em-row em-between"><div data-cost class="em-grow">{_waiting()}</div>'
        '<button id="render" type="button" class="em-primary" data-act="render">Render</button></div>'
        f"{automatic(offered.automatic, offered.each)}{_leaks(offered)}</form>"
    )


def references(offered: Offered) -> str:
    """Which audio prompts; a prompt-free voice has no such question."""
    if offered.takes == "none":
        return ""
    free = "" if offered.takes == "required" else _box("references", NO_REFERENCE, "no reference", checked=True)
    kept = "".join(
        _box("references", k.reference.sha256, f"{k.name}, {k.duration_sec:.1f} s", title=k.reference.text)
        for k in offered.references
    )
    rows = "".join(_option(row, f"{row}: {text[:60]}") for row, text in offered.rows)
    row = (
        f'<div class="em-row em-reference"><label class="em-field em-grow"><b>A row of {escape(offered.dataset)}</b>'
        f'<select name="row" data-row data-dataset="{escape(offered.dataset)}">{rows}</select></label>'
        '<button type="button" data-act="row-reference">Take this row</button></div>'
        if rows
        else ""
    )
    told = "This voice speaks only after a reference." if offered.takes == "required" else "Each one is a clip more."
    return (
        f'<fieldset id="references"><legend>References</legend><p class="em-quiet">{told}</p>'
        f'<div class="em-row em-boxes">{free}{kept}</div><details><summary>Add a reference</summary>'
        f'{row}<div class="em-fields em-numbers em-reference">'
        f'<label class="em-field"><b>{"or a" if rows else "A"} recording</b>'
        '<input type="file" accept="audio/*" data-upload></label>'
        f"{_field('reference-path', 'or its path on this machine', '')}"
        f"{_field('reference-text', 'What is said in it', '')}{_field('reference-name', 'What to call it', '')}"
        '<button type="button" data-act="add-reference">Add</button></div></details></fieldset>'
    )


def _leaks(offered: Offered) -> str:
    return view_leaks.asking() if offered.takes != "none" else ""


def automatic(setting: AutomaticSweep | None, each: EachCheckpoint | None = None) -> str:
    """Whether new checkpoints are swept by themselves, and how."""
    told = "Sweep every new checkpoint of this run with these settings, when its device is free."
    if setting is not None:
        what = view_swept.each(setting, each) if each else "Every new checkpoint is swept."
        told = (
            f"{what} They wait for the device and let trainings go first. To change that, take the mark away and set "
            "it again."
        )
    trouble = view.notice(setting.trouble, bad=True) if setting and setting.trouble else ""
    checked = " checked" if setting else ""
    return (
        f'<div data-automatic id="new-checkpoints"><label class="em-box em-switch"><input type="checkbox" '
        f'data-act="automatic"{checked}><span>{told}</span></label>{trouble}</div>'
    )


def _controls(offered: Offered) -> str:
    if not offered.controls:
        return ""
    boxes = "".join(_box("controls", name, label) for label, name in offered.controls)
    return (
        "<details><summary>More controls: what gates name, and bases of other voices</summary>"
        '<fieldset><legend class="em-visually-hidden">'
        f'More controls</legend><div class="em-row em-boxes">{boxes}</div></fieldset></details>'
    )


def _settings(offered: Sequence[SpeakingSetting]) -> str:
    fields = "".join(
        f'<label class="em-field" for="set-{one.name}" title="{escape(one.about)}"><b>{escape(one.title)}</b>'
        f'<input id="set-{one.name}" name="set-{one.name}" data-setting="{one.name}" type="number" min="{one.least:g}" '
        f'max="{one.most:g}" step="{one.step:g}" placeholder="usually {one.usual:g}"></label>'
        for one in offered
    )
    return (
        '<details><summary>How tokens are drawn</summary><p class="em-quiet">What is left empty is as the model '
        "has it. Kept with each clip. A retry draws what was cut at the cap again and hides a failure: a gate leaves "
        f'such clips out.</p><div class="em-fields em-numbers">{fields}</div></details>'
    )


def _field(name: str, label: str, value: str, *, hint: str = "") -> str:
    told = f"<small>{escape(hint)}</small>" if hint else ""
    return (
        f'<label class="em-field" for="{name}"><b>{escape(label)}</b><input id="{name}" name="{name}" '
        f'value="{escape(value)}">{told}</label>'
    )


def _box(name: str, value: str, label: str, *, checked: bool = False, title: str = "") -> str:
    return (
        f'<label class="em-box" title="{escape(title)}"><input type="checkbox" name="{name}" value="{escape(value)}"'
        f"{' checked' if checked else ''}><span>{escape(label)}</span></label>"
    )


def _option(value: str, label: str, *, chosen: bool = False) -> str:
    return f'<option value="{escape(value)}"{" selected" if chosen else ""}>{escape(label)}</option>'


def _none() -> str:
    return '<span class="em-quiet">none yet; the switch below sweeps them as they come</span>'


def _waiting() -> str:
    return '<p class="em-quiet">Counting …</p>'


# ---- cost and progress
def cost(plan: Plan, screening_sec: float = 0.0) -> str:
    """What a sweep would render and what it would cost, before it starts."""
    missing = len(plan.missing)
    told = f"{view.plural(len(plan.request.candidates), 'candidate')}, {view.plural(len(plan.jobs), 'clip')}"
    if not missing:
        return f'<p class="em-quiet">{told}: all of them lie ready, nothing has to be rendered.</p>'
    ready = f", {len(plan.jobs) - missing} lie ready" if missing < len(plan.jobs) else ""
    listening = f", {view.duration(screening_sec)} for the screeners" if screening_sec >= 1 else ""
    return (
        f"<p>{told}{ready}. To render: <b>{missing}</b>, {view.duration(plan.audio_sec)} of audio, about "
        f"<b>{view.duration(plan.estimate_sec)}</b>{listening} and <b>{view.size(plan.estimate_bytes)}</b>.</p>"
    )


def progress(sweeps: Iterable[SweepView]) -> str:
    """The sweeps that go on, those that may go on, and what the last ones did."""
    listed = list(sweeps)
    going = [s for s in listed if s.record.state in ACTIVE]
    stopped = [s for s in listed if s.record.state in ("paused", "failed")]
    past = [s for s in listed if s not in going and s not in stopped][:SHOWN_PAST]
    going = sorted(reversed(going), key=lambda s: s.record.state != "running")  # of those that wait the oldest is next
    shown = "".join(_going(s) for s in going[:SHOWN_GOING])
    if later := going[SHOWN_GOING:]:
        shown += _fold("later", f"{view.plural(len(later), 'more sweep')} after these", "".join(map(_going, later)))
    shown += "".join(_stopped(s) for s in stopped[:SHOWN_PAST])
    told = "".join(f"<li>{_past(s)}</li>" for s in past)
    history = _fold("past", "Earlier sweeps", f"<ul class='em-quiet'>{told}</ul>") if told else ""
    return f'<div class="em-stack">{shown}{history}</div>' if shown or history else ""


def _fold(name: str, summary: str, inside: str) -> str:
    return f'<details data-fold="{name}"><summary>{summary}</summary><div class="em-stack">{inside}</div></details>'


def _going(sweep: SweepView) -> str:
    record = sweep.record
    left = f", about {view.duration(sweep.left_sec)} left" if sweep.left_sec else ""
    waits = "waits until its device is free" if record.state == "waiting" else "starting"
    bar = view.bar(sweep.done, sweep.total, f"{_whose(sweep)}: {sweep.message or waits}{left}")
    return (
        f'<div class="em-row em-between em-going"><div class="em-grow">{bar}</div><div class="em-row">'
        f"{_act('pause', record.id, 'Pause')}{_act('cancel', record.id, 'Cancel')}</div></div>"
    )


def _stopped(sweep: SweepView) -> str:
    record = sweep.record
    left = record.clips - record.cached - record.rendered
    told = f"{_whose(sweep)}: {record.state}, {view.plural(max(0, left), 'clip')} to render"
    why = f" {view.notice(record.error, bad=True)}" if record.error else ""
    return (
        f'<div class="em-row em-between em-going"><div class="em-grow"><p>{escape(told)}</p>{why}</div><div '
        f'class="em-row">{_act("resume", record.id, "Resume")}{_act("cancel", record.id, "Forget")}</div></div>'
    )


def _past(sweep: SweepView) -> str:
    record = sweep.record
    took = view.duration(record.render_sec + record.screen_sec)
    return escape(
        f"{_whose(sweep)}: {record.state}, {view.plural(record.rendered, 'clip')} rendered, "
        f"{record.screened} screened in {took}, {view.when(record.changed_at)}"
    )


def _whose(sweep: SweepView) -> str:
    record = sweep.record
    scales = {c.lora_scale for c in record.request.candidates if not c.is_base}
    what = f"{view.plural(record.clips, 'clip')} at {', '.join(f'{s:g}' for s in sorted(scales)) or 'the base'}"
    return f"New checkpoint, {what}" if record.is_automatic else what.capitalize()


def _act(act: str, sweep_id: str, label: str) -> str:
    return f'<button type="button" data-act="{act}" data-sweep="{escape(sweep_id)}">{label}</button>'


def outline(asked: Outline, about: str = "") -> str:
    """What a sitting asks of a reviewer, before it is opened."""
    catches = f", {view.plural(asked.catches, 'control question')} among them" if asked.catches else ""
    told = f"<b>{view.plural(asked.trials, 'question')}</b>{catches}, about <b>{view.duration(60 * asked.minutes)}</b>"
    gate = f" {escape(about)}" if about else ""
    return f"<p>{told}.{gate}</p>"


# ---- the script editor
def editor(script: Script, text: str, *, shipped: bool, fits: Mapping[str, Fit], languages: Sequence[str]) -> str:
    """A script as text, a line a row, with what each line measured and what is wrong with it."""
    name = f"{script.name}-copy" if shipped else script.name
    told = (
        f"{script.name} is shipped and stays as it is: your version gets a name of its own."
        if shipped
        else "A changed script is another script; clips of what it was before stay as they are."
    )
    options = "".join(_option(code, code, chosen=code == script.language) for code in languages)
    measured = "".join(
        f"<li>{view.state('pass' if fit.counts else 'fail', fit.line_id)} <small>{escape(fit.sentence)}</small></li>"
        for line in script.lines
        if (fit := fits.get(line.id)) is not None
    )
    lines = (
        f"<details open><summary>How long the lines turned out</summary><ul class='em-plain'>{measured}</ul></details>"
        if measured
        else '<p class="em-quiet">Nothing of this script is rendered yet: its tiers are those that it states.</p>'
    )
    return (
        f'<div class="em-stack"><h2>Edit a script</h2><p class="em-quiet">{escape(told)}</p><div class="em-fields">'
        f'{_field("script-name", "Name", name)}<label class="em-field" for="script-language"><b>Language</b>'
        f'<select id="script-language">{options}</select></label></div>'
        '<label class="em-field" for="script-text"><b>id | tier | text, a line a row</b>'
        f'<textarea id="script-text" rows="14" spellcheck="true">{escape(text)}</textarea></label>'
        f'<div data-faults role="status"></div>{lines}<div class="em-row"><button type="button" class="em-primary" '
        'data-act="save-script">Save</button><button type="button" data-act="close-script">Close</button></div></div>'
    )


def faults(found: Sequence[str]) -> str:
    """What is wrong with an edited script."""
    if not found:
        return '<p class="em-quiet">Every line can be used.</p>'
    listed = "".join(f"<li>{view.state('fail', fault)}</li>" for fault in found)
    return f"<ul class='em-plain'>{listed}</ul>"


def short_lines(fits: Iterable[Fit]) -> str:
    """Lines that do not reach their tier with this voice: the gate counts them for none that they do not reach."""
    short = [fit for fit in fits if not fit.counts]
    if not short:
        return ""
    told = "; ".join(f"{fit.line_id}: {fit.sentence}" for fit in short)
    return view.notice(f"Too short for their tier, so a gate does not count them there: {told}.", bad=True)
