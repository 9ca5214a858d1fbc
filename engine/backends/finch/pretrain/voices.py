"""Which espeak-ng voices Finch learns from: the eight it offers, the many, and the unheard ones."""

from __future__ import annotations

import random

from engine.backends.finch.phonemes import LANGUAGE, EspeakVoice

BASE_VOICES: dict[str, tuple[str, int]] = {
    "reed": ("", 50),
    "wren": ("f2", 50),
    "rook": ("m3", 65),
    "lark": ("f5", 55),
    "crane": ("Andy", 40),
    "dove": ("f1", 35),
    "heron": ("m7", 30),
    "robin": ("Annie", 55),
}
"""The voices that the product offers: name -> espeak-ng variant and pitch."""

VARIANTS: tuple[str, ...] = tuple(
    (
        "f3 f4 m1 m2 m4 m5 m6 m8 Alex Alicia Andrea Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee "
        "Mario Michael Mike Reed adam anika antonio aunty benjamin boris david ed edward edward2 "
        "grandma gustave ian iven2 iven3 iven4 john kaukovalta klatt4 klatt6 marcelo max michel "
        "miguel mike2 norbert pablo paul pedro quincy rob robert sandro shelby travis victor zac"
    ).split()
)
"""Variants that the tokenizer and (as other speakers) the language model hear as well."""

UNHEARD = {"steph": EspeakVoice("en-us+steph", 165), "belinda": EspeakVoice("en-us+belinda", 160)}
"""Never in any training; nor are their near relations steph2, steph3 and linda."""


def speakers() -> tuple[str, ...]:
    """All training speakers; the first eight are the base voices."""
    return (*BASE_VOICES, *VARIANTS)


def espeak_voice(speaker: str, rate: int) -> EspeakVoice:
    """The espeak-ng voice of a training speaker at a rate in words per minute."""
    if speaker in BASE_VOICES:
        variant, pitch = BASE_VOICES[speaker]
    else:
        variant, pitch = speaker, random.Random(f"pitch of {speaker}").randint(25, 80)
    return EspeakVoice(f"{LANGUAGE}+{variant}" if variant else LANGUAGE, rate, pitch)
