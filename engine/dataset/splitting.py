"""The grouped split: which utterances are trained on, held out for validation, and kept for a test. Pure; takes a seed.

A recording is never divided: two cuts of one recording share room, mood and neighbours, so a divided one makes the
validation loss look better than the voice is. Rows that share audio stay together whatever else is said of them.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from engine.types import Utterance

TRAIN, VALIDATION, TEST = "train", "validation", "test"
Units = Mapping[str, Sequence[Utterance]]  # rows that belong together, by the smallest of their ids


def split(
    utterances: Sequence[Utterance],
    *,
    validation_share: float,
    test_share: float = 0.0,
    seed: int,
    clusters: Iterable[Collection[str]] = (),
) -> tuple[tuple[Utterance, ...], tuple[str, ...]]:
    """Set `split` on each utterance; returns them in order, with a sentence for whatever could not be as wished.

    Rows of one `group` or `recording`, and those of one of `clusters` (ids of rows that share audio), stay together.
    Units are drawn in a seeded order as long as one brings the side nearer to its share of the seconds. Where rows
    name a split it is kept, unless it divides a cluster. One unit alone is all training.
    """
    shared = [frozenset(cluster) for cluster in clusters]
    if any(u.split for u in utterances):
        return _as_given(utterances, shared)
    notes: list[str] = []
    units = _units(utterances, shared, by_recording=True)
    if len(units) == 1 and len(utterances) > 1:
        notes.append("All rows come from one recording, so held-out lines are drawn from within it: its loss flatters.")
        units = _units(utterances, shared, by_recording=False)
    sides: dict[str, str] = {}
    for side, share in ((VALIDATION, validation_share), (TEST, test_share)):
        drawn = _drawn(units, taken=sides, share=share, seed=seed)
        if share > 0 and not drawn and len(utterances) > 1:
            notes.append(f"There are too few recordings that share no audio to hold any out for {side}.")
        sides |= dict.fromkeys(drawn, side)
    side_of = {u.id: side for name, side in sides.items() for u in units[name]}
    return tuple(replace(u, split=side_of.get(u.id, TRAIN)) for u in utterances), tuple(notes)


def _units(utterances: Sequence[Utterance], clusters: Sequence[Collection[str]], *, by_recording: bool) -> Units:
    """Rows that may not be divided. The prefixes keep a row's id from meeting a recording's name."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for u in utterances:
        own = root(f"row {u.id}")
        for name in (f"group {u.group}" if u.group else "", f"recording {u.recording}" if u.recording else ""):
            if name and by_recording:
                parent[root(name)] = own
    for cluster in clusters:
        first, *others = sorted(cluster)
        for other in others:
            parent[root(f"row {other}")] = root(f"row {first}")
    found: dict[str, list[Utterance]] = defaultdict(list)
    for u in utterances:
        found[root(f"row {u.id}")].append(u)
    return {min(u.id for u in rows): rows for rows in found.values()}


def _drawn(units: Units, *, taken: Collection[str], share: float, seed: int) -> list[str]:
    """The units of one side. At least one, where that leaves one to train on."""
    free = sorted(name for name in units if name not in taken)
    seconds = {name: sum(u.duration_sec for u in rows) for name, rows in units.items()}
    wanted = share * sum(seconds.values())
    if len(free) < 2 or wanted <= 0:
        return []
    order = list(free)
    random.Random(seed).shuffle(order)
    drawn: list[str] = []
    held_sec = 0.0
    for name in order:
        nearer = seconds[name] < 2 * (wanted - held_sec)
        if nearer and len(drawn) + 1 < len(free):
            drawn.append(name)
            held_sec += seconds[name]
    # Every unit is large: the smallest one is the least loss to training.
    return drawn or [min(order, key=lambda name: seconds[name])]


def _as_given(
    utterances: Sequence[Utterance], clusters: Sequence[Collection[str]]
) -> tuple[tuple[Utterance, ...], tuple[str, ...]]:
    """The source's split, mended where it divides a cluster. A row without one goes where its recording is."""
    notes: list[str] = []
    sides: dict[str, str] = {}
    for rows in _units(utterances, clusters, by_recording=True).values():
        told = {u.split for u in rows if u.split}
        sides |= {u.id: u.split or (told.copy().pop() if len(told) == 1 else TRAIN) for u in rows}
    seconds = {u.id: u.duration_sec for u in utterances}
    for rows in _units(utterances, clusters, by_recording=False).values():
        ids = [u.id for u in rows]
        weight: Counter[str] = Counter()
        for row in ids:
            weight[sides[row]] += seconds[row]  # type: ignore[assignment]  # a Counter counts seconds as well
        if len(weight) < 2:
            continue
        side = max(weight, key=lambda name: (weight[name], name == TRAIN))
        moved = [row for row in ids if sides[row] != side]
        given = sum(bool(u.split) for u in rows if u.id in moved)
        if given:
            notes.append(
                f"The source's split had rows that share audio on two sides: {', '.join(moved[:5])} "
                f"{'and others ' if len(moved) > 5 else ''}went to {side}."
            )
        sides |= dict.fromkeys(moved, side)
    return tuple(replace(u, split=sides[u.id]) for u in utterances), tuple(notes)
