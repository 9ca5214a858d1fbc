"""The Voices page: what is promoted, any text spoken by it, its export to download and to verify."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from engine.types import BadInput, Candidate
from ui import choices, figures, theme, view, view_sweep, view_voices
from ui.events import on, on_open

if TYPE_CHECKING:
    from engine.studio import Studio
    from engine.types import Speech

TEXT = "Twelve small boats waited near the harbour while the captain counted every blue bottle."
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
        with gr.Column(scale=3, min_width=320, elem_classes="em-panel"):
            theme.html(view.heading("Try any text"))
            text = gr.Textbox(TEXT, label="Text", lines=3, elem_id="text")
            with gr.Row(elem_classes="em-inline"):
                voice = gr.Dropdown([], label="Voice", filterable=False, elem_id="voice")
                seed = gr.Number(42, label="Seed", precision=0, min_width=100, elem_id="seed")
                speak = gr.Button("Speak", variant="primary", elem_id="speak")
            heard = theme.html()
        with gr.Column(scale=2, min_width=320, elem_classes="em-panel"):
            theme.html(view.heading("Export and verify"))
            alias = gr.Dropdown([], label="Promoted voice", filterable=False, elem_id="export-alias")
            export = gr.Button("Export", variant="primary", elem_id="export")
            folder = gr.Textbox(
                label="An exported folder",
                info="Every file is checked against the checksums.",
                max_lines=1,
                elem_id="folder",
            )
            verify = gr.Button("Verify", elem_id="verify")
            told = theme.html()

    def _open() -> tuple[object, ...]:
        found = studio.promotions()
        voices = _voices(studio)
        aliases = [p.alias for p in found]
        return (
            gr.update(visible=not found),
            view_voices.voices(found, {p.id: studio.label(p.candidate) for p in found}),
            gr.update(choices=list(voices), value=next(iter(voices), None)),
            gr.update(choices=aliases, value=aliases[0] if aliases else None),
        )

    def _speak(text: str, voice: str, seed: int) -> str:
        if not text.strip():
            raise BadInput("Write something to be spoken.")
        return _heard(studio.speak(text, candidate=_voices(studio)[voice], seed=int(seed)), voice)

    def _export(alias: str | None) -> tuple[str, str]:
        if not alias:
            raise BadInput("Promote a candidate on the Gate page first; then it can be exported.")
        bundle = studio.export(alias)
        return str(bundle.path), view_voices.exported(alias, bundle)

    def _verify(folder: str) -> str:
        return view_voices.verified(studio.verify(Path(folder.strip()).expanduser()))

    on_open(_open, outputs=[nothing, promoted, voice, alias], name="voices_open")
    on(speak.click, _speak, inputs=[text, voice, seed], outputs=[heard], long=True, name="voices_speak")
    on(export.click, _export, inputs=[alias], outputs=[folder, told], long=True, name="voices_export")
    on(verify.click, _verify, inputs=[folder], outputs=[told], long=True, name="voices_verify")


def _voices(studio: Studio) -> dict[str, Candidate]:
    """What can speak: every promoted alias, then the base voices."""
    found = {p.alias: p.candidate for p in studio.promotions()}
    for backend in studio.backends():
        found |= {f"base: {v}": Candidate(backend=backend, voice=v) for v in choices.base_voices(studio, backend)}
    return found


def _heard(speech: Speech, voice: str) -> str:
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, speech.samples, speech.sample_rate, format="WAV", subtype="PCM_16")
    seconds: Any = len(speech.samples) / speech.sample_rate
    ended = "stopped by itself" if speech.stop == "eos" else "cut at the cap"
    told = f"{voice}: {seconds:.1f} s, made in {speech.render_sec:.1f} s, {ended}"
    return view_sweep.spoken(out.getvalue(), figures.spectrum(speech.samples, speech.sample_rate), told)
