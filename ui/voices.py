"""The Voices page: what is promoted and was before, any text spoken by it, exports, adapters from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from engine.types import BadInput
from ui import choices, theme, view, view_voices, voices_models, voices_try
from ui.events import on, on_open

if TYPE_CHECKING:
    from engine.studio import Studio

NOTHING = view.empty(
    "No voice is promoted yet",
    "Only a candidate that passed every tier of the gate can be promoted. Until then you can try the base voice below.",
    ("Open the gate", "/gate"),
    ("Make the demo voice", "/?demo=1"),
)


def build(studio: Studio) -> None:
    """Build the page inside the current Blocks."""
    theme.header("Voices")
    theme.html(view.title("Voices"))
    nothing = theme.html(NOTHING, visible=False)
    promoted = theme.html()
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=320):
            trying = voices_try.build()
        with gr.Column(scale=2, min_width=320):
            exporting, moving, bringing = _export(), _move(), _bring()
    models = voices_models.build()
    outputs = [nothing, promoted, *(trying[k] for k in ("voice", "other", "alias"))]
    outputs += [exporting["alias"], moving["alias"], bringing["backend"], bringing["voice"], trying["reference"]]

    def _open() -> tuple[object, ...]:
        return _shown(studio)

    on_open(_open, outputs=outputs, name="voices_open")
    voices_try.bind(studio, trying)
    voices_models.bind(studio, models)
    _bind_export(studio, exporting)
    _bind_move(studio, moving, outputs)
    _bind_bring(studio, bringing)


def _shown(studio: Studio) -> tuple[object, ...]:
    """Everything that depends on what is promoted, in the order of the page's outputs."""
    found = studio.promotions()
    aliases = [p.alias for p in found]
    labels = {p.id: studio.label(p.candidate) for p in found}
    histories = {p.alias: studio.promotion_history(p.alias) for p in found}
    speakers = list(voices_try.speakers(studio))
    backends = studio.backends()
    base = list(choices.base_voices(studio, backends[0])) if backends else []
    return (
        gr.update(visible=not found),
        view_voices.voices(found, labels, histories),
        gr.update(choices=speakers, value=speakers[0] if speakers else None),
        gr.update(choices=[voices_try.ALONE, *speakers], value=voices_try.ALONE),
        *(gr.update(choices=aliases, value=aliases[0] if aliases else None) for _ in range(3)),
        gr.update(choices=backends, value=backends[0] if backends else None),
        gr.update(choices=["", *base], value=""),
        voices_try.references(studio),
    )


# --------------------------------------------------------------------------------------------------------------- export
def _export() -> dict[str, Any]:
    with gr.Column(elem_classes="em-panel"):
        theme.html(view.heading("Export and verify"))
        made: dict[str, Any] = {
            "alias": gr.Dropdown([], label="Promoted voice", filterable=False, elem_id="export-alias")
        }
        with gr.Accordion("Other forms, consent and licence", open=False):
            made["forms"] = gr.CheckboxGroup(
                [("scale baked into alpha", "baked"), ("merged weights", "merged")],
                label="Also write",
                info="For tools without a scale knob. Each form must say the same before it is written.",
                elem_id="export-forms",
            )
            made["consent"] = gr.Textbox(
                label="Consent", info="Who agreed to this voice, and when; it stands on the model card.", lines=2
            )
            made["licence"] = gr.Textbox(
                label="Licence", info="What others may do with this voice; it stands there too.", max_lines=2
            )
        made["act"] = gr.Button("Export", variant="primary", elem_id="export")
        made["folder"] = gr.Textbox(
            label="An exported folder",
            info="Every file is checked against the checksums, and a line is spoken through plain PEFT.",
            max_lines=1,
            elem_id="folder",
        )
        made["verify"] = gr.Button("Verify", elem_id="verify")
        made["told"] = theme.html()
    return made


def _bind_export(studio: Studio, parts: dict[str, Any]) -> None:
    # A field in a section that was never opened is None.
    def _act(alias: str | None, forms: list[str] | None, consent: str | None, licence: str | None) -> tuple[str, str]:
        bundle = studio.export(_chosen(alias), forms=tuple(forms or ()), consent=consent or "", licence=licence or "")
        return str(bundle.path), view_voices.exported(_chosen(alias), bundle)

    def _verify(folder: str | None) -> str:
        if not folder or not folder.strip():
            raise BadInput("Give the path of an exported folder.")
        return view_voices.verified(studio.verify(Path(folder.strip()).expanduser()))

    inputs = [parts["alias"], parts["forms"], parts["consent"], parts["licence"]]
    folder, told = parts["folder"], parts["told"]
    on(parts["act"].click, _act, inputs=inputs, outputs=[folder, told], long=True, name="voices_export")
    on(parts["verify"].click, _verify, inputs=[folder], outputs=[told], long=True, name="voices_verify")


def _chosen(alias: str | None) -> str:
    if not alias:
        raise BadInput("Promote a candidate on the Gate page first; then it can be exported.")
    return alias


# ------------------------------------------------------------------------------------------------------------- go back
def _move() -> dict[str, Any]:
    with gr.Column(elem_classes="em-panel"), gr.Accordion("Go back to the voice before", open=False):
        made: dict[str, Any] = {"alias": gr.Dropdown([], label="Alias", filterable=False, elem_id="back-alias")}
        made["by"] = gr.Textbox(label="Your name", max_lines=1, elem_id="back-by")
        made["reason"] = gr.Textbox(
            label="Why", info="Kept in the alias's history.", max_lines=1, elem_id="back-reason"
        )
        made["act"] = gr.Button("Go back", elem_id="back")
        made["told"] = theme.html()
    return made


def _bind_move(studio: Studio, parts: dict[str, Any], outputs: list[Any]) -> None:
    def _back(alias: str | None, by: str | None, reason: str | None) -> tuple[object, ...]:
        made = studio.roll_back(_chosen(alias), by=by or "", reason=reason or "")
        return view_voices.moved(made, studio.label(made.candidate)), *_shown(studio)

    inputs = [parts["alias"], parts["by"], parts["reason"]]
    on(parts["act"].click, _back, inputs=inputs, outputs=[parts["told"], *outputs], name="voices_back")


# ---------------------------------------------------------------------------------------------------------- bringing in
def _bring() -> dict[str, Any]:
    with gr.Column(elem_classes="em-panel"), gr.Accordion("Bring in an adapter", open=False):
        theme.html(
            "<p>A PEFT adapter or an exported voice, a folder or an archive, becomes a checkpoint that can be swept "
            "and judged. Only safetensors are read.</p>"
        )
        made: dict[str, Any] = {
            "path": gr.Textbox(label="Path", placeholder="/data/robin-adapter", max_lines=1, elem_id="bring-path"),
            "file": gr.File(label="or an archive", file_count="single", type="filepath", height=150),
        }
        with gr.Row():
            made["backend"] = gr.Dropdown([], label="Model", filterable=False, min_width=120)
            made["voice"] = gr.Dropdown(
                [""], label="Base voice", info="An exported voice knows its own.", filterable=False, min_width=120
            )
        made["name"] = gr.Textbox(label="Name", info="Of the run that it gets.", max_lines=1)
        made["act"] = gr.Button("Bring it in", elem_id="bring")
        made["told"] = theme.html()
    return made


def _bind_bring(studio: Studio, parts: dict[str, Any]) -> None:
    def _voices_of(backend: str) -> object:
        return gr.update(choices=["", *choices.base_voices(studio, backend)], value="")

    def _act(path: str | None, file: str | None, backend: str, voice: str | None, name: str | None) -> str:
        source = (path or "").strip() or file
        if not source:
            raise BadInput("Give the path of an adapter, or choose an archive.")
        made = studio.import_adapter(Path(source).expanduser(), backend=backend, voice=voice or "", name=name or "")
        return view_voices.brought_in(made)

    inputs = [parts[k] for k in ("path", "file", "backend", "voice", "name")]
    on(parts["backend"].change, _voices_of, inputs=[parts["backend"]], outputs=[parts["voice"]], name="voices_base")
    on(parts["act"].click, _act, inputs=inputs, outputs=[parts["told"]], long=True, name="voices_bring")
