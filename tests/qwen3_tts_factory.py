"""A tiny Qwen3-TTS of the real classes with random weights, as a folder like the one that people download.

Needs the `qwen_tts` package, which has an environment of its own; only `make` does, and only when it is called.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from engine import audio
from engine.types import Utterance

NAME = "qwen3_tts"
CODES, GROUPS, WIDTH, TEXT_WIDTH = 64, 4, 32, 48
RATE = 24_000
TEXTS = ("hello", "no", "mine a z", "it is")
LANGUAGES = {"chinese": 1075, "english": 1076, "beijing_dialect": 1077}
SPEAKERS = {"ryan": 1080, "dylan": 1081}
ROPE = {"interleaved": True, "mrope_section": [4, 2, 2], "rope_type": "default", "type": "default"}
ADDED = ("<|im_start|>", "<|im_end|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>", "assistant", "user")


def config(kind: str = "base") -> dict[str, Any]:
    """`config.json` of a tiny model. The talker's, the text's and the predictor's widths differ, as in the 0.6B."""
    attention = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "rms_norm_eps": 1e-6}
    predictor = {
        **attention,
        "vocab_size": CODES,
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_code_groups": GROUPS,
        "rope_theta": 10_000,
        "model_type": "qwen3_tts_talker_code_predictor",
    }
    talker = {
        **attention,
        "vocab_size": 1024 + CODES,
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "text_vocab_size": 256 + len(ADDED),
        "text_hidden_size": TEXT_WIDTH,
        "num_code_groups": GROUPS,
        "rope_theta": 10_000,
        "rope_scaling": ROPE,
        "codec_pad_id": 1068,
        "codec_bos_id": 1069,
        "codec_eos_token_id": 1070,
        "codec_think_id": 1071,
        "codec_nothink_id": 1072,
        "codec_think_bos_id": 1073,
        "codec_think_eos_id": 1074,
        "codec_language_id": LANGUAGES,
        "spk_id": SPEAKERS if kind == "custom_voice" else {},
        "spk_is_dialect": {"ryan": False, "dylan": "beijing_dialect"} if kind == "custom_voice" else {},
        "code_predictor_config": predictor,
        "model_type": "qwen3_tts_talker",
    }
    return {
        "architectures": ["Qwen3TTSForConditionalGeneration"],
        "model_type": NAME,
        "tokenizer_type": "qwen3_tts_tokenizer_12hz",
        "tts_model_size": "tiny",
        "tts_model_type": kind,
        "im_start_token_id": 256,
        "im_end_token_id": 257,
        "tts_pad_token_id": 258,
        "tts_bos_token_id": 259,
        "tts_eos_token_id": 260,
        "talker_config": talker,
        "speaker_encoder_config": {
            "enc_dim": WIDTH,
            "mel_dim": 128,
            "enc_channels": [16, 16, 16, 16, 48],
            "enc_attention_channels": 8,
            "enc_se_channels": 8,
            "enc_res2net_scale": 4,
            "sample_rate": RATE,
        },
    }


def codec_config() -> dict[str, Any]:
    """`speech_tokenizer/config.json`: Mimi's encoder and upstream's decoder, 1920 samples a frame as the real one."""
    return {
        "architectures": ["Qwen3TTSTokenizerV2Model"],
        "model_type": "qwen3_tts_tokenizer_12hz",
        "encoder_valid_num_quantizers": GROUPS,
        "encoder_config": {
            "hidden_size": 32,
            "num_filters": 4,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "intermediate_size": 48,
            "codebook_size": CODES,
            "codebook_dim": 16,
            "vector_quantization_hidden_dimension": 16,
            "num_quantizers": GROUPS,
            "num_semantic_quantizers": 1,
            "upsampling_ratios": [8, 6, 5, 4],
            "frame_rate": 12.5,
            "sampling_rate": RATE,
            "upsample_groups": 32,
        },
        "decoder_config": {
            "codebook_size": CODES,
            "codebook_dim": 16,
            "latent_dim": 16,
            "hidden_size": 16,
            "head_dim": 8,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "intermediate_size": 24,
            "num_hidden_layers": 1,
            "num_quantizers": GROUPS,
            "decoder_dim": 32,
            "upsample_rates": [8, 5, 4, 3],
            "upsampling_ratios": [2, 2],
        },
    }


def make(folder: Path, *, kind: str = "base", seed: int = 4, told: dict[str, Any] | None = None) -> Path:
    """Write config, tokenizer, weights and codec. By itself it takes a seed whose voice ends some texts and not all."""
    from qwen_tts.core.models.configuration_qwen3_tts import Qwen3TTSConfig
    from qwen_tts.core.models.modeling_qwen3_tts import Qwen3TTSForConditionalGeneration
    from qwen_tts.core.tokenizer_12hz.configuration_qwen3_tts_tokenizer_v2 import Qwen3TTSTokenizerV2Config
    from qwen_tts.core.tokenizer_12hz.modeling_qwen3_tts_tokenizer_v2 import Qwen3TTSTokenizerV2Model

    told = told or config(kind)
    codec = describe(folder, told) / "speech_tokenizer"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Qwen3TTSForConditionalGeneration(Qwen3TTSConfig(**json.loads(json.dumps(told))))
        _make_lively(net)
        sound = Qwen3TTSTokenizerV2Model(Qwen3TTSTokenizerV2Config(**codec_config()))
        _make_heard(sound)
    save_file({k: t.clone().contiguous() for k, t in net.state_dict().items()}, folder / "model.safetensors")
    save_file({k: t.clone().contiguous() for k, t in sound.state_dict().items()}, codec / "model.safetensors")
    return folder


def describe(folder: Path, told: dict[str, Any]) -> Path:
    """Write all of a model's files but its weights."""
    codec = folder / "speech_tokenizer"
    codec.mkdir(parents=True)
    _write_json(folder / "config.json", told)
    _write_json(folder / "generation_config.json", {"do_sample": True, "temperature": 0.9, "max_new_tokens": 64})
    _write_tokenizer(folder)
    _write_json(codec / "config.json", codec_config())
    extractor = {"feature_extractor_type": "EncodecFeatureExtractor", "feature_size": 1, "sampling_rate": RATE}
    _write_json(codec / "preprocessor_config.json", {**extractor, "padding_value": 0.0, "return_attention_mask": True})
    return folder


@torch.no_grad()
def _make_lively(net: Any) -> None:
    """Fresh weights say nearly the same whatever they are given; stronger ones let texts, seeds and adapters be heard,
    and let ends come at different times.
    """
    talker = net.talker
    for key, parameter in talker.named_parameters():
        if "norm" in key:
            continue
        torch.nn.init.normal_(parameter, std=0.25 if parameter.ndim > 1 else 0.05)
    for table in (talker.model.codec_embedding, *talker.code_predictor.model.codec_embedding):
        torch.nn.init.normal_(table.weight, std=0.6)
    torch.nn.init.normal_(talker.model.text_embedding.weight, std=1.0)
    for head in (talker.codec_head, *talker.code_predictor.lm_head):
        torch.nn.init.normal_(head.weight, std=1.5)
    end = talker.codec_head.weight[net.config.talker_config.codec_eos_token_id].clone()
    talker.codec_head.weight[CODES:].zero_()  # what is never said is not expected either, as in trained weights
    talker.codec_head.weight[net.config.talker_config.codec_eos_token_id] = 1.5 * end


@torch.no_grad()
def _make_heard(codec: Any) -> None:
    """Fresh codebooks are zeros: every wave would be silent and every comparison vacuous."""
    for key, buffer in codec.named_buffers():
        if key.endswith(("embed_sum", "embedding_sum", "embed_avg")):
            torch.nn.init.normal_(buffer, std=1.0)
        if key.endswith("cluster_usage"):
            buffer.fill_(1.0)
    for key, parameter in codec.named_parameters():
        if key.endswith(("embed", "embedding_sum", "embedding.weight")):
            torch.nn.init.normal_(parameter, std=1.0)
        elif key.startswith("decoder.") and parameter.ndim > 1:
            fan = parameter[0].numel()
            torch.nn.init.normal_(parameter, std=1.4 / fan**0.5)
    last = codec.decoder.decoder[-1].conv
    last.bias.zero_()
    while codec.decoder(torch.randint(CODES, (1, GROUPS, 12))).square().mean().sqrt() > 0.2:
        last.weight.mul_(0.5)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


def _write_tokenizer(folder: Path) -> None:
    """Qwen2's kind: bytes, and the added tokens whose places the config names."""
    vocabulary = {symbol: number for number, symbol in enumerate(_byte_symbols())}
    _write_json(folder / "vocab.json", vocabulary)
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    added = {
        str(256 + number): {
            "content": token,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "single_word": False,
            "special": token.startswith("<"),
        }
        for number, token in enumerate(ADDED)
    }
    told = {
        "tokenizer_class": "Qwen2Tokenizer",
        "processor_class": "Qwen3TTSProcessor",
        "added_tokens_decoder": added,
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|im_end|>",
        "unk_token": None,
        "errors": "replace",
        "add_prefix_space": False,
        "model_max_length": 4096,
    }
    _write_json(folder / "tokenizer_config.json", told)
    _write_json(folder / "preprocessor_config.json", {"processor_class": "Qwen3TTSProcessor"})


def _byte_symbols() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, in the order of its vocabulary."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in kept]
    symbols = {byte: chr(byte) for byte in kept} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    return [symbols[byte] for byte in (*kept, *others)]


def make_utterances(folder: Path, *, count: int = 3, sample_rate: int = RATE) -> list[Utterance]:
    """Short clips with something like a voice in them, of lengths that are no whole frames."""
    made = []
    for index in range(count):
        seconds = 0.45 + 0.11 * index
        time = np.arange(int(seconds * sample_rate)) / sample_rate
        samples = 0.3 * np.sin(2 * np.pi * (150 + 20 * index) * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))
        path = folder / f"clip{index}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        audio.write(path, samples.astype(np.float32), sample_rate)
        made.append(Utterance(id=f"clip{index}", audio_path=path, text=TEXTS[index % len(TEXTS)], duration_sec=seconds))
    return made
