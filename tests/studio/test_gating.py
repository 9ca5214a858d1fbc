"""Gates through the real studio: chosen, changed, asked about, and explained afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from engine import gate_files
from engine.gate import record as gate_record
from engine.studio import State, Studio
from engine.types import BadInput, Candidate, Choice, FlagChoice, Hearing, Outcome, Refused, Score, Tier
from engine.workspace import Workspace
from tests.test_studio import BASE, TUNED, put_clip

SECONDS = {Tier.SHORT: 5.0, Tier.MEDIUM: 15.0, Tier.LONG: 32.0}


@pytest.fixture(name="studio")
def _studio(tmp_path: Path) -> Iterator[Studio]:
    with Studio(Workspace(tmp_path), clock=lambda: 1_000.0) as studio:
        for candidate in (BASE, TUNED):
            for tier in Tier:
                put_clip(studio, candidate, tier, duration_sec=SECONDS[tier])
        yield studio


def flag_clip(
    studio: Studio, tier: Tier, reasons: Mapping[str, tuple[str, ...]], candidate: Candidate = TUNED, by: str = "words"
) -> None:
    """As if a screener had flagged the candidate's clip of a tier."""
    clip = next(clip for clip in studio.clips([candidate]) if clip.tier is tier)
    told = "20 % faster than the base"
    score = Score(
        clip_id=clip.id, screener=by, version=1, value=1.0, unit="%", passed=False, explanation=told, reasons=reasons
    )
    studio.store.add_scores([score])


def sit(studio: Studio, reviewer: str, said: str = "yes", *, gate: str = "") -> list[str]:
    """A sitting in which every clip passes and every flag gets the same answer; returns the questions asked."""
    session = studio.open_gate_session([TUNED], reviewer=reviewer, gate=gate)
    asked = []
    while (trial := studio.next_trial(session.id)) is not None:
        assert studio.flag_question(session.id) is None, "a flag is never asked about before the answer"
        studio.answer(trial.trial_id, Choice.PASS)
        while (question := studio.flag_question(session.id)) is not None:
            assert question.trial.trial_id == trial.trial_id
            asked.append(question.text)
            studio.answer_flag(session.id, question.trial.trial_id, dict_of(question.choices)[said])
    return asked


def dict_of(choices: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return {label.casefold(): value for value, label in choices}


def outcome_of(studio: Studio, candidate: Candidate = TUNED) -> Outcome:
    studio.judge(by="Ada")
    return next(v.outcome for v in studio.verdicts() if v.candidate == candidate)


# ---------------------------------------------------------------------------------------------------------------- flags
@pytest.mark.parametrize(
    ("said", "expected"), [("yes", Outcome.FAIL), ("no", Outcome.PASS), ("cannot tell", Outcome.PASS)]
)
def test_a_flag_is_put_to_the_reviewer_after_their_answer(studio: Studio, said: str, expected: Outcome) -> None:
    """A confirmed dropped word fails the long tier, a refuted one is kept and decides nothing."""
    flag_clip(studio, Tier.LONG, {"dropped word": ("line",)})
    assert sit(studio, "Ada", said) == ["The ear missed the word “line” near the end. Was it missing?"]
    assert outcome_of(studio) is expected
    (seen,) = studio.evidence(TUNED, Tier.LONG)
    assert [answer.choice for answer in seen.answers] == [Choice.PASS]
    assert seen.flags[0].said == (("Ada", FlagChoice(said)),)
    assert [answer.choice for answer in studio.store.flag_answers()] == [FlagChoice(said)]


def test_a_flag_that_nobody_was_asked_about_leaves_the_tier_open(studio: Studio) -> None:
    """Clips that are screened after they were heard: the old sitting's link asks, and then the tier is decided."""
    session = studio.open_gate_session([TUNED], reviewer="Ada")
    while (trial := studio.next_trial(session.id)) is not None:
        studio.answer(trial.trial_id, Choice.PASS)
    assert outcome_of(studio) is Outcome.PASS
    flag_clip(studio, Tier.LONG, {"merged word": ("long",)})
    assert outcome_of(studio) is Outcome.UNDECIDED
    row = next(row for row in studio.matrix() if row.candidate == TUNED)
    assert row.tiers[Tier.LONG].state is State.IN_REVIEW
    assert row.tiers[Tier.LONG].needed == ("Confirm or refute: merged word (long).",)
    question = studio.flag_question(session.id)
    assert question is not None
    studio.answer_flag(session.id, question.trial.trial_id, dict_of(question.choices)["no"])
    assert outcome_of(studio) is Outcome.PASS


def test_the_same_word_twice_is_one_answer_and_another_trials_is_refused(studio: Studio) -> None:
    """A page may send an answer twice; a value of no question, or of another sitting, changes nothing."""
    flag_clip(studio, Tier.LONG, {"dropped word": ("line",), "inserted speech": ()})
    session = studio.open_gate_session([TUNED], reviewer="Ada")
    while (trial := studio.next_trial(session.id)) is not None:
        studio.answer(trial.trial_id, Choice.PASS)
    question = studio.flag_question(session.id)
    assert question is not None
    value = dict_of(question.choices)["yes"]
    for _ in range(2):
        studio.answer_flag(session.id, question.trial.trial_id, value)
    assert len(studio.store.flag_answers()) == 1
    after = studio.flag_question(session.id)
    assert after is not None
    assert after.reason == "inserted speech"
    with pytest.raises(BadInput, match="no answer to the question"):
        studio.answer_flag(session.id, question.trial.trial_id, "yes")


def test_two_screeners_with_one_reason_are_one_question(studio: Studio) -> None:
    """Both measures are answered by one word, whichever of them came first: the reviewer is never asked for ever."""
    for screener in ("phoneme_errors", "words", "end"):
        flag_clip(studio, Tier.LONG, {"dropped word": ("line",)}, by=screener)
    session = studio.open_gate_session([TUNED], reviewer="Ada", tiers=[Tier.LONG])
    trial = studio.next_trial(session.id)
    assert trial is not None
    studio.answer(trial.trial_id, Choice.PASS)
    question = studio.flag_question(session.id)
    assert question is not None
    studio.answer_flag(session.id, trial.trial_id, dict_of(question.choices)["no"])
    assert studio.flag_question(session.id) is None
    assert len(studio.store.flag_answers()) == 1
    (seen,) = studio.evidence(TUNED, Tier.LONG)
    assert [flagged.said for flagged in seen.flags] == [(("Ada", FlagChoice.NO),)] * 3


def test_two_reviewers_who_hear_different_things_are_a_dispute(studio: Studio) -> None:
    """Neither the confirmation nor the refutation counts more, and what is disputed is kept."""
    flag_clip(studio, Tier.LONG, {"dropped word": ("line",)})
    sit(studio, "Ada", "yes")
    sit(studio, "Bo", "no")
    assert outcome_of(studio) is Outcome.UNDECIDED
    row = next(row for row in studio.matrix() if row.candidate == TUNED)
    assert row.tiers[Tier.LONG].state is State.DISPUTED


def test_a_dispute_ends_when_one_side_listens_again_and_says_so(tmp_path: Path) -> None:
    """What a reviewer said last about a clip counts; their earlier answer stays among the evidence."""
    times = iter(range(1_000, 9_000))
    with Studio(Workspace(tmp_path), clock=lambda: float(next(times))) as studio:
        for tier in Tier:
            put_clip(studio, TUNED, tier, duration_sec=SECONDS[tier])
        sit(studio, "Ada")
        session = studio.open_gate_session([TUNED], reviewer="Bo")
        while (trial := studio.next_trial(session.id)) is not None:
            studio.answer(trial.trial_id, Choice.FAIL, reasons=["noise"])
        assert outcome_of(studio) is Outcome.UNDECIDED
        sit(studio, "Bo")
        assert outcome_of(studio) is Outcome.PASS
        assert [answer.choice for answer in studio.evidence(TUNED, Tier.LONG)[0].answers].count(Choice.FAIL) == 1


def test_what_was_said_to_flags_survives_a_lost_database(studio: Studio) -> None:
    """Flags' answers and gates are judgements: the journal brings them back."""
    flag_clip(studio, Tier.LONG, {"dropped word": ("line",)})
    sit(studio, "Ada", "no")
    studio.judge(by="Ada")
    said, gates, verdicts = studio.store.flag_answers(), studio.store.gates(), studio.verdicts()
    studio.close()
    studio.workspace.database.unlink()
    with Studio(studio.workspace, clock=lambda: 2_000.0) as again:
        assert (again.store.flag_answers(), again.store.gates(), again.verdicts()) == (said, gates, verdicts)


# ---------------------------------------------------------------------------------------------------------------- gates
def test_a_verdict_is_explained_by_the_rules_of_its_day(studio: Studio) -> None:
    """The rules are kept with the verdict: changing them afterwards changes nothing about why it was given."""
    rules = studio.gate()
    sit(studio, "Ada")
    studio.judge(by="Ada")
    changed = replace(rules, rules=tuple(replace(rule, reviewers=2) for rule in rules.rules))
    kept = studio.save_gate(changed, by="Ada")
    assert kept.version == rules.version + 1
    (verdict,) = studio.verdicts()
    assert studio.gate_of(verdict) == rules
    assert studio.gate() == kept
    assert studio.gate_of(replace(verdict, gate_sha256="")).version == 1  # of before rules were kept


def test_a_changed_gate_decides_earlier_answers_anew_and_says_so_before(studio: Studio) -> None:
    """The dry run tells what would change and writes nothing; judging then does the same."""
    sit(studio, "Ada")
    studio.judge(by="Ada")
    stricter = replace(studio.gate(), rules=tuple(replace(rule, reviewers=2) for rule in studio.gate().rules))
    (change,) = studio.gate_changes(stricter)
    assert (change.before, change.after) == (Outcome.PASS, Outcome.UNDECIDED)
    assert len(studio.store.verdict_history()) == 1
    studio.save_gate(stricter, by="Ada")
    (verdict,) = studio.judge(by="Ada")
    assert (verdict.outcome, verdict.gate_version) == (Outcome.UNDECIDED, 3)
    sit(studio, "Bo")
    assert [v.outcome for v in studio.judge(by="Ada")] == [Outcome.PASS]
    assert len(studio.store.verdict_history()) == 3


def test_a_file_that_was_changed_under_its_version_is_refused(studio: Studio) -> None:
    """Whoever edits a used gate by hand and forgets the version is told which one to give."""
    copied = studio.copy_gate("three-tiers", "launch", by="Ada")
    sit(studio, "Ada", gate="launch")
    path = studio.workspace.gates / "launch.json"
    record = gate_record.to_record(copied)
    record["tiers"][0]["reviewers"] = 3
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(Refused, match=r"launch version 1 is in use with other rules.*version 2"):
        studio.judge(by="Ada", gate="launch")
    with pytest.raises(Refused, match="version 2"):
        studio.check_gate(path)
    path.write_text(json.dumps({**record, "version": 2}), encoding="utf-8")
    assert studio.judge(by="Ada", gate="launch")[0].gate_version == 2


def test_copies_and_changes_are_acts_of_a_named_person(studio: Studio) -> None:
    """A shipped gate stays as it is; saving what is there already makes no version."""
    with pytest.raises(BadInput, match="name"):
        studio.copy_gate("three-tiers", "launch", by=" ")
    with pytest.raises(Refused, match="already"):
        studio.copy_gate("three-tiers", "release", by="Ada")
    launch = studio.copy_gate("three-tiers", "launch", by="Ada")
    assert studio.save_gate(launch, by="Ada") == launch
    assert [act.who for act in studio.store.acts("gate")] == ["Ada"]
    assert [listed.name for listed in studio.gates()] == ["three-tiers", "launch", "release"]
    (studio.workspace.gates / "launch.json").write_text("{", encoding="utf-8")
    assert "no valid JSON" in next(listed.fault for listed in studio.gates() if listed.name == "launch")


def test_a_sitting_offers_the_reasons_of_its_gate_and_asks_about_what_counts(studio: Studio) -> None:
    """Rules that name lines, reasons and a hidden control are the sitting's rules, whatever the gate becomes later."""
    rules = replace(
        gate_files.load(), name="launch", reasons=("dropped word", "merged word", "other"), hidden_control=True,
        catch_rate=0.5,
        rules=tuple(replace(rule, lines=(f"{rule.tier}-1",)) for rule in gate_files.load().rules),
    )  # fmt: skip
    studio.save_gate(rules, by="Ada")
    session = studio.open_gate_session([TUNED], reviewer="Ada", gate="launch")
    studio.save_gate(replace(rules, reasons=("noise", "dropped word", "merged word", "other")), by="Ada")
    first = studio.next_trial(session.id)
    assert first is not None
    assert first.reasons == ("dropped word", "merged word", "other")
    trials = studio.store.trials(session.id)
    asked = {studio.store.clip(trial.slots[0].clip_id).candidate for trial in trials}
    assert asked == {TUNED, BASE}
    assert (len(trials), sum(trial.is_catch for trial in trials)) == (9, 3)
    nothing = replace(rules, rules=tuple(replace(rule, lines=("elsewhere",)) for rule in rules.rules))
    studio.save_gate(nothing, by="Ada")
    with pytest.raises(BadInput, match="counts under launch"):
        studio.open_gate_session([TUNED], reviewer="Ada", gate="launch")


def test_a_line_that_is_too_short_for_its_tier_does_not_count(tmp_path: Path) -> None:
    """A voice that speaks the long line in 20 s has no long tier yet: it is not asked about, and the page says why."""
    with Studio(Workspace(tmp_path), clock=lambda: 1_000.0) as studio:
        for candidate in (BASE, TUNED):
            for tier in Tier:
                put_clip(studio, candidate, tier, duration_sec=min(20.0, SECONDS[tier]))
        assert sit(studio, "Ada") == []
        assert outcome_of(studio) is Outcome.UNDECIDED
        row = next(row for row in studio.matrix() if row.candidate == TUNED)
        assert [row.tiers[tier].state for tier in Tier] == [State.PASS, State.PASS, State.NO_CLIPS]
        (seen,) = studio.evidence(TUNED, Tier.LONG)
        assert not seen.counts
        assert "too short for the long tier" in seen.fit
        studio.save_gate(replace(studio.gate(), measured_tiers=False), by="Ada")
        sit(studio, "Ada")
        assert outcome_of(studio) is Outcome.PASS


def test_beside_the_control_the_base_is_named_and_the_other_is_judged(studio: Studio) -> None:
    """Two sides, the first of them the base by name; the answer and the flags are about the second."""
    studio.save_gate(replace(studio.gate(), name="pair", hearing=Hearing.BESIDE_CONTROL), by="Ada")
    flag_clip(studio, Tier.LONG, {"dropped word": ("line",)}, BASE)
    assert sit(studio, "Ada", gate="pair") == []  # the control's flags are not asked about
    (session,) = studio.sessions()
    for trial in studio.store.trials(session.id):
        heard = {slot.label: studio.store.clip(slot.clip_id).candidate for slot in trial.slots}
        assert (trial.control, heard) == ("A", {"A": BASE, "B": TUNED})
    assert [v.candidate for v in studio.judge(by="Ada", gate="pair")] == [TUNED]
    alone = replace(TUNED, voice="fern", checkpoint_id="fern@000010")
    put_clip(studio, alone, Tier.SHORT)
    with pytest.raises(BadInput, match="beside the base, which has not spoken short-1"):
        studio.open_gate_session([alone], reviewer="Ada", gate="pair")


def test_an_answer_stays_once_its_flag_was_asked_about(studio: Studio) -> None:
    """What was said before knowing of a flag is what counts: it cannot be taken back after the question."""
    flag_clip(studio, Tier.LONG, {"dropped word": ("line",)})
    session = studio.open_gate_session([TUNED], reviewer="Ada", seed=3)
    while (trial := studio.next_trial(session.id)) is not None:
        studio.answer(trial.trial_id, Choice.PASS)
        if (asked := studio.flag_question(session.id)) is not None:
            assert asked.trial.slots == trial.slots  # to hear it again
            with pytest.raises(Refused, match="asked about this clip"):
                studio.withdraw(session.id, trial.trial_id)
            studio.answer_flag(session.id, trial.trial_id, dict_of(asked.choices)["no"])
            after = studio.next_trial(session.id)
            assert after is None or after.previous is None


def test_a_screener_fails_a_candidate_only_where_the_gate_marks_it(studio: Studio) -> None:
    """By default a flag decides nothing; an automatic one fails it unheard, and the weights stay all the same."""
    flag_clip(studio, Tier.LONG, {"inserted speech": ()}, by="end")
    assert studio.judge(by="Ada") == []
    rules = studio.gate()
    studio.save_gate(replace(rules, rules=tuple(replace(rule, automatic=("end",)) for rule in rules.rules)), by="Ada")
    (verdict,) = studio.judge(by="Ada")
    assert (verdict.candidate, verdict.outcome) == (TUNED, Outcome.FAIL)
    assert "by an automatic rule" in verdict.findings[2].explanation
    sit(studio, "Ada", "no")
    assert outcome_of(studio) is Outcome.PASS


def test_an_answer_that_overtakes_a_failing_verdict_keeps_the_weights(studio: Studio) -> None:
    """Between an answer and the next verdicts, retention goes by what people have said and not by the older verdict."""
    session = studio.open_gate_session([TUNED], reviewer="Ada")
    while (trial := studio.next_trial(session.id)) is not None:
        studio.answer(trial.trial_id, Choice.FAIL, reasons=["noise"])
    assert outcome_of(studio) is Outcome.FAIL
    assert studio._facts().overtaken_candidates == frozenset()
    sit(studio, "Bo")
    assert studio._facts().overtaken_candidates == {TUNED}
    assert next(row for row in studio.matrix() if row.candidate == TUNED).is_behind


def test_order_and_everything_else_that_is_shown_ignore_flags(studio: Studio) -> None:
    """Flagged clips come neither first nor last: two sittings with one seed are alike with and without flags."""
    before = studio.open_gate_session([TUNED, BASE], reviewer="Ada", seed=5)
    flag_clip(studio, Tier.LONG, {"dropped word": ("line",)})
    flag_clip(studio, Tier.SHORT, {"dropped word": ("line",)}, BASE)
    after = studio.open_gate_session([TUNED, BASE], reviewer="Ada", seed=5)
    heard = [[trial.slots[0].clip_id for trial in studio.store.trials(s.id)] for s in (before, after)]
    assert heard[0] == heard[1]
