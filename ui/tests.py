"""The Tests page: engineers plan a listening test, invite reviewers, try it themselves, watch how far it is, end it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from engine.types import (
    CATCHES,
    BadInput,
    Candidate,
    Design,
    ListeningTest,
    Order,
    Pairing,
    Screening,
    StopRule,
    Switching,
    Treatment,
    TrialKind,
    TrialRole,
)
from ui import theme, view, view_tests
from ui.events import on, on_open

if TYPE_CHECKING:
    from engine.studio import Studio

NOTHING = view.empty(
    "No listening tests yet",
    "Render candidates on the same lines first; then plan here who hears what, blind.",
    ("Open a sweep", "/sweep"),
    ("Make the demo voice", "/?demo=1"),
)
EVERY_SEC = 5.0


def build(studio: Studio) -> None:
    """Build the page inside the current Blocks."""
    theme.header("Tests")
    with gr.Row(elem_classes="em-titlebar"):
        theme.html(view.title("Tests"))
        with gr.Row(elem_classes="em-acts"):
            person = gr.Textbox(
                label="Your name", placeholder="who decides", max_lines=1, elem_id="person", elem_classes="em-person"
            )
    nothing = theme.html(NOTHING, visible=False)
    with gr.Row(equal_height=False, visible=False) as shown:
        with gr.Column(scale=3, min_width=320, elem_classes="em-panel"):
            form = _form()
        with gr.Column(scale=2, min_width=320, elem_classes="em-panel"):
            guests = _guests()
    with gr.Column(elem_classes="em-panel", visible=False) as running:
        run = _running()
    watched = [running, run["cards"], run["test"]]

    def _open(request: gr.Request) -> tuple[object, ...]:
        asked = request.query_params
        known = studio.rendered_candidates()
        choices = [(_named(studio, each), each.id) for each in known]
        chosen = [name for name in asked.get("candidates", "").split(",") if name in {each.id for each in known}]
        kind = asked.get("kind", TrialKind.PREFERENCE.value)
        return (
            gr.update(visible=not known),
            gr.update(visible=bool(known)),
            gr.update(choices=choices, value=chosen),
            gr.update(value=kind if kind in list(TrialKind) else TrialKind.PREFERENCE.value),
            *_watched(studio),
            *_invited(studio),
        )

    outputs = [nothing, shown, form["candidates"], form["kind"], *watched, guests["listed"], guests["one"]]
    on_open(_open, outputs=outputs, name="tests_open")
    _bind_form(studio, form, person, watched)
    _bind_guests(studio, guests, person)
    _bind_running(studio, run, person, watched)
    on(gr.Timer(EVERY_SEC).tick, lambda: _watched(studio), outputs=watched, name="tests_watch")


# ------------------------------------------------------------------------------------------------------------ the parts
def _form() -> dict[str, Any]:
    made: dict[str, Any] = {}
    theme.html(view.heading("Plan a test"))
    with gr.Row():
        made["name"] = gr.Textbox(label="Name", placeholder="epochs 3 to 6", max_lines=1, elem_id="test-name")
        kinds = [(title, kind.value) for kind, (title, _) in view_tests.KINDS.items()]
        made["kind"] = gr.Dropdown(kinds, label="Kind", value="preference", filterable=False, elem_id="test-kind")
    made["about"] = theme.html(_about("preference"))
    made["candidates"] = gr.Dropdown([], label="Candidates", elem_id="test-candidates", multiselect=True)
    made["lines"] = gr.Dropdown(
        [], label="Lines", info="None chosen: every line that all of them have.", elem_id="test-lines", multiselect=True
    )
    with gr.Row():
        made["reviewers"] = gr.Textbox(
            label="Reviewers", info="Names, with commas.", placeholder="Ana, Ben", max_lines=1, elem_id="test-reviewers"
        )
        made["judgments"] = gr.Number(
            0, label="Judgments each", info="0: every question once.", precision=0, minimum=0, elem_id="test-judgments"
        )
    with gr.Accordion("Design, checks and what reviewers meet", open=False, elem_id="test-more"):
        _more(made)
    with gr.Row(elem_classes="em-inline"):
        made["outline"] = gr.Button("What would it ask?", elem_id="test-outline")
        made["make"] = gr.Button("Open the test", variant="primary", elem_id="test-make")
    made["told"] = theme.html()
    return made


def _more(made: dict[str, Any]) -> None:
    with gr.Row():
        made["design"] = gr.Radio(
            [("every question planned", "fixed"), ("adaptive: look for the best", "adaptive")],
            label="Design",
            value="fixed",
        )
        made["pairing"] = gr.Radio(
            [("all with all", "all"), ("the first with each", "first")], label="Pairs", value="all"
        )
    with gr.Row():
        made["order"] = gr.Radio([("drawn", "random"), ("Williams square", "williams")], label="Order", value="random")
        made["switching"] = gr.Radio(
            [("starts again", "restart"), ("goes on", "continue")], label="Switching to a clip", value="restart"
        )
    with gr.Row():
        made["catch_rate"] = gr.Slider(0, 0.5, 0.1, step=0.05, label="Share of checks", info="10 to 15 % are usual.")
        made["most_failed"] = gr.Slider(
            0, 1, 0.15, step=0.05, label="Left out above", info="Share of failed checks; fixed now, applied as written."
        )
    catches = [("same clip twice", "identical"), ("a degraded clip", "anchor"), ("a question again", "repeat")]
    made["catches"] = gr.CheckboxGroup(catches, label="Checks", value=[role.value for role in CATCHES])
    with gr.Row():
        made["anchor"] = gr.Radio([("muffled", "lowpass"), ("too fast", "fast")], label="Degraded by", value="lowpass")
        options = [("training trial", "training"), ("headphone check", "headphones"), ("low anchor (0 to 100)", "low")]
        made["parts"] = gr.CheckboxGroup(options, label="With", value=["training"])
    with gr.Row():
        made["stop"] = gr.Radio(
            [("number", "none"), ("e-value", "evalue"), ("SPRT", "sprt")], label="Adaptive: stop by", value="none"
        )
        made["most"] = gr.Number(200, label="At most", info="Judgments in all.", precision=0, minimum=1)
    made["instructions"] = gr.Textbox(
        label="Instructions", info="Shown before the first trial; name nothing that is compared.", max_lines=4
    )


def _guests() -> dict[str, Any]:
    made: dict[str, Any] = {}
    theme.html(view.heading("Invite"))
    with gr.Row():
        made["name"] = gr.Textbox(label="Reviewer", placeholder="Ana", max_lines=1, elem_id="invite-name")
        made["days"] = gr.Number(14, label="Days", precision=0, minimum=1, maximum=365, elem_id="invite-days")
    made["invite"] = gr.Button("Make a link", variant="primary", elem_id="invite")
    made["link"] = theme.html()
    made["listed"] = theme.html()
    with gr.Row(elem_classes="em-inline"):
        made["one"] = gr.Dropdown([], label="Invitation", filterable=False, elem_id="invitation")
        made["revoke"] = gr.Button("Revoke", variant="stop", elem_id="revoke")
    return made


def _running() -> dict[str, Any]:
    made: dict[str, Any] = {}
    theme.html(view.heading("Tests"))
    made["cards"] = theme.html()
    with gr.Row(elem_classes="em-inline"):
        made["test"] = gr.Dropdown([], label="Test", filterable=False, elem_id="test-one")
        made["dry"] = gr.Button("Dry run as myself", elem_id="test-dry")
        made["end"] = gr.Button("End it", variant="stop", elem_id="test-end")
    with gr.Row(elem_classes="em-inline"):
        made["newcomer"] = gr.Textbox(label="One more reviewer", max_lines=1, elem_id="test-newcomer")
        made["add"] = gr.Button("Add", elem_id="test-add")
    made["told"] = theme.html()
    return made


# --------------------------------------------------------------------------------------------------------------- events
FIELDS = (
    *("name", "kind", "candidates", "lines", "reviewers", "judgments", "design", "pairing", "order", "switching"),
    *("catch_rate", "most_failed", "catches", "anchor", "parts", "stop", "most", "instructions"),
)


def _bind_form(studio: Studio, form: dict[str, Any], person: gr.Textbox, watched: list[Any]) -> None:
    fields = [form[name] for name in FIELDS]

    def _lines(ids: list[str], lines: list[str]) -> object:
        common = studio.common_lines(_chosen(studio, ids))
        still = [line.id for line in common if line.id in lines]
        return gr.update(choices=[(f"{line.tier}: {line.text}"[:80], line.id) for line in common], value=still)

    def _outline(by: str, *values: Any) -> str:
        plan = _plan(studio, by or "somebody", values)
        return view_tests.outline(studio.outline(plan), len(plan.reviewers))

    def _make(by: str, *values: Any) -> tuple[object, ...]:
        test = studio.make_test(_plan(studio, _person(by), values))
        return view_tests.made(test), *_watched(studio)

    on(form["kind"].change, _about, inputs=[form["kind"]], outputs=[form["about"]], name="tests_kind")
    both = [form["candidates"], form["lines"]]
    on(form["candidates"].change, _lines, inputs=both, outputs=[form["lines"]], name="tests_lines")
    on(form["outline"].click, _outline, inputs=[person, *fields], outputs=[form["told"]], name="tests_outline")
    on(form["make"].click, _make, inputs=[person, *fields], outputs=[form["told"], *watched], name="tests_make")


def _bind_guests(studio: Studio, guests: dict[str, Any], person: gr.Textbox) -> None:
    listed = [guests["listed"], guests["one"]]

    def _invite(name: str, days: float, by: str) -> tuple[object, ...]:
        new = studio.invite(name, by=_person(by), days=days)
        return view_tests.invited(new), *_invited(studio)

    def _revoke(invitation_id: str | None, by: str) -> tuple[object, ...]:
        if not invitation_id:
            raise BadInput("Choose an invitation to revoke.")
        studio.revoke(invitation_id, by=_person(by))
        return _invited(studio)

    inputs = [guests["name"], guests["days"], person]
    on(guests["invite"].click, _invite, inputs=inputs, outputs=[guests["link"], *listed], name="tests_invite")
    on(guests["revoke"].click, _revoke, inputs=[guests["one"], person], outputs=listed, name="tests_revoke")


def _bind_running(studio: Studio, run: dict[str, Any], person: gr.Textbox, watched: list[Any]) -> None:
    def _dry(test_id: str | None, by: str) -> tuple[object, ...]:
        session = studio.start_dry_run(_one(test_id), by=_person(by))
        return view_tests.dry_run(session.id), *_watched(studio)

    def _add(test_id: str | None, name: str) -> tuple[object, ...]:
        session = studio.add_reviewer(_one(test_id), name)
        return view.sitting_link(session, studio.session_progress(session.id)[1]), *_watched(studio)

    def _end(test_id: str | None, by: str) -> tuple[object, ...]:
        studio.close_test(_one(test_id), by=_person(by))
        return view.notice("The test has ended; what was answered stays."), *_watched(studio)

    outputs = [run["told"], *watched]
    on(run["dry"].click, _dry, inputs=[run["test"], person], outputs=outputs, name="tests_dry")
    on(run["add"].click, _add, inputs=[run["test"], run["newcomer"]], outputs=outputs, name="tests_add")
    on(run["end"].click, _end, inputs=[run["test"], person], outputs=outputs, name="tests_end")


# --------------------------------------------------------------------------------------------------------------- inside
def _plan(studio: Studio, by: str, values: tuple[Any, ...]) -> ListeningTest:
    """The plan that the form describes."""
    given = dict(zip(FIELDS, values, strict=True))
    parts = set(given["parts"] or ())
    kind = TrialKind(given["kind"])
    return replace(
        studio.new_test(kind, by=by),
        name=given["name"] or "",
        candidates=tuple(_chosen(studio, given["candidates"] or [])),
        lines=tuple(given["lines"] or ()),
        reviewers=tuple(name.strip() for name in (given["reviewers"] or "").split(",") if name.strip()),
        judgments=int(given["judgments"] or 0),
        design=Design(given["design"]),
        pairing=Pairing(given["pairing"]),
        order=Order(given["order"]),
        switching=Switching(given["switching"]),
        catch_rate=float(given["catch_rate"]),
        catches=tuple(TrialRole(role) for role in given["catches"] or ()),
        anchor=Treatment(given["anchor"]),
        training="training" in parts,
        headphones="headphones" in parts,
        low_anchor="low" in parts and kind is TrialKind.MULTI,
        screening=Screening(max_failed_share=float(given["most_failed"])),
        stop=StopRule(method=given["stop"], max_judgments=int(given["most"] or 1)),
        instructions=(given["instructions"] or "").strip(),
    )


def _chosen(studio: Studio, ids: list[str] | None) -> list[Candidate]:
    known = {candidate.id: candidate for candidate in studio.rendered_candidates()}
    return [known[name] for name in ids or [] if name in known]


def _watched(studio: Studio) -> tuple[object, ...]:
    found = studio.tests()
    labels = {c.id: studio.label(c) for state in found for c in state.test.candidates}
    running = [(state.test.name, state.test.id) for state in found if state.test.closed_at is None]
    return gr.update(visible=bool(found)), view_tests.tests(found, labels), gr.update(choices=running)


def _invited(studio: Studio) -> tuple[object, ...]:
    found = studio.invitations_with_state()
    valid = [(f"{each.reviewer}, until {view.when(each.expires_at)}", each.id) for each, s in found if s == "valid"]
    return view_tests.invitations(found), gr.update(choices=valid, value=None)


def _named(studio: Studio, candidate: Candidate) -> str:
    run = (candidate.checkpoint_id or "").partition("@")[0]
    return studio.label(candidate) + (f" · {run}" if run else "")


def _about(kind: str) -> str:
    return f'<p class="em-quiet">{view_tests.KINDS[TrialKind(kind)][1]}</p>'


def _person(name: str) -> str:
    if not name.strip():
        raise BadInput("Write your name first: this is the act of a named person.")
    return name.strip()


def _one(test_id: str | None) -> str:
    if not test_id:
        raise BadInput("Choose a test first.")
    return test_id
