"""`python -m benchmarks.screening_fit`: fits what tells dropped, merged and unclear words apart (`doubts`).

Lets the built-in voices for tuning read the sentences for tuning, cuts words out of the clips and runs words together,
and prints the regression as the source of `engine/screeners/doubts_fitted.py`, with what it finds and tells of
sentences that it was not fitted to.
"""

from __future__ import annotations

import argparse
import random
import textwrap
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.edited_speech import RATE, Edited, Said, cut, merged
from benchmarks.screening_clips import finch
from benchmarks.screening_texts import EARLIER, TUNING
from engine import screeners
from engine.screeners import acoustics, doubts
from engine.screeners.finch_ear import FinchEar
from engine.screeners.hearing import Hearing

FINCH_VOICES = ("reed", "rook", "crane", "heron")
SEEDS = (1, 2, 3)
EACH = 4  # words cut out of a clip, and pairs run together, each in a copy of its own
LONGEST_SEC = 11.0
STRENGTH = 0.3  # of the data against the penalty on large weights
FOLDS = 8
Example = tuple[NDArray[np.float64], str, str]  # features, state, text


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
        yield doubts.features(hearing, others, word), kinds[0] if kinds else "wrong", text


def gathered(said: Iterable[Said], ear: FinchEar) -> Iterator[Example]:
    """The examples of all clips that are not long."""
    for n, clip in enumerate(said):
        if len(clip.samples) > LONGEST_SEC * RATE:
            continue
        draw = random.Random(f"{clip.voice} {n} fit")
        count = len(clip.words)
        copies = [Edited(said=clip, samples=clip.samples)]
        copies += [cut(clip, place, draw) for place in draw.sample(range(count), min(count, EACH))]
        copies += [merged(clip, place, draw) for place in draw.sample(range(count - 1), min(count - 1, EACH))]
        for copy in copies:
            yield from examples(copy, ear)


def source(found: Sequence[Example]) -> str:
    """The regressions with the slowed hearings alone, and with those of a second ear, as a Python module."""
    states = np.array([state for _, state, _ in found])
    groups = np.array([text for _, _, text in found])
    every = np.array([features for features, _, _ in found])
    lines = [
        '"""The regressions of `doubts`, by how many other hearings there are (`benchmarks/screening_fit.py`)."""',
        "",
    ]
    lines += ["from __future__ import annotations", "", "from typing import TypedDict", "", ""]
    lines += ["class Regression(TypedDict):", "    mean: list[float]", "    spread: list[float]"]
    lines += ["    weights: list[list[float]]  # of each state: the features, then what is always added", "", ""]
    lines += ["# fmt: off", "FITTED: dict[int, Regression] = {"]
    for others, width in ((2, every.shape[1] - 6), (3, every.shape[1])):
        features = every[:, :width]
        model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=5000))
        told = cross_val_predict(model, features, states, groups=groups, cv=GroupKFold(FOLDS))
        for state in doubts.STATES:
            right = int(((told == state) & (states == state)).sum())
            lines.append(f"    # {state}: {right} of {(states == state).sum()} found, {(told == state).sum()} told")
        model.fit(features, states)
        scaler, regression = model[0], model[1]
        order = [list(regression.classes_).index(state) for state in doubts.STATES]
        weights = np.column_stack([regression.coef_, regression.intercept_])[order]
        table = {"mean": scaler.mean_, "spread": scaler.scale_, "weights": weights}
        lines.append(f"    {others}: {{")
        for name, values in table.items():
            lines += textwrap.wrap(
                f'"{name}": {np.round(values, 4).tolist()},', 116, initial_indent=" " * 8, subsequent_indent=" " * 12
            )
        lines.append("    },")
    return "\n".join([*lines, "}", ""])


def main() -> None:
    """Make the clips, edit them, listen, fit, print."""
    argparse.ArgumentParser(prog="python -m benchmarks.screening_fit", description=__doc__).parse_args()
    ear = screeners.ears("finch")[0]
    assert isinstance(ear, FinchEar)
    assert ear.second is not None
    texts = TUNING + EARLIER
    found = list(gathered(finch(FINCH_VOICES, texts, SEEDS), ear))
    print(source(found), end="")


if __name__ == "__main__":
    main()
