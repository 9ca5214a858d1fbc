"""From the engine's records to what a page shows: the pieces that several pages share.

Pure: takes records, returns strings; no studio, no Gradio, no files. Every text that came from a person or a file is
escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from engine.types import (
    Session,
)

if TYPE_CHECKING:
    from engine.jobs import JobView


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


def opening(what: str) -> str:
    """What stands where a page will be, until it was read: a large workspace takes its time."""
    return f'<p class="em-quiet em-opening" role="status">{escape(what)}</p>'


def bar(done: int, total: int, told: str) -> str:
    """Progress: a bar and the same in words."""
    share = 100 * done / total if total else 0
    return (
        f'<div class="em-stack"><div class="em-bar" role="progressbar" aria-valuemin="0" aria-valuemax="{total}" '
        f'aria-valuenow="{done}" aria-label="Progress"><i style="width:{share:.1f}%"></i></div>'
        f'<p class="em-quiet">{escape(told)}</p></div>'
    )


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
