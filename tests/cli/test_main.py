"""The command line as a user meets it: help, answers, sentences on stderr, exit codes."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine import audio, locks, scripts, sweep
from engine.cli import main as command_line
from engine.cli.main import VERBS, main
from engine.types import (
    BadInput,
    Busy,
    Candidate,
    Clip,
    DiskFull,
    EngineError,
    GenerationSettings,
    NotFound,
    Refused,
    Retained,
    RunConfig,
    RunState,
    Speech,
    Stop,
)
from engine.workspace import Workspace
from tests.fake_host import FakeHost, adapter, backend_info

DOCUMENTED = "audit prepare train runs sweep speak screen retention promote export verify doctor demo".split()


class FakeStudio:
    """Answers what the verbs ask, from memory, and keeps what it was asked."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.asked: dict[str, Any] = {}

    def base_voices(self, backend: str) -> tuple[str, ...]:
        return ("robin", "wren")

    def script(self, name: str) -> Any:
        return scripts.load(name)

    def checkpoints(self, run_id: str | None = None) -> list[Any]:
        return [SimpleNamespace(id="run@000010")] if run_id == "run" else []

    def candidates(self, ids: list[str], scales: list[float], *, with_base: bool = True) -> list[Candidate]:
        base = [Candidate(backend="fake", voice="robin")] if with_base else []
        return base + [
            Candidate(backend="fake", voice="robin", checkpoint_id=i, lora_scale=s) for i in ids for s in scales
        ]

    def plan_sweep(self, request: sweep.Request) -> sweep.Plan:
        self.asked["request"] = request
        adapters = {"run@000010": adapter()}
        return sweep.plan(request, clips=self.home, adapters=adapters, infos={"fake": backend_info()})

    def screening_sec(self, plan: sweep.Plan) -> float:
        return 1.0

    def finish_sweep(self, sweep_id: str, on_progress: Any = None) -> list[Clip]:
        self.asked["finished"] = [*self.asked.get("finished", []), sweep_id]
        return []

    def due_sweeps(self) -> list[str]:
        return ["sweep-0001", "sweep-0002"]

    def sweep_new_checkpoints(self, setting: Any) -> None:
        self.asked["automatic"] = setting

    def stop_sweeping_new(self, run_id: str) -> None:
        self.asked["automatic"] = None

    def render(self, request: sweep.Request, on_progress: Any = None, *, by: str = "") -> list[Clip]:
        return list(sweep.render(self.plan_sweep(request), host=FakeHost(), clips=self.home))  # type: ignore[arg-type]

    def scores(self, clip_ids: list[str]) -> dict[str, list[Any]]:
        return {}

    def speak(self, text: str, **asked: Any) -> Speech:
        self.asked = {"text": text, **asked}
        return Speech(samples=np.zeros(8000, np.float32), sample_rate=16_000, tokens=12, stop=Stop.EOS, render_sec=0.1)

    def speak_adapter(self, text: str, **asked: Any) -> Speech:
        return self.speak(text, **asked)

    def promotion(self, alias: str) -> Any:
        return SimpleNamespace(candidate=Candidate(backend="fake", voice=alias), settings=GenerationSettings(top_k=7))

    def retention(self) -> list[Retained]:
        return [Retained(checkpoint_id="run@000010", keep=False, reasons=("every candidate failed",), bytes=2**21)]

    def purge(self, stone_id: str, *, by: str, typed: str = "") -> None:
        self.asked = {"purge": stone_id, "by": by, "typed": typed}

    def trash(self, ids: list[str], *, by: str) -> None:
        self.asked = {"ids": ids, "by": by}

    def trashed(self) -> list[Any]:
        return []

    def default_config(self, backend: str) -> RunConfig:
        return RunConfig(rank=4)

    def start_run(self, config: RunConfig) -> Any:
        self.asked["config"] = config
        return SimpleNamespace(id="run", state=RunState.STARTING)


@pytest.fixture(name="studio")
def _studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeStudio:
    fake = FakeStudio(tmp_path)

    @contextmanager
    def opened(*_: object) -> Iterator[FakeStudio]:
        yield fake

    monkeypatch.setattr(command_line, "_studio", opened)
    return fake


# ------------------------------------------------------------------------------------------------------- help and codes
def test_every_documented_verb_is_there_and_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` of the whole and of each verb works and lists the exit codes."""
    assert set(DOCUMENTED) <= {verb.name for verb in VERBS}
    for words in ([], *([verb.name] for verb in VERBS)):
        with pytest.raises(SystemExit) as ended:
            main([*words, "--help"])
        assert ended.value.code == 0
        assert "exit codes" in capsys.readouterr().out


def test_every_verb_answers_as_json_and_has_a_home() -> None:
    """The common flags may stand before or after the verb."""
    parser = command_line.parser()
    for words in (["--json", "--home", "x", "runs"], ["runs", "--json", "--home", "x"]):
        args = parser.parse_args(words, namespace=argparse.Namespace(json=False, home=Path()))
        assert args.json is True
        assert args.home == Path("x")


@pytest.mark.parametrize(
    ("error", "code"), [(EngineError, 1), (BadInput, 2), (NotFound, 3), (Busy, 4), (Refused, 5), (DiskFull, 6)]
)
def test_an_error_is_one_sentence_and_its_exit_code(
    error: type[EngineError], code: int, studio: FakeStudio, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Nothing on stdout, one line on stderr, no traceback."""

    def failing() -> None:
        raise error("The disk\n  is on fire.")

    monkeypatch.setattr(studio, "retention", failing)
    assert main(["retention"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "The disk is on fire.\n"


def test_a_fault_is_a_sentence_too_and_debug_shows_where(
    studio: FakeStudio, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Even a bug does not print a traceback unless it is asked for."""
    monkeypatch.setattr(studio, "retention", lambda: 1 / 0)
    assert main(["retention"]) == 1
    assert "Traceback" not in (err := capsys.readouterr().err)
    assert "ZeroDivisionError" in err
    assert main(["--debug", "retention"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interruption_is_no_traceback(studio: FakeStudio, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Ctrl-C ends with the shell's own code and a sentence."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(studio, "retention", interrupted)
    assert main(["retention"]) == 130
    assert "kept" in capsys.readouterr().err


def test_asking_for_help_loads_no_model() -> None:
    """The command line answers at once: torch, librosa and gradio stay unimported."""
    program = (
        "import sys; from engine.cli.main import parser; parser(); "
        "print([m for m in ('torch', 'librosa', 'transformers', 'peft', 'gradio', 'duckdb') if m in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    told = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


# -------------------------------------------------------------------------------------------------- the real workspace
def test_a_held_workspace_is_busy_and_says_by_whom(tmp_path: Path, capsys: Any) -> None:
    """A second process on a workspace is refused with exit code 4; verbs that need none go on."""
    with locks.hold(Workspace(tmp_path).lock, what="the app"):
        assert main(["runs", "--home", str(tmp_path)]) == 4
        assert "the app" in capsys.readouterr().err
        assert main(["verify", str(tmp_path / "nothing"), "--home", str(tmp_path)]) in (2, 3)


def test_an_empty_workspace_answers_in_sentences(tmp_path: Path, capsys: Any) -> None:
    """Lists are empty, not errors, and say what to do next."""
    told = {"runs": "No runs yet", "sessions": "No sittings", "retention": "no checkpoints", "promote": "Nothing"}
    for verb, sentence in told.items():
        assert main([verb, "--home", str(tmp_path)]) == 0
        assert sentence in capsys.readouterr().out
        assert main([verb, "--home", str(tmp_path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out) in ([], {"checkpoints": []})


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["runs", "nobody"], 3),
        (["export", "production/nobody"], 3),
        (["retention", "--undo", "nothing", "--by", "x"], 3),
        (["retention", "--trash", "run@000001"], 2),
        (["promote", "run@000001:0.5"], 2),
        (["sweep", "--run", "nobody"], 3),
        (["train", "--dataset", "nobody"], 3),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else None,
)
def test_what_is_not_there_is_said_with_its_code(words: list[str], code: int, tmp_path: Path, capsys: Any) -> None:
    """Wrong names and missing confirmations are sentences with the documented codes."""
    assert main([*words, "--home", str(tmp_path)]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1


def test_verbs_that_need_no_workspace_leave_none_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Looking at a file does not litter the folder where one happens to be."""
    monkeypatch.chdir(tmp_path)
    assert main(["verify", "nothing"]) != 0
    assert main(["audit", "nothing.jsonl"]) != 0
    assert list(tmp_path.iterdir()) == []


# ----------------------------------------------------------------------------------------------------------- the verbs
def test_a_sweep_can_be_planned_and_rendered(studio: FakeStudio, capsys: Any) -> None:
    """`--plan` tells the cost and renders nothing; without it the clips are listed."""
    words = ["sweep", "--run", "run", "--scales", "0.35", "1", "--script", "english-brief", "--tiers", "short"]
    assert main([*words, "--plan", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["plan"]["clips"] == 3
    assert list(studio.home.iterdir()) == []
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["clips"]) == 3
    assert told["plan"]["cached"] == 0
    assert main(words) == 0
    assert "3 of them from the cache" in capsys.readouterr().out


def test_a_sweep_goes_on_and_new_checkpoints_are_swept(studio: FakeStudio, capsys: Any) -> None:
    """What was interrupted is finished by its name, what is due in order; a run's setting is kept and dropped."""
    assert main(["sweep", "--resume", "sweep-0007"]) == 0
    assert main(["sweep", "--due"]) == 0
    assert studio.asked["finished"] == ["sweep-0007", "sweep-0001", "sweep-0002"]
    words = ["sweep", "--run", "run", "--scales", "0.3", "--seeds", "1", "2", "--script", "mandarin-brief"]
    beside = ["--gate", "pair", "--controls", "base:fake/robin"]
    assert main([*words, *beside, "--automatic"]) == 0
    setting = studio.asked["automatic"]
    assert (setting.run_id, setting.scales, setting.seeds) == ("run", (0.3,), (1, 2))
    assert (setting.gates, setting.controls) == (("pair",), (Candidate(backend="fake", voice="robin"),))
    assert main(["sweep", "--run", "run", "--no-automatic"]) == 0
    assert studio.asked["automatic"] is None
    assert main(["sweep", "--checkpoints", "run@000010", "--automatic"]) == 2


def test_a_sweep_passes_on_settings_and_seeds(studio: FakeStudio, capsys: Any) -> None:
    """Every generation setting is a flag."""
    words = ["sweep", "--checkpoints", "run@000010", "--seeds", "1", "2", "--temperature", "0.9", "--no-base", "--plan"]
    assert main(words) == 0
    request = studio.asked["request"]
    assert request.seeds == (1, 2)
    assert request.settings == {"temperature": 0.9}
    assert not any(candidate.is_base for candidate in request.candidates)


def test_speaking_writes_the_file_it_was_told_to(studio: FakeStudio, tmp_path: Path, capsys: Any) -> None:
    """The base's first voice by default; the file is audio and the answer says how it ended."""
    out = tmp_path / "x.wav"
    assert main(["speak", "--backend", "fake", "--text", "Hello.", "--seed", "7", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stop"] == "eos"
    assert audio.probe(out).duration_sec == 0.5
    assert studio.asked["candidate"] == Candidate(backend="fake", voice="robin")
    assert studio.asked["seed"] == 7
    assert main(["speak", "--text", "Hello.", "--out", str(tmp_path / "x.mp3")]) == 2
    assert "x.mp3" in capsys.readouterr().err
    assert main(["speak", "--voice", "nobody", "--text", "Hello.", "--out", str(out)]) == 2
    assert "robin, wren" in capsys.readouterr().err


def test_speaking_with_an_adapter_a_candidate_or_an_alias(studio: FakeStudio, tmp_path: Path) -> None:
    """The three ways to name a tuned voice; an alias brings its own settings along unless told otherwise."""
    speak = ["speak", "--text", "Hello.", "--out", str(tmp_path / "x.flac")]
    assert main([*speak, "--adapter", "there", "--scale", "0.4"]) == 0
    assert (studio.asked["adapter"], studio.asked["lora_scale"]) == (Path("there"), 0.4)
    assert main([*speak, "--candidate", "run@000010:0.35"]) == 0
    assert studio.asked["candidate"].id == "run@000010:0.35"
    assert main([*speak, "--alias", "production/robin"]) == 0
    assert studio.asked["settings"] == GenerationSettings(top_k=7).flat
    assert main([*speak, "--alias", "production/robin", "--top-k", "9"]) == 0
    assert studio.asked["settings"] == GenerationSettings(top_k=9).flat
    for wrong in ("run@000010", "run@000010:", ":0.5", "run@000010:zero", "run@000010:0", "run@000010:-1"):
        assert main([*speak, "--candidate", wrong]) == 2


def test_training_takes_every_setting_of_the_form(studio: FakeStudio, capsys: Any) -> None:
    """A flag for each field of RunConfig; what is not given comes from the preset."""
    assert main(["train", "--dataset", "d", "--parts", "lm", "--learning-rate", "0.01", "--device", "cpu"]) == 0
    config = studio.asked["config"]
    assert (config.dataset, config.parts, config.learning_rate, config.device) == ("d", ("lm",), 0.01, "cpu")
    assert config.rank == 4, "the preset's"
    capsys.readouterr()
    with pytest.raises(SystemExit):
        command_line.parser().parse_args(["train", "--help"])
    told = capsys.readouterr().out
    assert [f.name for f in fields(RunConfig) if f"--{f.name.replace('_', '-')} " not in told.replace("\n", " ")] == []


def test_trashing_needs_a_name(studio: FakeStudio, capsys: Any) -> None:
    """Looking is free; doing needs a person."""
    assert main(["retention"]) == 0
    assert "2.1 MB may go. Nothing was touched." in capsys.readouterr().out
    assert main(["retention", "--trash", "run@000010"]) == 2
    assert studio.asked == {}
    assert main(["retention", "--trash", "run@000010", "--by", "Ada"]) == 0
    assert studio.asked == {"ids": ["run@000010"], "by": "Ada"}


def test_what_lies_in_the_trash_is_deleted_early_only_with_its_checkpoints_id(studio: FakeStudio, capsys: Any) -> None:
    """`--early` confirms one `--purge`, under a name; without it the delay stands, which the studio says."""
    assert main(["retention", "--early", "run@000010", "--by", "Ada"]) == 2
    assert main(["retention", "--purge", "stone-1", "--early", "run@000010"]) == 2
    assert studio.asked == {}
    assert main(["retention", "--purge", "stone-1", "--early", "run@000010", "--by", "Ada"]) == 0
    assert studio.asked == {"purge": "stone-1", "by": "Ada", "typed": "run@000010"}
    assert "stone-1 is deleted." in capsys.readouterr().out
    assert main(["retention", "--purge", "stone-1", "--by", "Ada"]) == 0
    assert studio.asked["typed"] == ""
