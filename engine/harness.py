"""One text template for every backend: how a text is divided into chunks, seeded, and joined again.

Knows punctuation, pauses and fades. Knows no model: what a chunk becomes is a backend's business. A change of anything
here changes what reviewers hear, so `HARNESS_VERSION` is part of every clip's content key.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from engine.types import Adapter, BadInput, Candidate, GenerationSettings, SpeakRow, Speech, Stop

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.adapters import AdapterHost

HARNESS_VERSION = "1"
MAX_CHARS = 140  # about 9 s of speech: long enough for its prosody, short enough that no voice loses its place
PAUSE_SEC = 0.2  # between two chunks, on top of what the voice itself pauses
FADE_SEC = 0.005  # at both ends of a chunk: no click, no lost consonant

_TITLES = "mr mrs ms mx dr prof st jr sr rev hon gen col capt lt sgt gov sen"
_SHORT_WORDS = "no nos vol fig figs eq ch sec pp ed eds vs etc approx dept est inc ltd co corp bros e.g i.e cf al ca"
_DATES = "a.m p.m jan feb mar apr jun jul aug sep sept oct nov dec"
_ABBREVIATIONS = frozenset(f"{_TITLES} {_SHORT_WORDS} {_DATES} u.s u.k ph.d".split())
_SENTENCE_END = re.compile(r"[.!?…]+[\"'’”)\]»]*$")
_CLAUSE_END = re.compile(r"(?:[,;:]|[–—]|--)[\"'’”)\]»]*$")
_OPENING = "\"'‘“([«"
_CLOSING = "\"'’”)]»"


def split(text: str, max_chars: int = MAX_CHARS) -> tuple[str, ...]:
    """`text` as chunks of at most `max_chars` characters, whitespace collapsed; joined by one space they are the text
    again.

    Boundaries are the ends of sentences; a sentence that is too long is divided at its clauses, and a clause that is
    too long between words. Neighbouring pieces are then packed together while they fit, since very short chunks are
    spoken badly. A boundary never lies inside a number (`3.14`, `1,000`, `20 000`), an abbreviation (`Mr. Hale`), an
    initial (`J. Ward`) or a URL, so a single unbreakable run of words may exceed `max_chars`. Raises BadInput for an
    empty text.
    """
    words = _sounding(text.split())
    if not any(character.isalnum() for character in text):
        raise BadInput("There is nothing to say in the text; write at least one word.")
    if max_chars < 1:
        raise BadInput(f"A chunk of at most {max_chars} characters is no chunk; allow 1 or more.")
    pieces: list[list[str]] = []
    for sentence in _grouped(words, _ends_sentence):
        pieces.extend(_fitting(sentence, max_chars))
    return tuple(_packed([" ".join(piece) for piece in pieces], max_chars))


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
    max_chars: int = MAX_CHARS,
) -> list[SpeakRow]:
    """The rows that speak `text`, one a chunk, in order. `voice_settings` are the adapter's, as they hold at scale
    1.
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
    )
    return joined(host.speak(asked))


def joined(spoken: Sequence[Speech]) -> Speech:
    """The chunks of one text as one speech: it ended at the cap if any chunk did."""
    rate = spoken[0].sample_rate
    return Speech(
        samples=join([speech.samples for speech in spoken], rate),
        sample_rate=rate,
        tokens=sum(speech.tokens for speech in spoken),
        stop=Stop.CAP if any(speech.stop is Stop.CAP for speech in spoken) else Stop.EOS,
        render_sec=sum(speech.render_sec for speech in spoken),
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


def _sounding(tokens: Sequence[str]) -> list[str]:
    """Words that can be said: a token of punctuation alone (a free-standing dash) goes with its neighbour."""
    words: list[str] = []
    for token in tokens:
        if words and not (_sounds(token) and _sounds(words[-1])):
            words[-1] = f"{words[-1]} {token}"
        else:
            words.append(token)
    return words


def _said(word: str) -> str:
    """The part of a word that is said, without the free-standing punctuation that goes with it."""
    return next((token for token in word.split() if _sounds(token)), word)


def _grouped(words: Sequence[str], ends: Callable[[str, str], bool]) -> Iterator[list[str]]:
    """`words` in runs, each closed by a word after which `ends` allows a boundary."""
    group: list[str] = []
    for index, word in enumerate(words):
        group.append(word)
        following = words[index + 1] if index + 1 < len(words) else ""
        if following and ends(_said(word), _said(following)):
            yield group
            group = []
    if group:
        yield group


def _ends_sentence(word: str, following: str) -> bool:
    if not _SENTENCE_END.search(word) or _between_digits(word, following):
        return False
    bare = word.lstrip(_OPENING).rstrip(_CLOSING)
    if not bare.endswith(".") or bare.endswith(".."):
        return True
    stem = bare[:-1]
    if len(stem) == 1 and stem.isalpha() and stem.isupper():  # an initial
        return False
    if stem.lower() in _ABBREVIATIONS:
        return stem.lower() in ("etc", "a.m", "p.m") and following.lstrip(_OPENING)[:1].isupper()
    return True


def _ends_clause(word: str, following: str) -> bool:
    return bool(_CLAUSE_END.search(word)) and not _between_digits(word, following)


def _ends_word(word: str, following: str) -> bool:
    stem = word.rstrip(_CLOSING)
    abbreviated = stem.endswith(".") and not _ends_sentence(word, following)
    return not abbreviated and not _between_digits(word, following)


def _between_digits(word: str, following: str) -> bool:
    return word.rstrip(",.;:")[-1:].isdigit() and following[:1].isdigit()


def _fitting(words: list[str], max_chars: int) -> Iterator[list[str]]:
    """A sentence as pieces that fit: whole if it fits, else its clauses, else runs of words."""
    if _length(words) <= max_chars:
        yield words
        return
    for clause in _grouped(words, _ends_clause):
        if _length(clause) <= max_chars:
            yield clause
        else:
            yield from _wrapped(list(_grouped(clause, _ends_word)), max_chars)


def _wrapped(runs: Sequence[list[str]], max_chars: int) -> Iterator[list[str]]:
    """A long clause in as few pieces as fit, of about equal length: no piece is a stray last word."""
    total = sum(_length(run) + 1 for run in runs)
    aim = min(max_chars, total / -(-total // max_chars) + max(_length(run) for run in runs) / 2)
    piece: list[str] = []
    for run in runs:
        if piece and _length(piece + run) > aim:
            yield piece
            piece = []
        piece = piece + run
    if piece:
        yield piece


def _packed(pieces: Sequence[str], max_chars: int) -> list[str]:
    """Neighbours together while they fit."""
    packed: list[str] = []
    for piece in pieces:
        if packed and len(packed[-1]) + 1 + len(piece) <= max_chars:
            packed[-1] = f"{packed[-1]} {piece}"
        else:
            packed.append(piece)
    return packed


def _sounds(piece: str) -> bool:
    return any(character.isalnum() for character in piece)


def _length(words: Sequence[str]) -> int:
    return sum(len(word) for word in words) + max(0, len(words) - 1)
