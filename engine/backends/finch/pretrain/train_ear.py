"""Trains an ear: CTC over the phonemes that espeak-ng says it spoke, with augmentation in log mel.

The ear must understand vocoded and smoothed speech as well, so half of the inputs are reduced to
what 28 cepstra keep of them. The second ear differs in size and seed and is for evaluation alone.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from engine.backends.finch import acoustics
from engine.backends.finch.ear import (
    STACKED_FRAMES,
    Ear,
    EarConfig,
    compare,
    fold_all,
    normalise_mel,
)
from engine.backends.finch.pretrain import schedule, voices
from engine.backends.finch.pretrain.data import Entry, Shard, is_validation, load_shards, utter
from engine.backends.finch.pretrain.facts import Facts, load_or_measure
from engine.backends.finch.pretrain.texts import Corpus

_LONGEST_FRAMES = 1200
_FRAMES_PER_BATCH = 11_000
_UNHEARD_TEXTS = 12


@dataclass(frozen=True)
class Sample:
    """Log mel (frames, 60) in half precision, and the segments to hear (1 is the first)."""

    mel: Tensor
    targets: list[int]


def run(work: Path, minutes: float, name: str, sentences: Path) -> None:
    """Train the ear called `name` ('ear' or 'second_ear') and save it under `work`."""
    path = work / f"{name}.pt"
    if path.exists():
        print(f"{name}: kept, {path} exists")
        return
    seed = 1 if name == "ear" else 2
    torch.manual_seed(seed)
    facts = load_or_measure(work)
    sizes = {} if name == "ear" else {"width": 128, "blocks": 5, "kernel": 9}
    net = Ear(EarConfig(facts.segments, **sizes))
    shards = load_shards(work)
    training = _samples(shards, facts, validation=False)
    print(f"{name}: {len(training)} utterances, {len(facts.segments)} segments", flush=True)
    _train(net, training, minutes, name, random.Random(seed))
    torch.save(net.state_dict(), path)
    _gate(net, shards, Corpus.load(sentences), name)


def load(work: Path, name: str) -> Ear:
    """A trained ear under `work`, frozen."""
    facts = load_or_measure(work)
    sizes = {} if name == "ear" else {"width": 128, "blocks": 5, "kernel": 9}
    net = Ear(EarConfig(facts.segments, **sizes))
    net.load_state_dict(torch.load(work / f"{name}.pt"))
    return net.eval().requires_grad_(False)


def _samples(shards: list[Shard], facts: Facts, validation: bool) -> list[Sample]:
    ids = {plain: index + 1 for index, plain in enumerate(facts.segments)}
    found = []
    for shard in shards:
        for entry in shard.entries:
            segments = fold_all(entry.symbols)
            wanted = is_validation(entry.group) == validation and entry.frames <= _LONGEST_FRAMES
            if wanted and all(plain in ids for plain in segments):
                mel = torch.from_numpy(shard.frames(entry)[:, : acoustics.MEL_BANDS]).half()
                found.append(Sample(mel, [ids[plain] for plain in segments]))
    return sorted(found, key=lambda sample: len(sample.mel))


def _train(net: Ear, training: list[Sample], minutes: float, name: str, draw: random.Random) -> None:
    optimizer = schedule.adamw(net.parameters(), 2e-3, (0.9, 0.98), 0.02)
    trainer = schedule.Trainer(name, optimizer, list(net.parameters()), minutes, 2e-3)
    for _ in trainer.ticks():
        at = draw.randrange(len(training))
        size = max(4, _FRAMES_PER_BATCH // max(1, len(training[at].mel)))
        batch = training[at : at + size]
        mels = [augment(sample.mel.float(), draw) for sample in batch]
        trainer.step({"total": ctc_loss(net, mels, [sample.targets for sample in batch])})


def ctc_loss(net: Ear, mels: list[Tensor], targets: list[list[int]]) -> Tensor:
    """CTC loss of normalised log mels (frames, 60) of different lengths."""
    steps = torch.tensor([len(mel) // STACKED_FRAMES for mel in mels])
    padded = torch.nn.utils.rnn.pad_sequence(mels, batch_first=True)
    padded = functional.pad(padded, (0, 0, 0, padded.shape[1] % STACKED_FRAMES))
    mask = (torch.arange(padded.shape[1] // STACKED_FRAMES)[None] < steps[:, None]).float()
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(padded, mask[..., None])
    posteriors = logits.float().log_softmax(-1).transpose(0, 1)
    flat = torch.tensor([target for row in targets for target in row])
    lengths = torch.tensor([len(row) for row in targets])
    return functional.ctc_loss(posteriors, flat, steps, lengths, zero_infinity=True)


def augment(mel: Tensor, draw: random.Random) -> Tensor:
    """Log mel (frames, 60) made harder, and normalised: noise, smoothing, warps, masks."""
    if draw.random() < 0.5:
        noise = 10 ** draw.uniform(-7, -3.2) * acoustics.mel_filters().sum(0) * 100
        mel = 0.5 * torch.log((2 * mel).exp() + noise * torch.empty_like(mel).exponential_())
    if draw.random() < 0.5:
        basis = acoustics.cosine_basis()
        mel = mel @ basis @ basis.T
    mel = normalise_mel(mel)
    if draw.random() < 0.6:
        mel = _warp(mel, draw)
    for _ in range(2):
        band, width = draw.randrange(52), draw.randrange(9)
        mel[:, band : band + width] = 0
        start, length = draw.randrange(max(1, len(mel) - 8)), draw.randrange(7)
        mel[start : start + length] = 0
    return mel


def _warp(mel: Tensor, draw: random.Random) -> Tensor:
    frames, bands = int(len(mel) * draw.uniform(0.85, 1.2)), int(60 * draw.uniform(0.88, 1.12))
    warped = functional.interpolate(mel[None, None], size=(frames, bands), mode="bilinear", align_corners=True)[0, 0]
    if bands >= acoustics.MEL_BANDS:
        return warped[:, : acoustics.MEL_BANDS].clone()
    return torch.cat([warped, warped[:, -1:].expand(-1, acoustics.MEL_BANDS - bands)], 1)


def _gate(net: Ear, shards: list[Shard], corpus: Corpus, name: str) -> None:
    net.eval()
    base: list[tuple[int, int]] = []
    variants: list[tuple[int, int]] = []
    for shard in shards:
        for entry in shard.entries:
            if is_validation(entry.group) and entry.frames <= _LONGEST_FRAMES:
                row = base if entry.speaker in voices.BASE_VOICES else variants
                row.append(_errors(net, _mel(shard, entry), entry.symbols))
    print(f"{name}: PER base {_rate(base):.4f} (gate 0.01), variants {_rate(variants):.4f}")
    for voice in voices.UNHEARD.values():
        spoken = [utter(text, voice) for text in corpus.development[:_UNHEARD_TEXTS]]
        counts = [_errors(net, s.mel, s.pronunciation.symbols) for s in spoken]
        print(f"{name}: PER {voice.name} {_rate(counts):.4f} (gate 0.06)", flush=True)


def _mel(shard: Shard, entry: Entry) -> Tensor:
    return torch.from_numpy(shard.frames(entry)[:, : acoustics.MEL_BANDS])


@torch.inference_mode()
def _errors(net: Ear, mel: Tensor, symbols: tuple[str, ...] | list[str]) -> tuple[int, int]:
    path = torch.unique_consecutive(net(normalise_mel(mel)[None])[0].argmax(-1)).tolist()
    heard = [net.config.segments[index - 1] for index in path if index]
    errors = compare(fold_all(symbols), heard)
    return errors.substitutions + errors.deletions + errors.insertions, errors.reference


def _rate(counts: list[tuple[int, int]]) -> float:
    return sum(wrong for wrong, _ in counts) / max(1, sum(count for _, count in counts))
