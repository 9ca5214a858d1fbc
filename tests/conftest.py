"""Basics that every test relies on: no network, no telemetry, no window, few threads.

Fixtures and factories of one part of the product live beside its tests, not here.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from engine.backends import FOLDERS

ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MPLBACKEND": "Agg",
    "EARMARK_NO_BROWSER": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

SECOND_TRY = "EARMARK_SECOND_TRY"


def pytest_configure() -> None:
    """Set the environment before any test module is imported; what the caller set stays."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for variable in FOLDERS.values():  # whoever has a real model here tests the same as everybody
        os.environ.pop(variable, None)
    # Waiting threads of a small model spin: two processes on two cores starve one another to a crawl.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # A property is wrong or right, not late: on a busy machine the first example may wait for an import or the disk.
    settings.register_profile("earmark", deadline=None)
    settings.load_profile("earmark")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a CUDA device is skipped without one; a test in a browser has a second try where CI asks for it."""
    _skip_without_cuda(items)
    if os.environ.get(SECOND_TRY):
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A test that passed at its second try tells why its first failed: it is to be looked into like any other."""
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.section(f"failed at first: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)
        for name, content in report.sections:
            terminalreporter.section(name, "-")
            terminalreporter.write_line(content)


def _skip_without_cuda(items: list[pytest.Item]) -> None:
    """Torch is imported only if such a test was collected."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session", name="repository")
def _repository() -> Path:
    """The folder of the checkout."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(name="tones_are_speech")
def _tones_are_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small sets are measured in the test's own process, where the detector then takes a tone for speech; nobody
    listens.
    """
    from engine.audit import transcripts, voice_activity

    monkeypatch.setattr(voice_activity, "speech", lambda samples: ((0.0, len(samples) / 16_000),))
    monkeypatch.setattr(transcripts, "builtin", lambda folder=None: None)
