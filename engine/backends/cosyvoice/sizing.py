"""How large CosyVoice is, before it is loaded: tensors counted in its weights, and what its parts keep for a step.

Knows how the shapes in upstream's files are read without their numbers: torch, asked for tensors alone, maps the file
and runs nothing in it. Knows no run. What the flow keeps is counted a block of attention, whatever its name.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.backends import sizes
from engine.backends.cosyvoice import checkout
from engine.types import BadInput

CHARACTERS_A_SECOND = 17.0  # at most one text token each
OUTPUTS_A_MEL = 3  # velocity, its target, their difference
# Of version 1's language model, whose attention keeps its scores: with 50 tokens a second a clip of 10 s and its text.
SCORED_POSITIONS = 600
HEAD = 64  # numbers of a head, in all of upstream's models


def size(
    weights: Sequence[Path],
    config: Path | None,
    *,
    targets: Mapping[str, tuple[str, ...]],
    token_rate: int,
    mel_ratio: float,
) -> sizes.ModelSize:
    """Sizes of language model and flow; the vocoder is beside them and never trained. The ears, which stay in the
    machine's memory, are not counted. `weights` are the three files in this order, `config` is the language model's
    where it is Qwen2. Raises BadInput for one that cannot be read.
    """
    llm, flow, hift = (_shapes(path) for path in weights)
    flow = {key: shape for key, shape in flow.items() if not key.endswith("inv_freq")}  # rotations: never trained
    if config is None:
        spoken = own_saves(llm, CHARACTERS_A_SECOND / (token_rate + CHARACTERS_A_SECOND))
    else:
        llm, spoken = _qwen_saves(llm, config)
    return sizes.ModelSize(
        parts=(
            _part("llm", llm, targets["llm"], spoken, 1.0),
            _part("flow", flow, targets["flow"], flow_saves(flow), mel_ratio),
        ),
        frozen_parameters=sum(sizes.numbers(hift)),
        bytes_a_weight=4,
        tokens_a_second=token_rate + CHARACTERS_A_SECOND,
        feature_bytes_a_second=math.ceil(4 * token_rate * (1 + mel_ratio * 80)),
    )


def _qwen_saves(found: sizes.Shapes, config: Path) -> tuple[sizes.Shapes, sizes.Saved]:
    """The language model's tensors, each counted once, and what it keeps a position."""
    told = _qwen(config)
    if told.get("tie_word_embeddings"):  # a file may hold the same numbers twice
        found = {key: shape for key, shape in found.items() if not key.endswith("lm_head.weight")}
    try:
        return found, sizes.transformer(
            layers=int(told["num_hidden_layers"]),
            width=int(told["hidden_size"]),
            feed_forward=int(told["intermediate_size"]),
            outputs=found["llm_decoder.weight"][0],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{config} is damaged ({error!r}); download the model again.") from error


def own_saves(found: sizes.Shapes, text_share: float) -> sizes.Saved:
    """Numbers that version 1's language model keeps a position, of which `text_share` are text and pass its encoder.

    A layer keeps both norms' inputs and outputs (4 widths), queries with each of two biases, keys, values and the
    attention's output (5), distances of both directions before and after their Linear (4), two masks of dropout (2),
    and the feed-forward's inner width three times; of scores it keeps two matrices, before and after what is hidden is
    left out. With frozen weights, inputs of Linears are not needed again.
    """
    trained = frozen = boundary = layer = 0.0
    for key, shape in found.items():
        if not key.endswith("self_attn.linear_q.weight"):
            continue
        share = text_share if key.startswith("text_encoder.") else 1.0
        wide, forward = shape[1], _forward(found, key.rsplit(".", 3)[0])
        scores = 2 * shape[0] // HEAD * SCORED_POSITIONS
        layer = 15 * wide + 3 * forward + scores
        trained += share * layer
        frozen += share * (10 * wide + 2 * forward + scores)
        boundary += share * wide
    return sizes.Saved(
        trained=math.ceil(trained),
        frozen=math.ceil(frozen),
        layer=math.ceil(layer),
        boundary=math.ceil(boundary),
        outputs=2 * found["llm_decoder.weight"][0],
    )


def flow_saves(found: sizes.Shapes) -> sizes.Saved:
    """Numbers that the flow keeps a frame.

    A block of attention keeps, beside queries, keys, values and the attention's output twice, both norms' inputs and
    outputs, both gates' and Linears' inputs and a mask of dropout (8 widths), and the feed-forward's inner width three
    times (before and after its nonlinearity, and a mask). With frozen weights, inputs of Linears and gates are not
    needed again. A convolution keeps its input and, with a norm behind it, its output twice, also where layers are
    computed twice: it is none of them. What comes before version 2's upsampling sees tokens, of which there are half as
    many. Score matrices are left out: they grow with a clip's square.
    """
    trained = frozen = boundary = layer = 0.0
    for key, shape in found.items():
        share = 0.5 if key.startswith("encoder.encoders.") or "pre_lookahead_layer" in key else 1.0
        if key.endswith((".to_q.weight", ".linear_q.weight")):
            inner, wide, forward = *shape, _forward(found, key.rsplit(".", 3)[0])
            kept = share * (8 * wide + 5 * inner + 3 * forward)
            trained += kept
            frozen += share * (3 * wide + 4 * inner + 2 * forward)
            layer = max(layer, kept)
            boundary += share * wide
        elif len(shape) == 3:
            trained += share * (shape[1] + 2 * shape[0])
            frozen += share * 2 * shape[0]
            boundary += share * (shape[1] + 2 * shape[0])
    return sizes.Saved(
        trained=math.ceil(trained),
        frozen=math.ceil(frozen),
        layer=math.ceil(layer),
        boundary=math.ceil(boundary),
        outputs=OUTPUTS_A_MEL * 80,
    )


def _forward(found: sizes.Shapes, block: str) -> int:
    """The inner width of a block's feed-forward; 0 for one without."""
    own = [shape[0] for key, shape in found.items() if key.startswith((f"{block}.ff.", f"{block}.feed_forward."))]
    return max(own, default=0)


def _part(
    name: str, found: sizes.Shapes, targets: tuple[str, ...], saved: sizes.Saved, positions: float
) -> sizes.PartSize:
    return sizes.PartSize(
        name=name,
        tensors=sizes.numbers(found),
        linears=_linears(found),
        targets=targets,
        saved=saved,
        positions_a_token=positions,
    )


def _linears(found: sizes.Shapes) -> dict[str, tuple[tuple[int, int], ...]]:
    """As `sizes.linears`; the first of a list has the list's name before its own, `to_out.0`, as its adapters have."""
    named = {key.replace(".to_out.0.", ".to_out/0."): shape for key, shape in found.items()}
    return {name.replace("/", "."): shapes for name, shapes in sizes.linears(named).items()}


def _shapes(path: Path) -> sizes.Shapes:
    """Of every tensor in a file of torch's, by name, without its numbers."""
    import torch

    try:
        mapped = zipfile.is_zipfile(path)  # files of old are read whole
        state: Mapping[str, Any] = torch.load(path, map_location="meta", weights_only=True, mmap=mapped)
    except FileNotFoundError:
        raise
    except Exception as error:  # the unpickler raises whatever it meets
        raise checkout.damaged(path, error) from error
    return {key: tuple(value.shape) for key, value in state.items() if isinstance(value, torch.Tensor)}


def _qwen(path: Path) -> Mapping[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise checkout.damaged(path, error) from error
    return told if isinstance(told, dict) else {}
