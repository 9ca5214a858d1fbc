"""What tells transformers' own speech models apart before one is loaded: names of parts, Linears that get an adapter,
and what a layer keeps in memory.

Knows the classes of transformers by what their configs say; reads no files, and imports neither torch nor transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.backends import sizes

POCKET_TTS, CSM, DIA = "pocket_tts", "csm", "dia"
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
DEPTH_SHARE = 16  # CSM's depth decoder is trained on one frame in so many, as its authors do it
DEPTH_LEAST = 8  # and on so many frames a clip at least
FRAMES_A_TOKEN = 0.5  # of a sequence, what is audio: the rest is text


@dataclass(frozen=True, kw_only=True)
class Family:
    """One class of transformers: what Earmark calls its parts and which Linears get an adapter.

    `net`, `processor`, `extractor` and `codec` are names of classes; without a `codec` it is inside the net.
    `tokenizer` is the file without which there is none. Where `text_apart`, the text has positions of its own.
    """

    name: str
    title: str
    targets: Mapping[str, tuple[str, ...]]  # by part, in the order they run
    languages: tuple[str, ...]
    net: str
    processor: str
    extractor: str
    codec: str = ""
    codec_type: str = ""  # by its config
    tokenizer: str = "tokenizer.json"
    has_template: bool = True
    text_apart: bool = False
    temperature: float = 1.0  # where its generation_config.json does not say

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.targets)


FAMILIES: Mapping[str, Family] = {
    POCKET_TTS: Family(
        name=POCKET_TTS,
        title="Pocket TTS",
        # never all Linears: `loss_weighting` is one of training alone
        targets={"lm": (*ATTENTION, "fc1", "fc2"), "flow": ("fc1", "fc2")},
        languages=(),
        net="PocketTTSForConditionalGeneration",
        processor="PocketTTSProcessor",
        extractor="PocketTTSFeatureExtractor",
        codec="PocketTTSAudioTokenizerModel",
        codec_type="pocket_tts_audio_tokenizer",
        temperature=0.7,
    ),
    CSM: Family(
        name=CSM,
        title="CSM",
        targets={"lm": ATTENTION, "depth": ATTENTION},
        languages=("en",),
        net="CsmForConditionalGeneration",
        processor="CsmProcessor",
        extractor="EncodecFeatureExtractor",
    ),
    DIA: Family(
        name=DIA,
        title="Dia",
        targets={"lm": ATTENTION, "text": ATTENTION},
        languages=("en",),
        net="DiaForConditionalGeneration",
        processor="DiaProcessor",
        extractor="DiaFeatureExtractor",
        codec="DacModel",
        codec_type="dac",
        tokenizer="tokenizer_config.json",  # it has a token a byte and needs no vocabulary
        has_template=False,
        text_apart=True,
    ),
}


def part_of(name: str, key: str) -> str:
    """The part that a weight belongs to; "" for what is never trained. CSM's codebook embedding is one tensor under two
    names, and the backbone's.
    """
    if key.endswith(".freqs"):  # of the flow's times: no weights
        return ""
    if name == POCKET_TTS:
        return "lm" if key.startswith(("model.", "eos_head.")) else "flow" if key.startswith("flow_head.") else ""
    if name == DIA:
        return "text" if key.startswith("model.encoder.") else "" if key.endswith(".offsets") else "lm"
    if key.startswith(("backbone_model.", "lm_head.", "embed_text_tokens.", "depth_decoder.model.embed_tokens.")):
        return "lm"
    return "depth" if key.startswith("depth_decoder.") else ""


def saves(name: str, config: Mapping[str, Any]) -> dict[str, tuple[float, sizes.Saved]]:
    """Of each part, positions a token of the batch and what one of them keeps. Raises KeyError, TypeError or ValueError
    for a config that is damaged.
    """
    return {POCKET_TTS: _pocket_saves, CSM: _csm_saves, DIA: _dia_saves}[name](config)


def _pocket_saves(config: Mapping[str, Any]) -> dict[str, tuple[float, sizes.Saved]]:
    """Of each part, positions a token and what one of them keeps. The backbone's feed-forward has no gate: half of a
    gated one's. The flow head runs for every frame and noise draw, differentiated forward as well, and the backbone's
    gradients come through it: about 60 widths a block for that, and 50 to 60 more where it is trained itself (by the
    peak of real training steps at the real size, with random weights).
    """
    head = config["flow_head_config"]
    once = int(head.get("num_hidden_layers", 6)) * int(head.get("hidden_size", 512))
    draws = FRAMES_A_TOKEN * float(config.get("flow_loss_num_samples", 4))
    lm = sizes.transformer(
        layers=int(config.get("num_hidden_layers", 6)),
        width=int(config.get("hidden_size", 1024)),
        feed_forward=int(config.get("intermediate_size", 4096)) // 2,
        outputs=0,
    )
    return {
        "lm": (1.0, replace(lm, outputs=round(draws * 60 * once))),
        "flow": (draws, sizes.Saved(trained=60 * once, frozen=50 * once)),
    }


def _csm_saves(config: Mapping[str, Any]) -> dict[str, tuple[float, sizes.Saved]]:
    """The depth decoder sees a sequence of all codebooks for one frame in `DEPTH_SHARE`; the backbone's gradients come
    through it, too.
    """
    codebooks = int(config.get("num_codebooks") or 32)
    positions = FRAMES_A_TOKEN * (codebooks + 1) / DEPTH_SHARE
    depth = _stack(config["depth_decoder_config"], (4, 1024, 8192))
    lm = _stack(config, (16, 2048, 8192))
    through = round(positions * (depth.frozen + depth.outputs))
    return {"lm": (1.0, replace(lm, outputs=lm.outputs + through)), "depth": (positions, depth)}


def _dia_saves(config: Mapping[str, Any]) -> dict[str, tuple[float, sizes.Saved]]:
    """Text and audio are apart, so that a token of the batch is a position of one of the two. A decoder layer has a
    second attention, over the text: 5 widths more, or 2 with frozen weights.
    """
    decoder = config.get("decoder_config") or {}
    channels = int(decoder.get("num_channels", 9))
    layers, width = int(decoder.get("num_hidden_layers", 18)), int(decoder.get("hidden_size", 2048))
    lm = _stack({**decoder, "vocab_size": channels * int(decoder.get("vocab_size", 1028))}, (18, 2048, 8192))
    crossed = replace(
        lm,
        trained=lm.trained + 5 * layers * width,
        frozen=lm.frozen + 2 * layers * width,
        layer=lm.layer + 5 * width,
    )
    text = replace(_stack(config.get("encoder_config") or {}, (12, 1024, 4096)), outputs=0)
    return {"lm": (1.0, crossed), "text": (1.0, text)}


def _stack(config: Mapping[str, Any], defaults: tuple[int, int, int]) -> sizes.Saved:
    layers, width, feed_forward = defaults
    return sizes.transformer(
        layers=int(config.get("num_hidden_layers", layers)),
        width=int(config.get("hidden_size", width)),
        feed_forward=int(config.get("intermediate_size", feed_forward)),
        outputs=int(config.get("vocab_size", 2051)),
    )
