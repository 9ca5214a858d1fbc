"""The part of the Voices page where any text is spoken: by one voice, by two side by side or blind, or many lines.

Blind here means that the two are shown without names, in an order that the page does not know; a decision belongs in a
sitting on the Listen page.
"""

from __future__ import annotations

import io
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from engine.types import BadInput, Candidate
from ui import choices, figures, theme, view, view_sweep, view_voices
from ui.events import on

if TYPE_CHECKING:
    from engine.studio import Studio
    from engine.types import Speech

TEXT = "Twelve small boats waited near the harbour while the captain counted every blue bottle."
ALONE = "nothing"
SPEAKERS = tuple[Candidate, dict[str, float] | None]


def build() -> dict[str, Any]:
    """The two panels."""
    made: dict[str, Any] = {}
    with gr.Column(elem_classes="em-panel"):
        theme.html(view.heading("Try any text"))
        made["text"] = gr.Textbox(TEXT, label="Text", lines=3, elem_id="text")
        with gr.Row(elem_classes="em-inline"):
            made["voice"] = gr.Dropdown([], label="Voice", filterable=False, elem_id="voice")
            made["other"] = gr.Dropdown([ALONE], value=ALONE, label="Next to", filterable=False, elem_id="other")
            made["reference"] = gr.Dropdown(
                [], label="Reference", info="For voices that follow one.", filterable=False, visible=False
            )
            made["seed"] = gr.Number(42, label="Seed", precision=0, min_width=100, elem_id="seed")
        with gr.Row(elem_classes="em-acts"):
            made["blind"] = gr.Checkbox(False, label="Without names", elem_id="blind")
            made["reveal"] = gr.Button("Which is which?", visible=False, elem_id="reveal")
            made["speak"] = gr.Button("Speak", variant="primary", elem_id="speak")
        made["heard"] = theme.html()
        made["order"] = gr.State([])
    with gr.Column(elem_classes="em-panel"):
        theme.html(view.heading("Many lines"))
        made["lines"] = gr.Textbox(label="Lines", info="One a row; each becomes a WAV file.", lines=4, elem_id="lines")
        with gr.Row(elem_classes="em-inline"):
            made["alias"] = gr.Dropdown([], label="Promoted voice", filterable=False, elem_id="lines-alias")
            made["render"] = gr.Button("Speak them all", elem_id="speak-lines")
        made["zip"] = gr.File(label="Clips and manifest", visible=False, elem_id="lines-zip")
    return made


def bind(studio: Studio, parts: dict[str, Any]) -> None:
    """What the panels' buttons do."""

    def _say(text: str, speaker: SPEAKERS, seed: int, after: str | None) -> Speech:
        candidate, settings = speaker
        follows = after and studio.takes_references(candidate.backend) != "none"
        reference = studio.reference(str(after)) if follows else None
        return studio.speak(text, candidate=candidate, seed=seed, settings=settings, reference=reference)

    def _speak(text: str, voice: str, other: str, seed: int, blind: bool, after: str | None) -> tuple[object, ...]:
        if not text.strip():
            raise BadInput("Write something to be spoken.")
        names = [voice] if other in (ALONE, voice) else [voice, other]
        hidden = blind and len(names) == 2
        if hidden and secrets.randbelow(2):
            names = names[::-1]
        known = speakers(studio)
        said = [_say(text, known[n], int(seed), after) for n in names]
        shown = [f"Voice {'AB'[i]}" if hidden else name for i, name in enumerate(names)]
        clips = [_heard(speech, name, hidden=hidden) for speech, name in zip(said, shown, strict=True)]
        return view_voices.side_by_side(clips), names if hidden else [], gr.update(visible=hidden)

    def _reveal(names: list[str]) -> tuple[object, ...]:
        gr.Info(view_voices.revealed(names))
        return (gr.update(visible=False),)

    def _lines(alias: str | None, lines: str | None, seed: int) -> object:
        if not alias:
            raise BadInput("Promote a candidate on the Gate page first; then it can speak a list of lines.")
        packed = studio.speak_lines(alias, (lines or "").splitlines(), seed=int(seed))
        file = Path(tempfile.mkdtemp()) / f"{alias.replace('/', '-')}-lines.zip"
        file.write_bytes(packed)
        return gr.update(value=str(file), visible=True)

    inputs = [parts[k] for k in ("text", "voice", "other", "seed", "blind", "reference")]
    outputs = [parts[k] for k in ("heard", "order", "reveal")]
    on(parts["speak"].click, _speak, inputs=inputs, outputs=outputs, long=True, name="voices_speak")
    on(parts["reveal"].click, _reveal, inputs=[parts["order"]], outputs=[parts["reveal"]], name="voices_reveal")
    wanted = [parts["alias"], parts["lines"], parts["seed"]]
    on(parts["render"].click, _lines, inputs=wanted, outputs=[parts["zip"]], long=True, name="voices_lines")


def references(studio: Studio) -> object:
    """The audio prompts of the workspace, none first; not shown while there are none."""
    kept = [(each.name, each.reference.sha256) for each in studio.references()]
    return gr.update(choices=[("none", ""), *kept], value="", visible=bool(kept))


def speakers(studio: Studio) -> dict[str, SPEAKERS]:
    """What can speak: every promoted alias with its settings, the voice it had before, then the base voices."""
    found: dict[str, SPEAKERS] = {}
    for promotion in studio.promotions():
        found[promotion.alias] = (promotion.candidate, promotion.settings.flat)
        before = studio.previous_holder(promotion.alias)
        if before is not None:
            found[f"{promotion.alias}, before"] = (before.candidate, before.settings.flat)
    for backend in studio.backends():
        found |= {
            f"base: {v}": (Candidate(backend=backend, voice=v), None) for v in choices.base_voices(studio, backend)
        }
    return found


def _heard(speech: Speech, voice: str, *, hidden: bool) -> str:
    """A player; without names there is no length, no spectrum and no word on how it ended either."""
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, speech.samples, speech.sample_rate, format="WAV", subtype="PCM_16")
    if hidden:
        return view_voices.unnamed(out.getvalue(), voice)
    seconds = len(speech.samples) / speech.sample_rate
    ended = "stopped by itself" if speech.stop == "eos" else "cut at the cap"
    told = f"{voice}: {seconds:.1f} s, made in {speech.render_sec:.1f} s, {ended}"
    return view_sweep.spoken(out.getvalue(), figures.spectrum(speech.samples, speech.sample_rate), told)
