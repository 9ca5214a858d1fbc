"""The reported figures of tuning: an unheard voice learned from five minutes, scale by scale."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.backends.finch import acoustics, phonemes, weights
from engine.backends.finch.acoustics import CEPSTRA, VOICING_COLUMN
from engine.backends.finch.pretrain import voices
from engine.backends.finch.pretrain.data import utter
from engine.backends.finch.pretrain.demo_data import demo_texts
from engine.backends.finch.pretrain.evaluate import Clip, Ears, show, summary, write
from engine.backends.finch.pretrain.sampling import Request, generate
from engine.backends.finch.pretrain.texts import test_pairs
from engine.backends.finch.pretrain.tune import Tuned, TuningConfig, set_scale, tune
from engine.backends.finch.tuning import clock_at, prepare
from engine.backends.finch.weights import Finch

SCALES = (0.0, 0.2, 0.3, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0)
_BASE_FOR = {"steph": "reed", "belinda": "wren"}
_MINUTES = 5.0
_LEAST_PROGRESS = 0.6


@dataclass(frozen=True)
class Reference:
    """Where a voice is: its median F0 and mean cepstra of voiced frames, level left out (27,)."""

    f0_hz: float
    timbre: Tensor

    @staticmethod
    def measure(clips: Sequence[Tensor], std: Tensor) -> Reference:
        matrix = torch.cat([acoustics.features(clip) for clip in clips if len(clip) > 3200])
        voiced = matrix[matrix[:, VOICING_COLUMN] > 0.5]
        timbre = voiced[:, 1:CEPSTRA].mean(0) / std[1:]
        return Reference(float(voiced[:, acoustics.F0_COLUMN].median().exp()), timbre)

    def progress_towards(self, base: Reference, target: Reference) -> tuple[float, float]:
        """How far from `base` (0) to `target` (1): in log F0, and along the timbre difference."""
        logs = np.log([self.f0_hz, base.f0_hz, target.f0_hz])
        way = target.timbre - base.timbre
        timbre = float((self.timbre - base.timbre) @ way / (way @ way))
        return float((logs[0] - logs[1]) / (logs[2] - logs[1])), timbre


def run(
    folder: Path,
    names: Sequence[str] = tuple(_BASE_FOR),
    config: TuningConfig | None = None,
    texts: Sequence[str] = (),
) -> dict[str, Any]:
    """Tune on each unheard voice, measure every scale and add the tables to `evaluation.json`."""
    finch = weights.load(folder)
    ears = Ears(weights.load_ear(folder), weights.load_ear(folder, "second_ear"))
    wanted = list(texts) or test_pairs()
    chosen = config or TuningConfig()
    tables = {name: _table(finch, ears, name, chosen, wanted) for name in names}
    if not texts:
        path = folder / "evaluation.json"
        stored = json.loads(path.read_text()) if path.exists() else {}
        write(path, {"tuning": {**stored.get("tuning", {}), **tables}})
    return tables


def recordings(name: str, minutes: float, seed: int = 1) -> list[tuple[Tensor, str]]:
    """So many minutes of an unheard voice: (samples, text) pairs."""
    found: list[tuple[Tensor, str]] = []
    seconds = 0.0
    for text in demo_texts(random.Random(seed)):
        if seconds >= minutes * 60:
            break
        samples = utter(text, voices.UNHEARD[name]).samples
        found.append((samples, text))
        seconds += len(samples) / acoustics.SAMPLE_RATE
    return found


def _table(finch: Finch, ears: Ears, name: str, config: TuningConfig, texts: Sequence[str]) -> dict[str, Any]:
    base = finch.config.voice(_BASE_FOR[name])
    data = prepare(finch, recordings(name, _MINUTES))
    tuned = tune(finch, data, base.speaker, ears.first.ear, config)
    std = torch.tensor(finch.config.normalisation.std_cepstra)
    target = Reference.measure([utter(t, voices.UNHEARD[name]).samples for t in texts], std)
    start: Reference | None = None
    rows: dict[str, Any] = {}
    for scale in SCALES:
        clips, samples = speak_at(finch, tuned, ears, texts, scale, base.clock)
        place = Reference.measure(samples, std)
        start = start or place
        f0, timbre = place.progress_towards(start, target)
        rows[str(scale)] = {
            **summary(clips),
            "f0_hz": round(place.f0_hz, 1),
            "f0_progress": round(f0, 3),
            "timbre_progress": round(timbre, 3),
        }
        show(f"tuning {name} scale {scale}", rows[str(scale)])
    return {
        "base": base.name,
        "minutes": _MINUTES,
        "target_f0_hz": round(target.f0_hz, 1),
        "f0_monotone_0_to_1": _is_monotone(rows, rising=target.f0_hz > (start or target).f0_hz),
        "best_scale": _best_scale(rows),
        "scales": rows,
    }


def speak_at(
    finch: Finch, tuned: Tuned, ears: Ears, texts: Sequence[str], scale: float, base_clock: float
) -> tuple[list[Clip], list[Tensor]]:
    """Clips of `texts` by a tuned voice at one `lora_scale` over both adapters."""
    set_scale(tuned.language_model, scale)
    set_scale(tuned.decoder, scale)
    clock = clock_at(base_clock, tuned.clock, scale)
    spoken = [phonemes.pronounce(text).symbols for text in texts]
    inventory = finch.config.inventory
    requests = [
        Request(tuple(inventory.encode(symbols)), tuned.speaker, clock, seed) for seed, symbols in enumerate(spoken)
    ]
    made = generate(tuned.language_model, finch.config.vocabulary, requests, finch.config.sampling)
    clips, heard = [], []
    for request, result, symbols in zip(requests, made, spoken, strict=True):
        samples = torch.zeros(acoustics.SAMPLE_RATE // 2)
        if len(result.tokens) > 2:
            generator = torch.Generator().manual_seed(request.seed)
            samples = finch.render(result.tokens, tuned.speaker, generator, tuned.decoder)
        clips.append(ears.judge(samples, symbols, result.finished))
        heard.append(samples)
    return clips, heard


def _is_monotone(rows: dict[str, Any], rising: bool) -> bool:
    track = [rows[str(scale)]["f0_hz"] for scale in SCALES if scale <= 1]
    steps = np.diff(track)
    return bool((steps > 0).all() if rising else (steps < 0).all())


def _best_scale(rows: dict[str, Any]) -> str | None:
    """The scale of least PER among those at least 60 % of the way in F0 and timbre."""
    far = [scale for scale, row in rows.items() if min(row["f0_progress"], row["timbre_progress"]) >= _LEAST_PROGRESS]
    return min(far, key=lambda scale: rows[scale]["per"]["mean"], default=None)
