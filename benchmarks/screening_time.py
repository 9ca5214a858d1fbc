"""`python -m benchmarks.screening_time`: how long all screeners take for a clip of 30 s, on one thread.

Clean speech of espeak-ng, and the same with words cut out, where words are in doubt and the clip is heard again; by the
ears of the built-in voice, and by those of a voice without an ear of its own. Imports no voice.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from benchmarks.edited_speech import RATE, Said
from benchmarks.screening_clips import espeak
from benchmarks.screening_texts import REPORTED
from engine import screeners
from engine.backends.finch.phonemes import EspeakVoice
from engine.screeners.heard import Ear, Heard
from engine.types import Stop

RESULTS = Path(__file__).parent / "results" / "screening_time.md"
TIMED_SEC = 30.0
CUT_EVERY = 6  # words
TIMES = 5


def thirty_seconds(said: Said, cut_every: int = 0) -> tuple[NDArray[np.float32], str]:
    """The first 30 s of a clip with the words in it, said once more from the beginning where it is shorter; every so
    many words cut out.
    """
    pieces, words = [said.samples[: said.edges[0]]], []
    total = len(pieces[0])
    for n in range(10 * len(said.words)):
        place = n % len(said.words)
        piece = said.samples[said.edges[place] : said.edges[place + 1]]
        if total + len(piece) > TIMED_SEC * RATE:
            break
        words.append(said.words[place])
        if not (cut_every and n % cut_every == cut_every - 1):
            pieces.append(piece)
            total += len(piece)
    return np.concatenate(pieces), " ".join(words)


def seconds(samples: NDArray[np.float32], text: str, ears: tuple[Ear, ...]) -> tuple[float, float]:
    """Processor time of the first call and the median of later ones."""
    found = []
    for _ in range(TIMES):
        begin = time.process_time()
        heard = Heard(samples=samples.copy(), sample_rate=RATE, text=text, ears=ears, stop=Stop.EOS)
        for screener in screeners.SCREENERS.values():
            screener(heard)
        found.append(time.process_time() - begin)
    return found[0], sorted(found[1:])[(TIMES - 1) // 2]


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the clips, time the screeners, print and keep the table."""
    import torch

    argparse.ArgumentParser(prog="python -m benchmarks.screening_time", description=__doc__).parse_args(arguments)
    torch.set_num_threads(1)
    facts = machine.facts()
    said = max(espeak((EspeakVoice("en-us+linda", 165),), REPORTED), key=lambda clip: len(clip.samples))
    lines = ["# screening_time", "", *(f"- {fact}" for fact in facts), "", (__doc__ or "").partition("\n\n")[2]]
    lines += [f"All {len(screeners.SCREENERS)} screeners, processor time; aim: under 3 s.", ""]
    lines += ["| ears | clip | length, s | words | first call, s | later calls, s |", "|---|---|--:|--:|--:|--:|"]
    for backend in ("finch", "a real voice"):
        ears = screeners.ears(backend)
        for name, every in (("clean", 0), (f"every {CUT_EVERY}th word cut out", CUT_EVERY)):
            samples, text = thirty_seconds(said, every)
            first, later = seconds(samples, text, ears)
            told = f"{len(samples) / RATE:.1f} | {len(text.split())} | {first:.2f} | {later:.2f}"
            lines.append(f"| {' then '.join(ear.name for ear in ears)} | {name} | {told} |")
    body = "\n".join([*lines, ""])
    print(body)
    RESULTS.write_text(body, encoding="utf-8")


if __name__ == "__main__":
    main()
