"""The Results page: what a listening test says so far, blinded until a named person asks, and its confirmation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from engine.types import BadInput
from ui import theme, view, view_results
from ui.events import on, on_open

if TYPE_CHECKING:
    from engine.studio import Studio

EVERY_SEC = 4
NOTHING = view.empty(
    "No listening test yet",
    "Make a test from candidates that have clips of the same lines. What reviewers answer appears here as it comes in.",
    ("Make a test", "/tests"),
    ("Open a sweep", "/sweep"),
)


def build(studio: Studio) -> None:
    """Build the page inside the current Blocks."""
    theme.header("Results")
    theme.html(view.title("Results"))
    with gr.Row(elem_classes="em-panel", visible=False) as asked:
        test = gr.Dropdown([], label="Test", filterable=False, scale=2, min_width=280, elem_id="results-test")
        person = gr.Textbox(label="Your name", placeholder="who asks", max_lines=1, min_width=200, elem_id="person")
    nothing = theme.html(view.opening("Reading what reviewers answered …"))
    with gr.Column(visible=False) as shown:
        with gr.Column(elem_classes="em-panel"):
            head = theme.html()
            with gr.Row(elem_classes="em-acts"):
                unblind = gr.Button("Unblind, on the record", variant="stop", elem_id="unblind")
                confirm = gr.Button("Confirm the winner", variant="primary", elem_id="confirm")
        with gr.Column(elem_classes="em-panel", visible=False) as explored:
            exploration = theme.html()
        with gr.Column(elem_classes="em-panel"):
            estimates = theme.html()
        with gr.Column(elem_classes="em-panel"):
            change = theme.html()
        with gr.Column(elem_classes="em-panel"):
            reviewers = theme.html()
        with gr.Column(elem_classes="em-panel"):
            lines = theme.html()
    outputs = [shown, head, unblind, confirm, explored, exploration, estimates, change, reviewers, lines]
    timer, acted = gr.Timer(EVERY_SEC), gr.State(0)

    def _opened() -> tuple[object, ...]:
        choices = [(f"{s.test.name} ({view.plural(s.answered, 'answer')})", s.test.id) for s in studio.tests()]
        first = choices[0][1] if choices else None
        shown = gr.update(visible=bool(choices))
        return (
            gr.update(value=NOTHING, visible=not choices),
            shown,
            gr.update(choices=choices, value=first),
            *_panels(studio, first),
        )

    def _unblind(test_id: str | None, by: str, acts: int) -> int:
        studio.unblind(_chosen(test_id), by=by)
        return acts + 1

    def _confirm(test_id: str | None, by: str, acts: int) -> int:
        made = studio.confirm(_chosen(test_id), by=by)
        gr.Info(f"{made.name} is open: {made.judgments} judgments for each of {len(made.reviewers)} reviewers.")
        return acts + 1

    on_open(_opened, outputs=[nothing, asked, test, *outputs], name="results_open")
    # All that draws is one event, so that there is one answer at a time, the last one for the test that is chosen.
    draws = [test.input, timer.tick, acted.change]
    on(draws, lambda chosen: _panels(studio, chosen), inputs=[test], outputs=outputs, latest=True, name="results_show")
    on(unblind.click, _unblind, inputs=[test, person, acted], outputs=[acted], name="results_unblind")
    on(confirm.click, _confirm, inputs=[test, person, acted], outputs=[acted], name="results_confirm")


def _chosen(test_id: str | None) -> str:
    if not test_id:
        raise BadInput("Choose a test first.")
    return test_id


def _panels(studio: Studio, test_id: str | None) -> tuple[Any, ...]:
    """Everything that the page shows of a test, in the order of its outputs."""
    if not test_id:
        return gr.update(visible=False), *("",), gr.update(), gr.update(), gr.update(visible=False), *("",) * 5
    found = studio.results(test_id)
    explorer = found.explorer
    return (
        gr.update(visible=True),
        view_results.head(found),
        gr.update(visible=found.is_blinded),
        gr.update(visible=explorer is not None and bool(explorer.reason)),
        gr.update(visible=explorer is not None),
        view_results.exploration(found),
        view_results.estimates(found),
        view_results.change(found),
        view_results.reviewers(found),
        view_results.lines(found),
    )
