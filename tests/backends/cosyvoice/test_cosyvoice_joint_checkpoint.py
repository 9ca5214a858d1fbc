"""What the joint recipe's own trainer saved is brought in as it was spoken there, and what is known of it is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import importing
from engine.adapters import AdapterHost
from engine.backends.cosyvoice import exporting, joint_checkpoint
from engine.runs.folder import RunFolder
from engine.types import BadInput, Refused
from tests.backends.invariants import assert_same
from tests.cosyvoice_factory import FIRST, TEXTS, load, row

RANKS = {"llm": 4, "flow": 6}
TARGETS = {
    "llm": ("linear_q", "linear_k", "linear_v", "linear_out", "w_1", "w_2"),
    "flow": ("to_q", "to_k", "to_v", "linear_q", "linear_k", "linear_v", "w_1", "w_2"),
}


def theirs(model: Any, path: Path) -> dict[str, dict[str, torch.Tensor]]:
    """A checkpoint as its trainer writes it; returns what each weight grows by, by part and name."""
    state, grown = {}, {"llm": {}, "flow": {}}
    draw = torch.Generator().manual_seed(5)
    for part, rank in RANKS.items():
        for name, module in getattr(model._nets, part).named_modules():
            if not (isinstance(module, torch.nn.Linear) and name.endswith(TARGETS[part])):
                continue
            a = torch.randn(rank, module.in_features, generator=draw) * module.in_features**-0.5
            b = torch.randn(module.out_features, rank, generator=draw) * 0.1
            key = f"model.{part}.{name}"
            state |= {f"{key}.original_layer.weight": module.weight, f"{key}.lora_A": a, f"{key}.lora_B": b}
            grown[part][f"{name}.weight"] = 2.0 * b @ a
    path.parent.mkdir(parents=True)
    torch.save({"state_dict": state, "hyper_parameters": {"training_mode": "joint"}, "epoch": 26}, path)
    return grown


def test_it_speaks_as_it_did_there(folders: dict[str, Path], tmp_path: Path) -> None:
    """Brought in, the voice is their merged weights with their turning back of the spectrogram, to the last row."""
    model = load(folders[FIRST], FIRST)
    grown = theirs(model, tmp_path / "theirs" / "joint_epoch=26.ckpt")
    checkpoint = importing.bring_in(
        tmp_path / "theirs", model=model, runs_root=tmp_path / "runs", name="theirs", now=1.0, voice="default"
    )
    one = checkpoint.adapter
    assert (one.parts, dict(one.voice_settings)) == (("llm", "flow"), {"mel_mean": -6.0, "mel_deviation": 2.0})
    events = RunFolder(tmp_path / "runs" / checkpoint.run_id).events.read_text()
    assert "stopped at a floor of 0.75 nats" in events
    host = AdapterHost(load(folders[FIRST], FIRST))
    host.add(one)
    rows = [row(text, seed=place) for place, text in enumerate(TEXTS)]
    tuned = {"adapter_sha256": one.sha256, "lora_scale": 1.0, "voice_settings": one.voice_settings}
    ours = host.speak([replace(each, **tuned) for each in rows])
    merged: Any = load(folders[FIRST], FIRST)
    with torch.no_grad():
        for part, weights in grown.items():
            parameters = dict(getattr(merged._nets, part).named_parameters())
            for name, growth in weights.items():
                parameters[name] += growth
    flow = merged._nets.flow
    flow.inference = turned_back(flow.inference)
    assert_same(ours, merged.speak(rows), 1e-3)
    assert not exporting.write_native(one, 1.0, tmp_path / "native")


def turned_back(inference: Any) -> Any:
    """As their script patches it."""

    def patched(
        token: Any, token_len: Any, prompt_token: Any, prompt_token_len: Any, prompt_feat: Any, prompt_feat_len: Any,
        embedding: Any, flow_cache: Any,
    ) -> Any:  # fmt: skip
        mel, cache = inference(
            token, token_len, prompt_token, prompt_token_len, prompt_feat, prompt_feat_len, embedding, flow_cache
        )
        return mel * 2.0 - 6.0, cache

    return patched


def test_what_is_not_of_that_trainer_is_refused(tmp_path: Path) -> None:
    """Names that are no Linear's, several files, or more than tensors: each with what to do."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    torch.save({"model.llm.a.lora_A": torch.zeros(2, 3), "model.gpt.a.lora_A": torch.zeros(2, 3)}, folder / "a.ckpt")
    assert joint_checkpoint.is_one(folder)
    with pytest.raises(Refused, match=r"model.gpt.a.lora_A .* another trainer"):
        joint_checkpoint.read(folder, tmp_path / "read")
    torch.save({"model.llm.a.lora_A": torch.zeros(2, 3), "model.llm.b.lora_A": torch.zeros(4, 3)}, folder / "a.ckpt")
    with pytest.raises(Refused, match=r"ranks \[2, 4\]"):
        joint_checkpoint.read(folder, tmp_path / "read")
    torch.save({"state_dict": {"a": torch.zeros(1)}, "from": Path("x")}, folder / "a.ckpt")
    with pytest.raises(BadInput, match="save its `state_dict` by itself"):
        joint_checkpoint.is_one(folder)
    torch.save({}, folder / "b.ckpt")
    assert not joint_checkpoint.is_one(folder)


def test_between_the_base_and_the_voice_numbers_are_in_proportion() -> None:
    """At scale 0 nothing is turned, at 1 all is, and back again is where it was."""
    told = {"mel_mean": -6.0, "mel_deviation": 2.0}
    assert joint_checkpoint.mel_range(told, 0.0) == joint_checkpoint.mel_range({}, 1.0) == joint_checkpoint.MelRange()
    assert joint_checkpoint.mel_range(told, 1.0) == joint_checkpoint.MelRange(-6.0, 2.0)
    half, numbers = joint_checkpoint.mel_range(told, 0.5), torch.tensor([-11.5, 0.0, 2.0])
    assert half == joint_checkpoint.MelRange(-3.0, 1.5)
    assert torch.allclose(half.back(half.into(numbers)), numbers)
