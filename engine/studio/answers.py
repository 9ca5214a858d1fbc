"""Everything that was answered about clips, read once and looked at from several sides. Pure.

Knows records of the store and how they belong together; neither the store nor what a gate makes of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from engine import gate, tiers
from engine.gate import Flagged, Judged
from engine.promotion import Manner
from engine.types import (
    Candidate,
    Choice,
    Clip,
    Flag,
    FlagAnswer,
    FlagChoice,
    Gate,
    Response,
    Session,
    Tier,
    Trial,
    reason_code,
)


@dataclass(frozen=True)
class Countable:
    """A rendered clip as a gate looks at it."""

    tier: Tier
    line_id: str
    script_sha256: str
    is_long_enough: bool
    is_first_draw: bool


@dataclass(frozen=True)
class Answered:
    """One gate answer with all it belongs to."""

    session: Session
    trial: Trial
    response: Response
    clip: Clip


@dataclass
class Record:
    """Everything about gates that the store holds, read once and looked at from several sides."""

    clips: Sequence[Clip]
    answered: Sequence[Answered] = ()
    open_trials: Sequence[Trial] = ()
    flag_answers: Sequence[FlagAnswer] = ()
    flags: Mapping[str, Sequence[Flag]] = field(default_factory=dict)
    sessions: Mapping[str, Session] = field(default_factory=dict)

    @cached_property
    def by_id(self) -> dict[str, Clip]:
        """Clips by id; of two candidates with the same weights, the first that it was rendered for."""
        return {clip.id: clip for clip in reversed(self.clips)}

    @cached_property
    def fits(self) -> dict[tuple[str, str], dict[str, tiers.Fit]]:
        """How each line stands to its tier, by the voice whose base speaks it."""
        spoken: dict[tuple[str, str], list[Clip]] = {}
        for clip in self.clips:
            spoken.setdefault(_voice(clip), []).append(clip)
        return {voice: tiers.fits(clips) for voice, clips in spoken.items()}

    def fit(self, clip: Clip) -> tiers.Fit | None:
        """How a clip's line stands to its tier with its voice; None while nobody knows."""
        return self.fits.get(_voice(clip), {}).get(clip.line_id)

    def countable(self, clip: Clip) -> Countable:
        """A clip as a gate looks at it."""
        fit = self.fit(clip)
        long_enough = fit is None or fit.counts
        return Countable(clip.tier, clip.line_id, clip.script_sha256, long_enough, clip.settings.retries == 0)

    def takes(self, rules: Gate, candidate: Candidate) -> list[Clip]:
        """The clips that a gate asks about: of each line that counts, after each reference, the lowest seed, so that no
        lucky take is heard.
        """
        own = [clip for clip in self.clips if clip.candidate == candidate]
        return one_take(clip for clip in own if gate.counts(rules, self.countable(clip)))

    @cached_property
    def judged(self) -> dict[Candidate, list[Judged]]:
        """Answers by candidate: what each reviewer said last about each clip, so that who listens again and thinks
        otherwise can say so. Where a person answered, simulated answers do not count.
        """
        found: dict[Candidate, list[Judged]] = {}
        last = {
            (each.session.reviewer, each.session.simulated, each.clip.id): each
            for each in sorted(self.answered, key=lambda each: each.response.answered_at)
            if each.response.choice in (Choice.PASS, Choice.FAIL)
        }
        for each in last.values():
            assert each.response.choice is not None
            found.setdefault(each.clip.candidate, []).append(
                Judged(
                    tier=each.clip.tier,
                    choice=each.response.choice,
                    reasons=tuple(reason_code(reason) for reason in each.response.reasons),
                    reviewer=each.session.reviewer,
                    clip_id=each.clip.id,
                    line_id=each.clip.line_id,
                    script_sha256=each.clip.script_sha256,
                    is_long_enough=self.countable(each.clip).is_long_enough,
                    is_first_draw=each.clip.settings.retries == 0,
                    simulated=each.session.simulated,
                )
            )
        return {c: [a for a in answers if not a.simulated] or answers for c, answers in found.items()}

    def clip(self, clip_id: str) -> Clip:
        """A clip that was answered about, also one whose files are gone."""
        return self._answered_by_clip[clip_id].clip

    def answered_at(self, clip_id: str) -> float:
        """When a clip was answered about last."""
        return self._answered_by_clip[clip_id].response.answered_at

    @cached_property
    def _answered_by_clip(self) -> dict[str, Answered]:
        return {each.clip.id: each for each in sorted(self.answered, key=lambda each: each.response.answered_at)}

    @cached_property
    def flagged(self) -> dict[Candidate, list[Flagged]]:
        """Flags of all clips by candidate, with what reviewers said; people's words before simulated ones'."""
        found: dict[Candidate, list[Flagged]] = {}
        for clip in self.clips:
            for flag in self.flags.get(clip.id, ()):
                said = self._said(flag)
                people = {name: choice for name, choice, simulated in said if not simulated}
                counted = people or {name: choice for name, choice, _ in said}
                found.setdefault(clip.candidate, []).append(
                    Flagged(
                        flag=flag,
                        tier=clip.tier,
                        line_id=clip.line_id,
                        script_sha256=clip.script_sha256,
                        is_long_enough=self.countable(clip).is_long_enough,
                        is_first_draw=clip.settings.retries == 0,
                        said=tuple(sorted(counted.items())),
                        simulated=bool(said) and not people,
                    )
                )
        return found

    def _said(self, flag: Flag) -> list[tuple[str, FlagChoice, bool]]:
        """Who said what to a flag; a reviewer's later words come later."""
        found = []
        for answer in self._said_about.get((flag.clip_id, flag.reason or flag.screener), ()):
            session = self.sessions.get(answer.session_id)
            if session is not None:
                found.append((session.reviewer, answer.choice, session.simulated))
        return found

    @cached_property
    def _said_about(self) -> dict[tuple[str, str], list[FlagAnswer]]:
        found: dict[tuple[str, str], list[FlagAnswer]] = {}
        for answer in self.flag_answers:
            found.setdefault((answer.flag.clip_id, answer.flag.reason or answer.flag.screener), []).append(answer)
        return found

    @cached_property
    def waiting(self) -> dict[str, int]:
        """How many open trials ask about each clip; a comparison counts for both of its sides."""
        found: dict[str, int] = {}
        for trial in self.open_trials:
            for slot in trial.slots:
                found[slot.clip_id] = found.get(slot.clip_id, 0) + 1
        return found


def one_take(clips: Iterable[Clip]) -> list[Clip]:
    """One clip a text and reference: the lowest seed, so that nobody is heard at their luckiest; a take that nothing
    was drawn again for before one that may hide a failure.
    """
    takes: dict[tuple[str, str, str], Clip] = {}
    for clip in sorted(clips, key=lambda c: (c.line_id, c.settings.retries > 0, c.seed)):
        takes.setdefault((clip.line_id, clip.text, reference_of(clip)), clip)
    return list(takes.values())


def common_takes(takes: Sequence[Sequence[Clip]]) -> list[tuple[Clip, ...]]:
    """What several candidates say of the same text, after the same reference: a tuple each, in their order. Voices of
    several backends need not share a reference, since one may speak without any.
    """
    if not takes:
        return []
    mixed = len({clip.candidate.backend for own in takes for clip in own}) > 1
    exact = [{(c.line_id, c.text, reference_of(c)): c for c in own} for own in takes]
    loose = [{(c.line_id, c.text): c for c in reversed(own)} for own in takes]
    found = [tuple(own[key] for own in exact) for key in exact[0] if all(key in own for own in exact)]
    if mixed:
        shared = {(each[0].line_id, each[0].text) for each in found}
        rest = [key for key in loose[0] if key not in shared and all(key in own for own in loose)]
        found += [tuple(own[key] for own in loose) for key in rest]
    return found


def reference_of(clip: Clip) -> str:
    """The hash of the audio prompt that a clip was spoken after; empty without one."""
    return clip.reference.sha256 if clip.reference else ""


def manner_of(clip: Clip) -> Manner:
    """How a clip was spoken."""
    return Manner(reference_sha256=reference_of(clip), settings=clip.settings)


def judged_clip_id(trial: Trial) -> str:
    """The clip that a gate trial asks about: the one that is not named as the control."""
    return next(slot.clip_id for slot in trial.slots if slot.label != trial.control)


def _voice(clip: Clip) -> tuple[str, str]:
    return clip.candidate.backend, clip.candidate.voice
