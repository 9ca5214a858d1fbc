"""The doctor: is everything here that Earmark needs, and what is to be done about what is not?

Knows versions, devices, disk, browser, the text front end, weights by hash and the workspace's lock. Looks and
changes nothing; a check that itself goes wrong is a finding, not an error.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from engine import disk, durable, environments, locks
from engine.workspace import Workspace

PYTHONS = ((3, 11), (3, 12))
LIBRARIES = ("transformers", "peft", "gradio", "duckdb", "soundfile", "librosa", "silero-vad")
ENOUGH_BYTES = 2 * 10**9  # of free disk for a few runs, their checkpoints and clips
BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "msedge",
    "firefox",
    "open",
)
WEIGHTS = Path(__file__).resolve().parent.parent / "assets" / "finch"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at. `ok` None: a fact, neither good nor bad. `mend` says what to do, when there is
    something.
    """

    name: str
    ok: bool | None
    found: str
    mend: str = ""


def examine(home: Path, weights: Path = WEIGHTS) -> list[Check]:
    """All checks, in the order in which they matter. Imports torch; takes a few seconds for it."""
    looks: Iterable[tuple[str, Callable[[], Check]]] = (
        ("python", lambda: python(sys.version_info[:2])),
        ("torch pair", lambda: torch_pair(_version("torch"), _version("torchaudio"))),
        ("libraries", lambda: libraries(LIBRARIES)),
        ("device", device),
        ("disk", lambda: room(home)),
        ("browser", browser),
        ("text front end", front_end),
        ("weights", lambda: weights_whole(weights)),
        ("voices", lambda: voices(home)),
        ("workspace", lambda: workspace_lock(home)),
    )
    return [_guarded(name, look) for name, look in looks]


def _guarded(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except Exception as error:  # whatever a broken environment throws is the finding
        return Check(name=name, ok=False, found=f"{type(error).__name__}: {error}", mend="Run `make setup` again.")


def python(version: tuple[int, ...]) -> Check:
    """The interpreter is one that Earmark is tested with."""
    ok = version in PYTHONS
    told = f"{'.'.join(map(str, version))} on {platform.system()} {platform.machine()}"
    return Check(
        name="python", ok=ok, found=told, mend="" if ok else "Use Python 3.11 or 3.12: make setup PYTHON=python3.12"
    )


def torch_pair(torch: str | None, torchaudio: str | None) -> Check:
    """torch and torchaudio have the same version: of another version torchaudio fails when it is imported."""
    found = f"torch {torch or 'missing'}, torchaudio {torchaudio or 'missing'}"
    if torch is None or torchaudio is None:
        return Check(name="torch pair", ok=False, found=found, mend="Run `make setup` again.")
    same = torch.partition("+")[0] == torchaudio.partition("+")[0]
    if not same:
        return Check(name="torch pair", ok=False, found=found, mend=f"Install torchaudio=={torch.partition('+')[0]}.")
    import torchaudio as imported  # a matching pair can still be of two builds: only the import shows it

    return Check(name="torch pair", ok=True, found=f"{found} (imports as {imported.__version__})")


def libraries(names: Iterable[str]) -> Check:
    """The other libraries are installed; their versions are told."""
    versions = {name: _version(name) for name in names}
    missing = [name for name, version in versions.items() if version is None]
    found = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    if missing:
        return Check(name="libraries", ok=False, found=f"missing: {', '.join(missing)}", mend="Run `make setup` again.")
    return Check(name="libraries", ok=True, found=found)


def device() -> Check:
    """What models will run on."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("Apple GPU (mps)")
    gpu = ", ".join(names) or "no GPU (the built-in voice needs none)"
    return Check(name="device", ok=None, found=f"{cores} CPU core{'s' if cores > 1 else ''}, {gpu}")


def room(home: Path) -> Check:
    """There is room for runs and clips where the workspace is."""
    existing = next(folder for folder in (home.resolve(), *home.resolve().parents) if folder.exists())
    free = disk.free_bytes(existing)
    ok = free >= ENOUGH_BYTES
    mend = "" if ok else f"Free {(ENOUGH_BYTES - free) / 1e9:.1f} GB more there, or choose another --home."
    return Check(name="disk", ok=ok, found=f"{free / 1e9:.1f} GB free at {existing}", mend=mend)


def browser() -> Check:
    """A browser for the pages. The command line works without one."""
    named = os.environ.get("EARMARK_BROWSER") or os.environ.get("BROWSER")
    found = named or next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found:
        return Check(name="browser", ok=True, found=found)
    return Check(
        name="browser",
        ok=None,
        found="none on the PATH",
        mend="Install Chromium, Chrome, Edge or Firefox to see the pages; the command line needs none.",
    )


def front_end() -> Check:
    """espeak-ng's library loads and gives phonemes."""
    from engine.backends.finch import phonemes

    said = phonemes.pronounce("Ready to listen.")
    return Check(
        name="text front end", ok=True, found=f"espeak-ng {_version('espeakng-loader')}, {len(said.phonemes)} phonemes"
    )


def weights_whole(folder: Path) -> Check:
    """The built-in voice's files are there and have the hashes that their config states."""
    config = folder / "config.json"
    if not config.is_file():
        mend = "Restore assets/finch from the repository, or train it: python -m engine.backends.finch.pretrain"
        return Check(name="weights", ok=False, found=f"no {config}", mend=mend)
    stated: dict[str, str] = json.loads(config.read_text(encoding="utf-8"))["sha256"]
    paths = {name: folder / f"{name}.safetensors" for name in stated}
    bad = [p.name for name, p in paths.items() if not p.is_file() or durable.file_sha256(p) != stated[name]]
    if bad:
        return Check(
            name="weights",
            ok=False,
            found=f"missing or altered: {', '.join(bad)}",
            mend="Restore assets/finch from the repository.",
        )
    total = sum(path.stat().st_size for path in paths.values())
    return Check(name="weights", ok=True, found=f"{len(paths)} files, {total / 1e6:.1f} MB, hashes as stated")


def voices(home: Path) -> Check:
    """Environments of voices that were begun are whole, and share what still lies where it was."""
    found = environments.listing(Workspace(home))
    begun = [one for one in found if one.state is not environments.State.MISSING]
    faults = [told for told in map(environments.fault, begun) if told]
    if faults:
        found_out = f"{len(faults)} of {len(begun)} cannot be used"
        return Check(name="voices", ok=False, found=found_out, mend=" ".join(faults))
    told = ", ".join(f"{one.backend} {one.state}" for one in found)
    return Check(name="voices", ok=True if begun else None, found=f"environments of their own: {told}")


def workspace_lock(home: Path) -> Check:
    """Nobody else holds the workspace."""
    lock = Workspace(home).lock
    if not lock.exists():
        return Check(name="workspace", ok=None, found=f"{home.resolve()} was not opened yet")
    if locks.is_held(lock):
        who = locks.holder(lock) or "another process"
        return Check(name="workspace", ok=None, found=f"in use by {who}", mend="Close it there before working here.")
    return Check(name="workspace", ok=True, found=f"{home.resolve()}, held by nobody")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
