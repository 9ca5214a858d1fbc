"""Runs the tests of voices that need an environment of their own, each in its own: `python tools/voice_tests.py`.

Makes the environments as the product does, in a workspace inside `.venv`, so that a second run takes seconds. Exits
with the status of the first voice whose tests fail; words on the command line go to pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".venv" / "voices-home"
NEEDED = ("pytest>=9.2,<10", "pytest-timeout>=2.4,<3", "hypothesis>=6.170,<7")


def main(words: Sequence[str]) -> int:
    """Install and test every voice; the first failure's exit code, or 0."""
    sys.path.insert(0, str(ROOT))
    from engine import environments
    from engine.environments import installing
    from engine.workspace import Workspace

    status = 0
    for name in environments.names():
        made = installing.install(Workspace(HOME), name, tell=lambda line: print(line, file=sys.stderr, flush=True))
        python = str(made.python)
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *NEEDED], check=True)
        named = {**os.environ, f"{environments.PYTHON}{name.upper()}": python}
        # Its classes there, and the product here that asks for them.
        for interpreter, file in ((python, "test_real_classes.py"), (sys.executable, "test_served_loop.py")):
            tests = [interpreter, "-m", "pytest", "-p", "no:cacheprovider", f"tests/backends/{name}/{file}", *words]
            found = subprocess.run(tests, cwd=ROOT, env=named, check=False).returncode
            status = status or found
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
