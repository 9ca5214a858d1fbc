"""What a training marks and how it ends: monitors, steps without a number, memory that ran out, the trainer's ear."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import checkpoints, runs
from engine.train import listening
from engine.types import GenerationSettings, Refused, RunState, SpeakRow, Speech, Stop
from tests.train import toy_voice
from tests.train.conftest import MakeRun
from tests.train.test_loop import train, weights
from tests.train.toy_voice import ToyVoice


def marked(run_dir: Path) -> list[Mapping[str, Any]]:
    return [e.data for e in runs.events(run_dir) if e.kind == "alert"]


@pytest.fixture(name="rising")
def validation_that_rises(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A validation loss that is higher each time; training itself is not changed."""
    original = ToyVoice.loss
    heights = iter(range(10_000))

    def loss(self: ToyVoice, *arguments: Any) -> Mapping[str, Any]:
        found = original(self, *arguments)
        return found if arguments[3] is not None else {k: v + 0.1 * next(heights) for k, v in found.items()}

    with monkeypatch.context() as patch:
        patch.setattr(ToyVoice, "loss", loss)
        yield


def test_a_monitor_marks_and_the_run_goes_on(make_run: MakeRun, rising: None) -> None:
    """An alert is an event with its sentence, once; nothing ends and nothing is deleted."""
    run = make_run(epochs=6, patience=2)
    assert train(run.path) == 0
    after = runs.get(run.path)
    assert after.state is RunState.COMPLETED
    assert [a["monitor"] for a in marked(run.path)] == ["validation_rising"]
    assert marked(run.path)[0]["stops"] is False
    assert len(checkpoints.listing(run.path)) == 6


def test_a_monitor_that_stops_saves_first_and_the_run_can_go_on(make_run: MakeRun, rising: None) -> None:
    """Where the settings say so the run ends in order, with a checkpoint of its last step; resuming goes past it."""
    run = make_run(epochs=6, patience=2, stop_when=("validation_rising",), save_every=5)
    assert train(run.path) == 0
    stopped = runs.get(run.path)
    assert stopped.state is RunState.STOPPED
    assert checkpoints.listing(run.path)[-1].step == stopped.step
    assert "as the run's settings say" in [e for e in runs.events(run.path) if e.kind == "note"][-1].data["text"]
    assert train(run.path) == 0
    assert runs.get(run.path).state is RunState.COMPLETED
    assert [a["monitor"] for a in marked(run.path)] == ["validation_rising"]


@pytest.fixture(name="unloaded")
def losses_of_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy begins above what its backend says of one without weights."""
    original = ToyVoice.loss
    monkeypatch.setattr(
        ToyVoice, "loss", lambda self, *a: {k: v + (20.0 if k == "lm" else 0.0) for k, v in original(self, *a).items()}
    )


def test_a_backend_that_cannot_be_sure_marks_and_trains(make_run: MakeRun, unloaded: None) -> None:
    """A built-in voice is surer of its own speech than of anybody's: on real recordings it starts above a guess."""
    run = make_run(epochs=1)
    assert train(run.path) == 0
    assert [a["monitor"] for a in marked(run.path)] == ["unloaded_weights"]


@pytest.mark.parametrize("held_out", [True, False])
def test_weights_that_were_not_loaded_are_not_trained(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, unloaded: None, held_out: bool
) -> None:
    """A base that starts where the backend says that one without its weights would is refused before the first step,
    with rows held out or none. With a name under Weights accepted by it is trained, and marked.
    """
    from engine import dataset

    rows, known = dataset.utterances, toy_voice.info()
    if not held_out:
        monkeypatch.setattr(dataset, "utterances", lambda of: tuple(replace(row, split="train") for row in rows(of)))
    monkeypatch.setattr(toy_voice, "info", lambda: replace(known, refuses_unloaded=True))
    run, accepted = make_run(epochs=1), make_run(epochs=1, weights_accepted_by="Ada")
    assert train(run.path) == Refused.exit_code
    refused = runs.get(run.path)
    assert (refused.state, refused.step, checkpoints.listing(run.path)) == (RunState.FAILED, 0, [])
    assert "first loss of lm" in refused.error
    assert "your name under Weights accepted by" in refused.error
    assert train(accepted.path) == 0
    assert [(a["monitor"], a["step"]) for a in marked(accepted.path)] == [("unloaded_weights", 0 if held_out else 1)]
    assert any("Ada accepted that" in str(e.data.get("text")) for e in runs.events(accepted.path))


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_step_without_a_number_is_not_applied(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """The run ends failed with a mark, and its last good checkpoint is what an undisturbed run has there."""
    whole, run = make_run(epochs=2), make_run(epochs=2)
    train(whole.path)
    per_epoch = checkpoints.listing(whole.path)[0].step
    original = ToyVoice.loss

    def loss(self: ToyVoice, *arguments: Any) -> Mapping[str, Any]:
        found = original(self, *arguments)
        if arguments[3] is None or runs.get(run.path).step < per_epoch + 1:
            return found
        if what == "loss":
            return {k: v * float("nan") for k, v in found.items()}
        for value in found.values():
            value.register_hook(lambda grad: grad * float("nan"))
        return found

    monkeypatch.setattr(ToyVoice, "loss", loss)
    assert train(run.path) == 2
    failed = runs.get(run.path)
    assert (failed.state, failed.step) == (RunState.FAILED, per_epoch + 1)
    assert f"at step {per_epoch + 2}" in failed.error
    assert [a["monitor"] for a in marked(run.path)] == ["not_a_number"]
    assert weights(run.path).items() <= weights(whole.path).items()
    assert len(checkpoints.listing(run.path)) == 1


@pytest.mark.parametrize(
    ("megabytes", "kind", "steps"), [(0.1, "loading", 0), (0.35, "activations", 0), (0.55, "optimizer", 1)]
)
def test_memory_that_runs_out_is_diagnosed_by_what_did_not_fit(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, megabytes: float, kind: str, steps: int
) -> None:
    """With a device as small as that, the run fails as a real one does, and the end event names the class of memory and
    what to change.
    """
    monkeypatch.setenv("EARMARK_MEMORY_LIMIT_MB", str(megabytes))
    run = make_run(epochs=1, batch_tokens=100, method="full", learning_rate=0.001)
    assert train(run.path) == 1
    end = runs.events(run.path)[-1].data
    assert (end["reason"], end["fault"]["kind"], end["step"]) == ("failed", kind, steps)
    assert end["fault"]["explanation"] == end["error"]
    assert end["fault"]["changes"]
    monkeypatch.setenv("EARMARK_MEMORY_LIMIT_MB", "100")
    assert train(run.path) == 0  # on a larger device it simply goes on


class Speaker:
    """Lets the toy speak: `seconds` a character, and every line ends or none does."""

    def __init__(self, seconds: Iterator[float], stop: Stop = Stop.EOS) -> None:
        self.seconds, self.stop = seconds, stop
        self.said: list[SpeakRow] = []

    def speak(self, rows: Sequence[SpeakRow], mixer: Any = None) -> list[Speech]:
        pace = next(self.seconds)
        self.said += rows
        return [
            Speech(
                samples=np.zeros(round(16_000 * pace * len(row.text)), np.float32),
                sample_rate=16_000,
                tokens=1,
                stop=self.stop,
                render_sec=0.0,
            )
            for row in rows
        ]


def test_pace_and_endings_are_heard_at_checkpoints(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of the dataset are spoken at scale 1 with the weights as they are; a pace that runs away is marked, and
    training is not changed by it.
    """
    plain = make_run(epochs=5, listen=False)
    train(plain.path)
    speaker = Speaker(iter([0.08, 0.075, 0.068, 0.06, 0.05]))
    monkeypatch.setattr(ToyVoice, "speak", lambda self, *a, **k: speaker.speak(*a, **k), raising=False)
    monkeypatch.setattr(listening, "SHARE", 1e9)
    run = make_run(epochs=5)
    train(run.path)
    saved = [e.data["speech"] for e in runs.events(run.path) if e.kind == "checkpoint"]
    assert [s["seconds_per_character"] for s in saved] == pytest.approx([0.08, 0.075, 0.068, 0.06, 0.05], rel=1e-3)
    assert {s["capped_share"] for s in saved} == {0.0}
    assert {row.lora_scale for row in speaker.said} == {1.0}
    assert [a["monitor"] for a in marked(run.path)] == ["drift"]
    assert weights(run.path) == weights(plain.path)


def test_listening_costs_little_and_never_a_run(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left out where it would cost more than its share or is switched off; a voice that cannot say a line loses
    no run.
    """

    def fails(self: ToyVoice, *_: Any, **__: Any) -> list[Speech]:
        raise RuntimeError("no voice today")

    monkeypatch.setattr(ToyVoice, "speak", fails, raising=False)
    run = make_run(epochs=2)
    assert train(run.path) == 0
    clock = iter(range(1000))

    class Session:
        def __init__(self, listen: bool) -> None:
            self.config = type("Config", (), {"listen": listen})
            self.model = type("Model", (), {"speak": None})
            self.parts = ()

    heard: list[int] = []
    monkeypatch.setattr(listening.Ear, "_heard", lambda self, session: heard.append(1) or {})
    ear = listening.Ear(["A line that is long enough."], GenerationSettings(), clock=lambda: float(next(clock)))
    for _ in range(200):
        ear.listen(Session(True))  # type: ignore[arg-type]
    spent = len(heard)  # a second each, by this clock
    assert 1 <= spent <= listening.SHARE * next(clock) + 1
    ear.listen(Session(False))  # type: ignore[arg-type]
    assert len(heard) == spent


def test_a_test_row_is_never_seen(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the test split are neither trained on nor validated with, nor do they enter a speaker's statistics."""
    from engine import dataset

    original = dataset.utterances
    seen: list[str] = []
    features = ToyVoice.features

    def two_for_testing(source: Any) -> Any:
        rows = original(source)
        return tuple(replace(row, split="test") if i < 2 else row for i, row in enumerate(rows))

    def spy(self: ToyVoice, utterances: Any, *rest: Any) -> Any:
        seen.extend(u.id for u in utterances)
        return features(self, utterances, *rest)

    monkeypatch.setattr(dataset, "utterances", two_for_testing)
    monkeypatch.setattr(ToyVoice, "features", spy)
    run = make_run(epochs=1)
    assert train(run.path) == 0
    start = next(e.data for e in runs.events(run.path) if e.kind == "start")
    assert start["train_count"] + start["validation_count"] == len(set(seen)) == 18


def test_features_are_read_once_for_all_runs_with_progress(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run reads every clip and says how far it is; the second one reads none."""
    from engine import audio

    read: list[Path] = []
    original = audio.read
    monkeypatch.setattr(audio, "read", lambda path, *a: read.append(path) or original(path, *a))
    first, second = make_run(epochs=1, base_model="0.1"), make_run(epochs=1, base_model="0.1")
    train(first.path)
    assert len(read) == 20
    told = [e.data for e in runs.events(first.path) if e.kind == "note" and "total" in e.data]
    assert [(t["state"], t["done"], t["total"]) for t in told] == [("starting", d, 20) for d in (0, 8, 16, 20)]
    train(second.path)
    assert len(read) == 20
