"""Segmentation: where a text is divided, and what is never divided."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import segmentation
from engine.types import BadInput

WORDS = st.sampled_from(
    "the Harbour quiet, lamp; 3.14 1,000 20 000 Mr. Hale J. Ward U.S. e.g. https://a.b/c,d?e=f! ok? no! “Yes.” "
    "well... etc. — (wait) No. 5 a.m. 7:45 half-way: don't x March 3rd of 2,024 a.b@c.org 90 percent".split()
)
# A piece that may stand anywhere in a text without spaces; the second line must never be divided.
FREE = "今天 天气 很 好 。 ， ；「 」 ？”  “ 、 ー ゃ さくら カメラ … ：".split()
WHOLE = (
    "2024年3月15日 3.14 1,000 https://a.b/c,d?e=f a.b@c.org 12:30 GPT-4 三千二百元 第十二 10% 百分之五 丽·居".split()
)
TEXTS = st.lists(WORDS, min_size=1, max_size=60).map(" ".join).filter(lambda t: any(c.isalnum() for c in t))


@given(TEXTS, st.integers(min_value=1, max_value=200))
def test_nothing_is_lost_or_added_by_splitting(text: str, max_chars: int) -> None:
    """Chunks joined by a space are the text with its whitespace collapsed, and each chunk has something to say."""
    chunks = segmentation.split(text, max_chars)
    assert " ".join(chunks) == " ".join(text.split())
    assert all(any(c.isalnum() for c in chunk) for chunk in chunks)


@given(TEXTS, st.integers(min_value=10, max_value=200))
def test_only_an_unbreakable_run_exceeds_the_limit(text: str, max_chars: int) -> None:
    """A chunk is longer than the limit only when it holds no place where a chunk may end."""
    for chunk in segmentation.split(text, max_chars):
        if len(chunk) > max_chars:
            assert segmentation.split(chunk, 1) == (chunk,) or _sounding_pieces(chunk) == 1


@given(st.lists(st.sampled_from(FREE + WHOLE), min_size=1, max_size=40), st.integers(min_value=1, max_value=100))
def test_what_belongs_together_is_never_divided_where_there_are_no_spaces(parts: list[str], max_chars: int) -> None:
    """Chinese and Japanese lose no character, and no boundary lies in a number, a date, an address or a name."""
    text = "好" + "".join(parts)
    chunks = segmentation.split(text, max_chars)
    assert "".join(chunks) == text
    ends = list(itertools.accumulate(len(chunk) for chunk in chunks))[:-1]
    begin = 1
    for part in parts:
        if part in WHOLE:
            assert not [end for end in ends if begin < end < begin + len(part)]
        begin += len(part)


@given(st.lists(st.sampled_from(FREE + WHOLE), min_size=1, max_size=40), st.integers(min_value=20, max_value=100))
def test_no_chunk_begins_with_what_ends_one(parts: list[str], max_chars: int) -> None:
    """A closing mark, a small kana or a long vowel stays with what it follows."""
    for chunk in segmentation.split("好" + "".join(parts), max_chars)[1:]:
        assert chunk[0] not in "。，；、」？”ーゃ…：·"
    for chunk in segmentation.split("好" + "".join(parts) + "好", max_chars)[:-1]:
        assert chunk[-1] not in "「“·"


def test_a_free_dash_counts_for_the_limit() -> None:
    """Punctuation that stands alone goes with a word before the words are fitted, so no chunk grows past the limit."""
    assert max(map(len, segmentation.split("the the the the the the ok? —", 11))) <= 11
    assert segmentation.split("Yes. — No.", 6) == ("Yes. —", "No.")


def _sounding_pieces(chunk: str) -> int:
    return len(segmentation.split(chunk, 1))


@given(TEXTS, st.integers(min_value=1, max_value=200))
def test_numbers_stay_whole(text: str, max_chars: int) -> None:
    """No boundary lies between two digit groups, so 20 000 and 1, 2 are never read as two sentences."""
    chunks = segmentation.split(text, max_chars)
    for left, right in itertools.pairwise(chunks):
        assert not (left.rstrip(",.;:")[-1].isdigit() and right[0].isdigit())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One here. Two here.", ("One here.", "Two here.")),
        ("Mr. Hale paid 3.14 dollars. He left.", ("Mr. Hale paid 3.14 dollars.", "He left.")),
        ("J. R. Ward came at 5 p.m. Nobody saw.", ("J. R. Ward came at 5 p.m.", "Nobody saw.")),
        ("See https://a.b/c.d?e=f. Then go!", ("See https://a.b/c.d?e=f.", "Then go!")),
        ("“Is it?” she asked. “It is.” So be it.", ("“Is it?”", "she asked.", "“It is.”", "So be it.")),
        ("Bread, milk etc. were gone. All of it.", ("Bread, milk etc. were gone.", "All of it.")),
        ("No. 5 is here. See fig. 3 now.", ("No. 5 is here.", "See fig. 3 now.")),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, expected: tuple[str, ...]) -> None:
    """Abbreviations, initials, decimals and addresses are no ends of sentences; quotes stay with what they close."""
    longest = max(len(sentence) for sentence in expected)
    pieces = segmentation.split(text, longest)
    assert " ".join(pieces) == text
    assert {p for p in pieces if p.endswith((".", "!", "?", "”"))} >= {e for e in expected if len(e) > longest // 2}


def test_a_long_sentence_is_divided_at_its_clauses() -> None:
    """Commas and semicolons are the second kind of boundary, spaces the last."""
    text = "We waited on the wall until the clock struck nine, then walked back; nobody spoke"
    assert segmentation.split(text, 60) == (
        "We waited on the wall until the clock struck nine,",
        "then walked back; nobody spoke",
    )
    assert len(segmentation.split("word " * 40, 60)) == 4


def test_short_sentences_share_a_chunk() -> None:
    """Very short chunks are spoken badly, so neighbours are packed while they fit."""
    assert segmentation.split("No. Not now. Why? Because.", 80) == ("No. Not now. Why? Because.",)


@pytest.mark.parametrize("text", ["", "   ", "...", "—!"])
def test_a_text_without_words_is_refused(text: str) -> None:
    """There must be something to say."""
    with pytest.raises(BadInput, match="nothing to say"):
        segmentation.split(text)


@pytest.mark.parametrize(
    ("text", "max_chars", "expected"),
    [
        ("今天很好。你说呢？走吧！", 14, ("今天很好。", "你说呢？", "走吧！")),
        ("我们去公园，他们留在家里。", 20, ("我们去公园，", "他们留在家里。")),
        ("他说：“好啊！”然后就走了。", 20, ("他说：“好啊！”", "然后就走了。")),
        ("见面是2024年3月15日上午9点30分。", 24, ("见面是", "2024年3月15日", "上午9点30分。")),
        ("請看https://a.b/c?d=1，謝謝。", 8, ("請看", "https://a.b/c?d=1，", "謝謝。")),
        ("用Python写代码,很好玩.", 13, ("用Python写", "代码,", "很好玩.")),
        ("「行こう」と言った。そして出た。", 26, ("「行こう」と言った。", "そして出た。")),
        ("Meet on 3 March 2024 now", 12, ("Meet on", "3 March 2024", "now")),
        ("Meet on March 3, 2024 now", 12, ("Meet on", "March 3, 2024", "now")),
        ("It is 7:45 p.m. here", 9, ("It is", "7:45 p.m.", "here")),
        ("Write a.b@c.org, please", 11, ("Write", "a.b@c.org,", "please")),
        ("He has 3 million dollars", 9, ("He has", "3 million", "dollars")),
    ],
)
def test_scripts_and_things_that_are_read_as_one(text: str, max_chars: int, expected: tuple[str, ...]) -> None:
    """Full-width marks end sentences and clauses; dates, times, addresses and counted things are read whole."""
    assert segmentation.split(text, max_chars) == expected


def test_the_expected_length_knows_scripts_and_digits() -> None:
    """The same sentence is expected to take about as long in Chinese as in English, and numerals are read as words."""
    english = segmentation.expected_sec("The weather is fine today, so we are going to the park.")
    chinese = segmentation.expected_sec("今天天气很好，所以我们要去公园。")
    assert english == pytest.approx(chinese, rel=0.25)
    assert segmentation.expected_sec("1987") > 2 * segmentation.expected_sec("year")
