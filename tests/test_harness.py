"""The harness: splitting, seeds and joining."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import harness
from engine.types import BadInput, Candidate, GenerationSettings, Stop
from tests.fake_host import SAMPLE_RATE, FakeHost, adapter

WORDS = st.sampled_from(
    "the Harbour quiet, lamp; 3.14 1,000 20 000 Mr. Hale J. Ward U.S. e.g. https://a.b/c,d?e=f! ok? no! “Yes.” "
    "well... etc. — (wait) No. 5 a.m. 7:45 half-way: don't x".split()
)
TEXTS = st.lists(WORDS, min_size=1, max_size=60).map(" ".join).filter(lambda t: any(c.isalnum() for c in t))


@given(TEXTS, st.integers(min_value=1, max_value=200))
def test_nothing_is_lost_or_added_by_splitting(text: str, max_chars: int) -> None:
    """Chunks joined by a space are the text with its whitespace collapsed, and each chunk has something to say."""
    chunks = harness.split(text, max_chars)
    assert " ".join(chunks) == " ".join(text.split())
    assert all(any(c.isalnum() for c in chunk) for chunk in chunks)


@given(TEXTS, st.integers(min_value=10, max_value=200))
def test_only_an_unbreakable_run_exceeds_the_limit(text: str, max_chars: int) -> None:
    """A chunk is longer than the limit only when it holds no place where a chunk may end."""
    for chunk in harness.split(text, max_chars):
        if len(chunk) > max_chars:
            assert harness.split(chunk, 1) == (chunk,) or _sounding_pieces(chunk) == 1


def test_a_free_dash_counts_for_the_limit() -> None:
    """Punctuation that stands alone goes with a word before the words are fitted, so no chunk grows past the limit."""
    assert max(map(len, harness.split("the the the the the the ok? —", 11))) <= 11
    assert harness.split("Yes. — No.", 6) == ("Yes. —", "No.")


def _sounding_pieces(chunk: str) -> int:
    return len(harness.split(chunk, 1))


@given(TEXTS, st.integers(min_value=1, max_value=200))
def test_numbers_stay_whole(text: str, max_chars: int) -> None:
    """No boundary lies between two digit groups, so 20 000 and 1, 2 are never read as two sentences."""
    chunks = harness.split(text, max_chars)
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
    pieces = harness.split(text, longest)
    assert " ".join(pieces) == text
    assert {p for p in pieces if p.endswith((".", "!", "?", "”"))} >= {e for e in expected if len(e) > longest // 2}


def test_a_long_sentence_is_divided_at_its_clauses() -> None:
    """Commas and semicolons are the second kind of boundary, spaces the last."""
    text = "We waited on the wall until the clock struck nine, then walked back; nobody spoke"
    assert harness.split(text, 60) == (
        "We waited on the wall until the clock struck nine,",
        "then walked back; nobody spoke",
    )
    assert len(harness.split("word " * 40, 60)) == 4


def test_short_sentences_share_a_chunk() -> None:
    """Very short chunks are spoken badly, so neighbours are packed while they fit."""
    assert harness.split("No. Not now. Why? Because.", 80) == ("No. Not now. Why? Because.",)


@pytest.mark.parametrize("text", ["", "   ", "...", "—!"])
def test_a_text_without_words_is_refused(text: str) -> None:
    """There must be something to say."""
    with pytest.raises(BadInput, match="nothing to say"):
        harness.split(text)


def test_each_chunk_has_a_fixed_seed_of_its_own() -> None:
    """The seed follows from the clip's seed and the place alone, so every candidate draws the same noise."""
    seeds = [harness.chunk_seed(seed, index) for seed in (0, 1, 42) for index in range(50)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert harness.chunk_seed(42, 0) == harness.chunk_seed(42, 0)


def test_rows_carry_all_that_their_audio_depends_on() -> None:
    """One row a chunk, each with voice, adapter, scale, settings and the adapter's voice settings."""
    settings = GenerationSettings(temperature=0.7)
    found = harness.rows(
        "One. Two.",
        voice="robin",
        seed=7,
        adapter_sha256="a",
        lora_scale=0.5,
        voice_settings={"clock": 2.0},
        settings=settings,
        max_chars=5,
    )
    assert [row.text for row in found] == ["One.", "Two."]
    assert {row.seed for row in found} == {harness.chunk_seed(7, 0), harness.chunk_seed(7, 1)}
    assert all(
        (row.voice, row.adapter_sha256, row.lora_scale, row.voice_settings, row.settings)
        == ("robin", "a", 0.5, {"clock": 2.0}, settings)
        for row in found
    )


def test_joining_keeps_every_chunk_and_a_fixed_pause() -> None:
    """The joined length is the chunks and the pauses between them; ends fade so that nothing clicks."""
    chunks = [np.ones(1000, np.float32), np.ones(500, np.float32), np.ones(3, np.float32)]
    joined = harness.join(chunks, 1000, pause_sec=0.1)
    assert len(joined) == 1503 + 200
    assert not joined[1000:1100].any()
    assert joined[0] == 0
    assert joined[999] == 0
    assert joined[500] == 1
    assert chunks[0][0] == 1, "the chunks themselves are left alone"
    assert len(harness.join([], 1000)) == 0


def test_a_text_ends_at_the_cap_when_any_chunk_does() -> None:
    """One runaway chunk makes the whole clip a runaway."""
    host = FakeHost()
    text = (
        "This one is fine and it is quite long, so that it fills a chunk on its own, with a little more to be sure. "
        * 2
    )
    candidate = Candidate(backend="fake", voice="robin", checkpoint_id="r@000001", lora_scale=0.5)
    fine = harness.speak(text, host=host, candidate=candidate, adapter=adapter(), seed=1)
    assert fine.stop is Stop.EOS
    assert len(host.batches) == 1
    assert len(host.batches[0]) == 2
    assert len(fine.samples) == sum(round(len(r.text) / 14 * SAMPLE_RATE) for r in host.batches[0]) + 0.2 * SAMPLE_RATE
    endless = harness.speak(text + "And then forever.", host=host, candidate=candidate, adapter=adapter(), seed=1)
    assert endless.stop is Stop.CAP
