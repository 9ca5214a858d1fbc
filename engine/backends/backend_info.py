"""What is known of a backend before it is loaded, without torch and without its weights in memory.

For forms, lists and audits. Knows no backend; each has a function that fills one in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from engine.types import GenerationSettings, SpeakingSetting

INSTRUCTION = "@"  # between a voice and what it is told: it stays with run, adapter, candidate and clip


@dataclass(frozen=True, kw_only=True)
class BackendInfo:
    """What is known of a backend before it is loaded, without torch: for forms, audits and lists."""

    name: str
    title: str
    sample_rate: int
    voices: tuple[str, ...]
    parts: tuple[str, ...]
    min_sec: float  # a training clip is at least this long
    max_sec: float  # and at most this long
    unpronounceable: Callable[[str], str | None]  # why a text cannot be spoken, or None
    base_sha256: str  # of the base weights that `load` would load
    version: str  # of the code that speaks: part of every clip's content key
    full_sft: bool = False  # all weights of a part can be trained
    reference: str = "none"  # as `Capabilities` has it, and so the next two
    mixes_rows: bool = True
    languages: tuple[str, ...] = ()  # none: any
    usual: GenerationSettings = field(default_factory=GenerationSettings)  # where nothing else is asked for
    own_settings: tuple[SpeakingSetting, ...] = ()  # what it can be told beside the settings that all have
    unloaded_loss: Mapping[str, float] = field(default_factory=dict)  # by part: a model's without its weights
    refuses_unloaded: bool = False  # such a base is not trained: for a model whose losses on real speech lie well below
    tells_tokens: bool = False  # what it speaks comes with the discrete tokens that it was made of
    instructs: bool = False  # a voice followed by INSTRUCTION and some words is one that was told these words

    def has_voice(self, voice: str) -> bool:
        """Whether it has this voice, with an instruction where it can be given any."""
        name, mark, words = voice.partition(INSTRUCTION)
        return voice in self.voices or (self.instructs and name in self.voices and bool(mark and words.strip()))
