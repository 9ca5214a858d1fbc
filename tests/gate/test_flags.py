"""Screeners' flags: what they are about, and questions that give nothing away."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.gate import flags as gate_flags
from engine.types import REASON_CODES, Flag, FlagAnswer, FlagChoice, Score

TEXT = "A thin layer of frost covered the garden before anyone else was awake."


def score(
    *, passed: bool | None = False, reasons: dict[str, tuple[str, ...]] | None = None, by: str = "words"
) -> Score:
    return Score(
        clip_id="c", screener=by, version=2, value=1.0, unit="%", passed=passed, explanation="as run@000120 says",
        reasons=reasons or {},
    )  # fmt: skip


def flag(reason: str = "dropped word", words: tuple[str, ...] = (), by: str = "words") -> Flag:
    return Flag(clip_id="c", screener=by, version=2, reason=reason, words=words)


def test_a_flag_is_what_a_screener_fails_and_never_what_it_cannot_judge() -> None:
    """Passed clips and facts are no flags; a score without reasons serves its screener's only one."""
    serves = {"words": ("dropped word", "merged word"), "clipping": ("noise",)}
    told = {"dropped word": ("frost",), "inserted speech": ()}
    found = [score(passed=True), score(passed=None), score(reasons=told), score(by="clipping"), score()]
    assert gate_flags.flags(found, serves) == [
        flag("dropped word", ("frost",)), flag("inserted speech"), flag("noise", by="clipping"), flag(""),
    ]  # fmt: skip


def test_a_reason_is_asked_about_once_a_clip() -> None:
    """Two measures of one thing are one question, and what was answered is not asked again."""
    found = [flag("noise", by="clipping"), flag("noise", by="level"), flag()]
    assert gate_flags.unanswered(found, []) == [found[0], found[2]]
    said = FlagAnswer(session_id="s", trial_id="t", flag=found[1], choice=FlagChoice.UNSURE, answered_at=1.0)
    assert gate_flags.unanswered(found, [said]) == [found[2]]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (flag(words=("covered",)), "The ear missed the word “covered” in the middle. Was it missing?"),
        (flag(words=("awake",)), "The ear missed the word “awake” near the end. Was it missing?"),
        (flag(words=("A", "of")), "The ear missed the words “A” and “of”. Was any of them missing?"),
        (flag("merged word", ("thin",)), "The ear heard “thin” run together with a neighbour near the start. Did you?"),
        (flag("inserted speech"), "The ear heard something that is not in the text. Was there?"),
        (flag("", by="pitch"), "A measure finds this clip unusual, and cannot say how. Is something wrong with it?"),
    ],
)
def test_a_question_names_the_words_and_where_they_stand(asked: Flag, told: str) -> None:
    """A reviewer knows what to listen for, in words of the text that they have just heard."""
    assert gate_flags.question(asked, TEXT) == told


@given(
    st.sampled_from(["", *REASON_CODES]),
    st.lists(st.sampled_from(TEXT.strip(".").split()), max_size=5).map(tuple),
    st.sampled_from(["words", "rate", "similarity"]),
)
def test_a_question_is_made_of_the_reason_and_of_the_text_alone(reason: str, words: tuple[str, ...], by: str) -> None:
    """Two clips with the same fault get the same question, whichever candidate spoke them and whatever measured it."""
    one = Flag(clip_id="of run@000120 at 0.3", screener=by, version=1, reason=reason, words=words)
    other = Flag(clip_id="of the base", screener="another", version=7, reason=reason, words=words)
    told = gate_flags.question(one, TEXT)
    assert told == gate_flags.question(other, TEXT)
    assert "run@" not in told
