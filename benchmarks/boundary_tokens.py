"""`python -m benchmarks.boundary_tokens FOLDER`: how often the gate of speech tokens fires, with a leak and without.

Recordings of a sound set stand for clips and references; tokens are the nearest of k means of their log mel frames,
25 a second, learned from the same recordings. A leak is planted in the sound: the reference's end before a clip, at
another level and under noise, so that not every token of it comes back. A check holds twelve recordings against a
thirteenth; checks share recordings, so that their counts scatter more than those of independent ones.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from engine import audio, readers
from engine.screeners import boundary_tokens
from engine.screeners.boundary_tokens import BEGINNING_SEC, Spoken, Tokens
from engine.screeners.leakage import Start
from engine.screeners.leakage_gates import TokenEvidence, gates
from engine.types import EngineError

RATE, HOP, BANDS = 16_000, 640, 40  # Hz, samples a token, bands
SHORTEST_SEC, LINES = 4.5, 12
CODEBOOKS = (500, 2000)
CHECKS = {0.0: 200, 0.3: 40, 0.6: 40, 1.0: 40}  # seconds of the reference's end that are planted -> checks
RESULTS = Path(__file__).parent / "results" / "boundary_tokens.md"
NOT_ASKED = Start(hits=0, trimmed_hits=0, by_chance=0, correlation=float("nan"), null=())
Samples = NDArray[np.float32]
Frames = NDArray[np.float64]


@dataclass(frozen=True)
class Tokenizer:
    """k means of log mel frames, each band in units of its own spread."""

    middle: Frames
    spread: Frames
    means: Frames

    def __call__(self, samples: Samples) -> Tokens:
        return tuple(nearest((frames(samples) - self.middle) / self.spread, self.means).tolist())


def learned(recordings: Sequence[Samples], codes: int, *, rounds: int = 5, seed: int = 0) -> Tokenizer:
    """Lloyd's algorithm from frames drawn by the seed."""
    heard = np.concatenate([frames(each) for each in recordings])
    middle, spread = heard.mean(0), heard.std(0)
    heard = (heard - middle) / spread
    means = heard[np.random.default_rng(seed).choice(len(heard), codes, replace=False)].copy()
    for _ in range(rounds):
        belongs = nearest(heard, means)
        for code in np.unique(belongs):
            means[code] = heard[belongs == code].mean(0)
    return Tokenizer(middle, spread, means)


def frames(samples: Samples) -> Frames:
    """(n, bands), 25 a second."""
    import librosa

    mel = librosa.feature.melspectrogram(y=samples, sr=RATE, n_fft=1024, hop_length=HOP, n_mels=BANDS)
    return np.log(mel.T.astype(np.float64) + 1e-5)


def nearest(heard: Frames, means: Frames) -> NDArray[np.int64]:
    """The number of the nearest mean of each frame."""
    squares: Frames = (means**2).sum(1) - 2 * heard @ means.T
    found: NDArray[np.int64] = squares.argmin(1)
    return found


def fires(recordings: Sequence[Samples], tokens: Tokenizer, leak_sec: float, seed: int) -> bool:
    """Whether one check, with so much of the reference planted before every clip, calls it a leak."""
    draw = random.Random(seed)
    reference, *lines = draw.sample(range(len(recordings)), LINES + 1)
    tail = recordings[reference][len(recordings[reference]) - round(leak_sec * RATE) :]
    said = []
    for line in lines:
        clip = np.concatenate([draw.uniform(0.5, 1.2) * tail, recordings[line]])
        noise = np.random.default_rng([seed, line]).normal(0, 1e-3, len(clip)) if leak_sec else np.zeros(len(clip))
        said.append(Spoken(tokens((clip + noise).astype(np.float32)), str(line)))
    rate_hz = RATE / HOP
    own = tokens(recordings[reference])
    others = [Spoken(each.tokens[round(BEGINNING_SEC * rate_hz) :], each.line) for each in said]
    pauses = boundary_tokens.common([own, *(each.tokens for each in said)])
    found = boundary_tokens.overlap(own, said, others, rate_hz=rate_hz, pauses=pauses)
    assert found is not None
    return gates([NOT_ASKED], tokens=TokenEvidence(tuned=[found]))[4].passed is False


def table(recordings: Sequence[Samples]) -> str:
    """A row a codebook and planted length."""
    lines = [f"{len(recordings)} recordings of {SHORTEST_SEC:g} s and more.", "", "| tokens | planted | fires |"]
    lines.append("|--:|--:|--:|")
    for codes in CODEBOOKS:
        tokens = learned(recordings, codes)
        for leak_sec, checks in CHECKS.items():
            count = sum(fires(recordings, tokens, leak_sec, seed) for seed in range(checks))
            lines.append(f"| {codes} | {f'{leak_sec:g} s' if leak_sec else 'nothing'} | {count} of {checks} |")
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Count, print the table and keep it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.boundary_tokens", description=__doc__)
    parser.add_argument("folder", type=Path, help="a sound set of one voice in any layout that Earmark reads")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the table is kept")
    flags = parser.parse_args(arguments)
    facts = machine.facts()
    try:
        read = [audio.read(row.audio_path, RATE)[0] for row in readers.read(flags.folder).utterances]
    except EngineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    recordings = [each for each in read if len(each) >= SHORTEST_SEC * RATE]
    if len(recordings) <= LINES:
        parser.error(f"{flags.folder} has {len(recordings)} recordings of {SHORTEST_SEC:g} s; {LINES + 1} are needed")
    body = "\n".join(["# boundary_tokens", "", *(f"- {fact}" for fact in facts), "", table(recordings)])
    print(body)
    flags.results.parent.mkdir(parents=True, exist_ok=True)
    flags.results.write_text(body, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
