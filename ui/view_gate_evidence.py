"""What the Gate page shows of one cell: the clips, who answered what and why, which flags were confirmed or refuted.

Pure like `view`: records in, HTML out. For engineers: everything here is unblinded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from engine.types import Choice, FlagChoice, Tier
from ui import view, view_gate, view_sweep, view_sweep_trend

if TYPE_CHECKING:
    from engine.gate import Flagged
    from engine.studio import AnswerSeen, ClipSeen, MatrixRow, RateTrend

PICK_A_CELL = '<p class="em-quiet">Click a cell of the matrix to hear its clips and read what was answered.</p>'
NOTHING = '<p class="em-quiet">Nothing of this tier was rendered for this candidate.</p>'


def cell(
    row: MatrixRow, tier: Tier, clips: Sequence[ClipSeen], *, beside: str = "", titles: Mapping[str, str] | None = None
) -> str:
    """The open cell: how it stands and why, what is needed, how much it proves, its clips, and what else was measured
    of its candidate. `titles` are the measures' own words for themselves.
    """
    state = row.tiers[tier]
    about = "".join(f"<p>{escape(told)}</p>" for told in (state.explanation, view_gate.strength(state)) if told)
    wanted = "".join(f"<li>{escape(each)}</li>" for each in state.needed)
    needed = f'<p><strong>Still needed</strong></p><ul class="em-plain">{wanted}</ul>' if wanted else ""
    waiting = f"<p><small>{view.plural(state.waiting, 'open trial')}.</small></p>" if state.waiting else ""
    cards = "".join(clip(seen, titles) for seen in clips) or NOTHING
    head = f"{row.label}, {tier.value} tier"
    return (
        f"{view.heading(head, f'<p>{view_gate.tier_state(state)}</p>')}{about}{needed}{waiting}"
        f'<div class="em-stack em-evidence">{cards}</div>{beside}'
    )


def beside(row: MatrixRow, trend: RateTrend | None, leaks: str = "") -> str:
    """What measures say of a candidate beyond single clips. None of it decides."""
    told = []
    if trend is not None:
        own = next((c for c in trend.checkpoints if c.checkpoint_id == row.candidate.checkpoint_id), None)
        tempo = f", {own.of_base_percent:.0f} % of the base's here" if own and own.of_base_percent > 0 else ""
        told.append(f"Speaking rate over the epochs at {trend.lora_scale:g}{tempo}: {view_sweep_trend.drift(trend)}")
    told += [leaks] if leaks else []
    if not told:
        return ""
    lines = "".join(f"<li>{each}</li>" for each in told)
    head = '<p class="em-beside"><strong>Beside the clips</strong> <small>measures flag, people decide</small></p>'
    return f'{head}<ul class="em-plain">{lines}</ul>'


def clip(seen: ClipSeen, titles: Mapping[str, str] | None = None) -> str:
    """One clip: play it, read its text, the answers and the flags."""
    own = seen.clip
    at = f"/clips/{escape(own.id)}"
    head = f"{own.line_id} · seed {own.seed} · {view.duration(own.duration_sec)}"
    left_out = "" if seen.counts else _left_out(seen)
    answers = "".join(_answer(each) for each in seen.answers)
    nobody = "in an open trial" if seen.is_waiting else "nobody was asked about this clip"
    flags = "".join(_flag(each, titles or {}) for each in seen.flags)
    return (
        f'<div class="em-clip em-stack" data-clip="{at}"><small>{escape(head)}</small>'
        f'{view_sweep.player(f"{at}/spectrum.png")}<p class="em-said">{escape(own.text)}</p>{left_out}'
        f'<ul class="em-answers">{answers or f"<li><small>{nobody}</small></li>"}{flags}</ul></div>'
    )


def _left_out(seen: ClipSeen) -> str:
    why = f": {seen.fit}" if "too short" in seen.fit else " under the rules of this gate"
    return f'<p class="em-notice">This clip does not count{escape(why)}.</p>'


def _answer(each: AnswerSeen) -> str:
    shape = "pass" if each.choice is Choice.PASS else "fail"
    why = f" {escape(', '.join(each.reasons))}" if each.reasons else ""
    note = f" <q>{escape(each.note)}</q>" if each.note else ""
    who = f"{each.reviewer}{', simulated' if each.is_simulated else ''}"
    when = f"{view.when(each.answered_at)} UTC, {each.gate}"
    return f"<li>{view.state(shape, each.choice.value)}{why}{note} <small>{escape(who)} · {escape(when)}</small></li>"


def _flag(each: Flagged, titles: Mapping[str, str]) -> str:
    """A flag with what was said to it; a refuted one is quiet."""
    found = each.flag
    words = f" ({', '.join(found.words)})" if found.words else ""
    what = f"{found.reason or 'unusual'}{words}"
    said = [
        f"{word} by {', '.join(who)}"
        for choice, word in ((FlagChoice.YES, "confirmed"), (FlagChoice.NO, "refuted"), (FlagChoice.UNSURE, "not told"))
        if (who := each.by(choice))
    ]
    told = "; ".join(said) + (", simulated" if each.simulated else "") if said else "nobody was asked yet"
    shape = "fail" if each.is_confirmed and not each.is_refuted else "torn" if each.is_confirmed else "none"
    quiet = ' class="em-refuted"' if each.is_refuted and not each.is_confirmed else ""
    title = escape(titles.get(found.screener, found.screener))
    return f"<li{quiet}>{view.state(shape, f'flag: {what}')} <small>{title} · {escape(told)}</small></li>"
