"""The list of models: what each can do is what the loaded one can do, and what it lacks has its mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import backends
from engine.backends import FOLDERS, INFO
from engine.studio import Studio
from engine.workspace import Workspace
from tests import transformers_factory
from tests.backends.invariants import assert_told


def test_models_are_listed_with_what_they_can_do_or_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in one first, then those whose weights are named, then the others with the variable to set."""
    folder = transformers_factory.write_pocket_tts(tmp_path / "pocket-tts")
    monkeypatch.setenv(FOLDERS["pocket_tts"], str(folder))
    with Studio(Workspace(tmp_path / "home"), clock=lambda: 1.0, device="cpu") as studio:
        found = studio.models()
    assert {model.name for model in found} == set(INFO)
    first, second, *others = found
    assert (first.name, first.lacks, first.languages, first.mixes_rows) == ("finch", "", ("en",), True)
    assert (second.name, second.weights, second.reference) == ("pocket_tts", str(folder), "optional")
    assert all(model.variable in model.lacks for model in others)
    for model in (first, second):
        told = backends.info(model.name)
        assert_told(told, backends.load(model.name))
        assert (model.parts, model.voices, model.languages) == (told.parts, told.voices, told.languages)
        assert (model.full_sft, model.reference, model.mixes_rows) == (told.full_sft, told.reference, told.mixes_rows)
