"""Which repair mends which finding, and that a person's decision comes before a proposal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dataset import repairs
from engine.needs import Needs
from engine.types import (
    Action,
    AuditFinding,
    AuditReport,
    Decision,
    Manifest,
    Measurement,
    PrepareSettings,
    Severity,
    Utterance,
)

NEEDS = Needs(name="b", title="B", sample_rate=24_000, min_sec=1.0, max_sec=10.0, known_tags=("[laugh]",))
SETTINGS = PrepareSettings(backend="b")
GUESSED = "Café au lait, please."


def row(text: str = "Some words to say.", row_id: str = "r", **fields: object) -> Utterance:
    told: dict[str, object] = {"duration_sec": 3.0, "sample_rate": 24_000, "channels": 1} | fields
    return Utterance(id=row_id, audio_path=Path(f"{row_id}.wav"), text=text, **told)  # type: ignore[arg-type]


def finding(
    check: str, action: Action = Action.DROP, severity: Severity = Severity.ERROR, **fields: str
) -> AuditFinding:
    told = {"row": "r", "explanation": f"It has {check}.", "repair": "Mend it."} | fields
    return AuditFinding(check=check, severity=severity, action=action, **told)


def decided(action: Action, text: str = "", by: str = "ada") -> Decision:
    return Decision(row="r", action=action, text=text, by=by)


def planned(
    utterance: Utterance,
    findings: list[AuditFinding],
    *decisions: Decision,
    settings: PrepareSettings = SETTINGS,
    measured: Measurement | None = None,
) -> repairs.RowPlan:
    report = AuditReport(
        manifest=Manifest(path=Path("m.jsonl"), sha256="0", utterances=(utterance,)),
        backend="b",
        findings=tuple(findings),
        measurements={"r": measured} if measured else {},
    )
    [made] = repairs.plan(report, settings, NEEDS, decisions={"r": decisions}).rows
    return made


def actions(plan: repairs.RowPlan) -> list[str]:
    return [str(step.action) for step in plan.steps]


def test_tags_are_taken_out_and_the_gaps_closed() -> None:
    """A tagged text is mended as proposed; tags that the voice knows stay; the log has both texts and the reason."""
    plan = planned(row("Well <noise> , [laugh] that is all [music] ."), [finding("tags", Action.STRIP_TAGS)])
    assert plan.utterance.text == "Well, [laugh] that is all."
    [step] = plan.steps
    assert (step.check, step.before, step.why) == (
        "tags",
        "Well <noise> , [laugh] that is all [music] .",
        "It has tags.",
    )


def test_a_text_that_is_all_tags_leaves_the_row_out() -> None:
    """Where nothing speakable is left there is no text to train on."""
    plan = planned(row("<noise> ... [music]"), [finding("tags", Action.STRIP_TAGS)])
    assert not plan.included
    assert plan.steps[-1].check == "empty_text"


def test_a_guessed_encoding_is_taken_as_proposed() -> None:
    """The audit's reading of a text in another encoding is used, and logged."""
    plan = planned(row("CafÃ© au lait, please."), [finding("encoding", Action.SET_TEXT, text=GUESSED)])
    assert (plan.included, plan.utterance.text, plan.unresolved) == (True, GUESSED, ())
    assert actions(plan) == ["set_text"]


def test_what_a_recogniser_heard_is_no_text_until_somebody_decides() -> None:
    """A proposed transcript leaves the row out; decided, it is the row's text."""
    heard = finding("transcript_mismatch", Action.SET_TEXT, text="What was heard.")
    assert not planned(row(), [heard]).included
    plan = planned(row(), [heard], decided(Action.SET_TEXT, "What was heard."))
    assert (plan.included, plan.utterance.text, plan.steps[0].by) == (True, "What was heard.", "ada")


@pytest.mark.parametrize("text", ["", "   ", "...", "<noise>", "Thanks for watching!"])
def test_a_typed_text_is_looked_at_as_well(text: str) -> None:
    """What somebody typed can be wrong too: nothing to say, a tag, boilerplate."""
    assert not planned(row(""), [finding("empty_text")], decided(Action.SET_TEXT, text)).included


def test_a_text_that_was_audited_is_not_mended_by_having_been_typed() -> None:
    """A mismatch that the audit found in somebody's text stands."""
    said = [finding("transcript_mismatch")]
    assert not planned(row("Typed before."), said, decided(Action.SET_TEXT, "Typed before.")).included
    assert planned(row("Typed before."), said, decided(Action.SET_TEXT, "Typed after.")).included


def test_a_kept_row_is_as_it_was() -> None:
    """Who keeps a row keeps its text too, and the errors in it are counted."""
    plan = planned(row("Well [noise] yes."), [finding("tags", Action.STRIP_TAGS)], decided(Action.KEEP))
    assert (plan.included, plan.utterance.text, len(plan.unresolved)) == (True, "Well [noise] yes.", 1)


def test_keeping_needs_a_name() -> None:
    """A decision to keep without anybody's name is none."""
    assert not planned(row(), [finding("boilerplate")], decided(Action.KEEP, by=" ")).included


@pytest.mark.parametrize(
    ("utterance", "check"), [(row(), "missing"), (row(), "unreadable"), (row(channels=6), "channels")]
)
def test_nobody_can_keep_what_cannot_be_used(utterance: Utterance, check: str) -> None:
    """Without samples, or with many tracks, there is nothing to train on, whoever decides what."""
    everything = replace(SETTINGS, keep_errors=True)
    assert not planned(utterance, [finding(check)], decided(Action.KEEP), settings=everything).included


def test_dropping_is_somebodys_right() -> None:
    """A sound row that is dropped is left out in the name of whoever did it."""
    plan = planned(row(), [], decided(Action.DROP))
    assert (plan.included, actions(plan), plan.steps[0].by) == (False, ["drop"], "ada")


def test_an_overlap_is_mended_by_the_split_and_a_copy_by_the_other_being_out() -> None:
    """Rows across a given split stay in; a duplicate stays in only where the row that it repeats is left out."""
    assert planned(row(), [finding("overlap")]).included
    assert not planned(row(), [finding("duplicate", other="q")]).included
    two = Manifest(path=Path("m"), sha256="0", utterances=(row("", "q"), row()))
    findings = (finding("empty_text", row="q"), finding("duplicate", other="q"))
    report = AuditReport(manifest=two, backend="b", findings=findings)
    assert [p.included for p in repairs.plan(report, SETTINGS, NEEDS).rows] == [False, True]


def test_a_clip_that_is_too_long_by_its_silence_is_mended_by_trimming() -> None:
    """Limits hold for what is left after trimming."""
    nothing = float("nan")
    measured = Measurement(
        row="r",
        duration_sec=12.0,
        characters_per_sec=nothing,
        loudness_lufs=nothing,
        peak_dbfs=nothing,
        clipped_share=nothing,
        noise_floor_dbfs=nothing,
        snr_db=nothing,
        speech_sec=8.0,
        leading_silence_sec=2.0,
        trailing_silence_sec=2.0,
        longest_pause_sec=0.0,
    )
    long = row(duration_sec=12.0)
    assert not planned(long, [finding("duration")], measured=measured).included
    assert planned(long, [finding("duration")], decided(Action.TRIM), measured=measured).included
    still = replace(measured, trailing_silence_sec=0.0)
    assert not planned(long, [finding("duration")], decided(Action.TRIM), measured=still).included


def test_warnings_leave_a_row_as_it_is() -> None:
    """Only errors decide by themselves: a near copy or a long silence waits for somebody."""
    said = [finding("duplicate", severity=Severity.WARNING), finding("silence", Action.TRIM, Severity.WARNING)]
    plan = planned(row(), said)
    assert (plan.included, plan.steps, plan.trim) == (True, (), None)


def test_lost_rows_are_in_the_log() -> None:
    """A line that could not be read has its reason in the log, too."""
    lost = finding("unreadable", row="line 3")
    known = Manifest(path=Path("m"), sha256="0", utterances=(row(),), faults=(lost,))
    plan = repairs.plan(AuditReport(manifest=known, backend="b", findings=(lost,)), SETTINGS, NEEDS)
    assert [(s.row, s.check) for s in plan.lost] == [("line 3", "unreadable")]


CHECKS = st.sampled_from(
    "empty_text boilerplate tags text_too_long no_speech channels clipping silence duration duplicate overlap "
    "transcript_mismatch missing unreadable encoding unpronounceable".split()
)


@given(
    text=st.text(max_size=30),
    found=st.lists(st.builds(finding, CHECKS, st.sampled_from(Action), st.sampled_from(Severity)), max_size=4),
    made=st.lists(st.builds(decided, st.sampled_from(Action), st.text(max_size=10)), max_size=3),
    keep_errors=st.booleans(),
)
def test_a_row_is_in_only_if_mended_or_taken_on(
    text: str, found: list[AuditFinding], made: list[Decision], keep_errors: bool
) -> None:
    """Whatever comes together: errors that stay are in by name or setting, what is out says why, all is repeatable."""
    settings = replace(SETTINGS, keep_errors=keep_errors)
    plan = planned(row(text), found, *made, settings=settings)
    assert plan == planned(row(text), found, *made, settings=settings)
    if not plan.included:
        assert plan.steps[-1].action == Action.DROP
        assert plan.steps[-1].why
    kept = {d.action for d in made} & {Action.KEEP}
    assert not plan.unresolved or keep_errors or kept
    assert all(f.severity is Severity.ERROR for f in plan.unresolved)
