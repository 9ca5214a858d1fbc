"""Texts to speak, how they are spoken, and the clips and scores that come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from engine.types.adapters import Candidate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Tier(StrEnum):
    """How long a line is, by about how long it takes to say."""

    SHORT = "short"  # about 5 s
    MEDIUM = "medium"  # about 15 s
    LONG = "long"  # 30 s and more


@dataclass(frozen=True, kw_only=True)
class Line:
    """One text of a script."""

    id: str
    tier: Tier
    text: str


@dataclass(frozen=True, kw_only=True)
class Script:
    """The fixed listening text. `sha256` is of its canonical JSON, so an edited script is another script."""

    name: str
    language: str
    lines: tuple[Line, ...]
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The audio prompt of zero-shot cloning, with its transcript. Voices without a prompt have none.

    `sha256` is of the audio file's bytes and the transcript: another transcript is another reference.
    """

    audio_path: Path
    text: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class GenerationSettings:
    """How tokens are drawn. `max_factor` caps a chunk at that multiple of its expected length.

    `retries` is how often a chunk that was cut at the cap is drawn again with another seed. 0 in every gate: a retry
    hides a failure that users would hear. `own` are settings that only this voice's model has.
    """

    temperature: float = 0.3
    top_k: int = 30
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    max_factor: float = 3.0
    retries: int = 0
    own: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def flat(self) -> dict[str, float]:
        """All of them by name, those that only one model has among the others."""
        return {**{name: value for name, value in vars(self).items() if name != "own"}, **self.own}


@dataclass(frozen=True, kw_only=True)
class SpeakingSetting:
    """One setting of how a voice speaks, for forms and flags: `usual` is in force where it is not set."""

    name: str
    title: str
    about: str
    usual: float
    least: float
    most: float
    step: float = 0.05  # 1 of a whole number


@dataclass(frozen=True, kw_only=True)
class SpeakRow:
    """One row of a batch: a chunk of text and all that its audio may depend on. Nothing else may influence it.

    `expected_sec` is how long the harness expects the chunk to take, in whatever script it is written: what a backend
    without a clock of its own scales its cap by. 0: not known. `language` is the script's, such as "en" or "zh".
    """

    text: str
    voice: str
    seed: int
    adapter_sha256: str | None = None
    lora_scale: float = 0.0
    voice_settings: Mapping[str, float] = field(default_factory=dict)
    settings: GenerationSettings = GenerationSettings()
    reference: Reference | None = None
    language: str = "en"
    expected_sec: float = 0.0


class Stop(StrEnum):
    """How generation ended."""

    EOS = "eos"  # the model ended by itself
    CAP = "cap"  # it was cut at the cap: a runaway


@dataclass(frozen=True, kw_only=True)
class SpeechTokens:
    """The discrete tokens of one row: `said`, those that its model drew, and those of the `reference` that it was
    spoken after, as the same model hears them (none where it hears none). Of several codebooks the first.
    """

    said: tuple[int, ...]
    reference: tuple[int, ...]
    rate_hz: float  # tokens a second


@dataclass(frozen=True, kw_only=True)
class Speech:
    """What a row became. `samples` is float32 mono in -1..1, shape (n,); `attempts` is how many times it was drawn.

    `speech_tokens` are there of a model that tells them; several rows joined have none.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    tokens: int
    stop: Stop
    render_sec: float
    attempts: int = 1
    speech_tokens: SpeechTokens | None = None


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Candidate x line x seed, rendered.

    `path` is named by the content key, the hash of everything that the audio depends on; `id` hashes that key with the
    candidate, the script and the line, so that runs with equal adapters share audio and keep clips of their own.
    `language` is the script's. `attempts` is how many times it was drawn: more than 1 only where retries were allowed.
    """

    id: str
    candidate: Candidate
    adapter_sha256: str | None
    script_sha256: str
    line_id: str
    tier: Tier
    text: str
    seed: int
    path: Path
    sample_rate: int
    duration_sec: float
    stop: Stop
    chunks: int
    settings: GenerationSettings
    harness_version: str
    render_sec: float
    language: str = "en"
    reference: Reference | None = None
    attempts: int = 1


@dataclass(frozen=True, kw_only=True)
class Score:
    """One screener's answer about one clip. `passed` None: a fact, not a judgement. Screeners flag; people decide.

    `reasons` of a flagged clip are the reason codes that it is evidence for, each with the words it is about (none
    where it is not about words).
    """

    clip_id: str
    screener: str
    version: int
    value: float
    unit: str
    passed: bool | None
    explanation: str
    reasons: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class WordScore:
    """One word of a clip by forced alignment; `state` is ok, dropped, merged, repeated, inserted, or wrong (said
    unclearly). A repeated word is there a second time, after the first. Times may be NaN.
    """

    text: str
    state: str
    start_sec: float
    end_sec: float
    log_posterior: float
