"""The demonstration: the whole loop on a small voice, through the studio alone, with simulated reviewers.

Knows a stated rule by which simulated reviewers answer. They sit in real blind sessions: all they get is a trial's
text and the bytes behind its opaque token, and what they hear is what the built-in ear says of these bytes. Their
sessions and verdicts are marked as simulated in the store; on a page, one answer of a person puts all of theirs
aside.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import sweep
from engine.types import (
    Candidate,
    Choice,
    Clip,
    EngineError,
    Outcome,
    Run,
    RunState,
    Score,
    Verdict,
)

if TYPE_CHECKING:
    from engine.screeners import Screening
    from engine.studio import Studio

MAX_ERRORS_PERCENT = 25.0
MAX_LOST_PERCENT = 10.0
RULE = (
    f"a simulated reviewer passes a clip in which the built-in ear hears at most {MAX_ERRORS_PERCENT:g} % of the "
    f"phonemes wrong and at most {MAX_LOST_PERCENT:g} % of the words missing, run together or invented."
)
REVIEWERS = ("simulated-1", "simulated-2")
ALIAS = "production/demo"
SETTINGS = {"max_factor": 1.6}  # a runaway is heard as well in half the time


@dataclass(frozen=True, kw_only=True)
class Demo:
    """How large the demonstration is. The largest scale is there to fail: it breaks speech."""

    minutes: float = 2.0
    epochs: int = 4
    scales: tuple[float, ...] = (0.35, 0.6, 2.0)
    script: str = "english-brief"
    train_timeout_sec: float = 600.0

    @property
    def swept_epochs(self) -> frozenset[int]:
        """The epochs whose checkpoints are swept: the one in the middle and the last."""
        return frozenset((max(1, self.epochs // 2), self.epochs))


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a simulated reviewer answers to one clip, and why."""

    choice: Choice
    reasons: tuple[str, ...]
    note: str


def run(
    studio: Studio,
    size: Demo | None = None,
    *,
    say: Callable[[str], None] = lambda line: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """Run the loop in `studio`'s workspace and return what came of it, stage by stage; `say` gets a line a stage."""
    size = size or Demo()
    told: dict[str, Any] = {}
    spent: dict[str, float] = {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        say(f"{name} ...")
        begun = clock()
        yield
        spent[name] = round(clock() - begun, 2)

    with stage("data"):
        path = studio.make_demo_data(minutes=size.minutes)
    with stage("audit"):
        report = studio.audit(path)
    with stage("prepare"):
        made = studio.prepare(path, name="demo", listen=False)  # the audit has just listened to every row
    told["dataset"] = {
        "id": made.id,
        "rows": len(report.manifest.utterances),
        "findings": len(report.findings),
        "train_count": made.train_count,
        "validation_count": made.validation_count,
        "train_sec": made.train_sec,
    }
    with stage("train"):
        trained = _train(studio, made.id, size)
    told["run"] = _run_facts(studio, trained)
    with stage("sweep"):
        clips = _sweep(studio, trained, size, say)
        scores = studio.scores([clip.id for clip in clips])
    told["sweep"] = {"clips": len(clips), "seconds": round(sum(clip.duration_sec for clip in clips), 1)}
    told["scores"] = _score_facts(clips, scores)
    with stage("judge"):
        candidates = list(dict.fromkeys(clip.candidate for clip in clips))
        memory: dict[str, Judgement] = {}
        for reviewer in REVIEWERS:
            _sit(studio, candidates, reviewer, memory)
        studio.judge(by="the demonstration")
    verdicts = [verdict for verdict in studio.verdicts() if verdict.candidate in candidates]
    told["verdicts"] = [_verdict_facts(verdict) for verdict in sorted(verdicts, key=lambda v: v.candidate.id)]
    with stage("retention"):
        told["retention"] = [
            {"checkpoint": kept.checkpoint_id, "keep": kept.keep, "reasons": list(kept.reasons)}
            for kept in studio.retention()
        ]
    with stage("export"):
        told |= _release(studio, verdicts, clips, scores)
    return {**told, "seconds": spent}


def judge(heard: Screening) -> Judgement:
    """The stated rule: what a simulated reviewer answers to what the ear heard."""
    values = {score.screener: score for score in heard.scores}
    errors, words = values["phoneme_errors"], values["words"]
    states = ["inserted" if word.state == "repeated" else word.state for word in heard.words]
    asked = max(1, len(states) - states.count("inserted"))
    counts = {state: states.count(state) for state in ("dropped", "merged", "inserted")}
    too_many = not sum(counts.values()) <= asked * MAX_LOST_PERCENT / 100
    reasons: list[str] = []
    if too_many:
        named = (("dropped", "dropped word"), ("merged", "merged word"), ("inserted", "inserted speech"))
        reasons += [code for state, code in named if counts[state]]
    garbled = not errors.value <= MAX_ERRORS_PERCENT
    if garbled and not reasons:
        reasons.append("noise")
    failed = too_many or garbled
    note = " ".join(score.explanation for score in (words, errors))
    return Judgement(choice=Choice.FAIL if failed else Choice.PASS, reasons=tuple(reasons), note=note)


def ending(told: Mapping[str, Any]) -> str:
    """What came of it in a sentence, also when nothing passed."""
    if told["promotion"] is None:
        return "No candidate passed the rule, so nothing was promoted or exported: that is what a gate is for."
    promotion, path = told["promotion"], told["export"]["path"]
    return f"{promotion['candidate']} is {promotion['alias']}, exported to {path} and verified."


# -------------------------------------------------------------------------------------------------------------- stages
def _train(studio: Studio, dataset_id: str, size: Demo) -> Run:
    config = replace(studio.default_config("finch"), name="demo", dataset=dataset_id, epochs=size.epochs)
    run = studio.wait_run(studio.start_run(config).id, timeout_sec=size.train_timeout_sec)
    if run.state is not RunState.COMPLETED:
        raise EngineError(
            f"The demonstration's training ended as {run.state}: {run.error or studio.log_tail(run.id)[-300:]}"
        )
    return run


def _sweep(studio: Studio, trained: Run, size: Demo, say: Callable[[str], None]) -> list[Clip]:
    chosen = [c.id for c in studio.checkpoints(trained.id) if c.epoch in size.swept_epochs]
    request = sweep.Request(
        candidates=tuple(studio.candidates(chosen, size.scales)), script=studio.script(size.script), settings=SETTINGS
    )
    shown: dict[str, int] = {}

    def tell(done: int, total: int, message: str) -> None:
        if shown.get(message) != 4 * done // max(1, total):
            shown[message] = 4 * done // max(1, total)
            say(f"  {message}: {done} of {total}")

    return studio.render(request, tell)


def _sit(studio: Studio, candidates: Sequence[Candidate], reviewer: str, memory: dict[str, Judgement]) -> None:
    """One simulated reviewer's blind sitting: nothing but texts and sounds.

    `memory` holds what the rule said of a sound, by the sound's own hash: it says the same to every reviewer.
    """
    session = studio.open_gate_session(candidates, reviewer=reviewer, simulated=True)
    while (trial := studio.next_trial(session.id)) is not None:
        [(_, token)] = trial.slots
        sound = studio.stimulus(token)
        heard = hashlib.sha256(sound + trial.text.encode()).hexdigest()
        if heard not in memory:
            memory[heard] = judge(_listen(studio, sound, trial.text))
        answer = memory[heard]
        studio.answer(trial.trial_id, answer.choice, reasons=answer.reasons, note=answer.note)
        while (asked := studio.flag_question(session.id)) is not None:
            # What the ear flagged, the same ear cannot confirm.
            studio.answer_flag(session.id, asked.trial.trial_id, asked.choices[-1][0])


def _listen(studio: Studio, sound: bytes, text: str) -> Screening:
    with tempfile.TemporaryDirectory(prefix="earmark-") as folder:
        path = Path(folder) / "stimulus.wav"
        path.write_bytes(sound)
        return studio.screen_file(path, text)


def _release(
    studio: Studio, verdicts: Sequence[Verdict], clips: Sequence[Clip], scores: Mapping[str, Sequence[Score]]
) -> dict[str, Any]:
    """Promote, export and verify the candidate that passed and is nearest to the target; nothing when none passed."""
    passed = [v.candidate for v in verdicts if v.outcome is Outcome.PASS and not v.candidate.is_base]
    if not passed:
        return {"promotion": None, "export": None}
    best = max(passed, key=lambda candidate: _mean(candidate, "similarity", clips, scores))
    reason = f"Of {len(passed)} candidates that passed, the nearest to the target (simulated reviewers)."
    promotion = studio.promote(best, alias=ALIAS, by="the demonstration", reason=reason, settings=SETTINGS)
    bundle = studio.verify(studio.export(ALIAS).path)
    return {
        "promotion": {
            "alias": promotion.alias,
            "candidate": best.id,
            "verdict": promotion.verdict_id,
            "reason": reason,
        },
        "export": {"path": str(bundle.path), "sha256": bundle.sha256, "verified": bundle.verified},
    }


def _mean(candidate: Candidate, measure: str, clips: Sequence[Clip], scores: Mapping[str, Sequence[Score]]) -> float:
    own = [s.value for c in clips if c.candidate == candidate for s in scores.get(c.id, ()) if s.screener == measure]
    known = [value for value in own if value == value]
    return sum(known) / len(known) if known else float("-inf")


# --------------------------------------------------------------------------------------------------------------- facts
def _run_facts(studio: Studio, trained: Run) -> dict[str, Any]:
    return {
        "id": trained.id,
        "checkpoints": [
            {"id": c.id, "step": c.step, "train_loss": c.train_loss, "val_loss": c.val_loss, "bytes": c.bytes}
            for c in studio.checkpoints(trained.id)
        ],
    }


def _score_facts(clips: Sequence[Clip], scores: Mapping[str, Sequence[Score]]) -> list[dict[str, Any]]:
    return [
        {
            "candidate": clip.candidate.id,
            "line": clip.line_id,
            "tier": clip.tier.value,
            "name": score.screener,
            "value": score.value,
            "unit": score.unit,
            "passed": score.passed,
            "explanation": score.explanation,
        }
        for clip in clips
        for score in scores.get(clip.id, ())
    ]


def _verdict_facts(verdict: Verdict) -> dict[str, Any]:
    return {
        "candidate": verdict.candidate.id,
        "outcome": verdict.outcome.value,
        "simulated": verdict.simulated,
        "findings": [
            {"tier": f.tier.value, "outcome": f.outcome.value, "explanation": f.explanation} for f in verdict.findings
        ],
    }
