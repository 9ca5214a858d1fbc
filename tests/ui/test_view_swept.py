"""What becomes of new checkpoints, in words."""

from __future__ import annotations

from dataclasses import replace

from engine import scripts, sweep
from engine.studio import AutomaticSweep, EachCheckpoint
from engine.sweep_progress import SweepView
from engine.sweep_records import AUTOMATIC, SweepRecord, SweepState
from engine.types import Candidate
from ui import view_swept

SETTING = AutomaticSweep(run_id="ada", scales=(0.0, 0.35), references=("abc", None), gates=("pair",))
SCRIPT = scripts.load("english-brief", scripts.SCRIPTS)
COST = EachCheckpoint(lines=SCRIPT.lines, clips=3, audio_sec=50.0, render_sec=3.0, screen_sec=2.0, bytes=1_000_000)


def sweep_of(checkpoint: str, state: SweepState) -> SweepView:
    candidate = Candidate(backend="finch", voice="aoede", checkpoint_id=checkpoint, lora_scale=0.35)
    record = SweepRecord(
        id=checkpoint, request=sweep.Request(candidates=(candidate,), script=SCRIPT), state=state, by=AUTOMATIC,
        run_id="ada", created_at=1.0, changed_at=1.0, clips=3,
    )  # fmt: skip
    return SweepView(record=record, done=2, total=6, message="", left_sec=12.0 if state == "running" else None)


def test_what_is_rendered_of_each_checkpoint_is_a_sentence() -> None:
    """Lines by tier, scales without the base's, references, and what is beside it."""
    assert view_swept.each(SETTING, COST) == (
        "Each new checkpoint: <b>3 clips</b>, 3 lines (1 short, 1 medium, 1 long) of english-brief at scale 0.35, "
        "seed 42, after 2 references, beside the base and the control of pair."
    )


def test_the_card_counts_what_was_done_and_says_what_stands_against_it() -> None:
    """Of sweeps that wait the oldest is shown with its bar, the others are counted; one that failed is no success."""
    states = [SweepState.WAITING, SweepState.WAITING, SweepState.RUNNING, SweepState.FAILED, SweepState.DONE]
    sweeps = [sweep_of(f"ada@{number:06d}", state) for number, state in enumerate(states)]
    told = view_swept.card("ada", replace(SETTING, trouble="Swept without <a> control."), COST, sweeps)
    assert "1 checkpoint swept and screened" in told
    assert "starting, about 12 s left" in told
    assert "2 more sweeps after it" in told
    assert "1 sweep did not come to an end" in told
    assert "without &lt;a&gt; control" in told
    assert "begins with the next one" in view_swept.card("ada", SETTING, COST, [])
