"""The Data page: look at a manifest, prepare a dataset from it, make the demo voice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from engine.types import BadInput
from ui import theme, view
from ui.events import on, on_open

if TYPE_CHECKING:
    from engine.studio import Studio

HELP = (
    "A JSONL file with a row a recording, {“audio”: “clips/001.wav”, “text”: “What is said.”}, or an LJSpeech "
    "metadata.csv. Nothing is changed by looking."
)

FAULTY_DEMO = "manifest_with_faults.jsonl"
NOTHING = view.empty(
    "Start with recordings",
    "Give the path of a manifest above and press Audit: every row is checked, and each fault comes with its mend. "
    "No recordings at hand? Make the demo voice: five minutes of speech, ready to train on in one click.",
    ("Make the demo voice", "?demo=1"),
)


def build(studio: Studio) -> None:
    """Build the page inside the current Blocks."""
    theme.header("Data")
    with gr.Row(elem_classes="em-titlebar"):
        theme.html(view.title("Data"))
        with gr.Row(elem_classes="em-acts"):
            demo = gr.Button("Make the demo voice")
    with gr.Column(elem_classes="em-panel"):
        with gr.Row(elem_classes="em-inline"):
            path = gr.Textbox(
                label="Manifest", info=HELP, placeholder="/data/robin/manifest.jsonl", scale=4, max_lines=1
            )
            name = gr.Textbox(
                label="Name", info="Of the dataset that is prepared.", placeholder="robin", scale=1, max_lines=1
            )
        with gr.Row(elem_classes="em-acts"):
            audit = gr.Button("Audit")
            prepare = gr.Button("Prepare", variant="primary")
        report = theme.html()
    with gr.Column(elem_classes="em-panel", visible=False) as shelf:
        prepared = theme.html()
    nothing = theme.html(NOTHING, visible=False)

    def _audit(path: str) -> str:
        return view.audit_report(studio.audit(_manifest(path)))

    def _prepare(path: str, name: str) -> tuple[str, object, object, object]:
        made = studio.prepare(_manifest(path), name=name.strip())
        return view.dataset_ready(made), *_shelf(studio)

    def _demo() -> tuple[str, str, object, object, object]:
        manifest = studio.make_demo_data()
        report = studio.audit(manifest)
        made = studio.prepare(manifest, name="demo")
        faulty = manifest.with_name(FAULTY_DEMO)
        told = view.dataset_ready(made) + (view.faults_to_find(faulty) if faulty.exists() else "")
        return str(manifest), told + view.audit_report(report), *_shelf(studio)

    def _open(request: gr.Request) -> tuple[object, ...]:
        if "demo" in request.query_params:  # the link of every empty page
            return _demo()
        return gr.skip(), gr.skip(), *_shelf(studio)

    shelf_parts = [prepared, shelf, nothing]
    on([audit.click, path.submit], _audit, inputs=[path], outputs=[report], long=True, name="data_audit")
    on(prepare.click, _prepare, inputs=[path, name], outputs=[report, *shelf_parts], long=True, name="data_prepare")
    on(demo.click, _demo, outputs=[path, report, *shelf_parts], long=True, name="data_demo")
    on_open(_open, outputs=[path, report, *shelf_parts], name="data_open")


def _manifest(path: str) -> Path:
    if not path.strip():
        raise BadInput("Give the path of a manifest, or make the demo voice.")
    return Path(path.strip()).expanduser()


def _shelf(studio: Studio) -> tuple[object, object, object]:
    """The list of prepared datasets, whether it is shown, and what is said while there is none."""
    found = studio.datasets()
    inside = view.heading("Prepared datasets", view.datasets(found))
    return gr.update(value=inside), gr.update(visible=bool(found)), gr.update(visible=not found)
