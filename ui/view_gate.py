"""What the Gate page shows of candidates: the matrix of checkpoints, tiers and scales, what is needed, how sure.

Pure like `view`: records in, HTML out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from engine.types import Outcome, Promotion, Retained, Tier, Verdict
from ui import view

if TYPE_CHECKING:
    from engine.studio import MatrixRow, PreferenceRow, TierState

TIER_NAMES = {Tier.SHORT: "short, 5 s", Tier.MEDIUM: "medium, 15 s", Tier.LONG: "long, 30 s+"}
# How a state looks beside its word: a shape and a colour, never colour alone.
SHAPES = {
    "pass": "pass",
    "fail": "fail",
    "in review": "wait",
    "disputed": "torn",
    "waiting": "none",
    "no clips": "absent",
}
ABOUT = {
    "pass": "enough people passed enough clips",
    "fail": "a fail that the rules do not allow",
    "disputed": "people disagree, and nothing is decided",
    "in review": "heard, and not decided yet",
    "waiting": "rendered, and nobody has answered",
    "no clips": "nothing that counts was rendered",
}
WORDS_FIT = 5  # columns up to which a cell has room for its state's word
MOST_NEEDED = 6
MOST_PAIRS = 3


def cell_id(row: MatrixRow, tier: Tier) -> str:
    """What a click on a cell names: the candidate and the tier."""
    return f"{row.candidate.id}|{tier.value}"


# ---- the matrix
def matrix(rows: Sequence[MatrixRow], *, tiers: Sequence[Tier] = tuple(Tier), current: str = "") -> str:
    """Checkpoints down, scales across within each tier, the base once a tier; the last column says what keeps it."""
    scales = sorted({row.candidate.lora_scale for row in rows if not row.candidate.is_base})
    columns = max(1, len(scales)) * len(tiers)
    wide = columns <= WORDS_FIT
    span = max(1, len(scales))
    tier_head = "".join(f'<th scope="colgroup" colspan="{span}">{TIER_NAMES[tier]}</th>' for tier in tiers)
    top = f'<tr><td rowspan="2"></td>{tier_head}<th scope="col" rowspan="2">what keeps it</th></tr>'
    scale_head = "".join(f'<th scope="col" class="em-at">{s:g}</th>' for s in scales) or '<th scope="col">–</th>'
    body = "".join(_base_row(row, tiers, span, current) for row in rows if row.candidate.is_base)
    tuned = [row for row in rows if not row.candidate.is_base]
    for _, own in groupby(tuned, key=lambda row: row.candidate.checkpoint_id):
        by_scale = {row.candidate.lora_scale: row for row in own}
        body += _checkpoint_row(by_scale, scales, tiers, current, wide=wide)
    return (
        '<div class="em-scroll"><table class="em-matrix"><caption class="em-visually-hidden">Checkpoints by tier and '
        f"scale</caption><thead>{top}<tr>{scale_head * len(tiers)}</tr></thead><tbody>{body}</tbody></table></div>"
        f"{legend(rows, tiers)}"
    )


def legend(rows: Sequence[MatrixRow], tiers: Sequence[Tier] = tuple(Tier)) -> str:
    """What the shapes mean, with how many there are of each."""
    counted = [row.tiers[tier].state.value for row in rows for tier in tiers]
    shown = "".join(
        f'<span title="{escape(ABOUT[word])}">{view.state(shape, word)} <small>{counted.count(word)}</small></span>'
        for word, shape in SHAPES.items()
        if word in counted
    )
    flagged = sum(row.tiers[tier].open_flags > 0 for row in rows for tier in tiers)
    flags = (
        f'<span><i class="em-flagmark">!</i> <small>{flagged} with flags that nobody answered</small></span>'
        if flagged
        else ""
    )
    return f'<p class="em-legend">{shown}{flags}</p>'


def _base_row(row: MatrixRow, tiers: Sequence[Tier], span: int, current: str) -> str:
    cells = "".join(f'<td colspan="{span}">{_cell(row, tier, current, wide=True)}</td>' for tier in tiers)
    last = f'<td class="em-keeps"><small>control{_simulated(row)}</small></td>'
    return f'<tr><th scope="row">{escape(row.label)}</th>{cells}{last}</tr>'


def _checkpoint_row(
    by_scale: Mapping[float, MatrixRow],
    scales: Sequence[float],
    tiers: Sequence[Tier],
    current: str,
    *,
    wide: bool,
) -> str:
    first = next(iter(by_scale.values()))
    cells = "".join(
        f"<td>{_cell(by_scale[scale], tier, current, wide=wide) if scale in by_scale else ''}</td>"
        for tier in tiers
        for scale in scales
    )
    keeps = _keeps(list(by_scale.values()), first.retained)
    last = f'<td class="em-keeps"><div>{keeps}</div></td>'
    return f'<tr><th scope="row">{escape(checkpoint_label(first))}</th>{cells}{last}</tr>'


def checkpoint_label(row: MatrixRow) -> str:
    """What a row is called: the candidate's label without its scale."""
    return row.label.rpartition(" at ")[0] or row.label


def _cell(row: MatrixRow, tier: Tier, current: str, *, wide: bool) -> str:
    state = row.tiers[tier]
    heard = state.passes + state.fails
    word = state.state.value
    name = cell_id(row, tier)
    told = f"{row.label}, {tier.value}: {word}" + (f", {state.passes} of {heard} answers passed" if heard else "")
    flags = f", {view.plural(state.open_flags, 'open flag')}" if state.open_flags else ""
    shown = f'<span class="em-state em-{SHAPES[word]}">{escape(word) if wide else ""}</span>'
    count = f"<small>{state.passes}/{heard}</small>" if heard else ""
    mark = '<i class="em-flagged" aria-hidden="true">!</i>' if state.open_flags else ""
    return (
        f'<button class="em-tier" data-cell="{escape(name)}" aria-label="{escape(told + flags)}" '
        f'title="{escape(told + flags)}" aria-current="{str(name == current).lower()}">{shown}{count}{mark}</button>'
    )


def tier_state(cell: TierState) -> str:
    """How a tier stands, by shape and word, with its answers."""
    heard = cell.passes + cell.fails
    told = f" <small>{cell.passes} of {heard}</small>" if heard else ""
    return view.state(SHAPES[cell.state.value], cell.state.value) + told


def _keeps(rows: Sequence[MatrixRow], answer: Retained | None) -> str:
    behind = any(row.is_behind for row in rows)
    later = " <small>· answered since the last verdicts</small>" if behind else ""
    simulated = next((_simulated(row) for row in rows if row.simulated), "")
    if answer is None:
        return f"<small>in the trash or gone</small>{simulated}"
    if not answer.keep:
        return f"{view.state('fail', 'may go')} <small>{view.size(answer.bytes)}</small>{later}{simulated}"
    first, *more = answer.reasons
    title = escape("; ".join(answer.reasons))
    rest = f" and {len(more)} more" if more else ""
    return f'<small title="{title}">{escape(first)}{rest}</small>{later}{simulated}'


def _simulated(row: MatrixRow) -> str:
    return ' <small title="Judged by a stated rule, not by a person">· simulated</small>' if row.simulated else ""


# ---- what is needed, how sure
def needed(rows: Sequence[MatrixRow]) -> str:
    """What would decide what is heard and not decided, a candidate a line: flags first, then disputes."""
    found = [row for row in rows if any(state.needed for state in row.tiers.values())]
    heard = [row for row in found if _is_heard(row)]
    unheard = len(found) - len(heard)
    if not heard:
        later = f" {view.plural(unheard, 'candidate')} not heard yet." if unheard else ""
        return f"<p>Nothing that was heard waits for more.{later}</p>"
    ordered = sorted(heard, key=_urgency)
    lines = "".join(_needed_line(row) for row in ordered[:MOST_NEEDED])
    more = [f"{len(ordered) - MOST_NEEDED} more heard"] if len(ordered) > MOST_NEEDED else []
    more += [f"{view.plural(unheard, 'candidate')} not heard yet"] if unheard else []
    rest = f"<p><small>{', '.join(more)}.</small></p>" if more else ""
    return f'<ul class="em-plain em-needed">{lines}</ul>{rest}'


def _is_heard(row: MatrixRow) -> bool:
    return any(state.needed and (state.passes or state.fails) for state in row.tiers.values())


def _urgency(row: MatrixRow) -> tuple[bool, bool]:
    waiting = [state for state in row.tiers.values() if state.needed]
    return not any(s.open_flags for s in waiting), not any(s.state.value == "disputed" for s in waiting)


def _needed_line(row: MatrixRow) -> str:
    """One candidate: what is needed, and for which tiers."""
    wanted: dict[tuple[str, ...], list[Tier]] = {}
    for tier, state in row.tiers.items():
        if state.needed:
            wanted.setdefault(state.needed, []).append(tier)
    told = "".join(
        f"<div>{', '.join(_tier_link(row, tier) for tier in tiers)}: {escape(' '.join(needed))}</div>"
        for needed, tiers in wanted.items()
    )
    return f"<li><strong>{escape(row.label)}</strong>{told}</li>"


def _tier_link(row: MatrixRow, tier: Tier) -> str:
    return f'<button class="em-link" data-cell="{escape(cell_id(row, tier))}">{tier.value}</button>'


def how_sure(rows: Sequence[MatrixRow], preferences: Sequence[PreferenceRow]) -> str:
    """What the best candidate's passes prove, how many would prove more, and what A/B sittings prefer."""
    passed = [r for r in rows if r.outcome is Outcome.PASS and not r.candidate.is_base]
    if passed:
        best = max(passed, key=lambda r: sum(t.passes for t in r.tiers.values()))
        told = (
            f"<p><strong>{escape(best.label)}</strong>: {escape(best.evidence)}. "
            "59 passes in a row are needed to say “above 95 %” with 95 % confidence.</p>"
        )
    else:
        told = "<p>No candidate has passed every tier yet.</p>"
    ordered = sorted(preferences, key=lambda row: -(row.summary.wins + row.summary.losses))
    lines = [f"<p>{escape(_preferred(row))}</p>" for row in ordered]
    shown, rest = "".join(lines[:MOST_PAIRS]), "".join(lines[MOST_PAIRS:])
    if not rest:
        return told + shown
    more = view.plural(len(lines) - MOST_PAIRS, "more pair")
    return f"{told}{shown}<details><summary>{more}; Results weighs them together</summary>{rest}</details>"


def strength(state: TierState) -> str:
    """What a tier's passes prove, in a sentence; empty before any."""
    if not state.pass_rate_above:
        return ""
    heard = state.passes + state.fails
    return (
        f"{state.passes} of {heard} answers passed: they prove a pass rate above {state.pass_rate_above:.0%} with 95 % "
        "confidence, no more."
    )


def _preferred(row: PreferenceRow) -> str:
    """One pair's A/B answers in a sentence."""
    found = row.summary
    decided = found.wins + found.losses
    pair = f"{row.first_label} against {row.second_label}"
    who = ", ".join(row.reviewers) + (", simulated" if row.simulated else "")
    if not decided:
        return f"{pair}: {view.plural(found.ties, 'tie')} and no preference ({who})."
    share = f"{found.interval.low:.0%} to {found.interval.high:.0%} with 95 % confidence"
    return (
        f"{pair}: the first preferred {found.wins} of {decided} times ({share}), {view.plural(found.ties, 'tie')} "
        f"({who})."
    )


def verdicts_written(made: Sequence[Verdict]) -> str:
    """What judging changed."""
    if not made:
        return "Nothing new: every answer is in the verdicts already."
    return f"Verdicts written: {counted(verdict.outcome for verdict in made)}."


def counted(outcomes: Iterable[Outcome]) -> str:
    """'3 pass, 1 fail'."""
    found = list(outcomes)
    return ", ".join(f"{found.count(outcome)} {outcome}" for outcome in Outcome if outcome in found)


def promoted(made: Promotion) -> str:
    """That a promotion was made, and the next step."""
    return (
        f'<p class="em-notice" role="status">{escape(made.alias)} is promoted by {escape(made.promoted_by)}. '
        'Next: <a href="/voices">try and export it</a>.</p>'
    )
