"""The Runs page: start a run from a form, watch its curves, stop or resume it, see its checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from engine.types import RunConfig
from ui import choices, figures, form, theme, view
from ui.events import on, on_open

if TYPE_CHECKING:
    from engine.studio import Studio

POLL_SEC = 1.5
CLOSEST = ("the closest by pitch", "")
# Which fields are chosen from a list that is known when the page opens; the lists themselves come then.
CHOICES: dict[str, Sequence[Any]] = {
    "dataset": [],
    "backend": [RunConfig().backend],
    "voice": [CLOSEST],
    "parts": RunConfig().parts,
}
NOTHING = view.empty(
    "No runs yet",
    "Fill in the form below and press Start: training is a process of its own and goes on when this page is closed. "
    "You need a prepared dataset first; the demo voice is one.",
    ("Make the demo voice", "/?demo=1"),
)


def build(studio: Studio) -> None:
    """Build the page inside the current Blocks."""
    theme.header("Runs")
    with gr.Row(elem_classes="em-titlebar"):
        theme.html(view.title("Runs"))
        with gr.Row(elem_classes="em-acts"):
            chosen = gr.Dropdown(
                [], label="Run", show_label=False, container=False, filterable=False, min_width=200, elem_id="run"
            )
            stop, resume = gr.Button("Stop", elem_id="stop"), gr.Button("Resume", elem_id="resume")
    nothing = theme.html(NOTHING, visible=False)
    with gr.Row(visible=False, equal_height=False) as shown:
        with gr.Column(min_width=320, elem_classes="em-panel"):
            summary, curves = theme.html(), theme.html()
        with gr.Column(min_width=320, elem_classes="em-panel"):
            checkpoints = theme.html()
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=320, elem_classes="em-panel"):
            theme.html(view.heading("Start a run"))
            fields = form.build(RunConfig(), CHOICES)
            start = gr.Button("Start the run", variant="primary", elem_id="start")
        with gr.Column(scale=2, min_width=320, elem_classes="em-panel"):
            preview = theme.html()
    seen = gr.State("")
    timer = gr.Timer(POLL_SEC)
    panels = [nothing, shown, summary, curves, checkpoints, stop, resume, seen]
    _bind_form(studio, fields, start, preview, chosen, panels)

    def _show(run_id: str | None) -> tuple[object, ...]:
        return _panels(studio, run_id)

    def _tick(run_id: str | None, before: str) -> tuple[object, ...]:
        if not run_id or _stamp(studio, run_id) == before:
            return (gr.skip(),) * len(panels)
        return _panels(studio, run_id)

    def _stop(run_id: str) -> tuple[object, ...]:
        studio.stop_run(run_id)
        return _panels(studio, run_id)

    def _resume(run_id: str) -> tuple[object, ...]:
        studio.resume_run(run_id)
        return _panels(studio, run_id)

    on(chosen.change, _show, inputs=[chosen], outputs=panels, name="runs_show")
    on(timer.tick, _tick, inputs=[chosen, seen], outputs=panels, name="runs_tick")
    on(stop.click, _stop, inputs=[chosen], outputs=panels, name="runs_stop")
    on(resume.click, _resume, inputs=[chosen], outputs=panels, name="runs_resume")


def _bind_form(
    studio: Studio, fields: dict[str, Any], start: gr.Button, preview: gr.HTML, chosen: gr.Dropdown, panels: list[Any]
) -> None:
    names = {component: name for name, component in fields.items()}
    inputs = set(fields.values())

    def config(values: dict[Any, Any]) -> RunConfig:
        return form.read(RunConfig(), {names[component]: value for component, value in values.items()})

    def _preview(values: dict[Any, Any]) -> str:
        return view.run_preview(config(values), studio.workspace.root)

    def _start(values: dict[Any, Any]) -> tuple[object, ...]:
        run = studio.start_run(config(values))
        return gr.update(choices=[r.id for r in studio.runs()], value=run.id), *_panels(studio, run.id)

    def _open(request: gr.Request) -> tuple[object, ...]:
        found, ready = [r.id for r in studio.runs()], [d.id for d in studio.datasets()]
        run_id = request.query_params.get("run") or next(iter(found), None)
        shown = studio.default_config(RunConfig().backend)
        shown = replace(shown, dataset=request.query_params.get("dataset") or next(iter(ready), ""))
        voices = [CLOSEST, *((v, v) for v in choices.base_voices(studio, shown.backend))]
        offered: form.Choices = {"dataset": ready, "backend": studio.backends(), "voice": voices}
        return *form.show(shown, offered), gr.update(choices=found, value=run_id), *_panels(studio, run_id)

    on(start.click, _start, inputs=inputs, outputs=[chosen, *panels], long=True, name="runs_start")
    on([c.change for c in fields.values()], _preview, inputs=inputs, outputs=[preview], name="runs_preview")
    on_open(_open, outputs=[*fields.values(), chosen, *panels], name="runs_open")


def _stamp(studio: Studio, run_id: str) -> str:
    """Changes whenever something of the run changed that the page shows."""
    run = studio.run(run_id)
    return f"{run_id} {run.state} {run.step} {run.val_loss} {len(studio.checkpoints(run_id))}"


def _panels(studio: Studio, run_id: str | None) -> tuple[object, ...]:
    """Everything about the chosen run, in the order of the page's panels."""
    if not run_id:
        hidden = gr.update(visible=False)
        return gr.update(visible=True), hidden, "", "", "", hidden, hidden, ""
    run = studio.run(run_id)
    kept = {r.checkpoint_id: r for r in studio.retention()}
    found = studio.checkpoints(run_id)
    log = view.failure_log(studio.log_tail(run_id)) if run.error or run.state.name in ("FAILED", "LOST") else ""
    return (
        gr.update(visible=False),
        gr.update(visible=True),
        view.run_summary(run) + log,
        figures.curves(studio.series(run_id)),
        view.heading("Checkpoints", view.run_checkpoints(run, found, kept)),
        gr.update(visible=not run.state.is_over),
        gr.update(visible=run.state.is_over and run.state.name != "COMPLETED"),
        _stamp(studio, run_id),
    )
