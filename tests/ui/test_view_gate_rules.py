"""A gate in sentences, and what it would change."""

from __future__ import annotations

from dataclasses import replace

from engine import gate_files
from engine.studio import GateChange
from engine.types import Control, ControlPrompt, Hearing, Outcome
from tests.judgement_factory import make_candidate
from ui import view_gate_rules

GATE = gate_files.load()


def test_a_gate_is_told_in_sentences() -> None:
    """Who reads the page knows the rules without their JSON."""
    told = view_gate_rules.rules(GATE)
    assert "three-tiers, version 2" in told
    assert "<strong>long</strong>: 1 clip must pass; none may fail; dropped word, merged word fails it at once." in told
    assert "no flag decides anything by itself" in told
    strict = replace(
        GATE, hearing=Hearing.BESIDE_CONTROL, hidden_control=True, catch_rate=0.1, scripts=("a" * 64,),
        rules=tuple(replace(r, reviewers=2, lines=("l1",), automatic=("end",)) for r in GATE.rules),
    )  # fmt: skip
    told = view_gate_rules.rules(strict)
    for piece in ("each by 2 different people", "only l1 count", "a flag of end fails it unheard", "named control",
                  "without its name", "10% of the clips", "Only clips of 1 script"):  # fmt: skip
        assert piece in told
    assert "no flag decides" not in told
    own = Control(
        backend="cosyvoice2", voice="default", prompt=ControlPrompt.OWN, reference_sha256="a" * 64, base_sha256="b" * 64
    )
    told = view_gate_rules.rules(replace(strict, control=own), {"a" * 64: "captain"})
    assert "base default of cosyvoice2, after the audio prompt captain, by the weights bbbbbbbbbbbb." in told
    assert "The control is asked about too, without its name." in told


def test_what_would_change_is_counted_and_listed() -> None:
    """From what to what, for which candidate and why; and that nothing was written."""
    change = GateChange(
        candidate=make_candidate(), label="epoch 1 at 0.5", before=Outcome.PASS, after=Outcome.UNDECIDED, why="<Long>"
    )
    told = view_gate_rules.changes([change, replace(change, before=None)], GATE)
    assert (
        "2 verdicts would change: 1 from pass to undecided, 1 from no verdict to undecided. Nothing was written" in told
    )
    assert "&lt;Long&gt;" in told
    assert "stays as it is" in view_gate_rules.changes([], GATE)
