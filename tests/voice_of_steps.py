"""A voice for tests of processes: no weights and no torch, one step every few milliseconds, and every way to go wrong.

A text of "steps 40" takes that many steps; "die" ends the process as the system would, "hang" never answers, "print"
writes to the standard output, "fail" raises what no one expects, "deaf" takes two seconds without looking up.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.backends.speech_model import Capabilities
from engine.types import BadInput, SpeakRow, Speech, Stop

STEP_SEC = 0.005


def load(base_model: str, device: str) -> VoiceOfSteps:
    if base_model == "broken":
        raise BadInput("These weights are damaged; download them again.")
    return VoiceOfSteps()


class VoiceOfSteps:
    name = "steps"
    base_sha256 = "5" * 64
    sample_rate = 16_000
    device = "cpu"
    capabilities = Capabilities(parts=("lm",), voices=("one",), languages=("en",))

    def __init__(self) -> None:
        self.on_step: Callable[[int, int], None] | None = None

    def agreement(self, text: str, voice: str) -> float:
        return 0.75

    def speak(self, rows: Sequence[SpeakRow], mixer: Any = None) -> list[Speech]:
        return [self._said(row) for row in rows]

    def _said(self, row: SpeakRow) -> Speech:
        word, _, number = row.text.partition(" ")
        if word == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif word == "print":
            print("a library says hello", flush=True)
        elif word == "fail":
            raise RuntimeError("a tensor is elsewhere")
        elif word in ("hang", "deaf"):
            time.sleep(3600 if word == "hang" else 2)
        elif word == "empty":
            raise BadInput("There is nothing to say; give words.")
        steps = int(number or 1)
        for step in range(steps):
            if self.on_step is not None:
                self.on_step(step, steps)
            time.sleep(STEP_SEC)
        samples = np.random.default_rng(row.seed).uniform(-1, 1, 100 + steps).astype(np.float32)
        return Speech(samples=samples, sample_rate=16_000, tokens=steps, stop=Stop.EOS, render_sec=steps * STEP_SEC)
