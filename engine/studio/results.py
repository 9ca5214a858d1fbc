"""Use cases about results: what a test's answers say, under letters until a named person unblinds them.

Candidates get their letters before anything is computed, so that nothing on the way to a page knows a name. Dry runs
are never counted; simulated reviewers only in tests that have no others.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from engine.analysis import influence, judgment
from engine.analysis.conclusion import Conclusion, conclude
from engine.analysis.influence import Turn
from engine.analysis.judgment import ANCHOR, Judgment
from engine.analysis.reliability import Reliability, is_right, reliability
from engine.statistics import power, stopping
from engine.statistics.stopping import StopState
from engine.studio.exploring import Exploring
from engine.studio.listening_tests import TestState
from engine.types import BadInput, Choice, Design, ListeningTest, Response, Session, Slot, Treatment, Trial, TrialKind

LETTERS = 2  # of the longest blinded name; no label is as short


@dataclass(frozen=True, kw_only=True)
class Unblinding:
    """Who wanted to know which candidate is which, when, and after how many answers."""

    by: str
    at: float
    answered: int
    was_open: bool


@dataclass(frozen=True, kw_only=True)
class LineResult:
    """One sentence: of its decided answers about the leader, how many it won; or the leader's mean and the others'."""

    line: str
    text: str
    judgments: int
    wins: int = 0
    decided: int = 0
    leader_mean: float | None = None
    others_mean: float | None = None


@dataclass(frozen=True, kw_only=True)
class Believed:
    """One candidate of an adaptive test: strength in logits against their mean, and its error. Where it lies is None
    while it is blinded.
    """

    name: str
    mean: float
    sd: float
    judgments: int
    epoch: float | None
    scale: float | None


@dataclass(frozen=True, kw_only=True)
class Explorer:
    """How far an adaptive test is; `reason` says why it has stopped."""

    champion: str
    within: float
    e_value: float
    judgments: int
    most: int
    reason: str
    believed: tuple[Believed, ...]


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that the Results page shows of one test. `names` are letters, or labels once it is unblinded."""

    state: TestState
    unblindings: tuple[Unblinding, ...]
    names: tuple[str, ...]
    whole: Conclusion
    kept: Conclusion | None  # without reviewers whom the rule leaves out; None when it leaves out nobody
    reliability: Reliability
    turns: tuple[Turn, ...]
    lines: tuple[LineResult, ...]
    stop: StopState | None
    more_until_stop: int | None
    explorer: Explorer | None
    simulated: bool

    @property
    def is_blinded(self) -> bool:
        return not self.unblindings


class ResultsDesk(Exploring):
    """What the Results page does."""

    def results(self, test_id: str) -> Results:
        """What the answers of a test say so far. Raises NotFound."""
        state = self.test(test_id)
        test = state.test
        unblindings = self._unblindings(test.id)
        names = self._names(test, blinded=not unblindings)
        found, simulated = self._judgments(test, names)
        relied = reliability(found, test.screening)
        whole = conclude(found)
        left_out = [one.reviewer for one in relied.reviewers if not one.kept]
        stop, more = _stop(test, whole)
        return Results(
            state=state,
            unblindings=unblindings,
            names=tuple(sorted(names.values(), key=lambda name: (len(name), name))),
            whole=whole,
            kept=conclude([j for j in found if j.reviewer not in left_out]) if left_out else None,
            reliability=relied,
            turns=tuple(influence.turns(found, whole)),
            lines=_lines(found, whole, self._texts(test)),
            stop=stop,
            more_until_stop=more,
            explorer=self._explorer(test, names, blinded=not unblindings),
            simulated=simulated,
        )

    def unblind(self, test_id: str, *, by: str) -> None:
        """From now on the results of a test name its candidates. Kept with the person, the time, and how much had been
        answered: whoever reads the results later sees whether somebody knew before the end.
        """
        if not by.strip():
            raise BadInput("Unblinding is an act of a named person: write your name first.")
        state = self.test(test_id)
        told = {"test": test_id, "answered": state.answered, "open": state.test.closed_at is None}
        self.store.add_act("unblind", by.strip(), told, at=self._clock())

    # ---------------------------------------------------------------------------------------------------------- inside
    def _unblindings(self, test_id: str) -> tuple[Unblinding, ...]:
        return tuple(
            Unblinding(by=act.who, at=act.at, answered=act.data["answered"], was_open=act.data["open"])
            for act in self.store.acts("unblind")
            if act.data.get("test") == test_id
        )

    def _names(self, test: ListeningTest, *, blinded: bool) -> dict[str, str]:
        """What a page calls each candidate. Letters are drawn by the test's seed: their order says nothing."""
        if not blinded:
            return {candidate.id: self.label(candidate) for candidate in test.candidates}
        letters = [_letter(n) for n in range(len(test.candidates))]
        Random(f"{test.seed} letters").shuffle(letters)
        return {candidate.id: letter for candidate, letter in zip(test.candidates, letters, strict=True)}

    def _judgments(self, test: ListeningTest, names: Mapping[str, str]) -> tuple[list[Judgment], bool]:
        sessions = [each for each in self.store.sessions(test.id) if not each.dry_run]
        people = [each for each in sessions if not each.simulated]
        by_clip = self._ground(test).names
        found: list[Judgment] = []
        for session in reversed(people or sessions):
            trials = {trial.id: trial for trial in self.store.trials(session.id)}
            for response in self.store.responses(session.id):
                found.append(_judgment(session, trials[response.trial_id], response, by_clip, names))
        return found, bool(sessions) and not people

    def _texts(self, test: ListeningTest) -> dict[str, str]:
        return {line: clip.text for (_, line), clip in self.test_clips(test).items()}

    def _explorer(self, test: ListeningTest, names: Mapping[str, str], *, blinded: bool) -> Explorer | None:
        if test.design is not Design.ADAPTIVE:
            return None
        found = self.explored(test.id)
        centre = float(found.believed.mean.mean())
        heard = found.heard
        believed = [
            Believed(
                name=names[arm.name],
                mean=float(mean) - centre,
                sd=float(variance) ** 0.5,
                judgments=heard.get(arm.name, 0),
                epoch=None if blinded else arm.epoch,
                scale=None if blinded else arm.scale,
            )
            for arm, mean, variance in zip(
                found.believed.arms, found.believed.mean, found.believed.covariance.diagonal(), strict=True
            )
        ]
        return Explorer(
            champion=names[found.state.champion],
            within=found.state.within,
            e_value=found.state.e_value,
            judgments=found.state.judgments,
            most=test.stop.max_judgments,
            reason=found.state.reason,
            believed=tuple(sorted(believed, key=lambda one: -one.mean)),
        )


def _judgment(
    session: Session, trial: Trial, response: Response, by_clip: Mapping[str, str], names: Mapping[str, str]
) -> Judgment:
    return Judgment(
        trial=trial.id,
        reviewer=session.reviewer,
        line=trial.line_id,
        kind=trial.kind,
        role=trial.role,
        names=tuple(_heard_as(slot, by_clip, names) for slot in trial.slots),
        labels=tuple(slot.label for slot in trial.slots),
        choice=response.choice,
        rating=response.rating,
        ratings=response.ratings,
        repeats=trial.repeats,
    )


def _heard_as(slot: Slot, by_clip: Mapping[str, str], names: Mapping[str, str]) -> str:
    """Letters stay apart from the degraded ones: an anchor is the base's, so its letter would name the base."""
    candidate = by_clip[slot.clip_id]
    if slot.treatment is Treatment.NONE:
        return names[candidate]
    is_blinded = len(names[candidate]) <= LETTERS
    return ("anchor" if is_blinded else names[candidate]) + ANCHOR


def _stop(test: ListeningTest, whole: Conclusion) -> tuple[StopState | None, int | None]:
    """The test's stop rule over the decided answers between the leader and the runner-up."""
    method = stopping.METHODS.get(test.stop.method)
    if method is None or test.design is Design.ADAPTIVE or not whole.pairs or not whole.leader:
        return None, None
    pair = (min(whole.leader, whole.runner_up), max(whole.leader, whole.runner_up))
    counted = whole.pairs.get(pair)
    if counted is None:
        return None, None
    wins, losses = counted.wins, counted.losses
    if pair[0] != whole.leader:
        wins, losses = losses, wins
    more = {"p1": test.stop.p1} if test.stop.method == "sprt" else {}
    state = method(wins, wins + losses, error=test.stop.error_level, **more)
    return state, power.more_until_stop(wins, losses, error=test.stop.error_level)


def _lines(found: Sequence[Judgment], whole: Conclusion, texts: Mapping[str, str]) -> tuple[LineResult, ...]:
    by_line: dict[str, list[Judgment]] = {}
    for each in judgment.main_ones(found):
        by_line.setdefault(each.line, []).append(each)
    return tuple(_line(line, texts.get(line, ""), own, whole.leader) for line, own in sorted(by_line.items()))


def _line(line: str, text: str, own: Sequence[Judgment], leader: str) -> LineResult:
    rated = [(name, value) for each in own for name, value in each.rated if not name.endswith(ANCHOR)]
    if rated:
        mine = [value for name, value in rated if name == leader]
        others = [value for name, value in rated if name != leader]
        return LineResult(
            line=line,
            text=text,
            judgments=len(own),
            leader_mean=sum(mine) / len(mine) if mine else None,
            others_mean=sum(others) / len(others) if others else None,
        )
    if own[0].kind is TrialKind.ABX:
        return LineResult(line=line, text=text, judgments=len(own), wins=sum(map(is_right, own)), decided=len(own))
    decided = [c for c in judgment.comparisons(own) if leader in (c.a, c.b) and c.choice is not Choice.TIE]
    wins = sum((c.choice is Choice.A) == (c.a == leader) for c in decided)
    return LineResult(line=line, text=text, judgments=len(own), wins=wins, decided=len(decided))


def _letter(place: int) -> str:
    """A, B ... Z, AA, AB ..."""
    letters = string.ascii_uppercase
    return letters[place] if place < 26 else letters[place // 26 - 1] + letters[place % 26]
