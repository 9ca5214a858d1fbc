"""What the Sweep page shows of clips: the grid, one clip with its words and scores, a player for samples that lie
nowhere.

Pure like `view`: records in, HTML out.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import TYPE_CHECKING

from engine.types import Clip, Score, Stop, Verdict, WordScore
from ui import view

if TYPE_CHECKING:
    from engine.studio import Grid, GridCell, Measure

HEATS = 5
NO_DIFFERENCE = {"%": 5.0}  # by unit: a grid whose values lie less apart has no darkest cell
_SETTING = {"max_factor": "cap"}  # shorter than its name
CANNOT_JUDGE = "cannot judge"
NOT_YET = "not listened to yet"
NOT_APPLICABLE = "Not applicable"  # how a screener's explanation begins where its question makes no sense
ENDED = "ended"  # the unit of what is reached or not
STATE_WORDS = {"wrong": "unclear", "inserted": "not in the text", "merged": "run together", "repeated": "said again"}


def measure_options(measures: Sequence[Measure], chosen: str) -> str:
    """The measures for a grid's colour, in the screeners' own words."""
    return "".join(
        f'<option value="{escape(m.name)}" title="{escape(m.about)}"{" selected" if m.name == chosen else ""}>'
        f"{escape(m.title)}</option>"
        for m in measures
    )


def heat(grid: Grid) -> Mapping[str, int]:
    """The colour step 0 to 4 of every cell with a value, by candidate id: of a measure that has no good way, how far it
    is from the base.
    """
    values = {c.candidate.id: c.value for c in grid.cells.values() if c.value is not None and not math.isnan(c.value)}
    base = next(
        (values[c.candidate.id] for c in grid.cells.values() if c.candidate.is_base and c.candidate.id in values), None
    )
    if grid.better == "more":
        values = {key: -value for key, value in values.items()}
    elif grid.better == "neither" and base is not None:
        values = {key: abs(value - base) for key, value in values.items()}
    low, high = min(values.values(), default=0.0), max(values.values(), default=0.0)
    span = max(high - low, NO_DIFFERENCE.get(grid.unit, 0.0))
    return {key: min(HEATS - 1, int(HEATS * (value - low) / span)) if span else 0 for key, value in values.items()}


def grid_table(
    grid: Grid, title: str, *, current: str, marked: Collection[str], verdicts: Mapping[str, Verdict]
) -> str:
    """Checkpoints down, each with its verdict, scales across, a button a cell. A dot marks what will be sent to
    listening, a bar how far the seeds are apart.
    """
    look = _Look(grid, current, marked)
    scales = [s for s in grid.scales if s]
    unit = f", {grid.unit}" if grid.unit else ""
    head = [f"{title}{unit}", "base", *(f"{s:g}" for s in scales)]
    rows = []
    base = next((cell for cell in grid.cells.values() if cell.candidate.is_base), None)
    control = view.state("none", "control")
    if base:
        rows.append(_row("base", [base, *[None] * len(scales)], control, look))
    for other in grid.others:
        name = f"base {other.candidate.voice}, {other.candidate.backend}"
        rows.append(_row(name, [other, *[None] * len(scales)], control, look))
    for checkpoint in grid.checkpoints:
        cells = [None, *(grid.cells.get((checkpoint.id, s)) for s in scales)]
        own = [verdicts[c.candidate.id] for c in cells if c and c.candidate.id in verdicts]
        rows.append(_row(f"epoch {checkpoint.epoch}", cells, _verdict(own), look))
    top = "".join(f'<th scope="col">{escape(h)}</th>' for h in head)
    return (
        '<div class="em-scroll"><table class="em-heat"><caption class="em-visually-hidden">Checkpoints by '
        "scale</caption>"
        f"<thead><tr>{top}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>{_legend(grid)}"
    )


class _Look:
    """How cells of one grid are drawn: their colours, the range of their values, what is open and what is marked."""

    def __init__(self, grid: Grid, current: str, marked: Collection[str]) -> None:
        self.heats = heat(grid)
        self.current, self.marked = current, marked
        ends = [v for c in grid.cells.values() for v in (c.seed_low, c.seed_high, c.value) if v is not None]
        self.low, self.high = min(ends, default=0.0), max(ends, default=0.0)

    def share(self, value: float) -> float:
        return 100 * (value - self.low) / (self.high - self.low) if self.high > self.low else 50.0


def _legend(grid: Grid) -> str:
    cells = list(grid.cells.values())
    several = any(c.seeds > 1 for c in cells)
    spread = " The bar in a cell is how far its seeds are apart, over the range of the grid." if several else ""
    unsure = f" “?”: the measure {CANNOT_JUDGE} these clips." if any(c.unjudged for c in cells) else ""
    better = "darker is further from the base" if grid.better == "neither" else "darker is worse"
    keys = (
        '<span class="em-keyhelp"><kbd>←↑→↓</kbd> move, <kbd>space</kbd> plays, <kbd>,</kbd> <kbd>.</kbd> change the '
        "line, <kbd>m</kbd> marks for listening.</span>"
    )
    told = f"{better.capitalize()}; ■ counts flagged clips.{spread}{unsure} {keys}"
    return f'<p class="em-quiet em-grid-legend">{told}</p>'


def _row(name: str, cells: Sequence[GridCell | None], verdict: str, look: _Look) -> str:
    inside = "".join(f"<td>{_cell(name, c, look) if c else ''}</td>" for c in cells)
    return f'<tr><th scope="row">{escape(name)}<div class="em-verdict">{verdict}</div></th>{inside}</tr>'


def _cell(name: str, cell: GridCell, look: _Look) -> str:
    key = cell.candidate.id
    waits = cell.value is None and not cell.unjudged
    value = ("…" if waits else "?") if cell.value is None else _short(cell.value)
    told = (NOT_YET if waits else CANNOT_JUDGE) if cell.value is None else value
    flag = (
        f'<span class="em-flag" title="{view.plural(cell.flagged, "clip")} flagged">■ {cell.flagged}</span>'
        if cell.flagged
        else ""
    )
    if cell.unjudged and cell.value is not None:
        told += f", {cell.unjudged} of {len(cell.clip_ids)} clips it {CANNOT_JUDGE}"
        flag += f'<span class="em-part" title="{cell.unjudged} of {len(cell.clip_ids)} not judged">?</span>'
    if cell.unscored and not waits:
        told += f", {cell.unscored} of {len(cell.clip_ids)} clips {NOT_YET}"
    if cell.low is not None and cell.high is not None:
        told += f", from {_short(cell.low)} to {_short(cell.high)}"
    if cell.seed_low is not None and cell.seed_high is not None:
        told += f", seeds from {_short(cell.seed_low)} to {_short(cell.seed_high)}"
    marked = ", marked for listening" if key in look.marked else ""
    label = escape(f"{name} at {cell.candidate.lora_scale:g}: {told}{marked}")
    heat_class = f"em-h{look.heats[key]}" if key in look.heats else "em-unknown"  # nothing measured is not the best
    return (
        f'<button type="button" class="em-cell {heat_class}" data-cell="{escape(key)}" aria-label="{label}" '
        f'title="{label}" aria-current="{str(key == look.current).lower()}" '
        f'aria-pressed="{str(key in look.marked).lower()}">{value}{flag}{_spread(cell, look)}</button>'
    )


def _spread(cell: GridCell, look: _Look) -> str:
    """How far the seeds are apart, over the range of the grid."""
    if cell.seed_low is None or cell.seed_high is None or cell.seed_low == cell.seed_high:
        return ""
    left, right = look.share(cell.seed_low), look.share(cell.seed_high)
    return f'<i class="em-spread" style="left:{left:.0f}%;width:{max(3.0, right - left):.0f}%"></i>'


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2g}"


def _verdict(own: Sequence[Verdict]) -> str:
    """The best verdict among a checkpoint's candidates: a pass names its scale."""
    passed = [v for v in own if v.outcome == "pass"]
    if passed:
        return view.state("pass", "pass at " + ", ".join(f"{v.candidate.lora_scale:g}" for v in passed))
    if any(v.outcome == "undecided" for v in own):
        return view.state("wait", "undecided")
    return view.state("fail", "fail") if own else view.state("none", "not judged")


# ---- a clip
def told_apart(clips: Iterable[Clip]) -> Mapping[str, str]:
    """Of clips that say the same line with one seed after one reference, what each was drawn with that the others were
    not, by clip id; where nothing that was set differs, the code that divides texts does.
    """
    alike: dict[tuple[object, ...], list[Clip]] = {}
    for clip in clips:
        after = clip.reference.sha256 if clip.reference else ""
        alike.setdefault((clip.candidate.id, clip.script_sha256, clip.line_id, clip.seed, after), []).append(clip)
    told: dict[str, str] = {}
    for own in (each for each in alike.values() if len(each) > 1):
        drawn = {clip.id: {**asdict(clip.settings), **clip.settings.own} for clip in own}
        differs = [n for n in dict.fromkeys(n for d in drawn.values() for n in d if n != "own")
                   if len({d.get(n) for d in drawn.values()}) > 1]  # fmt: skip
        for clip in own:
            found = [f"{_SETTING.get(n, n.replace('_', ' '))} {drawn[clip.id].get(n, 0):g}" for n in differs]
            told[clip.id] = ", ".join(found) or f"as version {clip.harness_version} divides texts"
    return told


def clip_panel(clip: Clip, label: str, scores: Sequence[Score], titles: Mapping[str, str]) -> str:
    """One clip: its wave and spectrogram over a time axis, its words below, what the measures say.

    The wave is drawn by the page from what it plays, and the word marks take an ear's alignment, so the page asks for
    them after it is drawn.
    """
    ended = "stopped by itself" if clip.stop is Stop.EOS else "cut at the cap"
    drawn = f", drawn {clip.attempts} times" if clip.attempts > 1 else ""
    after = f" · after {clip.reference.text[:40]!r}" if clip.reference else ""
    head = f"{view.duration(clip.duration_sec)} · {ended}{drawn}{after}"
    at = f"/clips/{escape(clip.id)}"
    mask = f"mask-image:url('{at}/spectrum.png');-webkit-mask-image:url('{at}/spectrum.png')"
    return (
        f'<div class="em-clip em-stack" data-take="{escape(clip.id)}" data-seconds="{clip.duration_sec:.3f}">'
        f"<h2>{escape(label)} · {clip.tier} tier, seed {clip.seed}</h2>"
        '<div class="em-row em-nowrap"><button type="button" class="em-play" data-act="play" '
        'aria-label="Play or pause">▶</button><div class="em-sound em-take" data-seek role="img" '
        'aria-label="Waveform over spectrogram"><svg class="em-wave-svg" preserveAspectRatio="none" '
        f'aria-hidden="true"></svg><div class="em-spectrum" style="{mask}"></div><div class="em-playhead"></div></div>'
        f'</div><div class="em-axis" aria-hidden="true">{_axis(clip.duration_sec)}</div>'
        f'<div data-words="{at}/words"><p class="em-words" lang="{escape(clip.language)}">{escape(clip.text)}</p>'
        "<small>Finding each word …</small></div>"
        f'<p class="em-quiet">{escape(head)}</p>{score_list(scores, titles)}{_drawn_with(clip)}</div>'
    )


def _drawn_with(clip: Clip) -> str:
    """The settings that a clip was drawn with, folded."""
    settings = {**asdict(clip.settings), **clip.settings.own}
    told = ", ".join(f"{n.replace('_', ' ')} {v:g}" for n, v in settings.items() if n != "own")
    return f"<details><summary>How tokens were drawn</summary><small>{escape(told)}</small></details>"


def _axis(seconds: float) -> str:
    """Times under a clip, every 1, 2, 5 or 10 s."""
    step = next((s for s in (1, 2, 5, 10) if seconds / s <= 8), 20)
    marks = range(0, math.floor(seconds) + 1, step)
    return "".join(f'<span style="left:{100 * at / seconds:.2f}%">{at}</span>' for at in marks if at / seconds < 0.97)


def player(spectrum_url: str) -> str:
    """A play button and a spectrogram with a playhead; its surrounding [data-clip] names the sound."""
    mask = f"mask-image:url('{spectrum_url}');-webkit-mask-image:url('{spectrum_url}')"
    return (
        '<div class="em-row" style="flex-wrap:nowrap"><button class="em-play" aria-label="Play or pause">▶</button>'
        f'<div class="em-sound" role="img" aria-label="Spectrogram"><div class="em-spectrum" style="{mask}"></div>'
        '<div class="em-playhead"></div></div></div>'
    )


def spoken(wav: bytes, spectrum: bytes, told: str) -> str:
    """A player for audio that lies in no file: everything is in the markup."""
    sound = base64.b64encode(wav).decode()
    picture = f"data:image/png;base64,{base64.b64encode(spectrum).decode()}"
    return (
        '<div class="em-clip em-stack" '
        f'data-clip="data:audio/wav;base64,{sound}">{player(picture)}<small>{escape(told)}</small></div>'
    )


def word_marks(words: Sequence[WordScore], language: str = "en") -> str:
    """The text as the ear heard it: dropped words struck through, merged ones underlined; a click plays from there."""
    if not words:
        return '<p class="em-quiet">No ear follows this voice: which words are there, nobody can say.</p>'
    between = "" if language in ("zh", "ja") else " "
    wrong = [w.state for w in words if w.state != "ok"]
    told = ", ".join(_counted(state, wrong.count(state)) for state in sorted(set(wrong))) or "every word is there"
    return (
        f'<div><p class="em-words" lang="{escape(language)}">{between.join(_word(word) for word in words)}</p>'
        f'<small class="em-words">{told}, of {view.plural(len(words), "word")}</small></div>'
    )


def _counted(state: str, count: int) -> str:
    """How many words are in a state, marked as they are: it tells what the marks mean."""
    return f'<span class="em-{escape(state)}">{count} {escape(STATE_WORDS.get(state, state))}</span>'


def _word(word: WordScore) -> str:
    at = "" if math.isnan(word.start_sec) else f' data-at="{word.start_sec:.2f}"'
    if word.state == "ok":
        return f"<span{at}>{escape(word.text)}</span>"
    said = STATE_WORDS.get(word.state, word.state)
    spoken = f'<span class="em-visually-hidden"> ({escape(said)})</span>'
    tag = "del" if word.state == "dropped" else "span"
    return f'<{tag} class="em-{escape(word.state)}" title="{escape(said)}"{at}>{escape(word.text)}{spoken}</{tag}>'


def score_list(scores: Sequence[Score], titles: Mapping[str, str] | None = None) -> str:
    """What the screeners said: flagged ones with their explanation, the rest in a line, all of them folded."""
    if not scores:
        return '<p class="em-quiet">Not screened yet.</p>'
    named = {s.screener: (titles or {}).get(s.screener, s.screener.replace("_", " ")) for s in scores}
    flagged = [s for s in scores if s.passed is False]
    told = "".join(
        f"<p>{view.state('fail', f'{named[s.screener]} {_value(s)}')} <small>{escape(s.explanation)}</small></p>"
        for s in flagged
    )
    rest = " · ".join(f"{escape(named[s.screener])} {escape(_value(s))}" for s in scores if s not in flagged)
    rows = ((escape(named[s.screener]), escape(_value(s)), f"<small>{escape(s.explanation)}</small>") for s in scores)
    inside = view.table(("measure", "value", "in words"), rows, caption="Measures of this clip")
    return f"<div>{told}<details><summary>{rest or 'all measures'}</summary>{inside}</details></div>"


def _value(score: Score) -> str:
    if math.isnan(score.value):
        return NOT_APPLICABLE.lower() if score.explanation.startswith(NOT_APPLICABLE) else CANNOT_JUDGE
    if score.unit == ENDED:
        return "reached" if score.value else "not reached"
    return f"{_short(score.value)} {score.unit}".strip()


NOT_RENDERED = (
    '<div class="em-empty"><h2>Nothing is rendered yet</h2><p>Choose checkpoints and scales above and press Render. '
    "Clips are kept, so a second sweep renders what is new alone.</p></div>"
)
BASE_ALONE = (
    '<p class="em-notice" role="status">No checkpoint of this run is rendered yet: choose scales above and press '
    "Render, or let new checkpoints be swept by themselves. Below stand bases that were rendered before.</p>"
)
PICK_A_CELL = (
    '<div class="em-empty"><h2>Listen in place</h2><p>Click a cell to hear it. Click it again to mark it for blind '
    "listening. The line and the place in it stay when you go to another cell.</p></div>"
)
