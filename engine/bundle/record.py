"""What a bundle says of itself, as plain data: how to speak with the voice, and why it was released.

Knows the names inside a bundle and the two records. Writes no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from engine.types import Adapter, Clip, Promotion, Score, Verdict

FORMAT_VERSION = 2
SUMS_FILE = "SHA256SUMS"
FACTS_FILE = "earmark.json"
VOICE_FILE = "voice.json"
CARD_FILE = "README.md"
SCRIPT_FILE = "speak.py"
SAMPLES = "samples"
BAKED = "baked"
MERGED = "merged"
NATIVE = "native"
CODE = "code"
CHECK_FILE = "check.json"
DEFAULT_LICENCE = "The adapter carries the licences of its base model and of the recordings that it was trained on."
NO_CONSENT = "Not stated. Ask the person whose voice this is before you use it."


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A clip that reviewers judged, with its measures."""

    clip: Clip
    scores: tuple[Score, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Preference:
    """What reviewers preferred, by name: wins of the promoted candidate over another one, with a 95 % interval."""

    against: str
    wins: int
    losses: int
    ties: int
    low: float
    high: float
    simulated: bool


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Why this voice was released. `verdicts` are all in force about its checkpoint, the promotion's own among them."""

    verdicts: tuple[Verdict, ...]
    preferences: tuple[Preference, ...] = ()
    samples: tuple[Sample, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)  # lines about the recordings
    consent: str = NO_CONSENT
    licence: str = DEFAULT_LICENCE


@dataclass(frozen=True, kw_only=True)
class Variants:
    """What is written beside the adapter as it was trained."""

    baked: bool = False  # alpha carries the promoted scale
    merged: bool = False  # full weights at the promoted scale

    @property
    def names(self) -> tuple[str, ...]:
        """The forms that are written, as their folders are called."""
        return tuple(name for name, wanted in ((BAKED, self.baked), (MERGED, self.merged)) if wanted)


def voice(promotion: Promotion, adapter: Adapter) -> dict[str, Any]:
    """`voice.json`: all that a program needs to sound like the promoted candidate."""
    return {
        "format_version": FORMAT_VERSION,
        "alias": promotion.alias,
        "backend": promotion.candidate.backend,
        "voice": promotion.candidate.voice,
        "base_sha256": promotion.base_sha256,
        "adapter_sha256": promotion.adapter_sha256,
        "kind": adapter.kind,
        "parts": list(adapter.parts),
        "rank": adapter.rank,
        "alpha": adapter.alpha,
        "lora_scale": promotion.candidate.lora_scale,
        "voice_settings": dict(adapter.voice_settings),
        "settings": asdict(promotion.settings),
        "harness_version": promotion.harness_version,
        "reference_sha256": promotion.reference_sha256,
    }


def facts(promotion: Promotion, adapter: Adapter, evidence: Evidence, *, now: float) -> dict[str, Any]:
    """`earmark.json`: the promotion with everything that it rests on."""
    own = next(verdict for verdict in evidence.verdicts if verdict.id == promotion.verdict_id)
    return {
        "format_version": FORMAT_VERSION,
        "promotion": asdict(promotion),
        "adapter": {**asdict(adapter), "path": "."},
        "verdict": asdict(own),
        "other_verdicts": [asdict(verdict) for verdict in evidence.verdicts if verdict.id != own.id],
        "preferences": [asdict(each) for each in evidence.preferences],
        "samples": [_sample(number, each) for number, each in enumerate(evidence.samples, start=1)],
        "data": dict(evidence.data),
        "consent": evidence.consent,
        "licence": evidence.licence,
        "exported_at": now,
    }


def sample_name(number: int, clip: Clip) -> str:
    """Where a sample lies within the bundle; `number` counts from 1."""
    return f"{SAMPLES}/{number:02d}_{clip.tier.value}{clip.path.suffix}"


def _sample(number: int, sample: Sample) -> dict[str, Any]:
    clip = sample.clip
    return {
        "file": sample_name(number, clip),
        "tier": clip.tier.value,
        "text": clip.text,
        "seed": clip.seed,
        "seconds": clip.duration_sec,
        "scores": [
            {"name": score.screener, "value": _number(score.value), "unit": score.unit, "said": score.explanation}
            for score in sample.scores
        ],
    }


def _number(value: float) -> float | None:
    """JSON has no NaN: what nobody could measure is null."""
    return value if value == value else None
