"""What the Sweep page shows, put together from the studio: the form of a run, the grid with its curves, the editor.

Asks the studio and hands records to the views. Knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.types import BadInput, Candidate, EngineError, ListeningTest, NotFound, Run, Script, Tier, TrialKind
from ui import figures, view, view_leaks, view_sweep, view_sweep_form, view_sweep_trend
from ui.sweep_asked import OF_GATE
from ui.view_sweep_form import ACTIVE, Offered

if TYPE_CHECKING:
    from engine.studio import AutomaticSweep, EachCheckpoint, RateTrend, Studio

ANY = "any"
MOST_ROWS = 200  # of a dataset, offered as references


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What of a run's clips is shown; empty means all, `reference` "any" too and "" those without one."""

    run: str
    measure: str = ""
    tier: str = ""
    script: str = ""
    reference: str = ANY


def page(studio: Studio, run_id: str) -> dict[str, Any]:
    """The runs, the form of the one that is open, and the measures."""
    runs = studio.runs()
    swept = {each.id: bool(studio.checkpoints(each.id)) for each in runs}
    shown = [each for each in runs if swept[each.id] or not each.state.is_over]
    run = next((each for each in shown if each.id == run_id), shown[0] if shown else None)
    if run is None:
        return {"run": "", "runs": []}
    measures = studio.measures()
    return {
        "run": run.id,
        "runs": [[each.id, each.config.name or each.id] for each in shown],
        "form": view_sweep_form.form(_offered(studio, run)),
        "measures": view_sweep.measure_options(measures, measures[0].name),
        "measure": measures[0].name,
        "gates": [[each.name, f"{each.name}, version {each.gate.version}"] for each in studio.gates() if each.gate],
    }


def going(studio: Studio) -> dict[str, Any]:
    """How far the sweeps are."""
    listed, leaks = studio.sweeps(), studio.leak_job()
    stamps = [f"{s.record.id}:{s.record.rendered}:{s.record.screened}:{s.record.state}" for s in listed[:9]]
    return {
        "html": view_leaks.progress(leaks) + view_sweep_form.progress(listed),
        "active": any(each.record.state in ACTIVE for each in listed) or (leaks is not None and leaks.ended_at is None),
        "stamp": " ".join([*stamps, f"{leaks.id}:{leaks.state}" if leaks else ""]),
    }


def grid(studio: Studio, chosen: Chosen) -> dict[str, Any]:
    """The grid as a table, its curves, and what lies behind every cell."""
    measures = {m.name: m for m in studio.measures()}
    measure = measures.get(chosen.measure) or next(iter(measures.values()))
    found = studio.grid(
        chosen.run,
        measure.name,
        tier=Tier(chosen.tier) if chosen.tier in [t.value for t in Tier] else None,
        script_sha256=chosen.script,
        reference_sha256=None if chosen.reference == ANY else chosen.reference,
    )
    clips = found.clips
    if not clips:
        return {
            "table": view_sweep.NOT_RENDERED,
            "curves": "",
            "takes": {},
            "told": "",
            "scripts": [],
            "references": [],
        }
    verdicts = {v.candidate.id: v for v in studio.verdicts()}
    label = measure.title[:1].lower() + measure.title[1:]
    cells = {c.candidate.id for c in (*found.cells.values(), *found.others)}
    takes: dict[str, list[list[object]]] = {}
    apart = view_sweep.told_apart(clips)
    for clip in sorted(clips, key=lambda c: (list(Tier).index(c.tier), c.line_id, c.seed)):
        key = clip.candidate.id
        if key in cells:
            after = clip.reference.sha256 if clip.reference else ""
            takes.setdefault(key, []).append(
                [clip.id, clip.line_id, clip.tier.value, clip.seed, after, apart.get(clip.id, "")]
            )
    own = any(not each.candidate.is_base for each in found.cells.values())
    table = view_sweep.grid_table(found, measure.title, current="", marked=(), verdicts=verdicts)
    return {
        "table": table if own else view_sweep.BASE_ALONE + table,
        "about": measure.about,
        "curves": figures.response(found, label),
        "trend": figures.trend(found, label) + view_sweep_trend.rates(_rates(studio, chosen)),
        "leaks": view_leaks.reports(studio.leak_reports(chosen.run), studio.label),
        "takes": takes,
        "told": f"{view.plural(len(cells), 'cell')} · {view.plural(sum(map(len, takes.values())), 'clip')}",
        "scripts": _scripts(studio, {clip.script_sha256 for clip in clips}),
        "references": _references(studio, {clip.reference.sha256 if clip.reference else "" for clip in clips}),
        "short": view_sweep_form.short_lines(studio.line_fits(chosen.run, chosen.script)),
    }


def _rates(studio: Studio, chosen: Chosen) -> Sequence[RateTrend]:
    after = None if chosen.reference == ANY else chosen.reference
    return studio.rate_trends(chosen.run, script_sha256=chosen.script, reference_sha256=after)


def editor(studio: Studio, name: str, run_id: str) -> str:
    """The editor over a script."""
    script = studio.script(name)
    try:
        fits = {fit.line_id: fit for fit in studio.line_fits(run_id, script.sha256)} if run_id else {}
    except NotFound:
        fits = {}
    return view_sweep_form.editor(
        script,
        studio.script_text(name),
        shipped=studio.is_shipped(name),
        fits=fits,
        languages=studio.script_languages(),
    )


def sent(studio: Studio, kind: TrialKind, chosen: Sequence[Candidate], reviewer: str, gate: str = "") -> str:
    """Opens a blind sitting over candidates; where to find it."""
    if kind is TrialKind.GATE:
        session = studio.open_gate_session(chosen, reviewer=reviewer, gate=gate)
    elif kind is TrialKind.PREFERENCE:
        session = studio.open_preference_session(_pairs(chosen), reviewer=reviewer)
    else:
        if not reviewer.strip():
            raise BadInput("A test needs the reviewer's name.")
        test = studio.make_test(_plan(studio, kind, chosen, reviewer.strip()))
        session = next(s for s in studio.sessions() if s.test_id == test.id)
    return view.sitting_link(session, studio.session_progress(session.id)[1])


def outline(studio: Studio, kind: TrialKind, chosen: Sequence[Candidate], gate: str = "") -> str:
    """What a sitting would ask of a reviewer: questions and minutes."""
    if kind is TrialKind.GATE:
        asked = studio.gate_outline(chosen, gate=gate)
        return view_sweep_form.outline(asked, studio.gate(gate).about)
    if kind is TrialKind.PREFERENCE:
        return view_sweep_form.outline(studio.preference_outline(_pairs(chosen)))
    return view_sweep_form.outline(studio.outline(_plan(studio, kind, chosen, "a reviewer")))


def _pairs(chosen: Sequence[Candidate]) -> list[tuple[Candidate, Candidate]]:
    return [(chosen[0], other) for other in chosen[1:]]


def _plan(studio: Studio, kind: TrialKind, chosen: Sequence[Candidate], reviewer: str) -> ListeningTest:
    plan = studio.new_test(kind, by=reviewer)
    return replace(plan, name=f"{kind} from the sweep", candidates=tuple(chosen), reviewers=(reviewer,))


def _offered(studio: Studio, run: Run) -> Offered:
    found = studio.checkpoints(run.id)
    backend = run.config.backend
    takes = studio.takes_references(backend)
    rows: list[tuple[str, str]] = []
    if takes != "none":
        try:
            rows = studio.dataset_rows(run.config.dataset)[:MOST_ROWS]
        except EngineError:  # the dataset was removed; recordings can still be chosen
            rows = []
    controls = [
        (f"Control of {each.name}: {each.gate.control.voice} of {each.gate.control.backend}", f"{OF_GATE}{each.name}")
        for each in studio.gates()
        if each.gate and each.gate.control
    ]
    controls += [
        (f"{voice} of {name}", f"base:{name}/{voice}")
        for name in studio.backends()
        if name != backend
        for voice in studio.base_voices(name)[:8]
    ]
    swept, each = automatic(studio, run.id)
    return Offered(
        checkpoints=found,
        scripts=studio.scripts(),
        takes=takes,
        references=studio.references(),
        settings=studio.settings_offered(backend),
        rows=rows,
        dataset=run.config.dataset,
        controls=controls,
        automatic=swept,
        each=each,
    )


def automatic(studio: Studio, run_id: str) -> tuple[AutomaticSweep | None, EachCheckpoint | None]:
    """How a run's new checkpoints are swept, and what that renders of each; no figures where its script is gone."""
    swept = next((each for each in studio.automatic_sweeps() if each.run_id == run_id), None)
    try:
        return swept, studio.each_checkpoint(swept, studio.run(run_id).config.backend) if swept else None
    except EngineError:
        return swept, None


def _scripts(studio: Studio, used: set[str]) -> list[list[str]]:
    """The scripts that clips were rendered with: hash and name; one that was edited since has its hash alone."""
    known: dict[str, Script] = {script.sha256: script for script in map(studio.script, studio.scripts())}
    return [[sha, known[sha].name if sha in known else f"earlier, {sha[:8]}"] for sha in sorted(used)]


def _references(studio: Studio, used: set[str]) -> list[list[str]]:
    names = {each.reference.sha256: each.name for each in studio.references()}
    return [[sha, names.get(sha, sha[:12]) if sha else "no reference"] for sha in sorted(used)]
