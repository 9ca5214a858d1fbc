"""12 checkpoints x 4 scales x 3 tiers on the built-in voice: in batches whose rows differ, and row by row."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Row, Table
from benchmarks.voices import make_adapters
from engine import backends, scripts, sweep
from engine.adapters import AdapterHost
from engine.types import Candidate, Clip

CHECKPOINTS = 12
SCALES = (0.2, 0.35, 0.5, 1.0)
SETTINGS = {"max_factor": 1.6}


def run(turns: int, base_model: str = "") -> list[Table]:
    """The table, after a quarter of an hour or more. `turns` is not used: the sweep itself is a hundred batches.

    Raises NotFound without the weights.
    """
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        model = backends.load("finch", base_model)
        adapters = {f"run@{n:06d}": a for n, a in enumerate(make_adapters(folder / "a", model)[:CHECKPOINTS], 1)}
        voice = model.capabilities.voices[0]
        steered = [
            Candidate(backend="finch", voice=voice, checkpoint_id=checkpoint, lora_scale=scale)
            for checkpoint in adapters
            for scale in SCALES
        ]
        request = sweep.Request(
            candidates=(Candidate(backend="finch", voice=voice), *steered),
            script=scripts.load("english-brief"),
            settings=SETTINGS,
        )
        infos = {"finch": backends.info("finch", base_model)}
        plan = sweep.plan(request, clips=folder / "batches", adapters=adapters, infos=infos)
        host = AdapterHost(model)
        batches_sec, clips = _rendered(plan, host, folder / "batches", batch_rows=sweep.BATCH_ROWS)
        rows_sec, singly = _rendered(plan, host, folder / "rows", batch_rows=1)
        again_sec, _ = _rendered(plan, host, folder / "batches", batch_rows=sweep.BATCH_ROWS)
    return [_table(clips, batches_sec, singly, rows_sec, again_sec)]


def _rendered(plan: sweep.Plan, host: AdapterHost, clips: Path, *, batch_rows: int) -> tuple[float, list[Clip]]:
    begun = time.perf_counter()
    found = list(sweep.render(plan, host=host, clips=clips, batch_rows=batch_rows))
    return time.perf_counter() - begun, found


def _table(
    clips: Sequence[Clip], batches_sec: float, singly: Sequence[Clip], rows_sec: float, again_sec: float
) -> Table:
    audio_sec, singly_sec = (sum(clip.duration_sec for clip in each) for each in (clips, singly))
    return Table(
        f"{CHECKPOINTS} checkpoints x {len(SCALES)} scales x 3 tiers and the base: {len(clips)} clips, "
        f"{audio_sec / 60:.0f} minutes of audio",
        [
            Row("**batches of 16 rows that differ in adapter and scale**", f"{batches_sec:.0f} s", "1", "wall time"),
            Row("row by row", f"{rows_sec:.0f} s", f"{rows_sec / batches_sec:.1f} x batches"),
            Row("the same sweep again: all of it lies in the cache", f"{again_sec:.2f} s"),
        ],
        f"Row by row the same {len(singly)} clips ({singly_sec / 60:.0f} minutes of audio) were rendered one after the "
        "other in the same run. Both include writing the files.",
    )
