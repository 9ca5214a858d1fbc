"""What the Voices page shows: aliases with their history, files of an export. Pure: records in, HTML out."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

from engine.types import Bundle, Checkpoint, Promotion
from ui import view


def voices(found: Sequence[Promotion], labels: Mapping[str, str], histories: Mapping[str, Sequence[Promotion]]) -> str:
    """Every alias: what it points at, by whom, why, under which gate, and what it pointed at before."""
    cards = "".join(_card(p, labels[p.id], histories.get(p.alias, ())) for p in found)
    return f'<div class="em-cards">{cards}</div>' if found else ""


def _card(p: Promotion, label: str, history: Sequence[Promotion]) -> str:
    word = "protected" if p.stage == "production" else p.stage
    return (
        '<div class="em-card em-stack"><div class="em-row '
        f'em-between"><h2>{escape(p.alias)}</h2>{view.state("pass", word)}</div>'
        f"<p>{escape(label)}, by {escape(p.promoted_by)} on {view.when(p.promoted_at)}</p>"
        f"{f'<p>“{escape(p.reason)}”</p>' if p.reason else ''}"
        f"<small>gate {escape(p.gate)}, version {p.gate_version} · adapter "
        f"<code>{escape(p.adapter_sha256[:12])}</code>{_trainer(p)}</small>{_history(history)}"
        f'<p><a class="em-button" href="/exports/{escape(p.alias)}.zip" download>Download</a></p></div>'
    )


def _trainer(p: Promotion) -> str:
    return f" · trained by <code>{escape(p.trainer_version[:12])}</code>" if p.trainer_version else ""


def _history(history: Sequence[Promotion]) -> str:
    """What the alias pointed at before, newest first."""
    if len(history) < 2:
        return ""
    rows = "".join(
        f"<li>{view.when(p.promoted_at)}: {escape(p.candidate.id)}, by {escape(p.promoted_by)}"
        f"{f': “{escape(p.reason)}”' if p.reason else ''}</li>"
        for p in history
    )
    return f"<details><summary>{len(history)} promotions</summary><ul>{rows}</ul></details>"


def moved(made: Promotion, label: str) -> str:
    """Where an alias points after going back."""
    return f'<p class="em-notice" role="status">{escape(made.alias)} is {escape(label)} again.</p>'


def brought_in(made: Checkpoint) -> str:
    """That an adapter has become a checkpoint, and the next step."""
    link = f'<a href="/sweep?run={escape(made.run_id)}">sweep it</a>'
    return f'<p class="em-notice" role="status">{escape(made.id)} is here. Next: {link}.</p>'


def exported(alias: str, bundle: Bundle) -> str:
    """What export wrote, and where to get it as one file."""
    return (
        verified(bundle)
        + f'<p><a class="em-button" href="/exports/{escape(alias)}.zip" download>Download the zip</a></p>'
    )


def verified(bundle: Bundle) -> str:
    """What was spoken to check it, and the files of an export with their checksums."""
    rows = (
        (f"<code>{escape(name)}</code>", f"<code>{escape(told[:12])}</code>") for name, told in bundle.files.items()
    )
    word = view.state("pass", "verified") if bundle.verified else view.state("fail", "not verified")
    notes = "".join(f"<p>{escape(note)}</p>" for note in bundle.notes)
    listed = view.table(("file", "sha256"), rows, caption="Files of the export")
    return (
        f'<div class="em-stack"><div class="em-row em-between">{word}<small>sha256 '
        f"<code>{escape(bundle.sha256[:16])}</code></small></div>{notes}"
        f"<details{' open' if len(bundle.files) < 12 else ''}>"
        f"<summary>{view.plural(len(bundle.files), 'file')}</summary>{listed}</details></div>"
    )


# ---- trying
def side_by_side(clips: Sequence[str]) -> str:
    """One clip, or two next to each other."""
    return f'<div class="em-cards">{"".join(clips)}</div>' if len(clips) > 1 else "".join(clips)


def unnamed(wav: bytes, name: str) -> str:
    """A player that tells nothing but A or B."""
    sound = base64.b64encode(wav).decode()
    return (
        f'<div class="em-card em-stack"><h2>{escape(name)}</h2>'
        f'<audio controls preload="auto" aria-label="{escape(name)}" src="data:audio/wav;base64,{sound}"></audio></div>'
    )


def revealed(names: Sequence[str]) -> str:
    """Which was which."""
    return ", ".join(f"{letter} is {name}" for letter, name in zip("AB", names, strict=False)) + "."
