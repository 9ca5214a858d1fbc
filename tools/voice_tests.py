"""Runs the tests of voices that have an environment of their own, each in its own: `python tools/voice_tests.py`.

Makes the environments as the product does, in a workspace inside `.venv`, so that a second run takes seconds. A voice
whose code people bring is left out, and said to be, where no variable names it. Exits with the status of the first
voice whose tests fail; words on the command line go to pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".venv" / "voices-home"
NEEDED = ("pytest>=9.2,<10", "pytest-timeout>=2.4,<3", "hypothesis>=6.170,<7")


@dataclass(frozen=True, kw_only=True)
class Tests:
    """Of one environment: its classes `there`, and `here` the product that asks for them."""

    voices: tuple[str, ...]
    there: tuple[str, ...]
    here: tuple[str, ...]
    packages: tuple[str, ...] = ()
    variable: str = ""  # names the checkout, without which there is nothing to test


QWEN = Path("tests/backends/qwen3_tts")
INDEX = Path("tests/backends/indextts2")
COSY = Path("tests/backends/cosyvoice")
COSY_THERE = ("first", "invariants", "model", "native", "upstream")
ALL = (
    Tests(
        voices=("qwen3_tts",), there=(str(QWEN / "test_real_classes.py"),), here=(str(QWEN / "test_served_loop.py"),)
    ),
    Tests(
        voices=("cosyvoice1", "cosyvoice2", "cosyvoice3"),
        there=tuple(str(COSY / f"test_cosyvoice_{name}.py") for name in COSY_THERE),
        here=(str(COSY / "test_cosyvoice_served.py"),),
        packages=("onnx>=1.23,<2",),
        variable="COSYVOICE_DIR",
    ),
    Tests(
        voices=("indextts2",),
        there=(str(INDEX / "test_real_classes.py"),),
        here=(str(INDEX / "test_served_loop.py"),),
        variable="INDEXTTS_DIR",
    ),
)


def main(words: Sequence[str]) -> int:
    """Install and test every voice; the first failure's exit code, or 0."""
    status = 0
    for tests in ALL:
        if tests.variable and not os.environ.get(tests.variable):
            print(f"{', '.join(tests.voices)}: left out, {tests.variable} names no checkout", file=sys.stderr)
            continue
        status = status or tested(tests, words)
    return status


def tested(tests: Tests, words: Sequence[str]) -> int:
    """Install one environment and run its tests; the first failure's exit code, or 0."""
    sys.path.insert(0, str(ROOT))
    from engine import environments
    from engine.environments import installing
    from engine.workspace import Workspace

    made = installing.install(
        Workspace(HOME), tests.voices[0], tell=lambda line: print(line, file=sys.stderr, flush=True)
    )
    python = str(made.python)
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *NEEDED, *tests.packages], check=True)
    named = {**os.environ, **{f"{environments.PYTHON}{name.upper()}": python for name in tests.voices}}
    status = 0
    for interpreter, files in ((python, tests.there), (sys.executable, tests.here)):
        command = [interpreter, "-m", "pytest", "-p", "no:cacheprovider", *files, *words]
        status = subprocess.run(command, cwd=ROOT, env=named, check=False).returncode or status
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
