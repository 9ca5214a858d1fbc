"""Tiny models of every version, made once, and the checkout that their classes come from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.backends.cosyvoice import speech_model
from tests import cosyvoice_factory
from tests.cosyvoice_factory import CODE, FIRST, SECOND, THIRD

# what a folder is called: of the first version's, one that can be told something
NAMES = {FIRST: "CosyVoice-300M-Instruct", SECOND: SECOND, THIRD: THIRD}


@pytest.fixture(scope="package", name="folders")
def _folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("cosyvoice")
    return {name: cosyvoice_factory.make(root / folder, name) for name, folder in NAMES.items()}


@pytest.fixture(autouse=True, scope="module")
def _checkout() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("EARMARK_COSYVOICE_CHECKOUT", str(CODE))
        yield


@pytest.fixture(name="model", params=[FIRST, SECOND, THIRD])
def _model(request: pytest.FixtureRequest, folders: dict[str, Path]) -> speech_model.CosyVoiceModel:
    return cosyvoice_factory.load(folders[request.param], request.param)


@pytest.fixture(name="first")
def _first(folders: dict[str, Path]) -> speech_model.CosyVoiceModel:
    return cosyvoice_factory.load(folders[FIRST], FIRST)


@pytest.fixture(name="third")
def _third(folders: dict[str, Path]) -> speech_model.CosyVoiceModel:
    return cosyvoice_factory.load(folders[THIRD], THIRD)
