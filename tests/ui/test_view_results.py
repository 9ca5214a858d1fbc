"""What the Results page shows of real results: letters until unblinding, and every part has its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.studio import Results, Studio
from engine.types import Choice, StopRule, Tier, TrialKind
from engine.workspace import Workspace
from tests.test_studio import BASE, TUNED, put_clip
from ui import view_results


@pytest.fixture(name="both", scope="module")
def _both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Results, Results]]:
    """A test of two candidates, as it is shown before and after unblinding; Ben always says A."""
    folder: Path = tmp_path_factory.mktemp("results")
    with Studio(Workspace(folder), clock=lambda: 1_000.0) as studio:
        for candidate in (BASE, TUNED):
            for tier in Tier:
                put_clip(studio, candidate, tier)
        plan = replace(
            studio.new_test(TrialKind.PREFERENCE, by="Eve"),
            name="<b>finalists</b>",
            candidates=(BASE, TUNED),
            reviewers=("Ada", "Ben"),
            catch_rate=0.5,
            stop=StopRule(method="evalue"),
        )
        test = studio.make_test(plan)
        for each in studio.test(test.id).sittings:
            while (view := studio.next_trial(each.session.id)) is not None:
                slots = studio.store.trial(view.trial_id).slots
                worth = [not studio.clip(s.clip_id).candidate.is_base - 2 * bool(s.treatment) for s in slots]
                honest = Choice.TIE if worth[0] == worth[1] else Choice.A if worth[0] > worth[1] else Choice.B
                studio.answer(view.trial_id, Choice.A if each.session.reviewer == "Ben" else honest)
        before = studio.results(test.id)
        studio.unblind(test.id, by="Eve")
        yield before, studio.results(test.id)


def page(found: Results) -> str:
    parts = (view_results.head, view_results.exploration, view_results.estimates, view_results.change)
    return "".join(part(found) for part in (*parts, view_results.reviewers, view_results.lines))


def test_nothing_of_the_page_names_a_candidate_while_it_is_blinded(both: tuple[Results, Results]) -> None:
    """Letters, and a sentence that says so; afterwards names, with who asked."""
    before, after = both
    assert "Blinded: candidates are letters" in page(before)
    for secret in ("reed", "epoch", "steph", "000010", "base ("):
        assert secret not in page(before)
    assert "Unblinded by Eve" in page(after)
    assert "after 12 answers while the test was running" in page(after)
    assert "base (reed)" in page(after)


def test_every_part_has_its_numbers(both: tuple[Results, Results]) -> None:
    """Counts, the plots' texts, the rule, both results, the stop rule, each sentence; what people wrote is escaped."""
    shown = page(both[0])
    assert "&lt;b&gt;finalists&lt;/b&gt;" in shown
    assert "<b>finalists" not in shown
    assert shown.count("<svg") == 2
    assert "more than 15% of at least 3 checks" in shown
    assert "e-value" in shown
    for tier in Tier:
        assert f"{tier}-1" in shown


def test_a_test_without_answers_says_so(both: tuple[Results, Results]) -> None:
    """No plot, no number, a sentence."""
    nothing = replace(both[0].whole, judgments=0, fit=None, pairs={}, leader="", problem="No judgments yet.")
    empty = replace(both[0], whole=nothing, turns=(), lines=(), stop=None)
    shown = page(empty)
    assert "<svg" not in shown
    assert "No judgments yet." in shown
