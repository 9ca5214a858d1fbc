"""What the Data page shows of one row: its player, text, findings, measurements and decisions.

Pure like `view`: records in, HTML out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode

from engine.types import AuditFinding, Decision, Measurement, Severity
from ui import data_rows, view
from ui import view_data_words as words
from ui.data_rows import DeskRow, RowState


def card(draft_id: str, row: DeskRow, *, before: str, after: str, position: tuple[int, int]) -> str:
    """One row opened: hear it, see it, mend its text, decide."""
    top = (
        f'<div class="em-row em-between em-cardhead"><div><h2>{escape(row.id)}</h2> {words.state(row)}</div>'
        f'<div class="em-row em-cardnav"><small>{_place(position)}</small>'
        f"{_step('prev-row', 'Previous row', '↑', before)}{_step('next-row', 'Next row', '↓', after)}"
        '<button type="button" class="em-square" data-act="close-row" aria-label="Close this row" title="Close">✕'
        "</button></div></div>"
    )
    if row.utterance is None:
        return f'<div class="em-stack" data-card="{escape(row.id)}">{top}{_findings(row)}{LOST}</div>'
    at = f"/desk/drafts/{escape(draft_id)}"
    which = urlencode({"row": row.id})
    return (
        f'<div class="em-stack" data-card="{escape(row.id)}" data-prev="{escape(before)}" data-next="{escape(after)}" '
        f'data-clip="{at}/audio?{which}">{top}{_player(at, which, row)}{_text(row)}{_findings(row)}{_acts(row)}'
        f"{_measured(row)}{_decided(row.decisions)}{_paste()}</div>"
    )


LOST = '<p class="em-quiet">This row is not in the set. Mend the source, then open it again.</p>'

SOUNDLESS = ("missing", "unreadable")


def _place(position: tuple[int, int]) -> str:
    at, of = position
    return f"{words.count(at)} of {words.count(of)}" if at else ""


def _step(act: str, label: str, arrow: str, to: str) -> str:
    off = "" if to else " disabled"
    return (
        f'<button type="button" class="em-square" data-act="{act}" aria-label="{label}" title="{label} (Alt {arrow})"'
        f"{off}>{arrow}</button>"
    )


def _player(at: str, which: str, row: DeskRow) -> str:
    """The sound as a wave over its spectrogram, both drawn by the page's own inks."""
    if any(f.check in SOUNDLESS and f.severity is Severity.ERROR for f in row.findings):
        return '<p class="em-quiet">There is no sound to play.</p>'

    def layer(kind: str) -> str:
        url = f"{at}/{kind}.png?{which}"
        mask = f"mask-image:url('{url}');-webkit-mask-image:url('{url}')"
        return f'<div class="em-spectrum em-{kind}" style="{mask}"></div>'

    seconds = f"{row.duration_sec:.1f} s" if row.duration_sec else ""
    part = _part_of_recording(row)
    return (
        '<div><div class="em-row em-playline"><button type="button" class="em-play" aria-label="Play or pause" '
        'title="Play or pause (Alt P)">▶</button><div class="em-sound em-both" role="img" '
        f'aria-label="Waveform and spectrogram, {seconds}">{layer("wave")}{layer("spectrum")}'
        f'<div class="em-playhead"></div></div></div><p class="em-scale"><small>{part}</small><small>{seconds}</small>'
        "</p></div>"
    )


def _part_of_recording(row: DeskRow) -> str:
    utterance = row.utterance
    if utterance is None or not utterance.recording or utterance.start_sec is None:
        return ""
    return f"{escape(utterance.recording)} at {_clock(utterance.start_sec)}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:04.1f}"


def _text(row: DeskRow) -> str:
    return (
        '<div class="em-field"><label for="row-text">Text</label>'
        f'<textarea id="row-text" rows="3" data-text spellcheck="true" dir="auto">{escape(row.text)}</textarea>'
        '<div class="em-row em-savetext"><button type="button" data-act="save-text">Save text</button>'
        '<button type="button" data-act="save-next">Save and next</button>'
        '<small class="em-keyhint"><kbd>Ctrl Enter</kbd></small></div></div>'
    )


def _findings(row: DeskRow) -> str:
    if not row.findings:
        return ""
    inside = "".join(
        f"<li>{view.state(words.SHAPES[f.severity], words.check_name(f.check))} <span>{escape(f.explanation)}</span> "
        f"<small>{escape(f.repair)}</small>{_repair_button(row, f)}{_other(f)}</li>"
        for f in row.findings
    )
    return f'<ul class="em-findings" aria-label="Findings of this row">{inside}</ul>'


def _repair_button(row: DeskRow, finding: AuditFinding) -> str:
    if not data_rows.can_be_chosen(finding) or row.utterance is None:
        return ""
    if any(d.action is finding.action and d.text == finding.text for d in row.decisions):
        return f'<small class="em-done">{view.state("pass", "will be done")}</small>'
    word = words.ACTION_WORDS[finding.action]
    return (
        f'<button type="button" class="em-chip" data-act="repair-one" data-check="{escape(finding.check)}">'
        f"{escape(word[0].upper() + word[1:])}</button>"
    )


def _other(finding: AuditFinding) -> str:
    """A way to the other row of a pair."""
    if not finding.other:
        return ""
    return (
        f'<button type="button" class="em-link" data-open-row="{escape(finding.other)}">'
        f"Open {escape(finding.other)}</button>"
    )


def _acts(row: DeskRow) -> str:
    back = '<button type="button" data-card-act="take_back">Take back</button>' if row.decisions else ""
    drop = "" if row.state is RowState.DROP else '<button type="button" data-card-act="drop">Drop</button>'
    needs_keep = row.worst in (Severity.ERROR, Severity.WARNING) and row.state is not RowState.KEEP
    keep = (
        '<span class="em-keep em-person"><input placeholder="Your name" data-name autocomplete="name" '
        'aria-label="Your name, for keeping this row"><button type="button" data-card-act="keep">Keep</button></span>'
        if needs_keep
        else ""
    )
    return f'<div class="em-row em-cardacts">{drop}{keep}{back}</div>'


def _measured(row: DeskRow) -> str:
    if row.measurement is None:
        return ""
    rows = ((escape(name), escape(value)) for name, value in measures(row.measurement, row))
    inside = view.table(("measure", "value"), rows, caption="Measurements")
    return f"<details><summary>Measurements</summary>{inside}</details>"


def measures(found: Measurement, row: DeskRow) -> list[tuple[str, str]]:
    """What was measured, as words and numbers with units."""
    utterance = row.utterance
    shown = [
        ("duration", f"{found.duration_sec:.2f} s"),
        ("speech", f"{found.speech_sec:.2f} s"),
        ("silence at the start", f"{found.leading_silence_sec:.2f} s"),
        ("silence at the end", f"{found.trailing_silence_sec:.2f} s"),
        ("longest pause", f"{found.longest_pause_sec:.2f} s"),
        ("characters per second", _value(found.characters_per_sec)),
        ("loudness", _value(found.loudness_lufs, "LUFS")),
        ("peak", _value(found.peak_dbfs, "dBFS")),
        ("clipped samples", words.percent(found.clipped_share)),
        ("noise floor", _value(found.noise_floor_dbfs, "dBFS")),
        ("signal to noise", _value(found.snr_db, "dB")),
    ]
    if utterance is not None and utterance.sample_rate:
        shown.append(("sample rate", f"{utterance.sample_rate:,} Hz, {view.plural(utterance.channels, 'channel')}"))
    if utterance is not None and utterance.speaker:
        shown.append(("speaker", utterance.speaker))
    return shown


def _value(value: float, unit: str = "") -> str:
    return "–" if math.isnan(value) or math.isinf(value) else f"{value:.1f} {unit}".strip()


def _decided(decisions: Sequence[Decision]) -> str:
    if not decisions:
        return ""
    items = "".join(
        f"<li><b>{escape(words.DONE_WORDS.get(d.action, d.action))}</b>"
        f"{f' by {escape(d.by)}' if d.by else ''}{f', {view.when(d.at)}' if d.at else ''}</li>"
        for d in decisions
    )
    return f'<details><summary>Decided</summary><ul class="em-plain">{items}</ul></details>'


def _paste() -> str:
    return (
        '<details class="em-paste"><summary>Paste many texts, from this row on</summary><div class="em-stack">'
        '<textarea rows="5" data-lines aria-label="Texts, a line a row" placeholder="A line a row, in the source’s '
        'order."></textarea><button type="button" data-act="paste-texts">Fill in</button></div></details>'
    )
