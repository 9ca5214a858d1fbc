"""Dia's generation for a batch of prompts, each row as if it were alone.

Knows the loop over frames, the delay of each channel, and guidance: every row is computed with its text and without it.
Upstream's `generate` draws all rows from one generator; this loop calls the same nets with each row's own noise, and
gives the same codes where nothing is drawn. Knows neither text nor adapters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from engine.backends.drawing import Chooser
from engine.backends.drawn_rows import OnStep
from engine.backends.transformers_tts.code_model import Drawn
from engine.types import SpeakRow, Stop

GUIDANCE = 3.0  # where the folder's generation config says nothing; as its authors have it


@dataclass(frozen=True, eq=False)
class Prompt:
    """What one row starts from: ids of its text (positions,), the codes (frames, channels) of the audio before what is
    to be said (none: no frames), frames at most.
    """

    ids: Tensor
    codes: Tensor
    cap: int


def delayed(codes: Tensor, config: Any) -> Tensor:
    """A sequence (frames + delays, channels) as the net sees it: channel c begins `delay[c]` positions later, behind
    marks of the beginning; behind its end there is padding. `codes` begin with a row of such marks.
    """
    total = len(codes) + max(config.delay_pattern)
    made = torch.full((total, codes.shape[1]), config.decoder_config.pad_token_id, dtype=torch.long)
    for channel, delay in enumerate(config.delay_pattern):
        made[:delay, channel] = config.decoder_config.bos_token_id
        made[delay : delay + len(codes), channel] = codes[:, channel]
    return made


def straightened(sequence: Tensor, first: int, frames: int, delays: Sequence[int]) -> Tensor:
    """The `frames` (frames, channels) that begin at position `first` of channel 0 in a delayed sequence."""
    return torch.stack([sequence[first + d : first + d + frames, c] for c, d in enumerate(delays)], dim=1)


@torch.no_grad()
def generate(
    net: Any, prompts: Sequence[Prompt], rows: Sequence[SpeakRow], on_step: OnStep | None = None
) -> list[Drawn]:
    """Draw the frames of prompts whose audio is equally long, in one batch, until each row has ended or reached its
    cap. Every row is two of the net's: first all with their texts, then all without.
    """
    state = _State(net, prompts, rows)
    step, longest = 0, max(prompt.cap for prompt in prompts) + max(net.config.delay_pattern)
    while not state.is_over:
        if on_step is not None:
            on_step(step, longest)
        state.step()
        step += 1
    return [state.drawn(row) for row in range(len(prompts))]


class _State:
    """A batch on its way. `sequence` (rows, positions, channels) is what is known and drawn so far, delayed."""

    def __init__(self, net: Any, prompts: Sequence[Prompt], rows: Sequence[SpeakRow]) -> None:
        from transformers import DynamicCache, EncoderDecoderCache

        self._net, self._prompts = net, prompts
        self._config, self._decoder = net.config, net.config.decoder_config
        self._chooser = Chooser(rows, int(self._decoder.eos_token_id))
        self._keep = torch.tensor([row.settings.top_k for row in rows], device=net.device)
        told = net.generation_config.guidance_scale
        self._guidance = GUIDANCE if told is None else float(told) if told > 1 else 0.0  # 1 is none, upstream says
        self._start = len(prompts[0].codes) + 1  # the first position that is drawn
        begin = torch.full((1, self._decoder.num_channels), self._decoder.bos_token_id)
        self._known = torch.stack([delayed(torch.cat([begin, p.codes]), net.config) for p in prompts])
        self.sequence = self._known[:, : self._start]
        self._ends: list[int | None] = [None] * len(prompts)  # the position of channel 0's end
        self._cut = [False] * len(prompts)
        self._cache = EncoderDecoderCache(DynamicCache(config=self._decoder), DynamicCache(config=self._decoder))
        self._text, self._mask = self._encoded([prompt.ids for prompt in prompts])

    def _encoded(self, texts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Hidden states (2 x rows, positions, width) of the texts, and of nothing in their place, with their mask."""
        width = max(len(ids) for ids in texts)
        ids = torch.stack([functional.pad(one, (0, width - len(one))) for one in texts]).to(self._net.device)
        mask = torch.stack([functional.pad(torch.ones_like(one), (0, width - len(one))) for one in texts])
        mask = torch.cat([mask, mask]).to(self._net.device)
        told = self._net.model.encoder(input_ids=torch.cat([ids, torch.zeros_like(ids)]), attention_mask=mask)
        return told.last_hidden_state, mask

    @property
    def is_over(self) -> bool:
        """Whether the last channel of every row has ended."""
        last = max(self._config.delay_pattern)
        length = self.sequence.shape[1]
        return all(end is not None and end + last < length for end in self._ends)

    def step(self) -> None:
        """One position more."""
        length = self.sequence.shape[1]
        begun = self._cache.get_seq_length()
        ids = self.sequence[:, begun:].to(self._net.device)
        told = self._net.model.decoder(
            input_ids=torch.cat([ids, ids]),
            position_ids=torch.arange(begun, length, device=ids.device)[None],
            encoder_hidden_states=self._text,
            encoder_attention_mask=self._mask,
            cache=self._cache,
        )
        logits = self._net.logits_dense(told.last_hidden_state[:, -1])
        logits = logits.view(2, len(self._prompts), self._decoder.num_channels, self._decoder.vocab_size)
        drawn = self._chosen(self._guided(*logits.float())).cpu()
        self.sequence = torch.cat([self.sequence, self._forced(drawn, length)[:, None]], dim=1)

    def _guided(self, with_text: Tensor, without: Tensor) -> Tensor:
        """Scores (rows, channels, vocabulary) as upstream guides them: those with the text, of the `top_k` that are
        ahead once guided; the guided ones themselves where a row has no `top_k`.
        """
        guided = with_text + (with_text - without) * self._guidance
        ranks = guided.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
        keep = self._keep[:, None, None]
        filtered = with_text.masked_fill(ranks >= keep, -torch.inf)
        return torch.where(keep > 0, filtered, guided)

    def _chosen(self, scores: Tensor) -> Tensor:
        """Codes (rows, channels). The end is channel 0's to say, and no matter of chance: upstream's rule."""
        end = int(self._decoder.eos_token_id)
        has_ended = scores[:, 0, : end + 1].argmax(dim=-1) == end
        found = torch.stack([self._chooser.choose(one) for one in scores.unbind(1)], dim=1)
        found[:, 0] = torch.where(has_ended, end, found[:, 0])
        return found

    def _forced(self, drawn: Tensor, position: int) -> Tensor:
        """What stands at `position` whatever was drawn: the prompt, each channel's end after its delay, padding."""
        made, pad, end = drawn.clone(), int(self._decoder.pad_token_id), int(self._decoder.eos_token_id)
        for row, prompt in enumerate(self._prompts):
            if self._ends[row] is None:
                self._cut[row] = position - self._start >= prompt.cap and int(drawn[row, 0]) != end
                if int(drawn[row, 0]) == end or self._cut[row]:
                    self._ends[row] = position
            if (at := self._ends[row]) is not None:
                for channel, delay in enumerate(self._config.delay_pattern):
                    if position >= at + delay:
                        made[row, channel] = end if position == at + delay else pad
        if position < self._known.shape[1]:
            known = self._known[:, position]
            made = torch.where(known == pad, made, known)
        return made

    def drawn(self, row: int) -> Drawn:
        """A row's own frames: the batch goes on for the longest row."""
        end = self._ends[row]
        assert end is not None
        codes = straightened(self.sequence[row], self._start, end - self._start, self._config.delay_pattern)
        return Drawn(codes, Stop.CAP if self._cut[row] else Stop.EOS)
