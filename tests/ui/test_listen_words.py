"""The words of the reviewer's page: one table, two languages, none missing, and nothing in it names what is heard."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from engine.types import REASON_CODES, TrialKind
from ui import listen, theme

PLACE = re.compile(r"\{(\w+)\}")
USED = re.compile(r"words\.(?:html|say)\(\s*\"([\w. -]+)\"")
# Questions about flags come in English from the server; the table has them in the other languages.
FROM_THE_SERVER = "flag."


@pytest.fixture(name="table", scope="module")
def _table() -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = json.loads((theme.LOOK / "listen_words.json").read_text(encoding="utf-8"))
    return table


def test_both_languages_say_the_same_things(table: dict[str, dict[str, Any]]) -> None:
    """Every text is there in both, with the same places to fill in."""
    english, chinese = table["en"], table["zh"]
    assert {key for key in chinese if not key.startswith(FROM_THE_SERVER)} == set(english)
    for key, text in english.items():
        if key != "frame":
            assert sorted(PLACE.findall(text)) == sorted(PLACE.findall(chinese[key])), key
    assert english["frame"].keys() == chinese["frame"].keys()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_kind_and_every_reason_has_a_word(table: dict[str, dict[str, Any]], language: str) -> None:
    """What the engine may ask and offer can be said in each language."""
    words = table[language]
    for kind in TrialKind:
        assert words[f"{kind}.title"]
        assert words[f"kind.{kind}"]
    for code in REASON_CODES:
        assert words[f"reason.{code}"]


def test_the_scripts_use_words_that_are_there(table: dict[str, dict[str, Any]]) -> None:
    """No script asks for a text that the table lacks."""
    used = {key for path in theme.LOOK.glob("listen*.js") for key in USED.findall(path.read_text(encoding="utf-8"))}
    assert len(used) > 40
    assert sorted(used - table["en"].keys()) == []


def test_gradio_has_the_frame_in_every_language(table: dict[str, dict[str, Any]]) -> None:
    """The frame's words reach Gradio's own translations, under the names that browsers give the languages."""
    found = listen.words().translations_dict
    assert set(found) == {"en", "zh", "zh-CN", "zh-TW"}
    assert found["zh-CN"] == found["zh"] == table["zh"]["frame"]
    assert found["en"] == table["en"]["frame"]
