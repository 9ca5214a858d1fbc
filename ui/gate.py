"""The Gate page: what the answers say of every candidate, what may go, and what is promoted. A named person confirms
each act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from engine.types import BadInput, Outcome
from ui import theme, view, view_gate
from ui.events import on, on_open

if TYPE_CHECKING:
    from engine.studio import Studio

NOTHING = view.empty(
    "Nothing to judge yet",
    (
        "Render a sweep, mark a few cells and send them to a blind gate. What reviewers answer appears here, and "
        "nothing else decides."
    ),
    ("Open a sweep", "/sweep"),
    ("Make the demo voice", "/?demo=1"),
)


def build(studio: Studio) -> None:
    """Build the page inside the current Blocks."""
    theme.header("Gate")
    with gr.Row(elem_classes="em-titlebar"):
        theme.html(view.title("Gate"))
        with gr.Row(elem_classes="em-acts"):
            person = gr.Textbox(
                label="Your name", placeholder="who decides", max_lines=1, elem_id="person", elem_classes="em-person"
            )
            judge = gr.Button("Turn answers into verdicts", variant="primary", elem_id="judge")
    nothing = theme.html(NOTHING, visible=False)
    with gr.Column(visible=False) as shown:
        with gr.Column(elem_classes="em-panel"):
            matrix = theme.html()
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320, elem_classes="em-panel"):
                sure = theme.html()
                promote = _promote()
            with gr.Column(scale=2, min_width=320, elem_classes="em-panel"):
                preview = theme.html()
                going = gr.CheckboxGroup([], label="May go", elem_id="going")
                confirm = gr.Button("Move to the trash", variant="stop", elem_id="trash")
                pin = _pin()
        with gr.Column(elem_classes="em-panel", visible=False) as bin_panel:
            lying = theme.html()
            with gr.Row(elem_classes="em-inline"):
                stone = gr.Dropdown([], label="In the trash", filterable=False, elem_id="stone")
                undo, purge = (
                    gr.Button("Undo", elem_id="undo"),
                    gr.Button("Delete for good", variant="stop", elem_id="purge"),
                )
    outputs = [
        nothing,
        shown,
        matrix,
        sure,
        promote["candidate"],
        preview,
        going,
        confirm,
        bin_panel,
        lying,
        stone,
        *pin[:1],
    ]

    def _judge(by: str) -> tuple[object, ...]:
        gr.Info(view_gate.verdicts_written(studio.judge(by=_person(by))))
        return _panels(studio)

    def _trash(ids: list[str], by: str) -> tuple[object, ...]:
        studio.trash(ids, by=_person(by))
        return _panels(studio)

    def _undo(stone_id: str, by: str) -> tuple[object, ...]:
        studio.undo(stone_id, by=_person(by))
        return _panels(studio)

    def _purge(stone_id: str, by: str) -> tuple[object, ...]:
        studio.purge(stone_id, by=_person(by))
        return _panels(studio)

    on(judge.click, _judge, inputs=[person], outputs=outputs, name="gate_judge")
    on(confirm.click, _trash, inputs=[going, person], outputs=outputs, name="gate_trash")
    on(undo.click, _undo, inputs=[stone, person], outputs=outputs, name="gate_undo")
    on(purge.click, _purge, inputs=[stone, person], outputs=outputs, name="gate_purge")
    on_open(lambda: _panels(studio), outputs=outputs, name="gate_open")
    _bind_promote(studio, promote, person, outputs)
    _bind_pin(studio, pin, person, outputs)


def _promote() -> dict[str, Any]:
    with gr.Row(elem_classes="em-inline"):
        candidate = gr.Dropdown(
            [], label="Promote", info="What passed every tier.", filterable=False, elem_id="promote-candidate"
        )
        alias = gr.Textbox(
            "production/voice", label="Alias", info="The name that others use.", max_lines=1, elem_id="alias"
        )
    reason = gr.Textbox(label="Why this one", max_lines=1, elem_id="why")
    act = gr.Button("Promote", variant="primary", elem_id="promote")
    return {"candidate": candidate, "alias": alias, "reason": reason, "act": act, "told": theme.html()}


def _pin() -> tuple[gr.Dropdown, gr.Button, gr.Button]:
    checkpoint = gr.Dropdown([], label="Keep whatever the verdicts say", filterable=False, elem_id="pin-checkpoint")
    with gr.Row():
        return (
            checkpoint,
            gr.Button("Pin", elem_id="pin", min_width=80),
            gr.Button("Unpin", elem_id="unpin", min_width=80),
        )


def _bind_promote(studio: Studio, promote: dict[str, Any], person: gr.Textbox, outputs: list[Any]) -> None:
    def _act(candidate_id: str, alias: str, reason: str, by: str) -> tuple[object, ...]:
        known = {row.candidate.id: row.candidate for row in studio.matrix()}
        if candidate_id not in known:
            raise BadInput("Choose a candidate that passed every tier; there may be none yet.")
        made = studio.promote(known[candidate_id], alias=alias.strip(), by=_person(by), reason=reason.strip())
        return view_gate.promoted(made), *_panels(studio)

    inputs = [promote["candidate"], promote["alias"], promote["reason"], person]
    on(promote["act"].click, _act, inputs=inputs, outputs=[promote["told"], *outputs], name="gate_promote")


def _bind_pin(
    studio: Studio, pin: tuple[gr.Dropdown, gr.Button, gr.Button], person: gr.Textbox, outputs: list[Any]
) -> None:
    checkpoint, do, undo = pin

    def _pin_it(checkpoint_id: str, by: str) -> tuple[object, ...]:
        studio.pin(checkpoint_id or "", by=_person(by))
        return _panels(studio)

    def _unpin_it(checkpoint_id: str, by: str) -> tuple[object, ...]:
        studio.unpin(checkpoint_id or "", by=_person(by))
        return _panels(studio)

    on(do.click, _pin_it, inputs=[checkpoint, person], outputs=outputs, name="gate_pin")
    on(undo.click, _unpin_it, inputs=[checkpoint, person], outputs=outputs, name="gate_unpin")


def _person(name: str) -> str:
    if not name.strip():
        raise BadInput("Write your name first: verdicts, the trash and promotions are acts of a named person.")
    return name.strip()


def _panels(studio: Studio) -> tuple[object, ...]:
    """Everything that the page shows, in the order of its outputs."""
    rows, answers, stones = studio.matrix(), studio.retention(), studio.trashed()
    passed = [(r.label, r.candidate.id) for r in rows if r.outcome is Outcome.PASS and not r.candidate.is_base]
    going = [r.checkpoint_id for r in answers if not r.keep]
    return (
        gr.update(visible=not rows),
        gr.update(visible=bool(rows)),
        view_gate.matrix(rows, {r.checkpoint_id: r for r in answers}),
        view.heading("How sure is this?", view_gate.how_sure(rows)),
        gr.update(choices=passed, value=passed[0][1] if passed else None),
        view.heading("Retention, if you confirm", view_gate.retention_preview(answers)),
        gr.update(choices=going, value=going, visible=bool(going)),
        gr.update(value=f"Move {len(going)} to the trash", visible=bool(going)),
        gr.update(visible=bool(stones)),
        view.heading("Trash", view_gate.trash(stones)),
        gr.update(choices=[(s.checkpoint_id, s.id) for s in stones], value=stones[0].id if stones else None),
        gr.update(choices=[r.checkpoint_id for r in answers], value=None),
    )
