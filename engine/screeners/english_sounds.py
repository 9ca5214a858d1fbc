"""What espeak-ng's English phonemes may be written as by a recogniser that learned from dictionaries of real speech.

Knows two phoneme sets. Dictionaries give words in full ("ænd", "ði"), espeak-ng as they are said in a sentence ("@nd",
"D@"), and recognisers swap neighbours; so a phoneme has a set of letters, and an unstressed vowel has nearly all.
"""

from __future__ import annotations

VOWELS = (
    *("ə", "a", "aɪ", "aʊ", "e", "eə", "eɪ", "i", "ja", "je", "jo", "ju", "jʌ", "o", "oʊ", "u", "wa", "we", "wi"),
    *("wʌ", "æ", "ɑ", "ɒ", "ɔ", "ɔɪ", "ɐ", "ɘ", "ɚ", "ɛ", "ɜ", "ɝ", "ɪ", "ɪə", "ʊ", "ʌ", "ɨ", "ʉ", "ɯ", "ᵊ"),
)
# sound -> letters of the International Phonetic Alphabet, the typical one first
SOUNDS: dict[str, tuple[str, ...]] = {
    sound: tuple(letters.split())
    for sound, letters in {
        "a": "æ ɑ ɛ a",
        "ah": "ɑ ɔ a æ ɒ ʌ",
        "ai": "aɪ a",
        "au": "aʊ",
        "e": "ɛ æ eɪ ɪ e",
        "ei": "eɪ ɛ e ə æ",
        "er": "ɝ ɚ ɜ ɹ ə",
        "i": "i ɪ eɪ",
        "ih": "ɪ i ɛ ə ɨ",
        "o": "ɔ ɑ oʊ o ɒ",
        "oi": "ɔɪ",
        "ou": "oʊ ɔ o ə",
        "u": "u ʊ oʊ ʉ",
        "uh": "ʊ u ʌ ə oʊ ɔ",
        "v": "v f",
        "vuh": "ʌ ə ɑ ɔ o ɐ",
        "b": "b",
        "ch": "t͡ʃ ʃ",
        "d": "d t ɾ",
        "dh": "ð θ d",
        "f": "f",
        "g": "g ɡ",
        "h": "h",
        "j": "d͡ʒ ʒ",
        "k": "k kʰ",
        "l": "l ɫ",
        "m": "m",
        "n": "n ŋ",
        "ng": "ŋ n",
        "p": "p pʰ",
        "r": "ɹ r ɝ ɚ ɾ",
        "s": "s z",
        "sh": "ʃ",
        "t": "t tʰ d ɾ",
        "th": "θ ð",
        "w": "w",
        "y": "j ju",
        "z": "z s",
        "zh": "ʒ d͡ʒ z",
    }.items()
} | {"any": tuple(vowel for vowel in VOWELS if vowel not in ("aʊ", "ɔɪ"))}

# espeak-ng's mnemonic without stress and reduction -> sounds in order
ESPEAK: dict[str, tuple[str, ...]] = {
    symbol: tuple(sounds.split())
    for symbol, sounds in {
        "0": "ah",
        "3": "er",
        "3:": "er",
        "@": "any",
        "@L": "any l",
        "A:": "ah",
        "A@": "ah r",
        "D": "dh",
        "E": "e",
        "I": "ih",
        "N": "ng",
        "O2": "any",
        "O:": "o",
        "O@": "o r",
        "OI": "oi",
        "S": "sh",
        "T": "th",
        "U": "uh",
        "U@": "uh r",
        "V": "vuh",
        "Z": "zh",
        "a": "a",
        "aI": "ai",
        "aI3": "ai er",
        "aI@": "ai any",
        "aU": "au",
        "aa": "a",
        "dZ": "j",
        "e@": "e r",
        "eI": "ei",
        "i": "i",
        "i:": "i",
        "i@": "i any",
        "i@3": "i r",
        "j": "y",
        "o@": "o r",
        "oU": "ou",
        "t#": "t",
        "tS": "ch",
        "u:": "u",
        "x": "k",
    }.items()
} | {plain: (plain,) for plain in "b d f g h k l m n p r s t v w z".split()}

# Where texts are compared letter by letter, all vowels are one, and these consonants are others.
VOWEL = "V"
ALIKE = {"z": "s", "v": "f", "ð": "θ", "ŋ": "n", "d": "t", "ɾ": "t", "r": "ɹ", "ʒ": "d͡ʒ", "ɡ": "g"}
_CONSONANTS = frozenset("b d͡ʒ f g h j k l m n p s t t͡ʃ w ɹ ʃ θ".split())


def compared_as(letter: str) -> str:
    """What of a letter is compared with a text; "" of what is no sound of English."""
    if letter in VOWELS:
        return VOWEL
    plain = ALIKE.get(letter, letter)
    return plain if plain in _CONSONANTS else ""
