"""Tokens to sound: flow and vocoder, one row after the other, without streaming.

Knows upstream's arguments, what a row without a reference gives them, and the pauses that upstream shortens. Knows no
adapters.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.backends.cosyvoice.frontend import Features
from engine.types import BadInput

SPEAKER_SIZE, MELS = 192, 80
LONGEST_SEC = 300  # of reference and speech together: the flow keeps noise for no more
# Tokens of version 3 that are silence or breath (cosyvoice/cli/model.py); upstream drops what follows five in a row.
SILENT = frozenset({1, 2, 28, 29, 55, 248, 494, 2241, 2242, 2322, 2323})
MOST_SILENT = 5


def shortened(tokens: Sequence[int]) -> list[int]:
    """What upstream says of version 3's tokens: no silence is longer than five tokens, a fifth of a second."""
    kept, silent = [], 0
    for token in tokens:
        silent = silent + 1 if token in SILENT else 0
        if silent <= MOST_SILENT:
            kept.append(token)
    return kept


def nothing(like: Features | None = None) -> Features:
    """No reference: no tokens, no frames, and a speaker without a direction."""
    return Features(
        tokens=torch.zeros(0, dtype=torch.long),
        mel=torch.zeros(0, MELS),
        speaker=torch.zeros(SPEAKER_SIZE) if like is None else like.speaker,
    )


@torch.inference_mode()
def spectrogram(flow: Any, tokens: Sequence[int], prompt: Features, *, device: str, rate: int, seed: int = 0) -> Tensor:
    """(1, 80, frames) of speech tokens, after and like `prompt`. The noise of version 1 follows the seed alone; the
    others' is upstream's, the same for all rows.
    """
    total = (len(tokens) + len(prompt.tokens)) / rate
    if total > LONGEST_SEC:
        raise BadInput(f"The text takes {total:.0f} s with its reference and {LONGEST_SEC} s is the most; split it.")
    said = torch.tensor([list(tokens)], device=device)
    before = prompt.tokens[None].to(device)
    with torch.random.fork_rng([device] if device.startswith("cuda") else []):
        torch.manual_seed(seed)
        mel, _ = flow.inference(
            token=said,
            token_len=torch.tensor([said.shape[1]], dtype=torch.int32, device=device),
            prompt_token=before,
            prompt_token_len=torch.tensor([before.shape[1]], dtype=torch.int32, device=device),
            prompt_feat=prompt.mel[None].to(device),
            prompt_feat_len=torch.tensor([prompt.mel.shape[0]], dtype=torch.int32, device=device),
            embedding=prompt.speaker[None].to(device),
            **_at_once(flow, device),
        )
    found: Tensor = mel
    return found


def _at_once(flow: Any, device: str) -> dict[str, Any]:
    """What says that all of it is wanted now: version 1 keeps what overlaps between pieces, of which there is none."""
    if "flow_cache" in inspect.signature(flow.inference).parameters:
        return {"flow_cache": torch.zeros(1, MELS, 0, 2, device=device)}
    return {"streaming": False, "finalize": True}


@torch.inference_mode()
def samples(hift: Any, mel: Tensor, *, seed: int) -> NDArray[np.float32]:
    """(n,) of a spectrogram (1, 80, frames). The vocoder's noise follows the seed alone."""
    devices = [mel.device] if mel.is_cuda else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        speech, _ = hift.inference(speech_feat=mel)
    found: NDArray[np.float32] = speech.reshape(-1).float().clamp(-1, 1).cpu().numpy()
    return found
