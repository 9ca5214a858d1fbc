"""`python -m benchmarks.screening`: words that were cut out, doubled, added or run together, and how many are heard.

Clips are edited where words meet (`edited_speech`): of the built-in voice, of a tuned one where an adapter is given, of
espeak-ng voices, and recordings of a person. The regression (`screening_fit`) was fitted to Finch's reed, rook, crane
and heron reading `TUNING` and `EARLIER` with seeds 1, 2 and 11; limits were chosen with these and espeak-ng's en-us,
+f4, +m5 and +grandma. What is reported here has texts and seeds that were never heard before this run, and other
voices. Recordings chose nothing. A tuned voice is a checkpoint of `python -m engine demo --home FOLDER`.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from benchmarks import machine
from benchmarks.edited_speech import RATE, Said, edited
from benchmarks.screening_clips import espeak, finch, recorded
from benchmarks.screening_counts import FIGURES, KINDS, LENGTHS, LONGER, Counts
from benchmarks.screening_texts import REPORTED
from engine import screeners
from engine.backends.finch.phonemes import EspeakVoice
from engine.screeners import hama_ear
from engine.screeners.hama_ear import HamaEar
from engine.screeners.heard import Ear, Heard
from engine.statistics.binomial import wilson
from engine.types import EngineError

RESULTS = Path(__file__).parent / "results" / "screening.md"
FINCH_VOICES = ("wren", "lark", "dove", "robin")
SEEDS = (41, 42)
ESPEAK_VOICES = (
    EspeakVoice("en-us+linda", 165),
    EspeakVoice("en-us+f5", 175, 55),
    EspeakVoice("en-us+rob", 170),
)
EACH = 2  # edits of every kind of a clip, each in a copy of its own


def counted(said: Iterable[Said], backend: str, seed: int, workers: int = 1) -> tuple[Counts, int, float]:
    """What the ears of a backend hear in the edited copies of some clips, how many clips there were, and their
    seconds; a voice a process.
    """
    by_voice: dict[str, list[Said]] = defaultdict(list)
    for clip in said:
        by_voice[clip.voice].append(clip)
    groups = [clips for clips in by_voice.values() if len(clips) > 1]  # an added word comes from another sentence
    tasks = [(clips, backend, seed, n) for clips in groups for n in range(len(clips))]
    counts = Counts()
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for found in pool.map(_counted_clip, tasks, chunksize=4):
            counts += found
    return counts, len(tasks), sum(len(clip.samples) for clips in groups for clip in clips) / RATE


@cache
def _ears(backend: str) -> tuple[Ear, ...]:
    import torch

    torch.set_num_threads(1)
    return screeners.ears(backend)


def _counted_clip(task: tuple[list[Said], str, int, int]) -> Counts:
    clips, backend, seed, n = task
    clip, counts = clips[n], Counts()
    for copy in edited(clip, clips, random.Random(f"{seed} {clip.voice} {n}"), EACH if len(clip.words) > 4 else 1):
        heard = Heard(samples=copy.samples, sample_rate=RATE, text=clip.text, ears=_ears(backend))
        counts.add(copy, heard.words if heard.follows else (), judged=heard.follows)
    return counts


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


def cuts(counts: Counts) -> list[str]:
    """What became of the words that were cut out, by their length and place."""
    lines = ["| word cut out | planted | dropped | run together | unclear | heard |", "|---|--:|--:|--:|--:|--:|"]
    for group in (*LENGTHS.values(), LONGER, FIGURES, "first word", "inside", "last word"):
        states = {state: n for (kind, state), n in counts.cut.items() if kind == group}
        told = " | ".join(str(states.get(state, 0)) for state in ("dropped", "merged", "wrong", "ok"))
        lines.append(f"| {group} | {sum(states.values())} | {told} |")
    return [*lines, ""]


def share(part: int, whole: int) -> str:
    """A share with its interval; "-" of nothing."""
    if not whole:
        return "-"
    found = wilson(part, whole)
    return f"{part / whole:.3f} ({found.low:.3f} to {found.high:.3f})"


def followed(said: Sequence[Said], ears: Sequence[Ear]) -> str:
    """How many recordings each ear says that it can follow."""
    parts = []
    for ear in ears:
        count = sum(Heard(samples=s.samples, sample_rate=RATE, text=s.text, ears=(ear,)).follows for s in said)
        parts.append(f"{ear.name} can follow {count}")
    return f"Of {len(said)} recordings as they are, {', '.join(parts)}; of the others it cannot judge the voice."


def make_up(said: Sequence[Said], clips: int, seconds: float) -> str:
    """What a group of clips consists of."""
    voices = sorted({clip.voice for clip in said})
    texts = len({clip.text for clip in said})
    words = sum(len(clip.words) for clip in said)
    return f"{clips} clean clips, {seconds:.0f} s, {words} words, {texts} texts; voices: {', '.join(voices)}."


def groups(flags: argparse.Namespace, real: HamaEar) -> Iterator[tuple[str, str, list[Said]]]:
    """The groups of clips: the name, the backend whose ears listen, the clips."""
    if "finch" in flags.groups:
        yield "Finch, base voices", "finch", list(finch(FINCH_VOICES, REPORTED, SEEDS))
    if flags.adapter:
        tuned = list(finch((), REPORTED, (*SEEDS, 43), flags.adapter, flags.scale))
        yield f"Finch, tuned, at scale {flags.scale:g}", "finch", tuned
    if "espeak" in flags.groups:
        yield "espeak-ng", "finch", list(espeak(ESPEAK_VOICES, REPORTED))
    if flags.recordings:
        yield (
            f"Recordings of a person ({flags.recordings.name})",
            "a real voice",
            list(recorded(flags.recordings, real)),
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the clips, edit them, listen, print the tables and keep them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screening", description=__doc__)
    parser.add_argument("--groups", nargs="*", default=["finch", "espeak"], help="finch, espeak or both (default)")
    parser.add_argument("--adapter", type=Path, help="a checkpoint of the built-in voice: a tuned voice as well")
    parser.add_argument("--scale", type=float, default=0.75, help="its lora_scale (default 0.75)")
    parser.add_argument("--recordings", type=Path, help="a folder in LJ Speech's layout")
    parser.add_argument("--workers", type=int, default=1, help="processes that listen (default 1)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the tables are kept")
    flags = parser.parse_args(arguments)
    body = ["# screening", "", *(f"- {fact}" for fact in machine.facts()), "", (__doc__ or "").partition("\n\n")[2]]
    real = hama_ear.load()
    if real is None or not screeners.ears("finch"):
        print("The built-in ear or hama is not installed.", file=sys.stderr)
        return 1
    try:
        for name, backend, said in groups(flags, real):
            if not said:
                body += [f"## {name}", "", "No reading was free of faults by the second ear.", ""]
                continue
            counts, clips, seconds = counted(said, backend, 7, flags.workers)
            body += [f"## {name}", "", make_up(said, clips, seconds), "", *table(counts), *cuts(counts)]
            if said[0].group == "recorded":
                body += [followed(said, screeners.ears(backend)), ""]
            print("\n".join(body[-26:]), flush=True)
            flags.results.parent.mkdir(parents=True, exist_ok=True)
            flags.results.write_text("\n".join(body), encoding="utf-8")
    except EngineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
