"""Another speaker in the set: a row whose voice is far from the others, or two voices under one label.

Knows robust statistics over voices as numbers; what these are, and cannot tell, is in `engine.voice_vector`. Knows no
names of speakers beyond the rows' labels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine import voice_vector
from engine.audit.row import RowFacts
from engine.types import AuditFinding, Severity

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_ROWS = 8
FAR = 2.3  # usual spreads from the set's middle, in the mean over the numbers: real and synthetic readers stay below
FAR_DEVIATIONS = 3.0  # scaled median absolute deviations beyond the median row's distance
# Two voices: how far apart in usual spreads, how much more than within each, and a gap between nearly all rows of each
APART, APART_BY_SPREAD, APART_GAP, SMALLER_SHARE = 1.8, 1.9, 0.6, 0.25


def check(facts: Sequence[RowFacts]) -> Iterator[AuditFinding]:
    """Rows of another voice within a speaker's label, and sets that hold two voices. Few rows are not judged."""
    labelled: dict[str, list[RowFacts]] = defaultdict(list)
    for fact in facts:
        if fact.voice is not None and np.isfinite(fact.voice[list(voice_vector.COMPARED)]).all():
            labelled[fact.utterance.speaker].append(fact)
    for label, rows in labelled.items():
        if len(rows) < FEWEST_ROWS:
            continue
        vectors = np.stack([np.asarray(fact.voice, np.float64) for fact in rows])
        second = _second_voice(vectors)
        if second is not None:
            yield _two_voices(label, [fact for fact, is_second in zip(rows, second, strict=True) if is_second], rows)
            continue
        for fact, distance, limit in zip(rows, *_distances(vectors), strict=True):
            if distance > limit:
                yield _other_voice(label, fact, distance, np.median(vectors, axis=0))


# ---------------------------------------------------------------------------------------------------------- distances


def _distances(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each row's distance from the middle of the set in spreads, half usual and half the set's own; and the limit."""
    compared = vectors[:, voice_vector.COMPARED]
    off = compared - np.median(compared, axis=0)
    own = 1.4826 * np.median(np.abs(off), axis=0)
    deviations = np.clip(off / np.sqrt((own**2 + voice_vector.scatter(vectors) ** 2) / 2), -6, 6)
    distances = np.sqrt((deviations**2).mean(axis=1))
    middle = np.median(distances)
    spread = 1.4826 * np.median(np.abs(distances - middle))
    return distances, np.full(len(distances), max(FAR, middle + FAR_DEVIATIONS * spread))


def _second_voice(vectors: NDArray[np.float64]) -> NDArray[np.bool_] | None:
    """The rows of the smaller of two clearly different voices; None where there is one voice (2-means)."""
    compared = vectors[:, voice_vector.COMPARED]
    rows = (compared - np.median(compared, axis=0)) / voice_vector.scatter(vectors)
    centred = rows - rows.mean(axis=0)
    second: NDArray[np.bool_] = centred @ np.linalg.svd(centred, full_matrices=False)[2][0] > 0
    for _ in range(20):
        if not SMALLER_SHARE <= second.mean() <= 1 - SMALLER_SHARE:
            return None
        first_middle, second_middle = rows[~second].mean(axis=0), rows[second].mean(axis=0)
        nearer = ((rows - second_middle) ** 2).sum(axis=1) < ((rows - first_middle) ** 2).sum(axis=1)
        if (nearer == second).all():
            break
        second = nearer
    if not SMALLER_SHARE <= second.mean() <= 1 - SMALLER_SHARE:
        return None
    way = second_middle - first_middle
    apart = np.sqrt((way**2).mean())
    within = np.sqrt((np.vstack([rows[second] - second_middle, rows[~second] - first_middle]) ** 2).mean())
    along = rows @ way / (way @ way)
    gap = np.percentile(along[second], 10) - np.percentile(along[~second], 90)
    if apart < APART or apart < APART_BY_SPREAD * within or gap < APART_GAP:
        return None
    return second if second.mean() <= 0.5 else ~second


# ----------------------------------------------------------------------------------------------------------- findings
def _other_voice(label: str, fact: RowFacts, distance: float, middle: NDArray[np.float64]) -> AuditFinding:
    rows = f"the other rows of {label}" if label else "the other rows"
    pitch, usual = (float(np.exp(f0)) for f0 in (np.asarray(fact.voice)[voice_vector.F0], middle[voice_vector.F0]))
    return AuditFinding(
        check="speaker",
        severity=Severity.WARNING,
        row=fact.utterance.id,
        explanation=(
            f"The voice is unlike that of {rows}: {distance:.1f} usual spreads away, where one speaker stays within "
            f"{FAR:g} (pitch {pitch:.0f} Hz, usually {usual:.0f} Hz)."
        ),
        repair="Listen to it: name its speaker, or leave the row out.",
    )


def _two_voices(label: str, second: Sequence[RowFacts], rows: Sequence[RowFacts]) -> AuditFinding:
    where = f"The rows of {label} hold" if label else "The rows hold"
    names = ", ".join(fact.utterance.id for fact in second[:3])
    return AuditFinding(
        check="speaker",
        severity=Severity.WARNING,
        row="",
        explanation=(
            f"{where} two clearly different voices: {len(second)} of {len(rows)} rows (such as {names}) sound unlike "
            "the rest."
        ),
        repair="Name the speaker of each row, or make one set for each voice.",
    )
