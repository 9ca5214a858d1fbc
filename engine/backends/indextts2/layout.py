"""The sequence of IndexTTS2's GPT: what a reference gives, the text, the codes, and the marks around them.

Knows upstream's order and positions, and nothing of drawing or losses. In one place upstream counts in two ways: its
decoding with a cache gives the codes the positions 0 (start), 2, 3, 4, ...; its forward pass, which makes the states
for the flow, 0, 1, 2, 3, ... Speaking and training follow the first here, and the flow's states the second, so that a
tuned voice is what upstream speaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

MARKS = 2  # start and stop of a text
SPEEDS = (1, 0)  # rows of the two duration vectors behind the latents, in their order


class Layout:
    """Embeddings for upstream's `UnifiedVoice`, all on its device."""

    def __init__(self, voice: Any) -> None:
        self._voice = voice

    @property
    def device(self) -> torch.device:
        """Where the GPT is."""
        found: torch.device = self._voice.mel_head.weight.device
        return found

    def before(self, latents: Tensor, emotion: Tensor, text: Sequence[int]) -> Tensor:
        """(positions, width): latents (32, width) with the emotion (width,) added, durations, start, text, stop."""
        voice, device = self._voice, self.device
        speeds = voice.speed_emb(torch.tensor(SPEEDS, device=device))
        ids = torch.tensor([voice.start_text_token, *text, voice.stop_text_token], device=device)
        words = voice.text_embedding(ids) + voice.text_pos_embedding.emb.weight[: len(ids)]
        return torch.cat([latents.to(device) + emotion.to(device), speeds, words])

    def codes(self, codes: Tensor, *, as_spoken: bool) -> Tensor:
        """(n + 1, width): the start and codes (n,), at the positions of decoding or of upstream's forward pass."""
        voice = self._voice
        start = torch.tensor([voice.start_mel_token], device=self.device)
        ids = torch.cat([start, codes.to(self.device)])
        places = torch.arange(len(ids), device=self.device)
        if as_spoken:
            places[1:] += 1
        found: Tensor = voice.mel_embedding(ids) + voice.mel_pos_embedding.emb(places)
        return found

    def next_codes(self, codes: Tensor, said: int) -> Tensor:
        """(rows, 1, width): the codes (rows,) that were said after `said` others, as decoding puts them."""
        voice = self._voice
        place = torch.tensor(said + 2, device=self.device)
        found: Tensor = voice.mel_embedding(codes)[:, None] + voice.mel_pos_embedding.emb(place)
        return found

    def empty_cache(self) -> Any:
        """Of keys and values, to be given to `states`, which fills it."""
        from transformers import DynamicCache

        return DynamicCache()

    def states(self, inputs: Tensor, mask: Tensor | None = None, **more: Any) -> Any:
        """The GPT's answer to embeddings (rows, positions, width)."""
        return self._voice.gpt(inputs_embeds=inputs, attention_mask=mask, return_dict=True, **more)
