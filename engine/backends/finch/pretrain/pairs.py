"""Training items of the codec: crops of one voice's speech with another voice's as the target.

Members of a group speak the same phonemes, so the frames of one are warped to the times of another
by their phoneme starts. The encoder hears voice `a`, the decoder is asked for voice `b`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.backends.finch import acoustics
from engine.backends.finch.acoustics import CEPSTRA, F0_COLUMN, FRAME_RATE
from engine.backends.finch.pretrain import voices
from engine.backends.finch.pretrain.data import Entry, Shard, is_validation, load_shards
from engine.backends.finch.pretrain.facts import Facts, features_of

CROP_FRAMES = 256
_SHARE_PARALLEL, _SHARE_BASE_TARGET, _SHARE_VARIANT_SOURCE = 0.8, 0.7, 0.6
_WARPS = np.linspace(0.84, 1.2, 15)


@dataclass(frozen=True)
class Member:
    """One utterance of a group: raw features (frames, 30) in half precision, phoneme times."""

    speaker: int
    features: Tensor
    times: npt.NDArray[np.float32]


@dataclass(frozen=True)
class PairBatch:
    """`source` and `clean` (b, frames, 30) are encoder inputs of a and b, `target` is b's."""

    source: Tensor
    clean: Tensor
    target: Tensor
    speaker: Tensor


def load_groups(work: Path, validation: bool) -> list[list[Member]]:
    """All groups of the training data, or the validation groups."""
    names = {name: index for index, name in enumerate(voices.speakers())}
    groups: dict[int, list[Member]] = {}
    for shard in load_shards(work):
        for entry in shard.entries:
            if is_validation(entry.group) == validation:
                member = _member(shard, entry, names[entry.speaker])
                groups.setdefault(entry.group, []).append(member)
    return list(groups.values())


def _member(shard: Shard, entry: Entry, speaker: int) -> Member:
    features = features_of(shard, entry).half()
    times = np.array([*entry.starts, len(features) / FRAME_RATE], np.float32)
    return Member(speaker, features, times)


class PairSampler:
    """Draws batches of crops."""

    def __init__(self, groups: list[list[Member]], facts: Facts, draw: random.Random) -> None:
        self._groups = groups
        self._norms = facts.normalisation
        self._statistics = [facts.speakers[name] for name in voices.speakers()]
        self._draw = draw
        self._warps = [_warp_matrix(float(f), facts) for f in _WARPS]

    def batch(self, rows: int, perturb: bool = True, only_parallel: bool = False) -> PairBatch:
        """`rows` crops of 256 frames."""
        source, clean, target, speaker = [], [], [], []
        for _ in range(rows):
            a, b = self._pick(only_parallel)
            first = self._draw.randint(0, max(0, len(b.features) - CROP_FRAMES))
            wanted = np.arange(first, first + CROP_FRAMES).clip(max=len(b.features) - 1)
            heard = wanted if a is b else aligned_frames(a, b, wanted)
            crop = self._encoder_input(a, heard)
            source.append(self._perturbed(crop) if perturb else crop)
            clean.append(self._encoder_input(b, wanted))
            target.append(self._norms.decoder_target(b.features[wanted]))
            speaker.append(b.speaker)
        return PairBatch(torch.stack(source), torch.stack(clean), torch.stack(target), torch.tensor(speaker))

    def _encoder_input(self, member: Member, frames: npt.NDArray[np.int64]) -> Tensor:
        return self._norms.encoder_input(member.features[frames], self._statistics[member.speaker])

    def _pick(self, only_parallel: bool) -> tuple[Member, Member]:
        draw = self._draw
        group = draw.choice(self._groups)
        if not only_parallel and draw.random() >= _SHARE_PARALLEL:
            member = draw.choice(group)
            return member, member
        base = [m for m in group if m.speaker < len(voices.BASE_VOICES)]
        others = [m for m in group if m.speaker >= len(voices.BASE_VOICES)]
        wants_base = base and (draw.random() < _SHARE_BASE_TARGET or not others)
        is_variant_source = others and (draw.random() < _SHARE_VARIANT_SOURCE or not base)
        source = draw.choice(others if is_variant_source else base)
        return source, draw.choice(base if wants_base else others)

    def _perturbed(self, crop: Tensor) -> Tensor:
        """Another vocal tract length, another channel, another F0 range."""
        draw, crop = self._draw, crop.clone()
        if draw.random() < 0.6:
            crop[:, :CEPSTRA] = crop[:, :CEPSTRA] @ draw.choice(self._warps)
        crop[:, :CEPSTRA] += torch.randn(CEPSTRA) * 0.12
        crop[:, F0_COLUMN] = crop[:, F0_COLUMN] * draw.uniform(0.85, 1.15) + draw.gauss(0, 0.15)
        return crop


def aligned_frames(source: Member, target: Member, frames: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The frames of `source` that speak what `target` speaks at `frames`."""
    times = np.interp((frames + 0.5) / FRAME_RATE, target.times, source.times)
    found: npt.NDArray[np.int64] = (times * FRAME_RATE).astype(np.int64)
    return found.clip(0, len(source.features) - 1)


def _warp_matrix(factor: float, facts: Facts) -> Tensor:
    """What a linear warp of the frequency axis does to normalised cepstra, (28, 28)."""
    centres = acoustics.mel_centres_hz().numpy()
    wanted = np.clip(centres * factor, centres[0], centres[-1])
    above = np.clip(np.searchsorted(centres, wanted), 1, len(centres) - 1)
    weight = (wanted - centres[above - 1]) / (centres[above] - centres[above - 1])
    bands = np.zeros((len(centres), len(centres)), np.float32)
    columns = np.arange(len(centres))
    bands[above - 1, columns] += 1 - weight
    bands[above, columns] += weight
    basis, std = acoustics.cosine_basis(), torch.tensor(facts.normalisation.std_cepstra)
    return std[:, None] * (basis.T @ torch.from_numpy(bands) @ basis) / std[None]
