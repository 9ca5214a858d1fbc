"""What a run looks like on its page: its head, alerts, checkpoints, failure card, log; the list of runs and the queue.

Pure: takes records, returns HTML or what `runs.js` draws marks from. Every text of a person or a file is escaped. The
pieces are put into the page by `runs.js` as the live route sends them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from engine.types import Alert, Change, Checkpoint, Failure, Outcome, Retained, Run, RunState
from ui import view

SHAPES = {
    RunState.COMPLETED: "pass",
    RunState.FAILED: "fail",
    RunState.LOST: "fail",
    RunState.STOPPED: "none",
    RunState.QUEUED: "none",
}
VERDICTS = {Outcome.PASS: ("pass", "passed"), Outcome.FAIL: ("fail", "failed"), Outcome.UNDECIDED: ("wait", "waiting")}
NOT_JUDGED = ("none", "not judged")
MEMORY_CLASSES = {
    "loading": "Memory ran out while the weights were loaded.",
    "activations": "Memory ran out in the first forward pass: activations.",
    "optimizer": "Memory ran out when the optimizer made its state, after a first step that fitted.",
    "fragmentation": "Memory ran out later on: a long batch, or memory in pieces.",
    "machine": "The machine's memory ran out and the system ended the trainer.",
}
LOG_LINES = 200
LISTED_RUNS = 200


# ---- the page's frame: `runs.js` fills it
SIDE = (
    '<nav class="em-side" aria-label="Runs"><button class="em-primary em-wide" data-go="form">New run</button>'
    '<div data-piece="board"></div></nav>'
)


def _plot(name: str, title: str, *, main: bool = False) -> str:
    size = "em-plot-main" if main else "em-plot-small"
    keyboard = ' tabindex="0" role="slider"' if main else ' role="img"'
    head = "" if main else f"<figcaption>{title} <span data-last></span></figcaption>"
    return (
        f'<figure class="em-plot {size}" data-plot="{name}">{head}<svg{keyboard} aria-label="{title}"></svg></figure>'
    )


FRAME = (
    '<div class="em-run" data-run-view><p class="em-notice em-bad" data-trouble hidden></p>'
    '<section class="em-card em-stack"><div data-piece="head"></div><div data-piece="failure"></div>'
    '<div data-plots hidden><div class="em-row em-between em-plot-tools"><div class="em-legend" data-legend></div>'
    '<div class="em-row"><div class="em-switch" role="group" aria-label="Along the axis">'
    '<button class="em-chip" data-by="step" aria-pressed="true">by step</button>'
    '<button class="em-chip" data-by="epoch" aria-pressed="false">by epoch</button></div>'
    '<label class="em-smooth">smooth <input type="range" min="0" max="0.98" step="0.02" value="0.9" data-smooth>'
    "</label></div></div>"
    + _plot("loss", "Training and validation loss", main=True)
    + '<p class="em-readout" data-readout></p><div class="em-plots">'
    + _plot("grad", "Gradient norm")
    + _plot("rate", "Learning rate")
    + _plot("pace", "Tokens a second")
    + _plot("memory", "Peak memory")
    + "</div></div></section>"
    '<section class="em-card" data-has="alerts"><div data-piece="alerts"></div></section>'
    '<section class="em-card" data-has="swept"><div data-piece="swept"></div></section>'
    '<section class="em-card" data-has="checkpoints"><div data-piece="checkpoints"></div></section>'
    '<section class="em-card" data-has="log"><details data-log><summary>What the trainer writes</summary>'
    '<pre data-piece="log" tabindex="0" aria-label="The trainer\'s log"></pre></details></section></div>'
)


# ---- the head
def head(run: Run) -> str:
    """How a run stands, what can be done with it, and its figures."""
    shape = SHAPES.get(run.state, "wait")
    top = (
        f'<div class="em-row em-between"><div class="em-row"><h2 class="em-name">{escape(run.id)}</h2>'
        f'{view.state(shape, run.state)}</div><div class="em-row em-acts-own">{_acts(run)}</div></div>'
    )
    return f'<div class="em-stack">{top}{_figures(run)}{_moving(run)}{_said(run)}</div>'


def _figures(run: Run) -> str:
    if run.state is RunState.QUEUED:
        return ""
    pairs = [("epoch", f"{run.epoch} of {run.config.epochs}"), ("step", f"{run.step} of {run.total_steps or '?'}")]
    pairs += [("train loss", f"{run.train_loss:.3f}")] if run.train_loss is not None else []
    pairs += [("validation loss", f"{run.val_loss:.3f}")] if run.val_loss is not None else []
    pairs += [("left", view.duration(run.eta_sec))] if run.eta_sec is not None and not run.state.is_over else []
    return view.facts(pairs)


def _moving(run: Run) -> str:
    if run.state.is_over or run.state is RunState.QUEUED:
        return ""
    share = f"{100 * run.step / run.total_steps:.0f} %" if run.total_steps else "not a step yet"
    return view.bar(run.step, run.total_steps, f"{run.state}, {share}; closing this page changes nothing")


def _said(run: Run) -> str:
    if run.state is RunState.QUEUED:
        place = f"Number {run.queue_position} in the queue. " if run.queue_position else ""
        return view.notice(place + (run.error or "It starts by itself as soon as its device is free."))
    if not run.error or run.state in (RunState.FAILED, RunState.LOST):  # those have a card of their own
        return ""
    return view.notice(run.error, bad=run.state is RunState.PAUSED)


STOP_NOW = "Stop now loses the steps since the last checkpoint. Stop all the same?"


def _acts(run: Run) -> str:
    """What can be done in this state; the most likely one last, on the right."""
    found = [_act("copy", "Duplicate and edit", run)]
    if run.state is RunState.QUEUED:
        found.append(_act("cancel", "Take out of the queue", run))
    elif not run.state.is_over:
        found.append(_act("kill", "Stop now", run, confirm=STOP_NOW))
        word = "Stop, and free its device" if run.state is RunState.PAUSED else "Stop and save"
        found += [_act("stop", word, run)] if run.state is not RunState.STOPPING else []
    elif run.state is not RunState.COMPLETED:
        found.append(_act("resume", "Resume", run, primary=run.state is not RunState.FAILED))  # it failed for a reason
    return "".join(found)


def _act(act: str, word: str, run: Run, *, confirm: str = "", primary: bool = False, more: str = "") -> str:
    asked = f' data-confirm="{escape(confirm)}"' if confirm else ""
    look = ' class="em-primary"' if primary else ""
    return f'<button{look} data-act="{act}" data-run="{escape(run.id)}"{asked}{more}>{escape(word)}</button>'


# ---- the list of runs, and the queue
def board(runs: Sequence[Run], queue: Sequence[Run]) -> str:
    """What the device does, what waits for it in order, and all other runs, newest first."""
    waiting = {run.id for run in queue}
    busy = [run for run in runs if not run.state.is_over and run.id not in waiting]
    done = [run for run in runs if run.state.is_over and run.id not in waiting]
    if not runs:
        return '<p class="em-quiet">No runs yet.</p>'
    on_device = "".join(_entry(run) for run in busy) or '<li class="em-quiet em-idle">The device is free.</li>'
    hint = '<span aria-hidden="true">compare</span>' if len(runs) > 1 else ""
    parts = [f'<h3>On the device{hint}</h3><ul class="em-list">{on_device}</ul>']
    if queue:
        rows = "".join(_waiting(run, at, len(queue)) for at, run in enumerate(queue, start=1))
        parts.append(f'<h3>Waiting</h3><ol class="em-list">{rows}</ol>')
    if done:
        rows = "".join(_entry(run) for run in done[:LISTED_RUNS])
        parts.append(f'<h3>Over</h3><ul class="em-list">{rows}</ul>')
    return "".join(parts)


def _entry(run: Run, inside: str = "") -> str:
    shape = SHAPES.get(run.state, "wait")
    name = escape(run.id)
    compare = (
        f'<label class="em-compare" title="Lay over the open run"><input type="checkbox" data-compare="{name}" '
        f'aria-label="Compare with {name}"></label>'
    )
    return (
        f'<li data-key="{name}"><div class="em-entry"><button class="em-open" data-open="{name}">'
        f'<span class="em-state em-{shape}"><span class="em-visually-hidden">{run.state}</span></span>'
        f"<span><b>{name}</b><small>{escape(_short(run))}</small></span></button>"
        f"{compare if run.step else ''}</div>{inside}</li>"
    )


def _short(run: Run) -> str:
    """A run in few words."""
    if run.state is RunState.QUEUED:
        return run.error or "starts next"
    if not run.state.is_over:
        left = f", {view.duration(run.eta_sec)} left" if run.eta_sec is not None else ""
        return f"{run.state}, step {run.step} of {run.total_steps or '?'}{left}"
    loss = f", validation {run.val_loss:.3f}" if run.val_loss is not None else ""
    return f"{run.state}{loss}"


def _waiting(run: Run, position: int, count: int) -> str:
    name = escape(run.id)

    def move(word: str, arrow: str, to: int) -> str:
        off = " disabled" if not 1 <= to <= count else ""
        return (
            f'<button data-act="move" data-run="{name}" data-position="{to}" aria-label="{word} {name}"{off}>'
            f"{arrow}</button>"
        )

    acts = move("Earlier:", "↑", position - 1) + move("Later:", "↓", position + 1)
    acts += _act("copy", "Edit", run) + _act("cancel", "Cancel", run)
    return _entry(run, f'<div class="em-queue-acts">{acts}</div>')


# ---- alerts
def alerts(found: Sequence[Alert]) -> str:
    """What the monitors marked, newest first, each with its sentence."""
    if not found:
        return ""
    rows = "".join(
        f'<li><span class="em-state em-{"fail" if a.stops else "wait"}">{"stopped the run" if a.stops else "marked"}'
        f"</span> <small>step {a.step}, epoch {a.epoch}</small><p>{escape(a.text)}</p></li>"
        for a in reversed(found)
    )
    return f'{view.heading("What the monitors marked")}<ul class="em-alerts">{rows}</ul>'


# ---- checkpoints
def run_checkpoints(
    run: Run, found: Sequence[Checkpoint], kept: Mapping[str, Retained], verdicts: Mapping[str, Outcome]
) -> str:
    """The checkpoints of a run with their verdicts, what keeps each, and the next step once there are some."""
    if not found:
        unit = "epoch" if run.config.save_unit == "epochs" else "step"
        often = f"{run.config.save_every} {unit}s" if run.config.save_every > 1 else f"first {unit}"
        told = f"The first one comes after {'the ' if run.config.save_every == 1 else ''}{often}."
        return (
            f'{view.heading("Checkpoints")}<p class="em-quiet">{told} All are kept until somebody has judged them.</p>'
        )
    to = f"/sweep?run={escape(run.id)}"
    link = f'<a class="em-button em-primary" href="{to}">Hear them in a sweep</a>'
    gate = '<a class="em-button" href="/gate">Verdicts on Gate</a>'
    top = f'<div class="em-row em-between"><h2>Checkpoints</h2><div class="em-row">{gate}{link}</div></div>'
    rows = (
        (
            f"epoch {c.epoch}<br><small>step {c.step}, {view.size(c.bytes)}</small>",
            view.state(*VERDICTS.get(verdicts[c.id], NOT_JUDGED) if c.id in verdicts else NOT_JUDGED),
            _loss(c.train_loss),
            _loss(c.val_loss),
            _kept(kept.get(c.id)),
        )
        for c in found
    )
    head = ("checkpoint", "verdict", "train loss", "validation", "kept because")
    return f'<div class="em-stack">{top}{view.table(head, rows, caption="Checkpoints")}</div>'


def mark(run: Run, step: int, epoch: int, checkpoint_id: str | None, outcome: Outcome | None) -> dict[str, Any]:
    """A checkpoint as a mark on the curve: its verdict as a shape, what is said of it, where a click leads."""
    shape, word = VERDICTS.get(outcome, NOT_JUDGED) if outcome else NOT_JUDGED
    if checkpoint_id is None:
        shape, word = "gone", "in the trash"
    to = "/gate" if outcome or checkpoint_id is None else f"/sweep?run={run.id}"
    return {"step": step, "epoch": epoch, "shape": shape, "text": f"checkpoint, epoch {epoch}: {word}", "href": to}


def _loss(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _kept(answer: Retained | None) -> str:
    if answer is None:
        return ""
    told = escape("; ".join(answer.reasons))
    return told if answer.keep else view.state("fail", "nothing: may go") + f" <small>{told}</small>"


# ---- failures and the log
def failure(found: Failure) -> str:
    """The failure card: what happened, where memory ran out, what to change in order, the log's end."""
    told = MEMORY_CLASSES.get(found.memory_class, "")
    status = "" if found.exit_status is None else f" {_ending(found.exit_status)}"
    at = f" At step {found.step}." if found.step else ""
    parts = [f"<h3>{escape(found.reason)}</h3>", f"<p>{escape(told + at + status).strip()}</p>"]
    if found.changes:
        steps = "".join(f"<li>{escape(c.text)}</li>" for c in found.changes)
        word = "Duplicate with these settings" if len(found.changes) > 1 else "Duplicate with this setting"
        parts.append(
            f"<p>What to change, in this order:</p><ol>{steps}</ol>"
            f'<p><button class="em-primary" data-act="copy" data-run="{escape(found.run_id)}" data-mended="true">'
            f"{word}</button></p>"
        )
    if found.log:
        log = escape("\n".join(found.log))
        parts.append(f"<details><summary>The trainer's last words</summary><pre>{log}</pre></details>")
    return f'<div class="em-failure" role="alert">{"".join(parts)}</div>'


def failed_without_a_card(run: Run) -> str:
    """What the run itself says, where no more is known."""
    return f'<div class="em-failure" role="alert"><h3>{escape(run.error or "The run ended badly.")}</h3></div>'


def _ending(status: int) -> str:
    return f"The process was ended by signal {-status}." if status < 0 else f"The process ended with status {status}."


def log_lines(tail: str) -> str:
    """The end of the trainer's own output."""
    return escape("\n".join(tail.splitlines()[-LOG_LINES:]))


def changed(changes: Sequence[Change]) -> Mapping[str, Any]:
    """The settings that a list of changes ends with; the first change of a setting counts."""
    found: dict[str, Any] = {}
    for change in changes:
        found.setdefault(change.setting, change.new)
    return found
