"""Upstream's own classes with the weights of a folder, mended where upstream relies on versions, and tested at once.

Knows what goes wrong in silence: cached decoding with a mask of one token, as upstream has it, which newer transformers
take at its word; weights that newer transformers load in 16 bits. Knows no training.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.backends.cosyvoice import checkout, recipe, steps
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
    if name == "llm" and folder.qwen:
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
    for net in (nets.llm, nets.flow):
        positions: Iterable[Any] = net.modules()
        for module in positions:
            if hasattr(module, "extend_pe"):
                module.extend_pe = functools.partial(_kept_for_training, module.extend_pe)
    if hasattr(llm, "mix_ratio"):
        llm.mix_ratio = list(UNISTREAM)
        # in training nobody asks for a cache, and layers computed twice would append to it twice
        llm.llm.model.config.use_cache = False


def _kept_for_training(extend: Any, x: Tensor) -> None:
    """Upstream's positions are made, or moved to the device, when they are first needed. Where that is while speaking,
    torch would not let a training use them afterwards.
    """
    with torch.inference_mode(False):
        extend(x)


def layers(llm: Any) -> tuple[nn.Module, ...]:
    """The layers of a language model, those of version 1's encoder of texts first."""
    if hasattr(llm, "text_encoder"):
        return (*llm.text_encoder.encoders, *llm.llm.encoders)
    return tuple(llm.llm.model.model.layers)


def flow_layers(flow: Any) -> tuple[nn.Module, ...]:
    """The layers of a flow: its encoder's, where it has one, and each block of attention of its estimator. What lies
    between them in versions 1 and 2, convolutions, is none.
    """
    encoder, estimator = getattr(flow, "encoder", None), flow.decoder.estimator
    found = [*getattr(encoder, "encoders", ()), *getattr(encoder, "up_encoders", ())]
    found += getattr(estimator, "transformer_blocks", ())
    for stages in ("down_blocks", "mid_blocks", "up_blocks"):
        found += (block for stage in getattr(estimator, stages, ()) for block in stage[1])
    return tuple(found)


@torch.no_grad()
def check_cached_decoding(llm: Any, positions: int = 8) -> None:
    """Raises Refused when position by position is not the same as all at once: every word after the first would be
    drawn from noise, as with some versions of transformers.
    """
    width = llm.llm_input_size
    xs = torch.randn(1, positions, width, generator=torch.Generator().manual_seed(0)).to(next(llm.parameters()).device)
    whole, _ = llm.llm(xs, torch.tensor([positions], device=xs.device))
    following = steps.begun(llm, torch.ones(1, 2, dtype=torch.long, device=xs.device))
    found = [following.forward(xs[:, begin:end]) for begin, end in pairwise((0, *range(2, positions + 1)))]
    off = (torch.cat(found, dim=1) - whole).abs().max() / whole.abs().max()
    if not off < TOLERANCE:
        import transformers

        raise Refused(
            f"Decoding with a cache is off by {off:.2g} of the largest value under transformers "
            f"{transformers.__version__}: speech would be garbled. Install the version that requirements.txt names."
        )
