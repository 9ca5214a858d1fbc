"""The part of the Voices page that shows the models: what each can do, the environments of those that need their own,
and whether training teaches what is spoken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from engine.types import BadInput
from ui import theme, view, view_models
from ui.events import on, on_open

if TYPE_CHECKING:
    from engine.studio import Studio

POLL_SEC = 1.0
SENTENCE = "The harbour was quiet when we arrived."


def build() -> dict[str, Any]:
    """The panel's components."""
    with gr.Column(elem_classes="em-panel"), gr.Accordion("Models and their environments", open=False):
        made: dict[str, Any] = {"shown": theme.html()}
        with gr.Row(elem_classes="em-inline"):
            made["backend"] = gr.Dropdown(
                [],
                label="Environment of",
                info="Some models need packages that cannot live beside Earmark's. One that was interrupted "
                "goes on where it was.",
                filterable=False,
                elem_id="environment",
            )
            made["install"] = gr.Button("Install", elem_id="environment-install")
            made["remove"] = gr.Button("Remove", variant="stop", elem_id="environment-remove")
        with gr.Row(elem_classes="em-inline"):
            made["text"] = gr.Textbox(
                SENTENCE,
                label="Check the training step",
                info="The model says this, and the training step must predict every code of it.",
                max_lines=1,
                elem_id="check-text",
            )
            made["check"] = gr.Button("Check", elem_id="check-voice")
        made["told"] = theme.html()
        made["job"], made["timer"] = gr.State(""), gr.Timer(POLL_SEC, active=False)
    return made


def bind(studio: Studio, parts: dict[str, Any]) -> None:
    """What its buttons do."""
    shown = [parts["shown"], parts["backend"]]
    chosen = [parts["backend"]]

    def _install(backend: str | None) -> tuple[object, ...]:
        return studio.install_environment(_named(backend)), gr.Timer(active=True)

    def _tick(job_id: str) -> tuple[object, ...]:
        job = studio.job(job_id)
        over = job.ended_at is not None
        table = _table(studio)[0] if over else gr.skip()
        return view.job_progress(job), gr.Timer(active=not over), table

    def _remove(backend: str | None) -> tuple[object, ...]:
        studio.remove_environment(_named(backend))
        return view.notice(f"The environment of {backend} is gone; runs and adapters stay."), _table(studio)[0]

    def _check(backend: str | None, text: str) -> str:
        return view_models.agreement(_named(backend), studio.check_voice(_named(backend), text))

    on_open(lambda: _table(studio), outputs=shown, name="voices_models")
    on(
        parts["install"].click,
        _install,
        inputs=chosen,
        outputs=[parts["job"], parts["timer"]],
        name="voices_install",
    )
    ticked = [parts["told"], parts["timer"], parts["shown"]]
    on(parts["timer"].tick, _tick, inputs=[parts["job"]], outputs=ticked, name="voices_install_tick")
    on(
        parts["remove"].click,
        _remove,
        inputs=chosen,
        outputs=[parts["told"], parts["shown"]],
        long=True,
        name="voices_remove",
    )
    on(
        parts["check"].click,
        _check,
        inputs=[*chosen, parts["text"]],
        outputs=[parts["told"]],
        long=True,
        name="voices_check",
    )


def _table(studio: Studio) -> tuple[object, ...]:
    found = studio.environments()
    names = [each.backend for each in found]
    return view_models.models(studio.models(), found), gr.update(choices=names, value=names[0] if names else None)


def _named(backend: str | None) -> str:
    if not backend:
        raise BadInput("No model here needs an environment of its own.")
    return backend
