"""From recordings to a dataset, and from a checkpoint to a verified export, through the studio, as every backend must
be able to go.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine import gate_files, needs
from engine.studio import Request, Studio
from engine.types import (
    BadInput,
    Bundle,
    Candidate,
    Choice,
    Control,
    Dataset,
    GenerationSettings,
    Hearing,
    Line,
    Outcome,
    PrepareSettings,
    Reference,
    Script,
    Severity,
    Tier,
)
from engine.workspace import Workspace
from tests import spoken_clips

ALIAS = "candidate/tiny"
GATE = "tiny"


def audited_and_prepared(home: Path, source: Path, backend: str) -> Dataset:
    """Real speech at the backend's rate, listened to by the audit and passed by it, cut into a dataset."""
    recorded = spoken_clips.speak(source, rate=needs.of(backend).sample_rate)
    settings = PrepareSettings(backend=backend, validation_share=0.3)
    with Studio(Workspace(home), clock=lambda: 1.0, device="cpu") as studio:
        report = studio.audit(recorded, backend=backend)
        if faults := [one.explanation for one in report.findings if one.severity is Severity.ERROR]:
            raise BadInput(f"The audit found faults in {recorded}: {faults[0]}")
        if len(report.manifest.utterances) != len(spoken_clips.TEXTS):
            raise BadInput(f"The audit saw {len(report.manifest.utterances)} rows of {recorded}.")
        return studio.prepare(recorded, backend=backend, settings=settings)


def script(text: str) -> Script:
    """One text in each tier: a tiny random voice says nothing that could be longer."""
    lines = tuple(Line(id=tier.value, tier=tier, text=text) for tier in Tier)
    return Script(name="tiny", language="en", lines=lines, sha256="e" * 64)


def _write_gate(workspace: Workspace, control: Control | None = None) -> None:
    """The default gate without measured tiers: a tiny random voice says nothing that lasts half a minute. Beside a
    control of another model, where one is named.
    """
    hearing = Hearing.BESIDE_CONTROL if control else Hearing.ALONE
    rules = replace(gate_files.load(), name=GATE, measured_tiers=False, control=control, hearing=hearing)
    gate_files.write(rules, workspace.gates)


def judged_and_exported(
    studio: Studio,
    candidate: Candidate,
    text: str,
    settings: GenerationSettings,
    control: Control | None = None,
    references: tuple[Reference | None, ...] = (None,),
) -> Bundle:
    """Sweep, a blind sitting in which everything passes, verdicts, promotion, export, and the export heard again.

    A control of another model is rendered in the same sweep, heard beside every clip, and asked about as well.
    """
    base = Candidate(backend=candidate.backend, voice=candidate.voice)
    beside = [control.candidate] if control else []
    _write_gate(studio.workspace, control)
    own = Request(candidates=(base, candidate), script=script(text), settings=settings.flat, references=references)
    studio.render(studio.with_control(own, GATE) if control else own)
    sitting = studio.open_gate_session([base, candidate, *beside], reviewer="Ana", gate=GATE)
    heard = 0
    while (view := studio.next_trial(sitting.id)) is not None:
        told = repr(view)
        assert candidate.checkpoint_id is None or candidate.checkpoint_id not in told
        assert (len(view.slots), view.control) == ((2, "A") if control else (1, None))
        assert len({len(studio.stimulus(token)) for _, token in view.slots}) == 1
        studio.answer(view.trial_id, Choice.PASS, plays={label: 1 for label, _ in view.slots})
        heard += 1
    assert heard >= (2 + len(beside)) * len(Tier)  # and what other sweeps of this workspace have rendered
    verdicts = {verdict.candidate: verdict.outcome for verdict in studio.judge(by="Ana", gate=GATE)}
    assert all(verdicts[one] is Outcome.PASS for one in (candidate, *beside))
    studio.promote(candidate, alias=ALIAS, by="Ana", settings=settings.flat, gate=GATE)
    written = studio.export(ALIAS)
    if written.notes:
        raise BadInput(f"{written.path} was not spoken: {written.notes[0]}")
    return studio.verify(written.path)
