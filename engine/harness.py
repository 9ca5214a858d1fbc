"""One template for every backend: a text becomes chunks with seeds, and what they become is joined again.

Knows seeds, pauses, fades and retries; `segmentation` knows where a text may be divided. Knows no model: what a chunk
becomes is a backend's business. A change of anything in the two changes what reviewers hear, so `HARNESS_VERSION` is
part of every clip's content key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.segmentation import MAX_CHARS, expected_sec, split
from engine.types import Adapter, Candidate, GenerationSettings, Reference, SpeakRow, Speech, Stop

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.adapters import AdapterHost

HARNESS_VERSION = "2"
PAUSE_SEC = 0.2  # between two chunks, on top of what the voice itself pauses
FADE_SEC = 0.005  # at both ends of a chunk: no click, no lost consonant


def chunk_seed(seed: int, index: int) -> int:
    """The seed of chunk `index` of a clip drawn with `seed`, 0..2^31-1: fixed, and unlike its neighbours' seeds."""
    digest = hashlib.sha256(f"{seed}/{index}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def rows(
    text: str,
    *,
    voice: str,
    seed: int,
    adapter_sha256: str | None = None,
    lora_scale: float = 0.0,
    voice_settings: Mapping[str, float] | None = None,
    settings: GenerationSettings | None = None,
    reference: Reference | None = None,
    language: str = "en",
    max_chars: int = MAX_CHARS,
) -> list[SpeakRow]:
    """The rows that speak `text`, one a chunk, in order. `voice_settings` are the adapter's, as they hold at scale 1;
    every chunk has the same `reference`, whose features a backend computes once.
    """
    return [
        SpeakRow(
            text=chunk,
            voice=voice,
            seed=chunk_seed(seed, index),
            adapter_sha256=adapter_sha256,
            lora_scale=lora_scale,
            voice_settings=dict(voice_settings or {}),
            settings=settings or GenerationSettings(),
            reference=reference,
            language=language,
            expected_sec=expected_sec(chunk),
        )
        for index, chunk in enumerate(split(text, max_chars))
    ]


def speak(
    text: str,
    *,
    host: AdapterHost,
    candidate: Candidate,
    adapter: Adapter | None,
    seed: int,
    settings: GenerationSettings | None = None,
    reference: Reference | None = None,
    language: str = "en",
) -> Speech:
    """Speak `text` as one: split, rendered in one batch, joined. `adapter` is the candidate's, already loaded in
    `host`.
    """
    asked = rows(
        text,
        voice=candidate.voice,
        seed=seed,
        adapter_sha256=adapter.sha256 if adapter else None,
        lora_scale=candidate.lora_scale if adapter else 0.0,
        voice_settings=adapter.voice_settings if adapter else None,
        settings=settings,
        reference=reference,
        language=language,
    )
    return joined(spoken(asked, host))


def spoken(rows: Sequence[SpeakRow], host: AdapterHost) -> list[Speech]:
    """One batch, in order. Rows that were cut at the cap are drawn again, each as often as its settings allow and every
    time with another seed; the last attempt counts, and says how many there were.
    """
    found = host.speak(rows)
    attempt = 1
    while again := [n for n, row in enumerate(rows) if found[n].stop is Stop.CAP and row.settings.retries >= attempt]:
        anew = host.speak([replace(rows[n], seed=chunk_seed(rows[n].seed, attempt)) for n in again])
        attempt += 1
        for n, speech in zip(again, anew, strict=True):
            found[n] = replace(speech, attempts=attempt, render_sec=found[n].render_sec + speech.render_sec)
    return found


def joined(chunks: Sequence[Speech]) -> Speech:
    """The chunks of one text as one speech: it ended at the cap if any chunk did, and was drawn as often as the one
    that was drawn most often.
    """
    rate = chunks[0].sample_rate
    return Speech(
        samples=join([speech.samples for speech in chunks], rate),
        sample_rate=rate,
        tokens=sum(speech.tokens for speech in chunks),
        stop=Stop.CAP if any(speech.stop is Stop.CAP for speech in chunks) else Stop.EOS,
        render_sec=sum(speech.render_sec for speech in chunks),
        attempts=max(speech.attempts for speech in chunks),
    )


def join(samples: Sequence[NDArray[np.float32]], sample_rate: int, pause_sec: float = PAUSE_SEC) -> NDArray[np.float32]:
    """Chunks one after the other as float32 mono, shape (n,): short linear fades at every end, a fixed pause
    between.
    """
    import numpy as np

    if not samples:
        return np.zeros(0, np.float32)
    pause = np.zeros(round(pause_sec * sample_rate), np.float32)
    parts: list[NDArray[np.float32]] = []
    for chunk in samples:
        parts += [pause, _faded(np.asarray(chunk, np.float32), round(FADE_SEC * sample_rate))]
    return np.concatenate(parts[1:])


def _faded(chunk: NDArray[np.float32], fade: int) -> NDArray[np.float32]:
    import numpy as np

    fade = min(fade, len(chunk) // 2)
    if fade == 0:
        return chunk
    ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)
    faded = chunk.copy()
    faded[:fade] *= ramp
    faded[-fade:] *= ramp[::-1]
    return faded
