"""What a model's folder says of how it is drawn from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.backends import generation_config
from engine.types import BadInput, GenerationSettings

OTHERWISE = GenerationSettings(temperature=0.9, top_k=50, repetition_penalty=1.05)


def test_the_file_goes_before_and_says_the_rest_by_its_silence(tmp_path: Path) -> None:
    """Numbers of the file count; null, as transformers writes a default, and what is missing do not."""
    told = {"temperature": 0.96, "top_k": None, "do_sample": True, "eos_token_id": 3}
    (tmp_path / "generation_config.json").write_text(json.dumps(told))
    found = generation_config.usual(tmp_path, OTHERWISE)
    assert found == GenerationSettings(temperature=0.96, top_k=50, repetition_penalty=1.05)


def test_without_sampling_the_likeliest_is_taken(tmp_path: Path) -> None:
    """`do_sample` false is temperature 0 here."""
    (tmp_path / "generation_config.json").write_text('{"do_sample": false, "temperature": 0.7}')
    assert generation_config.usual(tmp_path, OTHERWISE).temperature == 0


def test_no_file_is_upstreams_default_and_a_torn_one_is_named(tmp_path: Path) -> None:
    """A folder without the file is usual; a damaged one is said by name."""
    assert generation_config.usual(tmp_path, OTHERWISE) == OTHERWISE
    for content in ("{", "[]"):
        (tmp_path / "generation_config.json").write_text(content)
        with pytest.raises(BadInput, match=r"generation_config\.json"):
            generation_config.usual(tmp_path, OTHERWISE)
