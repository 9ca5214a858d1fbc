"""What a backend needs of its training data, known without loading it and also where it is trained elsewhere.

Knows sample rates, limits and what upstream does with rows outside them, each with its source. Knows no audio.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine import backends
from engine.types import NotFound


@dataclass(frozen=True, kw_only=True)
class Needs:
    """`silently` says what upstream's own tools do with a row outside the limits; `source` where the numbers come from.

    `append_silence_sec` and `loudness_lufs` are the defaults of a preparation for this backend.
    """

    name: str
    title: str
    sample_rate: int  # Hz of the training audio
    min_sec: float
    max_sec: float
    languages: tuple[str, ...] = ()  # none: any
    silently: str = ""
    source: str = ""
    append_silence_sec: float = 0.0
    loudness_lufs: float | None = None
    known_tags: tuple[str, ...] = ()  # annotations that are tokens of the model and may stay in a text
    trainable_here: bool = False
    unpronounceable: Callable[[str], str | None] | None = None


ELSEWHERE: tuple[Needs, ...] = ()  # backends whose data is cleaned here and trained elsewhere


def names() -> tuple[str, ...]:
    """Backends that trains here first, then the others."""
    return (*sorted(backends.INFO), *(n.name for n in ELSEWHERE if n.name not in backends.INFO))


def of(backend: str) -> Needs:
    """What a backend needs. Raises NotFound with the known names."""
    if backend in backends.INFO:
        info = backends.info(backend)
        return Needs(
            name=info.name,
            title=info.title,
            sample_rate=info.sample_rate,
            min_sec=info.min_sec,
            max_sec=info.max_sec,
            trainable_here=True,
            unpronounceable=info.unpronounceable,
        )
    found = {n.name: n for n in ELSEWHERE}
    if backend not in found:
        raise NotFound(f"There is no backend named {backend!r}; known are: {', '.join(names())}.")
    return found[backend]
