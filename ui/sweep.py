"""The Sweep page: render checkpoints at scales, see a measure as a grid, hear a cell, send candidates to blind
listening."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from engine.studio import Request
from engine.types import BadInput, Candidate, Tier
from ui import figures, theme, view, view_sweep
from ui.events import on, on_open

if TYPE_CHECKING:
    from engine.studio import Studio

POLL_SEC = 1.0
SCALES = "0.2, 0.3, 0.35, 0.5, 1.0"
ALL_TIERS = "all tiers"
MEASURES = [(name, measure) for measure, name in view_sweep.MEASURE_NAMES.items()]
# A click opens a cell; with shift, or on a cell that is open already, it marks the cell for listening.
GRID_CLICK = """element.addEventListener('click', (event) => {
  const cell = event.target.closest('[data-cell]');
  if (!cell) return;
  const again = cell.getAttribute('aria-current') === 'true';
  trigger('click', {cell: cell.dataset.cell, mark: event.shiftKey || again});
});"""
NOTHING = view.empty(
    "Nothing to sweep yet",
    (
        "A sweep renders every checkpoint of a run at several scales, so that you can hear which one to keep. Start "
        "a run first."
    ),
    ("Start a run", "/runs"),
    ("Make the demo voice", "/?demo=1"),
)


def build(studio: Studio) -> None:
    """Build the page inside the current Blocks."""
    theme.header("Sweep")
    with gr.Row(elem_classes="em-titlebar"):
        theme.html(view.title("Sweep"))
        with gr.Row(elem_classes="em-acts"):
            run = gr.Dropdown(
                [], label="Run", show_label=False, container=False, filterable=False, min_width=200, elem_id="run"
            )
    nothing = theme.html(NOTHING, visible=False)
    with gr.Column(visible=False) as shown:
        ask = _ask(studio)
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320, elem_classes="em-panel"):
                look = _look()
                grid = theme.html(js_on_load=GRID_CLICK)
                ask["send"] = _send(studio)
                response = theme.html()
            with gr.Column(scale=2, min_width=320, elem_classes="em-panel"):
                clips = theme.html()
    opened, marked = gr.State(""), gr.State(())
    picture = [grid, clips, response]
    chosen = [run, look["measure"], look["tier"], opened, marked]
    _bind_render(studio, run, ask, picture, chosen)
    _bind_grid(studio, look, grid, picture, chosen)
    _bind_send(studio, ask["send"], chosen)

    def _open(request: gr.Request) -> tuple[object, ...]:
        found = [r.id for r in studio.runs() if studio.checkpoints(r.id)]
        run_id = request.query_params.get("run") or (found[0] if found else None)
        boxes = _checkpoint_boxes(studio, run_id)
        drawn = _draw(studio, run_id, look["measure"].value, ALL_TIERS, "", ())
        seen = gr.update(visible=bool(found)), gr.update(visible=not found)
        return gr.update(choices=found, value=run_id), *seen, boxes, *_running(studio), *drawn

    def _choose(run_id: str, measure: str, tier: str) -> tuple[object, ...]:
        return _checkpoint_boxes(studio, run_id), "", (), *_draw(studio, run_id, measure, tier, "", ())

    on_open(_open, outputs=[run, shown, nothing, ask["checkpoints"], *_job_parts(ask), *picture], name="sweep_open")
    on(
        run.input,
        _choose,
        inputs=chosen[:3],
        outputs=[ask["checkpoints"], opened, marked, *picture],
        name="sweep_choose",
    )


# ---- the parts
def _ask(studio: Studio) -> dict[str, Any]:
    """The form: what to render, what it costs, how far it is."""
    with gr.Column(elem_classes="em-panel"):
        theme.html(view.heading("What to render"))
        made: dict[str, Any] = {"checkpoints": gr.CheckboxGroup([], label="Checkpoints", elem_id="checkpoints")}
        with gr.Row():
            made["scales"] = gr.Textbox(
                SCALES, label="Scales", info="0 is the base; it is always rendered as the control.", elem_id="scales"
            )
            made["seeds"] = gr.Textbox("42", label="Seeds", info="One clip a line and seed.", elem_id="seeds")
            names = list(studio.scripts())
            quick = next((name for name in names if name.endswith("-brief")), names[0])
            made["script"] = gr.Dropdown(names, value=quick, label="Script", filterable=False, elem_id="script")
            made["tiers"] = gr.CheckboxGroup(
                [t.value for t in Tier], value=[t.value for t in Tier], label="Tiers", elem_id="tiers"
            )
        with gr.Row(elem_classes="em-inline"):
            made["cost"] = theme.html()
            with gr.Row(elem_classes="em-acts"):
                made["cancel"] = gr.Button("Cancel", visible=False, elem_id="cancel")
                made["render"] = gr.Button("Render", variant="primary", elem_id="render")
        made["job"] = gr.State("")
        made["timer"] = gr.Timer(POLL_SEC, active=False)
    return made


def _look() -> dict[str, Any]:
    with gr.Row():
        measure = gr.Dropdown(
            MEASURES, value=MEASURES[0][1], label="Colour by", filterable=False, min_width=160, elem_id="measure"
        )
        tier = gr.Dropdown(
            [ALL_TIERS, *(t.value for t in Tier)], label="Tier", filterable=False, min_width=140, elem_id="tier"
        )
    return {"measure": measure, "tier": tier}


def _send(studio: Studio) -> dict[str, Any]:
    with gr.Row(elem_classes="em-inline"):
        reviewer = gr.Textbox(
            label="Reviewer",
            info="Who listens. Click a cell twice to mark it.",
            elem_id="reviewer",
            elem_classes="em-person",
        )
        gate = gr.Button("Send to a blind gate", variant="primary", elem_id="send-gate")
        pair = gr.Button("Send as A/B", elem_id="send-pair")
    return {"reviewer": reviewer, "gate": gate, "pair": pair, "link": theme.html()}


# ---- rendering
def _bind_render(studio: Studio, run: gr.Dropdown, ask: dict[str, Any], picture: list[Any], chosen: list[Any]) -> None:
    form = [ask[k] for k in ("checkpoints", "scales", "seeds", "script", "tiers")]

    def _cost(*asked: Any) -> str:
        try:
            return view_sweep.cost(studio.plan_sweep(_request(studio, *asked)))
        except BadInput as error:  # half a number while somebody types is no fault: it is said here, not as a message
            return view.notice(str(error))

    def _render(*asked: Any) -> tuple[object, ...]:
        return studio.start_sweep(_request(studio, *asked)), gr.Timer(active=True), gr.update(visible=True)

    def _tick(
        job_id: str, run_id: str, measure: str, tier: str, opened: str, marked: tuple[str, ...]
    ) -> tuple[object, ...]:
        job = studio.sweep_view(job_id)
        over = job.record.state not in ("waiting", "running")
        drawn = _draw(studio, run_id, measure, tier, opened, marked) if over else (gr.skip(),) * 3
        return view_sweep.progress(job), gr.Timer(active=not over), gr.update(visible=not over), *drawn

    on([f.change for f in form], _cost, inputs=form, outputs=[ask["cost"]], name="sweep_cost")
    on(ask["render"].click, _render, inputs=form, outputs=_job_parts(ask), name="sweep_render")
    on(
        ask["timer"].tick, _tick, inputs=[ask["job"], *chosen],
        outputs=[ask["cost"], ask["timer"], ask["cancel"], *picture], name="sweep_tick",
    )  # fmt: skip
    on(ask["cancel"].click, lambda job_id: studio.cancel_sweep(job_id), inputs=[ask["job"]], name="sweep_cancel")


def _job_parts(ask: dict[str, Any]) -> list[Any]:
    return [ask["job"], ask["timer"], ask["cancel"]]


def _running(studio: Studio) -> tuple[object, ...]:
    """The sweep that is going on, whoever started it: a reloaded page finds it again."""
    job = next((j.record for j in studio.sweeps() if j.record.state in ("waiting", "running")), None)
    return job.id if job else "", gr.Timer(active=job is not None), gr.update(visible=job is not None)


def _request(
    studio: Studio, checkpoint_ids: list[str], scales: str, seeds: str, script: str, tiers: list[str]
) -> Request:
    return Request(
        candidates=tuple(studio.candidates(checkpoint_ids, _numbers(scales, float, "Scales"))),
        script=studio.script(script),
        seeds=tuple(_numbers(seeds, int, "Seeds")),
        tiers=tuple(Tier(t) for t in tiers),
    )


def _numbers(text: str, kind: type[float] | type[int], name: str) -> list[Any]:
    try:
        return [kind(part) for part in text.replace(";", ",").split(",") if part.strip()]
    except ValueError:
        raise BadInput(
            f"{name} should be numbers with commas between them, for example "
            f"{'0.3, 1.0' if kind is float else '42, 43'}."
        ) from None


def _checkpoint_boxes(studio: Studio, run_id: str | None) -> object:
    found = studio.checkpoints(run_id) if run_id else []
    return gr.update(choices=[(f"epoch {c.epoch}", c.id) for c in found], value=[c.id for c in found])


# ---- the grid
def _bind_grid(studio: Studio, look: dict[str, Any], grid: gr.HTML, picture: list[Any], chosen: list[Any]) -> None:
    opened, marked = chosen[3:]

    def _click(
        run_id: str, measure: str, tier: str, before: str, marked: tuple[str, ...], event: gr.EventData
    ) -> tuple[object, ...]:
        cell, mark = str(event.cell), bool(event.mark)
        after = tuple(m for m in marked if m != cell) if cell in marked else (*marked, cell)
        kept = after if mark else marked
        return cell, kept, *_draw(studio, run_id, measure, tier, cell, kept)

    def _redraw(*now: Any) -> tuple[object, ...]:
        return _draw(studio, *now)

    on(grid.click, _click, inputs=chosen, outputs=[opened, marked, *picture], name="sweep_cell")
    on([look["measure"].input, look["tier"].input], _redraw, inputs=chosen, outputs=picture, name="sweep_colour")


def _draw(
    studio: Studio, run_id: str | None, measure: str, tier: str, opened: str, marked: tuple[str, ...]
) -> tuple[object, ...]:
    """The grid, the clips of the open cell, and the response curve."""
    if not run_id:
        return "", "", ""
    wanted = None if tier == ALL_TIERS else Tier(tier)
    grid = studio.grid(run_id, measure, tier=wanted)
    if not grid.cells:
        return view_sweep.NOT_RENDERED, "", ""
    verdicts = {v.candidate.id: v for v in studio.verdicts()}
    table = view_sweep.grid_table(grid, current=opened, marked=marked, verdicts=verdicts)
    found = {c.candidate.id: c for c in grid.cells.values()}
    label = view_sweep.measure_name(measure)
    curve = view.heading(f"What scale does to {label}", figures.response(grid, label))
    return table, _clips(studio, found[opened].candidate, wanted) if opened in found else view_sweep.PICK_A_CELL, curve


def _clips(studio: Studio, candidate: Candidate, tier: Tier | None) -> str:
    own = [c for c in studio.clips([candidate]) if tier is None or c.tier is tier]
    scores = studio.scores([c.id for c in own])
    cards = "".join(view_sweep.clip_card(c, scores.get(c.id, [])) for c in own)
    return view.heading(studio.label(candidate), f'<div class="em-stack">{cards}</div>')


# ---- listening
def _bind_send(studio: Studio, send: dict[str, Any], chosen: list[Any]) -> None:
    run, marked = chosen[0], chosen[4]

    def _gate(run_id: str, marked: tuple[str, ...], reviewer: str) -> str:
        session = studio.open_gate_session(_marked(studio, run_id, marked, 1), reviewer=reviewer)
        return view.sitting_link(session, studio.session_progress(session.id)[1])

    def _pair(run_id: str, marked: tuple[str, ...], reviewer: str) -> str:
        first, *rest = _marked(studio, run_id, marked, 2)
        session = studio.open_preference_session([(first, other) for other in rest], reviewer=reviewer)
        return view.sitting_link(session, studio.session_progress(session.id)[1])

    inputs = [run, marked, send["reviewer"]]
    on(send["gate"].click, _gate, inputs=inputs, outputs=[send["link"]], name="sweep_send_gate")
    on(send["pair"].click, _pair, inputs=inputs, outputs=[send["link"]], name="sweep_send_pair")


def _marked(studio: Studio, run_id: str, marked: tuple[str, ...], at_least: int) -> list[Candidate]:
    known = {c.candidate.id: c.candidate for c in studio.clips()}
    found = [known[m] for m in marked if m in known]
    if len(found) < at_least:
        need = "a candidate" if at_least == 1 else "two candidates"
        raise BadInput(f"Mark {need} first: click a cell, then click it again.")
    return found
