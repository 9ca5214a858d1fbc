"""What the Sweep and Gate pages show of what lies between checkpoints: whether speech gets faster or slower over the
epochs.

Pure like `view`: records in, HTML out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from ui import view

if TYPE_CHECKING:
    from engine.studio import RateTrend, Tempo

ABOUT = (
    "Speaking rate beside the base on the same lines. Speech that gets steadily faster or slower from checkpoint to "
    "checkpoint is the sign of a fault in training (labels that are shifted twice) or of learning one reader's tempo "
    "by heart: listen to the last epoch beside the first. Where takes lie too far apart to tell, more lines or seeds "
    "would say more."
)


def rates(found: Sequence[RateTrend]) -> str:
    """A row a scale, a column an epoch, and in words whether it drifts; empty with fewer than two checkpoints."""
    shown = [each for each in found if len(each.checkpoints) > 1]
    if not shown:
        return ""
    epochs = sorted({(c.epoch, c.checkpoint_id) for each in shown for c in each.checkpoints})
    rows = []
    for each in shown:
        by_id = {c.checkpoint_id: c for c in each.checkpoints}
        cells = [_tempo(by_id.get(checkpoint_id)) for _, checkpoint_id in epochs]
        rows.append((f"at {each.lora_scale:g}<div>{drift(each)}</div>", *cells))
    head = ("speaking rate", *(f"epoch {epoch}" for epoch, _ in epochs))
    inside = view.table(head, rows, caption="Speaking rate over the epochs, in per cent of the base's")
    return f'<div class="em-rates">{inside}<p class="em-quiet">{escape(ABOUT)}</p></div>'


def drift(found: RateTrend) -> str:
    """Whether a scale drifts, by shape and word, with its slope."""
    trend = found.trend
    if math.isnan(trend.slope):
        return f"{view.state('none', 'cannot judge')} <small>{escape(trend.explanation)}</small>"
    told = f"{trend.slope:+z.1f} % an epoch, {trend.low:+z.1f} to {trend.high:+z.1f}"
    if trend.passed is None:
        return f"{view.state('none', 'cannot judge')} <small>{escape(told)}: too far apart to tell</small>"
    word = "no drift" if trend.passed else "gets faster" if trend.slope > 0 else "gets slower"
    return f"{view.state('pass' if trend.passed else 'fail', word)} <small>{escape(told)}</small>"


def _tempo(found: Tempo | None) -> str:
    if found is None:
        return ""
    value = "?" if math.isnan(found.of_base_percent) else f"{found.of_base_percent:.0f} %"
    mark = ' <span class="em-flag" title="5 % or more off the first epoch">■</span>' if found.has_drifted else ""
    return f'<span title="{view.plural(found.clips, "clip")}">{value}{mark}</span>'
