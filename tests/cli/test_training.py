"""The verbs before and around a run: presets, preflight, advice and the queue, over a studio in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine import presets
from engine.cli import main as command_line
from engine.cli.main import main
from engine.types import (
    Advice,
    Change,
    Checkpoint,
    Level,
    MemoryEstimate,
    Preflight,
    PreflightItem,
    Preset,
    Reason,
    Run,
    RunConfig,
    RunState,
)

TOO_MUCH = PreflightItem(
    check="memory",
    level=Level.REFUSE,
    text="About 9 GB are needed on cpu and 8 GB are free.",
    changes=(Change(setting="batch_tokens", old=1500, new=700, effect="fits"),),
)
MEMORY = MemoryEstimate(
    device="cpu", weights=2**30, gradients=2**20, optimizer=2**21, activations=2**30, adapter=0, reserve=2**29
)
ADVICE = Advice(
    action="lora_preflight",
    title="Start with a LoRA preflight.",
    reasons=(Reason(text="It shows the direction.", source="A paper"),),
    hints=(Reason(text="Judge 0.35.", source="A talk"),),
    preset="lora-preflight",
)


class FakeStudio:
    """Answers what the verbs ask, from memory, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.waiting = ["a", "b"]
        self.items: tuple[PreflightItem, ...] = (PreflightItem(check="rows", level=Level.OK, text="No row has."),)

    def presets(self, backend: str) -> tuple[Preset, ...]:
        return presets.of(backend)

    def default_config(self, backend: str) -> RunConfig:
        return presets.default(backend)

    def preflight(self, config: RunConfig) -> Preflight:
        self.asked["config"] = config
        return Preflight(
            config=config,
            items=self.items,
            command="python -m engine.train R",
            record="{}",
            memory=MEMORY,
            advice=ADVICE,
        )

    def advice(self, dataset: str, backend: str) -> Advice:
        return ADVICE

    def enqueue(self, config: RunConfig, *, start: bool = True) -> Run:
        self.asked |= {"config": config, "start": start}
        return replace(self.run("c"), queue_position=3)

    def enqueue_rates(self, config: RunConfig, other_rates: Sequence[float], *, start: bool = True) -> list[Run]:
        self.asked |= {"config": config, "rates": list(other_rates), "start": start}
        return [self.run("b"), self.run("c")]

    def start_run(self, config: RunConfig) -> Run:
        self.asked["config"] = config
        return replace(self.run("c"), state=RunState.STARTING)

    def run(self, run_id: str) -> Run:
        over = "watched" in self.asked
        state = RunState.COMPLETED if over else RunState.QUEUED
        return Run(id=run_id, path=Path(run_id), config=RunConfig(), state=state, created_at=0.0, format_version=1)

    def queue(self) -> list[Run]:
        return [
            replace(self.run(name), queue_position=n, error="Waits for cpu: rendering" if n == 1 else "")
            for n, name in enumerate(self.waiting, start=1)
        ]

    def move_run(self, run_id: str, position: int) -> None:
        self.asked["moved"] = (run_id, position)

    def cancel_run(self, run_id: str) -> None:
        self.waiting.remove(run_id)

    def watch_queue(self) -> None:
        self.asked["watched"] = True

    def checkpoints(self, run_id: str) -> list[Checkpoint]:
        return []


@pytest.fixture(name="studio")
def _studio(monkeypatch: pytest.MonkeyPatch) -> FakeStudio:
    fake = FakeStudio()

    @contextmanager
    def opened(*_: object) -> Iterator[FakeStudio]:
        yield fake

    monkeypatch.setattr(command_line, "_studio", opened)
    return fake


def test_a_preset_is_what_a_run_starts_from(studio: FakeStudio) -> None:
    """Settings that are given come over the preset's, and the others are its own."""
    assert main(["train", "--dataset", "d", "--preset", "gentle", "--rank", "4"]) == 0
    config = studio.asked["config"]
    assert (config.rank, config.learning_rate, config.dataset) == (4, 5e-4, "d")


def test_an_unknown_preset_is_answered_with_the_known_ones(studio: FakeStudio, capsys: Any) -> None:
    """A typo is told what there is, with the exit code of something that is not there."""
    assert main(["train", "--dataset", "d", "--preset", "gentel"]) == 3
    assert "it has: default, quick" in capsys.readouterr().err


def test_switches_lists_and_choices_are_flags(studio: FakeStudio, capsys: Any) -> None:
    """A switch has its opposite, a list may be empty, and a choice is one of those that there are."""
    words = ["train", "--dataset", "d", "--preset", "small-gpu", "--no-gradient-checkpointing", "--method", "full"]
    assert main([*words, "--stop-when", "drift", "--target-modules"]) == 0
    config = studio.asked["config"]
    assert (config.gradient_checkpointing, config.method) == (False, "full")
    assert (config.stop_when, config.target_modules) == (("drift",), ())
    with pytest.raises(SystemExit):
        main(["train", "--dataset", "d", "--method", "magic"])
    assert "lora" in capsys.readouterr().err


def test_a_run_can_only_be_queued(studio: FakeStudio, capsys: Any) -> None:
    """`--queue` starts nothing and says what will."""
    assert main(["train", "--dataset", "d", "--queue"]) == 0
    assert studio.asked["start"] is False
    assert "waits at position 3" in capsys.readouterr().out


def test_several_learning_rates_are_a_run_each(studio: FakeStudio, capsys: Any) -> None:
    """`--other-rates` queues the run once for its own rate and once for each of them, and can wait for all."""
    assert main(["train", "--dataset", "d", "--other-rates", "5e-6", "1e-5", "--queue"]) == 0
    assert (studio.asked["rates"], studio.asked["start"]) == ([5e-6, 1e-5], False)
    told = capsys.readouterr().out
    assert "learning rate" in told
    assert "queue --wait" in told
    assert main(["train", "--dataset", "d", "--other-rates", "5e-6", "--wait"]) == 0
    assert studio.asked["watched"], "they are started and waited for"


def test_preflight_tells_findings_changes_and_memory(studio: FakeStudio, capsys: Any) -> None:
    """A refused run exits as a refusal does; what was found is there in words and as JSON."""
    words = ["preflight", "--dataset", "d", "--preset", "quick"]
    assert main(words) == 0
    studio.items = (*studio.items, TOO_MUCH)
    capsys.readouterr()
    assert main(words) == 5
    told = capsys.readouterr().out
    assert "REFUSE About 9 GB" in told
    assert "Tokens a batch 1500 → 700: fits" in told
    assert "weights 1.1 GB" in told
    assert main([*words, "--json"]) == 5
    answer = json.loads(capsys.readouterr().out)
    assert (answer["refused"], answer["preflight"]["items"][1]["level"]) == (True, "refuse")


def test_advice_names_its_sources_and_the_command(studio: FakeStudio, capsys: Any) -> None:
    """Who found it out stands behind each reason, and the last line can be run."""
    assert main(["advise", "d"]) == 0
    told = capsys.readouterr().out
    assert "It shows the direction. [A paper]" in told
    assert told.rstrip().endswith("python -m engine train --dataset d --preset lora-preflight")


def test_the_queue_is_listed_moved_and_cancelled(studio: FakeStudio, capsys: Any) -> None:
    """Next first, with what each run waits for."""
    assert main(["queue"]) == 0
    assert "Waits for cpu: rendering" in capsys.readouterr().out
    assert main(["queue", "b", "--move", "1"]) == 0
    assert studio.asked["moved"] == ("b", 1)
    assert main(["queue", "b", "--cancel"]) == 0
    assert studio.waiting == ["a"]
    assert main(["queue", "--cancel"]) == 2


def test_the_queue_is_worked_off(studio: FakeStudio, capsys: Any) -> None:
    """`--wait` starts what waits and tells how each run ended."""
    assert main(["queue", "--wait"]) == 0
    told = capsys.readouterr().out
    assert "a: completed" in told
    assert "b: completed" in told
