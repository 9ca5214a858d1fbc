"""What the Sweep page shows of clips: the grid, one clip with its words and scores, a player for samples that lie
nowhere.

Pure like `view`: records in, HTML out.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from engine.types import Clip, Score, Stop, Verdict, WordScore
from ui import view

if TYPE_CHECKING:
    from engine.studio import Grid, GridCell
    from engine.sweep import Plan
    from engine.sweep_progress import SweepView

HEATS = 5
# Measures of which less is better get darker as they grow; of the others the grid shows how far they are from the base.
LESS_IS_BETTER = frozenset({"words", "phoneme_errors", "end", "silence", "clipping"})
MEASURE_NAMES = {
    "words": "word errors",
    "phoneme_errors": "phoneme errors",
    "end": "cut at the cap",
    "rate": "speaking rate",
    "silence": "silence",
    "clipping": "clipping",
    "pitch": "pitch",
    "similarity": "similarity to the target",
}


def measure_name(measure: str) -> str:
    """How a page names a measure."""
    return MEASURE_NAMES.get(measure, measure.replace("_", " "))


def cost(plan: Plan) -> str:
    """What a sweep would render and what it would cost, before it starts."""
    missing = len(plan.jobs) - len(plan.cached)
    told = f"{len(plan.request.candidates)} candidates, {view.plural(len(plan.jobs), 'clip')}"
    if not missing:
        return f'<p class="em-quiet">{told}: all of them lie ready, nothing has to be rendered.</p>'
    ready = f", {len(plan.cached)} lie ready" if plan.cached else ""
    return (
        f'<p class="em-quiet">{told}{ready}. To render: {missing}, about {view.duration(plan.estimate_sec)} '
        f"and {view.size(plan.estimate_bytes)}.</p>"
    )


def progress(sweep: SweepView) -> str:
    """How far a sweep is, or how it ended."""
    record = sweep.record
    if record.error:
        return view.notice(record.error, bad=True)
    if record.state in ("waiting", "running"):
        left = f", about {view.duration(sweep.left_sec)} left" if sweep.left_sec else ""
        return view.bar(sweep.done, sweep.total, f"{sweep.message or 'starting'}: {sweep.done} of {sweep.total}{left}")
    new = f"{view.plural(record.rendered, 'clip')} rendered, {record.clips - record.rendered} lay ready"
    return f'<p class="em-quiet">{escape(record.state.capitalize())}: {new}.</p>'


def heat(grid: Grid) -> Mapping[str, int]:
    """The colour step 0 to 4 of every cell with a value, by candidate id."""
    values = {c.candidate.id: c.value for c in grid.cells.values() if c.value is not None and not math.isnan(c.value)}
    base = next(
        (values[c.candidate.id] for c in grid.cells.values() if c.candidate.is_base and c.candidate.id in values), None
    )
    if grid.measure not in LESS_IS_BETTER and base is not None:
        values = {key: abs(value - base) for key, value in values.items()}
    low, high = min(values.values(), default=0.0), max(values.values(), default=0.0)
    span = high - low
    return {key: min(HEATS - 1, int(HEATS * (value - low) / span)) if span else 0 for key, value in values.items()}


def grid_table(grid: Grid, *, current: str, marked: Collection[str], verdicts: Mapping[str, Verdict]) -> str:
    """Checkpoints down, scales across, a button a cell. A dot marks what will be sent to listening."""
    heats = heat(grid)
    scales = [s for s in grid.scales if s]
    unit = f", {grid.unit}" if grid.unit else ""
    head = [f"{measure_name(grid.measure)}{unit}", "base", *(f"{s:g}" for s in scales), "verdict"]
    rows = []
    base = next((cell for cell in grid.cells.values() if cell.candidate.is_base), None)
    if base:
        rows.append(
            _row(
                "base",
                [base, *[None] * len(scales)],
                '<span class="em-state em-none">control</span>',
                heats,
                current,
                marked,
            )
        )
    for checkpoint in grid.checkpoints:
        cells = [None, *(grid.cells.get((checkpoint.id, s)) for s in scales)]
        own = [verdicts[c.candidate.id] for c in cells if c and c.candidate.id in verdicts]
        rows.append(_row(f"epoch {checkpoint.epoch}", cells, _verdict(own), heats, current, marked))
    top = "".join(f'<th scope="col">{escape(h)}</th>' for h in head)
    return (
        '<div class="em-scroll"><table class="em-heat"><caption class="em-visually-hidden">Checkpoints by '
        "scale</caption>"
        f"<thead><tr>{top}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _row(
    name: str,
    cells: Sequence[GridCell | None],
    verdict: str,
    heats: Mapping[str, int],
    current: str,
    marked: Collection[str],
) -> str:
    inside = "".join(f"<td>{_cell(name, c, heats, current, marked) if c else ''}</td>" for c in cells)
    return f'<tr><th scope="row">{escape(name)}</th>{inside}<td style="padding:0 8px">{verdict}</td></tr>'


def _cell(name: str, cell: GridCell, heats: Mapping[str, int], current: str, marked: Collection[str]) -> str:
    key = cell.candidate.id
    value = "–" if cell.value is None or math.isnan(cell.value) else _short(cell.value)
    flag = (
        f'<span class="em-flag" title="{view.plural(cell.flagged, "clip")} flagged">■ {cell.flagged}</span>'
        if cell.flagged
        else ""
    )
    spread = "" if cell.low is None or cell.high is None else f", from {_short(cell.low)} to {_short(cell.high)}"
    label = (
        f"{name} at {cell.candidate.lora_scale:g}: {value}{spread}{', marked for listening' if key in marked else ''}"
    )
    heat_class = f"em-h{heats[key]}" if key in heats else "em-unknown"  # nothing measured is not the best
    return (
        f'<button class="em-cell {heat_class}" data-cell="{escape(key)}" aria-label="{escape(label)}" '
        f'title="{escape(label)}" '
        f'aria-current="{str(key == current).lower()}" '
        f'aria-pressed="{str(key in marked).lower()}">{value}{flag}</button>'
    )


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
def clip_card(clip: Clip, scores: Sequence[Score]) -> str:
    """One clip: play it over its spectrogram, read its text, see what the measures say.

    The word marks take an ear's alignment, so the page asks for them after it is drawn (`assets/ui/clips.js`).
    """
    ended = "stopped by itself" if clip.stop is Stop.EOS else "cut at the cap"
    head = f"{clip.tier} · {clip.line_id} · seed {clip.seed} · {view.duration(clip.duration_sec)} · {ended}"
    at = f"/clips/{escape(clip.id)}"
    return (
        f'<div class="em-clip em-stack" data-clip="{at}"><small>{escape(head)}</small>{player(f"{at}/spectrum.png")}'
        f'<div data-words="{at}/words"><p class="em-words">{escape(clip.text)}</p></div>{score_list(scores)}</div>'
    )


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


def word_marks(words: Sequence[WordScore]) -> str:
    """The text as the ear heard it: dropped words struck through, merged ones underlined; a click plays from there."""
    shown = []
    for word in words:
        at = "" if math.isnan(word.start_sec) else f' data-at="{word.start_sec:.2f}"'
        kind = "" if word.state == "ok" else f' class="em-{escape(word.state)}" title="{escape(word.state)}"'
        shown.append(f"<span{kind}{at}>{escape(word.text)}</span>")
    wrong = [w.state for w in words if w.state != "ok"]
    told = "every word is there" if not wrong else ", ".join(f"{wrong.count(s)} {s}" for s in sorted(set(wrong)))
    return (
        f'<div><p class="em-words">{" ".join(shown)}</p><small>{escape(told)}, of '
        f"{view.plural(len(words), 'word')}</small></div>"
    )


def score_list(scores: Sequence[Score]) -> str:
    """What the screeners said: flagged ones with their explanation, the rest in a line, all of them folded."""
    if not scores:
        return ""
    flagged = [s for s in scores if s.passed is False]
    told = "".join(
        f"<p>{view.state('fail', f'{measure_name(s.screener)} {_value(s)}')} <small>{escape(s.explanation)}</small></p>"
        for s in flagged
    )
    rest = " · ".join(f"{escape(measure_name(s.screener))} {escape(_value(s))}" for s in scores if s not in flagged)
    rows = (
        (escape(measure_name(s.screener)), escape(_value(s)), f"<small>{escape(s.explanation)}</small>") for s in scores
    )
    inside = view.table(("measure", "value", "in words"), rows, caption="Measures of this clip")
    return f"<div>{told}<details><summary>{rest or 'all measures'}</summary>{inside}</details></div>"


def _value(score: Score) -> str:
    return f"{_short(score.value)} {score.unit}".strip()


NOT_RENDERED = (
    '<div class="em-empty"><h2>Nothing is rendered yet</h2><p>Choose checkpoints and scales above and press Render. '
    "Clips are kept, so a second sweep renders what is new alone.</p></div>"
)
PICK_A_CELL = '<p class="em-quiet">Click a cell to hear its clips. Click it again to mark it for blind listening.</p>'
