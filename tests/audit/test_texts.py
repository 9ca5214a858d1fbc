"""Checks of texts alone: each fault is named, and what only looks like one is left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine import needs
from engine.audit import boilerplate, texts
from engine.types import Action, AuditFinding, Severity
from tests.audit.fact_factory import fact

SILENT = np.zeros(1600, np.float32)
NEEDS = replace(needs.of("finch"), unpronounceable=lambda text: "No kettles." if "kettle" in text else None)


def check(text: str, wanted: needs.Needs = NEEDS) -> list[AuditFinding]:
    return list(texts.check([fact("r", SILENT, text=text)], wanted))


def told(text: str) -> set[tuple[str, str]]:
    return {(f.check, str(f.severity)) for f in check(text)}


@pytest.mark.parametrize("text", ["", "   ", "...", "?!", "\u3000", "—"])
def test_empty_text(text: str) -> None:
    """A text without a letter or digit is an error, and nothing else is said of it."""
    assert told(text) == {("empty_text", "error")}


@pytest.mark.parametrize(
    "text",
    [
        "well [laughter] that is all of it",
        "Well <laugh> that is it",
        "<b>bold words</b> in this line",
        "so (laughs) that is it",
        "so (audience laughing loudly) that is it",
        "a {pause} b and on it goes",
        "la la ♪ la",
        "[SPEAKER_01] hello there",
        "[00:12] hello there",
        "*sighs* all right then",
        "他说 （笑） 好",  # (the brackets that Chinese and Japanese subtitles have)
    ],
)
def test_tags(text: str) -> None:
    """Markup in a text would be learned as speech; taking it out is proposed."""
    findings = check(text)
    assert [(f.check, f.severity, f.action) for f in findings] == [("tags", Severity.ERROR, Action.STRIP_TAGS)]
    assert not texts.TAG.search(texts.without_tags(text))


@pytest.mark.parametrize(
    "text",
    [
        "the hall (built in june) is tall",
        "a song (an old one) of pain",
        "2 < 3 and 4 > 1",
        "5 * 4 * 3",
        "(the music) he said",
    ],
)
def test_what_is_no_tag(text: str) -> None:
    """Remarks in parentheses and signs of arithmetic are ordinary text."""
    assert told(text) == set()


def test_an_editors_word_may_be_spoken() -> None:
    """A word in square brackets that names no sound may be read aloud, as in LJSpeech: somebody has to listen."""
    assert told("As she [Marina] told me about it") == {("tags", "warning")}


def test_a_text_of_tags_alone_cannot_be_stripped() -> None:
    """Where nothing is left to speak the row goes."""
    assert [f.action for f in check("[noise]")] == [Action.DROP]


def test_tags_that_a_model_knows_may_stay() -> None:
    """CosyVoice has tokens for breath and laughter; for another voice the same text is at fault."""
    text = "Well [breath] that is <strong>it</strong>."
    assert check(text, needs.of("cosyvoice3")) == []
    assert [f.check for f in check(text, needs.of("qwen3_tts"))] == ["tags"]


@pytest.mark.parametrize(
    "text",
    [
        "Thanks for watching!",
        "THANK YOU FOR WATCHING",
        "Please subscribe.",
        "It was late. Please subscribe to my channel!",
        "Subtitles by the Amara.org community",
        "Untertitel der Amara.org-Community",
        "Sous-titres réalisés par la communauté d'Amara.org",
        "¡Suscríbete al canal!",
        "Спасибо за просмотр!",
        "ご視聴ありがとうございました。",
        "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目",
        "시청해주셔서 감사합니다.",
        "اشتركوا في القناة",
    ],
)
def test_boilerplate(text: str) -> None:
    """What subtitles end with is an error, in whatever language and punctuation."""
    assert ("boilerplate", "error") in told(text)


@pytest.mark.parametrize(
    "text",
    [
        "Thank you for watching over my house.",
        "Thanks for listening, he said, and closed the door.",
        "She thanked him for watching the children.",
        "Thank you.",
        "They subscribe to another view.",
        "He asked us to please subscribe to the newspaper.",
    ],
)
def test_a_books_sentence_is_no_boilerplate(text: str) -> None:
    """Words that subtitles have, too, are no fault in a sentence of their own."""
    assert told(text) == set()


def test_a_polite_ending_of_a_longer_text_is_in_doubt() -> None:
    """A lecture may end with thanks: that is worth listening to, and no error."""
    assert told("And so the river found the sea. Thank you for listening.") == {("boilerplate", "warning")}
    assert told("Thank you for listening.") == {("boilerplate", "error")}


def test_every_phrase_is_found_as_it_stands() -> None:
    """A phrase in the list that its own comparison missed would be dead."""
    lines = [line for line in boilerplate.PHRASES.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert [line for line in lines if not line.startswith("#") and not boilerplate.found(line)[0]] == []


@pytest.mark.parametrize(
    ("text", "meant"), [("It didnâ€™t rain.", "It didn\u2019t rain."), ("Das cafÃ© ist zu", "Das café ist zu")]
)
def test_a_text_read_in_the_wrong_encoding(text: str, meant: str) -> None:
    """UTF-8 that was read as Windows-1252 is an error whose mend is known."""
    [finding] = check(text)
    assert (finding.check, finding.severity, finding.action, finding.text) == (
        "encoding",
        Severity.ERROR,
        Action.SET_TEXT,
        meant,
    )


def test_a_replacement_character_is_an_error_without_a_mend() -> None:
    """What a decoder could not read is gone."""
    assert [(f.check, f.action) for f in check("caf\ufffd noir")] == [("encoding", Action.NONE)]


@pytest.mark.parametrize("text", ["Ein schöner Tag, sagte Zoë.", "El niño comió piñas.", "Привет, мир", "naïve façade"])
def test_accents_are_no_wrong_encoding(text: str) -> None:
    """Real words of other languages are left alone."""
    assert told(text) == set()


def test_what_the_voice_cannot_pronounce() -> None:
    """The voice's own objection is shown, once, and asked only where there is a text."""
    assert told("a kettle of fish") == {("unpronounceable", "error")}
    assert told("[noise] a kettle") == {("tags", "error")}


def test_what_a_worker_has_asked_is_not_asked_again() -> None:
    """A row that was measured with its text's pronunciation brings the answer."""
    known = replace(fact("r", SILENT, text="a kettle of fish"), unpronounceable="")
    assert list(texts.check([known], NEEDS)) == []


def test_repeated_text_counts_within_a_speaker() -> None:
    """Each row but the first is named; two speakers who read the same lines are a parallel corpus, not a fault."""
    facts = [
        fact("a", SILENT, text="Hello, there.", speaker="ada"),
        fact("b", SILENT, text="hello there", speaker="ada"),
        fact("c", SILENT, text="Hello there!", speaker="bob"),
        fact("d", SILENT, text="Good bye.", speaker="ada"),
    ]
    findings = list(texts.repeated(facts))
    assert [(f.row, f.other, f.severity) for f in findings] == [("b", "a", Severity.WARNING)]
