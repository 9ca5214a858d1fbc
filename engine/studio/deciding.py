"""Use cases about judging: answers become verdicts, verdicts a matrix, retention a preview that a person confirms."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine import checkpoints, gate, retention, statistics, trash
from engine.gate import DEFAULT_GATE, Judged
from engine.retention import Facts
from engine.studio.listening_lab import ListeningLab
from engine.trash import Tombstone
from engine.types import Candidate, Choice, Outcome, Refused, Retained, RunState, Tier, TrialKind, Verdict


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
    summary: statistics.PreferenceSummary
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
            if session.kind is not TrialKind.PREFERENCE:
                continue
            trials = {t.id: t for t in self.store.trials(session.id)}
            for response in self.store.responses(session.id):
                trial = trials[response.trial_id]
                if trial.is_catch:
                    continue
                on_a, on_b = (self.store.clip(slot.clip_id).candidate for slot in trial.slots)
                first, second = sorted((on_a, on_b), key=lambda c: c.id)
                won = {Choice.A: on_a, Choice.B: on_b}.get(response.choice)
                key = (first, second, session.simulated)
                counts.setdefault(key, Counter())["tie" if won is None else "win" if won == first else "loss"] += 1
                who.setdefault(key, set()).add(session.reviewer)
        return [
            PreferenceRow(
                first=first,
                second=second,
                first_label=self.label(first),
                second_label=self.label(second),
                summary=statistics.preference_summary(count["win"], count["loss"], count["tie"]),
                reviewers=tuple(sorted(who[first, second, simulated])),
                simulated=simulated,
            )
            for (first, second, simulated), count in counts.items()
        ]

    # ------------------------------------------------------------------------------------------------------- retention
    def retention(self) -> list[Retained]:
        """What may go and what keeps the rest, from verdicts alone. Nothing is touched."""
        return retention.retain(self.checkpoints(), self._facts())

    def trash(self, checkpoint_ids: Sequence[str], *, by: str) -> list[Tombstone]:
        """Move checkpoints that nothing keeps to the trash. Raises Refused, with the reasons, for any that is kept."""
        if not by.strip():
            raise Refused("Moving checkpoints to the trash needs the name of the person who confirms it.")
        answers = {r.checkpoint_id: r for r in self.retention()}
        for checkpoint_id in checkpoint_ids:
            self.checkpoint(checkpoint_id)
            if (answer := answers[checkpoint_id]).keep:
                raise Refused(f"{checkpoint_id} stays: {'; '.join(answer.reasons)}.")
        verdicts = self.store.verdicts()
        moved = []
        for checkpoint_id in checkpoint_ids:
            stone = trash.move(
                self.checkpoint(checkpoint_id),
                trash=self.workspace.trash,
                by=by.strip(),
                reason="; ".join(answers[checkpoint_id].reasons),
                verdict_ids=tuple(v.id for v in verdicts if v.candidate.checkpoint_id == checkpoint_id),
                now=self._clock(),
            )
            self.store.add_act("trash", by, {"checkpoint": checkpoint_id, "tombstone": stone.id}, at=self._clock())
            moved.append(stone)
        return moved

    def repair(self) -> list[str]:
        """Complete or take back what a crash left half done in the trash; a sentence for each."""
        return trash.repair(self.workspace.trash, now=self._clock())

    def trashed(self) -> list[Tombstone]:
        """What lies in the trash, newest first."""
        return trash.listing(self.workspace.trash)

    def undo(self, tombstone_id: str, *, by: str) -> str:
        """Bring a checkpoint back exactly as it was; returns its id."""
        stone = trash.find(self.workspace.trash, tombstone_id)
        trash.undo(stone, trash=self.workspace.trash)
        self.store.add_act("undo", by, {"checkpoint": stone.checkpoint_id, "tombstone": stone.id}, at=self._clock())
        return stone.checkpoint_id

    def purge(self, tombstone_id: str, *, by: str) -> None:
        """Delete what was in the trash for the delay. Raises Refused before that."""
        stone = trash.find(self.workspace.trash, tombstone_id)
        trash.purge(stone, trash=self.workspace.trash, now=self._clock())
        self.store.add_act("purge", by, {"checkpoint": stone.checkpoint_id, "tombstone": stone.id}, at=self._clock())

    def pin(self, checkpoint_id: str, *, by: str) -> None:
        """Keep a checkpoint whatever the verdicts say."""
        self.checkpoint(checkpoint_id)
        self.store.pin(checkpoint_id, by=by, at=self._clock())

    def unpin(self, checkpoint_id: str, *, by: str) -> None:
        """Let the verdicts decide again."""
        self.store.unpin(checkpoint_id, by=by, at=self._clock())

    # ---------------------------------------------------------------------------------------------------------- inside
    def _judged(self) -> dict[Candidate, list[Judged]]:
        """Gate answers by candidate. Where a person answered, simulated answers do not count."""
        found: dict[Candidate, list[Judged]] = {}
        for session in self.store.sessions():
            if session.kind is not TrialKind.GATE:
                continue
            trials = {t.id: t for t in self.store.trials(session.id)}
            for response in self.store.responses(session.id):
                trial = trials[response.trial_id]
                if trial.is_catch:
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
            now=self._clock(),
        )

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
        bound = statistics.pass_rate_lower_bound(passes, len(own), 0.95)
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
