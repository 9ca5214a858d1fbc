"""Where a text may be divided: at sentences, then clauses, then words; never inside a number, a date or an address.

Knows punctuation, abbreviations and scripts: languages that put spaces between words, and Chinese and Japanese, which
do not. Pure; knows no voice and no seeds. A change of anything here changes what reviewers hear: `HARNESS_VERSION`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from engine.types import BadInput

MAX_CHARS = 140  # about 9 s of speech: long enough for its prosody, short enough that no voice loses its place
CHARS_PER_SEC = 14.0  # of ordinary English speech
HAN_WIDTH, KANA_WIDTH = 3, 2  # a Chinese character takes as long to say as three Latin ones, a kana as two
DIGIT_CHARS = 5  # a digit is read as a word; for expected lengths only

_TITLES = "mr mrs ms mx dr prof st jr sr rev hon gen col capt lt sgt gov sen"
_SHORT_WORDS = "no nos vol fig figs eq ch sec pp ed eds vs etc approx dept est inc ltd co corp bros e.g i.e cf al ca"
_DATES = "a.m p.m jan feb mar apr jun jul aug sep sept oct nov dec"
_ABBREVIATIONS = frozenset(f"{_TITLES} {_SHORT_WORDS} {_DATES} u.s u.k ph.d".split())
_MONTHS = frozenset(
    "January February March April May June July August September October November December "
    "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec".split()
)
_UNITS = frozenset(  # what a number is read together with
    "am pm a.m p.m o'clock o’clock percent hundred thousand million billion trillion dollars euros pounds cents "
    "degrees km m cm mm miles kg g l ml hours hour minutes minute seconds".split()
)
_SENTENCE_END = re.compile(r"(?:[.!?…]+[\"'’”)\]»]*|[。！？｡．…]+[」』”’）】》〉]*)$")
_CLAUSE_END = re.compile(r"(?:(?:[,;:]|[–—]|--)[\"'’”)\]»]*|[；，、：—]+[」』”’）】》〉]*)$")
_OPENING = "\"'‘“([«"
_CLOSING = "\"'’”)]»"
_DAY = re.compile(r"\d{1,2}(?:st|nd|rd|th)?$")

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f\u3005\u3007"
_KANA = "\u3041-\u3096\u30a1-\u30fa\u30fc-\u30fe\uff66-\uff9f"
_UNSPACED = re.compile(f"[{_HAN}{_KANA}]")
_IS_HAN = re.compile(f"[{_HAN}\uac00-\ud7a3]")  # a Hangul syllable takes as long
_IS_KANA = re.compile(f"[{_KANA}]")
_WIDE_OPENING, _WIDE_CLOSING = "「『（《〈【“‘", "」』）》〉】”’"
_WIDE_MARKS = "。！？；，、：…—～｡．"
_NOT_LAST = f"{_WIDE_OPENING}([{{·・"
_NOT_FIRST = f"{_WIDE_MARKS}{_WIDE_CLOSING},.!?;:)]}}·・ー々ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ%％℃"
_NUMERALS = "0123456789０１２３４５６７８９〇零一二三四五六七八九十百千万亿两億萬兩"
_PAIRS = ("分之", "上午", "下午", "中午")
_COUNTED = "年月日午号號时時点點分秒元円岁歳个個人次"  # read together with the number before


@dataclass(frozen=True)
class _Atom:
    """A piece of text that is never divided, and whether a space stands before it."""

    text: str
    spaced: bool


def split(text: str, max_chars: int = MAX_CHARS) -> tuple[str, ...]:
    """`text` as chunks of at most `max_chars` characters, whitespace collapsed; one after the other, with the spaces
    of the text between them, they are the text again.

    Boundaries are the ends of sentences; a sentence that is too long is divided at its clauses, and a clause that is
    too long between words, or between characters where a script has no spaces. Neighbouring pieces are then packed
    together while they fit, since very short chunks are spoken badly. A boundary never lies inside a number (`3.14`,
    `1,000`, `20 000`), a date (`March 3, 2024`, `2024年3月15日`), a time (`7:45 p.m.`), an abbreviation (`Mr. Hale`),
    an initial (`J. Ward`), an e-mail address or a URL, so a single unbreakable run may exceed `max_chars`. Characters
    are counted by `width`. Raises BadInput for an empty text.
    """
    if not _sounds(text):
        raise BadInput("There is nothing to say in the text; write at least one word.")
    if max_chars < 1:
        raise BadInput(f"A chunk of at most {max_chars} characters is no chunk; allow 1 or more.")
    atoms = _sounding([atom for word in text.split() for atom in _atoms(word)])
    pieces: list[list[_Atom]] = []
    for sentence in _grouped(atoms, _ends_sentence):
        pieces.extend(_fitting(sentence, max_chars))
    return tuple(_said(piece) for piece in _packed(pieces, max_chars))


def width(text: str) -> int:
    """How long a text is to say, in Latin characters: a Chinese character counts as three, a kana as two."""
    han, kana = len(_IS_HAN.findall(text)), len(_IS_KANA.findall(text))
    return len(text) + (HAN_WIDTH - 1) * han + (KANA_WIDTH - 1) * kana


def expected_sec(text: str) -> float:
    """How long a text is expected to take in ordinary speech, in any script. Digits are counted as they are read."""
    digits = sum(character.isdigit() for character in text)
    return (width(text) + (DIGIT_CHARS - 1) * digits) / CHARS_PER_SEC


# ---------------------------------------------------------------------------------------------------------------- atoms
def _atoms(word: str) -> Iterator[_Atom]:
    """A word between spaces: whole in scripts that have spaces, and wherever a line may break in those that do not."""
    if not _UNSPACED.search(word):
        yield _Atom(word, spaced=True)
        return
    begin = 0
    for end in range(1, len(word) + 1):
        if end == len(word) or _may_break(word[end - 1], word[end]):
            yield _Atom(word[begin:end], spaced=begin == 0)
            begin = end


def _may_break(left: str, right: str) -> bool:
    """Between two characters of a text without spaces. A run of Latin letters, digits and signs stays whole."""
    if right in _NOT_FIRST or left in _NOT_LAST:
        return False
    if not _is_wide(left) and not _is_wide(right):
        return False
    if left in _NUMERALS and (left.isascii() or right in _NUMERALS or right in _COUNTED):
        return False
    if left in _COUNTED and right in _NUMERALS:  # 3月15日
        return False
    return f"{left}{right}" not in _PAIRS and not (left in "第之" and right in _NUMERALS)


def _is_wide(character: str) -> bool:
    return bool(_UNSPACED.match(character)) or character in _WIDE_MARKS + _WIDE_OPENING + _WIDE_CLOSING


def _sounding(atoms: Sequence[_Atom]) -> list[_Atom]:
    """Atoms that can be said: one of punctuation alone (a free-standing dash) goes with its neighbour."""
    found: list[_Atom] = []
    for atom in atoms:
        if found and not (_sounds(atom.text) and _sounds(found[-1].text)):
            found[-1] = replace(found[-1], text=_said([found[-1], atom]))
        else:
            found.append(atom)
    return found


def _said(atoms: Sequence[_Atom]) -> str:
    first, *rest = atoms
    return first.text + "".join(f" {atom.text}" if atom.spaced else atom.text for atom in rest)


def _sounds(text: str) -> bool:
    return any(character.isalnum() for character in text)


# ----------------------------------------------------------------------------------------------------------- boundaries
def _grouped(atoms: Sequence[_Atom], ends: Callable[[str, str], bool]) -> Iterator[list[_Atom]]:
    """`atoms` in runs, each closed by one after which `ends` allows a boundary."""
    group: list[_Atom] = []
    for index, atom in enumerate(atoms):
        group.append(atom)
        following = atoms[index + 1].text if index + 1 < len(atoms) else ""
        if following and ends(_word(atom.text), _word(following)):
            yield group
            group = []
    if group:
        yield group


def _word(text: str) -> str:
    """The part of an atom that is said, without the free-standing punctuation that goes with it."""
    return next((token for token in text.split() if _sounds(token)), text)


def _ends_sentence(word: str, following: str) -> bool:
    if not _SENTENCE_END.search(word) or _belong_together(word, following):
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
    return bool(_CLAUSE_END.search(word)) and not _belong_together(word, following)


def _ends_word(word: str, following: str) -> bool:
    stem = word.rstrip(_CLOSING)
    may_end = stem.lower() in ("etc.", "a.m.", "p.m.")
    abbreviated = stem.endswith(".") and not may_end and not _ends_sentence(word, following)
    return not abbreviated and not _belong_together(word, following)


def _belong_together(word: str, following: str) -> bool:
    """Two words of one number, date or time."""
    stem, after = word.rstrip(",.;:"), following.rstrip(f".,;:!?{_CLOSING}")
    if stem[-1:].isdigit() and (following[:1].isdigit() or (stem == word and after.lower() in _UNITS)):
        return True
    if word.lstrip(_OPENING).rstrip(".") in _MONTHS and following[:1].isdigit():
        return True
    return bool(_DAY.match(word.lstrip(_OPENING))) and after in (*_MONTHS, "of")


# -------------------------------------------------------------------------------------------------------------- fitting
def _fitting(atoms: list[_Atom], max_chars: int) -> Iterator[list[_Atom]]:
    """A sentence as pieces that fit: whole if it fits, else its clauses, else runs of words."""
    if _width(atoms) <= max_chars:
        yield atoms
        return
    for clause in _grouped(atoms, _ends_clause):
        if _width(clause) <= max_chars:
            yield clause
        else:
            yield from _wrapped(list(_grouped(clause, _ends_word)), max_chars)


def _wrapped(runs: Sequence[list[_Atom]], max_chars: int) -> Iterator[list[_Atom]]:
    """A long clause in as few pieces as fit, of about equal length: no piece is a stray last word."""
    total = sum(_width(run) + run[0].spaced for run in runs)
    aim = min(max_chars, total / -(-total // max_chars) + max(_width(run) for run in runs) / 2)
    piece: list[_Atom] = []
    for run in runs:
        if piece and _width(piece + run) > aim:
            yield piece
            piece = []
        piece = piece + run
    if piece:
        yield piece


def _packed(pieces: Sequence[list[_Atom]], max_chars: int) -> list[list[_Atom]]:
    """Neighbours together while they fit."""
    packed: list[list[_Atom]] = []
    for piece in pieces:
        if packed and _width(packed[-1] + piece) <= max_chars:
            packed[-1] = packed[-1] + piece
        else:
            packed.append(piece)
    return packed


def _width(atoms: Sequence[_Atom]) -> int:
    return width(_said(atoms))
