"""Environments of voices: made as they are declared, gone on with after a kill, told apart, and removed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from engine import environments, locks
from engine.backends.serve.process import SERVED
from engine.environments import Requirements, State, installing, sharing
from engine.types import Busy, EngineError, NotFound, Refused
from engine.workspace import Workspace

VOICE = "tiny"  # declared by the tests alone: there is no such backend


@pytest.fixture(name="workspace")
def _workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "home")


@pytest.fixture(name="shelf")
def _shelf(tmp_path: Path) -> Path:
    """Two small packages as wheels, of which one asks for what nobody has."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    wheel(shelf, "tinyvoice", "1.0", "WORDS = 'hello'")
    wheel(shelf, "tinyvoice", "2.0", "WORDS = 'goodbye'")
    wheel(shelf, "tinyalone", "1.0", "import tinyvoice", asks="no-such-package==9")
    return shelf


def wheel(shelf: Path, name: str, version: str, source: str, asks: str = "") -> None:
    info = f"{name}-{version}.dist-info"
    told = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + (f"Requires-Dist: {asks}\n" if asks else "")
    with zipfile.ZipFile(shelf / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", source)
        file.writestr(f"{info}/METADATA", told)
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")


def declare(folder: Path, version: str = "1.0", alone: bool = True) -> Requirements:
    folder.mkdir(exist_ok=True)
    (folder / "requirements.txt").write_text(f"# what it needs\ntinyvoice=={version}\n")
    if alone:
        (folder / "requirements-alone.txt").write_text("tinyalone==1.0\n")
    return Requirements(folder / "requirements.txt", folder / "requirements-alone.txt" if alone else None)


def install(workspace: Workspace, declared: Requirements, shelf: Path, **more: object) -> environments.Environment:
    offline = ("--no-index", "--find-links", str(shelf))
    return installing.install(workspace, VOICE, declared=declared, arguments=offline, **more)  # type: ignore[arg-type]


def said(environment: environments.Environment, program: str) -> str:
    told = subprocess.run([str(environment.python), "-c", program], capture_output=True, text=True, check=True)
    return told.stdout.strip()


def test_an_environment_is_what_its_files_declare(workspace: Workspace, shelf: Path, tmp_path: Path) -> None:
    """Installed, ready, used, kept by a second call, made anew where the files ask for something else, removed."""
    declared = declare(tmp_path / "voice")
    assert environments.get(workspace, VOICE, declared=declared, environ={}).state is State.MISSING
    lines: list[str] = []
    made = install(workspace, declared, shelf, tell=lines.append)
    assert made.state is State.READY
    assert made.state is State.READY
    assert made.packages == {"tinyvoice": "==1.0", "tinyalone": "==1.0"}
    assert said(made, "import tinyalone, tinyvoice; print(tinyvoice.WORDS)") == "hello"
    assert any("tinyvoice" in line for line in lines)
    assert "tinyvoice" in (workspace.voices / VOICE / "install.log").read_text()
    before = (workspace.voices / VOICE / "ready.json").stat().st_mtime_ns
    assert install(workspace, declared, shelf) == made
    assert (workspace.voices / VOICE / "ready.json").stat().st_mtime_ns == before
    newer = declare(tmp_path / "voice", "2.0")
    assert environments.get(workspace, VOICE, declared=newer, environ={}).state is State.OUTDATED
    assert said(install(workspace, newer, shelf), "import tinyvoice; print(tinyvoice.WORDS)") == "goodbye"
    installing.remove(workspace, VOICE)
    assert environments.get(workspace, VOICE, declared=newer, environ={}).state is State.MISSING
    with pytest.raises(NotFound, match="nothing to remove"):
        installing.remove(workspace, VOICE)


def test_what_was_shared_and_moved_is_linked_anew(workspace: Workspace, shelf: Path, tmp_path: Path) -> None:
    """Earmark's own environment is made anew elsewhere: the voice's says so instead of failing at an import, and the
    next installation only renews the links.
    """
    declared = declare(tmp_path / "voice")
    made = install(workspace, declared, shelf)
    gone = workspace.voices / VOICE / "shared" / "torch"
    gone.symlink_to(tmp_path / "moved")
    found = environments.get(workspace, VOICE, declared=declared, environ={})
    assert found.state is State.BROKEN
    assert "has moved" in environments.fault(found)
    lines: list[str] = []
    assert install(workspace, declared, shelf, tell=lines.append) == made
    assert not gone.is_symlink()
    assert "Making the environment" not in lines
    assert environments.fault(made) == ""


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State.MISSING, "not installed: run `python -m engine voices install tiny`"),
        (State.INSTALLING, "being installed"),
        (State.UNFINISHED, "it goes on"),
        (State.OUTDATED, "asks for other packages"),
        (State.NAMED, "EARMARK_PYTHON_TINY names"),
    ],
)
def test_every_fault_has_its_mend(tmp_path: Path, state: State, words: str) -> None:
    """Doctor, preflight and pages say the same sentence about an environment that cannot be used."""
    packages = {"no-such-package": "==1"}
    named = tmp_path / "no-python"
    found = environments.Environment(backend="tiny", state=state, python=named, path=None, packages=packages)
    assert words in environments.fault(found)


def test_what_is_here_by_hand_is_not_missing() -> None:
    """A voice whose packages were put into this environment runs here, without an environment of its own."""
    packages = {"pytest": "", "hypothesis": "==0.0"}
    found = environments.Environment(backend="tiny", state=State.MISSING, python=None, path=None, packages=packages)
    assert environments.fault(found) == ""


def test_a_step_that_fails_is_a_sentence_with_its_end(workspace: Workspace, shelf: Path, tmp_path: Path) -> None:
    """A package that is not to be had: what pip says, where the rest is, and the next call goes on."""
    declared = declare(tmp_path / "voice", "3.0")
    with pytest.raises(EngineError, match=r"(?s)Installing packages failed.*install again.*tinyvoice==3\.0"):
        install(workspace, declared, shelf)
    assert environments.get(workspace, VOICE, declared=declared, environ={}).state is State.UNFINISHED
    assert install(workspace, declare(tmp_path / "voice"), shelf).state is State.READY


def test_a_killed_installation_goes_on(workspace: Workspace, shelf: Path, tmp_path: Path) -> None:
    """Killed while pip wrote: what is half there is found by its missing record and installed again."""
    declared = declare(tmp_path / "voice")
    made = install(workspace, declared, shelf)
    packages = Path(said(made, "import tinyvoice; print(tinyvoice.__file__)")).parent
    (workspace.voices / VOICE / "ready.json").unlink()
    (packages / "tinyvoice.py").write_text("WOR")
    (packages / "tinyvoice-1.0.dist-info" / "RECORD").unlink()
    assert environments.get(workspace, VOICE, declared=declared, environ={}).state is State.UNFINISHED
    assert [path.name for path in installing.unfinished(packages)] == ["tinyvoice-1.0.dist-info"]
    again = install(workspace, declared, shelf)
    assert said(again, "import tinyvoice; print(tinyvoice.WORDS)") == "hello"


def test_a_kill_at_any_moment_leaves_nothing_that_looks_ready(
    workspace: Workspace, shelf: Path, tmp_path: Path
) -> None:
    """SIGKILL to the installer itself: its lock is free, the state says so, and the next call makes it whole."""
    declared = declare(tmp_path / "voice")
    program = (
        "from pathlib import Path; from engine.environments import Requirements, installing; "
        "from engine.workspace import Workspace; "
        f"installing.install(Workspace(Path({str(workspace.root)!r})), {VOICE!r}, "
        f"declared=Requirements(Path({str(declared.together)!r}), None), tell=print, "
        f"arguments=('--no-index', '--find-links', {str(shelf)!r}))"
    )
    lone = Requirements(declared.together, None)
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert child.stdout is not None
    for line in child.stdout:
        if "Installing packages" in line or "Making" in line:
            break
    assert environments.get(workspace, VOICE, declared=lone, environ={}).state is State.INSTALLING
    os.killpg(child.pid, 9)
    child.wait()
    child.stdout.close()
    end = time.monotonic() + 5
    while locks.is_held(workspace.voices / f"{VOICE}.lock") and time.monotonic() < end:
        time.sleep(0.05)
    assert environments.get(workspace, VOICE, declared=lone, environ={}).state in (State.UNFINISHED, State.MISSING)
    assert install(workspace, lone, shelf).state is State.READY


def test_an_installation_can_be_cancelled_and_is_not_done_twice(
    workspace: Workspace, shelf: Path, tmp_path: Path
) -> None:
    """Cancelled at its next line, and a second installer of the same voice is told who is at it."""
    declared = declare(tmp_path / "voice")
    with pytest.raises(Refused, match="cancelled"):
        install(workspace, declared, shelf, cancelled=lambda: True)
    with (
        locks.hold(workspace.voices / f"{VOICE}.lock", what="installing tiny"),
        pytest.raises(Busy, match="installing tiny"),
    ):
        install(workspace, declared, shelf)


# ------------------------------------------------------------------------------------------------- which interpreter
def test_who_speaks_a_voice(workspace: Workspace, tmp_path: Path) -> None:
    """A person's own before the installed one; this process where neither is, and inside a served voice."""
    name = "qwen3_tts"
    assert environments.interpreter(workspace, "finch", environ={}) is None
    assert environments.interpreter(workspace, name, environ={}) is None
    python = environments.python_of(workspace.voices / name)
    python.parent.mkdir(parents=True)
    python.touch()
    assert environments.interpreter(workspace, name, environ={}) is None  # not ready
    ready = {"sha256": environments.requirements(name).sha256, "bytes": 5}
    (workspace.voices / name / "ready.json").write_text(json.dumps(ready))
    found = environments.interpreter(workspace, name, environ={"EARMARK_PATH_QWEN3_TTS": str(tmp_path)})
    assert found is not None
    assert (found.python, found.paths) == (python, (tmp_path,))
    named = environments.interpreter(workspace, name, environ={"EARMARK_PYTHON_QWEN3_TTS": "/opt/python"})
    assert named is not None
    assert named.python == Path("/opt/python")
    assert environments.interpreter(workspace, name, environ={SERVED: name}) is None
    with pytest.raises(NotFound, match="finch needs no environment"):
        environments.get(workspace, "finch")


def test_torch_is_shared_where_it_is_the_one_that_is_asked_for(tmp_path: Path) -> None:
    """Links to this environment's own, in a folder that pip does not change; another version is installed anew."""
    import torch

    version = torch.__version__.partition("+")[0]
    assert "torch" in sharing.link({"torch": f"=={version}"}, tmp_path / "shared")
    assert (tmp_path / "shared" / "torch").resolve() == Path(torch.__file__).parent.resolve()
    assert not (tmp_path / "shared" / "transformers").exists()
    assert sharing.link({"torch": "==1.0"}, tmp_path / "shared") == ()
    assert sharing.link({"numpy": "==2.0"}, tmp_path / "shared") == ()
    assert not list((tmp_path / "shared").iterdir())
