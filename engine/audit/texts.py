"""What a row's text alone says: nothing to speak, tags, boilerplate, wrong encoding, the same sentence over and over.

Knows text and what the backend can say of it. Knows no audio.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from engine.audit import boilerplate
from engine.audit.findings import error, warning
from engine.audit.row import RowFacts
from engine.audit.timing import characters
from engine.needs import Needs
from engine.types import Action, AuditFinding

_SOUNDS = (
    r"laugh\w*|chuckl\w*|giggl\w*|music|song|applause|clap\w*|cheer\w*|noise|inaudible|unintelligible|silence|pause|"
    r"cough\w*|sigh\w*|sniff\w*|gasp\w*|breath\w*|inhal\w*|exhal\w*|crying|sob\w*|scream\w*|whisper\w*|beep|crosstalk|"
    r"sneez\w*|yawn\w*|groan\w*|moan\w*|grunt\w*|humming|hums|singing|sings|whistl\w*|snor\w*|stutter\w*|mumbl\w*|"
    r"clears? (?:his |her )?throat|clearing throat|lip ?smack\w*|clicks?|static|chatter\w*|footsteps|knocking|ringing|"
    r"hesitation|filler|foreign|unknown|blank[ _]audio|background|sounds?|sfx|"
    r"lacht|lachen|musik|applaus|rire\w*|musique|applaudissements|risa\w*|música|aplausos|risas|musica|applausi|"
    r"смех|музыка|аплодисменты|笑|笑声|笑聲|音乐|音樂|掌声|音楽|拍手|웃음|음악|박수"
)
# What makes a remark of it, and what does not: "(audience laughing loudly)", and "(a song)".
_BEFORE = r"(?!(?:an?|the|of|in|on|his|her|my|our|their|with|and|or|no|for|to|by)\s)(?:[\w']+\s+){0,2}"
_AFTER = r"(?:\s+(?:playing|plays|continues|loudly|softly|quietly|fades|stops|ends|starts|in (?:the )?background))*"
TAG = re.compile(
    r"<[^<>\s][^<>]*>|\[[^\[\]]*\]|\{[^{}]*\}|【[^【】]*】|[♪♫♬]+|"  # brackets that no reader's text has
    rf"[(\uff08]\s*{_BEFORE}(?:{_SOUNDS}){_AFTER}\s*[)\uff09]|"  # (laughs), (soft music)
    rf"\*+\s*(?:[\w']+\s+)?(?:{_SOUNDS})\s*\*+",  # *sighs*
    re.I,
)
# What stands in square brackets and is no sound, no label and no time may be a word that an editor put in and that is
# read: "As she [Marina] told me", seven times in LJSpeech.
_LABEL = re.compile(
    rf"\[\s*(?:(?:[\w'-]+\s+){{0,2}}(?:{_SOUNDS}){_AFTER}|speaker\b.*|(?:fe)?male\b.*|[\d:.,\s]+)\s*\]",
    re.I,
)
_LOWER_CASE = re.compile("[a-z]")
MOJIBAKE_NAMED = 30  # characters of a text that an explanation shows
_REPLACED = re.compile("[\ufffd\u0080-\u009f]")


def without_tags(text: str) -> str:
    """The text with its annotation tags taken out and the gaps closed."""
    stripped = " ".join(TAG.sub(" ", text).split())
    return re.sub(r"\s+([,.;:!?…])", r"\1", stripped)


def check(facts: Sequence[RowFacts], needs: Needs) -> Iterator[AuditFinding]:
    """Every check of single texts; the first that makes the others pointless ends them."""
    for fact in facts:
        row, text = fact.utterance.id, fact.utterance.text
        if not characters(text):
            yield error("empty_text", row, "There is no text to speak.", "Write down what is heard, or drop the row.")
            continue
        yield from _encoding(row, text)
        yield from _boilerplate(row, text)
        tags = [tag for tag in TAG.findall(text) if tag not in needs.known_tags]
        if tags:
            yield _tags(row, text, tags)
            continue
        yield from _pronunciation(fact, needs)


def repeated(facts: Sequence[RowFacts]) -> Iterator[AuditFinding]:
    """The same words on several rows of a speaker; each row but the first is named."""
    first: dict[tuple[str, str], str] = {}
    rows: dict[tuple[str, str], list[str]] = {}
    for fact in facts:
        words = boilerplate.letters_only(fact.utterance.text)
        if words:
            rows.setdefault((fact.utterance.speaker, words), []).append(fact.utterance.id)
    for (speaker, words), ids in rows.items():
        first[speaker, words] = ids[0]
        for row in ids[1:]:
            said = f"Row {ids[0]} has the same text, {len(ids)} rows in all; repeated lines are learned by heart."
            yield warning("repeated_text", row, said, "Keep one of them unless every take is wanted.", other=ids[0])


def _tags(row: str, text: str, tags: Sequence[str]) -> AuditFinding:
    shown = ", ".join(repr(tag) for tag in dict.fromkeys(tags))
    said = f"The text holds {shown}, which would be learned as speech."
    if not any(_is_label(tag) for tag in tags):
        said = f"The text holds {shown}: a label that would be learned as speech, or words that an editor put in."
        return warning("tags", row, said, "Listen whether it is spoken; take the brackets out, or all of it.")
    if characters(without_tags(text)):
        return error("tags", row, said, "Take it out of the text, or write down what is heard.", Action.STRIP_TAGS)
    return error("tags", row, f"{said} There is nothing else to speak.", "Drop the row.")


def _is_label(tag: str) -> bool:
    """Whether a tag is beyond doubt none of the reader's words."""
    return not tag.startswith("[") or not _LOWER_CASE.search(tag) or _LABEL.fullmatch(tag) is not None


def _boilerplate(row: str, text: str) -> Iterator[AuditFinding]:
    sentence, certain = boilerplate.found(text)
    if not sentence:
        return
    said = f"{sentence!r} is what subtitles and transcribers add, and seldom what is said."
    mend = "Listen to it; write down what is heard, or drop the row."
    yield error("boilerplate", row, said, mend) if certain else warning("boilerplate", row, said, mend)


def _encoding(row: str, text: str) -> Iterator[AuditFinding]:
    meant = _mended(text)
    if meant:
        said = f"The text was read in a wrong encoding: {text[:MOJIBAKE_NAMED]!r} should be {meant[:MOJIBAKE_NAMED]!r}."
        mend = "Take the text as it was meant, and save the source as UTF-8."
        yield error("encoding", row, said, mend, Action.SET_TEXT, text=meant)
    elif _REPLACED.search(text):
        said = "The text holds characters that a wrong encoding leaves behind."
        yield error("encoding", row, said, "Save the source as UTF-8, or correct the text.", Action.NONE)


def _mended(text: str) -> str:
    """A text whose UTF-8 bytes were once read as Windows-1252 (`â€™` for `\u2019`), as it was meant; "" if it was not.

    Letters that happen to be valid UTF-8 when written in Windows-1252 do not occur in real words.
    """
    if text.isascii():
        return ""
    for wrong in ("cp1252", "latin-1"):
        try:
            return text.encode(wrong).decode("utf-8")
        except UnicodeError:
            continue
    return ""


def can_be_asked(text: str) -> bool:
    """Whether it makes sense to ask how a text is pronounced: it has letters, and nothing that is no speech."""
    return bool(characters(text)) and not TAG.search(text)


def _pronunciation(fact: RowFacts, needs: Needs) -> Iterator[AuditFinding]:
    why = fact.unpronounceable
    if why is None and needs.unpronounceable is not None:
        why = needs.unpronounceable(fact.utterance.text)
    if why:
        yield error("unpronounceable", fact.utterance.id, why, "Spell it out in letters that the voice can speak.")
