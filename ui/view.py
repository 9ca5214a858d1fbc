"""From the engine's records to what a page shows: the common pieces, and what Runs shows.

Pure: takes records, returns strings; no studio, no Gradio, no files. Every text that came from a person or a file is
escaped.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from engine.types import (
    Checkpoint,
    Retained,
    Run,
    RunConfig,
    RunState,
    Session,
)

if TYPE_CHECKING:
    from engine.jobs import JobView

RUN_SHAPES = {
    RunState.COMPLETED: "pass",
    RunState.FAILED: "fail",
    RunState.LOST: "fail",
    RunState.STOPPED: "none",
    RunState.QUEUED: "none",
}


# ---- small things
def state(shape: str, word: str) -> str:
    """A state by shape and colour: pass is a disc, fail a square, wait a triangle, none a ring."""
    return f'<span class="em-state em-{shape}">{escape(word)}</span>'


def size(count_bytes: float) -> str:
    """Bytes as a person reads them: '16.6 MB'."""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count_bytes >= step:
            return f"{count_bytes / step:.1f} {unit}"
    return f"{count_bytes:.0f} bytes"


def duration(seconds: float) -> str:
    """Seconds as a person reads them: '2 min 10 s'."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def when(at: float) -> str:
    """A moment, in UTC: '21 Nov 2026, 04:10'."""
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment.day} {moment:%b %Y, %H:%M}"


def plural(count: int, word: str) -> str:
    """'1 clip', '3 clips'."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def title(text: str, aside: str = "") -> str:
    """The first line of a page."""
    quiet = f' <span class="em-quiet">{escape(aside)}</span>' if aside else ""
    return f'<div class="em-row"><h1>{escape(text)}</h1>{quiet}</div>'


def heading(text: str, inside: str = "") -> str:
    """The heading of a panel, with what belongs directly below it."""
    return f"<h2>{escape(text)}</h2>{inside}"


def notice(text: str, *, bad: bool = False) -> str:
    """A sentence that should not be overlooked."""
    return f'<p class="em-notice{" em-bad" if bad else ""}" role="status">{escape(text)}</p>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Figures over their labels."""
    inside = "".join(f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>" for label, value in pairs)
    return f'<dl class="em-facts">{inside}</dl>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str) -> str:
    """A table whose cells are HTML already; the first cell of a row is its heading."""
    top = "".join(f'<th scope="col">{escape(h)}</th>' for h in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in row[1:]) + "</tr>" for row in rows
    )
    return (
        '<div class="em-scroll"><table class="em-lines"><caption '
        f'class="em-visually-hidden">{escape(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def empty(head: str, text: str, *links: tuple[str, str]) -> str:
    """What a page says while there is nothing on it: what to do next, and the demo in one click."""
    buttons = "".join(
        f'<a class="em-button{" em-primary" if i == 0 else ""}" href="{escape(to)}">{escape(word)}</a>'
        for i, (word, to) in enumerate(links)
    )
    return (
        f'<div class="em-card em-empty"><h1>{escape(head)}</h1><p>{escape(text)}</p><div '
        f'class="em-row">{buttons}</div></div>'
    )


def bar(done: int, total: int, told: str) -> str:
    """Progress: a bar and the same in words."""
    share = 100 * done / total if total else 0
    return (
        f'<div class="em-stack"><div class="em-bar" role="progressbar" aria-valuemin="0" aria-valuemax="{total}" '
        f'aria-valuenow="{done}" aria-label="Progress"><i style="width:{share:.1f}%"></i></div>'
        f'<p class="em-quiet">{escape(told)}</p></div>'
    )


# ---- runs
def run_summary(run: Run) -> str:
    """How a run stands: state, progress, losses, and why it failed if it did."""
    shape = RUN_SHAPES.get(run.state, "wait")
    figures = [("epoch", f"{run.epoch} of {run.config.epochs}"), ("step", f"{run.step} of {run.total_steps or '?'}")]
    figures += [("train loss", f"{run.train_loss:.3f}")] if run.train_loss is not None else []
    figures += [("validation loss", f"{run.val_loss:.3f}")] if run.val_loss is not None else []
    figures += [("left", duration(run.eta_sec))] if run.eta_sec is not None and not run.state.is_over else []
    fault = notice(run.error, bad=True) if run.error else ""
    moving = (
        "" if run.state.is_over else bar(run.step, run.total_steps, f"{run.state}; closing this page changes nothing")
    )
    return (
        f'<div class="em-stack"><div class="em-row em-between"><h2>{escape(run.id)}</h2>{state(shape, run.state)}</div>'
        f"{facts(figures)}{moving}{fault}</div>"
    )


def run_preview(config: RunConfig, home: Path) -> str:
    """What pressing Start will do: the same run from a terminal, and the settings that its record will hold."""
    told = json.dumps(asdict(config), indent=2)
    return (
        f'{heading("What will run")}<div class="em-stack"><p class="em-quiet">The same from a terminal:</p>'
        f'<pre>{escape(run_command(config, home))}</pre><p class="em-quiet">The settings in '
        f"run.json:</p><pre>{escape(told)}</pre></div>"
    )


def run_command(config: RunConfig, home: Path) -> str:
    """The command line of a run: the settings that differ from the defaults."""
    words = ["python", "-m", "engine", "train", "--home", str(home)]
    for field in fields(config):
        value = getattr(config, field.name)
        if value != field.default:
            words += [f"--{field.name.replace('_', '-')}", *(value if isinstance(value, tuple) else [str(value)])]
    return shlex.join(words)


def failure_log(tail: str) -> str:
    """The end of the trainer's own output."""
    return (
        f"<details open><summary>The trainer's last words</summary><pre>{escape(tail[-4000:])}</pre></details>"
        if tail
        else ""
    )


def run_checkpoints(run: Run, found: Sequence[Checkpoint], kept: Mapping[str, Retained]) -> str:
    """The checkpoints of a run, and the next step once there are some."""
    if not found:
        return (
            '<p class="em-quiet">The first one comes after the first epoch. All of them are kept until somebody has '
            "judged them.</p>"
        )
    link = f'<a class="em-button em-primary" href="/sweep?run={escape(run.id)}">Hear them in a sweep</a>'
    return f'{checkpoints(found, kept)}<p style="margin-top:12px">{link}</p>'


def checkpoints(found: Sequence[Checkpoint], kept: Mapping[str, Retained]) -> str:
    """Every checkpoint with its losses and what keeps it."""
    return table(
        ("checkpoint", "train loss", "validation", "kept because"),
        (
            (
                f"epoch {c.epoch}<br><small>step {c.step}, {size(c.bytes)}</small>",
                _loss(c.train_loss),
                _loss(c.val_loss),
                _kept(kept.get(c.id)),
            )
            for c in found
        ),
        caption="Checkpoints",
    )


def _loss(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _kept(answer: Retained | None) -> str:
    if answer is None:
        return ""
    told = escape("; ".join(answer.reasons))
    return told if answer.keep else state("fail", "nothing: may go") + f" <small>{told}</small>"


# ---- jobs and sittings
def job_progress(job: JobView) -> str:
    """How far a job is, or how it ended."""
    if job.error:
        return notice(job.error, bad=True)
    if job.ended_at is None:
        left = ""
        if job.done and job.total:
            left = f" of {job.total}"
        return bar(job.done, job.total, f"{job.message or 'starting'}: {job.done}{left}")
    took = duration(job.ended_at - job.started_at)
    return f'<p class="em-quiet">{escape(job.state.capitalize())} in {took}.</p>'


def sitting_link(session: Session, trials: int) -> str:
    """Where a reviewer finds the sitting that was just opened."""
    to = f"/listen/?session={escape(session.id)}"
    return (
        f'<p class="em-notice" role="status">{plural(trials, "blind trial")} for {escape(session.reviewer)}. '
        f'<a href="{to}">Open the sitting</a> or send this link: <code>{to}</code></p>'
    )
