"""Upstream's own classes with the weights of a folder, and the proof that they were loaded right.

Knows the versions that go together, what upstream loads without a word when it does not fit, and that decoding with a
cache must give what one pass gives. Knows no training.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.backends.indextts2 import checkout, info
from engine.backends.indextts2.info import ModelFolder
from engine.backends.indextts2.layout import Layout
from engine.types import BadInput, NotFound, Refused

TRANSFORMERS = ("4.52.1",)  # versions that upstream's copy of its GPT-2 and generation code goes with
STYLE_SIZE, MELS = 192, 80
MEL_FRAMES = 8192  # that the flow's mask is made for, as upstream asks it: 95 s of reference and speech
# What of upstream's class is trained and spoken with; the rest hears references, whose answers are kept.
TRAINED = (
    "text_embedding",
    "mel_embedding",
    "gpt",
    "mel_pos_embedding",
    "text_pos_embedding",
    "final_norm",
    "text_head",
    "mel_head",
    "speed_emb",
)
POSITIONS, TOLERANCE = 6, 1e-3  # of the check of the cache: enough to see a wrong position, and rounding


@dataclass(frozen=True)
class Nets:
    """The stages that speak, frozen, in float32, for evaluation. `emotions` and `speakers` are upstream's tables, an
    emotion an entry: vectors (n, width), and the styles (n, 192) of their speakers.
    """

    voice: Any  # UnifiedVoice
    s2mel: Any
    codec: Any
    vocoder: Any
    emotions: tuple[Tensor, ...] = ()
    speakers: tuple[Tensor, ...] = ()


def must_be_usable() -> None:
    """Raises NotFound without transformers, Refused for a version that upstream's copies do not go with."""
    try:
        version = metadata.version("transformers")
    except metadata.PackageNotFoundError as error:
        raise NotFound(f"transformers is not installed here; {checkout.INSTALL}") from error
    versions_must_fit(version)


def versions_must_fit(transformers: str) -> None:
    """Raises Refused for a version that was not tried."""
    if transformers not in TRANSFORMERS:
        raise Refused(
            f"IndexTTS2 goes with transformers {' or '.join(TRANSFORMERS)} and {transformers} is installed: its copies "
            f"of that library's code fail with others; {checkout.INSTALL}"
        )


def load(folder: ModelFolder, code: Path, device: str) -> Nets:
    """The nets of a folder on `device`. Raises BadInput for weights that are damaged, lack something or are of another
    model, Refused for versions that do not go together or when decoding with a cache is not one forward pass.
    """
    must_be_usable()
    with checkout.importable(code), torch.random.fork_rng(), _quietly():
        nets = Nets(
            voice=_voice(folder),
            s2mel=_s2mel(folder),
            codec=_codec(folder),
            vocoder=_vocoder(folder),
            **_tables(folder, device),
        )
    for net in (nets.voice, nets.s2mel, nets.codec, nets.vocoder):
        net.float().to(device).eval().requires_grad_(False)
    nets.s2mel.models["cfm"].estimator.setup_caches(max_batch_size=1, max_seq_length=MEL_FRAMES)
    must_be_sound(nets.voice)
    return nets


@contextlib.contextmanager
def _quietly() -> Any:
    """Upstream prints what it loads."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def attributes(told: Any) -> Any:
    """Nested settings whose entries are attributes too, as upstream's classes want them."""
    from munch import munchify

    return munchify(told)


# ------------------------------------------------------------------------------------------------------------- the nets
def _voice(folder: ModelFolder) -> nn.Module:
    told = {**folder.told["gpt"], "checkpointing": False}  # it would drop the cache; `checkpointed_layers` offers it
    net: nn.Module = _made(
        folder, "gpt", lambda: checkout.named("indextts.gpt.model_v2", "UnifiedVoice")(**attributes(told))
    )
    path = folder.file("gpt_checkpoint")
    state = read_tensors(path)
    _fill(net, state.get("model", state), path)
    return net


def _s2mel(folder: ModelFolder) -> nn.Module:
    net: Any = _made(
        folder,
        "s2mel",
        lambda: checkout.named("indextts.s2mel.modules.commons", "MyModel")(
            attributes(folder.told["s2mel"]), use_gpt_latent=True
        ),
    )
    width, first = int(folder.told["gpt"]["model_dim"]), net.models["gpt_layer"][0]
    if first.in_features != width:  # upstream writes down the width of its only GPT
        net.models["gpt_layer"][0] = nn.Linear(width, first.out_features)
    path = folder.file("s2mel_checkpoint")
    whole = read_tensors(path).get("net")
    if not isinstance(whole, Mapping):
        raise BadInput(f"{path} holds no nets; download the model again.")
    for name, module in net.models.items():
        told = {key.removeprefix("module."): tensor for key, tensor in whole.get(name, {}).items()}
        # Upstream leaves random what is missing or of another shape, and drops the rest; dropping is harmless.
        own = {key: tensor for key, tensor in told.items() if key in module.state_dict()}
        _fill(module, own, path, name)
    return net  # type: ignore[no-any-return]


def _codec(folder: ModelFolder) -> nn.Module:
    from safetensors.torch import load_file

    net: nn.Module = _made(
        folder,
        "semantic_codec",
        lambda: checkout.named("indextts.utils.maskgct.models.codec.kmeans.repcodec_model", "RepCodec")(
            cfg=attributes(folder.told["semantic_codec"])
        ),
    )
    path = folder.path / info.CODEC_FILE
    try:
        state = load_file(str(path))
    except Exception as error:  # the reader raises a class of its own
        raise checkout.damaged(path, error) from error
    _fill(net, state, path)
    return net


def _vocoder(folder: ModelFolder) -> nn.Module:
    package = "indextts.s2mel.modules.bigvgan"
    settings = checkout.named(f"{package}.env", "AttrDict")
    config, weights = (folder.path / name for name in info.VOCODER_FILES)
    try:
        told = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise checkout.damaged(config, error) from error
    net: Any = _made(
        folder,
        "vocoder",
        lambda: checkout.named(f"{package}.bigvgan", "BigVGAN")(settings(told), use_cuda_kernel=False),
    )
    state = read_tensors(weights).get("generator", {})
    if any(key.endswith("weight_g") for key in state):
        _fill(net, state, weights)
        net.remove_weight_norm()
    else:
        net.remove_weight_norm()
        _fill(net, state, weights)
    return net  # type: ignore[no-any-return]


def _tables(folder: ModelFolder, device: str) -> dict[str, tuple[Tensor, ...]]:
    """Upstream's emotions and their speakers, divided by emotion."""
    found = {}
    counts = [int(number) for number in folder.told["emo_num"]]
    for name, key in (("emotions", "emo_matrix"), ("speakers", "spk_matrix")):
        path = folder.file(key)
        table = read_tensors(path)
        if not isinstance(table, Tensor) or len(table) != sum(counts):
            raise BadInput(
                f"{path} has not the {sum(counts)} rows that the config's emo_num counts; download it again."
            )
        found[name] = tuple(torch.split(table.float().to(device), counts))
    return found


def _made(folder: ModelFolder, what: str, make: Any) -> Any:
    try:
        return make()
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        raise BadInput(
            f"The {what} of {folder.path / info.CONFIG_FILE} cannot be built ({error!r}): the checkout is older or "
            "newer than the weights, or the config is damaged."
        ) from error


def read_tensors(path: Path) -> Any:
    """What a file of upstream's holds. Tensors alone are read of it: nothing in it is run."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises whatever it meets
        raise checkout.damaged(path, error) from error


def _fill(net: nn.Module, state: Mapping[str, Tensor], path: Path, what: str = "") -> None:
    try:
        lacking, strange = net.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise BadInput(f"{path} does not fit its config ({str(error)[:300]}); they are of two models.") from error
    if wrong := sorted({*lacking} - {name for name, _ in net.named_buffers()}) or sorted(strange):
        verb = "lacks" if set(wrong) <= set(lacking) else "has"
        where = f" of {what}" if what else ""
        raise BadInput(
            f"{path} {verb} {len(wrong)} weights{where} that its config does not agree with, for example {wrong[0]}: "
            "they would be random, or left out. Download weights and config from one place."
        )


# --------------------------------------------------------------------------------------------------------------- checks
def must_be_sound(voice: Any) -> None:
    """Raises Refused for a GPT whose decoding step by step does not give what one pass gives."""
    difference = _cache_difference(voice)
    if not difference <= TOLERANCE:
        raise Refused(
            f"Decoding step by step and in one pass differ by {difference:.2g} of the answer: with these versions of "
            f"the libraries every voice would be wrong; {checkout.INSTALL}"
        )


@torch.inference_mode()
def _cache_difference(voice: Any) -> float:
    """How far the last state of a cached pass is from a full one's, as a share of it."""
    layout = Layout(voice)
    inputs = voice.mel_embedding.weight[:POSITIONS][None]
    full = layout.states(inputs, use_cache=False).last_hidden_state[0, -1]
    cache = layout.empty_cache()
    for position in range(POSITIONS):
        mask = torch.ones(1, position + 1, dtype=torch.long, device=inputs.device)
        step = inputs[:, position : position + 1]
        found = layout.states(step, mask, past_key_values=cache, use_cache=True).last_hidden_state
    return float((found[0, -1] - full).norm() / full.norm())
