"""An adapter's folder: read as it was written, known by its content, and what is no adapter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.adapter_files import adapter_sha256, load_adapter
from engine.types import BadInput, NotFound
from tests.adapter_factory import TwoPartModel, make_adapter


@pytest.fixture
def model() -> TwoPartModel:
    return TwoPartModel()


def test_an_adapter_is_read_back_as_it_was_written(tmp_path: Path, model: TwoPartModel) -> None:
    """`adapter.json` holds every field, so a folder alone is enough to speak with."""
    written = make_adapter(tmp_path / "a", model, seed=1, rank=5, alpha=7.5)
    assert load_adapter(tmp_path / "a") == written


def test_the_hash_follows_the_content_and_not_the_folder(tmp_path: Path, model: TwoPartModel) -> None:
    """Two folders with the same weights are one adapter; another alpha or another weight is another one."""
    one = make_adapter(tmp_path / "a", model, seed=1)
    assert make_adapter(tmp_path / "b", model, seed=1).sha256 == one.sha256
    assert make_adapter(tmp_path / "c", model, seed=2).sha256 != one.sha256
    assert make_adapter(tmp_path / "d", model, seed=1, alpha=9.0).sha256 != one.sha256


def test_the_hash_does_not_depend_on_the_order_in_which_peft_lists_target_modules(
    tmp_path: Path, model: TwoPartModel
) -> None:
    """PEFT keeps targets in a set; its order on disk changes from process to process and means nothing."""
    adapter = make_adapter(tmp_path / "a", model, seed=1)
    file = adapter.path / "lm" / "adapter_config.json"
    config = json.loads(file.read_text())
    config["target_modules"] = config["target_modules"][::-1]
    file.write_text(json.dumps(config))
    assert adapter_sha256(adapter.path, adapter.parts) == adapter.sha256


def test_an_altered_weight_is_found_before_anything_is_loaded(tmp_path: Path, model: TwoPartModel) -> None:
    """A flipped bit in the weights makes `load_adapter` refuse the folder by name."""
    adapter = make_adapter(tmp_path / "a", model, seed=1)
    file = adapter.path / "decoder" / "adapter_model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(BadInput, match="altered"):
        load_adapter(adapter.path)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (None, NotFound, "no adapter"),
        ("{", BadInput, "JSON"),
        ("[]", BadInput, "JSON object"),
        ('{"format_version": 99}', BadInput, "format version 99"),
        ('{"format_version": 1}', BadInput, "not an adapter's description"),
    ],
)
def test_a_folder_without_a_good_description_is_no_adapter(
    tmp_path: Path, content: str | None, error: type[Exception], words: str
) -> None:
    """A missing, torn or foreign `adapter.json` is named with what to do."""
    if content is not None:
        (tmp_path / "adapter.json").write_text(content)
    with pytest.raises(error, match=words):
        load_adapter(tmp_path)
