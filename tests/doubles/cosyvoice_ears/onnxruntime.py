"""A stand-in, for tests: what CosyVoice's two models that hear would answer, tokens and a vector that follow the sound.

Which of them is meant is told by the file's name; the file itself says how many tokens there are.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

SessionOptions = SimpleNamespace


class InferenceSession:
    """One model. A token every fourth frame (of version 1 every second), or a vector a recording."""

    def __init__(self, path: str, sess_options: Any = None, providers: Any = None) -> None:
        self._every = 2 if Path(path).stem.endswith("_v1") else 4
        self._is_speaker = Path(path).stem == "campplus"
        shape = (80, 192) if self._is_speaker else (int(Path(path).read_text(encoding="utf-8")), 128)
        self._weights = np.random.default_rng(0).normal(size=shape)

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name=name) for name in ("heard", "length")]

    def run(self, _outputs: None, given: dict[str, Any]) -> list[Any]:
        heard = given["heard"][0]
        if self._is_speaker:
            return [(np.abs(heard).mean(0) @ self._weights).astype(np.float32)[None]]
        frames = heard.shape[1] // self._every * self._every
        whole = heard[:, :frames].reshape(128, -1, self._every).mean(-1)
        return [(self._weights @ whole).argmax(0)[None]]
