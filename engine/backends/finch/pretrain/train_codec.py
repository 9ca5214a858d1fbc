"""Trains tokenizer and decoder together, on parallel items, with the ear's loss from the start."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from engine.backends.finch import ear as listening
from engine.backends.finch.codec import CodecConfig, Decoder, DecoderLossWeights, Encoder, decoder_loss
from engine.backends.finch.pretrain import checks, parallel, schedule, train_ear, train_vocoder, voices
from engine.backends.finch.pretrain.facts import Facts, load_or_measure
from engine.backends.finch.pretrain.pairs import PairBatch, PairSampler, load_groups
from engine.backends.finch.pretrain.texts import Corpus

_ROWS = 12
_CONSISTENCY_WEIGHT = 0.2
_PEAK_RATE = 1.2e-3
_SAVE_EVERY = 1000
_PARTIAL = "codec.partial.pt"
_EAR_WEIGHT = 1.0


def config() -> CodecConfig:
    """Sizes in training: one speaker row for every training speaker."""
    return replace(CodecConfig(), speakers=len(voices.speakers()))


def run(work: Path, minutes: float, sentences: Path) -> None:
    """Train the codec and save it under `work`; goes on from a partly trained one.

    Every process has batches of 12 rows.
    """
    path = work / "codec.pt"
    if path.exists():
        print(f"codec: kept, {path} exists")
        return
    torch.manual_seed(4)
    number = parallel.rank()
    facts, ear = load_or_measure(work), train_ear.load(work, "ear")
    training = PairSampler(load_groups(work, False), facts, random.Random(4 + 100 * number))
    held_out = PairSampler(load_groups(work, True), facts, random.Random(5))
    validation = held_out.batch(96, perturb=False, only_parallel=True)
    encoder, decoder = Encoder(config()), Decoder(config())
    if (work / _PARTIAL).exists():
        encoder, decoder = load(work, _PARTIAL)
        encoder.train().requires_grad_(True)
        decoder.train().requires_grad_(True)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = schedule.adamw(parameters, _PEAK_RATE, (0.8, 0.98), 0.01)
    trainer = schedule.Trainer("codec", optimizer, list(parameters), minutes, _PEAK_RATE)
    torch.manual_seed(4 + 100 * number)
    for step in trainer.ticks():
        trainer.step(losses(encoder, decoder, training.batch(_ROWS), facts, ear))
        if step % _SAVE_EVERY == _SAVE_EVERY - 1 and number == 0:
            _save(encoder, decoder, work / _PARTIAL)
            _report(encoder, decoder, validation, facts, ear)
    if number:
        return
    _report(encoder, decoder, validation, facts, ear)
    _save(encoder, decoder, path)
    checks.codec_gate(
        encoder.eval(),
        decoder.eval(),
        train_vocoder.load(work),
        listening.Listener(ear),
        facts,
        Corpus.load(sentences).development,
    )


def load(work: Path, name: str = "codec.pt") -> tuple[Encoder, Decoder]:
    """The trained codec under `work`, frozen; the decoder has a row for every training speaker."""
    stored = torch.load(work / name)
    encoder, decoder = Encoder(config()), Decoder(config())
    encoder.load_state_dict(stored["encoder"])
    decoder.load_state_dict(stored["decoder"])
    return encoder.eval().requires_grad_(False), decoder.eval().requires_grad_(False)


def losses(encoder: Encoder, decoder: Decoder, batch: PairBatch, facts: Facts, ear: listening.Ear) -> dict[str, Tensor]:
    """`decoder_loss` of voice b made from voice a's tokens, and how far a's code is from b's."""
    rows = len(batch.source)
    with torch.autocast("cpu", torch.bfloat16):
        unrounded = encoder.unrounded(torch.cat([batch.source, batch.clean]))
        values, tokens = encoder.quantiser(unrounded)
        output = decoder(values[:rows], batch.speaker)
    parts = decoder_loss(output.float(), batch.target, facts.normalisation, ear, DecoderLossWeights(ear=_EAR_WEIGHT))
    bounded = encoder.quantiser.bounded(unrounded)
    parts["consistency"] = (bounded[:rows] - bounded[rows:]).abs().mean()
    parts["agreement"] = (tokens[:rows] == tokens[rows:]).float().mean()
    parts["total"] = parts["total"] + _CONSISTENCY_WEIGHT * parts["consistency"]
    return parts


@torch.no_grad()
def _report(encoder: Encoder, decoder: Decoder, batch: PairBatch, facts: Facts, ear: listening.Ear) -> None:
    parts = losses(encoder, decoder, batch, facts, ear)
    used = len(encoder(batch.clean)[1].unique())
    print(f"codec: validation {schedule.line({k: float(v) for k, v in parts.items()})}", end=" ")
    print(f"tokens in use {used}", flush=True)


def _save(encoder: Encoder, decoder: Decoder, path: Path) -> None:
    torch.save({"encoder": encoder.state_dict(), "decoder": decoder.state_dict()}, path)
