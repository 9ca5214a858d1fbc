"""Listening scripts: the shipped ones, the file format and the hash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine import scripts, segmentation
from engine.types import BadInput, NotFound, Refused, Tier

EXPECTED_SEC = {Tier.SHORT: (1.0, 7.5), Tier.MEDIUM: (12.0, 22.0), Tier.LONG: (30.0, 60.0)}


@pytest.mark.parametrize("name", scripts.names())
def test_shipped_scripts_fill_their_tiers(name: str) -> None:
    """At an ordinary pace every line has about the length that its tier promises, and every tier has a line."""
    script = scripts.load(name)
    assert {line.tier for line in script.lines} == set(Tier)
    for line in script.lines:
        low, high = EXPECTED_SEC[line.tier]
        assert low <= segmentation.expected_sec(line.text) <= high, line.id
        assert segmentation.split(line.text)


def test_the_default_script_asks_what_voices_stumble_over() -> None:
    """Numerals, a question, names and a very short line are there, and the default comes first in lists."""
    script = scripts.load(scripts.DEFAULT)
    texts = [line.text for line in script.lines]
    assert scripts.names()[0] == scripts.DEFAULT
    assert any(c.isdigit() for text in texts for c in text)
    assert any("?" in text for text in texts)
    assert any("Mr." in text for text in texts)
    assert min(len(text) for text in texts) < 30


def test_one_line_means_the_same_in_every_script() -> None:
    """Scripts that share a line id share its text, so that its clips are rendered once."""
    texts: dict[str, set[str]] = {}
    for name in scripts.names():
        for line in scripts.load(name).lines:
            texts.setdefault(line.id, set()).add(line.text)
    assert all(len(found) == 1 for found in texts.values())


def test_the_hash_is_of_what_is_spoken(tmp_path: Path) -> None:
    """Layout and remarks do not change the hash; a word does."""
    row = {"id": "a", "tier": "short", "text": "Good morning."}
    (tmp_path / "one.json").write_text(json.dumps({"language": "en", "lines": [row]}))
    (tmp_path / "two.json").write_text(json.dumps({"about": "x", "lines": [row], "language": "en"}, indent=4))
    (tmp_path / "three.json").write_text(json.dumps({"language": "en", "lines": [{**row, "text": "Good evening."}]}))
    one, two, three = (scripts.load(name, tmp_path).sha256 for name in ("one", "two", "three"))
    assert one == two != three


def test_an_unknown_script_is_named_with_the_known_ones(tmp_path: Path) -> None:
    """The error lists what there is, and a path is no name."""
    (tmp_path / "mine.json").write_text('{"lines": [{"id": "a", "tier": "short", "text": "Hello."}]}')
    with pytest.raises(NotFound, match="mine"):
        scripts.load("yours", tmp_path)
    with pytest.raises(NotFound):
        scripts.load("../mine", tmp_path / "sub")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "not valid JSON"),
        ("[]", '"lines"'),
        ('{"lines": []}', '"lines"'),
        ('{"lines": ["x"]}', "line 1"),
        ('{"lines": [{"id": "a", "tier": "short", "text": " "}]}', "no text"),
        ('{"lines": [{"id": "a", "tier": "epic", "text": "x"}]}', "epic"),
        ('{"lines": [{"id": "a", "tier": "short", "text": "x"}, {"id": "a", "tier": "long", "text": "y"}]}', "twice"),
    ],
)
def test_a_broken_script_says_where_it_is_broken(tmp_path: Path, content: str, named: str) -> None:
    """Every fault of the file is one sentence that names the file and the line."""
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(BadInput, match=named) as caught:
        scripts.load("bad", tmp_path)
    assert "bad.json" in str(caught.value)


EDITED = "a | short | Good morning.\n\nb | long | 你好，世界。"


def test_an_edited_script_is_another_one_by_its_hash(tmp_path: Path) -> None:
    """What people save is found under its name, and what it was before stays under its hash."""
    first = scripts.save(tmp_path, "mine", EDITED, language="zh")
    assert [(line.id, line.tier, line.text) for line in first.lines] == [
        ("a", Tier.SHORT, "Good morning."),
        ("b", Tier.LONG, "你好，世界。"),
    ]
    second = scripts.save(tmp_path, "mine", EDITED.replace("morning", "evening"), language="zh")
    assert second.sha256 != first.sha256
    assert scripts.load("mine", scripts.SCRIPTS, tmp_path) == second
    assert {each.sha256 for each in scripts.versions(tmp_path)} == {first.sha256, second.sha256}
    assert set(scripts.names(scripts.SCRIPTS, tmp_path)) == {*scripts.names(), "mine"}


@pytest.mark.parametrize("name", scripts.names())
def test_what_is_edited_is_what_is_saved(name: str, tmp_path: Path) -> None:
    """A shipped script that is opened in the editor and saved unchanged is the same script under another name."""
    shipped = scripts.load(name)
    saved = scripts.save(tmp_path, "copy", scripts.to_text(shipped), language=shipped.language)
    assert saved.sha256 == shipped.sha256


def test_a_shipped_script_is_never_changed(tmp_path: Path) -> None:
    """Its name is refused, as is a name that would be a path."""
    with pytest.raises(Refused, match="never changed"):
        scripts.save(tmp_path, scripts.DEFAULT, EDITED, language="en")
    for name in ("", "../mine", "My Script", "a" * 41):
        with pytest.raises(BadInput, match="cannot be a script's name"):
            scripts.save(tmp_path, name, EDITED, language="en")
    assert not list(tmp_path.iterdir())


def test_every_fault_of_an_edited_script_names_its_line(tmp_path: Path) -> None:
    """All faults are said at once, each with the number of its line, and nothing is saved."""
    text = "a | short | Hello.\nb | epic | Hello.\n\nc | long\na | short | Again.\nd | short | ..."
    found = scripts.faults(text)
    assert [fault.number for fault in found] == [2, 4, 5, 6]
    assert all(f"line {fault.number}" in fault.sentence for fault in found)
    assert scripts.faults("")[0].sentence.startswith("A script needs")
    assert scripts.faults(EDITED) == ()
    with pytest.raises(BadInput, match="'epic'"):
        scripts.save(tmp_path, "mine", text, language="en")
    assert not list(tmp_path.iterdir())
