"""What has to stand beside a figure: the machine, the versions, and whether it was busy with something else."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("torch", "transformers", "peft", "gradio")
BUSY_LOAD = 0.5  # load a core before the start, above which the figures say so


def facts() -> list[str]:
    """One line each: date, processor, memory, accelerator, versions, load."""
    import torch

    cores = os.cpu_count() or 1
    load = os.getloadavg()[0]
    busy = ": BUSY, other work ran on this machine, so read the ratios alone" if load > BUSY_LOAD * cores else ""
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    return [
        f"date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {_commit()}",
        f"machine: {_processor()}, {cores} cores, {_memory_gib():.0f} GiB, GPU: {gpu}, {platform.platform()}",
        f"threads of torch: {torch.get_num_threads()}",
        f"python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        f"load before the start: {load:.1f}{busy}",
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _commit() -> str:
    asked = ["git", "describe", "--always", "--dirty"]
    found = subprocess.run(asked, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"
