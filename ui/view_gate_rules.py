"""What the Gate page shows of rules: a gate in sentences, and what it would change.

Pure like `view`: records in, HTML out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from engine.types import Control, ControlPrompt, Gate, Hearing, Outcome, Rule
from ui import view

if TYPE_CHECKING:
    from engine.studio import GateChange

SHAPES = {Outcome.PASS: "pass", Outcome.FAIL: "fail", Outcome.UNDECIDED: "wait"}


def rules(gate: Gate, prompts: Mapping[str, str] | None = None) -> str:
    """A gate in sentences that a reviewer understands. `prompts` are the names of audio prompts, by hash."""
    tiers = "".join(f"<li><strong>{rule.tier.value}</strong>: {escape(_rule(rule))}</li>" for rule in gate.rules)
    shared = "".join(f"<li>{escape(each)}</li>" for each in _shared(gate, prompts or {}))
    about = f"<p>{escape(gate.about)}</p>" if gate.about else ""
    head = f"<p><small>{escape(gate.name)}, version {gate.version}</small></p>"
    return f'{head}{about}<ul class="em-plain">{tiers}{shared}</ul>'


def _rule(rule: Rule) -> str:
    who = "" if rule.reviewers == 1 else f", each by {rule.reviewers} different people"
    passes = f"{view.plural(rule.min_pass, 'clip')} must pass{who}"
    fails = "none may fail" if rule.max_fail == 0 else f"at most {rule.max_fail} may fail"
    told = [f"{passes}; {fails}"]
    if rule.lines:
        told.append(f"only {', '.join(rule.lines)} count, and each must pass")
    if rule.fatal_reasons:
        told.append(f"{', '.join(rule.fatal_reasons)} fails it at once")
    if rule.automatic:
        told.append(f"a flag of {', '.join(rule.automatic)} fails it unheard, until a reviewer refutes it")
    return "; ".join(told) + "."


def _shared(gate: Gate, prompts: Mapping[str, str]) -> list[str]:
    told = [
        "Heard beside the named control."
        if gate.hearing is Hearing.BESIDE_CONTROL
        else "Heard alone, without a control beside it.",
    ]
    if gate.control is not None:
        told.append(_control(gate.control, prompts))
    if gate.hidden_control:
        told.append(f"The {'control' if gate.control else 'base'} is asked about too, without its name.")
    if gate.catch_rate:
        told.append(f"{gate.catch_rate:.0%} of the clips are asked about twice.")
    if gate.measured_tiers:
        told.append("Lines that are too short for their tier with the voice do not count.")
    if gate.scripts:
        told.append(f"Only clips of {view.plural(len(gate.scripts), 'script')} count.")
    if not any(rule.automatic for rule in gate.rules):
        told.append("Screeners flag; no flag decides anything by itself.")
    return told


def _control(control: Control, prompts: Mapping[str, str]) -> str:
    own = prompts.get(control.reference_sha256, control.reference_sha256[:12])
    after = {
        ControlPrompt.SAME: "after the candidate's own audio prompt",
        ControlPrompt.OWN: f"after the audio prompt {own}",
        ControlPrompt.NONE: "without an audio prompt",
    }
    weights = f", by the weights {control.base_sha256[:12]}" if control.base_sha256 else ""
    return f"The control is the base {control.voice} of {control.backend}, {after[control.prompt]}{weights}."


def changes(found: Sequence[GateChange], gate: Gate) -> str:
    """What a gate would make of the answers so far, where that is something else. Nothing was written."""
    if not found:
        return view.notice(f"Under these rules every verdict of {gate.name} stays as it is. Nothing was written.")
    counted = Counter((change.before, change.after) for change in found)
    told = ", ".join(f"{count} from {before or 'no verdict'} to {after}" for (before, after), count in counted.items())
    table = view.table(
        ("candidate", "now", "would be", "because"),
        (
            (
                escape(change.label),
                view.state(SHAPES[change.before], change.before) if change.before else view.state("none", "no verdict"),
                view.state(SHAPES[change.after], change.after),
                escape(change.why),
            )
            for change in found
        ),
        caption="What would change",
    )
    return view.notice(f"{view.plural(len(found), 'verdict')} would change: {told}. Nothing was written.") + table
