"""A trainer of the toy voice in another process, started as the real one is: `trainer.py -m engine.train RUN_DIR`."""

from __future__ import annotations

import os
import runpy
import stat
import sys
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
QUOTA = "EARMARK_TOY_QUOTA"  # bytes that the weights of a workspace may take, where a test wants a small disk


def executable(folder: Path) -> str:
    """A stand-in for the Python interpreter that knows the toy voice; give it to `launcher.launch` as `python`."""
    script = folder / "python-with-toy"
    script.write_text(
        f'#!/bin/sh\nexport EARMARK_TOY_PYTHON="$0"\nexec {sys.executable} {Path(__file__).resolve()} "$@"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)


def register() -> None:
    from engine import backends

    backends.BACKENDS["toy"] = "tests.train.toy_voice"
    backends.INFO["toy"] = "tests.train.toy_voice"


def weights_bytes(folder: Path) -> int:
    """Bytes of all weights and optimizer states below a folder, the trash's too."""
    total = 0
    for place, _, names in os.walk(folder):  # unlike `rglob`, it passes over a folder that goes while it is looked at
        for name in names:
            if name.endswith(".safetensors"):
                with suppress(FileNotFoundError):
                    total += (Path(place) / name).stat().st_size
    return total


def limit_disk(quota: int) -> None:
    """Let the disk be as full as a workspace's weights make it."""
    from engine import disk

    def left(path: Path) -> int:
        home = next(each for each in (path, *path.parents) if (each / "runs").is_dir())
        return quota - weights_bytes(home)

    disk.free_bytes = left


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    os.environ["OMP_NUM_THREADS"] = "1"
    register()
    if QUOTA in os.environ:
        limit_disk(int(os.environ[QUOTA]))
    sys.executable = os.environ.setdefault(
        "EARMARK_TOY_PYTHON", sys.executable
    )  # processes that share a run know it too
    sys.argv = [sys.argv[2], *sys.argv[3:]]
    runpy.run_module("engine.train", run_name="__main__", alter_sys=True)
