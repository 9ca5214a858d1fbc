"""Qwen3-TTS's codec: a wave to codes and back, without the noise that upstream's decoder begins with.

Knows that the decoder has no memory of an earlier utterance, so that one without a reference begins from nothing; a few
frames of silence are decoded before it and cut off. Knows no text.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.backends.qwen3_tts.info import FRAME_SAMPLES, SAMPLE_RATE

SILENCE_SEC = 0.25


class Codec:
    """Over upstream's `Qwen3TTSTokenizer`."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    @torch.no_grad()
    def encode(self, samples: NDArray[np.float32]) -> Tensor:
        """Codes (frames, groups) of mono samples at 24 kHz, in main memory; the last frame may be partly silence."""
        found: Tensor = self._tokenizer.encode([samples], sr=SAMPLE_RATE).audio_codes[0]
        return found.to("cpu", torch.long).clone()

    @cached_property
    def silence(self) -> Tensor:
        """The codes of a quarter of a second of nothing."""
        return self.encode(np.zeros(int(SILENCE_SEC * SAMPLE_RATE), np.float32))

    @torch.no_grad()
    def decode(self, codes: Tensor, before: Tensor | None = None) -> NDArray[np.float32]:
        """Samples (1920 a frame) of codes (frames, groups), heard after `before`: the reference's codes, or silence.

        In one pass: upstream decodes pieces of 24 s that overlap by less than its decoder looks back.
        """
        lead = self.silence if before is None else before
        decoder = self._tokenizer.model.decoder
        every = torch.cat([lead, codes.to(lead.device)]).to(next(decoder.parameters()).device)
        wave: Tensor = decoder(every.T[None])[0, 0]
        samples: NDArray[np.float32] = wave[len(lead) * FRAME_SAMPLES :].float().cpu().numpy()
        return samples.copy()
