"""The Gate page: how every candidate stands under a gate, why, what is still needed, and what follows: promotion,
retention. A named person confirms each act.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from engine.types import BadInput, Outcome, Tier
from ui import gate_rules, theme, view, view_gate, view_gate_evidence, view_leaks, view_retention
from ui.events import on, on_open
from ui.gate_looking import Look, Looking, Offers

if TYPE_CHECKING:
    from engine.studio import MatrixRow, Studio

ALL_RUNS, ALL_TIERS = "", "all tiers"
AFTER = "|"  # between a candidate and the reference that it is released with
CELL_CLICK = """element.addEventListener('click', (event) => {
  const cell = event.target.closest('[data-cell]');
  if (cell) trigger('click', {cell: cell.dataset.cell});
});"""
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
    title, chosen, person, judge = _titlebar()
    looking = gr.State(Looking())
    nothing = theme.html(view.opening("Reading what reviewers answered …"))
    with gr.Column(visible=False) as shown:
        with gr.Column(elem_classes="em-panel"):
            matrix = theme.html(js_on_load=CELL_CLICK)
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320, elem_classes="em-panel"):
                evidence = theme.html()
            with gr.Column(scale=2, min_width=320, elem_classes="em-panel"):
                needed = theme.html(js_on_load=CELL_CLICK)
                asking = _asking()
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320, elem_classes="em-panel"):
                sure = theme.html()
                promote = _promote()
            with gr.Column(scale=2, min_width=320, elem_classes="em-panel"):
                retention = _retention()
        with gr.Column(elem_classes="em-panel"):
            rules = gate_rules.build()
        with gr.Column(elem_classes="em-panel", visible=False) as bin_panel:
            bin_parts = _bin()
    picture = [title, matrix, evidence, needed]
    outputs = [nothing, shown, *picture, sure, promote["candidate"]]
    outputs += [retention[k] for k in ("preview", "spent", "going", "confirm", "pinned")]
    outputs += [bin_panel, bin_parts["lying"], bin_parts["stone"], asking["candidates"]]

    def _judge(by: str, gate: str, looking: Looking) -> tuple[object, ...]:
        gr.Info(view_gate.verdicts_written(studio.judge(by=_person(by), gate=gate)))
        return _panels(studio, looking)

    on(judge.click, _judge, inputs=[person, chosen[0], looking], outputs=outputs, name="gate_judge")
    _bind_choosing(studio, chosen, looking, (matrix, needed), picture, outputs, rules)
    _bind_asking(studio, asking, chosen)
    _bind_promote(studio, promote, [person, chosen[0], looking], outputs)
    _bind_retention(studio, retention, [person, looking], outputs)
    _bind_bin(studio, bin_parts, [person, looking], outputs)
    gate_rules.bind(studio, rules, chosen[0], person)


# ---- the parts
def _titlebar() -> tuple[gr.HTML, list[Any], gr.Textbox, gr.Button]:
    with gr.Row(elem_classes=["em-titlebar", "em-gatebar"]):
        title = theme.html(view.title("Gate"))
        with gr.Row(elem_classes="em-acts"):
            person = gr.Textbox(
                label="Your name", placeholder="who decides", max_lines=1, elem_id="person", elem_classes="em-person"
            )
            judge = gr.Button("Turn answers into verdicts", variant="primary", elem_id="judge")
    with gr.Row(elem_classes="em-choosing"):
        gate = gr.Dropdown([], label="Gate", filterable=False, min_width=160, elem_id="gate")
        run = gr.Dropdown([], label="Run", filterable=False, min_width=160, elem_id="gate-run")
        tiers = [ALL_TIERS, *(tier.value for tier in Tier)]
        tier = gr.Dropdown(tiers, value=ALL_TIERS, label="Tier", filterable=False, min_width=120, elem_id="gate-tier")
    return title, [gate, run, tier], person, judge


def _asking() -> dict[str, Any]:
    made: dict[str, Any] = {
        "candidates": gr.Dropdown(
            [], multiselect=True, label="Ask about", info="Undecided; those that were heard first.", elem_id="ask-about"
        )
    }
    with gr.Row(elem_classes="em-inline"):
        made["reviewer"] = gr.Textbox(label="Reviewer", placeholder="who listens", max_lines=1, elem_id="ask-whom")
        made["act"] = gr.Button("Open a blind sitting", elem_id="ask")
    made["link"] = theme.html()
    return made


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
    made["going"] = gr.CheckboxGroup([], label="May go", elem_id="going")
    made["confirm"] = gr.Button("Move to the trash", variant="stop", elem_id="trash")
    made["spent"] = theme.html()
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
    with gr.Row(elem_classes="em-inline"):
        made["typed"] = gr.Textbox(
            label="To delete it before its delay is over, type its id",
            placeholder="run@000100",
            max_lines=1,
            elem_id="purge-typed",
        )
        made["purge"] = gr.Button("Delete for good", variant="stop", elem_id="purge")
    return made


# ---- what is looked at
def _bind_choosing(
    studio: Studio,
    chosen: list[Any],
    looking: gr.State,
    clicked: tuple[gr.HTML, gr.HTML],
    picture: list[Any],
    outputs: list[Any],
    rules: dict[str, Any],
) -> None:
    def _open(looking: Looking) -> tuple[object, ...]:
        gates = [(each.name, each.name) for each in studio.gates() if each.gate]
        runs = _runs(studio)
        first = gates[0][1]
        run = runs[0][1]
        picked = (gr.update(choices=gates, value=first), gr.update(choices=runs, value=run))
        looking.turn_to(first, run, ALL_TIERS)
        return *picked, *gate_rules.filled(studio, first), *_panels(studio, looking)

    def _gate(gate: str, run: str, tier: str, looking: Looking) -> tuple[object, ...]:
        looking.turn_to(gate, run, tier)
        return *gate_rules.filled(studio, gate), *_panels(studio, looking)

    def _click(gate: str, run: str, tier: str, looking: Looking, event: gr.EventData) -> tuple[object, ...]:
        looking.turn_to(gate, run, tier, str(event.cell))
        return looking.drawn(lambda look, _: _picture(studio, look))

    def _look(gate: str, run: str, tier: str, looking: Looking) -> tuple[object, ...]:
        looking.turn_to(gate, run, tier)
        return looking.drawn(lambda look, _: _picture(studio, look))

    now = [*chosen, looking]
    form = gate_rules.fields(rules)
    on_open(_open, inputs=[looking], outputs=[*chosen[:2], *form, *outputs], name="gate_open")
    on(chosen[0].input, _gate, inputs=now, outputs=[*form, *outputs], latest=True, name="gate_choose")
    on([chosen[1].input, chosen[2].input], _look, inputs=now, outputs=picture, latest=True, name="gate_look")
    on([each.click for each in clicked], _click, inputs=now, outputs=picture, each=True, name="gate_cell")


def _runs(studio: Studio) -> list[tuple[str, str]]:
    """The runs whose candidates were rendered, the newest first, and all of them."""
    spoken = {(clip.candidate.checkpoint_id or "").rpartition("@")[0] for clip in studio.clips()}
    found = [(run.config.name or run.id, run.id) for run in studio.runs() if run.id in spoken]
    return [*found, ("all runs", ALL_RUNS)] if len(found) != 1 else [found[0], ("all runs", ALL_RUNS)]


def _picture(studio: Studio, look: Look, rows: list[MatrixRow] | None = None) -> tuple[object, ...]:
    """The title, the matrix, the open cell, and what is needed."""
    rules = studio.gate(look.gate)
    rows = studio.matrix(look.gate, look.run) if rows is None else rows
    tiers = tuple(Tier) if look.tier == ALL_TIERS else (Tier(look.tier),)
    return (
        view.title("Gate", f"{rules.name}, version {rules.version}"),
        view_gate.matrix(rows, tiers=tiers, current=look.cell),
        _evidence(studio, look.gate, rows, look.cell),
        view.heading("Still needed for a decision", view_gate.needed(rows)),
    )


def _evidence(studio: Studio, gate: str, rows: list[MatrixRow], opened: str) -> str:
    name, _, tier = opened.partition("|")
    row = next((row for row in rows if row.candidate.id == name), None)
    if row is None or tier not in list(Tier):
        return view.heading("The evidence", view_gate_evidence.PICK_A_CELL)
    seen = studio.evidence(row.candidate, Tier(tier), gate)
    titles = {measure.name: measure.title for measure in studio.measures()}
    return view_gate_evidence.cell(row, Tier(tier), seen, beside=_beside(studio, row), titles=titles)


def _beside(studio: Studio, row: MatrixRow) -> str:
    """What was measured over several clips or checkpoints."""
    run = (row.candidate.checkpoint_id or "").rpartition("@")[0]
    if not run:
        return ""
    found = studio.rate_trends(run)
    trend = next((each for each in found if each.lora_scale == row.candidate.lora_scale), None)
    report = next((each for each in studio.leak_reports(run) if each.candidate == row.candidate), None)
    leaks = view_leaks.summary(report, studio.takes_references(row.candidate.backend))
    return view_gate_evidence.beside(row, trend, leaks)


# ---- acts
def _bind_asking(studio: Studio, asking: dict[str, Any], chosen: list[Any]) -> None:
    def _ask(names: list[str], reviewer: str, gate: str, tier: str) -> str:
        known = {clip.candidate.id: clip.candidate for clip in studio.clips()}
        found = [known[name] for name in names if name in known]
        if not found:
            raise BadInput("Choose at least one candidate to ask about.")
        tiers = tuple(Tier) if tier == ALL_TIERS else (Tier(tier),)
        session = studio.open_gate_session(found, reviewer=reviewer, gate=gate, tiers=tiers)
        return view.sitting_link(session, studio.session_progress(session.id)[1])

    inputs = [asking["candidates"], asking["reviewer"], chosen[0], chosen[2]]
    on(asking["act"].click, _ask, inputs=inputs, outputs=[asking["link"]], name="gate_ask")


def _bind_promote(studio: Studio, promote: dict[str, Any], of_whom: list[Any], outputs: list[Any]) -> None:
    def _act(candidate_id: str, alias: str, reason: str, by: str, gate: str, looking: Looking) -> tuple[object, ...]:
        known = {row.candidate.id: row.candidate for row in studio.matrix(gate)}
        name, _, after = (candidate_id or "").partition(AFTER)
        if name not in known:
            raise BadInput("Choose a candidate that passed every tier; there may be none yet.")
        made = studio.promote(
            known[name],
            alias=alias.strip(),
            by=_person(by),
            reason=reason.strip(),
            reference=after or None,
            gate=studio.gate(gate).name,
        )
        return view_gate.promoted(made), *_panels(studio, looking)

    inputs = [promote["candidate"], promote["alias"], promote["reason"], *of_whom]
    on(promote["act"].click, _act, inputs=inputs, outputs=[promote["told"], *outputs], name="gate_promote")


def _bind_retention(studio: Studio, retention: dict[str, Any], of_whom: list[Any], outputs: list[Any]) -> None:
    def _trash(ids: list[str], by: str, looking: Looking) -> tuple[object, ...]:
        studio.trash(ids, by=_person(by))
        return _panels(studio, looking)

    def _ticked(ids: list[str]) -> object:
        return gr.update(value=f"Move {len(ids)} to the trash", interactive=bool(ids))

    def _pin(checkpoint_id: str | None, by: str, looking: Looking) -> tuple[object, ...]:
        studio.pin(checkpoint_id or "", by=_person(by))
        return _panels(studio, looking)

    def _unpin(checkpoint_id: str | None, by: str, looking: Looking) -> tuple[object, ...]:
        studio.unpin(checkpoint_id or "", by=_person(by))
        return _panels(studio, looking)

    def _inspect() -> str:
        return view_retention.inspected(studio.inspect(checksums=True))

    going, pinned = [retention["going"], *of_whom], [retention["pinned"], *of_whom]
    on(retention["inspect"].click, _inspect, outputs=[retention["found"]], long=True, name="gate_inspect")
    ticked, confirm = retention["going"], retention["confirm"]
    on(ticked.change, _ticked, inputs=[ticked], outputs=[confirm], latest=True, name="gate_ticked")
    on(confirm.click, _trash, inputs=going, outputs=outputs, name="gate_trash")
    on(retention["pin"].click, _pin, inputs=pinned, outputs=outputs, name="gate_pin")
    on(retention["unpin"].click, _unpin, inputs=pinned, outputs=outputs, name="gate_unpin")


def _bind_bin(studio: Studio, parts: dict[str, Any], of_whom: list[Any], outputs: list[Any]) -> None:
    def _undo(stone_id: str, by: str, looking: Looking) -> tuple[object, ...]:
        studio.undo(stone_id, by=_person(by))
        return _panels(studio, looking)

    def _purge(stone_id: str, typed: str, by: str, looking: Looking) -> tuple[object, ...]:
        studio.purge(stone_id, by=_person(by), typed=typed or "")
        return "", *_panels(studio, looking)

    on(parts["undo"].click, _undo, inputs=[parts["stone"], *of_whom], outputs=outputs, name="gate_undo")
    inputs = [parts["stone"], parts["typed"], *of_whom]
    on(parts["purge"].click, _purge, inputs=inputs, outputs=[parts["typed"], *outputs], name="gate_purge")


def _person(name: str) -> str:
    if not name.strip():
        raise BadInput("Write your name first: verdicts, the trash and promotions are acts of a named person.")
    return name.strip()


def _panels(studio: Studio, looking: Looking) -> tuple[object, ...]:
    """Everything that the page shows, in the order of its outputs."""
    return looking.drawn(lambda look, offers: _panels_of(studio, look, offers))


def _panels_of(studio: Studio, look: Look, offers: Offers) -> tuple[object, ...]:
    rows, answers, stones = studio.matrix(look.gate, look.run), studio.retention(), studio.trashed()
    passed = _promotable(studio, rows, look.gate)
    going = [r.checkpoint_id for r in answers if not r.keep]
    in_bin = [(s.checkpoint_id, s.id) for s in stones]
    return (
        gr.update(value=NOTHING, visible=not rows),
        gr.update(visible=bool(rows)),
        *_picture(studio, look, rows),
        view.heading("How sure is this?", view_gate.how_sure(rows, studio.preferences())),
        offers.update("passed", passed, value=passed[0][1] if passed else None),
        view.heading("Retention, if you confirm", view_retention.preview(answers)),
        view_retention.budget(studio.spent(), studio.free_bytes()),
        offers.update("going", going, value=going, visible=bool(going)),
        gr.update(visible=bool(going)),
        offers.update("kept", [r.checkpoint_id for r in answers], value=None),
        gr.update(visible=bool(stones)),
        view.heading("Trash", view_retention.trash(stones)),
        offers.update("in the trash", in_bin, value=stones[0].id if stones else None),
        offers.update("undecided", _undecided(rows), value=[]),
    )


def _promotable(studio: Studio, rows: list[MatrixRow], gate: str) -> list[tuple[str, str]]:
    """What passed; where it did after several references, each of them by itself: what was judged is promoted."""
    names = {each.reference.sha256: each.name for each in studio.references()}
    found = []
    for row in rows:
        if row.outcome is Outcome.PASS and not row.candidate.is_base:
            after = dict.fromkeys(each.reference_sha256 for each in studio.manners(row.candidate, gate))
            if any(after):
                told = ((key, names.get(key, key[:12]) if key else "no reference") for key in after)
                found += [(f"{row.label} after {name}", f"{row.candidate.id}{AFTER}{key}") for key, name in told]
            else:
                found.append((row.label, row.candidate.id))
    return found


def _undecided(rows: list[MatrixRow]) -> list[tuple[str, str]]:
    """What reviewers can still decide: heard candidates first."""
    waiting = [row for row in rows if any(state.needed and state.clips for state in row.tiers.values())]
    ordered = sorted(waiting, key=lambda row: not any(s.passes or s.fails for s in row.tiers.values()))
    return [(row.label, row.candidate.id) for row in ordered]
