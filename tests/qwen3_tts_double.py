"""A stand-in for upstream's Qwen3-TTS classes: the same modules under the same names, small, without their package.

It keeps the contract that `engine/backends/qwen3_tts` relies on, so that its own code is tested where `qwen_tts` cannot
be installed; that the contract is the real one is what the tests of the voice's own environment show.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import Qwen3Config, Qwen3Model

from engine.backends.qwen3_tts import info
from engine.backends.qwen3_tts.loading import Loaded
from engine.backends.qwen3_tts.speech_model import Qwen3TtsModel
from tests import qwen3_tts_factory
from tests.qwen3_tts_factory import ADDED, CODES, GROUPS, NAME, TEXT_WIDTH, WIDTH

PREDICTOR_WIDTH = 24


def make(folder: Path, *, kind: str = "base", seed: int = 3) -> Path:
    """A model folder as people bring it, with weights that say nothing but their own hash."""
    qwen3_tts_factory.describe(folder, qwen3_tts_factory.config(kind))
    weights = {"talker.seed": torch.tensor([seed])}
    save_file(weights, folder / "model.safetensors")
    save_file(weights, folder / "speech_tokenizer" / "model.safetensors")
    return folder


def load(folder: Path, *, seed: int = 3) -> Qwen3TtsModel:
    """The backend's own model over the stand-in."""
    found = info.read(folder)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Net(found.kind)
    net.eval().requires_grad_(False)
    return Qwen3TtsModel(NAME, Loaded(net, _tokenize), found, info.base_sha256(found), "cpu")


def _tokenize(text: str, add_special_tokens: bool) -> dict[str, list[int]]:
    """Bytes, and the added tokens in one piece each."""
    ids, at = [], 0
    while at < len(text):
        added = next((number for number, token in enumerate(ADDED) if text.startswith(token, at)), None)
        ids.extend([256 + added] if added is not None else text[at].encode())
        at += len(ADDED[added]) if added is not None else 1
    return {"input_ids": ids}


class Stack(Qwen3Model):
    """A transformer with tables of embeddings beside its layers."""

    def __init__(self, width: int, **tables: nn.Module) -> None:
        sizes = {"intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
        super().__init__(Qwen3Config(vocab_size=1, hidden_size=width, head_dim=16, **sizes))
        del self.embed_tokens
        for name, table in tables.items():
            setattr(self, name, table)

    def forward(self, past_key_values: Any = None, **given: Any) -> Any:
        """Upstream's name for the cache; transformers has another one now."""
        return super().forward(cache=past_key_values, **given)


class Predictor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        tables = nn.ModuleList(nn.Embedding(CODES, WIDTH) for _ in range(GROUPS - 1))
        self.model = Stack(PREDICTOR_WIDTH, codec_embedding=tables)
        self.lm_head = nn.ModuleList(nn.Linear(PREDICTOR_WIDTH, CODES, bias=False) for _ in range(GROUPS - 1))
        self.small_to_mtp_projection = nn.Linear(WIDTH, PREDICTOR_WIDTH)


class Talker(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        texts = nn.Embedding(256 + len(ADDED), TEXT_WIDTH)
        self.model = Stack(WIDTH, codec_embedding=nn.Embedding(1024 + CODES, WIDTH), text_embedding=texts)
        self.text_projection = nn.Sequential(nn.Linear(TEXT_WIDTH, TEXT_WIDTH), nn.SiLU(), nn.Linear(TEXT_WIDTH, WIDTH))
        self.codec_head = nn.Linear(WIDTH, 1024 + CODES, bias=False)
        self.code_predictor = Predictor()


class Net(nn.Module):
    """`Qwen3TTSForConditionalGeneration`, as far as the backend asks it."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        told = qwen3_tts_factory.config(kind)
        own = {name: value for name, value in told.items() if name.endswith("_token_id")}
        self.config = SimpleNamespace(talker_config=SimpleNamespace(**told["talker_config"]), **own)
        self.talker = Talker()
        self._make_lively()
        self.speaker_encoder = nn.Linear(8, WIDTH) if kind == "base" else None
        self.speech_tokenizer = Codec()

    @torch.no_grad()
    def _make_lively(self) -> None:
        for key, parameter in self.talker.named_parameters():
            if "norm" not in key:
                nn.init.normal_(parameter, std=0.3 if parameter.ndim > 1 else 0.05)
        for head in (self.talker.codec_head, *self.talker.code_predictor.lm_head):
            nn.init.normal_(head.weight, std=3.0)
        end = self.talker.codec_head.weight[self.config.talker_config.codec_eos_token_id].clone()
        self.talker.codec_head.weight[CODES:].zero_()
        self.talker.codec_head.weight[self.config.talker_config.codec_eos_token_id] = 1.5 * end

    @torch.no_grad()
    def extract_speaker_embedding(self, samples: NDArray[np.float32], _rate: int) -> Tensor:
        assert self.speaker_encoder is not None
        loudness = torch.from_numpy(samples[: len(samples) // 8 * 8].copy()).view(8, -1).square().mean(1)
        found: Tensor = self.speaker_encoder(10 * loudness)
        return found


class Codec:
    """`Qwen3TTSTokenizer`: codes are a frame's loudness in steps, sounds are what a small network makes of codes."""

    def __init__(self) -> None:
        self.model = SimpleNamespace(decoder=Decoder().eval().requires_grad_(False))

    def encode(self, waves: list[NDArray[np.float32]], sr: int) -> Any:
        assert sr == qwen3_tts_factory.RATE
        found = []
        for wave in waves:
            padded = np.pad(wave, (0, -len(wave) % info.FRAME_SAMPLES)).reshape(-1, info.FRAME_SAMPLES)
            steps = torch.from_numpy((CODES * np.abs(padded).mean(1)).astype(np.int64)).clamp(0, CODES - 1)
            found.append(torch.stack([(steps * (group + 1)) % CODES for group in range(GROUPS)], dim=1))
        return SimpleNamespace(audio_codes=found)


class Decoder(nn.Module):
    """Codes (1, groups, frames) to a wave (1, 1, samples); a frame hears the one before it."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(CODES, 16) for _ in range(GROUPS))
        self.out = nn.Linear(32, info.FRAME_SAMPLES)

    def forward(self, codes: Tensor) -> Tensor:
        frames = sum(table(codes[0, group]) for group, table in enumerate(self.tables))
        assert isinstance(frames, Tensor)
        past = torch.cat([torch.zeros_like(frames[:1]), frames[:-1]])
        wave: Tensor = 0.3 * torch.tanh(self.out(torch.cat([frames, past], dim=1)))
        return wave.flatten()[None, None]
