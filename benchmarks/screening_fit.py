"""`python -m benchmarks.screening_fit`: fits what tells dropped, merged and unclear words apart (`doubts`).

Lets the built-in voices for tuning read the sentences for tuning, cuts words out of the clips and runs words together,
and prints the regression as the source of `engine/screeners/doubts_fitted.py`, with what it finds and tells of
sentences and voices neither of which it was fitted to. About five minutes of one core for each seed.
"""

from __future__ import annotations

import argparse
import random
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.edited_speech import RATE, Edited, Said, cut, merged
from benchmarks.screening_clips import finch
from benchmarks.screening_texts import EARLIER, TUNING
from engine import screeners
from engine.screeners import acoustics, doubts
from engine.screeners.finch_ear import FinchEar
from engine.screeners.hearing import Hearing

FINCH_VOICES = ("reed", "rook", "crane", "heron")
SEEDS = (1, 2, 11)
EACH = 4  # words cut out of a clip, and pairs run together, each in a copy of its own
LONGEST_SEC = 11.0
STRENGTH = 0.05  # of the data against the penalty on large weights; 0.03 and 0.1 do as well
FOLDS = 5  # of the texts, for each voice
Example = tuple[NDArray[np.float64], str, str, str]  # features, state, text, voice


def examples(copy: Edited, ear: FinchEar) -> Iterator[Example]:
    """Every word of an edited clip of which the ear hears too little, and what it is."""
    text, samples = copy.said.text, copy.samples
    words, usual = ear.units(text)
    if len(words) != len(copy.said.words):
        return
    sounding = acoustics.active(samples, RATE)[::2]
    hearing = Hearing(ear.log_posteriors(samples, RATE), words, usual, sounding)
    doubtful = [word for word in range(len(words)) if not hearing.is_there(word)]
    if not doubtful:
        return
    others = ear.again(samples, RATE, text)
    for word in doubtful:
        kinds = [fault.kind for fault in copy.faults if word in fault.words and fault.kind in ("dropped", "merged")]
        yield doubts.features(hearing, others, word), kinds[0] if kinds else "wrong", text, copy.said.voice


def gathered(said: Iterable[Said], ear: FinchEar, seed: int) -> Iterator[Example]:
    """The examples of all clips that are not long."""
    for n, clip in enumerate(said):
        if len(clip.samples) > LONGEST_SEC * RATE:
            continue
        draw = random.Random(f"{clip.voice} {seed} {n} fit")
        count = len(clip.words)
        copies = [Edited(said=clip, samples=clip.samples)]
        copies += [cut(clip, place, draw) for place in draw.sample(range(count), min(count, EACH))]
        copies += [merged(clip, place, draw) for place in draw.sample(range(count - 1), min(count - 1, EACH))]
        for copy in copies:
            yield from examples(copy, ear)


def of_voice(task: tuple[str, int]) -> list[Example]:
    """The examples of one voice with one seed; [] without either ear."""
    import torch

    torch.set_num_threads(1)
    voice, seed = task
    texts = TUNING + EARLIER
    ear = next(iter(screeners.ears("finch")), None)
    if not isinstance(ear, FinchEar) or ear.second is None:
        return []
    return list(gathered(finch((voice,), texts, (seed,)), ear, seed))


def regression() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=5000))


def told_of_others(features: NDArray[np.float64], found: Sequence[Example]) -> NDArray[np.str_]:
    """The state of each example by a regression that saw neither its text nor its voice."""
    states, texts, voices = (np.array([example[n] for example in found]) for n in (1, 2, 3))
    told = np.empty_like(states)
    for others, own in GroupKFold(FOLDS).split(features, states, texts):
        for voice in np.unique(voices):
            asked = own[voices[own] == voice]
            if len(asked):
                known = others[voices[others] != voice]
                told[asked] = regression().fit(features[known], states[known]).predict(features[asked])
    return told


def source(found: Sequence[Example]) -> str:
    """The regressions with the slowed hearings alone, and with those of a second ear, as a Python module."""
    states = np.array([state for _, state, _, _ in found])
    every = np.array([features for features, _, _, _ in found])
    lines = [
        '"""The regressions of `doubts`, by how many other hearings there are (`benchmarks/screening_fit.py`)."""',
        "",
    ]
    lines += ["from __future__ import annotations", "", "from typing import TypedDict", "", ""]
    lines += ["class Regression(TypedDict):", "    mean: list[float]", "    spread: list[float]"]
    lines += ["    weights: list[list[float]]  # of each state: the features, then what is always added", "", ""]
    lines += ["# fmt: off", "FITTED: dict[int, Regression] = {"]
    for others in (2, 3):
        features = every[:, : doubts.OWN + others * doubts.OF_ANOTHER]
        lines += fitted(features, states, told_of_others(features, found), others)
    return "\n".join([*lines, "}", ""])


def fitted(
    features: NDArray[np.float64], states: NDArray[np.str_], told: NDArray[np.str_], others: int
) -> Iterator[str]:
    """One regression as lines of source, and how it does on what it has not seen."""
    for state in doubts.STATES:
        right = int(((told == state) & (states == state)).sum())
        yield f"    # {state}: {right} of {(states == state).sum()} found, {(told == state).sum()} told"
    model = regression().fit(features, states)
    scaler, weighed = model[0], model[1]
    order = [list(weighed.classes_).index(state) for state in doubts.STATES]
    weights = np.column_stack([weighed.coef_, weighed.intercept_])[order]
    table = {"mean": scaler.mean_, "spread": scaler.scale_, "weights": weights}
    yield f"    {others}: {{"
    for name, values in table.items():
        yield from textwrap.wrap(
            f'"{name}": {np.round(values, 4).tolist()},', 116, initial_indent=" " * 8, subsequent_indent=" " * 12
        )
    yield "    },"


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the clips, edit them, listen, fit, print or write; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screening_fit", description=__doc__)
    parser.add_argument("--workers", type=int, default=1, help="processes that listen (default 1)")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="fewer are quicker, and fit less well")
    parser.add_argument("--write", type=Path, help="the file that gets the source (default: it is printed)")
    flags = parser.parse_args(arguments)
    tasks = [(voice, seed) for seed in flags.seeds for voice in FINCH_VOICES]
    with ProcessPoolExecutor(flags.workers, get_context("spawn")) as pool:
        found = [example for examples in pool.map(of_voice, tasks) for example in examples]
    found = [example for example in found if len(example[0]) == doubts.OWN + 3 * doubts.OF_ANOTHER]
    if not found:
        print("The built-in ear or hama is not installed.", file=sys.stderr)
        return 1
    text = source(found)
    if flags.write:
        flags.write.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
