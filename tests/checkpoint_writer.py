"""Publishes checkpoints as fast as it can until it is killed: `checkpoint_writer.py RUN_DIR`."""

from __future__ import annotations

import json
import os
import sys
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def write(folder: Path) -> None:
    """A small adapter of two parts and some trainer state, with content of its own each time."""
    from engine import adapter_files

    for part in ("lm", "decoder"):
        (folder / part).mkdir()
        (folder / part / "adapter_config.json").write_text(json.dumps({"r": 8, "target_modules": ["q_proj"]}))
        (folder / part / "adapter_model.safetensors").write_bytes(os.urandom(20_000))
    adapter_files.write_adapter(
        folder,
        backend="toy",
        base_sha256="b" * 64,
        voice="tick",
        parts=("lm", "decoder"),
        rank=8,
        alpha=16.0,
        voice_settings={"clock": 1.0},
    )
    (folder / "trainer").mkdir()
    (folder / "trainer" / "optimizer.safetensors").write_bytes(os.urandom(60_000))


def main(run_dir: Path) -> None:
    from engine import checkpoints

    begin = max((c.step for c in checkpoints.listing(run_dir)), default=0) + 1
    checkpoints.remove_unfinished(run_dir)
    for step in count(begin):
        meta = {"epoch": step, "train_loss": 1.0, "val_loss": None, "created_at": 1.0}
        checkpoints.publish(run_dir, step=step, write=write, meta=meta)
        print(step, flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main(Path(sys.argv[1]))
