"""Slices of one recording that share audio, and what that does to a split.

Knows time codes and fingerprints. What to do about a leak across a split is the splitter's: `clusters` tells it which
rows belong together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from engine.audit import duplicates, fingerprints
from engine.audit.row import RowFacts
from engine.types import Action, AuditFinding, Severity

MIN_SHARED_SEC = 0.05  # time codes are often rounded to a hundredth
_PAIRS_A_ROW = 20  # a hundred slices of one second need not be told as 4950 pairs

Pairs = dict[tuple[int, int], float]  # places of two rows, the earlier first -> seconds that they share


def check(facts: Sequence[RowFacts], matches: Sequence[fingerprints.Match] | None = None) -> Iterator[AuditFinding]:
    """Overlaps, each named at the later row. `matches` are those of the rows' fingerprints, found here when None.

    Within a split (or where there is none) an overlap is a warning, and clips that are the same altogether are left to
    `duplicates`. Across splits it is an error either way.
    """
    matches = fingerprints.matches([fact.fingerprint for fact in facts]) if matches is None else matches
    same = _same_clips(facts) | {(m.first, m.second) for m in matches if duplicates.is_near(m)}
    timed = _by_time_code(facts)
    pairs = {(m.first, m.second): m.shared_sec for m in matches} | _durations(facts, _same_clips(facts)) | timed
    leaking: set[str] = set()
    for (first, second), seconds in sorted(pairs.items()):
        one, two = facts[first], facts[second]
        if _apart(one, two):
            leaking |= set(_sources(one)) | set(_sources(two))
            yield _leak(one, two, seconds)
        elif (first, second) not in same:
            yield _shared(one, two, seconds, by_time_code=(first, second) in timed)
    yield from _divided(facts, leaking)


def clusters(facts: Sequence[RowFacts], matches: Sequence[fingerprints.Match] | None = None) -> list[set[str]]:
    """Ids of rows that share audio, by file, content, time code or fingerprint; sets of two and more, disjoint."""
    matches = fingerprints.matches([fact.fingerprint for fact in facts]) if matches is None else matches
    parent = list(range(len(facts)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for first, second in {(m.first, m.second) for m in matches} | _same_clips(facts) | set(_by_time_code(facts)):
        low, high = sorted((root(first), root(second)))
        parent[high] = low
    found: dict[int, set[str]] = defaultdict(set)
    for place, fact in enumerate(facts):
        found[root(place)].add(fact.utterance.id)
    return [rows for _, rows in sorted(found.items()) if len(rows) > 1]


def _by_time_code(facts: Sequence[RowFacts]) -> Pairs:
    """Slices of the same recording whose times overlap. Slices are taken in order of their beginnings."""
    spans: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for place, fact in enumerate(facts):
        u = fact.utterance
        if u.recording and u.start_sec is not None and u.end_sec is not None:
            spans[u.recording].append((u.start_sec, u.end_sec, place))
    pairs: Pairs = {}
    for slices in spans.values():
        open_: list[tuple[float, int]] = []
        for start, end, place in sorted(slices):
            open_ = [(until, other) for until, other in open_ if until - start > MIN_SHARED_SEC]
            for until, other in open_[-_PAIRS_A_ROW:]:
                shared = min(until, end) - start
                if shared > MIN_SHARED_SEC:
                    pairs[min(place, other), max(place, other)] = shared
            open_.append((end, place))
    return pairs


def _same_clips(facts: Sequence[RowFacts]) -> set[tuple[int, int]]:
    """Rows with the same file or the same samples, each with the first of them."""
    first: dict[str, int] = {}
    pairs: set[tuple[int, int]] = set()
    for place, fact in enumerate(facts):
        if fact.measurement is None:
            continue
        for name in (f"file {fact.utterance.audio_path}", f"content {fact.content_sha256}"):
            earlier = first.setdefault(name, place) if name != "content " else place
            if earlier != place:
                pairs.add((earlier, place))
    return pairs


def _durations(facts: Sequence[RowFacts], same: Iterable[tuple[int, int]]) -> Pairs:
    return {pair: measured.duration_sec for pair in same if (measured := facts[pair[1]].measurement) is not None}


def _apart(one: RowFacts, two: RowFacts) -> bool:
    return bool(one.utterance.split and two.utterance.split and one.utterance.split != two.utterance.split)


def _sources(fact: RowFacts) -> tuple[str, ...]:
    """What the row was cut from, as the source names it."""
    return tuple(name for name in (fact.utterance.recording, fact.utterance.group) if name)


def _leak(one: RowFacts, two: RowFacts, seconds: float) -> AuditFinding:
    earlier, later = one.utterance, two.utterance
    return AuditFinding(
        check="overlap",
        severity=Severity.ERROR,
        row=later.id,
        explanation=(
            f"Row {later.id} ({later.split}) shares {seconds:.1f} s of audio with row {earlier.id} ({earlier.split}): "
            "what is held out is heard in training."
        ),
        repair="Put both rows on one side of the split, or leave one of them out.",
        action=Action.DROP,
        other=earlier.id,
    )


def _shared(one: RowFacts, two: RowFacts, seconds: float, *, by_time_code: bool) -> AuditFinding:
    where = f" by its time codes in {two.utterance.recording}" if by_time_code else ""
    return AuditFinding(
        check="overlap",
        severity=Severity.WARNING,
        row=two.utterance.id,
        explanation=f"Row {two.utterance.id} shares {seconds:.1f} s of audio with row {one.utterance.id}{where}.",
        repair="Cut the two where one ends; a split made here keeps them on one side.",
        other=one.utterance.id,
    )


def _divided(facts: Sequence[RowFacts], leaking: set[str]) -> Iterator[AuditFinding]:
    """Recordings and groups that a given split divides, though no audio is shared. One finding a source."""
    members: dict[str, dict[str, list[RowFacts]]] = defaultdict(lambda: defaultdict(list))
    for fact in facts:
        for name in dict.fromkeys(_sources(fact)):
            if fact.utterance.split:
                members[name][fact.utterance.split].append(fact)
    told: set[str] = set()
    for name, sides in members.items():
        if len(sides) < 2 or name in leaking:
            continue
        held_out, *_ = sorted(sides, key=lambda split: (split == "train", len(sides[split])))
        row = sides[held_out][0].utterance.id
        if row in told:  # a row's recording and its group are often the same thing by two names
            continue
        told.add(row)
        counts = ", ".join(f"{len(rows)} in {split}" for split, rows in sides.items())
        yield AuditFinding(
            check="overlap",
            severity=Severity.WARNING,
            row=row,
            explanation=(
                f"Rows of {name} are on both sides of the split ({counts}); they share no audio, but room, microphone "
                "and mood."
            ),
            repair="Split by recording, as a split made here does.",
        )
