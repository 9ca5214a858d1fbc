"""What preflight found, as a card beside the form: refusals and warnings with what mends them, memory, disk, advice,
and what exactly will run.

Pure: takes records, returns HTML. A change is a button; `runs.js` puts it into the form.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

from engine.types import Advice, Change, DiskEstimate, Level, MemoryEstimate, Preflight, PreflightItem, Reason
from ui import view, view_swept

if TYPE_CHECKING:
    from engine.studio import AutomaticSweep, EachCheckpoint

SHAPES = {Level.OK: ("pass", "fine"), Level.WARN: ("wait", "look"), Level.REFUSE: ("fail", "refused")}
WORST_FIRST = (Level.REFUSE, Level.WARN, Level.OK)
VERDICTS = {
    Level.OK: ("pass", "Ready to start"),
    Level.WARN: ("wait", "Can start; read the warnings"),
    Level.REFUSE: ("fail", "Cannot start like this"),
}
MEMORY_WORDS = {
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "optimizer state",
    "activations": "activations",
    "adapter": "adapter",
    "reserve": "framework",
}
WAITING = (
    '<div class="em-preflight"><h2>Before the start</h2>'
    '<p class="em-quiet">Looking at data, memory and disk …</p></div>'
)


def card(
    found: Preflight, swept: AutomaticSweep | None = None, each: EachCheckpoint | None = None, *, runs: int = 1
) -> str:
    """Everything that is known of a run before it starts; with `swept`, what `each` of its checkpoints will be. Several
    `runs` differ in their learning rates alone.
    """
    shape, word = VERDICTS[found.level]
    items = sorted(found.items, key=lambda item: WORST_FIRST.index(item.level))
    open_ones = "".join(_item(item) for item in items if item.level is not Level.OK)
    fine = "".join(_item(item) for item in items if item.level is Level.OK)
    many = f"{runs} runs, each " if runs > 1 else ""
    steps = f'<span class="em-quiet">{many}about {view.plural(found.steps, "step")}</span>' if found.steps else ""
    parts = [
        f'<div class="em-row em-between"><h2>Before the start</h2>{steps}</div>',
        f'<p class="em-outlook" role="status">{view.state(shape, word)}</p>',
        f'<ul class="em-items">{open_ones}{fine}</ul>' if items else "",
        _memory(found.memory) if found.memory else "",
        _disk(found.disk, runs) if found.disk else "",
        _swept(swept, each, found.disk.checkpoints if found.disk else 0) if swept and each else "",
        _advice(found.advice) if found.advice else "",
        _copyable("The command that will run, once a run" if runs > 1 else "The command that will run", found.command),
        _copyable("run.json", found.record, folded=True),
    ]
    return f'<div class="em-preflight em-stack" data-level="{found.level}">{"".join(filter(None, parts))}</div>'


def refused(sentence: str) -> str:
    """What stands there while the form cannot be read as settings of a run."""
    return (
        f'<div class="em-preflight em-stack" data-level="refuse"><h2>Before the start</h2>'
        f'<p class="em-outlook" role="status">{view.state("fail", VERDICTS[Level.REFUSE][1])}</p>'
        f"{view.notice(sentence, bad=True)}</div>"
    )


def _item(item: PreflightItem) -> str:
    shape, word = SHAPES[item.level]
    settings = " ".join(
        dict.fromkeys([*(c.setting for c in item.changes), *([item.override] if item.override else [])])
    )
    buttons = "".join(_change(change) for change in item.changes)
    lead = '<p class="em-quiet">Any one of these mends it:</p>' if len(item.changes) > 1 else ""
    override = (
        f'<button type="button" data-ask="{escape(item.override)}">Start all the same, under my name</button>'
        if item.override
        else ""
    )
    mend = f'{lead}<div class="em-changes">{buttons}{override}</div>' if buttons or override else ""
    return (
        f'<li data-item="{item.level}" data-settings="{escape(settings)}"><span class="em-state em-{shape}">'
        f'<span class="em-visually-hidden">{word}</span></span><div><p>{escape(item.text)}</p>{mend}</div></li>'
    )


def _change(change: Change) -> str:
    new = list(change.new) if isinstance(change.new, tuple) else change.new
    told = escape(json.dumps(new))
    return (
        f'<button type="button" data-change="{escape(change.setting)}" data-to="{told}">{escape(change.text)}</button>'
    )


# ---- memory
def _memory(found: MemoryEstimate) -> str:
    """The classes as one stacked bar against what is there, and the same as a list."""
    there = found.available_bytes
    whole = max(found.needed_bytes, there or 0, 1)
    parts = [(name, count) for name, count in found.by_class.items() if count]
    bars = "".join(
        f'<i class="em-m-{name}" style="width:{100 * count / whole:.2f}%" title="{MEMORY_WORDS[name]}"></i>'
        for name, count in parts
    )
    line = f'<b style="left:{100 * there / whole:.2f}%"></b>' if there and there < whole else ""
    listed = "".join(
        f'<li><i class="em-m-{name}"></i>{MEMORY_WORDS[name]} <span>{view.size(count)}</span></li>'
        for name, count in parts
    )
    fits = there is None or found.needed_bytes <= there
    what = "of the device" if found.basis == "total" else "free"
    told = f"{view.size(found.needed_bytes)} needed" + (f", {view.size(there)} {what}" if there is not None else "")
    short = "" if fits else f" {view.state('fail', f'{view.size(found.needed_bytes - (there or 0))} too much')}"
    return (
        f'<section class="em-estimate"><h3>Memory on {escape(found.device)}</h3><p>{told}{short}</p>'
        f'<div class="em-stacked{"" if fits else " em-over"}" role="img" aria-label="{told}">{bars}{line}</div>'
        f'<ul class="em-swatches">{listed}</ul></section>'
    )


# ---- disk
def _disk(found: DiskEstimate, runs: int) -> str:
    """What the run writes, or all of several that share their cached features, against what is free."""
    needed = runs * (found.needed_bytes - found.features_bytes) + found.features_bytes
    share = min(100.0, 100 * needed / max(found.free_bytes, 1))
    over = needed > found.free_bytes
    told = f"{view.size(needed)} to write{f' by {runs} runs' if runs > 1 else ''}, {view.size(found.free_bytes)} free"
    parts = [f"{view.plural(found.checkpoints, 'checkpoint')} of {view.size(found.checkpoint_bytes)}"]
    parts += [f"{view.size(found.resume_bytes)} to resume from"] if found.resume_bytes else []
    parts += [f"{view.size(found.features_bytes)} of cached features"] if found.features_bytes else []
    return (
        f'<section class="em-estimate"><h3>Disk</h3><p>{told}</p><div class="em-stacked{" em-over" if over else ""}" '
        f'role="img" aria-label="{told}"><i class="em-m-weights" style="width:{max(share, 0.5):.2f}%"></i></div>'
        f'<p class="em-quiet">{", ".join(parts)}; every checkpoint is kept.</p></section>'
    )


# ---- what becomes of new checkpoints
def _swept(swept: AutomaticSweep, each: EachCheckpoint, checkpoints: int) -> str:
    """What is rendered of each new checkpoint, and what all of them take."""
    many = max(1, checkpoints)
    whole = (
        f"{view.plural(many, 'checkpoint')}: {view.plural(many * each.clips, 'clip')}, about "
        f"{view.duration(many * each.render_sec)} to render, {view.duration(many * each.screen_sec)} to screen, "
        f"{view.size(many * each.bytes)}"
    )
    return (
        f'<section class="em-estimate"><h3>Sweep of new checkpoints</h3><p>{view_swept.each(swept, each)}</p>'
        f'<p class="em-quiet">{whole}; the base once more. They begin when the device is free.</p></section>'
    )


# ---- advice
def _advice(advice: Advice) -> str:
    """What to do next with this dataset, why, and who found it out."""
    why = "".join(_reason(reason) for reason in advice.reasons)
    hints = "".join(_reason(reason) for reason in advice.hints)
    more = f'<details><summary>About rank, scale and little data</summary><ul class="em-reasons">{hints}</ul></details>'
    name = escape(advice.preset)
    take = f'<p><button type="button" data-preset="{name}">Take the preset “{name}”</button></p>' if name else ""
    return (
        f'<section class="em-advice"><h3>Advice: {escape(advice.title)}</h3><ul class="em-reasons">{why}</ul>'
        f"{more if hints else ''}{take}</section>"
    )


def _reason(reason: Reason) -> str:
    return f"<li>{escape(reason.text)} <small>{escape(reason.source)}</small></li>"


# ---- what will run
def _copyable(title: str, text: str, *, folded: bool = False) -> str:
    copy = f'<button type="button" class="em-chip" data-copy aria-label="Copy: {escape(title)}">Copy</button>'
    if folded:
        return (
            f'<details class="em-copyable"><summary>{escape(title)}</summary>{copy}<pre>{escape(text)}</pre></details>'
        )
    return (
        f'<section class="em-copyable"><div class="em-row em-between"><h3>{escape(title)}</h3>{copy}</div>'
        f"<pre>{escape(text)}</pre></section>"
    )
