"""A tiny VoxCPM of the real classes with random weights, as a folder like the one that people download."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers

from engine import audio
from engine.types import Utterance

FIRST, SECOND = "voxcpm", "voxcpm2"
FEAT_DIM, PATCH = 8, 2
SEEDS = {FIRST: 4, SECOND: 15}
TEXTS = ("hello", "no", "mine a z", "it is")
ROPE = {
    "type": "longrope",
    "long_factor": [1.0] * 8,
    "short_factor": [1.0] * 8,
    "original_max_position_embeddings": 256,
}
LM = {
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_size": 32,
    "intermediate_size": 48,
    "max_position_embeddings": 256,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-5,
    "rope_scaling": ROPE,
    "vocab_size": 320,
    "use_mup": False,
    "scale_emb": 1.0,
    "dim_model_base": 32,
    "scale_depth": 1.0,
    "rope_theta": 10000.0,
}
HEAD = {"hidden_dim": 32, "ffn_dim": 48, "num_heads": 2, "num_layers": 1}
CODECS: dict[str, dict[str, Any]] = {
    FIRST: {"encoder_rates": [36, 49], "decoder_rates": [49, 36], "sample_rate": 44_100},
    SECOND: {
        "encoder_rates": [20, 32],
        "decoder_rates": [32, 60],
        "sample_rate": 16_000,
        "out_sample_rate": 48_000,
        "cond_dim": 8,
    },
}


def config(name: str) -> dict[str, Any]:
    """The `config.json` of a tiny model; rates are the real ones."""
    made: dict[str, Any] = {
        "architecture": name,
        "lm_config": LM,
        "patch_size": PATCH,
        "feat_dim": FEAT_DIM,
        "residual_lm_num_layers": 1,
        "scalar_quantization_latent_dim": 16,
        "scalar_quantization_scale": 9,
        "encoder_config": HEAD,
        "dit_config": {**HEAD, "cfm_config": {}},
        "audio_vae_config": {"encoder_dim": 4, "latent_dim": FEAT_DIM, "decoder_dim": 16, **CODECS[name]},
        "max_length": 256,
        "device": "cpu",
        "dtype": "float32",
    }
    return made


def make(folder: Path, name: str = SECOND, *, seed: int | None = None, told: dict[str, Any] | None = None) -> Path:
    """Write config, tokenizer, weights and codec. By itself it takes a seed whose voice ends some texts and not all,
    and the smallest config.
    """
    folder.mkdir(parents=True)
    told = told or config(name)
    (folder / "config.json").write_text(json.dumps(told), encoding="utf-8")
    _write_tokenizer(folder)
    with torch.random.fork_rng(), contextlib.redirect_stderr(io.StringIO()):
        torch.manual_seed(SEEDS[name] if seed is None else seed)
        net = _net(name, told, folder)
        _make_lively(net)
        state = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    save_file({k: t for k, t in state.items() if not k.startswith("audio_vae.")}, folder / "model.safetensors")
    codec = {k.removeprefix("audio_vae."): t for k, t in state.items() if k.startswith("audio_vae.")}
    save_file(codec, folder / "audiovae.safetensors")
    return folder


def _net(name: str, told: dict[str, Any], folder: Path) -> Any:
    from transformers import LlamaTokenizerFast
    from voxcpm.model import voxcpm, voxcpm2

    module: Any = voxcpm2 if name == SECOND else voxcpm
    codec_class: Any = module.AudioVAEV2 if name == SECOND else module.AudioVAE
    model_class: Any = module.VoxCPM2Model if name == SECOND else module.VoxCPMModel
    made = module.VoxCPMConfig.model_validate(told)
    return model_class(
        made, LlamaTokenizerFast.from_pretrained(folder), codec_class(made.audio_vae_config), device="cpu"
    )


@torch.no_grad()
def _make_lively(net: Any) -> None:
    """Fresh weights say nearly the same whatever they are given: without biases in the codec, and with stronger steps
    before it, texts, seeds and adapters are heard, and ends come at different times.
    """
    for key, parameter in net.named_parameters():
        if key.startswith("audio_vae.decoder") and key.endswith(".bias"):
            parameter.zero_()
        if key.endswith(("v_proj.weight", "o_proj.weight", "down_proj.weight", "cond_proj.weight", "in_proj.weight")):
            parameter.mul_(3.0)
        if key.startswith("stop_"):
            parameter.mul_(4.0)
        if key.startswith("audio_vae.decoder.model") and key.endswith("weight_g"):
            parameter.mul_(1.5)


def _write_tokenizer(folder: Path) -> None:
    """Llama's kind: letters, and bytes for all else."""
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2} | {f"<0x{byte:02X}>": 3 + byte for byte in range(256)}
    for letter in "▁abcdefghijklmnopqrstuvwxyz.,'":
        vocabulary[letter] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.save(str(folder / "tokenizer.json"))
    told = {
        "tokenizer_class": "LlamaTokenizerFast",
        "add_bos_token": False,
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(told), encoding="utf-8")


def make_utterances(folder: Path, *, sample_rate: int = 16_000, count: int = 3) -> list[Utterance]:
    """Short clips with something like a voice in them."""
    made = []
    for index in range(count):
        seconds = 0.5 + 0.1 * index
        time = np.arange(int(seconds * sample_rate)) / sample_rate
        samples = 0.3 * np.sin(2 * np.pi * (150 + 20 * index) * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))
        path = folder / f"clip{index}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        audio.write(path, samples.astype(np.float32), sample_rate)
        made.append(Utterance(id=f"clip{index}", audio_path=path, text=TEXTS[index % len(TEXTS)], duration_sec=seconds))
    return made
