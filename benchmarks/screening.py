"""`python -m benchmarks.screening`: words that were cut out, doubled, added or run together, and how many are heard.

Clips of the built-in voice, of a tuned one where an adapter is given, and of espeak-ng voices are edited where words
meet (`edited_speech`). Limits of the screener were chosen with `screening_texts.TUNING`, the voices in `TUNED_ON` and
seeds 1 and 2; what is reported has other sentences, other seeds and, but for one of Finch's, other voices.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from benchmarks import machine
from benchmarks.edited_speech import RATE, Said, edited
from benchmarks.screening_clips import espeak, finch
from benchmarks.screening_counts import KINDS, Counts
from benchmarks.screening_texts import REPORTED
from engine import audio, screeners
from engine.backends.finch.phonemes import EspeakVoice
from engine.screeners.heard import Ear, Heard
from engine.statistics.binomial import wilson
from engine.types import EngineError, Stop

RESULTS = Path(__file__).parent / "results" / "screening.md"
TUNED_ON = ("reed", "rook", "crane", "heron", "en-us", "en-us+f4", "en-us+m5", "en-us+grandma")
FINCH_VOICES = ("wren", "lark", "dove", "robin", "reed")
SEEDS = (11, 12)
ESPEAK_VOICES = (
    EspeakVoice("en-us+steph", 165),
    EspeakVoice("en-us+belinda", 160),
    EspeakVoice("en-us+f2", 180, 45),
    EspeakVoice("en-us+klatt2", 170, 40),
    EspeakVoice("en-us+m2", 150, 60),
)
EACH = 2  # edits of every kind of a clip, each in a copy of its own
TIMED_SEC = 30.0


def counted(said: Iterable[Said], ears: tuple[Ear, ...], seed: int) -> tuple[Counts, int, float]:
    """What is heard in the edited copies of some clips, how many clips there were, and their seconds."""
    by_voice: dict[str, list[Said]] = defaultdict(list)
    for clip in said:
        by_voice[clip.voice].append(clip)
    counts, clips, seconds = Counts(), 0, 0.0
    for clips_of_voice in by_voice.values():
        if len(clips_of_voice) < 2:
            continue  # an added word comes from another sentence of the voice
        for n, clip in enumerate(clips_of_voice):
            clips, seconds = clips + 1, seconds + len(clip.samples) / RATE
            each = EACH if len(clip.words) > 4 else 1
            for copy in edited(clip, clips_of_voice, random.Random(f"{seed} {clip.voice} {n}"), each):
                heard = Heard(samples=copy.samples, sample_rate=RATE, text=clip.text, ears=ears)
                counts.add(copy, heard.words if heard.follows else (), judged=heard.follows)
    return counts, clips, seconds


def table(counts: Counts) -> list[str]:
    """Recall and precision of each kind with 95 % Wilson intervals, and false alarms on clean clips."""
    lines = ["| kind | planted | recall | told as any fault | told | precision |", "|---|--:|---|---|--:|---|"]
    for kind in KINDS:
        told = counts.right[kind] + counts.wrong[kind]
        lines.append(
            f"| {kind} | {counts.planted[kind]} | {share(counts.found[kind], counts.planted[kind])} | "
            f"{share(counts.noticed[kind], counts.planted[kind])} | {told} | {share(counts.right[kind], told)} |"
        )
    alone = counts.right["dropped"] + counts.elsewhere["dropped"]
    lines += [
        "",
        f"Clean clips with any fault told: {counts.clean_flagged} of {counts.clean}. Copies that could not be judged: "
        f"{counts.unjudged}. Precision of dropped words without the copies in which words were run together (there one "
        f"of the two is often gone): {share(counts.right['dropped'], alone)}.",
        "",
    ]
    return lines


def share(part: int, whole: int) -> str:
    """A share with its interval; "-" of nothing."""
    if not whole:
        return "-"
    found = wilson(part, whole)
    return f"{part / whole:.3f} ({found.low:.3f} to {found.high:.3f})"


def recordings(folder: Path, ear: Ear) -> str:
    """How many recordings of an LJ Speech layout the ear says that it can follow."""
    followed = total = 0
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        for name, text, *_ in csv.reader(file, delimiter="|", quoting=csv.QUOTE_NONE):
            samples, rate = audio.read(folder / "clips" / f"{name}.flac")
            total += 1
            followed += Heard(samples=samples, sample_rate=rate, text=text, ear=ear).follows
    return (
        f"Of {total} recordings of {folder.name} the ear says of {followed} that it can follow them; of the others the "
        "answer is that this voice cannot be judged."
    )


def timed(said: Sequence[Said], ear: Ear) -> str:
    """Seconds of all screeners for a clip of 30 s, the ear loaded, on one thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    longest = max(said, key=lambda clip: len(clip.samples))
    samples = np.resize(longest.samples, round(TIMED_SEC * RATE))
    text = longest.text
    found = []
    for _ in range(4):
        begin = time.process_time()
        heard = Heard(samples=samples, sample_rate=RATE, text=text, ear=ear, stop=Stop.EOS)
        for screener in screeners.SCREENERS.values():
            screener(heard)
        found.append(time.process_time() - begin)
    torch.set_num_threads(before)
    return (
        f"All {len(screeners.SCREENERS)} screeners on a clip of {TIMED_SEC:g} s with {len(text.split())} words: "
        f"{sorted(found[1:])[1]:.2f} s of processor time on one thread, the ear loaded (first call {found[0]:.2f} s); "
        "aim: under 3 s."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the clips, edit them, listen, print the tables and keep them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screening", description=__doc__)
    parser.add_argument("--adapter", type=Path, help="a checkpoint of the built-in voice: a tuned voice as well")
    parser.add_argument("--scale", type=float, default=0.75, help="its lora_scale (default 0.75)")
    parser.add_argument("--recordings", type=Path, help="a folder in LJ Speech's layout")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the tables are kept")
    flags = parser.parse_args(arguments)
    facts = machine.facts()
    begin = time.perf_counter()
    ear = screeners.ear("finch")
    if ear is None:
        print("The built-in ear is not installed.", file=sys.stderr)
        return 1
    loading = time.perf_counter() - begin
    try:
        groups: dict[str, list[Said]] = {
            f"Finch, base voices {', '.join(FINCH_VOICES)}": list(finch(FINCH_VOICES, REPORTED, SEEDS))
        }
        if flags.adapter:
            name = f"Finch, tuned, at scale {flags.scale:g}"
            groups[name] = list(finch((), REPORTED, (*SEEDS, 13), flags.adapter, flags.scale))
        groups["espeak-ng"] = list(espeak(ESPEAK_VOICES, REPORTED))
        body = ["# screening", "", *(f"- {fact}" for fact in facts), "", (__doc__ or "").partition("\n\n")[2]]
        for name, said in groups.items():
            counts, clips, seconds = counted(said, ear, seed=7)
            body += [f"## {name}", "", f"{clips} clips, {seconds:.0f} s, {len(REPORTED)} sentences.", ""]
            body += table(counts)
        if flags.recordings:
            body += ["## Recordings", "", recordings(flags.recordings, ear), ""]
        said = next(iter(groups.values()))
        body += ["## Time", "", f"Loading the ear: {loading:.2f} s. {timed(said, ear)}", ""]
    except EngineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print("\n".join(body))
    flags.results.parent.mkdir(parents=True, exist_ok=True)
    flags.results.write_text("\n".join(body), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
