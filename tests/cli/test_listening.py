"""Listening tests from the command line: made, listed, invited to, exported, ended, in a real workspace."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from engine.cli.main import main
from engine.studio import Studio
from engine.types import Candidate, Choice, Tier
from engine.workspace import Workspace
from tests.test_studio import put_clip

VOICES = ("reed", "wren")


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Path:
    """A workspace in which two base voices have two lines."""
    with Studio(Workspace(tmp_path)) as studio:
        for voice in VOICES:
            for tier in (Tier.SHORT, Tier.MEDIUM):
                put_clip(studio, Candidate(backend="finch", voice=voice), tier)
    return tmp_path


def asked(home: Path, capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    assert main([*words, "--home", str(home), "--json"]) == code
    told = capsys.readouterr()
    return json.loads(told.out) if code == 0 else told.err


MAKE = ("test-make", "two voices", "--candidates", *(f"base:finch/{voice}" for voice in VOICES), "--by", "Ed")


def test_a_test_is_made_listened_to_exported_and_ended(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole way, with answers in between; what was ended takes no more of them."""
    words = (*MAKE, "--reviewers", "Ana", "Ben", "--catch-rate", "0", "--seed", "3")
    assert asked(home, capsys, *words, "--dry")["trials"] == 3
    assert asked(home, capsys, "tests") == []
    made = asked(home, capsys, *words)
    assert made["test"]["seed"] == 3
    session = made["sittings"][0]["id"]
    with Studio(Workspace(home)) as studio:
        view = studio.next_trial(session)
        assert view is not None
        studio.answer(view.trial_id, Choice.A)
    out = tmp_path / "answers.csv"
    asked(home, capsys, "test-export", made["test"]["id"], "--out", str(out), "--by", "Ed")
    rows = list(csv.DictReader(out.open()))
    assert len(rows) == 2 * 3 * 2  # two reviewers, three trials with training, two sides
    assert [row["choice"] for row in rows].count("a") == 2
    asked(home, capsys, "tests", "--end", made["test"]["id"], "--by", "Ed")
    with Studio(Workspace(home)) as studio:
        assert studio.next_trial(session) is None
        assert studio.waiting_sittings() == []


def test_an_invitation_is_made_listed_and_revoked(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The token is in the answer to the making alone."""
    new = asked(home, capsys, "invite", "Ana", "--by", "Ed")
    token = new["path"].removeprefix("/listen/?invite=")
    with Studio(Workspace(home)) as studio:
        assert studio.guest(token) == "Ana"
        assert studio.guest(token + "x") is None
    listed = asked(home, capsys, "invite")
    assert [(each["reviewer"], each["state"]) for each in listed] == [("Ana", "valid")]
    assert token not in json.dumps(listed)
    assert asked(home, capsys, "invite", "--revoke", new["id"], "--by", "Ed")[0]["state"] == "revoked"
    with Studio(Workspace(home)) as studio:
        assert studio.guest(token) is None


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((*MAKE, "--reviewers", "Ana", "Ana"), 2, "twice"),
        ((*MAKE, "--reviewers", "Ana", "--lines", "nowhere"), 2, "nowhere"),
        (("test-export", "nowhere"), 3, "nowhere"),
        (("invite", "Ana"), 2, "name"),
        (("invite", "--revoke", "nowhere", "--by", "Ed"), 3, "nowhere"),
    ],
)
def test_what_cannot_be_is_a_sentence_and_a_code(
    home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, told: str
) -> None:
    """Nothing is opened, invited or written."""
    assert told in asked(home, capsys, *words, code=code)
