"""What the Data page shows of many rows: the filters, the table, what can be done to a selection.

Pure like `view`: records in, HTML out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from engine.types import Action, AuditFinding, Severity
from ui import data_rows, view
from ui import view_data_words as words
from ui.data_rows import DeskRow, Found, Query, RowState

SHOWN_FINDINGS = 3


# ---- the table
def table(found: Found, *, opened: str = "") -> str:
    """The filters, the rows of a page, and the way to the others."""
    return (
        f"{_filters(found)}{_bulk(found)}"
        f'<div data-rowlist data-total="{len(found.rows)}">{_rows(found, opened)}{_pager(found)}</div>'
    )


def _filters(found: Found) -> str:
    query = found.query
    severities = "".join(
        _chip("severity", s, f"{words.WORDS[s]}s", found.severities.get(s, 0), query.severity, words.SHAPES[s])
        for s in data_rows.WORST_FIRST
        if found.severities.get(s, 0) or query.severity == s
    )
    return (
        '<div class="em-filters em-stack"><div class="em-fields em-filterline">'
        '<label class="em-field"><span class="em-visually-hidden">Search in texts and row names</span>'
        f'<input type="search" data-filter="search" placeholder="Search texts and rows" value="{escape(query.search)}">'
        f"</label>{_check_choice(found)}{_state_choice(found)}{_order_choice(query)}</div>"
        f'<div class="em-chips" role="group" aria-label="Filters">{_everything(found)}{severities}{_range(query)}</div>'
        "</div>"
    )


def _chip(name: str, value: str, label: str, count: int, current: str, shape: str) -> str:
    pressed = value == current
    return (
        f'<button type="button" class="em-chip" data-filter="{name}" data-value="{escape(value)}" '
        f'aria-pressed="{str(pressed).lower()}"><span class="em-state em-{shape}">{escape(label)}</span> '
        f"<small>{words.count(count)}</small></button>"
    )


def _everything(found: Found) -> str:
    """Without a filter: what wants attention, or all rows."""
    if found.query.is_filtered or not found.audited:
        return ""
    pressed = str(found.query.everything).lower()
    return (
        '<button type="button" class="em-chip" data-filter="everything" data-value="1" '
        f'aria-pressed="{pressed}">All {words.counted(found.of, "row")}</button>'
    )


def _range(query: Query) -> str:
    """The filter that a bar of a histogram sets."""
    if not query.measure:
        return ""
    measure = next((m for m in data_rows.MEASURES if m.name == query.measure), None)
    if measure is None:
        return ""
    ends = [f"{end:g}" for end in (query.low, query.high) if math.isfinite(end)]
    told = f"{measure.title.lower()} {' to '.join(ends)} {measure.unit}"
    return (
        '<button type="button" class="em-chip" data-filter="measure" data-value="" aria-pressed="true">'
        f'{escape(told)} <span aria-hidden="true">✕</span><span class="em-visually-hidden">: take this filter away'
        "</span></button>"
    )


def _choice(name: str, label: str, options: Sequence[tuple[str, str]], current: str) -> str:
    inside = "".join(
        f'<option value="{escape(value)}"{" selected" if value == current else ""}>{escape(word)}</option>'
        for value, word in options
    )
    return (
        f'<label class="em-field"><span class="em-visually-hidden">{escape(label)}</span>'
        f'<select data-filter="{name}">{inside}</select></label>'
    )


def _check_choice(found: Found) -> str:
    counted = sorted(found.checks.items(), key=lambda pair: (-pair[1], pair[0]))
    if found.query.check and found.query.check not in found.checks:
        counted.append((found.query.check, 0))
    options = [("", "Every check"), *((c, f"{words.check_name(c)} ({words.count(n)})") for c, n in counted)]
    return _choice("check", "Check", options, found.query.check)


def _state_choice(found: Found) -> str:
    options = [("", "Every state")]
    for state in RowState:
        n = found.states.get(state, 0)
        if n or found.query.state == state:
            options.append((state, f"{words.STATE_WORDS[state]} ({words.count(n)})"))
    return _choice("state", "State", options, found.query.state)


def _order_choice(query: Query) -> str:
    return _choice("order", "Order", [("worst", "Worst first"), ("source", "As in the source")], query.order)


def _bulk(found: Found) -> str:
    """What can be done to the selected rows; `desk.js` shows it while some are selected."""
    proposed = f"Repair “{words.check_name(found.query.check)}”" if found.query.check else "Repair as proposed"
    return (
        '<div class="em-bulk" data-bulk hidden role="group" aria-label="Selected rows">'
        '<p><b data-selected></b> <button type="button" class="em-link" data-act="select-all" hidden></button> '
        '<button type="button" class="em-link" data-act="select-none">Clear</button></p>'
        '<div class="em-row"><button type="button" data-bulk-act="repair" class="em-primary">'
        f"{escape(proposed)}</button>"
        '<button type="button" data-bulk-act="drop">Drop</button>'
        '<span class="em-keep em-person"><input placeholder="Your name" aria-label="Your name, for keeping rows" '
        'data-name autocomplete="name"><button type="button" data-bulk-act="keep">Keep</button></span>'
        '<button type="button" data-bulk-act="take_back">Take back</button>'
        '<button type="button" data-bulk-act="transcribe">Recognise texts</button></div></div>'
    )


def _rows(found: Found, opened: str) -> str:
    if not found.rows:
        return NOTHING_FOUND if found.query.is_filtered else NOTHING_WRONG
    body = "".join(_row(r, found.query, opened) for r in found.shown)
    return (
        '<table class="em-rows"><caption class="em-visually-hidden">Rows with what was found</caption>'
        '<thead><tr><th scope="col"><label class="em-tick"><input type="checkbox" data-select-page>'
        '<span class="em-visually-hidden">Select this page</span></label></th><th scope="col">row</th>'
        '<th scope="col">what was found</th><th scope="col">text</th><th scope="col" class="em-number">s</th>'
        f'<th scope="col">state</th></tr></thead><tbody>{body}</tbody></table>'
    )


NOTHING_FOUND = (
    '<div class="em-empty"><h2>No row is like this</h2><p>Take a filter away to see more.</p>'
    '<div class="em-row"><button type="button" data-act="clear-filters">Clear the filters</button></div></div>'
)
NOTHING_WRONG = (
    '<div class="em-empty"><h2>Nothing was found</h2><p>No row has a fault that wants a decision.</p>'
    '<div class="em-row"><button type="button" data-filter="everything" data-value="1" aria-pressed="false">'
    "Show all rows</button></div></div>"
)


def _row(row: DeskRow, query: Query, opened: str) -> str:
    known = row.utterance is not None
    tick = (
        f'<label class="em-tick"><input type="checkbox" data-select="{escape(row.id)}">'
        f'<span class="em-visually-hidden">Select {escape(row.id)}</span></label>'
        if known
        else ""
    )
    own = [f for f in row.findings if query.check in ("", f.check) and query.severity in ("", f.severity)]
    if data_rows.wants_attention(row) and not query.check and not query.severity:
        own = [f for f in own if f.severity is not Severity.INFO]  # the open row has its notes
    told = "".join(_short_finding(f) for f in own[:SHOWN_FINDINGS])
    more = len(own) - SHOWN_FINDINGS
    told += f"<small>and {more} more</small>" if more > 0 else ""
    current = ' aria-current="true"' if row.id == opened else ""
    text = escape(row.text) if row.text.strip() else '<span class="em-none-text">no text</span>'
    return (
        f'<tr data-row="{escape(row.id)}"{current}><td class="em-c-tick">{tick}</td><th scope="row" class="em-c-id">'
        f'<button type="button" class="em-link" data-open-row="{escape(row.id)}">{escape(row.id)}</button></th>'
        f'<td class="em-c-found">{told}</td><td class="em-c-text"><div>{text if known else ""}</div></td>'
        f'<td class="em-c-sec em-number">{f"{row.duration_sec:.1f}" if row.duration_sec else "–"}</td>'
        f'<td class="em-c-state">{words.state(row)}</td></tr>'
    )


def _short_finding(finding: AuditFinding) -> str:
    """A finding in a cell: its check by shape and word, and the sentence."""
    return (
        f"<p>{view.state(words.SHAPES[finding.severity], words.check_name(finding.check))} "
        f"<small>{escape(finding.explanation)}</small></p>"
    )


def _pager(found: Found) -> str:
    if found.pages == 1:
        return f'<p class="em-quiet em-pages">{words.counted(len(found.rows), "row")}</p>' if found.rows else ""
    first = (found.page - 1) * data_rows.PAGE_ROWS + 1
    last = first + len(found.shown) - 1

    def button(word: str, page: int) -> str:
        off = "" if 1 <= page <= found.pages else " disabled"
        return f'<button type="button" data-page="{page}"{off}>{word}</button>'

    return (
        '<nav class="em-row em-between em-pages" aria-label="Pages"><span class="em-quiet">'
        f"{words.count(first)} to {words.count(last)} of {words.counted(len(found.rows), 'row')}</span>"
        f'<span class="em-row">{button("Previous", found.page - 1)}<label class="em-pagebox">Page '
        f'<input type="number" data-page-number min="1" max="{found.pages}" value="{found.page}" aria-label="Page"> '
        f"of {words.count(found.pages)}</label>{button('Next', found.page + 1)}</span></nav>"
    )


def repaired(done: Mapping[Action, int], without: int) -> str:
    """What a bulk repair decided."""
    told = ", ".join(f"{words.counted(n, 'row')} {words.DONE_WORDS[action]}" for action, n in done.items())
    rest = f"{words.counted(without, 'row')} had no proposed repair." if without else ""
    return f"{told}. {rest}".strip() if told else rest or "Nothing to repair."
