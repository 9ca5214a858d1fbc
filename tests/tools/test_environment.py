"""Setting up: what is installed again and when, and what an unsuitable Python is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tools import environment


@pytest.fixture(name="venv")
def _venv(tmp_path: Path) -> Path:
    folder = tmp_path / ".venv"
    folder.mkdir()
    return folder


def requirements(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def stamp(venv: Path, files: list[Path]) -> None:
    (venv / environment.STAMP).write_text(json.dumps(environment.fingerprints(files)), encoding="utf-8")


def test_nothing_is_missing_when_the_files_are_as_installed(venv: Path, tmp_path: Path) -> None:
    """Setting up twice installs once."""
    files = [requirements(tmp_path, "requirements.txt", "numpy\n")]
    stamp(venv, files)
    assert environment.missing(venv, files) == []


def test_only_the_changed_file_is_missing(venv: Path, tmp_path: Path) -> None:
    """A changed requirement is installed at the next command that needs it."""
    run = requirements(tmp_path, "requirements.txt", "numpy\n")
    dev = requirements(tmp_path, "requirements-dev.txt", "pytest\n")
    stamp(venv, [run, dev])
    dev.write_text("pytest\nruff\n", encoding="utf-8")
    assert environment.missing(venv, [run, dev]) == [dev]


@pytest.mark.parametrize("text", ["", "not json", "[]"], ids=["empty", "broken", "another shape"])
def test_an_unreadable_stamp_means_nothing_is_installed(venv: Path, tmp_path: Path, text: str) -> None:
    """A stamp that was cut off by a full disk leads to a new installation, not to an error."""
    files = [requirements(tmp_path, "requirements.txt", "numpy\n")]
    (venv / environment.STAMP).write_text(text, encoding="utf-8")
    assert environment.missing(venv, files) == files


@pytest.mark.parametrize("version", [(3, 9), (3, 10), (3, 13)], ids=str)
def test_another_python_is_told_which_ones_work(version: tuple[int, int]) -> None:
    """Who has the wrong Python reads which ones work and how to name one."""
    with pytest.raises(environment.SetupError, match=r"3\.11 or 3\.12 .* PYTHON="):
        environment.check_version(version)


@pytest.mark.parametrize("version", environment.SUPPORTED, ids=str)
def test_supported_pythons_pass(version: tuple[int, int]) -> None:
    """Python 3.11 and 3.12 are let through."""
    environment.check_version(version)


def test_a_folder_without_a_working_python_is_not_usable(venv: Path) -> None:
    """A virtual environment that was moved or half made is made anew instead of failing later."""
    assert not environment.usable(venv)
    python = environment.interpreter(venv)
    python.parent.mkdir(parents=True)
    python.write_text("no program", encoding="utf-8")
    assert not environment.usable(venv)


def test_this_environment_is_usable() -> None:
    """The environment that runs these tests passes the same check."""
    assert environment.usable(Path(sys.prefix))


def test_a_failed_installation_leaves_no_stamp(venv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed installation the next setup tries again."""

    def failing_pip(*_: object, **__: object) -> object:
        return type("Done", (), {"returncode": 1})()

    monkeypatch.setattr(environment.subprocess, "run", failing_pip)
    files = [requirements(tmp_path, "requirements.txt", "numpy\n")]
    with pytest.raises(environment.SetupError, match="could not install"):
        environment.install(venv, files)
    assert environment.missing(venv, files) == files


def test_a_models_package_goes_in_without_what_it_names(
    venv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it asks for would bring a hub client and a second page; its own file says what is needed."""
    commands: list[list[str]] = []

    def pip(command: list[str], **_: object) -> object:
        commands.append(command)
        return type("Done", (), {"returncode": 0})()

    monkeypatch.setattr(environment.subprocess, "run", pip)
    environment.install(venv, environment.ALONE, alone=True)
    environment.install(venv, [requirements(tmp_path, "requirements.txt", "numpy\n")])
    assert ["--no-deps" in command for command in commands] == [True, False]
    assert environment.missing(venv, environment.ALONE) == []
    assert "requirements.txt" in environment.installed(venv)
    assert "engine/backends/voxcpm/requirements.txt" in environment.installed(venv)
