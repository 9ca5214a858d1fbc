"""Codes to sound: the GPT's states and the codes to the flow's condition, the flow to a spectrogram, the vocoder.

Knows upstream's numbers. One row after the other: upstream's flow takes one at a time. Its noise is the row's own,
drawn on the processor, so that a seed means the same on every device.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.backends.indextts2.hearing import Prompt
from engine.backends.indextts2.layout import Layout
from engine.backends.indextts2.loading import MEL_FRAMES, MELS, Nets
from engine.types import BadInput

FLOW_STEPS, GUIDANCE = 25, 0.7
FRAMES_A_CODE = 1.72  # of the spectrogram


@torch.inference_mode()
def states(voice: Any, before: Tensor, codes: Sequence[int]) -> Tensor:
    """(1, n, width): of each code the state that predicts it, in upstream's second pass over a row."""
    layout = Layout(voice)
    said = layout.codes(torch.tensor(list(codes)), as_spoken=False)[:-1]
    found = layout.states(torch.cat([before, said])[None], use_cache=False).last_hidden_state
    normed: Tensor = voice.final_norm(found[:, len(before) :])
    return normed


@torch.inference_mode()
def samples(nets: Nets, codes: Sequence[int], told: Tensor, prompt: Prompt, *, seed: int) -> NDArray[np.float32]:
    """(n,) at 22.05 kHz of codes and their states (1, n, width), after and like `prompt`.

    Raises BadInput for more than upstream's flow takes at once.
    """
    device = told.device
    said = torch.tensor([[list(codes)]], device=device)
    content = nets.codec.quantizer.vq2emb(said).transpose(1, 2) + nets.s2mel.models["gpt_layer"](told)
    frames = torch.tensor([max(1, int(len(codes) * FRAMES_A_CODE))], device=device)
    condition = nets.s2mel.models["length_regulator"](content, ylens=frames, n_quantizers=3, f0=None)[0]
    whole = torch.cat([prompt.regulated, condition], dim=1)
    if whole.shape[1] > MEL_FRAMES:
        raise BadInput(
            f"The text takes {whole.shape[1]} frames of the spectrogram with its reference and {MEL_FRAMES} is the "
            "most; split it."
        )
    mel = _flow(nets.s2mel.models["cfm"], whole, prompt, seed)[:, :, prompt.mel.shape[2] :]
    wave: Tensor = nets.vocoder(mel.float())
    found: NDArray[np.float32] = wave.reshape(-1).float().clamp(-1, 1).cpu().numpy()
    return found


def _flow(cfm: Any, condition: Tensor, prompt: Prompt, seed: int) -> Tensor:
    """(1, 80, frames) of a condition (1, frames, width), by upstream's own solver."""
    device, frames = condition.device, condition.shape[1]
    noise = torch.randn((1, MELS, frames), generator=torch.Generator().manual_seed(seed))
    with contextlib.redirect_stderr(io.StringIO()):  # it draws a bar
        mel: Tensor = cfm.solve_euler(
            noise.to(device),
            torch.tensor([frames], device=device),
            prompt.mel,
            condition,
            prompt.conditioning.style[None].to(device),
            None,
            torch.linspace(0, 1, FLOW_STEPS + 1, device=device),
            GUIDANCE,
        )
    return mel
