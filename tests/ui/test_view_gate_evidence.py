"""What stands behind a cell: clips, answers, flags, and what was said to them."""

from __future__ import annotations

from dataclasses import replace

from engine.gate import Flagged
from engine.studio import AnswerSeen, ClipSeen, MatrixRow, State, TierState
from engine.types import Choice, Flag, FlagChoice, Tier
from tests.judgement_factory import make_candidate, make_clip
from ui import view_gate_evidence

CANDIDATE = make_candidate()
CLIP = make_clip(CANDIDATE, tier=Tier.LONG)
ANSWER = AnswerSeen(
    reviewer="Ada", choice=Choice.FAIL, reasons=("dropped word",), note="<b>the end</b>", answered_at=1_790_000_000.0,
    gate="three-tiers version 2", is_simulated=False,
)  # fmt: skip
FLAGGED = Flagged(
    flag=Flag(clip_id=CLIP.id, screener="words", version=1, reason="dropped word", words=("frost",)), tier=Tier.LONG
)
SEEN = ClipSeen(
    clip=CLIP, answers=(ANSWER,), flags=(FLAGGED,), counts=True, fit="32.0 s with this voice: a long line",
    is_waiting=False,
)  # fmt: skip
STATE = TierState(
    state=State.IN_REVIEW, passes=1, fails=0, explanation="Long: 1 of 2 passes.", needed=("1 more clip passed.",),
    pass_rate_above=0.05, waiting=2,
)  # fmt: skip
ROW = MatrixRow(
    candidate=CANDIDATE, label="epoch 1 at 0.5", tiers=dict.fromkeys(Tier, STATE), outcome=None, evidence="", keeps="",
    simulated=False,
)  # fmt: skip


def test_a_cell_says_how_it_stands_why_and_what_is_needed() -> None:
    """State, explanation, what it proves, what is missing, open trials, and the clips to hear."""
    told = view_gate_evidence.cell(ROW, Tier.LONG, [SEEN])
    for piece in ("epoch 1 at 0.5, long tier", "in review", "1 of 2 passes", "above 5% with 95 %", "2 open trials"):
        assert piece in told
    assert told.count("data-clip=") == 1
    assert "Nothing of this tier was rendered" in view_gate_evidence.cell(ROW, Tier.LONG, [])


def test_an_answer_says_who_what_why_when_and_under_which_rules() -> None:
    """All that an answer was, with its note as text and never as markup."""
    told = view_gate_evidence.clip(SEEN)
    for piece in ("fail", "dropped word", "&lt;b&gt;the end&lt;/b&gt;", "Ada", "21 Sep 2026", "three-tiers version 2"):
        assert piece in told
    simulated = replace(SEEN, answers=(replace(ANSWER, is_simulated=True),))
    assert "Ada, simulated" in view_gate_evidence.clip(simulated)


def test_a_flag_is_confirmed_refuted_disputed_or_open() -> None:
    """Each looks different, and a refuted one is kept and quiet."""

    def told(*said: tuple[str, FlagChoice]) -> str:
        return view_gate_evidence.clip(replace(SEEN, flags=(replace(FLAGGED, said=said),)))

    assert "flag: dropped word (frost)" in told()
    assert "nobody was asked yet" in told()
    assert "confirmed by Ada" in told(("Ada", FlagChoice.YES))
    refuted = told(("Bo", FlagChoice.NO))
    assert 'class="em-refuted"' in refuted
    assert "refuted by Bo" in refuted
    disputed = told(("Ada", FlagChoice.YES), ("Bo", FlagChoice.NO))
    assert "em-torn" in disputed
    assert "confirmed by Ada; refuted by Bo" in disputed
    assert "not told by Cy" in told(("Cy", FlagChoice.UNSURE))


def test_a_clip_that_does_not_count_says_why() -> None:
    """Too short for its tier with this voice, or not of the gate's lines."""
    short = replace(SEEN, counts=False, fit="20.0 s with this voice: too short for the long tier (30 s and more)")
    assert "does not count: 20.0 s with this voice: too short" in view_gate_evidence.clip(short)
    assert "under the rules of this gate" in view_gate_evidence.clip(replace(SEEN, counts=False))
    nobody = replace(SEEN, answers=(), flags=())
    assert "nobody was asked about this clip" in view_gate_evidence.clip(nobody)
    assert "in an open trial" in view_gate_evidence.clip(replace(nobody, is_waiting=True))
