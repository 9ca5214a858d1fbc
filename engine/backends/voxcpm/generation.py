"""One row spoken by upstream's own generation, with the seed of the row and nothing else.

Knows the arguments of `_generate_with_prompt_cache`, and how its end is told from being cut off. Knows no adapters.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.backends.drawn_rows import OnStep
from engine.types import BadInput, Stop

# Upstream's own settings. Its default retries what is too long with the next noise, which would make a clip another
# one than its seed says.
GUIDANCE, DIFFUSION_STEPS, LEAST_PATCHES = 2.0, 10, 2
# At 6.25 patches a second and two to four text tokens a second a token takes about two patches. Upstream cuts at 6 a
# token and 10, which is what a max_factor of 3 gives.
PATCHES_A_TOKEN, SPARE_PATCHES = 2.0, 10


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """Samples (n,), the latent patches (t, patch, dim) that they were decoded from, and how it ended."""

    samples: NDArray[np.float32]
    patches: Tensor
    stop: Stop


def clean(text: str) -> str:
    """As upstream's `VoxCPM.generate` does it."""
    return re.sub(r"\s+", " ", text).strip()


def speak(
    net: Any,
    text: str,
    prompt: Mapping[str, Any] | None,
    *,
    seed: int,
    max_factor: float,
    on_step: OnStep | None = None,
) -> Spoken:
    """Say `text`, after or like `prompt` (upstream's prompt cache), in single precision. Its noise follows `seed`
    alone, as after `torch.manual_seed(seed)`; the global generators are left as they were.

    Raises BadInput for a text that is empty or longer than the model's positions.
    """
    tokens = len(net.text_tokenizer(text))
    if not tokens:
        raise BadInput(f"The text {text!r} has nothing to say; give it words.")
    ratio = PATCHES_A_TOKEN * max_factor
    cap = int(tokens * ratio + SPARE_PATCHES)
    _must_fit(net, text, prompt, cap)
    ends = _Ends(net.stop_head, cap, on_step)
    devices = [net.device] if str(net.device).startswith("cuda") else []
    try:
        with torch.random.fork_rng(devices), torch.autocast(_kind(net), enabled=False):
            torch.manual_seed(seed)
            decoded, _, patches = net.generate_with_prompt_cache(
                target_text=text,
                prompt_cache=prompt,
                min_len=LEAST_PATCHES,
                max_len=cap,
                inference_timesteps=DIFFUSION_STEPS,
                cfg_value=GUIDANCE,
                retry_badcase=False,
                retry_badcase_ratio_threshold=ratio,
            )
    finally:
        ends.detach()
    samples = decoded.squeeze(0).float().clamp(-1, 1).numpy()
    # it looks at the answer from the fourth patch on
    ended = ends.said and len(patches) > LEAST_PATCHES + 1
    return Spoken(samples=samples, patches=patches.float().clone(), stop=Stop.EOS if ended else Stop.CAP)


class _Ends:
    """Listens to the stop head: what it said last tells an end from a cut. Upstream returns the same for both. It
    speaks once a patch, which is a step.
    """

    def __init__(self, head: nn.Module, cap: int, on_step: OnStep | None) -> None:
        self.said = False
        self._cap, self._on_step = cap, on_step
        self._patches = itertools.count()
        self._handle = head.register_forward_hook(self._listen)

    def _listen(self, _head: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.said = int(output.argmax(dim=-1)[0]) == 1
        if self._on_step is not None:
            self._on_step(next(self._patches), self._cap)

    def detach(self) -> None:
        self._handle.remove()


def _must_fit(net: Any, text: str, prompt: Mapping[str, Any] | None, cap: int) -> None:
    before = sum(
        len(found) + 2 for key in ("ref_audio_feat", "audio_feat") if (found := (prompt or {}).get(key)) is not None
    )
    spoken = len(net.text_tokenizer((prompt or {}).get("prompt_text", "") + text)) + 1
    if before + spoken + cap > net.config.max_length:
        raise BadInput(
            f"The text {text[:40]!r}… is too long to be said in one go: with its audio it may take "
            f"{math.ceil(before + spoken + cap)} positions and the model has {net.config.max_length}; split it into "
            "chunks, or shorten the reference."
        )


def _kind(net: Any) -> str:
    return str(torch.device(net.device).type)
