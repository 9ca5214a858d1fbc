"""What models run on: which device `auto` is, how much memory a device has and how much of it is free.

Asks without loading torch into this process: a page that wants a number must not wait for it, and a process that only
asks should take no memory of a GPU. Knows nothing of models.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

AUTO, CPU = "auto", "cpu"
MEMINFO, CPUINFO = Path("/proc/meminfo"), Path("/proc/cpuinfo")
BF16_FLAGS = ("avx512_bf16", "amx_bf16")
BF16_CAPABILITY = 8  # of the first NVIDIA cards with bf16 products of their own (Ampere)
GPU_NODES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # NVIDIA, AMD, Windows' Linux: without one there is no GPU
ASK_SEC = 60.0  # the first import of torch on a cold disk takes its time
ASK_AUTO = "import torch; print('cuda:0' if torch.cuda.is_available() else 'cpu')"
ASK_CARD = (
    "import sys, torch; p = torch.cuda.get_device_properties(sys.argv[1]); "
    "print(p.major, p.minor, int(bool(torch.version.hip)), p.name)"
)
ASK_MEMORY = "import sys, torch; print(*torch.cuda.mem_get_info(sys.argv[1]))"


@dataclass(frozen=True, kw_only=True)
class DeviceMemory:
    """Bytes of a device: for the CPU `free_bytes` is what can be had without swapping."""

    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, kw_only=True)
class Card:
    """A GPU: what its maker calls it, and its compute capability. AMD's have numbers of their own."""

    name: str
    major: int
    minor: int
    is_amd: bool = False

    @property
    def has_bf16(self) -> bool:
        """Whether bf16 products are the card's own. torch takes them from an older one as well, and emulates them."""
        return self.is_amd or self.major >= BF16_CAPABILITY

    @property
    def without_bf16(self) -> str:
        """Why a run in bf16 is not started on it, and the mend."""
        return (
            f"The {self.name} (compute capability {self.major}.{self.minor}) computes fp16 and no bf16, which it would "
            "emulate more slowly than fp32; train in fp32 here: fp16 needs a scaled loss, which this trainer does not "
            "have. A card of compute capability 8.0 or newer takes bf16."
        )


def resolve(name: str) -> str:
    """The device that a run with this setting uses: `auto` is the first GPU where there is one, `cuda` is `cuda:0`."""
    if name == "cuda":
        return "cuda:0"
    return _auto() if name == AUTO else name


def memory(name: str, *, meminfo: Path = MEMINFO) -> DeviceMemory | None:
    """What `cpu` or `cuda:N` has; None where it cannot be asked for."""
    if name == CPU:
        return _of_machine(meminfo)
    answer = _ask(ASK_MEMORY, name)
    try:
        free, total = map(int, answer.split())
    except ValueError:
        return None
    return DeviceMemory(free_bytes=free, total_bytes=total)


@functools.lru_cache(maxsize=16)
def card(name: str) -> Card | None:
    """The GPU that `cuda:N` is; None where it cannot be asked for."""
    told = _ask(ASK_CARD, name).split(maxsplit=3)
    try:
        return Card(name=told[3], major=int(told[0]), minor=int(told[1]), is_amd=told[2] == "1")
    except (ValueError, IndexError):
        return None


def has_bf16(name: str, *, cpuinfo: Path = CPUINFO, ask: Callable[[str], Card | None] = card) -> bool:
    """Whether 16-bit products are the device's own: a card's by its capability, a CPU's where its flags say so. Of a
    card that does not answer nothing bad is said.
    """
    if name != CPU:
        found = ask(name)
        return found is None or found.has_bf16
    try:
        return any(flag in cpuinfo.read_text(encoding="utf-8") for flag in BF16_FLAGS)
    except OSError:
        return False


@functools.lru_cache(maxsize=1)
def _auto() -> str:
    if sys.platform == "linux" and not any(Path(node).exists() for node in GPU_NODES):
        return CPU
    return _ask(ASK_AUTO) or CPU


def _ask(program: str, *arguments: str) -> str:
    """What a short program of another process prints; empty when it fails. A GPU's memory is released with it."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=ASK_SEC, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _of_machine(meminfo: Path) -> DeviceMemory | None:
    """`MemAvailable` is the kernel's own estimate of what a program can have without swapping (proc(5))."""
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
        told = {name: int(value.split()[0]) * 1024 for name, _, value in (line.partition(":") for line in lines)}
        return DeviceMemory(free_bytes=told["MemAvailable"], total_bytes=told["MemTotal"])
    except (OSError, ValueError, IndexError, KeyError):
        return None
