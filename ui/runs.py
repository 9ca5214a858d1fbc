"""The Runs page: settings and what preflight says of them, the queue, a run live, runs laid over one another.

Binds what `runs.js` asks for to the studio. The curves and everything else that changes by itself come by the live
route; here is what a person does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from engine.types import BadInput, EngineError, Preset, RunConfig
from ui import choices, form, form_sweep, theme, view, view_preflight, view_runs
from ui.events import Newest, on, on_open

if TYPE_CHECKING:
    from engine.studio import Studio

CLOSEST = ("the closest by pitch", "")
# What the script asks for goes through the component that it comes from: `detail` has the event and what belongs to it.
SPEAK = """element.addEventListener('earmark', (event) => {
  event.stopPropagation();
  trigger(event.detail.event, event.detail.data);
});"""
SCRIPT = 'import("/look/runs.js");'
TITLE = (
    '<div class="em-row em-between"><div class="em-row"><h1 data-title>Runs</h1>'
    '<span class="em-quiet em-opening">Opening …</span></div>'
    '<div class="em-row"><span class="em-narrow em-row"><button data-go="list">All runs</button>'
    '<button class="em-primary" data-go="form">New run</button></span>'
    '<button data-go="run" hidden>Back to the runs</button></div></div>'
)
NO_DATASET = view.empty(
    "A run needs a prepared dataset",
    "Bring recordings to the Data page, or make the demo voice: five minutes of speech, ready to train on.",
    ("Make the demo voice", "/?demo=1"),
    ("Open Data", "/"),
)


def build(studio: Studio) -> None:
    """Build the page inside the current Blocks."""
    theme.header("Runs")
    theme.html(TITLE, classes="em-runs-title")
    with gr.Row(elem_classes="em-runs", equal_height=False):
        theme.html(view_runs.SIDE, classes="em-runs-side")
        run = theme.html(view_runs.FRAME, classes="em-runs-view", js_on_load=SPEAK + SCRIPT)
    with gr.Row(elem_classes="em-runs-new", equal_height=False):
        settings = theme.html(classes="em-panel", js_on_load=SPEAK)
        found = theme.html(view_preflight.WAITING, classes="em-panel em-runs-check")
    opened = theme.html()
    filled = gr.State(Newest())
    _bind_form(studio, settings, found, opened, filled)
    _bind_run(studio, run, settings, filled)

    def _open(request: gr.Request) -> tuple[str, str]:
        asked = request.query_params
        shown = form.html(_shown(studio, RunConfig(dataset=asked.get("dataset", "")), preset=""))
        shown = shown if studio.datasets() else NO_DATASET + shown
        newest = next((r.id for r in studio.runs()), "")
        view_of = "form" if "dataset" in asked or not newest else "run"
        return shown, _go(asked.get("run") or newest, view_of)

    on_open(_open, outputs=[settings, opened], name="runs_open")


# ---- the form
def _bind_form(studio: Studio, settings: gr.HTML, found: gr.HTML, opened: gr.HTML, filled: gr.State) -> None:
    checked = gr.State(Newest())

    def _preflight(checked: Newest, event: gr.EventData) -> object:
        checked.asked(event.turn)
        try:
            config, swept = form.read(event.values), form_sweep.read(event.values)
            runs = 1 + len(form.other_rates(event.values))
            each = studio.each_checkpoint(swept, config.backend) if swept else None
            found = view_preflight.card(studio.preflight(config), swept, each, runs=runs)
        except EngineError as error:  # half a number while somebody types is no fault: it is said here
            found = view_preflight.refused(str(error))
        return checked.unless_late(event.turn, found)

    def _start(event: gr.EventData) -> str:
        config, others, swept = form.read(event.values), form.other_rates(event.values), form_sweep.read(event.values)
        if others:
            return _go(studio.enqueue_rates(config, others, swept=swept)[0].id, "run")
        return _go(studio.enqueue(config, swept=swept).id, "run")

    def _preset(filled: Newest, event: gr.EventData) -> object:
        config = form.read(event.values)
        return _filled(filled, event, lambda: _shown(studio, config, event.values, preset=event.preset))

    on(settings.select, _preflight, inputs=[checked], outputs=[found], each=True, name="runs_preflight")
    on(settings.submit, _start, outputs=[opened], long=True, name="runs_start")
    on(settings.input, _preset, inputs=[filled], outputs=[settings], each=True, name="runs_preset")


def _filled(filled: Newest, event: gr.EventData, shown: Callable[[], form.Shown]) -> object:
    """The form with the settings that an event asks for, and the number of that asking.

    Gradio puts into a page only what differs from what it had put there: a preset's value would not replace what was
    typed where it is the one of the preset before. An element of another name is put there whole.
    """
    turn = int(event.turn)
    filled.asked(turn)
    tag = f"earmark-settings-{turn}"
    return filled.unless_late(turn, f'<{tag} class="em-settings" data-answers="{turn}">{form.html(shown())}</{tag}>')


def _shown(
    studio: Studio, config: RunConfig, sweep: Mapping[str, Any] | None = None, *, preset: str | None = None
) -> form.Shown:
    """The form with settings in it, and what is asked about new checkpoints. With a preset's name (the default's: "")
    these settings are taken from it.
    """
    presets = studio.presets(config.backend)
    chosen = next((p for p in presets if p.name == preset), presets[0])
    if preset is not None:
        config = form.with_preset(config, chosen)
    ready = studio.datasets()
    if not config.dataset and ready:
        config = replace(config, dataset=ready[0].id)
    voices = choices.base_voices(studio, config.backend)
    if config.voice not in voices:  # of another model
        config = replace(config, voice="")
    offered: form.Choices = {
        "dataset": [(f"{d.id} ({d.train_sec / 60:.1f} min)", d.id) for d in ready],
        "backend": studio.backends(),
        "voice": [CLOSEST, *((v, v) for v in voices)],
        "parts": presets[0].config.parts,
    }
    after = form_sweep.html(_sweep_offered(studio, config.backend), sweep or {})
    nearest, rates = _nearest(config, presets, chosen), form.typed_rates(sweep or {})
    return form.Shown(config=config, presets=presets, preset=nearest, choices=offered, after=after, other_rates=rates)


def _sweep_offered(studio: Studio, backend: str) -> form_sweep.Offered:
    try:
        takes = studio.takes_references(backend)
    except EngineError:  # its weights are not here: preflight says so
        takes = "none"
    return form_sweep.Offered(
        scripts=studio.scripts(),
        takes=takes,
        references=[(kept.name, kept.reference.sha256) for kept in studio.references()],
        gates=[each.name for each in studio.gates() if each.gate and each.gate.control],
    )


def _nearest(config: RunConfig, presets: tuple[Preset, ...], chosen: Preset) -> str:
    """The preset that the settings are those of; the chosen one where they are nobody's."""
    return next((p.name for p in (chosen, *presets) if form.with_preset(config, p) == config), chosen.name)


# ---- a run
def _bind_run(studio: Studio, run: gr.HTML, settings: gr.HTML, filled: gr.State) -> None:
    def _act(event: gr.EventData) -> None:
        match event.act:
            case "stop":
                studio.stop_run(event.run)
            case "kill":
                studio.stop_run(event.run, force=True)
            case "resume":
                studio.resume_run(event.run)
            case "cancel":
                studio.cancel_run(event.run)
            case "move":
                studio.move_run(event.run, int(event.position))
            case _:
                raise BadInput(f"There is nothing called {event.act!r} to do with a run.")

    def _copy(filled: Newest, event: gr.EventData) -> object:
        config = replace(studio.duplicate_config(event.run), **_mended(studio, event))
        swept = next((each for each in studio.automatic_sweeps() if each.run_id == event.run), None)
        return _filled(filled, event, lambda: _shown(studio, config, form_sweep.values_of(swept)))

    on(run.click, _act, each=True, name="runs_act")
    on(run.edit, _copy, inputs=[filled], outputs=[settings], each=True, name="runs_copy")


def _mended(studio: Studio, event: gr.EventData) -> Mapping[str, Any]:
    """What the failure card says to change, when it is asked for."""
    failure = studio.failure(event.run) if event.mended else None
    return view_runs.changed(failure.changes) if failure else {}


def _go(run_id: str, view_of: str) -> str:
    """Tells the script which run to show, and whether to show it or the form."""
    told = escape(run_id)
    return f'<div hidden data-open-run="{told}" data-view="{view_of}" data-stamp="{told} {view_of}"></div>'
