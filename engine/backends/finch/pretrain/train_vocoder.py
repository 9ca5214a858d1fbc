"""Trains the vocoder on crops of training audio with the multi-resolution spectral loss."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.backends.finch.acoustics import HOP
from engine.backends.finch.pretrain import schedule
from engine.backends.finch.pretrain.data import is_validation, load_shards
from engine.backends.finch.pretrain.facts import features_of, load_or_measure
from engine.backends.finch.vocoder import Vocoder, VocoderConfig, spectral_loss

_CROP_FRAMES = 128
_ROWS = 12
_HOURS = 2.0


@dataclass(frozen=True)
class Recording:
    """Raw features (frames, 30) and their samples."""

    features: Tensor
    samples: Tensor


def run(work: Path, minutes: float) -> None:
    """Train the vocoder and save it under `work`."""
    path = work / "vocoder.pt"
    if path.exists():
        print(f"vocoder: kept, {path} exists")
        return
    torch.manual_seed(3)
    draw = random.Random(3)
    training, validation = _recordings(work, draw)
    net = Vocoder(VocoderConfig(), load_or_measure(work).normalisation)
    print(f"vocoder: {len(training)} recordings; loss untrained {_validate(net, validation):.3f}")
    optimizer = schedule.adamw(net.parameters(), 1e-3, (0.8, 0.98), 0.0)
    trainer = schedule.Trainer("vocoder", optimizer, list(net.parameters()), minutes, 1e-3, 0.5)
    for _ in trainer.ticks():
        features, samples = _crops([draw.choice(training) for _ in range(_ROWS)], draw)
        trainer.step({"total": spectral_loss(net(features, torch.randn_like(samples)), samples)})
    torch.save(net.state_dict(), path)
    print(f"vocoder: validation loss {_validate(net, validation):.3f} (gate 1.0)", flush=True)


def load(work: Path) -> Vocoder:
    """The trained vocoder under `work`, frozen."""
    net = Vocoder(VocoderConfig(), load_or_measure(work).normalisation)
    net.load_state_dict(torch.load(work / "vocoder.pt"))
    return net.eval().requires_grad_(False)


def _recordings(work: Path, draw: random.Random) -> tuple[list[Recording], list[Recording]]:
    training: list[Recording] = []
    validation: list[Recording] = []
    for shard in load_shards(work):
        for entry in shard.entries:
            samples = shard.samples(entry)
            if samples is not None and entry.frames > _CROP_FRAMES + 2:
                kept = Recording(features_of(shard, entry), torch.from_numpy(samples))
                (validation if is_validation(entry.group) else training).append(kept)
    draw.shuffle(training)
    most = int(_HOURS * 3600 * 100)
    total, count = 0, 0
    while count < len(training) and total < most:
        total, count = total + len(training[count].features), count + 1
    return training[:count], validation[:16]


def _crops(recordings: list[Recording], draw: random.Random) -> tuple[Tensor, Tensor]:
    features, samples = [], []
    for recording in recordings:
        start = draw.randrange(len(recording.features) - _CROP_FRAMES)
        features.append(recording.features[start : start + _CROP_FRAMES])
        first = start * HOP
        samples.append(recording.samples[first : first + (_CROP_FRAMES - 1) * HOP])
    return torch.stack(features), torch.stack(samples)


@torch.inference_mode()
def _validate(net: Vocoder, validation: list[Recording]) -> float:
    features, samples = _crops(validation, random.Random(0))
    torch.manual_seed(0)
    return float(spectral_loss(net(features, torch.randn_like(samples)), samples))
