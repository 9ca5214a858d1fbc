"""Trains the language model on the codec's tokens: base voices, and variants as other speakers.

Inputs are sometimes corrupted, so that the model leans on the text and survives its own mistakes;
every utterance runs on its own clock, a little jittered, so that any speaking rate is familiar.
"""

from __future__ import annotations

import math
import multiprocessing
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen2ForCausalLM

from engine.backends.finch import language_model as lm
from engine.backends.finch.codec import CodecConfig
from engine.backends.finch.layers import FiniteScalarQuantiser
from engine.backends.finch.pretrain import parallel, schedule, train_codec, voices
from engine.backends.finch.pretrain.data import is_validation, load_shards
from engine.backends.finch.pretrain.facts import Facts, features_of, load_or_measure

_TOKENS_PER_BATCH = 2200
_PEAK_RATE = 1.1e-3
_FLAT = 0.15
_PARTIAL = "lm.partial.pt"
_CLOCK_JITTER = 0.05
_MOST_CORRUPTED = 0.15
_GUIDE_WEIGHT = 0.2
_SHARE_OF_VARIANTS = 0.5
_SAVE_EVERY = 250
_VALIDATION_ITEMS = 72


def vocabulary(facts: Facts) -> lm.Vocabulary:
    """The vocabulary for the inventory and durations of the training data."""
    config = lm.LanguageModelConfig()
    return lm.Vocabulary(facts.durations, config.speakers, config.tokens)


def run(work: Path, minutes: float) -> None:
    """Train the language model and save it under `work`; goes on from a partly trained one.

    Needs what `tokenise` wrote. The best state by validation is kept while it trains.
    """
    path = work / "lm.pt"
    if path.exists():
        print(f"lm: kept, {path} exists")
        return
    torch.manual_seed(6)
    number = parallel.rank()
    draw = random.Random(6 + 100 * number)
    facts = load_or_measure(work)
    words = vocabulary(facts)
    training, validation = torch.load(work / "items.pt", weights_only=False)
    model = lm.build(lm.LanguageModelConfig(), words)
    resumed = (work / _PARTIAL).exists()
    if resumed:
        model.load_state_dict(torch.load(work / _PARTIAL))
    model.set_attn_implementation("eager")  # a little faster than sdpa on these sizes on a CPU
    guide = lm.GuidedAttention(model)
    quantiser = FiniteScalarQuantiser(CodecConfig().levels)
    table = lm.FactorisedTable(model, words, quantiser.digits(torch.arange(words.tokens)))
    if resumed:
        torch.nn.init.zeros_(table.digits)
        draw.seed(60 + number)
    parameters = [*model.parameters(), table.digits]
    optimizer = schedule.adamw(parameters, _PEAK_RATE, (0.9, 0.97), 0.05)
    trainer = schedule.Trainer("lm", optimizer, list(parameters), minutes, _PEAK_RATE, _FLAT, 50)
    batches = endless_batches(training, draw)
    best = math.inf
    torch.manual_seed(6 + 100 * number)
    for step in trainer.ticks():
        batch = lm.collate(next(batches), words, draw, _CLOCK_JITTER)
        batch = replace(batch, ids=corrupt(batch.ids, words, quantiser))
        with torch.autocast("cpu", torch.bfloat16):
            trainer.step(lm.loss(model, batch, guide, _GUIDE_WEIGHT, table.folded()))
        if step % _SAVE_EVERY == _SAVE_EVERY - 1 and number == 0:
            found = validate(model, table, validation, words, guide)
            if found < best:
                best = found
                save(model, table, work / _PARTIAL)
    if number:
        return
    save(model, table, path)
    validate(model, table, validation, words, guide)


def load(work: Path, name: str = "lm.pt") -> Qwen2ForCausalLM:
    """The trained language model under `work`."""
    model: Any = lm.build(lm.LanguageModelConfig(), vocabulary(load_or_measure(work)))
    model.load_state_dict(torch.load(work / name))
    frozen: Qwen2ForCausalLM = model.eval().requires_grad_(False)
    return frozen


def tokenise(work: Path, processes: int) -> None:
    """Encode all training data once, a shard a process, and keep the items on disk."""
    path = work / "items.pt"
    if path.exists():
        return
    shards = len(load_shards(work))
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        found = pool.starmap(_tokenise_shard, [(work, number) for number in range(shards)])
    training = [item for part, _ in found for item in part]
    validation = [item for _, part in found for item in part]
    used = len({token for item in training for token in item.tokens})
    print(f"lm: {len(training)} items, {sum(map(len, training))} ids, {used} tokens in use")
    torch.save((training, validation), path)


def _tokenise_shard(work: Path, number: int) -> tuple[list[lm.Item], list[lm.Item]]:
    torch.set_num_threads(1)
    facts, shard = load_or_measure(work), load_shards(work)[number]
    encoder, _ = train_codec.load(work)
    words, inventory = vocabulary(facts), facts.inventory
    speakers = {name: index for index, name in enumerate(voices.speakers())}
    training: list[lm.Item] = []
    validation: list[lm.Item] = []
    for entry in shard.entries:
        statistics = facts.speakers[entry.speaker]
        features = facts.normalisation.encoder_input(features_of(shard, entry), statistics)
        tokens = tuple(encoder.tokens(features).tolist())
        phonemes = tuple(inventory.encode(entry.symbols))
        clock = words.clock_of(phonemes, len(tokens))
        item = lm.Item(speakers[entry.speaker], phonemes, tokens, clock, entry.starts)
        if not is_validation(entry.group):
            training.append(item)
        elif entry.speaker in voices.BASE_VOICES:
            validation.append(item)
    return training, validation


def endless_batches(items: Sequence[lm.Item], draw: random.Random) -> Iterator[list[lm.Item]]:
    """Batches of utterances of like length, for ever; half of the variants in every epoch."""
    while True:
        chosen = [
            item for item in items if item.speaker < len(voices.BASE_VOICES) or draw.random() < _SHARE_OF_VARIANTS
        ]
        chosen.sort(key=lambda item: len(item) * (1 + 0.1 * draw.random()))
        batches: list[list[lm.Item]] = [[]]
        for item in chosen:
            if len(item) * (len(batches[-1]) + 1) > _TOKENS_PER_BATCH:
                batches.append([])
            batches[-1].append(item)
        draw.shuffle(batches)
        yield from (batch for batch in batches if batch)


def corrupt(ids: Tensor, words: lm.Vocabulary, quantiser: FiniteScalarQuantiser) -> Tensor:
    """Ids with a random share of the speech tokens replaced: half by a neighbour, half by any."""
    tokens = ids - words.first_token
    share = torch.rand(len(ids), 1) * _MOST_CORRUPTED
    is_hit = (tokens >= 0) & (torch.rand(ids.shape) < share)
    hit = tokens[is_hit]
    digits = quantiser.digits(hit)
    moved = torch.randint(digits.shape[-1], (len(hit), 1))
    step = torch.randint(2, (len(hit), 1)) * 2 - 1
    digits = digits.scatter_add(1, moved, step).clamp(min=0).minimum(quantiser.levels - 1)
    near = (digits * quantiser.basis).sum(-1)
    far = torch.randint(words.tokens, near.shape)
    replaced = ids.clone()
    replaced[is_hit] = torch.where(torch.rand(len(hit)) < 0.5, near, far) + words.first_token
    return replaced


@torch.no_grad()
def validate(
    model: Qwen2ForCausalLM,
    table: lm.FactorisedTable,
    items: Sequence[lm.Item],
    words: lm.Vocabulary,
    guide: lm.GuidedAttention,
) -> float:
    """Print and return the cross entropy (nats a token) of held-out items."""
    chosen = sorted(items[:_VALIDATION_ITEMS], key=len)
    total: dict[str, float] = {}
    model.train(False)
    for start in range(0, len(chosen), 8):
        batch = lm.collate(chosen[start : start + 8], words)
        with torch.autocast("cpu", torch.bfloat16):
            parts = lm.loss(model, batch, guide, table=table.folded())
        for name, value in parts.items():
            total[name] = total.get(name, 0.0) + float(value) * 8 / len(chosen)
    model.train()
    print(f"lm: validation {schedule.line(total)}", flush=True)
    return total["tokens"]


def save(model: Qwen2ForCausalLM, table: lm.FactorisedTable, path: Path) -> None:
    """Store the model with its table folded: a plain Qwen2 state dict."""
    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        if name in state:
            state[name] = table.folded().detach().clone()
    torch.save(state, path)
