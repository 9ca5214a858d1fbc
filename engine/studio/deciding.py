"""Use cases about judging: answers become verdicts, verdicts a matrix, retention a preview that a person confirms."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine import checkpoints, gate, retention
from engine.gate import DEFAULT_GATE, Judged
from engine.retention import Facts
from engine.statistics import binomial, paired_model, preference
from engine.statistics.comparison import Comparison
from engine.statistics.newton import NotConverged
from engine.studio.listening_lab import ListeningLab
from engine.types import BadInput, Candidate, Choice, Outcome, Retained, RunState, Tier, TrialKind, Verdict


@dataclass(frozen=True, kw_only=True)
class TierState:
    """One cell of the matrix. `outcome` None: nothing was asked yet; `waiting` trials are open."""

    outcome: Outcome | None
    passes: int
    fails: int
    waiting: int


@dataclass(frozen=True, kw_only=True)
class MatrixRow:
    """One candidate over the tiers, with the evidence in words and what keeps its checkpoint."""

    candidate: Candidate
    label: str
    tiers: Mapping[Tier, TierState]
    outcome: Outcome | None
    evidence: str
    keeps: str
    simulated: bool


@dataclass(frozen=True, kw_only=True)
class PreferenceRow:
    """What reviewers preferred of two candidates; `summary` counts wins of `first`. Simulated sittings stand apart."""

    first: Candidate
    second: Candidate
    first_label: str
    second_label: str
    summary: preference.PreferenceSummary
    reviewers: tuple[str, ...]
    simulated: bool


class Deciding(ListeningLab):
    """What the Gate page does."""

    def matrix(self) -> list[MatrixRow]:
        """Every candidate that was rendered or judged, base first, then by checkpoint and scale."""
        judged, waiting = self._judged(), self._waiting()
        verdicts = {v.candidate: v for v in self.store.verdicts()}
        kept = {r.checkpoint_id: r for r in self.retention()}
        rendered = {clip.candidate for clip in self.clips()}
        rows = [
            self._row(c, judged.get(c, []), waiting.get(c, []), verdicts.get(c), kept)
            for c in rendered | set(judged) | set(verdicts)
        ]
        return sorted(rows, key=lambda r: (r.candidate.checkpoint_id or "", r.candidate.lora_scale))

    def judge(self, *, by: str) -> list[Verdict]:
        """Decide every candidate that has answers; only verdicts that changed are written. Returns those."""
        latest = {v.candidate: v for v in self.store.verdicts()}
        changed: list[Verdict] = []
        for candidate, answers in self._judged().items():
            outcome, findings = gate.decide(DEFAULT_GATE, candidate, answers)
            before = latest.get(candidate)
            simulated = all(a.simulated for a in answers)
            if before and (before.outcome, before.findings, before.simulated) == (outcome, findings, simulated):
                continue
            changed.append(
                Verdict(
                    id=uuid.uuid4().hex[:12],
                    candidate=candidate,
                    gate=DEFAULT_GATE.name,
                    gate_version=DEFAULT_GATE.version,
                    outcome=outcome,
                    findings=findings,
                    decided_by=by,
                    decided_at=self._clock(),
                    simulated=simulated,
                )
            )
        for verdict in changed:
            self.store.add_verdict(verdict)
        return changed

    def verdicts(self) -> list[Verdict]:
        """The latest verdict of every candidate."""
        return self.store.verdicts()

    def preferences(self) -> list[PreferenceRow]:
        """The answers of all A/B sittings by pair, with intervals: evidence to choose by, never a verdict."""
        counts: dict[tuple[Candidate, Candidate, bool], Counter[str]] = {}
        who: dict[tuple[Candidate, Candidate, bool], set[str]] = {}
        for session in self.store.sessions():
            if session.kind is not TrialKind.PREFERENCE or session.dry_run:
                continue
            trials = {t.id: t for t in self.store.trials(session.id)}
            for response in self.store.responses(session.id):
                trial = trials[response.trial_id]
                if not trial.counts:
                    continue
                on_a, on_b = (self.store.clip(slot.clip_id).candidate for slot in trial.slots)
                first, second = sorted((on_a, on_b), key=lambda c: c.id)
                won = {Choice.A: on_a, Choice.B: on_b}.get(response.choice) if response.choice else None
                key = (first, second, session.simulated)
                counts.setdefault(key, Counter())["tie" if won is None else "win" if won == first else "loss"] += 1
                who.setdefault(key, set()).add(session.reviewer)
        return [
            PreferenceRow(
                first=first,
                second=second,
                first_label=self.label(first),
                second_label=self.label(second),
                summary=preference.preference_summary(count["win"], count["loss"], count["tie"]),
                reviewers=tuple(sorted(who[first, second, simulated])),
                simulated=simulated,
            )
            for (first, second, simulated), count in counts.items()
        ]

    # ------------------------------------------------------------------------------------------------------- retention
    def retention(self) -> list[Retained]:
        """What may go and what keeps the rest, from verdicts alone. Nothing is touched."""
        return retention.retain(self.checkpoints(), self._facts())

    # ---------------------------------------------------------------------------------------------------------- inside
    def _judged(self) -> dict[Candidate, list[Judged]]:
        """Gate answers by candidate. Where a person answered, simulated answers do not count."""
        found: dict[Candidate, list[Judged]] = {}
        for session in self.store.sessions():
            if session.kind is not TrialKind.GATE or session.dry_run:
                continue
            trials = {t.id: t for t in self.store.trials(session.id)}
            for response in self.store.responses(session.id):
                trial = trials[response.trial_id]
                if not trial.counts or response.choice is None:
                    continue
                candidate = self.store.clip(trial.slots[0].clip_id).candidate
                found.setdefault(candidate, []).append(
                    Judged(
                        tier=trial.tier,
                        choice=response.choice,
                        reasons=response.reasons,
                        reviewer=session.reviewer,
                        clip_id=trial.slots[0].clip_id,
                        simulated=session.simulated,
                    )
                )
        return {c: [a for a in answers if not a.simulated] or answers for c, answers in found.items()}

    def _waiting(self) -> dict[Candidate, list[Tier]]:
        found: dict[Candidate, list[Tier]] = {}
        for trial in self.store.open_trials():
            for slot in trial.slots:
                found.setdefault(self.store.clip(slot.clip_id).candidate, []).append(trial.tier)
        return found

    def _facts(self) -> Facts:
        promotions = self.store.promotion_history()
        return Facts(
            verdicts=tuple(self.store.verdicts()),
            promotions=tuple(promotions),
            open_trial_checkpoints=frozenset(c.checkpoint_id for c in self._waiting() if c.checkpoint_id),
            pinned=frozenset(self.store.pinned()),
            resume_points=self._resume_points(),
            exported=frozenset(
                str(act.data["checkpoint"]) for act in self.store.acts("export") if act.data.get("checkpoint")
            ),
            swept_candidates=frozenset(clip.candidate for clip in self.clips()),
            favourites=self._favourites(),
            now=self._clock(),
        )

    def _favourites(self) -> tuple[str, ...]:
        """The two checkpoints that people preferred most; none while too few were compared for a common scale."""
        answers: list[Comparison] = []
        by_name: dict[str, Candidate] = {}
        for row in self.preferences():
            if row.simulated:
                continue
            first, second, counted = row.first.id, row.second.id, row.summary
            by_name |= {first: row.first, second: row.second}
            answers += [Comparison(first, second, Choice.A)] * counted.wins
            answers += [Comparison(first, second, Choice.B)] * counted.losses
            answers += [Comparison(first, second, Choice.TIE)] * counted.ties
        try:
            best = paired_model.fit(answers).ranking()
        except (BadInput, NotConverged):
            return ()
        found = dict.fromkeys(c for name in best if (c := by_name[name].checkpoint_id) is not None)
        return tuple(found)[:2]

    def _resume_points(self) -> frozenset[str]:
        """The last checkpoint of every run that can still go on."""
        points = set()
        for run in self.runs():
            if run.state is not RunState.COMPLETED and (own := checkpoints.listing(run.path)):
                points.add(own[-1].id)
        return frozenset(points)

    def _row(
        self,
        candidate: Candidate,
        answers: Sequence[Judged],
        waiting: Sequence[Tier],
        verdict: Verdict | None,
        kept: Mapping[str, Retained],
    ) -> MatrixRow:
        outcomes = {f.tier: f.outcome for f in verdict.findings} if verdict else {}
        tiers = {
            tier: TierState(
                outcome=outcomes.get(tier),
                passes=sum(a.tier is tier and a.choice is Choice.PASS for a in answers),
                fails=sum(a.tier is tier and a.choice is Choice.FAIL for a in answers),
                waiting=sum(t is tier for t in waiting),
            )
            for tier in Tier
        }
        return MatrixRow(
            candidate=candidate,
            label=self.label(candidate),
            tiers=tiers,
            outcome=verdict.outcome if verdict else None,
            evidence=_evidence(answers),
            keeps=_keeps(candidate, kept),
            simulated=bool(verdict and verdict.simulated),
        )


def _evidence(answers: Iterable[Judged]) -> str:
    """'9 of 9 passes: above 72 % with 95 % confidence', or the reasons of the fails with their counts."""
    own = list(answers)
    if not own:
        return ""
    passes = sum(a.choice is Choice.PASS for a in own)
    if passes == len(own):
        bound = binomial.pass_rate_lower_bound(passes, len(own), 0.95)
        return f"{passes} of {len(own)} passes: above {bound:.0%} with 95 % confidence"
    reasons: dict[str, int] = {}
    for answer in own:
        for reason in answer.reasons:
            reasons[reason] = reasons.get(reason, 0) + 1
    told = ", ".join(f"{r} ×{n}" for r, n in sorted(reasons.items(), key=lambda item: -item[1]))
    return f"{passes} of {len(own)} passes" + (f"; {told}" if told else "")


def _keeps(candidate: Candidate, kept: Mapping[str, Retained]) -> str:
    if candidate.checkpoint_id is None:
        return "control"
    answer = kept.get(candidate.checkpoint_id)
    return "in the trash or gone" if answer is None else "; ".join(answer.reasons)
