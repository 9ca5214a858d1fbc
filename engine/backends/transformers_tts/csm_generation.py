"""CSM's generation for a batch of prompts, each row as if it were alone.

Knows the loop over frames and the one over codebooks. Upstream's `generate` draws all rows from one generator and
starts a generation of its own for every frame; this one calls the same nets with each row's own noise, and gives the
same codes where nothing is drawn. Knows neither text nor adapters.
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


@dataclass(frozen=True, eq=False)
class Prompt:
    """What one row starts from: ids (positions,), the codes (frames, books) of the audio in it, frames at most."""

    ids: Tensor
    codes: Tensor | None
    cap: int


def embedded(net: Any, ids: Tensor, codes: Tensor | None) -> Tensor:
    """Embeddings (rows, positions, width) of ids (rows, positions): text, frames, and the end of audio. `codes`
    (frames, books) are those of all rows' frames, in order.
    """
    config = net.config
    made: Tensor = net.embed_text_tokens(ids)
    if codes is not None:
        frames = net.backbone_model.embed_tokens(codes[None])[0]
        made = made.masked_scatter((ids == config.audio_token_id)[..., None], frames.to(made.dtype))
    end = torch.full((1, 1, config.num_codebooks), config.codebook_eos_token_id, device=ids.device)
    ended = net.backbone_model.embed_tokens(end)[0, 0].to(made.dtype)
    return torch.where((ids == config.audio_eos_token_id)[..., None], ended, made)


@torch.no_grad()
def generate(
    net: Any, prompts: Sequence[Prompt], rows: Sequence[SpeakRow], on_step: OnStep | None = None
) -> list[Drawn]:
    """Draw every prompt's frames in one batch, until each row has ended or reached its cap."""
    config = net.config
    width = max(len(prompt.ids) for prompt in prompts)
    # not padded with its pad token: the released config has the audio token's id there
    ids = torch.stack([functional.pad(p.ids, (width - len(p.ids), 0)) for p in prompts]).to(net.device)
    mask = torch.stack([functional.pad(torch.ones_like(p.ids), (width - len(p.ids), 0)) for p in prompts])
    mask = mask.to(net.device)
    heard = [prompt.codes for prompt in prompts if prompt.codes is not None]
    embeds = embedded(net, ids, torch.cat(heard).to(net.device) if heard else None)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    # ids beyond the codec's stand for no sound, and it would fail on them
    chooser = Chooser(rows, min(config.vocab_size, config.codec_config.codebook_size))
    cache = None
    frames: list[Tensor] = []
    ends: list[int | None] = [None] * len(prompts)
    longest = max(prompt.cap for prompt in prompts)
    while any(end is None and len(frames) < p.cap for end, p in zip(ends, prompts, strict=True)):
        if on_step is not None:
            on_step(len(frames), longest)
        told = net.backbone_model(
            inputs_embeds=embeds, attention_mask=mask, position_ids=positions, cache=cache, use_cache=True
        )
        cache, hidden = told.cache, told.last_hidden_state[:, -1]
        codes = _frame(net, hidden, chooser)
        # upstream's rule: a frame whose codes but for the last are all the end
        for row in (codes[:, :-1] == config.codebook_eos_token_id).all(dim=1).nonzero()[:, 0].tolist():
            ends[row] = len(frames) if ends[row] is None else ends[row]
        frames.append(codes)
        embeds = net.backbone_model.embed_tokens(codes[:, None])
        mask = functional.pad(mask, (0, 1), value=1)
        positions = positions[:, -1:] + 1
    drawn = torch.stack(frames, dim=1).cpu()
    return [_own(drawn[row], ends[row], prompt.cap) for row, prompt in enumerate(prompts)]


def _own(codes: Tensor, end: int | None, cap: int) -> Drawn:
    """A row's own frames: the batch goes on for the longest row."""
    if end is not None and end < cap:
        return Drawn(codes[:end], Stop.EOS)
    return Drawn(codes[:cap], Stop.CAP)


def _frame(net: Any, hidden: Tensor, chooser: Chooser) -> Tensor:
    """Codes (rows, books) of the next frame, for the backbone's hidden states (rows, width)."""
    found = [chooser.choose(net.lm_head(hidden))]
    # the first position is a place holder for the hidden state
    ids, cache = functional.pad(found[0][:, None], (1, 0)), None
    while len(found) < net.config.num_codebooks:
        told = net.depth_decoder(
            input_ids=ids,
            backbone_last_hidden_state=None if cache else hidden.clone(),
            cache=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = told.cache
        found.append(chooser.choose(told.logits[:, -1]))
        ids = found[-1][:, None]
    return torch.stack(found, dim=1)
