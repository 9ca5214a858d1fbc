"""Rows whose audio is there twice: the same file, the same samples, or the same sound encoded otherwise.

Knows content hashes and fingerprints. A second take of the same text is other audio and no duplicate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.audit import fingerprints
from engine.audit.row import RowFacts
from engine.types import Action, AuditFinding, Severity

NEAR_SHARE = 0.8  # of the sounding part of the longer clip: more is the same clip, less an overlap


def check(facts: Sequence[RowFacts], matches: Sequence[fingerprints.Match] | None = None) -> Iterator[AuditFinding]:
    """Duplicates, each named at the later row. `matches` are those of the rows' fingerprints, found here when None."""
    matches = fingerprints.matches([fact.fingerprint for fact in facts]) if matches is None else matches
    near = _first_of_near(matches)
    first_file: dict[str, RowFacts] = {}
    first_content: dict[str, RowFacts] = {}
    for place, fact in enumerate(facts):
        if fact.measurement is None:
            continue
        same_file = first_file.setdefault(str(fact.utterance.audio_path), fact)
        same_content = first_content.setdefault(fact.content_sha256, fact) if fact.content_sha256 else fact
        if same_file is not fact:
            yield _exact(fact, same_file, "names the same audio file", "Name this row's own file, or remove the row.")
        elif same_content is not fact:
            yield _exact(fact, same_content, "has the same audio, sample by sample", "Keep one of the two.")
        elif place in near:
            yield _near(fact, facts[near[place].first], near[place])


def is_near(match: fingerprints.Match) -> bool:
    """Whether two clips share so much that they are one clip twice."""
    return match.share >= NEAR_SHARE


def _first_of_near(matches: Sequence[fingerprints.Match]) -> dict[int, fingerprints.Match]:
    """For each place that repeats earlier ones, the match with the earliest."""
    found: dict[int, fingerprints.Match] = {}
    for match in matches:
        if is_near(match) and (match.second not in found or match.first < found[match.second].first):
            found[match.second] = match
    return found


def _exact(fact: RowFacts, first: RowFacts, what: str, repair: str) -> AuditFinding:
    other_text = "" if fact.utterance.text == first.utterance.text else " with another text"
    return AuditFinding(
        check="duplicate",
        severity=Severity.ERROR,
        row=fact.utterance.id,
        explanation=f"Row {first.utterance.id} {what}{other_text}.",
        repair=repair if not other_text else f"{repair} The text that is heard is the right one.",
        action=Action.DROP,
        other=first.utterance.id,
    )


def _near(fact: RowFacts, first: RowFacts, match: fingerprints.Match) -> AuditFinding:
    return AuditFinding(
        check="duplicate",
        severity=Severity.WARNING,
        row=fact.utterance.id,
        explanation=(
            f"It sounds like row {first.utterance.id} over {match.share:.0%} of its length: the same recording, "
            "encoded, cut or levelled otherwise."
        ),
        repair="Keep the better of the two.",
        action=Action.DROP,
        other=first.utterance.id,
    )
