"""The built-in ear hears what was cut out of, and put into, speech whose words lie at known times."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from numpy.typing import NDArray

from engine import screeners
from engine.backends.finch import phonemes
from engine.screeners import Ear
from engine.screeners.heard import compare
from engine.types import BadInput

TEXTS = (
    "The harbour was quiet when we arrived, and only one lamp was still burning.",
    "Two men were loading crates onto a small green boat near the bridge.",
    "Wash the rice until the water runs clear, and leave it for twenty minutes.",
    "Would you rather take the ferry tonight, or wait here for the early bus?",
)


@pytest.fixture(scope="module", name="ear")
def _ear() -> Ear:
    return screeners.ears("finch")[0]


def spoken(text: str) -> tuple[NDArray[np.float32], int, list[tuple[int, int]]]:
    """espeak-ng's reading of `text`, its rate, and the samples from and to which each word lies."""
    said, samples, rate = phonemes.speak(text)
    ends = [*(p.start_s for p in said.phonemes[1:]), said.duration_s]
    places = []
    for word in range(len(said.words)):
        own = [n for n, phoneme in enumerate(said.phonemes) if phoneme.word == word]
        places.append((round(said.phonemes[own[0]].start_s * rate), round(ends[own[-1]] * rate)))
    return (samples / 32768).astype(np.float32), rate, places


@pytest.mark.parametrize("text", TEXTS)
def test_whole_speech_has_every_word_where_it_is(ear: Ear, text: str) -> None:
    """Nothing is missing or added, starts are within 80 ms, and nearly every phoneme is recognised."""
    samples, rate, places = spoken(text)
    found = ear.align(samples, rate, text)
    assert [word.text for word in found] == text.split()
    assert not {"dropped", "merged", "inserted"} & {word.state for word in found}
    late = [abs(word.start_sec - start / rate) for word, (start, _) in zip(found, places, strict=True)]
    assert np.median(late) < 0.08
    assert compare(ear.expected(text), ear.recognise(samples, rate)).percent < 10


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("place", [2, 4, -3])
def test_a_word_that_was_cut_out_is_dropped_and_no_other(ear: Ear, text: str, place: int) -> None:
    """The missing word is named; its neighbours stay."""
    samples, rate, places = spoken(text)
    start, end = places[place]
    found = ear.align(np.concatenate([samples[:start], samples[end:]]), rate, text)
    lost = [word.text for word in found if word.state in ("dropped", "merged")]
    assert lost == [text.split()[place]]


@pytest.mark.parametrize("text", TEXTS)
def test_a_phrase_that_was_said_twice_is_repeated(ear: Ear, text: str) -> None:
    """Its words come again as repeated, nothing is inserted, and no word is missing for it."""
    samples, rate, places = spoken(text)
    start, end = places[3][0], places[5][1]
    found = ear.align(np.concatenate([samples[:end], samples[start:end], samples[end:]]), rate, text)
    assert [word.text for word in found if word.state == "repeated"] == text.split()[3:6]
    assert not {"dropped", "merged", "inserted"} & {word.state for word in found}


def test_two_words_that_were_squeezed_together_are_merged(ear: Ear) -> None:
    """In half of their time both are there, run together, and no word of the sentence is missing."""
    samples, rate, places = spoken(TEXTS[0])
    start, end = places[1][0], places[2][1]
    faster = librosa.effects.time_stretch(samples[start:end], rate=2.2, n_fft=512)
    found = ear.align(np.concatenate([samples[:start], faster, samples[end:]]), rate, TEXTS[0])
    assert {"harbour", "was"} <= {word.text for word in found if word.state == "merged"}
    assert "dropped" not in {word.state for word in found}


def test_a_text_that_the_ear_cannot_read_is_refused(ear: Ear) -> None:
    """Other scripts are named in a sentence."""
    with pytest.raises(BadInput, match="cannot"):
        ear.expected("добрый день")


def test_noise_is_no_speech(ear: Ear) -> None:
    """Hiss in which nobody speaks has no words: the error rate says that nothing can be followed."""
    hiss = np.random.default_rng(0).normal(0, 0.05, 48_000).astype(np.float32)
    assert compare(ear.expected(TEXTS[0]), ear.recognise(hiss, 16_000)).percent > 65
