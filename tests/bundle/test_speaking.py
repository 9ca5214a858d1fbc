"""An exported voice speaks elsewhere what it spoke here, in every form, and an export that would not is not written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import peft
import pytest
import soundfile
import torch
from safetensors.torch import save_file

from engine import backends, harness, importing
from engine.adapter_files import load_adapter, write_adapter
from engine.adapters import AdapterHost
from engine.bundle import checking, record, speaking, variants, writing
from engine.bundle.record import Evidence, Variants
from engine.types import Adapter, BadInput, Bundle, Candidate, GenerationSettings, Outcome, Promotion, Refused, Speech
from tests.judgement_factory import make_promotion, make_verdict

SCALE = 0.6
CANDIDATE = Candidate(backend="finch", voice="robin", checkpoint_id="run@000100", lora_scale=SCALE)
SETTINGS = GenerationSettings()
LINE = "Good morning to you."


@pytest.fixture(scope="module", name="host")
def _host() -> AdapterHost:
    return AdapterHost(backends.load("finch"))


@pytest.fixture(scope="module", name="adapter")
def _adapter(host: AdapterHost, tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    """A small random step away from the base in both parts, written by PEFT."""
    folder = tmp_path_factory.mktemp("adapter")
    model = host.model
    for part in model.lora_parts():
        torch.manual_seed(1)
        config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=list(part.target_modules), init_lora_weights=False)
        wrapped = peft.get_peft_model(deepcopy(model.part(part.name)), config)
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                parameter.data *= 0.02
        wrapped.save_pretrained(str(folder / part.name))
    made = write_adapter(
        folder,
        backend="finch",
        base_sha256=model.base_sha256,
        voice=model.capabilities.voices[0],
        parts=("lm", "decoder"),
        rank=4,
        alpha=8.0,
        voice_settings={"clock": 1.2},
    )
    host.add(made)
    return made


@pytest.fixture(scope="module", name="promoted")
def _promoted(adapter: Adapter) -> Promotion:
    candidate = replace(CANDIDATE, voice=adapter.voice)
    return replace(
        make_promotion(candidate),
        adapter_sha256=adapter.sha256,
        base_sha256=adapter.base_sha256,
        settings=SETTINGS,
        harness_version=harness.HARNESS_VERSION,
    )


def say(host: AdapterHost, adapter: Adapter, promoted: Promotion, text: str, seed: int) -> Speech:
    return harness.speak(
        text, host=host, candidate=promoted.candidate, adapter=adapter, seed=seed, settings=promoted.settings
    )


def export(host: AdapterHost, adapter: Adapter, promoted: Promotion, target: Path, *, seed_shift: int = 0) -> Bundle:
    verdict = replace(make_verdict(promoted.candidate, Outcome.PASS), id=promoted.verdict_id)
    return writing.export(
        promoted,
        adapter=adapter,
        evidence=Evidence(verdicts=(verdict,)),
        target=target,
        now=1.0,
        wanted=Variants(baked=True, merged=True),
        speak=lambda text, seed: say(host, adapter, promoted, text, seed + seed_shift),
    )


@pytest.fixture(scope="module", name="bundle")
def _bundle(
    host: AdapterHost, adapter: Adapter, promoted: Promotion, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    return export(host, adapter, promoted, tmp_path_factory.mktemp("exports") / "robin")


def test_the_script_speaks_what_the_app_speaks(
    host: AdapterHost, adapter: Adapter, promoted: Promotion, bundle: Bundle, tmp_path: Path
) -> None:
    """In another folder, with none of this project on the path, the bundle's own script gives the app's samples."""
    moved = tmp_path / "moved"
    shutil.copytree(bundle.path, moved)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, "-I", str(moved / "speak.py"), LINE, str(tmp_path / "said.wav")]
    subprocess.run(command, check=True, cwd=tmp_path, env=clean | {"HF_HUB_OFFLINE": "1"}, timeout=300)
    found, rate = soundfile.read(tmp_path / "said.wav", dtype="float32")
    expected = say(host, adapter, promoted, LINE, 42)
    assert rate == expected.sample_rate
    assert len(found) == len(expected.samples)
    assert np.max(np.abs(found - expected.samples)) < writing.LARGEST_DIFFERENCE
    base = harness.speak(
        LINE, host=host, candidate=Candidate(backend="finch", voice=adapter.voice), adapter=None, seed=42
    )
    assert checking.difference(base, expected, 0.02)  # the adapter was in it


def test_the_script_needs_no_more_than_it_says(bundle: Bundle) -> None:
    """Nothing of Earmark but what lies in the bundle's own code folder, and no path of this machine."""
    text = (bundle.path / "speak.py").read_text()
    assert len(text.splitlines()) <= 16
    assert not [line for line in text.splitlines() if "engine" in line and "studio" in line]
    assert {name.split("/")[1] for name in bundle.files if name.startswith("code/")} == {"engine", "assets"}
    assert not [name for name in bundle.files if "studio" in name or "store" in name or "ear.safetensors" in name]


def test_every_form_says_the_same_and_is_checked_again(bundle: Bundle) -> None:
    """The adapter at its scale, the baked adapter at 1 and the merged weights: the same tokens through plain PEFT."""
    (note,) = checking.listen(bundle.path).notes
    assert "adapter, baked, merged" in note


def test_baking_changes_alpha_and_nothing_else(bundle: Bundle, adapter: Adapter) -> None:
    """The weights' bytes stay; alpha carries the scale."""
    for part in adapter.parts:
        name = f"{part}/adapter_model.safetensors"
        assert (bundle.path / "baked" / name).read_bytes() == (adapter.path / name).read_bytes()
        before = json.loads((adapter.path / part / "adapter_config.json").read_text())
        after = json.loads((bundle.path / "baked" / part / "adapter_config.json").read_text())
        assert after.pop("lora_alpha") == before.pop("lora_alpha") * SCALE
        assert after == before


def test_an_export_that_would_sound_different_is_not_written(
    host: AdapterHost, adapter: Adapter, promoted: Promotion, tmp_path: Path
) -> None:
    """When plain PEFT says something else than the app, there is no bundle, and nothing is left behind."""
    with pytest.raises(Refused, match="adapter form says"):
        export(host, adapter, promoted, tmp_path / "robin", seed_shift=1)
    assert list(tmp_path.iterdir()) == []


def test_another_base_is_refused(bundle: Bundle, promoted: Promotion, adapter: Adapter) -> None:
    """A voice on a base that it was not trained on would only sound like a bad checkpoint."""
    voice = record.voice(promoted, adapter) | {"base_sha256": "c" * 64}
    with pytest.raises(Refused, match="trained on base cccccccccccc"):
        speaking.speak(bundle.path, voice, LINE, seed=1)


@pytest.mark.parametrize("name", ["lm/adapter_model.safetensors", "merged/decoder/model.safetensors"])
def test_a_pickle_disguised_as_safetensors_is_refused(
    bundle: Bundle, promoted: Promotion, adapter: Adapter, tmp_path: Path, name: str
) -> None:
    """Bytes that are no safetensors are a sentence, and no code in them ever runs."""
    moved = tmp_path / "moved"
    shutil.copytree(bundle.path, moved)
    mark = tmp_path / "ran"
    (moved / name).write_bytes(b"cos\nsystem\n(S'touch " + str(mark).encode() + b"'\ntR.")
    with pytest.raises(BadInput, match="was altered"):
        checking.listen(moved)
    variant = "merged" if name.startswith("merged") else "adapter"
    with pytest.raises(BadInput, match="export it again"):
        speaking.speak(moved, record.voice(promoted, adapter), LINE, seed=1, variant=variant)
    assert not mark.exists()


def test_full_weights_have_no_alpha_to_bake(adapter: Adapter, tmp_path: Path) -> None:
    """Asking for it says what to do instead."""
    with pytest.raises(Refused, match="merged"):
        variants.bake(replace(adapter, kind="full"), 0.5, tmp_path)


def test_full_weights_are_exported_spoken_and_brought_in(
    host: AdapterHost, promoted: Promotion, tmp_path: Path
) -> None:
    """A fully tuned voice goes the same way: its file byte for byte, merged at its scale, spoken, and back again."""
    model = host.model
    folder = tmp_path / "full"
    for part in ("lm", "decoder"):
        (folder / part).mkdir(parents=True)
        torch.manual_seed(2)
        moved = {n: p + 0.02 * p.std() * torch.randn_like(p) for n, p in model.part(part).named_parameters()}
        save_file({n: t.detach().clone() for n, t in moved.items()}, str(folder / part / "full.safetensors"))
    made = write_adapter(
        folder,
        backend="finch",
        base_sha256=model.base_sha256,
        voice=promoted.candidate.voice,
        parts=("lm", "decoder"),
        rank=0,
        alpha=0.0,
        voice_settings={},
        kind="full",
    )
    host.add(made)
    there = replace(promoted, adapter_sha256=made.sha256)
    verdict = replace(make_verdict(there.candidate, Outcome.PASS), id=there.verdict_id)
    written = writing.export(
        there,
        adapter=made,
        evidence=Evidence(verdicts=(verdict,)),
        target=tmp_path / "out",
        now=1.0,
        wanted=Variants(merged=True),
        speak=lambda text, seed: say(host, made, there, text, seed),
    )
    assert "adapter, merged" in checking.listen(written.path).notes[0]
    back = importing.bring_in(written.path, model=model, runs_root=tmp_path / "runs", name="back", now=2.0)
    assert (back.adapter.sha256, back.adapter.kind) == (made.sha256, "full")


def test_the_bundle_is_an_adapter_too(bundle: Bundle, adapter: Adapter) -> None:
    """What was exported has the hash of what was trained: it can come back into any workspace."""
    assert load_adapter(bundle.path).sha256 == adapter.sha256
