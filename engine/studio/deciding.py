"""Use cases about judging: answers become verdicts, verdicts a matrix, retention a preview that a person confirms."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from engine import checkpoints, gate, gate_files, retention
from engine.gate import Judged
from engine.retention import Facts
from engine.statistics import paired_model, preference
from engine.statistics.comparison import Comparison
from engine.statistics.newton import NotConverged
from engine.studio import matrix
from engine.studio.answers import Record
from engine.studio.evidence import ClipSeen, Evidence
from engine.studio.matrix import MatrixRow
from engine.types import (
    BadInput,
    Candidate,
    Choice,
    Finding,
    Gate,
    Outcome,
    Retained,
    RunState,
    Session,
    Tier,
    TrialKind,
    Verdict,
)


@dataclass(frozen=True, kw_only=True)
class GateChange:
    """What a gate would make of a candidate, where that is something else than its verdict. None: no verdict yet."""

    candidate: Candidate
    label: str
    before: Outcome | None
    after: Outcome
    why: str


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


class Deciding(Evidence):
    """What the Gate page does."""

    def matrix(self, gate: str = "", run_id: str = "") -> list[MatrixRow]:
        """Every candidate that was rendered or judged (of one run, with the base), as it stands under a gate now: base
        first, then by checkpoint and scale.
        """
        rules, record = self.gate(gate), self._record()
        verdicts = {v.candidate: v for v in self.store.verdicts() if v.gate == rules.name}
        found = matrix.build(rules, record, verdicts, self.label, self._retained())
        return [row for row in found if row.candidate.is_base or not run_id or _run_of(row.candidate) == run_id]

    def evidence(self, candidate: Candidate, tier: Tier, gate: str = "") -> list[ClipSeen]:
        """What speaks for and against a candidate in one tier: its clips with answers, flags, and what was said to
        them. Unblinded.
        """
        return matrix.clips_seen(self.gate(gate), self._record(), candidate, tier, self._gate_label)

    def gate_changes(self, gate: Gate | str) -> list[GateChange]:
        """What a gate would make of all answers so far, where that differs from the verdicts in force under its name.
        Nothing is written.
        """
        rules = self.gate(gate) if isinstance(gate, str) else gate
        record = self._record()
        latest = {v.candidate: v for v in self.store.verdicts() if v.gate == rules.name}
        changes = []
        for candidate, (outcome, findings) in _decided(rules, record).items():
            before = latest[candidate].outcome if candidate in latest else None
            if before is not outcome:
                why = next((f.explanation for f in findings if f.outcome is outcome), "")
                label = self.label(candidate)
                changes.append(GateChange(candidate=candidate, label=label, before=before, after=outcome, why=why))
        return sorted(changes, key=lambda change: change.candidate.id)

    def judge(self, *, by: str, gate: str = "") -> list[Verdict]:
        """Decide every candidate that has answers under a gate, by default the first; only verdicts that changed are
        written. Returns those. Earlier answers count whatever gate they were given under.
        """
        rules, sha256 = self._gate_in_use(gate)
        latest = {v.candidate: v for v in self.store.verdicts() if v.gate == rules.name}
        record = self._record()
        changed: list[Verdict] = []
        for candidate, (outcome, findings) in _decided(rules, record).items():
            made = Verdict(
                id=uuid.uuid4().hex[:12],
                candidate=candidate,
                gate=rules.name,
                gate_version=rules.version,
                outcome=outcome,
                findings=findings,
                decided_by=by,
                decided_at=self._clock(),
                simulated=_is_simulated(record.judged.get(candidate, [])),
                gate_sha256=sha256,
            )
            if candidate not in latest or _said(latest[candidate]) != _said(made):
                changed.append(made)
        for verdict in changed:
            self.store.add_verdict(verdict)
        return changed

    def verdicts(self) -> list[Verdict]:
        """The latest verdict of every candidate under every gate."""
        return self.store.verdicts()

    def preferences(self) -> list[PreferenceRow]:
        """The answers of all A/B sittings by pair, with intervals: evidence to choose by, never a verdict."""
        candidates = self._candidates_of_clips()
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
                on_a, on_b = (candidates[slot.clip_id] for slot in trial.slots)
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
    def _retained(self) -> dict[str, Retained]:
        return {answer.checkpoint_id: answer for answer in self.retention()}

    def _gate_label(self, session: Session) -> str:
        rules = self.gate_kept(session.gate_sha256)
        return f"{rules.name} version {rules.version}"

    def _waiting(self) -> dict[Candidate, list[Tier]]:
        found: dict[Candidate, list[Tier]] = {}
        candidates = self._candidates_of_clips()
        for trial in self.store.open_trials():
            for slot in trial.slots:
                found.setdefault(candidates[slot.clip_id], []).append(trial.tier)
        return found

    def _candidates_of_clips(self) -> dict[str, Candidate]:
        """Who speaks in each clip, read at once: many answers name the same few clips. Where two candidates have the
        same weights, the first that it was rendered for.
        """
        return {clip.id: clip.candidate for clip in reversed(self.clips())}

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
            overtaken_candidates=self._overtaken(),
            favourites=self._favourites(),
            now=self._clock(),
        )

    def _overtaken(self) -> frozenset[Candidate]:
        """Candidates whose failing verdict would not be given again by its own rules, from all answers so far."""
        failed = [verdict for verdict in self.store.verdicts() if verdict.outcome is Outcome.FAIL]
        if not failed:
            return frozenset()
        record, kept = self._record(), self.store.gates()
        return frozenset(
            verdict.candidate
            for verdict in failed
            if verdict.candidate in record.judged
            and gate.decide(
                kept.get(verdict.gate_sha256, gate_files.BEFORE_KEPT),
                verdict.candidate,
                record.judged[verdict.candidate],
                record.flagged.get(verdict.candidate, []),
            )[0]
            is not Outcome.FAIL
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


def _decided(rules: Gate, record: Record) -> dict[Candidate, tuple[Outcome, tuple[Finding, ...]]]:
    """The outcome of every candidate that has an answer, or a flag of an automatic rule."""
    automatic = {name for rule in rules.rules for name in rule.automatic}
    flagged = {c for c, flags in record.flagged.items() if any(each.flag.screener in automatic for each in flags)}
    return {
        candidate: gate.decide(rules, candidate, record.judged.get(candidate, []), record.flagged.get(candidate, []))
        for candidate in [*record.judged, *sorted(flagged - record.judged.keys(), key=lambda c: c.id)]
    }


def _is_simulated(answers: Sequence[Judged]) -> bool:
    return bool(answers) and all(answer.simulated for answer in answers)


def _said(verdict: Verdict) -> tuple[object, ...]:
    """What makes two verdicts the same: not when, nor by whom."""
    return verdict.outcome, verdict.findings, verdict.simulated, verdict.gate_sha256


def _run_of(candidate: Candidate) -> str:
    return (candidate.checkpoint_id or "").rpartition("@")[0]
