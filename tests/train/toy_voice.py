"""A speech model small enough to train in milliseconds, with real Linears, dropout and two parts. It cannot speak.

EARMARK_TOY_WIDTH makes it as large as a scenario wants it: 4096 is 285 MB of weights.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine import audio
from engine.backends.backend_info import BackendInfo
from engine.backends.speech_model import Capabilities, LoraPart
from engine.types import Utterance

SAMPLE_RATE = 16_000
WIDTH = int(os.environ.get("EARMARK_TOY_WIDTH", "16"))
PARTS = ("lm", "decoder")
SEED = 7
BASE_SHA256 = hashlib.sha256(f"toy {WIDTH} {SEED}".encode()).hexdigest()  # its weights follow from these


def info() -> BackendInfo:
    return BackendInfo(
        name="toy",
        title="Toy",
        sample_rate=SAMPLE_RATE,
        voices=("tick", "tock"),
        parts=PARTS,
        min_sec=0.1,
        max_sec=30.0,
        unpronounceable=lambda text: None,
        base_sha256=BASE_SHA256,
        version="1",
        full_sft=True,
        unloaded_loss={"lm": 20.0},
    )


def load(base_model: str, device: str) -> ToyVoice:
    """`base_model` may hold seconds a clip takes to extract, for tests that interrupt it."""
    return ToyVoice(slow_sec=float(base_model or 0))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, WIDTH)
        self.o_proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.o_proj(torch.tanh(self.q_proj(x)))


class ToyVoice:
    name = "toy"
    sample_rate = SAMPLE_RATE
    device = "cpu"
    capabilities = Capabilities(parts=PARTS, voices=("tick", "tock"), languages=("en",), full_sft=True)

    def __init__(self, slow_sec: float) -> None:
        self.slow_sec = slow_sec
        generator = torch.Generator().manual_seed(SEED)
        self.nets = {
            name: nn.ModuleDict({"embed": nn.Embedding(256, WIDTH), "block": Block(), "head": nn.Linear(WIDTH, 256)})
            for name in PARTS
        }
        for net in self.nets.values():
            for p in net.parameters():
                p.data = torch.randn(p.shape, generator=generator) * 0.2
        self.base_sha256 = BASE_SHA256

    def part(self, name: str) -> nn.Module:
        return self.nets[name]

    def lora_parts(self) -> tuple[LoraPart, ...]:
        return (
            LoraPart(name="lm", target_modules=("q_proj", "o_proj")),
            LoraPart(name="decoder", target_modules=("o_proj",), learning_rate_factor=2.0),
        )

    def checkpointed_layers(self, part: str) -> Sequence[nn.Module]:
        return (self.nets[part]["block"],)

    def closest_voice(self, utterances: Sequence[Utterance]) -> str:
        return "tock"

    def features(self, utterances: Sequence[Utterance], voice: str, cache: Path) -> list[Tensor]:
        examples = []
        for u in utterances:
            key = hashlib.sha256(u.audio_path.read_bytes() + u.text.encode()).hexdigest()
            kept = cache / f"{key}.txt"
            if not kept.exists():
                time.sleep(self.slow_sec)
                kept.write_text(f"{audio.read(u.audio_path)[0].std():.6f}")
            examples.append(torch.tensor(list(u.text.encode()), dtype=torch.long))
        return examples

    def voice_settings(self, examples: Sequence[Any], voice: str) -> Mapping[str, float]:
        return {"clock": 1.5}

    def length(self, example: Tensor) -> int:
        return len(example)

    def loss(
        self, examples: Sequence[Tensor], voice: str, parts: Sequence[str], seed: int | None
    ) -> Mapping[str, Tensor]:
        padded = nn.utils.rnn.pad_sequence(list(examples), batch_first=True)
        noise = 0.0 if seed is None else torch.randn(padded.shape[0], padded.shape[1] - 1, WIDTH) * 0.1
        losses = {}
        for name in parts:
            net = self.nets[name]
            logits = net["head"](net["block"](net["embed"](padded[:, :-1]) + noise))
            losses[name] = nn.functional.cross_entropy(logits.transpose(1, 2), padded[:, 1:])
        return losses
