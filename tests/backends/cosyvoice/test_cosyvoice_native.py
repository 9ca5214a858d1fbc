"""What CosyVoice's own tools load and write: merged weights out, others' LoRA in, both the same voice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.adapter_files import write_adapter
from engine.adapters import AdapterHost
from engine.backends.cosyvoice import info, native, speech_model
from engine.types import Adapter, GenerationSettings, Refused, SpeakRow
from tests.backends.invariants import assert_same
from tests.cosyvoice_factory import FIRST, SPEAKERS, TEXTS, THIRD, load


@pytest.fixture(name="base")
def _base(folders: dict[str, Path]) -> Path:
    return folders[THIRD]


def adapter(base: Path, folder: Path, name: str = THIRD, voice_settings: dict[str, float] | None = None) -> Adapter:
    """Adapters of both parts that are far from nothing."""
    model = load(base, name)
    for part in model.lora_parts():
        torch.manual_seed(1)
        config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=list(part.target_modules), init_lora_weights=False)
        peft.get_peft_model(model.part(part.name), config).save_pretrained(str(folder / part.name))
    return write_adapter(
        folder,
        backend=name,
        base_sha256=model.base_sha256,
        voice="default",
        parts=("llm", "flow"),
        rank=4,
        alpha=8.0,
        voice_settings=voice_settings or {},
    )


def rows(one: Adapter | None = None, scale: float = 0.0) -> list[SpeakRow]:
    settings = GenerationSettings(temperature=0.9, top_k=25, top_p=0.8, max_factor=0.4)
    return [
        SpeakRow(
            text=text,
            voice="default",
            seed=place,
            adapter_sha256=one.sha256 if one else None,
            lora_scale=scale,
            settings=settings,
        )
        for place, text in enumerate(TEXTS)
    ]


@pytest.mark.parametrize("name", [FIRST, THIRD])
def test_merged_weights_are_the_voice_at_its_scale(folders: dict[str, Path], tmp_path: Path, name: str) -> None:
    """Loaded as a model of its own, what is written says what the adapter says at that scale."""
    base = folders[name]
    one = adapter(base, tmp_path / "adapter", name)
    host = AdapterHost(load(base, name))
    host.add(one)
    told = host.speak(rows(one, 0.5))
    merged = merged_into(base, one, tmp_path)
    assert_same(load(merged, name).speak(rows()), told, 1e-3)
    assert json.loads((merged / "voice.json").read_text())["lora_scale"] == 0.5


def merged_into(base: Path, one: Adapter, folder: Path, scale: float = 0.5) -> Path:
    """A model's folder whose weights are the voice."""
    merged = folder / "merged"
    native.write(one, scale, merged, info.read(one.backend, base))
    for file in base.iterdir():
        if not (merged / file.name).exists():
            (merged / file.name).symlink_to(file)
    return merged


def test_a_voice_has_a_name_for_upstreams_own_program(folders: dict[str, Path], tmp_path: Path) -> None:
    """Without a reference upstream speaks by a name of `spk2info.pt`: the voice is among the base's there, and says
    the same as its adapter.
    """
    vector = torch.nn.functional.normalize(torch.randn(192, generator=torch.Generator().manual_seed(2)), dim=0)
    settings = dict(zip(speech_model.SPEAKER_NAMES, vector.tolist(), strict=True))
    one = adapter(folders[FIRST], tmp_path / "adapter", FIRST, settings)
    merged = load(merged_into(folders[FIRST], one, tmp_path), FIRST)
    assert merged.capabilities.voices == ("default", *SPEAKERS, native.NAME)
    host = AdapterHost(load(folders[FIRST], FIRST))
    host.add(one)
    told = host.speak([replace(each, voice_settings=settings) for each in rows(one, 0.5)])
    assert_same(merged.speak([replace(each, voice=native.NAME) for each in rows()]), told, 1e-3)


def test_an_adapter_of_the_inner_language_model_is_brought_in(base: Path, tmp_path: Path) -> None:
    """Trainers that wrap the language model alone write names without what is around it; the voice is the same."""
    one = adapter(base, tmp_path / "adapter")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    config = json.loads((one.path / "llm" / "adapter_config.json").read_text())
    (theirs / "adapter_config.json").write_text(json.dumps({**config, "task_type": "CAUSAL_LM"}))
    tensors = load_file(str(one.path / "llm" / "adapter_model.safetensors"))
    inner = {key.replace("base_model.model.llm.model.", "base_model.model."): value for key, value in tensors.items()}
    save_file(inner, theirs / "adapter_model.safetensors")
    assert native.is_native(theirs)
    assert not native.is_native(one.path / "llm")
    assert native.read(theirs, tmp_path / "read") == ("llm",)
    made = write_adapter(
        tmp_path / "read",
        backend=THIRD,
        base_sha256=one.base_sha256,
        voice="default",
        parts=("llm",),
        rank=4,
        alpha=8.0,
        voice_settings={},
    )
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "llm").symlink_to(one.path / "llm")
    alone = write_adapter(
        tmp_path / "alone",
        backend=THIRD,
        base_sha256=one.base_sha256,
        voice="default",
        parts=("llm",),
        rank=4,
        alpha=8.0,
        voice_settings={},
    )
    host = AdapterHost(load(base, THIRD))
    host.add(made)
    host.add(alone)
    assert_same(host.speak(rows(made, 1.0)), host.speak(rows(alone, 1.0)), 1e-6)


def test_an_adapter_of_another_rank_than_it_says_is_refused(base: Path, tmp_path: Path) -> None:
    """A file that fits by name alone would be a voice of another strength."""
    one = adapter(base, tmp_path / "adapter")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    config = json.loads((one.path / "llm" / "adapter_config.json").read_text())
    (theirs / "adapter_config.json").write_text(json.dumps({**config, "r": 8}))
    tensors = load_file(str(one.path / "llm" / "adapter_model.safetensors"))
    inner = {key.replace("base_model.model.llm.model.", "base_model.model."): value for key, value in tensors.items()}
    save_file(inner, theirs / "adapter_model.safetensors")
    with pytest.raises(Refused, match="not of rank 8"):
        native.read(theirs, tmp_path / "read")
