"""Words in CTC posteriors: what is there, what was left out, what was run together and what was never asked for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
import torchaudio
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.screeners import alignment

CLASSES = 12
WORDS = [[1, 2, 3], [4, 5], [6, 7, 8, 9], [3, 2, 1], [10, 11]]
FRAMES_A_PHONEME = 4


def posteriors(spoken: Sequence[Sequence[int]], *, sure: float = 0.97, gap: int = 3) -> NDArray[np.float32]:
    """Log posteriors as a CTC net gives them: a spike a phoneme, blanks around it, more of them between words."""
    frames: list[int] = [0] * gap
    for word in spoken:
        for phoneme in word:
            frames += [phoneme] + [0] * (FRAMES_A_PHONEME - 1)
        frames += [0] * gap
    likely = np.full((len(frames), CLASSES), (1 - sure) / (CLASSES - 1))
    likely[np.arange(len(frames)), frames] = sure
    return np.log(likely).astype(np.float32)


def states(spoken: Sequence[Sequence[int]], asked: Sequence[Sequence[int]] = WORDS) -> list[str]:
    return [word.state for word in alignment.align(posteriors(spoken), asked)]


def test_a_faithful_reading_has_every_word_in_its_place() -> None:
    """All words are ok, in order, at the frames where they were spoken."""
    found = alignment.align(posteriors(WORDS), WORDS)
    assert [word.state for word in found] == ["ok"] * len(WORDS)
    expected = 3
    for word, phonemes in zip(found, WORDS, strict=True):
        assert abs(word.start - expected) <= 1
        expected += FRAMES_A_PHONEME * len(phonemes) + 3
        assert word.end <= expected
        assert word.log_posterior > -0.1


@given(st.sets(st.integers(min_value=0, max_value=len(WORDS) - 1), max_size=3))
def test_exactly_the_missing_words_are_missing(missing: set[int]) -> None:
    """Whichever words are left out, they and no neighbours are dropped; they have no place."""
    found = alignment.align(posteriors([w for n, w in enumerate(WORDS) if n not in missing]), WORDS)
    assert {word.word for word in found if word.state == "dropped"} == missing
    assert all(word.state == "ok" for word in found if word.word not in missing)
    assert all((word.start, word.end) == (-1, -1) for word in found if word.state == "dropped")


def test_a_word_spoken_twice_is_there_once_and_repeated_once() -> None:
    """The second time comes after the first, under the same word, in its own place."""
    found = alignment.align(posteriors([WORDS[0], WORDS[1], WORDS[1], *WORDS[2:]]), WORDS)
    assert [(word.word, word.state) for word in found] == [
        *((0, "ok"), (1, "ok"), (1, "repeated")),
        *((2, "ok"), (3, "ok"), (4, "ok")),
    ]
    assert found[1].end <= found[2].start


@given(st.integers(0, 3), st.integers(1, 3))
def test_a_phrase_spoken_twice_is_repeated_word_by_word(first: int, count: int) -> None:
    """Each word of the phrase is repeated, no other, and nothing is missing or added for it."""
    end = min(len(WORDS), first + count)
    found = alignment.align(posteriors([*WORDS[:end], *WORDS[first:end], *WORDS[end:]]), WORDS)
    assert [word.word for word in found if word.state == "repeated"] == list(range(first, end))
    assert [word.word for word in found if word.state == "ok"] == list(range(len(WORDS)))
    assert len(found) == len(WORDS) + end - first


def test_another_word_between_is_inserted_and_not_repeated() -> None:
    """What was added and is none of the words beside it is told with the phonemes that were heard."""
    found = alignment.align(posteriors([*WORDS[:2], [8, 1, 11], *WORDS[2:]]), WORDS)
    assert [word.state for word in found] == ["ok", "ok", "inserted", "ok", "ok", "ok"]
    assert found[2].heard == (8, 1, 11)


def test_the_faithful_path_is_the_forced_alignment() -> None:
    """Where every word is said once, its phonemes lie where torchaudio's forced alignment has them."""
    scores = posteriors(WORDS, sure=0.9)
    flat = torch.tensor([[phoneme for word in WORDS for phoneme in word]], dtype=torch.int32)
    path, likely = torchaudio.functional.forced_align(torch.from_numpy(scores)[None], flat, blank=0)
    spans = torchaudio.functional.merge_tokens(path[0], likely[0], blank=0)
    assert [spike for word in alignment.align(scores, WORDS) for spike in word.spikes] == [s.start for s in spans]


def test_talking_on_after_the_text_is_an_insertion_at_the_end() -> None:
    """A runaway that babbles is found after the last word."""
    babble = [[7, 2, 9, 4, 1, 8]]
    found = alignment.align(posteriors([*WORDS, *babble]), WORDS)
    assert [word.state for word in found] == ["ok"] * 5 + ["inserted"]
    assert found[-1].heard == tuple(babble[0])


def test_a_word_said_otherwise_is_wrong_and_not_missing() -> None:
    """When about as many other phonemes stand in its place, the word was mispronounced."""
    assert states([WORDS[0], [8, 9], WORDS[2], WORDS[3], WORDS[4]]) == ["ok", "wrong", "ok", "ok", "ok"]
    assert states([WORDS[0], WORDS[1], [6, 1, 11, 4], WORDS[3], WORDS[4]]) == ["ok", "ok", "wrong", "ok", "ok"]


def test_a_single_wrong_phoneme_does_not_spoil_a_word() -> None:
    """A word of three phonemes with one of them off is still that word."""
    assert states([[1, 2, 9], *WORDS[1:]]) == ["ok"] * 5


def test_a_word_without_room_was_run_together_with_its_neighbour() -> None:
    """A word of which a part is left in far too little time is merged."""
    squeezed = np.concatenate(
        [posteriors([WORDS[0]], gap=0), posteriors([[4]], gap=0)[:2], posteriors(WORDS[2:], gap=0)]
    )
    assert [word.state for word in alignment.align(squeezed, WORDS)][1] == "merged"


def test_silence_is_every_word_missing() -> None:
    """Nothing heard, nothing there; and no frames at all are no error."""
    assert states([]) == ["dropped"] * 5
    assert [w.state for w in alignment.align(np.zeros((0, CLASSES), np.float32), WORDS)] == ["dropped"] * 5
    assert alignment.align(posteriors(WORDS), []) == []


@given(st.integers(min_value=0, max_value=2**16), st.integers(min_value=1, max_value=60))
def test_any_noise_gives_every_word_once_and_in_order(seed: int, frames: int) -> None:
    """Whatever is heard, each word has one answer, times never overlap, and insertions lie between them."""
    scores = np.random.default_rng(seed).gumbel(size=(frames, CLASSES)).astype(np.float32) * 3
    scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
    found = alignment.align(scores, WORDS)
    asked = [word.word for word in found if word.word >= 0 and word.state != "repeated"]
    assert asked == list(range(len(WORDS)))
    placed = [(word.start, word.end) for word in found if word.start >= 0]
    assert all(0 <= start < end <= frames for start, end in placed)
    assert all(before[1] <= after[0] for before, after in pairwise(placed))


def test_half_a_minute_is_aligned_in_under_a_second() -> None:
    """1500 frames against 100 words: the alignment is not what makes screening slow."""
    asked = WORDS * 20
    scores = posteriors(asked)
    begun = time.process_time()
    found = alignment.align(scores, asked)
    assert time.process_time() - begun < 1.0
    assert {word.state for word in found} == {"ok"}
