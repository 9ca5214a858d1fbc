"""Clean clips whose words lie at known times: the built-in voice, espeak-ng voices, and recordings that are given.

Knows how a clip is verified to be clean without the ear that is judged: of the built-in voice by its second ear, which
no screener uses; espeak-ng says what it is told to, and gives the times itself. Recordings are taken as their corpus
has them, and their words lie where a forced alignment of the text puts them, by the ear that follows them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray

from benchmarks.aligned_words import HeardWord, words
from benchmarks.edited_speech import RATE, Said, quietest
from engine import audio, backends, harness
from engine.adapter_files import load_adapter
from engine.adapters import AdapterHost
from engine.backends.finch import phonemes, weights
from engine.backends.finch.ear import Listener
from engine.backends.finch.info import ASSETS
from engine.screeners.hama_ear import HamaEar
from engine.types import SpeakRow

CLEAN_PERCENT = 12.0  # of phonemes wrong by the second ear, at most
CLEAN_INSERTIONS = 3  # phonemes added by the second ear, at most: more may be a word
CLEAN_WORD = -3.0  # the least mean log posterior of a word by the second ear
ROWS_A_BATCH = 24
LEAST_REACH_SEC = 0.005  # from the middle between two words whose phonemes touch
SHORTEST_WORD_SEC = 0.06  # an "a" said fast; less is a part of a vowel, and the rest of it would stay


def finch(
    voices: Sequence[str], texts: Sequence[str], seeds: Sequence[int], adapter: Path | None = None, scale: float = 0.0
) -> Iterator[Said]:
    """The built-in voices, or what an adapter makes of its own, reading every text with every seed, where it is read
    cleanly.
    """
    host = AdapterHost(backends.load("finch", device="cpu"))
    loaded = load_adapter(adapter) if adapter else None
    if loaded:
        host.add(loaded)
        voices = (loaded.voice,)
    listener = weights.load_ear(ASSETS, "second_ear")
    asked = [
        (
            voice,
            text,
            harness.rows(
                text,
                voice=voice,
                seed=seed,
                adapter_sha256=loaded.sha256 if loaded else None,
                lora_scale=scale,
                voice_settings=loaded.voice_settings if loaded else None,
            ),
        )
        for seed in seeds
        for voice in voices
        for text in texts
    ]
    flat: list[SpeakRow] = [row for _, _, rows in asked for row in rows]
    order = sorted(range(len(flat)), key=lambda n: len(flat[n].text))
    spoken: dict[int, NDArray[np.float32]] = {}
    for begin in range(0, len(order), ROWS_A_BATCH):
        batch = order[begin : begin + ROWS_A_BATCH]
        spoken |= dict(zip(batch, (s.samples for s in host.speak([flat[n] for n in batch])), strict=True))
    at = 0
    for voice, text, rows in asked:
        samples = harness.join([spoken[n] for n in range(at, at + len(rows))], RATE)
        at += len(rows)
        said = verified(listener, samples, text, voice, "tuned" if loaded else "finch")
        if said is not None:
            yield said


def verified(listener: Listener, samples: NDArray[np.float32], text: str, voice: str, group: str) -> Said | None:
    """The clip with its words' edges by an independent ear; None when that ear hears a fault in it."""
    spoken = phonemes.pronounce(text)
    waveform = torch.from_numpy(samples)
    errors = listener.errors(waveform, spoken.symbols)
    if 100 * errors.rate > CLEAN_PERCENT or errors.insertions > CLEAN_INSERTIONS:
        return None
    found = words(listener, waveform, spoken)
    if len(found) < len(text.split()) or min(w.mean_log_posterior for w in found) < CLEAN_WORD:
        return None
    return Said(voice=voice, group=group, samples=samples, text=text, edges=edges(samples, found))


def edges(samples: NDArray[np.float32], words: Sequence[HeardWord]) -> tuple[int, ...]:
    """Between two words the quietest point from the last phoneme of one to the first of the next, and never beyond
    either; a word that would be shorter than any has all there is between its neighbours' phonemes.

    A search that goes farther puts both edges of a short word into one pause, and cutting the word then cuts nothing.
    """
    inner = [
        quietest(samples, round((a.end_s + b.start_s) / 2 * RATE), max(LEAST_REACH_SEC, (b.start_s - a.end_s) / 2))
        for a, b in pairwise(words)
    ]
    first = quietest(samples, round((words[0].start_s - 0.06) * RATE))
    last = quietest(samples, round((words[-1].end_s + 0.1) * RATE))
    found = [first, *inner, last]
    for n in range(1, len(words) - 1):
        if found[n + 1] - found[n] < SHORTEST_WORD_SEC * RATE:
            found[n : n + 2] = [round(words[n - 1].end_s * RATE), round(words[n + 1].start_s * RATE)]
    return tuple(np.maximum.accumulate(found).tolist())


def espeak(voices: Sequence[phonemes.EspeakVoice], texts: Sequence[str]) -> Iterator[Said]:
    """espeak-ng voices, edges by its own events. Texts in which it reads words as one are left out of the edits."""
    for voice in voices:
        for text in texts:
            said, raw, rate = phonemes.speak(text, voice)
            samples = audio.resample((raw / 32768).astype(np.float32), rate, RATE)
            starts = [next((p.start_s for p in said.phonemes if p.word == n), None) for n in range(len(said.words))]
            if None in starts or len(starts) != len(text.split()):
                continue
            last = said.phonemes[-1].start_s
            edges = [quietest(samples, round(s * RATE), 0.012) for s in (*starts, last) if s is not None]
            yield Said(voice=voice.name, group="espeak", samples=samples, text=text, edges=tuple(edges))


def recorded(folder: Path, ear: HamaEar) -> Iterator[Said]:
    """Recordings of a folder in LJ Speech's layout, edges by forced alignment. Texts in which words share sounds are
    left out.
    """
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        for name, *_, text in csv.reader(file, delimiter="|", quoting=csv.QUOTE_NONE):
            raw, rate = audio.read(folder / "clips" / f"{name}.flac")
            samples = audio.resample(raw, rate, RATE)
            words = ear.classes(text)
            if len(words) != len(text.split()):
                continue
            targets = torch.tensor([[sound for _, sounds in words for sound in sounds]], dtype=torch.int32)
            posteriors = torch.from_numpy(ear.log_posteriors(samples, RATE))
            path, scores = torchaudio.functional.forced_align(posteriors[None].contiguous(), targets, blank=0)
            spans = iter(torchaudio.functional.merge_tokens(path[0], scores[0], blank=0))
            found = []
            for word, (_, sounds) in enumerate(words):
                own = [next(spans) for _ in sounds]
                found.append(HeardWord(word, own[0].start / 50, own[-1].end / 50, 0.0, 0.0))
            yield Said(voice=folder.name, group="recorded", samples=samples, text=text, edges=edges(samples, found))
