"""The numbers behind the plots: a column a measure, a value a row, in the rows' order.

Pure. Small on purpose: 10,000 rows are some hundred kilobytes, drawn by the browser.
"""

from __future__ import annotations

import math
from typing import Any

from ui import data_rows
from ui.data_rows import Desk

WORST = {severity: rank + 1 for rank, severity in enumerate(data_rows.WORST_FIRST)}


def columns(desk: Desk) -> dict[str, Any]:
    """What `desk_plots.js` draws: ids, a column a measure (null where it is not known), the worst finding as 0 to 3."""
    rows = [r for r in desk.rows if r.utterance is not None]
    values = {m.name: [_short(data_rows.value_of(r, m.name)) for r in rows] for m in data_rows.MEASURES}
    return {
        "ids": [r.id for r in rows],
        "characters": [len(r.text) for r in rows],
        "worst": [WORST[r.worst] if r.worst else 0 for r in rows],
        "measures": [
            {"name": m.name, "title": m.title, "unit": m.unit, "width": m.width, "values": values[m.name]}
            for m in data_rows.MEASURES
        ],
    }


def _short(value: float) -> float | None:
    return round(value, 2) if math.isfinite(value) else None
