"""A plain LoRA run for the figures: language model and decoder adapters of an unheard voice."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn

from engine.backends.finch import language_model as lm
from engine.backends.finch.codec import DECODER_LORA_TARGETS, decoder_loss
from engine.backends.finch.ear import Ear
from engine.backends.finch.tuning import Example, VoiceData, decoder_crops, language_item
from engine.backends.finch.weights import Finch

_HELD_OUT = 6


@dataclass(frozen=True)
class TuningConfig:
    """Hyper-parameters that work on five minutes of speech."""

    rank: int = 16
    alpha: int = 32
    lm_epochs: int = 8
    lm_rate: float = 1.5e-3
    lm_ids_per_batch: int = 1500
    lm_dropout: float = 0.05
    clock_jitter: float = 0.03
    decoder_epochs: int = 10
    decoder_rate: float = 2e-3
    decoder_rows: int = 8
    crop_tokens: int = 64


@dataclass(frozen=True)
class Tuned:
    """Both adapted nets, the voice's clock and the base speaker that it was tuned from."""

    language_model: PeftModel
    decoder: PeftModel
    clock: float
    speaker: int


def tune(finch: Finch, data: VoiceData, speaker: int, ear: Ear, config: TuningConfig, seed: int = 0) -> Tuned:
    """Train both adapters, starting from base speaker `speaker`."""
    torch.manual_seed(seed)
    draw = random.Random(seed)
    training, held_out = data.examples[:-_HELD_OUT], data.examples[-_HELD_OUT:]
    decoder = tune_decoder(finch, training, speaker, ear, config, draw)
    items = [language_item(finch, example, speaker) for example in training]
    validation = [language_item(finch, example, speaker) for example in held_out]
    model = tune_language_model(finch, items, validation, config, draw)
    return Tuned(model, decoder, data.clock, speaker)


def tune_language_model(
    finch: Finch,
    items: Sequence[lm.Item],
    validation: Sequence[lm.Item],
    config: TuningConfig,
    draw: random.Random,
) -> PeftModel:
    """LoRA on the attention projections."""
    words = finch.config.vocabulary
    model = _adapt(finch.language_model, lm.LM_LORA_TARGETS, config, config.lm_dropout)
    optimizer = _optimizer(model, config.lm_rate)
    held_out = lm.collate(validation, words)
    for epoch in range(config.lm_epochs):
        for batch in _batches(items, config.lm_ids_per_batch, draw):
            with torch.autocast("cpu", torch.bfloat16):
                parts = lm.loss(model, lm.collate(batch, words, draw, config.clock_jitter))
            _step(model, optimizer, parts["total"])
        model.eval()
        with torch.no_grad():
            found = float(lm.loss(model, held_out)["tokens"])
        model.train()
        print(f"tune: lm epoch {epoch + 1} validation {found:.3f}", flush=True)
    return model.eval()


def tune_decoder(
    finch: Finch,
    examples: Sequence[Example],
    speaker: int,
    ear: Ear,
    config: TuningConfig,
    draw: random.Random,
) -> PeftModel:
    """LoRA on the decoder's Linear layers, with the ear's loss."""
    model = _adapt(finch.decoder, DECODER_LORA_TARGETS, config, 0.0)
    optimizer = _optimizer(model, config.decoder_rate)
    tokens_in_all = sum(len(example.tokens) for example in examples)
    steps = max(1, tokens_in_all // (config.decoder_rows * config.crop_tokens))
    speakers = torch.full((config.decoder_rows,), speaker)
    for epoch in range(config.decoder_epochs):
        total = 0.0
        for _ in range(steps):
            tokens, target = decoder_crops(examples, config.decoder_rows, config.crop_tokens, draw)
            with torch.autocast("cpu", torch.bfloat16):
                output = model(finch.decoder.quantiser.values(tokens), speakers)
            parts = decoder_loss(output.float(), target, finch.config.normalisation, ear)
            _step(model, optimizer, parts["total"])
            total += float(parts["total"].detach()) / steps
        print(f"tune: decoder epoch {epoch + 1} training {total:.3f}", flush=True)
    return model.eval()


def set_scale(model: nn.Module, scale: float) -> None:
    """Set the absolute `lora_scale` of every adapted layer."""
    for module in model.modules():
        if isinstance(module, LoraLayer):
            for adapter in module.lora_A:
                module.set_scale(adapter, scale)


def _adapt(net: nn.Module, targets: tuple[str, ...], config: TuningConfig, dropout: float) -> PeftModel:
    lora = LoraConfig(r=config.rank, lora_alpha=config.alpha, target_modules=list(targets), lora_dropout=dropout)
    return get_peft_model(copy.deepcopy(net), lora).train()


def _optimizer(model: nn.Module, rate: float) -> torch.optim.AdamW:
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], rate, weight_decay=0.0)


def _step(model: nn.Module, optimizer: torch.optim.AdamW, total: torch.Tensor) -> None:
    optimizer.zero_grad()
    total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
    optimizer.step()


def _batches(items: Sequence[lm.Item], ids: int, draw: random.Random) -> list[list[lm.Item]]:
    batches: list[list[lm.Item]] = [[]]
    for item in sorted(items, key=lambda item: len(item) * (1 + 0.2 * draw.random())):
        if batches[-1] and len(item) * (len(batches[-1]) + 1) > ids:
            batches.append([])
        batches[-1].append(item)
    draw.shuffle(batches)
    return batches
