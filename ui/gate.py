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
                retention = _retention()
        with gr.Column(elem_classes="em-panel", visible=False) as bin_panel:
            bin_parts = _bin()
    outputs = [nothing, shown, matrix, sure, promote["candidate"]]
    outputs += [retention[k] for k in ("preview", "spent", "going", "confirm", "pinned")]
    outputs += [bin_panel, bin_parts["lying"], bin_parts["stone"]]

    def _judge(by: str) -> tuple[object, ...]:
        gr.Info(view_gate.verdicts_written(studio.judge(by=_person(by))))
        return _panels(studio)

    on(judge.click, _judge, inputs=[person], outputs=outputs, name="gate_judge")
    on_open(lambda: _panels(studio), outputs=outputs, name="gate_open")
    _bind_promote(studio, promote, person, outputs)
    _bind_retention(studio, retention, person, outputs)
    _bind_bin(studio, bin_parts, person, outputs)


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


def _retention() -> dict[str, Any]:
    made: dict[str, Any] = {"preview": theme.html()}
    made["spent"] = theme.html()
    made["going"] = gr.CheckboxGroup([], label="May go", elem_id="going")
    made["confirm"] = gr.Button("Move to the trash", variant="stop", elem_id="trash")
    made["pinned"] = gr.Dropdown([], label="Keep whatever the verdicts say", filterable=False, elem_id="pin-checkpoint")
    with gr.Row():
        made["pin"] = gr.Button("Pin", elem_id="pin", min_width=80)
        made["unpin"] = gr.Button("Unpin", elem_id="unpin", min_width=80)
    made["inspect"] = gr.Button("Check every byte on the disk", elem_id="inspect")
    made["found"] = theme.html()
    return made


def _bin() -> dict[str, Any]:
    made: dict[str, Any] = {"lying": theme.html()}
    with gr.Row(elem_classes="em-inline"):
        made["stone"] = gr.Dropdown([], label="In the trash", filterable=False, elem_id="stone")
        made["undo"] = gr.Button("Undo", elem_id="undo")
        made["purge"] = gr.Button("Delete for good", variant="stop", elem_id="purge")
    return made


def _bind_promote(studio: Studio, promote: dict[str, Any], person: gr.Textbox, outputs: list[Any]) -> None:
    def _act(candidate_id: str, alias: str, reason: str, by: str) -> tuple[object, ...]:
        known = {row.candidate.id: row.candidate for row in studio.matrix()}
        if candidate_id not in known:
            raise BadInput("Choose a candidate that passed every tier; there may be none yet.")
        made = studio.promote(known[candidate_id], alias=alias.strip(), by=_person(by), reason=reason.strip())
        return view_gate.promoted(made), *_panels(studio)

    inputs = [promote["candidate"], promote["alias"], promote["reason"], person]
    on(promote["act"].click, _act, inputs=inputs, outputs=[promote["told"], *outputs], name="gate_promote")


def _bind_retention(studio: Studio, retention: dict[str, Any], person: gr.Textbox, outputs: list[Any]) -> None:
    def _trash(ids: list[str], by: str) -> tuple[object, ...]:
        studio.trash(ids, by=_person(by))
        return _panels(studio)

    def _pin(checkpoint_id: str | None, by: str) -> tuple[object, ...]:
        studio.pin(checkpoint_id or "", by=_person(by))
        return _panels(studio)

    def _unpin(checkpoint_id: str | None, by: str) -> tuple[object, ...]:
        studio.unpin(checkpoint_id or "", by=_person(by))
        return _panels(studio)

    def _inspect() -> str:
        return view_gate.inspected(studio.inspect(checksums=True))

    on(retention["inspect"].click, _inspect, outputs=[retention["found"]], long=True, name="gate_inspect")
    on(retention["confirm"].click, _trash, inputs=[retention["going"], person], outputs=outputs, name="gate_trash")
    on(retention["pin"].click, _pin, inputs=[retention["pinned"], person], outputs=outputs, name="gate_pin")
    on(retention["unpin"].click, _unpin, inputs=[retention["pinned"], person], outputs=outputs, name="gate_unpin")


def _bind_bin(studio: Studio, parts: dict[str, Any], person: gr.Textbox, outputs: list[Any]) -> None:
    def _undo(stone_id: str, by: str) -> tuple[object, ...]:
        studio.undo(stone_id, by=_person(by))
        return _panels(studio)

    def _purge(stone_id: str, by: str) -> tuple[object, ...]:
        studio.purge(stone_id, by=_person(by))
        return _panels(studio)

    on(parts["undo"].click, _undo, inputs=[parts["stone"], person], outputs=outputs, name="gate_undo")
    on(parts["purge"].click, _purge, inputs=[parts["stone"], person], outputs=outputs, name="gate_purge")


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
        view.heading("How sure is this?", view_gate.how_sure(rows, studio.preferences())),
        gr.update(choices=passed, value=passed[0][1] if passed else None),
        view.heading("Retention, if you confirm", view_gate.retention_preview(answers)),
        view_gate.budget(studio.spent(), studio.free_bytes()),
        gr.update(choices=going, value=going, visible=bool(going)),
        gr.update(value=f"Move {len(going)} to the trash", visible=bool(going)),
        gr.update(choices=[r.checkpoint_id for r in answers], value=None),
        gr.update(visible=bool(stones)),
        view.heading("Trash", view_gate.trash(stones)),
        gr.update(choices=[(s.checkpoint_id, s.id) for s in stones], value=stones[0].id if stones else None),
    )
