"""The reported figures: phoneme error rates on held-out text, by the ear and by a second ear.

Everything is measured on the packed weights, as the product loads them. The second ear took no
part in any loss. Intervals are 95 % bootstrap intervals over clips.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.backends.finch import phonemes, weights
from engine.backends.finch.acoustics import SAMPLE_RATE, median_f0_hz
from engine.backends.finch.ear import Listener
from engine.backends.finch.pretrain import voices
from engine.backends.finch.pretrain.checks import unheard_utterances
from engine.backends.finch.pretrain.data import utter
from engine.backends.finch.pretrain.facts import load_or_measure
from engine.backends.finch.pretrain.sampling import Request, generate
from engine.backends.finch.pretrain.texts import HARVARD, test_pairs, test_paragraphs
from engine.backends.finch.weights import Finch

_CHUNK_CHARACTERS = 190
_CHUNK_PAUSE_S = 0.25
_ROWS_PER_BATCH = 16
_LEAST_CLIPS = 12


@dataclass(frozen=True)
class Clip:
    """One judged clip: errors by both ears, its F0, and whether it ended by itself."""

    rate: float
    second_rate: float
    f0_hz: float
    finished: bool
    seconds: float


@dataclass(frozen=True)
class Ears:
    """The product's ear and the independent one."""

    first: Listener
    second: Listener

    def judge(self, samples: Tensor, symbols: Sequence[str], finished: bool = True) -> Clip:
        """Errors of a clip against the phonemes it should contain."""
        if len(samples) < SAMPLE_RATE // 10:
            samples = torch.zeros(SAMPLE_RATE // 2)
        return Clip(
            self.first.errors(samples, symbols).rate,
            self.second.errors(samples, symbols).rate,
            median_f0_hz(samples),
            finished,
            len(samples) / SAMPLE_RATE,
        )


def interval(values: Sequence[float], seed: int = 0) -> dict[str, float]:
    """Mean and its 95 % bootstrap interval."""
    draw = np.random.default_rng(seed)
    array = np.asarray(values, float)
    means = array[draw.integers(0, len(array), (2000, len(array)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"mean": round(float(array.mean()), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def summary(clips: Sequence[Clip]) -> dict[str, Any]:
    """Figures of a set of clips."""
    return {
        "clips": len(clips),
        "per": interval([clip.rate for clip in clips]),
        "per_second_ear": interval([clip.second_rate for clip in clips]),
        "runaways": sum(not clip.finished for clip in clips),
    }


def run(work: Path, folder: Path, seeds: int = 3) -> dict[str, Any]:
    """Measure everything but tuning, print it and write `evaluation.json` to `folder`."""
    finch = weights.load(folder)
    ears = Ears(weights.load_ear(folder), weights.load_ear(folder, "second_ear"))
    figures: dict[str, Any] = {"ear": _ear_figures(ears)}
    show("ear", figures["ear"])
    figures["copy_synthesis"] = _copy_synthesis(work, finch, ears)
    show("copy_synthesis", figures["copy_synthesis"])
    figures["unheard_tokens"] = _unheard_tokens(finch, ears)
    show("unheard_tokens", figures["unheard_tokens"])
    for tier, texts, chunked in (
        ("short", test_pairs(), False),
        ("medium", test_paragraphs(6), False),
        ("long", test_paragraphs(13), True),
    ):
        figures[tier] = base_tier(finch, ears, texts, chunked, seeds)
        show(tier, figures[tier])
    write(folder / "evaluation.json", figures)
    return figures


def write(path: Path, figures: dict[str, Any]) -> None:
    """Add figures to the JSON file, keeping the others that it holds."""
    stored = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**stored, **figures}, indent=1) + "\n")


def show(name: str, figures: dict[str, Any]) -> None:
    """Print figures in one line."""
    print(f"evaluate: {name} {json.dumps(figures)}", flush=True)


def _ear_figures(ears: Ears) -> dict[str, Any]:
    """Both ears on espeak-ng's own speech of the Harvard sentences."""
    base = [
        (voices.espeak_voice(name, 165), text)
        for index, name in enumerate(voices.BASE_VOICES)
        for text in HARVARD[index * 5 : index * 5 + 5]
    ]
    unheard = [(voice, text) for voice in voices.UNHEARD.values() for text in HARVARD[::2]]
    figures = {}
    for name, jobs in (("base", base), ("unheard", unheard)):
        spoken = [utter(text, voice) for voice, text in jobs]
        figures[name] = summary([ears.judge(s.samples, s.pronunciation.symbols) for s in spoken])
    return figures


def _copy_synthesis(work: Path, finch: Finch, ears: Ears) -> dict[str, Any]:
    """Base voices through their own tokens, decoder and vocoder."""
    statistics = load_or_measure(work).speakers
    clips = []
    for voice in finch.config.voices:
        for text in test_pairs()[voice.speaker :: 4]:
            spoken = utter(text, voices.espeak_voice(voice.name, 165))
            tokens = finch.tokenise(spoken.features, statistics[voice.name])
            samples = finch.render(tokens, voice.speaker, torch.Generator().manual_seed(0))
            clips.append(ears.judge(samples, spoken.pronunciation.symbols))
    return summary(clips)


def _unheard_tokens(finch: Finch, ears: Ears) -> dict[str, Any]:
    """Tokens of unheard voices through the decoder of every base voice in turn."""
    figures = {}
    for name in voices.UNHEARD:
        many, statistics = unheard_utterances(name, test_pairs())
        clips = []
        for index, spoken in enumerate(many):
            tokens = finch.tokenise(spoken.features, statistics)
            speaker = index % len(finch.config.voices)
            samples = finch.render(tokens, speaker, torch.Generator().manual_seed(0))
            clips.append(ears.judge(samples, spoken.pronunciation.symbols))
        figures[name] = summary(clips)
    return figures


def base_tier(finch: Finch, ears: Ears, texts: Sequence[str], chunked: bool, seeds: int) -> dict[str, Any]:
    """Base voices saying `texts`, in one pass or in chunks of whole sentences."""
    speakers = len(finch.config.voices)
    repeats = max(1, _LEAST_CLIPS // len(texts))
    jobs = [
        (text, (index + turn * 3) % speakers, turn)
        for turn in range(seeds * repeats)
        for index, text in enumerate(texts)
    ]
    return summary(say_all(finch, ears, jobs, chunked))


def say_all(finch: Finch, ears: Ears, jobs: Sequence[tuple[str, int, int]], chunked: bool) -> list[Clip]:
    """Clips of (text, speaker, seed) jobs; chunks of one text are joined by a short silence."""
    inventory = finch.config.inventory
    requests: list[Request] = []
    owners: list[int] = []
    wanted: list[list[str]] = []
    for owner, (text, speaker, seed) in enumerate(jobs):
        wanted.append([])
        for number, chunk in enumerate(split(text) if chunked else [text]):
            symbols = phonemes.pronounce(chunk).symbols
            wanted[-1] += symbols
            clock = finch.config.voices[speaker].clock
            key = 1000 * seed + number + 17 * owner
            requests.append(Request(tuple(inventory.encode(symbols)), speaker, clock, key))
            owners.append(owner)
    parts: list[list[Tensor]] = [[] for _ in jobs]
    finished = [True] * len(jobs)
    silence = torch.zeros(int(_CHUNK_PAUSE_S * SAMPLE_RATE))
    for start in range(0, len(requests), _ROWS_PER_BATCH):
        rows = requests[start : start + _ROWS_PER_BATCH]
        made = generate(finch.language_model, finch.config.vocabulary, rows, finch.config.sampling)
        for row, result, owner in zip(rows, made, owners[start:], strict=False):
            generator = torch.Generator().manual_seed(row.seed)
            if len(result.tokens) > 2:
                samples = finch.render(result.tokens, row.speaker, generator)
                parts[owner] += [silence, samples] if parts[owner] else [samples]
            finished[owner] &= result.finished
    return [
        ears.judge(torch.cat(samples) if samples else torch.zeros(0), symbols, ended)
        for samples, symbols, ended in zip(parts, wanted, finished, strict=True)
    ]


def split(text: str) -> list[str]:
    """Whole sentences, joined up to 190 characters."""
    chunks: list[str] = []
    for sentence in text.replace("? ", "?|").replace(". ", ".|").replace("! ", "!|").split("|"):
        if chunks and len(chunks[-1]) + len(sentence) < _CHUNK_CHARACTERS:
            chunks[-1] += f" {sentence}"
        else:
            chunks.append(sentence)
    return chunks
