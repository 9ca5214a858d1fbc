"""What the Voices page shows: promoted aliases and the files of an export. Pure like `view`: records in, HTML out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from engine.types import Bundle, Promotion
from ui import view


def voices(found: Sequence[Promotion], labels: Mapping[str, str]) -> str:
    """Every alias: what it points at, by whom, why, and under which gate."""
    cards = "".join(
        '<div class="em-card em-stack"><div class="em-row '
        f'em-between"><h2>{escape(p.alias)}</h2>{view.state("pass", "promoted")}</div>'
        f"<p>{escape(labels[p.id])}, by {escape(p.promoted_by)} on {view.when(p.promoted_at)}</p>"
        f"{f'<p>“{escape(p.reason)}”</p>' if p.reason else ''}"
        f"<small>gate {escape(p.gate)}, version {p.gate_version} · adapter "
        f"<code>{escape(p.adapter_sha256[:12])}</code></small>"
        f'<p><a class="em-button" href="/exports/{escape(p.alias)}.zip" download>Download</a></p></div>'
        for p in found
    )
    return f'<div class="em-cards">{cards}</div>' if found else ""


def exported(alias: str, bundle: Bundle) -> str:
    """What export wrote, and where to get it as one file."""
    return (
        verified(bundle)
        + f'<p><a class="em-button" href="/exports/{escape(alias)}.zip" download>Download the zip</a></p>'
    )


def verified(bundle: Bundle) -> str:
    """The files of an export and their checksums."""
    rows = (
        (f"<code>{escape(name)}</code>", f"<code>{escape(told[:12])}</code>") for name, told in bundle.files.items()
    )
    word = view.state("pass", "verified") if bundle.verified else view.state("fail", "not verified")
    return (
        f'<div class="em-stack"><div class="em-row em-between">{word}<small>sha256 '
        f"<code>{escape(bundle.sha256[:16])}</code></small></div>"
        f"{view.table(('file', 'sha256'), rows, caption='Files of the export')}</div>"
    )
