"""The text front end: phonemes, words, punctuation, and texts it refuses."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.backends.finch.phonemes import (
    EspeakVoice,
    Inventory,
    UnpronounceableText,
    pronounce,
    speak,
)


def spoken(text: str) -> dict[str, list[str]]:
    pronunciation = pronounce(text)
    found: dict[str, list[str]] = {}
    for phoneme in pronunciation.phonemes:
        if not phoneme.is_pause:
            found.setdefault(pronunciation.words[phoneme.word].text, []).append(phoneme.symbol)
    return found


def test_phonemes_belong_to_the_words_that_they_speak() -> None:
    found = spoken("The cat, however, paid $5.50.")
    assert found["cat,"] == ["k", "'a", "t"]
    assert list(found) == ["The", "cat,", "however,", "paid", "$5.50."]


def test_words_know_their_characters() -> None:
    text = 'He said: "well -- no".'
    pronunciation = pronounce(text)
    assert [text[w.start : w.end] for w in pronunciation.words] == [w.text for w in pronunciation.words]
    assert [w.text for w in pronunciation.words] == ["He", "said:", '"well', 'no".']


def test_words_that_are_read_as_one_keep_their_own_phonemes() -> None:
    found = spoken("It has been on the table for a while.")
    assert list(found) == ["It", "has", "been", "on", "the", "table", "for", "a", "while."]
    assert found["the"][0] == "D"
    assert found["been"][0] == "b"


def test_pauses_carry_the_punctuation_and_one_closes_every_text() -> None:
    pauses = [p.symbol for p in pronounce("Well, is it? Yes! It is. Go").phonemes if p.is_pause]
    assert pauses == ["_,", "_?", "_!", "_.", "_."]


def test_event_times_rise_and_end_before_the_audio_does() -> None:
    pronunciation, samples, rate_hz = speak("Rice is often served in round bowls.")
    starts = [phoneme.start_s for phoneme in pronunciation.phonemes]
    assert starts == sorted(starts)
    assert starts[-1] <= pronunciation.duration_s == len(samples) / rate_hz


@pytest.mark.parametrize("text", ["Привет мир", "你好", "great 😀", "x²"])
def test_other_scripts_and_emoji_are_refused_by_name(text: str) -> None:
    with pytest.raises(UnpronounceableText, match=r"cannot pronounce '.' \("):
        pronounce(text)


@pytest.mark.parametrize("text", ["", "   ", "... !"])
def test_nothing_to_say_is_refused(text: str) -> None:
    with pytest.raises(UnpronounceableText, match="nothing to say"):
        pronounce(text)


def test_an_unknown_voice_is_refused() -> None:
    with pytest.raises(ValueError, match="no voice 'nobody'"):
        speak("Hello.", EspeakVoice("nobody"))


def test_an_inventory_falls_back_to_the_unstressed_phoneme_and_refuses_strangers() -> None:
    inventory = Inventory(["a", "'oU", "_."])
    assert inventory.encode(["'a", "oU", "_."]) == [0, 1, 2]
    with pytest.raises(UnpronounceableText, match="'Q'"):
        inventory.encode(["Q"])


def test_threads_do_not_mix_up_their_texts() -> None:
    texts = [f"The number is {number}." for number in range(20)]
    alone = [pronounce(text).symbols for text in texts]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda text: pronounce(text).symbols, texts))
    assert together == alone
