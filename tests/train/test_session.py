"""What a run asks of its device is looked at before anything is loaded."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from engine.train import session
from engine.types import Refused, RunConfig

CONFIG = RunConfig(dataset="d", precision="bf16")
T4 = SimpleNamespace(name="Tesla T4", major=7, minor=5)
A100 = SimpleNamespace(name="NVIDIA A100", major=8, minor=0)


def test_bf16_on_a_card_without_it_is_refused_with_the_mend() -> None:
    """A queue may start a run on another card than it was looked at for: fp32 is named, nothing falls back unsaid."""
    with pytest.raises(Refused, match=r"Tesla T4 \(compute capability 7\.5\).*train in fp32"):
        session.must_be_computable(CONFIG, "cuda:0", lambda _: T4)
    session.must_be_computable(CONFIG, "cuda:0", lambda _: A100)
    session.must_be_computable(replace(CONFIG, precision="fp32"), "cuda:0", lambda _: T4)
    session.must_be_computable(CONFIG, "cpu", lambda _: T4)
