"""Use cases about adaptive tests: the next question of a sitting, how far the exploration is, and its confirmation.

A choice reads the log of the test and is kept, as a trial, before anybody hears it: a restart changes nothing, and
`replayed` makes every choice again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random

from engine import listening
from engine.adaptive import confirmation, log, stopping
from engine.adaptive.arms import Arm
from engine.adaptive.log import State
from engine.adaptive.posterior import Posterior, posterior, tally
from engine.adaptive.stopping import Exploration, ExplorationRule
from engine.listening import Question
from engine.studio.listening_tests import ListeningTests
from engine.types import (
    BadInput,
    Candidate,
    Clip,
    Design,
    ListeningTest,
    NotFound,
    Pairing,
    Refused,
    Session,
    StopRule,
    TrialKind,
    TrialRole,
)
from engine.workspace import Workspace

CATCHES = (TrialRole.IDENTICAL, TrialRole.ANCHOR)  # a repeat needs a sitting that is planned


@dataclass(frozen=True)
class Explored:
    """What is believed of an adaptive test's candidates, and whether it has heard enough."""

    test: ListeningTest
    believed: Posterior
    state: Exploration
    pending: int
    heard: Mapping[str, int]  # judgments that a candidate was in


@dataclass(frozen=True)
class _Ground:
    """What stays the same while a test runs: its candidates as arms, and their clips."""

    arms: tuple[Arm, ...]
    clips: Mapping[tuple[str, str], Clip]
    names: Mapping[str, str]  # candidate by clip id


class Exploring(ListeningTests):
    """What adaptive sittings ask, and what engineers see of it."""

    def __init__(self, workspace: Workspace, *, clock: Callable[[], float], device: str = "auto") -> None:
        super().__init__(workspace, clock=clock, device=device)
        self._grounds: dict[str, _Ground] = {}

    def explored(self, test_id: str) -> Explored:
        """How far an adaptive test is. Raises BadInput for one of a fixed design."""
        test = self.store.test(test_id)
        _check_adaptive(test)
        state = log.state_of(self.store.exploration_log(test.id, self._ground(test).names))
        believed, standing = self._standing(test, state)
        heard = Counter(name for c in state.answers() for name in (c.a, c.b))
        return Explored(test=test, believed=believed, state=standing, pending=len(state.pending()), heard=heard)

    def replayed(self, test_id: str) -> list[bool]:
        """For each main question of an adaptive test, whether choosing it again gives the same one."""
        test = self.store.test(test_id)
        _check_adaptive(test)
        ground = self._ground(test)
        events = self.store.exploration_log(test.id, ground.names)
        return [same for _, _, same in log.replay(ground.arms, test.lines, events, seed=test.seed)]

    def confirm(self, test_id: str, *, by: str) -> ListeningTest:
        """Open the small fixed test that follows an exploration: its champion against the base, or, where the base is
        the champion or no candidate, against the runner-up. Raises Refused while the exploration goes on.
        """
        found = self.explored(test_id)
        test = found.test
        if not found.state.stop and test.closed_at is None:
            raise Refused(f"{test.name} is still exploring; wait until it stops, or end it first.")
        winner, opponent = _contenders(test, found.believed)
        plan = confirmation.plan(winner.id, opponent.id)
        each = -(-plan.judgments // len(test.reviewers))
        return self.make_test(
            replace(
                self.new_test(TrialKind.PREFERENCE, by=by),
                name=f"{test.name}: confirmation",
                candidates=(winner, opponent),
                lines=test.lines,
                reviewers=test.reviewers,
                pairing=Pairing.FIRST,
                judgments=each,
                stop=StopRule(method="exact", max_judgments=each * len(test.reviewers)),
                catch_rate=test.catch_rate,
                catches=test.catches,
                switching=test.switching,
                screening=test.screening,
                instructions=test.instructions,
            )
        )

    # ---------------------------------------------------------------------------------------------------------- inside
    def _more_questions(self, session: Session) -> Question | None:
        """The next question of an adaptive sitting; None when its test, or its reviewer, has heard enough."""
        test = self.store.test(session.test_id)
        if test.design is not Design.ADAPTIVE or test.closed_at is not None:
            return None
        own = session.id if session.dry_run else ""
        ground = self._ground(test)
        state = log.state_of(self.store.exploration_log(test.id, ground.names, own=own))
        mine = [trial for trial in self.store.trials(session.id) if trial.role is not TrialRole.TRAINING]
        if test.judgments and sum(trial.role is TrialRole.MAIN for trial in mine) >= test.judgments:
            return None
        if not session.dry_run and self._has_heard_enough(test, state):
            return None
        chosen = log.next_question(ground.arms, test.lines, state, sitting=session.id, seed=test.seed)
        first, second = (ground.clips[name, chosen.line] for name in (chosen.one, chosen.other))
        question = listening.pair(TrialKind.PREFERENCE, first, second)
        return self._perhaps_caught(test, question, session, len(mine))

    def _perhaps_caught(self, test: ListeningTest, question: Question, session: Session, place: int) -> Question:
        """The question, or in the test's share of places a catch trial on its line; the question then comes next."""
        roles = [role for role in test.catches if role in CATCHES]
        random = Random(f"{session.seed} catch {place}")
        if not roles or random.random() >= test.catch_rate:
            return question
        return listening.catch(question, random.choice(roles), random, test.anchor)

    def _has_heard_enough(self, test: ListeningTest, state: State) -> bool:
        """By the rule; and no more is asked than is allowed when all that is open is answered."""
        if len(state.answers()) + len(state.pending()) >= test.stop.max_judgments:
            return True
        return self._standing(test, state)[1].stop

    def _standing(self, test: ListeningTest, state: State) -> tuple[Posterior, Exploration]:
        import numpy as np

        answers = state.answers()
        believed = posterior(self._ground(test).arms, tally(self._ground(test).arms, answers))
        rule = ExplorationRule(
            e_value=1.0 / test.stop.error_level,
            most=test.stop.max_judgments,
            only_most=test.stop.method == "none",
        )
        base = next((c.id for c in test.candidates if c.is_base), None)
        random = np.random.default_rng([test.seed, len(answers)])
        return believed, stopping.exploration(believed, answers, rule, base=base, random=random)

    def _ground(self, test: ListeningTest) -> _Ground:
        if test.id not in self._grounds:
            clips = self.test_clips(test)
            names = {clip.id: name for (name, _), clip in reversed(clips.items())}
            arms = tuple(Arm(c.id, self._epoch(c), c.lora_scale) for c in test.candidates)
            self._grounds[test.id] = _Ground(arms, clips, names)
        return self._grounds[test.id]

    def _epoch(self, candidate: Candidate) -> float:
        """Of a checkpoint that is gone, its step as far as its id tells."""
        if candidate.checkpoint_id is None:
            return 0.0
        try:
            return float(self.checkpoint(candidate.checkpoint_id).epoch)
        except NotFound:
            return float(candidate.checkpoint_id.partition("@")[2] or 0)


def _check_adaptive(test: ListeningTest) -> None:
    if test.design is not Design.ADAPTIVE:
        raise BadInput(f"{test.name} has a fixed design: it explores nothing.")


def _contenders(test: ListeningTest, believed: Posterior) -> tuple[Candidate, Candidate]:
    by_id = {candidate.id: candidate for candidate in test.candidates}
    ranked = [by_id[believed.arms[place].name] for place in believed.mean.argsort()[::-1].tolist()]
    winner = ranked[0]
    base = next((c for c in test.candidates if c.is_base), None)
    return winner, base if base is not None and base != winner else ranked[1]
