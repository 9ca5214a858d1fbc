"""Upstream's own classes with the weights of a folder, mended where upstream relies on versions, and tested at once.

Knows three things that go wrong in silence: cached decoding with a mask of one token, which newer transformers take at
its word; weights that newer transformers load in 16 bits; and a tokenizer's stop tokens. Knows no training.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from engine.backends.cosyvoice import checkout, recipe
from engine.backends.cosyvoice.info import ModelFolder
from engine.backends.cosyvoice.recipe import Call
from engine.types import BadInput, Refused

# What upstream's yaml seeds before it builds: the vocoder keeps noise that is drawn while it is built.
BUILD_SEED = 1986
TOLERANCE = 1e-4  # between decoding with a cache and one forward pass, of the largest hidden state
UNISTREAM = (5, 10**9)  # a ratio that no example reaches: text first, then speech


@dataclass(frozen=True)
class Nets:
    """The three stages, frozen, in float32, for evaluation, on the main processor."""

    llm: nn.Module
    flow: nn.Module
    hift: nn.Module


def load(folder: ModelFolder, code: Path) -> Nets:
    """The nets of a folder. Raises BadInput for weights that are damaged, are missing or are too many, Refused when
    decoding with a cache does not give what one forward pass gives.
    """
    with checkout.importable(code), _seeded():
        nets = Nets(*(_built(folder, name) for name in ("llm", "flow", "hift")))
        for name, net in (("llm", nets.llm), ("flow", nets.flow), ("hift", nets.hift)):
            _fill(net, folder.path / f"{name}.pt")
    _mend(nets)
    for net in (nets.llm, nets.flow, nets.hift):
        net.eval().requires_grad_(False)
    check_cached_decoding(nets.llm)
    return nets


@contextmanager
def _seeded() -> Iterator[None]:
    import random

    import numpy as np

    random.seed(BUILD_SEED)
    np.random.seed(BUILD_SEED)
    torch.manual_seed(BUILD_SEED)
    yield


def _built(folder: ModelFolder, name: str) -> nn.Module:
    told = folder.told[name]
    if name == "llm":
        arguments = {**told.arguments, "llm": _with_path(told.arguments["llm"], folder.qwen)}
        told = Call(told.path, arguments, told.partial)
    try:
        net: nn.Module = recipe.build(told)
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        raise BadInput(
            f"The {name} of {folder.yaml} cannot be built ({error}): the checkout is older or newer than the weights; "
            "update it."
        ) from error
    return net.float()  # transformers 5 reads the language model in the 16 bits that it is stored in


def _with_path(encoder: Call, qwen: Path) -> Call:
    """The language model's folder is beside the weights, whatever the yaml says."""
    return Call(encoder.path, {**encoder.arguments, "pretrain_path": str(qwen)}, encoder.partial)


def _fill(net: nn.Module, path: Path) -> None:
    """All of a file into all of a net. Tensors alone are read of it: nothing in it is run."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # the unpickler raises whatever it meets
        raise checkout.damaged(path, error) from error
    if path.stem == "hift":
        state = {key.replace("generator.", ""): tensor for key, tensor in state.items()}
    state = {key: tensor for key, tensor in state.items() if key not in ("epoch", "step")}  # of a trainer's file
    try:
        lacking, strange = net.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise BadInput(f"{path} does not fit its yaml ({str(error)[:300]}); they are of two models.") from error
    tied = {key for key in lacking if key.endswith("lm_head.weight")}  # it is the embedding, and no loss uses it
    if wrong := sorted({*lacking} - tied) or sorted(strange):
        what = "lacks" if set(wrong) <= set(lacking) else "has"
        raise BadInput(
            f"{path} {what} {len(wrong)} weights that its yaml does not agree with, for example {wrong[0]}: they would "
            "be random, or left out. Download weights and yaml from one place."
        )


def _mend(nets: Nets) -> None:
    llm: Any = nets.llm
    llm.mix_ratio = list(UNISTREAM)
    # in training nobody asks for a cache, and layers computed twice would append to it twice
    llm.llm.model.config.use_cache = False
    llm.llm.forward_one_step = MethodType(_one_step, llm.llm)


def _one_step(encoder: Any, xs: Tensor, masks: Tensor, cache: Any = None) -> tuple[Tensor, Any]:
    """Upstream's `forward_one_step` with a mask as long as what is seen. Upstream's own is as long as what is new, and
    transformers from 4.52 on take that to mean that the rest is padding.
    """
    seen = (cache.get_seq_length() if cache is not None else 0) + xs.shape[1]
    told = encoder.model(
        inputs_embeds=xs,
        attention_mask=torch.ones(xs.shape[0], seen, dtype=torch.bool, device=xs.device),
        output_hidden_states=True,
        return_dict=True,
        use_cache=True,
        cache=cache,
    )
    return told.hidden_states[-1], told.cache


@torch.no_grad()
def check_cached_decoding(llm: Any, steps: int = 6) -> None:
    """Raises Refused when position by position is not the same as all at once: every word after the first would be
    drawn from noise, as with some versions of transformers.
    """
    width = llm.llm_input_size
    xs = torch.randn(1, steps + 2, width, generator=torch.Generator().manual_seed(0)).to(next(llm.parameters()).device)
    whole, _ = llm.llm(xs, torch.tensor([xs.shape[1]], device=xs.device))
    found, cache = [], None
    for begin, end in ((0, 2), *((i, i + 1) for i in range(2, steps + 2))):
        step, cache = llm.llm.forward_one_step(xs[:, begin:end], masks=None, cache=cache)
        found.append(step)
    off = (torch.cat(found, dim=1) - whole).abs().max() / whole.abs().max()
    if not off < TOLERANCE:
        import transformers

        raise Refused(
            f"Decoding with a cache is off by {off:.2g} of the largest value under transformers "
            f"{transformers.__version__}: speech would be garbled. Install the version that requirements.txt names."
        )
