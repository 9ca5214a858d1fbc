"""The demonstration: its stated rule, that its reviewers are blind, and that it is honest when nothing passes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine import demo, gate_files
from engine.cli.output import dump
from engine.gate import Judged, decide
from engine.listening import TrialView
from engine.screeners import Screening
from engine.types import (
    REASON_CODES,
    Candidate,
    Checkpoint,
    Choice,
    Clip,
    EngineError,
    GenerationSettings,
    Outcome,
    Retained,
    RunConfig,
    RunState,
    Score,
    Stop,
    Tier,
    TrialKind,
    Verdict,
    WordScore,
)
from tests.fake_host import adapter


def screening(errors: float = 5.0, states: Sequence[str] = ("ok",) * 20) -> Screening:
    """What the ear says of a clip with so many phoneme errors and words in these states."""

    def score(name: str, value: float, passed: bool | None) -> Score:
        return Score(
            clip_id="", screener=name, version=1, value=value, unit="", passed=passed, explanation=f"{name} {value:g}."
        )

    words = tuple(WordScore(text="x", state=s, start_sec=0, end_sec=1, log_posterior=0) for s in states)
    scores = (score("phoneme_errors", errors, None), score("words", 0.0, None))
    return Screening(duration_sec=5.0, words=words, scores=scores)


# ------------------------------------------------------------------------------------------------------------- the rule
@pytest.mark.parametrize(
    ("heard", "choice", "reason"),
    [
        (screening(), Choice.PASS, None),
        (screening(errors=demo.MAX_ERRORS_PERCENT), Choice.PASS, None),
        (screening(errors=demo.MAX_ERRORS_PERCENT + 0.1), Choice.FAIL, "noise"),
        (screening(errors=math.nan), Choice.FAIL, "noise"),
        (screening(states=["ok"] * 18 + ["dropped"] * 2), Choice.PASS, None),
        (screening(states=["ok"] * 17 + ["dropped"] * 3), Choice.FAIL, "dropped word"),
        (screening(states=["ok"] * 17 + ["merged"] * 3), Choice.FAIL, "merged word"),
        (screening(states=["ok"] * 20 + ["inserted"] * 3), Choice.FAIL, "inserted speech"),
    ],
    ids=["good", "at the limit", "garbled", "unheard", "few lost", "dropped", "merged", "invented"],
)
def test_reviewers_answer_by_the_stated_rule(heard: Screening, choice: Choice, reason: str | None) -> None:
    """The numbers in the sentence are the numbers that decide; every reason is one of the page's own codes."""
    answer = demo.judge(heard)
    assert answer.choice is choice
    assert answer.reasons == ((reason,) if reason else ())
    assert set(answer.reasons) <= set(REASON_CODES)
    assert answer.note


def test_the_rule_is_stated_with_its_numbers() -> None:
    """What is printed is what is done."""
    assert f"{demo.MAX_ERRORS_PERCENT:g} %" in demo.RULE
    assert f"{demo.MAX_LOST_PERCENT:g} %" in demo.RULE


# ------------------------------------------------------------------------------------------------------------- the loop
GOOD, BROKEN = 0.35, 2.0


class FakeStudio:
    """A workspace in memory: two checkpoints, one line a tier, and an ear that hears scale 2.0 as noise."""

    def __init__(self, *, errors: dict[float, float] | None = None, state: RunState = RunState.COMPLETED) -> None:
        self.errors = errors or {0.0: 4.0, GOOD: 8.0, 0.6: 12.0, BROKEN: 90.0}
        self.state = state
        self.made: list[Clip] = []
        self.answers: dict[str, list[Judged]] = {}
        self.open: list[tuple[str, Clip, str]] = []
        self.sessions: list[tuple[str, bool]] = []
        self.heard: list[str] = []
        self.promoted: Candidate | None = None
        self.judged_by = ""

    def make_demo_data(self, minutes: float) -> Path:
        return Path("manifest.jsonl")

    def audit(self, path: Path) -> Any:
        return SimpleNamespace(manifest=SimpleNamespace(utterances=[1, 2, 3]), findings=[])

    def prepare(self, path: Path, *, name: str, listen: bool) -> Any:
        return SimpleNamespace(id="demo-1", train_count=2, validation_count=1, train_sec=60.0)

    def default_config(self, backend: str) -> RunConfig:
        return RunConfig()

    def start_run(self, config: RunConfig) -> Any:
        assert config.dataset == "demo-1"
        self.epochs = config.epochs
        return SimpleNamespace(id="run")

    def wait_run(self, run_id: str, *, timeout_sec: float) -> Any:
        return SimpleNamespace(id=run_id, state=self.state, error="out of memory")

    def log_tail(self, run_id: str) -> str:
        return ""

    def checkpoints(self, run_id: str | None = None) -> list[Checkpoint]:
        return [
            Checkpoint(
                id=f"run@{epoch:06d}",
                run_id="run",
                step=epoch * 10,
                epoch=epoch,
                path=Path("x"),
                adapter=adapter(),
                train_loss=2.0,
                val_loss=2.5,
                bytes=1000,
                created_at=0.0,
            )
            for epoch in range(1, self.epochs + 1)
        ]

    def candidates(self, ids: Sequence[str], scales: Sequence[float]) -> list[Candidate]:
        steered = [Candidate(backend="fake", voice="robin", checkpoint_id=i, lora_scale=s) for i in ids for s in scales]
        return [Candidate(backend="fake", voice="robin"), *steered]

    def script(self, name: str) -> Any:
        from engine import scripts

        return scripts.load(name)

    def render(self, request: Any, tell: Any) -> list[Clip]:
        self.made = [
            Clip(
                id=f"{c.id}/{line.id}",
                candidate=c,
                adapter_sha256=None,
                script_sha256="s",
                line_id=line.id,
                tier=line.tier,
                text=line.text,
                seed=42,
                path=Path("x"),
                sample_rate=16_000,
                duration_sec=5.0,
                stop=Stop.EOS,
                chunks=1,
                settings=GenerationSettings(),
                harness_version="1",
                render_sec=0.1,
            )
            for c in request.candidates
            for line in request.lines
        ]
        tell(len(self.made), len(self.made), "rendering")
        return self.made

    def scores(self, ids: Sequence[str]) -> dict[str, list[Score]]:
        return {
            c.id: [
                Score(
                    clip_id=c.id,
                    screener="similarity",
                    version=1,
                    value=100 * c.candidate.lora_scale,
                    unit="%",
                    passed=None,
                    explanation="So far.",
                )
            ]
            for c in self.made
        }

    def open_gate_session(self, candidates: Sequence[Candidate], *, reviewer: str, simulated: bool) -> Any:
        self.sessions.append((reviewer, simulated))
        self.open = [(f"{reviewer}-{n}", clip, reviewer) for n, clip in enumerate(self.made)]
        return SimpleNamespace(id=reviewer)

    def next_trial(self, session_id: str) -> TrialView | None:
        if not self.open:
            return None
        trial_id, clip, _ = self.open[0]
        return TrialView(
            trial_id=trial_id,
            kind=TrialKind.GATE,
            text=clip.text,
            slots=(("A", f"token-{trial_id}"),),
            position=0,
            total=1,
            reasons=(),
        )

    def stimulus(self, token: str) -> bytes:
        assert token == f"token-{self.open[0][0]}"
        return b"sound of " + self.open[0][1].candidate.id.encode()

    def screen_file(self, path: Path, text: str) -> Screening:
        sound = path.read_bytes().decode()
        self.heard.append(str(path))
        assert text == self.open[0][1].text
        return screening(errors=self.errors[0.0 if "base:" in sound else float(sound.rpartition(":")[2])])

    def answer(self, trial_id: str, choice: Choice, *, reasons: Sequence[str], note: str) -> None:
        _, clip, reviewer = self.open.pop(0)
        self.answers.setdefault(clip.candidate.id, []).append(
            Judged(
                tier=clip.tier,
                choice=choice,
                reasons=tuple(reasons),
                reviewer=reviewer,
                clip_id=clip.id,
                simulated=True,
            )
        )

    def flag_question(self, session_id: str) -> None:
        """The ear in memory flags nothing beyond what the rule fails."""

    def judge(self, *, by: str) -> None:
        self.judged_by = by

    def verdicts(self) -> list[Verdict]:
        found = []
        for candidate in dict.fromkeys(clip.candidate for clip in self.made):
            outcome, findings = decide(gate_files.load(), candidate, self.answers[candidate.id])
            found.append(
                Verdict(
                    id=candidate.id,
                    candidate=candidate,
                    gate="g",
                    gate_version=1,
                    outcome=outcome,
                    findings=findings,
                    decided_by=self.judged_by,
                    decided_at=0.0,
                    simulated=True,
                )
            )
        return found

    def retention(self) -> list[Retained]:
        return [Retained(checkpoint_id=c.id, keep=True, reasons=("because",), bytes=1) for c in self.checkpoints()]

    def promote(self, candidate: Candidate, *, alias: str, by: str, reason: str, settings: GenerationSettings) -> Any:
        assert settings == demo.SETTINGS, "what was judged is what is promoted"
        self.promoted = candidate
        return SimpleNamespace(alias=alias, verdict_id=candidate.id)

    def export(self, alias: str) -> Any:
        return SimpleNamespace(path=Path("exports") / "demo")

    def verify(self, path: Path) -> Any:
        return SimpleNamespace(path=path, sha256="f00", verified=True)


def run(studio: FakeStudio) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(dump(demo.run(studio, say=lambda line: None)))  # type: ignore[arg-type]
    return told


def test_the_report_has_exactly_the_documented_shape() -> None:
    """Scripts read this JSON: its keys are part of the interface."""
    told = run(FakeStudio())
    assert list(told) == [
        "dataset",
        "run",
        "sweep",
        "scores",
        "verdicts",
        "retention",
        "promotion",
        "export",
        "seconds",
    ]
    assert {"id", "step", "train_loss", "val_loss", "bytes"} == set(told["run"]["checkpoints"][0])
    assert {"clips", "seconds"} == set(told["sweep"])
    assert {"candidate", "outcome", "findings"} <= set(told["verdicts"][0])
    assert {"checkpoint", "keep", "reasons"} == set(told["retention"][0])
    assert {"path", "sha256", "verified"} == set(told["export"])
    assert told["export"]["verified"] is True
    assert {"data", "audit", "prepare", "train", "sweep", "judge", "retention", "export"} == set(told["seconds"])


def test_reviewers_are_blind_and_labelled_as_simulated() -> None:
    """They open real sessions as simulated, and all that they hear comes as bytes without a name."""
    studio = FakeStudio()
    run(studio)
    assert studio.sessions == [(name, True) for name in demo.REVIEWERS]
    assert sum(len(answers) for answers in studio.answers.values()) == len(demo.REVIEWERS) * len(studio.made)
    assert len(studio.heard) == len(studio.made), "the same sound is listened to once"
    # What is random in a folder's name may spell anything, once in ten thousand runs "base".
    assert {re.sub(r"earmark-\w{8}$", "earmark-", str(Path(path).parent.name)) for path in studio.heard} == {"earmark-"}
    assert {Path(path).name for path in studio.heard} == {"stimulus.wav"}


def test_a_broken_scale_fails_and_the_nearest_of_the_rest_is_promoted() -> None:
    """One candidate fails on purpose; of those that pass, the measures choose the one nearest to the target."""
    studio = FakeStudio()
    told = run(studio)
    outcomes = {v["candidate"]: v["outcome"] for v in told["verdicts"]}
    assert {o for c, o in outcomes.items() if c.endswith(":2")} == {Outcome.FAIL.value}
    assert studio.promoted is not None
    assert studio.promoted.lora_scale == 0.6
    assert told["promotion"]["candidate"] == studio.promoted.id
    assert "verified" in demo.ending(told)


def test_when_nothing_passes_nothing_is_promoted() -> None:
    """The demonstration says so and does not bend its rule; the base is never promoted."""
    studio = FakeStudio(errors={0.0: 4.0, GOOD: 60.0, 0.6: 70.0, BROKEN: 90.0})
    told = run(studio)
    assert told["promotion"] is None
    assert told["export"] is None
    assert studio.promoted is None
    assert "nothing was promoted" in demo.ending(told)


def test_a_training_that_fails_is_told() -> None:
    """The run's own error is passed on."""
    with pytest.raises(EngineError, match="failed: out of memory"):
        run(FakeStudio(state=RunState.FAILED))


def test_the_script_of_the_demonstration_has_every_tier() -> None:
    """Only a candidate heard in all tiers can pass the gate."""
    from engine import scripts

    assert {line.tier for line in scripts.load(demo.Demo().script).lines} == set(Tier)
