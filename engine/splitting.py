"""The grouped split: which utterances are held out for validation. Pure; takes a seed.

A group (a source recording) is never divided: two cuts of one recording share room, mood and neighbours, so a divided
group makes the validation loss look better than the voice is.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from engine.types import Utterance

TRAIN, VALIDATION = "train", "validation"


def split(utterances: Sequence[Utterance], *, validation_share: float, seed: int) -> tuple[tuple[Utterance, ...], str]:
    """Set `split` on each utterance; returns them in order, with a sentence when the groups could not be kept whole.

    Rows that already name a split keep it. Else groups are drawn in a seeded order until `validation_share` of the
    seconds is reached; a group that would more than double that share is passed over. One utterance alone is all
    training.
    """
    if any(u.split for u in utterances):
        return tuple(replace(u, split=u.split or TRAIN) for u in utterances), ""
    note = ""
    groups = _groups(utterances)
    if len(groups) == 1 and len(utterances) > 1:
        note = "All rows come from one recording, so validation lines are drawn from within it and its loss flatters."
        groups = {u.id: [u] for u in utterances}
    held_out = _held_out(groups, validation_share, seed)
    return tuple(replace(u, split=VALIDATION if u.id in held_out else TRAIN) for u in utterances), note


def _groups(utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    """Rows by group; a row without one is its own. The prefix keeps a row's id from meeting a group's name."""
    groups: dict[str, list[Utterance]] = {}
    for u in utterances:
        groups.setdefault(f"group {u.group}" if u.group else f"row {u.id}", []).append(u)
    return groups


def _held_out(groups: dict[str, list[Utterance]], share: float, seed: int) -> set[str]:
    seconds = {name: sum(u.duration_sec for u in rows) for name, rows in groups.items()}
    wanted = share * sum(seconds.values())
    if len(groups) < 2 or wanted <= 0:
        return set()
    order = sorted(groups)
    random.Random(seed).shuffle(order)
    drawn: list[str] = []
    held_sec = 0.0
    for name in order:
        if held_sec >= wanted:
            break
        if held_sec + seconds[name] <= 2 * wanted and len(drawn) + 1 < len(groups):
            drawn.append(name)
            held_sec += seconds[name]
    if not drawn:  # every group is large: the smallest one is the least loss to training
        drawn = [min(order, key=lambda name: seconds[name])]
    return {u.id for name in drawn for u in groups[name]}
