"""The speech tokens of a leak check's clips: what is held against what. Pure but for reading the files beside clips.

The shuffled reference of a clip is other speech in its reference's place: the other references of the check, and what
was said in its other lines, after their own beginnings, where a leak would be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine import clip_tokens
from engine.screeners import boundary_tokens
from engine.screeners.boundary_tokens import BEGINNING_SEC, Overlap, Spoken
from engine.screeners.leakage_gates import TokenEvidence
from engine.studio.answers import reference_of
from engine.types import Candidate, Clip, SpeechTokens


@dataclass(frozen=True)
class LeakTokens:
    """The tokens of every clip of a check that has them, and those of its clips that have none."""

    told: Mapping[Clip, tuple[SpeechTokens, ...]]
    unknown: Sequence[Clip]

    def evidence(self, candidate: Candidate, *, tells: bool) -> TokenEvidence:
        """What the beginnings of one candidate, and of its base, have of their references."""
        base = Candidate(backend=candidate.backend, voice=candidate.voice)
        return TokenEvidence(
            tuned=self._overlaps(candidate),
            base=self._overlaps(base),
            unknown=sum(clip.candidate == candidate for clip in self.unknown),
            tells=tells,
        )

    def _overlaps(self, candidate: Candidate) -> list[Overlap]:
        same = {clip: told for clip, told in self.told.items() if clip.candidate.backend == candidate.backend}
        pauses = boundary_tokens.common(
            stream for told in same.values() for chunk in told for stream in (chunk.reference, chunk.said)
        )
        found = []
        for reference in dict.fromkeys(reference_of(clip) for clip in same):
            own = [c for c in same if c.candidate == candidate and reference_of(c) == reference and same[c]]
            if not own:
                continue
            told = same[own[0]][0]
            said = [Spoken(chunk.said, clip.line_id) for clip in own for chunk in same[clip]]
            others = _others(reference, same)
            found.append(boundary_tokens.overlap(told.reference, said, others, rate_hz=told.rate_hz, pauses=pauses))
        return [each for each in found if each is not None]


def of(clips: Iterable[Clip]) -> LeakTokens:
    """Read the tokens beside these clips."""
    read = {clip: clip_tokens.read(clip.path) for clip in clips}
    return LeakTokens(
        told={clip: told for clip, told in read.items() if told is not None},
        unknown=[clip for clip, told in read.items() if told is None],
    )


def _others(reference: str, told: Mapping[Clip, tuple[SpeechTokens, ...]]) -> list[Spoken]:
    """What stands in the place of a reference: the others, and each line as it was said once, by the base if it was.
    What says the same words is no further evidence.
    """
    references: dict[str, Spoken] = {}
    lines: dict[str, Clip] = {}
    for clip in sorted(told, key=lambda each: (not each.candidate.is_base, each.candidate.id, each.seed)):
        lines.setdefault(clip.line_id, clip)
        if reference_of(clip) != reference and told[clip]:
            references.setdefault(reference_of(clip), Spoken(told[clip][0].reference, ""))
    said = [
        Spoken(chunk.said[round(BEGINNING_SEC * chunk.rate_hz) :], clip.line_id)
        for clip in lines.values()
        for chunk in told[clip]
    ]
    return [*references.values(), *[each for each in said if each.tokens]]
