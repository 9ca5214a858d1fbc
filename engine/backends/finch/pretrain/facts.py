"""What all stages need to know of the training data: inventory, durations, norms, speakers."""

from __future__ import annotations

import collections
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from engine.backends.finch import acoustics, ear
from engine.backends.finch.acoustics import Normalisation, SpeakerStatistics
from engine.backends.finch.phonemes import Inventory
from engine.backends.finch.pretrain import voices
from engine.backends.finch.pretrain.data import Entry, Shard, load_shards

_LEAST_COUNT = 10
_UTTERANCES_PER_SPEAKER = 40
_TOKEN_S = 0.04


@dataclass(frozen=True)
class Facts:
    """Measured once from the data stage's output and stored as JSON beside it."""

    symbols: tuple[str, ...]
    durations: tuple[float, ...]
    normalisation: Normalisation
    speakers: dict[str, SpeakerStatistics]

    @property
    def inventory(self) -> Inventory:
        return Inventory(self.symbols)

    @property
    def segments(self) -> tuple[str, ...]:
        """The segments that an ear listens for."""
        return tuple(sorted(set(ear.fold_all(self.symbols))))

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @staticmethod
    def load(path: Path) -> Facts:
        stored = json.loads(path.read_text())
        return Facts(
            tuple(stored["symbols"]),
            tuple(stored["durations"]),
            read_normalisation(stored["normalisation"]),
            {name: read_statistics(value) for name, value in stored["speakers"].items()},
        )


def read_normalisation(stored: dict[str, object]) -> Normalisation:
    """From JSON, where tuples have become lists."""
    fixed = {key: tuple(v) if isinstance(v, list) else v for key, v in stored.items()}
    return Normalisation(**fixed)  # type: ignore[arg-type]


def read_statistics(stored: dict[str, object]) -> SpeakerStatistics:
    """From JSON, where tuples have become lists."""
    fixed = {key: tuple(v) if isinstance(v, list) else v for key, v in stored.items()}
    return SpeakerStatistics(**fixed)  # type: ignore[arg-type]


def load_or_measure(work: Path) -> Facts:
    """The facts of the data under `work`; measured and stored on the first call."""
    path = work / "facts.json"
    if not path.exists():
        measure(load_shards(work)).save(path)
    return Facts.load(path)


def measure(shards: list[Shard]) -> Facts:
    """Measure everything on the training groups."""
    symbols, durations = _durations(entry for shard in shards for entry in shard.entries)
    matrices = {name: _speaker_features(shards, name) for name in voices.speakers()}
    speakers = {name: SpeakerStatistics.measure(m) for name, m in matrices.items()}
    residuals = torch.cat(
        [
            matrices[name][:, : acoustics.CEPSTRA] - torch.tensor(speakers[name].mean_cepstra)
            for name in voices.BASE_VOICES
        ]
    )
    means = torch.tensor([speakers[name].mean_cepstra for name in voices.BASE_VOICES])
    normalisation = Normalisation(tuple(means.mean(0).tolist()), tuple(residuals.std(0).tolist()))
    return Facts(symbols, durations, normalisation, speakers)


def features_of(shard: Shard, entry: Entry) -> torch.Tensor:
    """Features (frames, 30) of an utterance."""
    frames = torch.from_numpy(shard.frames(entry))
    bands = acoustics.MEL_BANDS
    return acoustics.features_from_mel(frames[:, :bands], frames[:, bands], frames[:, bands + 1])


def _durations(entries: Iterable[Entry]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Mean durations in tokens; each utterance's closing pause takes no time and is left out."""
    counts: collections.Counter[str] = collections.Counter()
    seconds: dict[str, float] = collections.defaultdict(float)
    for entry in entries:
        for symbol, span in zip(entry.symbols[:-1], np.diff(entry.starts), strict=True):
            counts[symbol] += 1
            seconds[symbol] += float(span)
    kept = sorted(symbol for symbol, count in counts.items() if count >= _LEAST_COUNT)
    return tuple(kept), tuple(seconds[s] / counts[s] / _TOKEN_S for s in kept)


def _speaker_features(shards: list[Shard], speaker: str) -> torch.Tensor:
    found = [
        features_of(shard, entry)
        for shard in shards
        for entry in [e for e in shard.entries if e.speaker == speaker][:_UTTERANCES_PER_SPEAKER]
    ]
    return torch.cat(found)
