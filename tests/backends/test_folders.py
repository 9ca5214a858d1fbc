"""Weights that people bring: which folder counts, what is said without one, and what changes a base's identity."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from safetensors.numpy import save_file

from engine import backends, needs
from engine.backends import folders
from engine.types import BadInput, NotFound

VARIABLE = "EARMARK_TEST_VOICE"


@pytest.fixture(name="brought")
def _brought(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend whose weights people bring; its module tells which name and folder it was asked for."""
    module = ModuleType("brought_voice")
    known = backends.info("finch")
    module.info = lambda name, folder: dataclasses.replace(known, name=name, title=str(folder))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "brought_voice", module)
    monkeypatch.setitem(backends.INFO, "brought", "brought_voice")
    monkeypatch.setitem(backends.FOLDERS, "brought", VARIABLE)
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.mark.usefixtures("brought")
def test_without_a_folder_it_is_not_offered_and_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists leave it out instead of breaking; asking for it names the variable."""
    assert "brought" not in backends.names()
    assert "brought" not in needs.names()
    with pytest.raises(NotFound, match=VARIABLE):
        backends.info("brought")
    monkeypatch.setitem(backends.INFO, "voxcpm", "brought_voice")
    monkeypatch.setitem(backends.FOLDERS, "voxcpm", VARIABLE)
    assert not needs.of("voxcpm").trainable_here  # its data can be cleaned all the same


@pytest.mark.usefixtures("brought")
def test_the_runs_own_folder_goes_before_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A run that names its base weights is trained on these; the others use what the machine is set up with."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    monkeypatch.setenv(VARIABLE, str(one))
    assert backends.names()[-1] == "brought"  # what a form starts from is built in
    assert backends.info("brought").title == str(one)
    assert backends.info("brought", str(two)).title == str(two)
    with pytest.raises(NotFound, match="no such folder"):
        backends.info("brought", str(tmp_path / "three"))


def test_any_tensor_changes_the_identity(tmp_path: Path) -> None:
    """Other values in one tensor, a shorter file or a missing one: never the same base."""
    weights, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    config.write_text("{}")
    tensors = {f"layer{i}": np.full((300, 300), float(i), np.float32) for i in range(6)}
    save_file(tensors, weights)
    first = folders.sha256([config, weights])
    assert folders.sha256([config, weights]) == first
    tensors["layer4"] = tensors["layer4"] + 1e-3
    save_file(tensors, tmp_path / "other.safetensors")
    weights.unlink()
    (tmp_path / "other.safetensors").rename(weights)
    assert folders.sha256([config, weights]) != first
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(BadInput, match="cut short"):
        folders.sha256([config, weights])
    with pytest.raises(NotFound, match=r"gone\.safetensors is missing"):
        folders.sha256([tmp_path / "gone.safetensors"])
