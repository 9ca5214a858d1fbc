"""What models have in common that draw the codes of a codec: references as codes, and speech out of codes.

Knows no single model and no codec: a subclass says how a file becomes codes, and codes samples.
"""

from __future__ import annotations

import functools
import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.backends.transformers_tts.info import ModelFolder
from engine.backends.transformers_tts.native import NativeModel
from engine.types import Reference, SpeakRow, Speech, SpeechTokens, Stop

IGNORED = -100  # a label that no loss counts, by torch's convention
REFERENCES = 16  # references whose codes are remembered
CHARACTERS_A_SECOND = 14.0  # of ordinary speech
SPARE_SEC = 1.0


@dataclass(frozen=True, eq=False)
class Drawn:
    """Codes (frames, books) without prompt and end, in main memory, and how the row ended."""

    codes: Tensor
    stop: Stop


class CodeModel(NativeModel):
    """A model whose audio goes in and out as codes (frames, books)."""

    def __init__(
        self, net: Any, processor: Any, folder: ModelFolder, sha256: str, device: str, parts: Mapping[str, nn.Module]
    ) -> None:
        super().__init__(net, processor, folder, sha256, device, parts)
        self._heard = functools.lru_cache(maxsize=REFERENCES)(lambda path, _sha256: self._encode(path))

    @abstractmethod
    def _encode(self, path: Path) -> Tensor:
        """Codes (frames, books) of a file, in main memory."""

    @abstractmethod
    def _decoded(self, codes: Tensor) -> Tensor:
        """Samples (n,) of codes (frames, books), at least one frame of them."""

    def _codes_of(self, reference: Reference) -> Tensor:
        """Codes (frames, books) of a reference; those of the last ones are remembered."""
        return self._heard(reference.audio_path, reference.sha256)

    @torch.no_grad()
    def _speech(self, row: SpeakRow, drawn: Drawn, share_sec: float) -> Speech:
        """Decoded by itself: given its codes, a row is the same to the bit whatever else is rendered."""
        started = time.perf_counter()
        if len(drawn.codes):
            samples = self._decoded(drawn.codes).float().clamp(-1, 1).cpu().numpy()
        else:  # it stopped before it began: one frame of silence
            samples = np.zeros(self._folder.frame_samples, np.float32)
        return Speech(
            samples=samples,
            sample_rate=self.sample_rate,
            tokens=len(drawn.codes),
            stop=drawn.stop,
            render_sec=share_sec + time.perf_counter() - started,
            speech_tokens=_told(
                drawn.codes, self._codes_of(row.reference) if row.reference else None, self._folder.frame_rate
            ),
        )


def ordinary_sec(text: str) -> float:
    """Seconds that a text takes to say at an ordinary pace, with some to spare."""
    return len(text) / CHARACTERS_A_SECOND + SPARE_SEC


def _told(drawn: Tensor, before: Tensor | None, rate_hz: float) -> SpeechTokens:
    """The first codes of frames (frames, books): of those that were drawn, and of the reference that came before."""
    heard = () if before is None else tuple(before[:, 0].tolist())
    return SpeechTokens(said=tuple(drawn[:, 0].tolist()), reference=heard, rate_hz=rate_hz)
