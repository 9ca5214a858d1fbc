"""Tiny models of transformers' own speech classes with random weights, as folders that the real loaders read.

The classes, the processors and the codecs are the real ones; only widths, layers and vocabularies are small.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from engine import audio
from engine.types import Utterance

RATE = 24_000
TEXTS = (
    "The old lamp is warm.",
    "We walked home.",
    "Nine grey birds sat on the wall, and then they flew.",
    "Please close the door.",
)
CHARACTERS = " !',-.0123456789?ABCDEFGHIJKLMNOPQRSTUVWXYZ[]abcdefghijklmnopqrstuvwxyz"

# What the released checkpoints' templates do: voice, text, then the first audio position, after which a target may
# follow. The real template prepares the text, too.
POCKET_TEMPLATE = (
    "{%- for message in messages -%}{%- if message['role'] == 'user' -%}"
    "{%- for item in message['content'] -%}{%- if item['type'] == 'audio' -%}<voice_bos><voice>{%- endif -%}"
    "{%- endfor -%}"
    "{%- for item in message['content'] -%}{%- if item['type'] == 'text' -%}{{ item['text'] }}{%- endif -%}"
    "{%- endfor -%}<audio_bos>"
    "{%- else -%}{%- for item in message['content'] -%}<voice>{%- endfor -%}{%- endif -%}{%- endfor -%}"
)
CSM_TEMPLATE = (
    "{%- for message in messages -%}{%- for item in message['content'] -%}"
    "{%- if item['type'] == 'text' -%}<|begin_of_text|>[{{ message['role'] }}]{{ item['text'] }}<|end_of_text|>"
    "{%- elif item['type'] == 'audio' -%}<|AUDIO|><|audio_eos|>{%- endif -%}"
    "{%- endfor -%}{%- endfor -%}"
)

TINY_BACKBONE = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "latent_dim": 16,
    "max_position_embeddings": 400,
    "initializer_range": 0.2,
}
TINY_HEAD = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "latent_dim": 16,
    "condition_dim": 24,
    "frequency_embedding_size": 16,
}
TINY_CODEC = {
    "hidden_size": 16,
    "num_filters": 4,
    "num_hidden_layers": 1,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "upsample_groups": 16,
    "latent_dim": 16,
    "initializer_range": 0.1,
}


def write_pocket_tts(folder: Path, *, seed: int = 0, real_size: bool = False) -> Path:
    """A Pocket TTS of about 50 thousand weights, or as large as the real one (for measurements); its codec is in
    `audio_tokenizer/`, as people download it.
    """
    from transformers import (
        GenerationConfig,
        PocketTTSAudioTokenizerConfig,
        PocketTTSAudioTokenizerModel,
        PocketTTSConfig,
        PocketTTSFeatureExtractor,
        PocketTTSFlowHeadConfig,
        PocketTTSForConditionalGeneration,
        PocketTTSProcessor,
    )

    torch.manual_seed(seed)
    special = {
        "audio_prompt_token": "<voice>",
        "audio_latent_token": "<latent>",
        "audio_prompt_bos_token": "<voice_bos>",
        "audio_bos_token": "<audio_bos>",
    }
    tokenizer = _tokenizer(("<pad>", *special.values()), extra=special, pad="<pad>")
    ids = {f"{name}_id": tokenizer.convert_tokens_to_ids(token) for name, token in special.items()}
    config = PocketTTSConfig(
        vocab_size=max(len(tokenizer), 4004 if real_size else 0),
        pad_token_id=tokenizer.pad_token_id,
        flow_head_config=PocketTTSFlowHeadConfig(**({} if real_size else TINY_HEAD)),
        **({} if real_size else TINY_BACKBONE),
        **ids,
    )
    net = PocketTTSForConditionalGeneration(config)
    # As in a released checkpoint: trained statistics, and neither the loss weighting nor the counter.
    net.latent_mean.normal_(0.0, 0.1)
    net.latent_std.uniform_(0.8, 1.2)
    nn.init.normal_(net.model.bos_latent)
    nn.init.normal_(net.eos_head.weight, std=0.8)
    nn.init.constant_(net.eos_head.bias, -5.0)
    state = {name: tensor for name, tensor in net.state_dict().items() if not _is_training_only(name)}
    net.generation_config = GenerationConfig(
        return_dict_in_generate=True, min_frames_before_eos=2, pad_token_id=tokenizer.pad_token_id
    )
    net.save_pretrained(folder, state_dict=state)
    codec = PocketTTSAudioTokenizerModel(PocketTTSAudioTokenizerConfig(**({} if real_size else TINY_CODEC)))
    _quieten(codec.decoder)
    codec.save_pretrained(folder / "audio_tokenizer")
    processor = PocketTTSProcessor(
        PocketTTSFeatureExtractor(), tokenizer, audio_tokenizer=codec, chat_template=POCKET_TEMPLATE
    )
    processor.save_pretrained(folder)
    told = json.loads((folder / "processor_config.json").read_text())
    told["audio_tokenizer"]["audio_tokenizer_name_or_path"] = "somebody/pocket-tts-audio-tokenizer"
    (folder / "processor_config.json").write_text(json.dumps(told))
    return folder


def write_csm(folder: Path, *, seed: int = 0) -> Path:
    """A CSM of about 100 thousand weights with four codebooks; its codec, a Mimi, is among the weights."""
    from transformers import (
        CsmConfig,
        CsmDepthDecoderConfig,
        CsmForConditionalGeneration,
        CsmProcessor,
        EncodecFeatureExtractor,
        MimiConfig,
    )

    torch.manual_seed(seed)
    names = ("<pad>", "<|begin_of_text|>", "<|end_of_text|>", "<|AUDIO|>", "<|audio_eos|>")
    tokenizer = _tokenizer(names, extra={}, pad="<pad>")
    ids = dict(zip(names, tokenizer.convert_tokens_to_ids(list(names)), strict=True))
    shape = {
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 48,
        "num_codebooks": 4,
        "vocab_size": 35,
        "initializer_range": 0.15,
    }
    config = CsmConfig(
        **shape,
        hidden_size=24,
        text_vocab_size=len(tokenizer),
        max_position_embeddings=400,
        pad_token_id=ids["<pad>"],
        bos_token_id=ids["<|begin_of_text|>"],
        audio_token_id=ids["<|AUDIO|>"],
        audio_eos_token_id=ids["<|audio_eos|>"],
        codebook_pad_token_id=34,
        codebook_eos_token_id=0,
        depth_decoder_config=CsmDepthDecoderConfig(
            **shape, hidden_size=16, backbone_hidden_size=24, max_position_embeddings=5
        ).to_dict(),
        codec_config=MimiConfig(
            hidden_size=16,
            num_filters=4,
            num_hidden_layers=1,
            intermediate_size=32,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=8,
            codebook_size=32,
            codebook_dim=8,
            num_quantizers=4,
            upsample_groups=16,
            vector_quantization_hidden_dimension=8,
            initializer_range=0.1,
        ).to_dict(),
    )
    net = CsmForConditionalGeneration(config)
    nn.init.normal_(net.lm_head.weight, std=3.0)  # sure of itself, so that its own words are likely ones
    nn.init.normal_(net.depth_decoder.codebooks_head.weight, std=3.0)
    net.lm_head.weight.data[32:] = 0  # ids beyond the codec's codes, which a trained model never says
    net.depth_decoder.codebooks_head.weight.data[:, :, 32:] = 0
    for quantizer in net.codec_model.quantizer.modules():  # a fresh codebook is all zeros
        if hasattr(quantizer, "embed_sum"):
            quantizer.embed_sum.normal_()
    _quieten(net.codec_model.decoder)
    net.save_pretrained(folder)
    CsmProcessor(
        EncodecFeatureExtractor(feature_size=1, sampling_rate=RATE), tokenizer, chat_template=CSM_TEMPLATE
    ).save_pretrained(folder)
    return folder


def write_dia(folder: Path, *, seed: int = 0) -> Path:
    """A Dia of about 30 thousand weights with three channels; its codec, a DAC, is in `audio_tokenizer/`."""
    from transformers import (
        DacConfig,
        DacModel,
        DiaConfig,
        DiaFeatureExtractor,
        DiaForConditionalGeneration,
        DiaProcessor,
        DiaTokenizer,
        GenerationConfig,
    )

    torch.manual_seed(seed)
    shape = {
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 12,
        "intermediate_size": 48,
        "initializer_range": 0.15,
    }
    across = {"cross_num_attention_heads": 2, "cross_head_dim": 12, "cross_num_key_value_heads": 2}
    marks = {"eos_token_id": 32, "pad_token_id": 33, "bos_token_id": 34}
    config = DiaConfig(
        encoder_config={**shape, "num_key_value_heads": 2, "max_position_embeddings": 120},
        decoder_config={
            **shape, **across, **marks, "cross_hidden_size": 24, "vocab_size": 36, "num_channels": 3,
            "max_position_embeddings": 200,
        },
        delay_pattern=[0, 2, 3],
        initializer_range=0.15,
    )  # fmt: skip
    net = DiaForConditionalGeneration(config)
    nn.init.normal_(net.logits_dense.weight, std=3.0)  # sure of itself, so that its own words are likely ones
    net.logits_dense.weight.data.view(3, 36, 24)[:, 32:] = 0  # the end and marks, which it never says by chance
    net.generation_config = GenerationConfig(guidance_scale=1.5, **marks)
    net.save_pretrained(folder)
    codec = DacModel(
        DacConfig(
            encoder_hidden_size=4,
            downsampling_ratios=[8, 8, 8, 4],
            decoder_hidden_size=32,
            n_codebooks=3,
            codebook_size=32,
            codebook_dim=4,
            sampling_rate=44_100,
        )
    )
    _carry_codes(codec)
    codec.save_pretrained(folder / "audio_tokenizer")
    extractor = DiaFeatureExtractor(sampling_rate=44_100, hop_length=2048)
    DiaProcessor(extractor, DiaTokenizer(), codec).save_pretrained(folder)
    return folder


def make_utterances(folder: Path, texts: Sequence[str] = TEXTS, *, seconds: float = 0.9) -> list[Utterance]:
    """Short buzzing recordings at the codecs' rate, each of another pitch and length."""
    folder.mkdir(parents=True, exist_ok=True)
    utterances = []
    for index, text in enumerate(texts):
        length = seconds + 0.1 * index
        time = np.arange(round(length * RATE)) / RATE
        wave = sum(np.sin(2 * np.pi * (110 + 20 * index) * k * time) / k for k in range(1, 9))
        noise = np.random.default_rng(index).normal(0, 0.05, len(time))
        path = folder / f"{index:03d}.wav"
        audio.write(path, (0.1 * wave * (0.6 + 0.4 * np.sin(9 * time)) + 0.05 * noise).astype(np.float32), RATE)
        utterances.append(Utterance(id=f"u{index}", audio_path=path, text=text, duration_sec=length, sample_rate=RATE))
    return utterances


def _tokenizer(special: Sequence[str], *, extra: dict[str, str], pad: str) -> object:
    """A character a token, with the special tokens that a model names."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: index for index, token in enumerate([*special, "<unk>", *CHARACTERS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    made.add_special_tokens(list(special))
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=pad, unk_token="<unk>", extra_special_tokens=extra or None
    )


def _quieten(decoder: nn.Module) -> None:
    """Keep a random decoder's samples away from their limits, where clipping would hide differences."""
    last = [module for module in decoder.modules() if isinstance(module, nn.Conv1d)][-1]
    last.weight.data *= 0.02


def _carry_codes(codec: nn.Module) -> None:
    """Let a random DAC's sound depend on its codes: fresh, it is its biases' hum, whatever they are."""
    for name, module in codec.named_modules():
        if name.startswith("decoder.") and isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            module.weight.data *= 5
        if name.endswith("out_proj"):
            module.weight.data *= 10  # type: ignore[operator]


def _is_training_only(name: str) -> bool:
    return name.startswith("loss_weighting.") or name == "latent_stats_num_updates"
