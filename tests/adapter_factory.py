"""Makes what the tests of adapters need: a tiny two-part model that speaks numbers, and adapters that PEFT itself
wrote.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import peft
import torch
from torch import Tensor, nn
from transformers import Qwen2Config, Qwen2ForCausalLM

from engine.adapter_files import write_adapter
from engine.backends.speech_model import Capabilities, RowMixer
from engine.types import Adapter, SpeakRow, Speech, Stop

TARGETS = {"lm": ("q_proj", "k_proj", "v_proj", "o_proj"), "decoder": ("0", "2")}
BASE_SHA256 = "b" * 64


class TwoPartModel:
    """A SpeechModel as far as a host needs one: a real tiny Qwen2 as `lm`, an MLP as `decoder`; a row's text gives
    its ids.
    """

    name = "two-part"
    base_sha256 = BASE_SHA256
    sample_rate = 16000
    device = "cpu"

    def __init__(self, *, mixes_rows: bool = True) -> None:
        torch.manual_seed(0)
        config = Qwen2Config(
            vocab_size=40,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=64,
        )
        self.lm = Qwen2ForCausalLM(config).eval()
        self.decoder = nn.Sequential(nn.Linear(40, 12), nn.GELU(), nn.Linear(12, 6)).eval()
        self.capabilities = Capabilities(
            parts=("lm", "decoder"), voices=("v",), languages=("en",), mixes_rows=mixes_rows
        )
        self.batch_sizes: list[int] = []

    def part(self, name: str) -> nn.Module:
        return {"lm": self.lm, "decoder": self.decoder}[name]

    @torch.inference_mode()
    def outputs(self, texts: Sequence[str]) -> Tensor:
        """(rows, 5, 6): what the decoder makes of the LM's logits for each row's ids."""
        ids = torch.tensor([[ord(letter) % 40 for letter in text[:5].ljust(5)] for text in texts])
        result: Tensor = self.decoder(self.lm(input_ids=ids).logits)
        return result

    def speak(self, rows: Sequence[SpeakRow], mixer: RowMixer | None = None) -> list[Speech]:
        self.batch_sizes.append(len(rows))
        with mixer.using(rows) if mixer else nullcontext():
            samples = self.outputs([row.text for row in rows]).flatten(1).numpy()
        return [
            Speech(samples=np.array(one), sample_rate=self.sample_rate, tokens=5, stop=Stop.EOS, render_sec=0.0)
            for one in samples
        ]


def make_adapter(
    folder: Path,
    model: Any,
    *,
    seed: int,
    parts: Sequence[str] = ("lm", "decoder"),
    targets: Mapping[str, Sequence[str]] = TARGETS,
    rank: int = 4,
    alpha: float = 8.0,
    **config: Any,
) -> Adapter:
    """An adapter with random (not zero) weights, written by PEFT for copies of the model's parts."""
    shutil.rmtree(folder, ignore_errors=True)
    for part in parts:
        torch.manual_seed(seed)
        settings = peft.LoraConfig(
            r=rank, lora_alpha=alpha, target_modules=list(targets[part]), init_lora_weights=False, **config
        )
        wrapped = peft.get_peft_model(deepcopy(model.part(part)), settings)
        wrapped.save_pretrained(str(folder / part))
    return write_adapter(
        folder,
        backend=model.name,
        base_sha256=model.base_sha256,
        voice="v",
        parts=parts,
        rank=rank,
        alpha=alpha,
        voice_settings={"clock": 2.0},
    )


def peft_twin(model: TwoPartModel, adapter: Adapter, scale: float) -> TwoPartModel:
    """A copy of the model that PEFT itself adapts, at an absolute scale."""
    twin = TwoPartModel()
    for part in adapter.parts:
        wrapped = peft.PeftModel.from_pretrained(deepcopy(model.part(part)), str(adapter.path / part)).eval()
        for module in wrapped.modules():
            if isinstance(module, peft.tuners.lora.LoraLayer):
                module.scale_layer(scale)
        setattr(twin, part, wrapped)
    return twin


def row(text: str, adapter: Adapter | None = None, scale: float = 0.0, seed: int = 0) -> SpeakRow:
    """A row of a batch; the base when no adapter is given."""
    return SpeakRow(
        text=text, voice="v", seed=seed, adapter_sha256=adapter.sha256 if adapter else None, lora_scale=scale
    )
