"""The verb that sweeps candidates over a script: what it would cost, rendering, going on, new checkpoints."""

from __future__ import annotations

import math
import time
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from engine.cli.choosing import add_candidates, add_settings, candidates_of, settings_of
from engine.cli.output import progress, seconds, size, table
from engine.cli.verb import Answer, Verb
from engine.types import BadInput, Clip, Score, Tier

if TYPE_CHECKING:
    from engine.studio import Studio
    from engine.sweep import Plan, Request


def _arguments(parser: ArgumentParser) -> None:
    instead = add_candidates(parser)
    instead.add_argument("--list", action="store_true", help="all sweeps, how far they are and what they did")
    instead.add_argument("--resume", metavar="SWEEP", help="go on with a sweep that did not come to its end")
    instead.add_argument("--due", action="store_true", help="the new checkpoints of runs with --automatic, now")
    parser.add_argument("--script", default="english", help="the listening script (default: english)")
    parser.add_argument(
        "--references", nargs="+", metavar="NAME", help="audio prompts, each a clip of its own ('none': without one)"
    )
    parser.add_argument(
        "--controls", nargs="+", default=[], metavar="BASE", help="bases of other voices too: base:BACKEND/VOICE"
    )
    parser.add_argument(
        "--gate", default="", metavar="NAME", help="the control too that this gate names of another model"
    )
    parser.add_argument("--tiers", nargs="+", choices=[t.value for t in Tier], help="only these tiers (default: all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[42], help="a clip for each seed (default: 42)")
    parser.add_argument("--by", default="", metavar="NAME", help="who asks for it")
    add_settings(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--plan", action="store_true", help="say what it would cost and render nothing")
    what.add_argument("--automatic", action="store_true", help="sweep every new checkpoint of --run like this instead")
    what.add_argument("--no-automatic", action="store_true", help="sweep the new checkpoints of --run no more")


def _sweep(studio: Studio, args: Namespace) -> Answer:
    if args.list:
        return _listed(studio)
    if args.resume:
        return _rendered(studio, lambda: studio.finish_sweep(args.resume, progress()), cost={})
    if args.due:
        return _rendered(
            studio, lambda: [c for due in studio.due_sweeps() for c in studio.finish_sweep(due, progress())], cost={}
        )
    if args.automatic or args.no_automatic:
        return _automatic(studio, args)
    request = _request(studio, args)
    plan = studio.plan_sweep(request)
    if args.plan:
        return Answer(data={"plan": _cost(plan, studio)}, text=_cost_told(plan, studio))
    return _rendered(studio, lambda: studio.render(request, progress(), by=args.by), cost=_cost(plan, studio))


def _request(studio: Studio, args: Namespace) -> Request:
    from engine import sweep
    from engine.cli.choosing import parse_candidate

    request = sweep.Request(
        candidates=(*candidates_of(studio, args), *(parse_candidate(studio, name) for name in args.controls)),
        script=studio.script(args.script),
        seeds=tuple(args.seeds),
        settings=settings_of(args),
        tiers=tuple(Tier(tier) for tier in args.tiers) if args.tiers else None,
        references=tuple(None if n == "none" else studio.reference(n) for n in args.references or ["none"]),
    )
    return studio.with_control(request, args.gate) if args.gate else request


def _automatic(studio: Studio, args: Namespace) -> Answer:
    from engine.cli.choosing import parse_candidate
    from engine.sweep_records import AutomaticSweep

    if not args.run:
        raise BadInput("New checkpoints belong to a run: name it with --run.")
    if args.no_automatic:
        studio.stop_sweeping_new(args.run)
        return Answer(data={"automatic": None}, text=f"The new checkpoints of {args.run} are left alone.")
    setting = AutomaticSweep(
        run_id=args.run,
        scales=tuple(args.scales),
        script=args.script,
        tiers=tuple(Tier(tier) for tier in args.tiers) if args.tiers else None,
        seeds=tuple(args.seeds),
        references=tuple(None if n == "none" else studio.reference(n).sha256 for n in args.references or ["none"]),
        settings=settings_of(args),
        controls=tuple(parse_candidate(studio, name) for name in args.controls),
        gates=(args.gate,) if args.gate else (),
    )
    studio.sweep_new_checkpoints(setting)
    told = "swept by the app as they come, when the device is free; `sweep --due` does it without the app."
    return Answer(data={"automatic": setting}, text=f"The new checkpoints of {args.run} are {told}")


def _listed(studio: Studio) -> Answer:
    found = [view.record for view in studio.sweeps()]
    rows = [(r.id, r.state.value, r.clips, r.rendered, r.screened, r.by, r.error or r.message) for r in found]
    head = ("sweep", "state", "clips", "rendered", "screened", "by", "")
    data = [{name: value for name, value in vars(r).items() if name != "request"} for r in found]
    return Answer(data={"sweeps": data}, text=table(head, rows, empty="No sweeps yet."))


def _rendered(studio: Studio, work: Any, *, cost: dict[str, Any]) -> Answer:
    begun = time.perf_counter()
    clips: list[Clip] = work()
    took = time.perf_counter() - begun
    scores = studio.scores([clip.id for clip in clips])
    ready = f", {cost['cached']} of them from the cache" if cost else ""
    text = f"{_clip_table(clips, scores)}\n\n{len(clips)} clips in {seconds(took)}{ready}."
    return Answer(data={"plan": cost, "clips": clips, "scores": scores, "seconds": took}, text=text)


def _cost(plan: Plan, studio: Studio) -> dict[str, Any]:
    return {
        "clips": len(plan.jobs),
        "cached": sum(job.key in plan.cached for job in plan.jobs),
        "audio_sec": plan.audio_sec,
        "estimate_sec": plan.estimate_sec,
        "screening_sec": studio.screening_sec(plan),
        "estimate_bytes": plan.estimate_bytes,
    }


def _cost_told(plan: Plan, studio: Studio) -> str:
    cost = _cost(plan, studio)
    return (
        f"{cost['clips']} clips, {cost['cached']} of them in the cache; the rest is about {seconds(plan.audio_sec)} "
        f"of audio: {seconds(plan.estimate_sec)} to render, {seconds(cost['screening_sec'])} to screen, "
        f"{size(plan.estimate_bytes)}."
    )


def _clip_table(clips: list[Clip], scores: dict[str, list[Score]]) -> str:
    rows = []
    for clip in clips:
        own = scores.get(clip.id, [])
        values = {score.screener: score.value for score in own}
        flags = "; ".join(score.explanation for score in own if score.passed is False) or "nothing flagged"
        rows.append((clip.candidate.id, clip.line_id, clip.duration_sec, values.get("phoneme_errors", math.nan), flags))
    return table(("candidate", "line", "s", "errors %", "flags"), rows, empty="No clips.")


VERBS = (
    Verb(
        name="sweep",
        help="render and screen checkpoints x scales x lines x seeds",
        description="Render and screen candidates over a listening script; clips rendered before come from the cache. "
        "An interrupted sweep is paused: `sweep --list` names it and `sweep --resume` goes on.",
        arguments=_arguments,
        run=_sweep,
    ),
)
