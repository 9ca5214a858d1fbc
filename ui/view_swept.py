"""What becomes of a run's new checkpoints, in words: what is rendered of each, how far that is, where to hear it.

Pure like `view`: records in, HTML out. The run form, the Runs page and the Sweep page say it alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from engine.types import Line, Tier
from ui import view

if TYPE_CHECKING:
    from engine.studio import AutomaticSweep, EachCheckpoint
    from engine.sweep_progress import SweepView

GOING, STOPPED = ("waiting", "running"), ("paused", "failed", "cancelled")


def each(swept: AutomaticSweep, cost: EachCheckpoint) -> str:
    """What is rendered of one checkpoint: lines by tier, scales, seeds and clips."""
    scales = [scale for scale in dict.fromkeys(swept.scales) if scale]
    at = f"{'scale' if len(scales) == 1 else 'scales'} {', '.join(f'{scale:g}' for scale in scales)}"
    seeds = f"{'seed' if len(swept.seeds) == 1 else 'seeds'} {', '.join(map(str, swept.seeds))}"
    prompts = f", after {view.plural(len(swept.references), 'reference')}" if any(swept.references) else ""
    beside = [*(f"the control of {name}" for name in swept.gates), *(base.id for base in swept.controls)]
    told = f", beside the base and {', '.join(beside)}" if beside else ""
    return (
        f"Each new checkpoint: <b>{view.plural(cost.clips, 'clip')}</b>, {_lines(cost.lines)} of "
        f"{escape(swept.script)} at {at}, {seeds}{prompts}{escape(told)}."
    )


def _lines(lines: Sequence[Line]) -> str:
    by_tier = [(tier, sum(line.tier is tier for line in lines)) for tier in Tier]
    told = ", ".join(f"{count} {tier}" for tier, count in by_tier if count)
    return f"{view.plural(len(lines), 'line')} ({told})"


def card(run_id: str, swept: AutomaticSweep | None, cost: EachCheckpoint | None, sweeps: Sequence[SweepView]) -> str:
    """On the page of a run: whether its new checkpoints are swept, how far that is, and where to hear them."""
    to = f"/sweep?run={escape(run_id)}"
    if swept is None or cost is None:
        return (
            f"{view.heading('New checkpoints')}<p class='em-quiet'>They are kept and not rendered by themselves. "
            f'<a href="{to}#new-checkpoints">Sweep every new one</a></p>'
        )
    top = (
        '<div class="em-row em-between"><h2>New checkpoints</h2>'
        f'<div class="em-row"><a class="em-button" href="{to}">Listen on Sweep</a></div></div>'
    )
    trouble = view.notice(swept.trouble, bad=True) if swept.trouble else ""
    told = f"<p>They are rendered and screened by themselves. {each(swept, cost)}</p>"
    return f'<div class="em-stack">{top}{told}{_progress(sweeps)}{trouble}</div>'


def _progress(sweeps: Sequence[SweepView]) -> str:
    """What the sweeps that nobody asked for have done, and what goes on; the newest is the first of them."""
    if not sweeps:
        return '<p class="em-quiet">None was written since; the sweep begins with the next one.</p>'
    done = [one.record for one in sweeps if one.record.state == "done"]
    going = [one for one in sweeps if one.record.state in GOING]
    stopped = [one for one in sweeps if one.record.state in STOPPED]
    swept = {each.checkpoint_id for record in done for each in record.request.candidates if not each.is_base}
    parts = [view.state("pass", f"{view.plural(len(swept), 'checkpoint')} swept and screened")] if swept else []
    parts += [view.bar(one.done, one.total, _going(one)) for one in going[-1:]]
    if len(going) > 1:
        parts.append(view.state("none", f"{view.plural(len(going) - 1, 'more sweep')} after it"))
    if stopped:
        told = f"{view.plural(len(stopped), 'sweep')} did not come to an end: Sweep says why and goes on with it"
        parts.append(view.state("fail", told))
    return "".join(f"<div>{part}</div>" for part in parts)


def _going(one: SweepView) -> str:
    waits = "waits until the device is free" if one.record.state == "waiting" else "starting"
    left = f", about {view.duration(one.left_sec)} left" if one.left_sec else ""
    return f"{view.plural(one.record.clips, 'clip')}: {one.message or waits}{left}"
