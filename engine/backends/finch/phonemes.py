"""The text front end: English text to phonemes, through espeak-ng.

Knows espeak-ng's C interface, which characters of a text give which phonemes, and which texts it
must refuse. Knows nothing of the neural networks. espeak-ng keeps its state in process globals, so
every call holds one lock and sets the voice again.
"""

from __future__ import annotations

import ctypes
import functools
import re
import threading
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import espeakng_loader
import numpy as np
import numpy.typing as npt

LANGUAGE = "en-us"
PAUSES = ("_", "_,", "_.", "_?", "_!")
"""Pause symbols: a bare pause, and pauses that carry the punctuation mark they stand for."""

_SYMBOL_CHARACTERS = frozenset("$£€%&@#+=*/°")
_PUNCTUATION_CHARACTERS = frozenset(".,;:!?'\"-()[]{}_~…–—‘’“”«»`´")
_SPACED_OUT = frozenset('"“”«»`´[]{}_~*')
_REPLACED = {"‘": "'", "’": "'", "–": "-", "—": "-", "…": "."}
_EVENT_WORD, _EVENT_PHONEME = 1, 7
_CHARS_UTF8, _POSITION_CHARACTER = 1, 1
_AUDIO_OUTPUT_SYNCHRONOUS, _INITIALIZE_PHONEME_EVENTS = 2, 1
_RATE, _PITCH = 1, 3
_LOCK = threading.Lock()


class UnpronounceableText(ValueError):
    """The text holds characters (or nothing at all) that this front end cannot pronounce."""


@dataclass(frozen=True)
class EspeakVoice:
    """An espeak-ng voice. `rate` is in words per minute, `pitch` runs from 0 to 99 (50 neutral)."""

    name: str = LANGUAGE
    rate: int = 175
    pitch: int = 50


@dataclass(frozen=True)
class Word:
    """A whitespace-separated word and its characters `text[start:end]`."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Phoneme:
    """One phoneme event. `word` indexes `Pronunciation.words`; a pause belongs to no word (-1)."""

    symbol: str
    start_s: float
    word: int

    @property
    def is_pause(self) -> bool:
        return self.symbol in PAUSES


@dataclass(frozen=True)
class Pronunciation:
    """A text with its phonemes, of which the last is always a pause.

    Times are those of espeak-ng's own reading of the text.
    """

    text: str
    words: tuple[Word, ...]
    phonemes: tuple[Phoneme, ...]
    duration_s: float

    @property
    def symbols(self) -> list[str]:
        return [phoneme.symbol for phoneme in self.phonemes]


class Inventory:
    """The fixed, ordered phoneme symbols that a set of weights was trained with."""

    def __init__(self, symbols: Iterable[str]) -> None:
        self.symbols = tuple(symbols)
        self._ids = {symbol: index for index, symbol in enumerate(self.symbols)}

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, symbols: Sequence[str]) -> list[int]:
        """Ids of `symbols`; an unknown one falls back to the same phoneme with less detail."""
        return [self._ids[self._known(symbol)] for symbol in symbols]

    def _known(self, symbol: str) -> str:
        plain = segment(symbol)
        for candidate in (symbol, plain, f"'{plain}", f",{plain}", plain.rstrip("0123456789#:")):
            if candidate in self._ids:
                return candidate
        raise UnpronounceableText(f"the phoneme '{symbol}' is not in this voice's inventory; respell the word")


def segment(symbol: str) -> str:
    """A phoneme without its stress marks: `'oU` and `,oU` become `oU`."""
    return symbol.lstrip("',=%")


def split_words(text: str) -> tuple[Word, ...]:
    """The whitespace-separated words of `text` that hold a letter, a digit or a spoken symbol."""
    return tuple(
        Word(match.group(), match.start(), match.end())
        for match in re.finditer(r"\S+", text)
        if any(c.isalnum() or c in _SYMBOL_CHARACTERS for c in match.group())
    )


def check_text(text: str) -> None:
    """Raise `UnpronounceableText` when `text` is empty or holds characters of another script."""
    bad = sorted({c for c in text if not _is_pronounceable(c)})
    if bad:
        shown = " ".join(f"'{c}' ({unicodedata.name(c, 'unnamed character')})" for c in bad[:5])
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise UnpronounceableText(
            f"Finch reads English only and cannot pronounce {shown}{more}; "
            "write the text in Latin letters, digits and plain punctuation"
        )
    if not any(c.isalnum() for c in text):
        raise UnpronounceableText("there is nothing to say in the text; write at least one word")


def _is_pronounceable(character: str) -> bool:
    if character.isspace() or character in _SYMBOL_CHARACTERS | _PUNCTUATION_CHARACTERS:
        return True
    if character.isascii():
        return character.isalnum()
    return character.isalpha() and unicodedata.name(character, "").startswith("LATIN ")


def pronounce(text: str, voice: EspeakVoice = EspeakVoice()) -> Pronunciation:
    """The phonemes of `text`. Raises `UnpronounceableText` for text of other scripts."""
    return speak(text, voice)[0]


def speak(text: str, voice: EspeakVoice = EspeakVoice()) -> tuple[Pronunciation, npt.NDArray[np.int16], int]:
    """Phonemes of `text`, espeak-ng's own audio of it (mono int16) and that audio's rate in Hz."""
    check_text(text)
    with _LOCK:
        library, rate_hz = _library()
        samples, events = _synthesise(library, _plain(text), voice)
        phonemes = _assemble(text, events, len(samples), rate_hz)
        phonemes = _divide_merged(text, phonemes, functools.partial(_count, library, voice))
    duration_s = len(samples) / rate_hz
    pronunciation = Pronunciation(text, split_words(text), tuple(phonemes), duration_s)
    if not any(not phoneme.is_pause for phoneme in pronunciation.phonemes):
        raise UnpronounceableText("there is nothing to say in the text; write at least one word")
    return pronunciation, samples, rate_hz


def _plain(text: str) -> str:
    """`text` with quotes blanked and dashes and apostrophes plain; character positions stay."""
    spaced = (" " if c in _SPACED_OUT or c.isspace() else _REPLACED.get(c, c) for c in text)
    return "".join(spaced)


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class _RawEvent:
    kind: int
    position: int
    sample: int
    symbol: str


@functools.cache
def _library() -> tuple[ctypes.CDLL, int]:
    """espeak-ng, initialised once in this process, and its output rate in Hz."""
    library = ctypes.CDLL(str(espeakng_loader.get_library_path()))
    library.espeak_Synth.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    data = str(espeakng_loader.get_data_path()).encode()
    rate_hz = int(library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data, _INITIALIZE_PHONEME_EVENTS))
    if rate_hz <= 0:
        raise RuntimeError(f"espeak-ng could not start with its data at {data.decode()}")
    return library, rate_hz


def _synthesise(library: ctypes.CDLL, text: str, voice: EspeakVoice) -> tuple[npt.NDArray[np.int16], list[_RawEvent]]:
    chunks: list[npt.NDArray[np.int16]] = []
    events: list[_RawEvent] = []

    def receive(wave: object, count: int, event: object) -> int:
        if count > 0 and wave:
            chunks.append(np.ctypeslib.as_array(wave, (count,)).copy())
        index = 0
        while event[index].type:  # type: ignore[index]
            events.append(_raw(event[index]))  # type: ignore[index]
            index += 1
        return 0

    callback = _SynthCallback(receive)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.name.encode()) != 0:
        raise ValueError(f"espeak-ng has no voice '{voice.name}'")
    library.espeak_SetParameter(_RATE, voice.rate, 0)
    library.espeak_SetParameter(_PITCH, voice.pitch, 0)
    data = text.encode() + b"\0"
    library.espeak_Synth(data, len(data), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None)
    library.espeak_Synchronize()
    samples = np.concatenate(chunks) if chunks else np.zeros(0, np.int16)
    return samples, events


def _raw(event: _Event) -> _RawEvent:
    is_phoneme = event.type == _EVENT_PHONEME
    raw = bytes(event.id.string).split(b"\0")[0] if is_phoneme else b""
    return _RawEvent(event.type, event.text_position, event.sample, raw.decode("utf8", "replace"))


def _assemble(text: str, events: list[_RawEvent], samples: int, rate_hz: int) -> list[Phoneme]:
    """Phonemes with their words; runs of pauses become one, and a pause closes the text."""
    words = split_words(text)
    marks = _pause_marks(text, events)
    phonemes: list[Phoneme] = []
    current = 0
    for index, event in enumerate(events):
        if event.kind == _EVENT_WORD:
            current = _word_at(words, event.position - 1, current)
        elif event.kind == _EVENT_PHONEME:
            symbol = event.symbol.strip()
            start_s = event.sample / rate_hz
            if not segment(symbol).strip("_:;|"):
                if symbol.startswith("_") and not (phonemes and phonemes[-1].is_pause):
                    phonemes.append(Phoneme(marks[index], start_s, -1))
            else:
                phonemes.append(Phoneme(symbol, start_s, current))
    if phonemes and not phonemes[-1].is_pause:
        phonemes.append(Phoneme("_.", samples / rate_hz, -1))
    return phonemes


def _count(library: ctypes.CDLL, voice: EspeakVoice, word: str) -> int:
    """How many phonemes a word has when it is read alone."""
    _, events = _synthesise(library, _plain(word), voice)
    symbols = [e.symbol for e in events if e.kind == _EVENT_PHONEME]
    return max(1, sum(not symbol.startswith("_") for symbol in symbols))


def _divide_merged(text: str, phonemes: list[Phoneme], count: Callable[[str], int]) -> list[Phoneme]:
    """Give words that espeak-ng reads as one ("on the", "has been") their own phonemes.

    It announces the first of them alone. Its phonemes are dealt out in the proportions that the
    words have when read one by one; every word gets at least one while there are enough.
    """
    words = split_words(text)
    owned = {phoneme.word for phoneme in phonemes}
    result = list(phonemes)
    for first in sorted(owned - {-1}):
        last = first
        while last + 1 < len(words) and last + 1 not in owned:
            last += 1
        if last > first:
            places = [i for i, phoneme in enumerate(phonemes) if phoneme.word == first]
            counts = [count(words[index].text) for index in range(first, last + 1)]
            for place, offset in zip(places, _deal(len(places), counts), strict=True):
                result[place] = replace(phonemes[place], word=first + offset)
    return result


def _deal(places: int, counts: list[int]) -> list[int]:
    """For each of `places` in order, which of the shares `counts` it falls to."""
    edges = [sum(counts[:index]) * places / sum(counts) for index in range(1, len(counts))]
    return [sum(place + 0.5 > edge for edge in edges) for place in range(places)]


def _word_at(words: tuple[Word, ...], position: int, current: int) -> int:
    """The word holding character `position`, or the nearest one after `current` when none does."""
    for index in range(current, len(words)):
        if position < words[index].end:
            return index
    return current


def _pause_marks(text: str, events: list[_RawEvent]) -> dict[int, str]:
    """For every event that is a pause, the pause symbol with the punctuation mark it stands for."""
    marks: dict[int, str] = {}
    start, end = 0, len(text)
    bounds: dict[int, int] = {}
    for index in range(len(events) - 1, -1, -1):
        bounds[index] = end
        if events[index].kind == _EVENT_WORD:
            end = events[index].position - 1
    for index, event in enumerate(events):
        if event.kind == _EVENT_WORD:
            start = event.position - 1
        elif event.kind == _EVENT_PHONEME and event.symbol.startswith("_"):
            marks[index] = _mark(text[start : bounds[index]], bounds[index] == len(text))
    return marks


def _mark(between: str, is_last: bool) -> str:
    tail = re.sub(r"^\S*?\w(?=\W*$|\W*\s)", "", between) or between
    for mark in "?!":
        if mark in tail:
            return f"_{mark}"
    if "." in tail or "…" in tail or is_last:
        return "_."
    return "_," if re.search(r"[,;:()–—-]", tail) else "_"
