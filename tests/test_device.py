"""Devices: what `auto` is and what is free, asked without torch in this process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine import device
from engine.device import Card, DeviceMemory

MEMINFO = "MemTotal:       16000 kB\nMemFree:  10 kB\nMemAvailable:    9000 kB\nHugePages_Total:       0\n"


def test_a_named_device_is_what_it_says() -> None:
    """Only `auto` and a bare `cuda` are resolved."""
    assert [device.resolve(name) for name in ("cpu", "cuda:1", "cuda")] == ["cpu", "cuda:1", "cuda:0"]


def test_auto_is_a_device_that_a_trainer_would_take() -> None:
    """The launcher and the trainer name the same lease: auto is a CPU or the first card."""
    assert device.resolve("auto") in ("cpu", "cuda:0")


def test_free_memory_of_the_machine_is_what_can_be_had_without_swapping(tmp_path: Path) -> None:
    """MemAvailable counts, not MemFree; units are bytes."""
    told = tmp_path / "meminfo"
    told.write_text(MEMINFO)
    assert device.memory("cpu", meminfo=told) == DeviceMemory(free_bytes=9_216_000, total_bytes=16_384_000)


@pytest.mark.parametrize("content", [None, "", "MemTotal: 12 kB\n", "MemTotal: much\nMemAvailable: 1 kB\n"])
def test_a_machine_that_does_not_say_is_not_known(tmp_path: Path, content: str | None) -> None:
    """Without the kernel's word nothing is guessed."""
    told = tmp_path / "meminfo"
    if content is not None:
        told.write_text(content)
    assert device.memory("cpu", meminfo=told) is None


def test_16_bit_products_are_the_cpus_own_where_its_flags_say_so(tmp_path: Path) -> None:
    """Emulated ones are slower than 32 bits."""
    told = tmp_path / "cpuinfo"
    assert not device.has_bf16("cpu", cpuinfo=told)
    told.write_text("flags : fpu sse avx512f")
    assert not device.has_bf16("cpu", cpuinfo=told)
    told.write_text("flags : fpu sse avx512_bf16")
    assert device.has_bf16("cpu", cpuinfo=told)


def card(major: int, minor: int, **changes: bool) -> Card:
    return Card(name="Tesla T4", major=major, minor=minor, **changes)


@pytest.mark.parametrize(
    ("found", "has"),
    [(card(7, 5), False), (card(8, 0), True), (card(9, 0), True), (card(6, 0, is_amd=True), True), (None, True)],
)
def test_16_bit_products_are_a_cards_own_by_its_capability(found: Card | None, has: bool) -> None:
    """torch emulates them on older cards without a word; what no card answers is not held against it."""
    assert device.has_bf16("cuda:0", ask=lambda _: found) is has


def test_a_card_is_read_from_what_torch_says_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name may have spaces; a machine without one has none."""
    device.card.cache_clear()
    monkeypatch.setattr(device, "_ask", lambda *_: "7 5 0 Tesla T4")
    assert device.card("cuda:0") == card(7, 5)
    device.card.cache_clear()
    monkeypatch.setattr(device, "_ask", lambda *_: "")
    assert device.card("cuda:0") is None
    device.card.cache_clear()


def test_a_card_that_is_not_there_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that asks fails, and that is an answer."""
    monkeypatch.setattr(device, "ASK_MEMORY", "raise SystemExit(1)")
    assert device.memory("cuda:7") is None


def test_asking_loads_no_torch_here() -> None:
    """A page may ask for a device while it is built."""
    program = "import sys; from engine import device; device.memory('cpu'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
