"""A voice in a process of its own: it speaks as it would here, and whatever happens to its process is a sentence."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine import backends
from engine.adapter_files import load_adapter
from engine.adapters import AdapterHost
from engine.backends.serve import frames
from engine.backends.serve.process import Interpreter, Patience, VoiceProcess
from engine.backends.serve.proxy import ServedModel
from engine.types import BadInput, EngineError, GenerationSettings, NotFound, Reference, Refused, SpeakRow
from tests import finch_factory
from tests.voice_of_steps import VoiceOfSteps

QUICK = Patience(load_sec=60.0, speak_sec=60.0, give_up_sec=20.0)
PROGRAM = """#!{python}
from engine import backends, serving
{before}
backends.BACKENDS["steps"] = "tests.voice_of_steps"
serving.main()
"""


@pytest.fixture(name="python")
def _python(tmp_path: Path) -> Path:
    return program(tmp_path / "python")


def program(path: Path, before: str = "") -> Path:
    """Another interpreter: one that knows a voice that this one does not."""
    path.write_text(PROGRAM.format(python=sys.executable, before=before))
    path.chmod(0o755)
    return path


@pytest.fixture(name="model")
def _model(python: Path) -> Iterator[ServedModel]:
    with closing(served(python)) as model:
        yield model


def served(python: Path, patience: Patience = QUICK, base_model: str = "") -> ServedModel:
    return ServedModel("steps", base_model, "cpu", Interpreter(python), patience=patience)


def row(text: str = "steps 3", seed: int = 1) -> SpeakRow:
    return SpeakRow(text=text, voice="one", seed=seed)


# -------------------------------------------------------------------------------------------------- as it is here
@pytest.fixture(scope="module", name="finch")
def _finch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finch") / "base"
    finch_factory.write_weights(folder)
    return folder


def test_a_served_voice_says_what_it_says_here(finch: Path) -> None:
    """Finch through this interpreter as if it were another one: sample for sample, and known by the same facts."""
    here = backends.load("finch", str(finch))
    rows = [
        SpeakRow(text=text, voice="low", seed=n, settings=GenerationSettings(max_factor=0.5))
        for n, text in enumerate(finch_factory.TEXTS[:2])
    ]
    there = backends.load("finch", str(finch), interpreter=Interpreter(Path(sys.executable)))
    assert isinstance(there, ServedModel)
    with closing(there):
        assert (there.base_sha256, there.sample_rate) == (here.base_sha256, here.sample_rate)
        assert there.capabilities == here.capabilities
        for one, other in zip(AdapterHost(there).speak(rows), AdapterHost(here).speak(rows), strict=True):
            assert (one.tokens, one.stop, one.sample_rate) == (other.tokens, other.stop, other.sample_rate)
            assert np.array_equal(one.samples, other.samples)
        with pytest.raises(Refused, match="process of their own"):
            there.part("lm")


# -------------------------------------------------------------------------------------------------- mishaps
def test_a_killed_process_is_a_sentence_and_the_next_call_works(model: ServedModel) -> None:
    """Killed by the system in the middle of a batch: what is said names the signal, and nothing has to be restarted."""
    before = model.speak([row()])[0]
    with pytest.raises(EngineError, match=r"ended \(killed by signal 9\); it is started again at the next call"):
        model.speak([row(), row("die")])
    assert model.pid is None
    assert np.array_equal(model.speak([row()])[0].samples, before.samples)


def test_a_kill_from_outside_is_the_same(model: ServedModel) -> None:
    """The machine ran out of memory while it spoke."""
    first = model.pid
    assert first is not None
    killer = threading.Timer(0.3, os.kill, (first, signal.SIGKILL))
    killer.start()
    with pytest.raises(EngineError, match="killed by signal 9"):
        model.speak([row("steps 2000")])
    killer.join()
    assert model.speak([row()])[0].tokens == 3
    assert model.pid != first


def test_silence_has_an_end(python: Path) -> None:
    """A process that says nothing for too long is ended; one that tells its steps may take as long as it likes."""
    with closing(served(python, replace(QUICK, speak_sec=1.0))) as model:
        assert model.speak([row("steps 300")])[0].tokens == 300
        pid = model.pid
        with pytest.raises(EngineError, match="was silent for 1 s"):
            model.speak([row("hang")])
        assert not is_alive(pid)


def test_giving_up_leaves_the_process_as_it_was(model: ServedModel) -> None:
    """What the watcher raises ends the work at its next step; the base stays loaded for the next call."""
    told: list[int] = []

    def watch(done: int, _most: int) -> None:
        told.append(done)
        if done >= 5:
            raise KeyboardInterrupt

    model.on_step = watch
    pid, started = model.pid, time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        model.speak([row("steps 100000")])
    assert time.monotonic() - started < 10
    assert told == sorted(told)
    model.on_step = None
    assert model.speak([row()])[0].tokens == 3
    assert model.pid == pid


def test_a_process_that_does_not_give_up_is_ended(python: Path) -> None:
    """A voice without steps cannot be asked to stop: after its time to do so it is killed, and the caller goes on."""
    with closing(served(python, replace(QUICK, give_up_sec=0.3))) as model:
        pid = model.pid

        def give_up(_done: int, _most: int) -> None:
            raise KeyboardInterrupt

        model.on_step = give_up
        with pytest.raises(KeyboardInterrupt):
            model.speak([row("hang")])
        assert not is_alive(pid)
        model.on_step = None
        assert model.speak([row()])[0].tokens == 3


def test_errors_keep_their_kind_and_their_words(model: ServedModel, python: Path) -> None:
    """A text that cannot be said is BadInput there and here; what nobody expected names itself, and neither ends it."""
    pid = model.pid
    with pytest.raises(BadInput, match="nothing to say; give words"):
        model.speak([row("empty")])
    with pytest.raises(EngineError, match="RuntimeError: a tensor is elsewhere"):
        model.speak([row("fail")])
    assert model.pid == pid
    with pytest.raises(BadInput, match="weights are damaged"):
        served(python, base_model="broken")


def test_what_a_library_prints_is_no_message(model: ServedModel) -> None:
    """Banners go to the log: messages have the pipe to themselves."""
    assert model.speak([row("print")])[0].tokens == 1


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("print('Welcome to my library', flush=True)", "Something else than a message.*Welcome"),
        ("raise SystemExit('no such library')", r"ended \(exit code 1\).*no such library"),
        ("from engine.backends.serve import frames; frames.PROTOCOL = 99", "speaks protocol 99 and 2 is spoken here"),
        ("import os; os.write(1, b'EVX1\\xff\\xff\\xff\\xff\\x00\\x00\\x00\\x00')", "Something else than a message"),
    ],
)
def test_a_process_that_does_not_speak_our_language_is_refused(tmp_path: Path, before: str, words: str) -> None:
    """Garbage on the pipe, a death at the start, another version: each with what it wrote, none of them hangs."""
    with pytest.raises(EngineError, match=f"(?s){words}"):
        served(program(tmp_path / "other", before))


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    """An environment that was moved away is a sentence."""
    with pytest.raises(EngineError, match=r"cannot be started.*install the voice's environment again"):
        served(tmp_path / "nowhere" / "python")


def test_a_process_does_not_outlive_its_owner(python: Path) -> None:
    """Forgotten or closed, it is gone; and it ends by itself when the app is killed, whose end of the pipe closes."""
    process = VoiceProcess(Interpreter(python), os.environ, give_up_sec=1.0)
    pid = process.pid
    process.ask({"do": "load", "backend": "steps", "base_model": "", "device": "cpu"}, silence_sec=60.0)
    frames.write(process._in, {"do": "speak", "rows": [frames.row_to_json(row("steps 100000"))], "id": 9})
    process._in.close()
    process._child.wait(timeout=20.0)
    assert not is_alive(pid)
    process.close()
    model = served(python)
    pid = model.pid
    del model
    assert not is_alive(pid)


def is_alive(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# -------------------------------------------------------------------------------------------------- host and sweep
def test_the_check_of_a_training_step_runs_there(model: ServedModel) -> None:
    """The button of a voice that lives elsewhere."""
    assert model.agreement("hello", "one") == 0.75


def test_an_adapter_comes_back_after_a_death(finch: Path, tmp_path: Path) -> None:
    """The host at the other end has the same adapters after a restart, and a wrong one is refused as it is here."""
    from tests.adapter_factory import make_adapter

    here = backends.load("finch", str(finch))
    adapter = make_adapter(
        tmp_path / "a", here, seed=1, targets={part.name: part.target_modules for part in here.lora_parts()}
    )
    there = backends.load("finch", str(finch), interpreter=Interpreter(Path(sys.executable)))
    assert isinstance(there, ServedModel)
    with closing(there):
        host, own = AdapterHost(there), AdapterHost(here)
        for one in (host, own):
            one.add(adapter)
            one.add(load_adapter(adapter.path))
        assert host.loaded == (adapter.sha256,)
        rows = [
            SpeakRow(
                text=finch_factory.TEXTS[0],
                voice="low",
                seed=1,
                adapter_sha256=adapter.sha256,
                lora_scale=scale,
                settings=GenerationSettings(max_factor=0.5),
            )
            for scale in (0.0, 0.5, 1.0)
        ]
        expected = own.speak(rows)
        assert there.pid is not None
        os.kill(there.pid, signal.SIGKILL)
        while there.pid is not None:
            time.sleep(0.01)
        for one, other in zip(host.speak(rows), expected, strict=True):
            assert np.array_equal(one.samples, other.samples)
        with pytest.raises(Refused, match="load its own base"):
            host.add(replace(adapter, base_sha256="0" * 64))
        host.remove(adapter.sha256)
        with pytest.raises(NotFound, match=adapter.sha256[:12]):
            host.speak(rows)


# -------------------------------------------------------------------------------------------------- frames
def test_records_come_over_as_they_are() -> None:
    """Rows with references and numbers, speeches to the bit: what is drawn there is what was asked here."""
    reference = Reference(audio_path=Path("/a/b.wav"), text="näh", sha256="1")
    asked = replace(row(), reference=reference, voice_settings={"clock": 1 / 3}, lora_scale=0.35)
    assert frames.row_from_json(frames.row_to_json(asked)) == asked
    spoken = VoiceOfSteps().speak([row(), row("steps 2", seed=3)])
    told, payload = frames.speeches_to_frame(spoken)
    stream = io.BytesIO()
    frames.write(stream, {"speeches": told}, payload)
    stream.seek(0)
    found = frames.read(stream)
    assert found is not None
    for one, other in zip(frames.speeches_from_frame(found[0]["speeches"], found[1]), spoken, strict=True):
        assert np.array_equal(one.samples, other.samples)
        assert replace(one, samples=other.samples) == other
    assert frames.read(stream) is None
    with pytest.raises(frames.BrokenPipe, match="samples were announced"):
        frames.speeches_from_frame(told, payload[:-4])


@pytest.mark.parametrize("cut", [1, 11, 13, 20])
def test_a_frame_that_is_cut_is_no_frame(cut: int) -> None:
    """Wherever a pipe breaks, half a message is never taken for a whole one."""
    stream = io.BytesIO()
    frames.write(stream, {"do": "speak"}, b"12345678")
    with pytest.raises(frames.BrokenPipe):
        frames.read(io.BytesIO(stream.getvalue()[:cut]))
