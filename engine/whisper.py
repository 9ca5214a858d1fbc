"""Whisper from a folder on this machine, through transformers: transcripts, and texts held against audio.

Knows the folder's format (safetensors alone) and how long audio is cut. It never goes to a hub. It has been run on
small random weights of the real classes, not on published ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.audit.transcripts import Hearing

FOLDER_VARIABLE = "EARMARK_WHISPER"


class Whisper:
    """A loaded model: a `transcripts.Recogniser` for any language."""

    name = "whisper"
    languages: tuple[str, ...] = ()

    def transcribe(self, samples: NDArray[np.float32], sample_rate: int, language: str = "") -> str:
        """What is said in mono samples, shape (n,), of any length; `language` as "en" or "zh", "": it finds out."""
        raise NotImplementedError

    def hear(self, samples: NDArray[np.float32], sample_rate: int, language: str) -> Hearing:
        """Its transcript, to hold texts against."""
        raise NotImplementedError


def load(folder: Path) -> Whisper:
    """The model in `folder`. Raises BadInput when it is missing, no Whisper, or its weights are pickles."""
    raise NotImplementedError
