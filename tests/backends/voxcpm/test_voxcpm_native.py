"""Upstream's own LoRA layout: what Earmark writes, upstream says alike; what upstream wrote, Earmark does; and what
does not belong together is named.
"""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine import importing
from engine.adapters import AdapterHost
from engine.backends.voxcpm import generation, native, speech_model
from engine.types import Adapter, BadInput, GenerationSettings, Refused, SpeakRow
from tests import voxcpm_factory
from tests.backends import invariants
from tests.voxcpm_factory import FIRST, SECOND

pytest.importorskip("voxcpm")
SETTINGS = GenerationSettings(max_factor=3.0)  # upstream's cap
TEXT, SEED = "no", 5


@pytest.fixture(scope="module", name="folders")
def _folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("voxcpm")
    return {name: voxcpm_factory.make(root / name, name) for name in (FIRST, SECOND)}


@pytest.fixture(scope="module", name="adapter")
def _adapter(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    """A trained adapter of all three parts, alpha four times its rank."""
    work = tmp_path_factory.mktemp("adapter")
    case = invariants.Case(
        make=lambda: load(folders[SECOND]),
        voice="default",
        texts=("a",),
        utterances=voxcpm_factory.make_utterances(work / "clips", count=1),
        folder=work,
        example_of=lambda *_: None,
        settings=GenerationSettings(max_factor=0.5),
    )
    return invariants.train(case, work / "a", seed=1).adapter


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "DIFFUSION_STEPS", 2)


def load(folder: Path, name: str = SECOND) -> speech_model.VoxcpmModel:
    with contextlib.redirect_stderr(io.StringIO()):
        return speech_model.load(name, folder, "cpu")


def upstream(folder: Path, told: dict[str, Any], name: str = SECOND) -> Any:
    """Upstream's inference class with slots for an adapter."""
    from voxcpm import VoxCPM
    from voxcpm.model import voxcpm, voxcpm2

    config = (voxcpm2 if name == SECOND else voxcpm).LoRAConfig(**told)
    with contextlib.redirect_stderr(io.StringIO()):
        return VoxCPM(str(folder), enable_denoiser=False, optimize=False, device="cpu", lora_config=config)


def says(model: Any) -> np.ndarray[Any, Any]:
    torch.manual_seed(SEED)
    with contextlib.redirect_stderr(io.StringIO()):
        said: np.ndarray[Any, Any] = model.generate(TEXT, inference_timesteps=2, retry_badcase=False)
    return said


def hosted(model: speech_model.VoxcpmModel, adapter: Adapter, scale: float) -> np.ndarray[Any, Any]:
    host = AdapterHost(model)
    host.add(adapter)
    told = {"voice": "default", "seed": SEED, "settings": SETTINGS}
    row = SpeakRow(text=TEXT, **told, adapter_sha256=adapter.sha256, lora_scale=scale)  # type: ignore[arg-type]
    spoken, plain = (one.samples for one in host.speak([row, replace(row, lora_scale=0.0)]))
    assert not np.array_equal(spoken, plain)
    return spoken


@pytest.mark.parametrize("scale", [1.0, 0.35])
def test_upstream_says_what_earmark_says(
    folders: dict[str, Path], adapter: Adapter, tmp_path: Path, scale: float
) -> None:
    """Every tensor finds its place in upstream's class, and the promoted strength is in the weights: a whole alpha
    could not hold it.
    """
    assert native.write(adapter, scale, tmp_path / "native")
    told = json.loads((tmp_path / "native" / native.CONFIG_FILE).read_text())["lora_config"]
    assert (told["r"], told["alpha"]) == (4, 16)
    model = upstream(folders[SECOND], told)
    loaded, skipped = model.load_lora(str(tmp_path / "native"))
    assert not skipped
    assert len(loaded) == sum(len(load_file(adapter.path / p / native.PEFT_WEIGHTS)) for p in adapter.parts)
    assert len(loaded) == len(model.tts_model.get_lora_state_dict())
    found, expected = says(model), hosted(load(folders[SECOND]), adapter, scale)
    assert len(found) == len(expected)
    assert np.max(np.abs(found - expected)) < 2e-3


def test_there_and_back_is_the_same_adapter(adapter: Adapter, tmp_path: Path) -> None:
    """Written at scale 1 and read again: every tensor bit for bit."""
    native.write(adapter, 1.0, tmp_path / "native")
    assert native.read(tmp_path / "native", tmp_path / "peft") == adapter.parts
    for part in adapter.parts:
        first, again = (load_file(root / part / native.PEFT_WEIGHTS) for root in (adapter.path, tmp_path / "peft"))
        assert first.keys() == again.keys()
        assert all(torch.equal(first[key], again[key]) for key in first)


@pytest.mark.parametrize("name", [FIRST, SECOND])
def test_what_upstream_trained_can_be_brought_in(folders: dict[str, Path], tmp_path: Path, name: str) -> None:
    """A folder of upstream's becomes a checkpoint that speaks as upstream does."""
    told = {"enable_lm": True, "enable_dit": True, "r": 3, "alpha": 12}
    model = upstream(folders[name], told, name)
    torch.manual_seed(2)
    for key, parameter in model.tts_model.named_parameters():
        if key.endswith("lora_B"):
            torch.nn.init.normal_(parameter, std=0.1)
    written = tmp_path / "step_0000500"
    written.mkdir()
    save_file(model.tts_model.get_lora_state_dict(), written / native.WEIGHTS_FILE)
    (written / native.CONFIG_FILE).write_text(json.dumps({"base_model": "/elsewhere", "lora_config": told}))
    ours = load(folders[name], name)
    made = importing.bring_in(written, model=ours, runs_root=tmp_path / "runs", name="theirs", now=1.0, voice="default")
    assert (made.adapter.rank, made.adapter.alpha, made.adapter.parts) == (3, 12.0, ("lm", "dit"))
    found, expected = hosted(ours, made.adapter, 1.0), says(model)
    assert len(found) == len(expected)
    assert np.max(np.abs(found - expected)) < 2e-3


def _broken(native_folder: Path, fault: str) -> None:
    config, weights = native_folder / native.CONFIG_FILE, native_folder / native.WEIGHTS_FILE
    told, tensors = json.loads(config.read_text()), load_file(weights)
    if fault == "another rank":
        told["lora_config"]["r"] = 8
        config.write_text(json.dumps(told))
    elif fault == "no config":
        config.unlink()
    elif fault == "a pickle":
        weights.rename(native_folder / native.PICKLE_FILE)
    elif fault == "damaged":
        weights.write_bytes(weights.read_bytes()[:50])
    elif fault == "another base":
        save_file({key.replace("layers.1.", "layers.7."): one for key, one in tensors.items()}, weights)
    elif fault == "half of a pair":
        save_file({k: one for k, one in tensors.items() if not k.endswith("layers.0.self_attn.q_proj.lora_B")}, weights)
    elif fault == "another model":
        save_file({f"talker.{key}": one for key, one in tensors.items() if "base_lm" in key}, weights)


FAULTS = {
    "another rank": (Refused, "is of rank 4 where lora_config.json says 8"),
    "no config": (BadInput, "nobody knows the strength"),
    "a pickle": (BadInput, "is a pickle and is not read"),
    "damaged": (BadInput, "damaged"),
    "another base": (Refused, "belongs to another model"),
    "half of a pair": (Refused, "has no tensor"),
    "another model": (Refused, "belongs to another model"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_belong_together_is_named(
    folders: dict[str, Path], adapter: Adapter, tmp_path: Path, fault: str
) -> None:
    """Upstream takes what fits by name and leaves the rest at random or at nothing; here nothing is brought in."""
    native.write(adapter, 1.0, tmp_path / "native")
    _broken(tmp_path / "native", fault)
    error, words = FAULTS[fault]
    with pytest.raises(error, match=words):
        importing.bring_in(
            tmp_path / "native",
            model=load(folders[SECOND]),
            runs_root=tmp_path / "runs",
            name="theirs",
            now=1.0,
            voice="default",
        )
    assert not list((tmp_path / "runs").glob("*"))


def test_what_upstreams_layout_cannot_hold_is_not_written(adapter: Adapter, tmp_path: Path) -> None:
    """Full weights, and adapted modules that upstream does not adapt: no file is better than a wrong one."""
    assert not native.write(replace(adapter, kind="full"), 1.0, tmp_path / "full")
    moved = tmp_path / "moved" / "proj"
    moved.mkdir(parents=True)
    tensors = load_file(adapter.path / "proj" / native.PEFT_WEIGHTS)
    renamed = {key.replace("enc_to_lm_proj", "feat_encoder.in_proj"): one for key, one in tensors.items()}
    save_file(renamed, moved / native.PEFT_WEIGHTS)
    (moved / native.PEFT_CONFIG).write_text((adapter.path / "proj" / native.PEFT_CONFIG).read_text())
    other = replace(adapter, path=tmp_path / "moved", parts=("proj",))
    assert not native.write(other, 1.0, tmp_path / "native")
    assert not (tmp_path / "native").exists()
