"""VoxCPM 1.5 and 2 keep every SpeechModel invariant on tiny random weights of the real classes, and say and learn what
upstream's own code does.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine import backends, needs, presets
from engine.backends.offers import NamesLosses
from engine.backends.speech_model import SpeechModel
from engine.backends.voxcpm import generation, info, sequences, speech_model
from engine.backends.voxcpm.sequences import Example
from engine.types import BadInput, GenerationSettings, NotFound, Reference, SpeakRow, Speech, Stop
from tests import voxcpm_factory
from tests.backends.invariants import Case, SpeechModelInvariants, assert_told
from tests.voxcpm_factory import FIRST, SECOND, TEXTS

pytest.importorskip("voxcpm")
SHORT = GenerationSettings(max_factor=0.5)
FEW_STEPS = 2  # of the diffusion: what is tested does not depend on it


@pytest.fixture(scope="module", name="folders")
def _folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("voxcpm")
    return {name: voxcpm_factory.make(root / name, name) for name in (FIRST, SECOND)}


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(generation, "DIFFUSION_STEPS", FEW_STEPS)
        patched.setattr(generation, "SPARE_PATCHES", 2)
        yield


@pytest.fixture(name="model", params=[FIRST, SECOND])
def _model(request: pytest.FixtureRequest, folders: dict[str, Path]) -> speech_model.VoxcpmModel:
    return load(folders, request.param)


@pytest.fixture(name="second")
def _second(folders: dict[str, Path]) -> speech_model.VoxcpmModel:
    return load(folders, SECOND)


def load(folders: dict[str, Path], name: str) -> speech_model.VoxcpmModel:
    with contextlib.redirect_stderr(io.StringIO()):
        return speech_model.load(name, folders[name], "cpu")


def row(text: str = TEXTS[0], **changes: object) -> SpeakRow:
    return replace(SpeakRow(text=text, voice="default", seed=3, settings=SHORT), **changes)  # type: ignore[arg-type]


def spoken_example(model: speech_model.VoxcpmModel, row: SpeakRow, _speech: Speech) -> Example:
    """The text with the patches that were said for it."""
    said = model.said(row.text, None, seed=row.seed, max_factor=row.settings.max_factor)
    return Example("0" * 64, tuple(model._net.text_tokenizer(row.text)), said.patches)


class Invariants(SpeechModelInvariants):
    kind = SECOND

    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Case:
        work = tmp_path_factory.mktemp("case")
        return Case(
            make=lambda: load(folders, cls.kind),
            voice="default",
            texts=TEXTS,
            utterances=voxcpm_factory.make_utterances(work / "clips"),
            folder=work,
            example_of=spoken_example,
            settings=SHORT,
        )

    def test_teacher_forcing_predicts_what_was_generated(self, case: Case, model: SpeechModel) -> None:
        """Training and speaking agree about which patch follows which: before each patch of its own speech the model
        thinks in training what it thought in speaking, also whether to stop.
        """
        assert isinstance(model, speech_model.VoxcpmModel)
        said: list[torch.Tensor] = []
        handle = model._net.stop_proj.register_forward_hook(lambda _m, inputs, _o: said.append(inputs[0].clone()))
        for one in case.rows()[:3]:
            said.clear()
            example = case.example_of(model, one, model.speak([one])[0])
            half = len(said) // 2  # it was said twice
            spoken = torch.cat(said[half:])
            said.clear()
            model.loss([example], case.voice, model.capabilities.parts, None)
            start = len(example.text) + 1
            taught = said[0][0, start : start + len(example.patches)]
            assert spoken.shape == taught.shape
            assert torch.allclose(spoken, taught, atol=1e-3, rtol=1e-3)
        handle.remove()


class TestFirst(Invariants):
    kind = FIRST


class TestSecond(Invariants):
    kind = SECOND


# ------------------------------------------------------------------------------------------------ upstream's own answer
def test_the_sequence_is_upstreams(model: speech_model.VoxcpmModel, tmp_path: Path) -> None:
    """Latents, marks, masks and labels are those of upstream's own packer, with a reference where there can be one."""
    rows = voxcpm_factory.make_utterances(tmp_path, count=2)
    if model.name == SECOND:
        rows[0] = replace(rows[0], reference_audio=rows[1].audio_path)
    examples = model.features(rows, "default", tmp_path / "cache")
    ours = sequences.collate(examples)
    packer, pad = _packer(model), torch.nn.utils.rnn.pad_sequence
    waves = [
        torch.from_numpy(speech_model.audio.read(r.audio_path, info.read(model.name, _home(model)).encode_rate)[0])
        for r in rows
    ]
    prompts = [waves[1] if r.reference_audio else torch.zeros(0) for r in rows]
    with torch.no_grad():
        theirs = packer(
            audio_tokens=pad(waves, batch_first=True, padding_value=-100.0),
            text_tokens=pad([torch.tensor(e.text, dtype=torch.int32) for e in examples], True, -100),
            task_ids=torch.ones(2, dtype=torch.long),
            dataset_ids=torch.zeros(2, dtype=torch.long),
            is_prompts=[False, False],
            ref_audio_tokens=pad(prompts, batch_first=True, padding_value=-100.0) if any(map(len, prompts)) else None,
        )
    for name in ("text_tokens", "text_mask", "audio_mask", "loss_mask", "labels"):
        assert torch.equal(ours[name], theirs[name]), name
    assert torch.allclose(ours["audio_feats"], theirs["audio_feats"], atol=1e-5)


def _home(model: speech_model.VoxcpmModel) -> Path:
    return model._folder.path


def _packer(model: speech_model.VoxcpmModel) -> Any:
    """Upstream's module without its package, which asks for a library of data sets."""
    source = Path(importlib.util.find_spec("voxcpm").submodule_search_locations[0]) / "training" / "packers.py"  # type: ignore[union-attr,index]
    spec = importlib.util.spec_from_file_location("voxcpm_packers", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net = model._net
    return module.AudioFeatureProcessingPacker(1, 10_000, net.patch_size, net.feat_dim, net.audio_vae)


@pytest.mark.parametrize("name", [FIRST, SECOND])
def test_a_row_is_what_upstreams_class_says_after_its_seed(folders: dict[str, Path], name: str) -> None:
    """Base weights and a seed: upstream's own `VoxCPM`, seeded alike, gives every sample the same."""
    from voxcpm import VoxCPM

    with contextlib.redirect_stderr(io.StringIO()):
        upstream = VoxCPM(str(folders[name]), enable_denoiser=False, optimize=False, device="cpu")
        torch.manual_seed(11)
        expected = upstream.generate(TEXTS[0], max_len=7, inference_timesteps=FEW_STEPS, retry_badcase=False)
    found = load(folders, name).speak([row(seed=11, settings=GenerationSettings(max_factor=0.5))])[0]
    short = min(len(expected), len(found.samples))
    assert short > 0
    assert np.array_equal(found.samples[:short], expected[:short])


# ------------------------------------------------------------------------------------------------------------- speaking
def test_a_reference_is_heard(model: speech_model.VoxcpmModel, tmp_path: Path) -> None:
    """With an audio prompt the same row says something else; version 1 goes on from it and wants its words."""
    clip = voxcpm_factory.make_utterances(tmp_path, count=1)[0].audio_path
    reference = Reference(audio_path=clip, text="hello", sha256="1")
    plain, prompted = model.speak([row(), row(reference=reference)])
    assert not np.array_equal(plain.samples, prompted.samples)
    assert np.array_equal(model.speak([row(reference=reference)])[0].samples, prompted.samples)
    wordless = row(reference=replace(reference, text="", sha256="2"))
    if model.name == FIRST:
        with pytest.raises(BadInput, match="has no transcript"):
            model.speak([wordless])
    else:
        assert np.array_equal(model.speak([wordless])[0].samples, prompted.samples)


def test_an_end_is_told_from_a_cut(model: speech_model.VoxcpmModel) -> None:
    """Speech that is cut off at its cap says so: never stopping is this model's commonest fault."""
    head = model._net.stop_head
    with torch.no_grad():
        for favoured, stop in ((0, Stop.CAP), (1, Stop.EOS)):
            answer = torch.tensor([1.0, 0.0]) if favoured == 0 else torch.tensor([0.0, 1.0])
            handle = head.register_forward_hook(lambda _m, _i, out, answer=answer: answer.expand_as(out))
            spoken = model.speak([row("a")])[0]
            assert spoken.stop is stop
            assert spoken.tokens == (4 if stop is Stop.EOS else 2 + 2)
            handle.remove()


def test_what_cannot_be_said_is_named(model: speech_model.VoxcpmModel) -> None:
    """Too long, empty, another voice: a sentence before anything is computed."""
    with pytest.raises(BadInput, match="too long to be said in one go"):
        model.speak([row("far too long " * 40)])
    with pytest.raises(BadInput, match="nothing to say"):
        model.speak([row("")])
    with pytest.raises(NotFound, match="its only one is default"):
        model.speak([row(voice="alto")])


# ------------------------------------------------------------------------------------------------------------- training
def test_validation_does_not_depend_on_what_shares_a_batch(second: speech_model.VoxcpmModel, tmp_path: Path) -> None:
    """The same noise and times for an example in any batch: checkpoints and runs compare on one axis."""
    examples = second.features(voxcpm_factory.make_utterances(tmp_path), "default", tmp_path / "cache")
    assert isinstance(second, NamesLosses)

    def loss(some: list[Example]) -> dict[str, float]:
        return {name: float(one) for name, one in second.loss(some, "default", ("lm",), None).items()}

    with torch.no_grad():
        together, alone = loss(examples), [loss([one]) for one in examples]
    counts = [second.loss_tokens(one) for one in examples]
    for name in second.loss_names(("lm",)):
        mean = sum(one[name] * count for one, count in zip(alone, counts, strict=True)) / sum(counts)
        assert together[name] == pytest.approx(mean, rel=1e-5)


def test_features_are_read_once_and_rows_that_do_not_fit_are_named(
    second: speech_model.VoxcpmModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The codec hears a clip once; an empty text and a clip that is too long stop a run before its first step."""
    rows = voxcpm_factory.make_utterances(tmp_path, count=1)
    first = second.features(rows, "default", tmp_path / "cache")[0]
    monkeypatch.setattr(second._net.audio_vae, "encode", None)
    again = second.features(rows, "default", tmp_path / "cache")[0]
    assert torch.equal(first.patches, again.patches)
    assert first.text == again.text
    with pytest.raises(BadInput, match=r"clip0 has no text"):
        second.features([replace(rows[0], text=" ")], "default", tmp_path / "cache")
    second._cache._max_length = first.positions - 1
    with pytest.raises(BadInput, match=r"Row clip0 takes \d+ positions.*the model has"):
        second.features(rows, "default", tmp_path / "cache")


# ---------------------------------------------------------------------------------------------------------- bad folders
def test_without_the_package_the_command_is_told(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is named and nothing is installed: preflight says what to run, not the trainer after minutes."""

    def version(_name: str) -> str:
        raise info.metadata.PackageNotFoundError

    monkeypatch.setattr(info.metadata, "version", version)
    with pytest.raises(NotFound, match="--no-deps -r engine/backends/voxcpm"):
        info.info(SECOND, folders[SECOND])


def test_rates_come_from_the_folder(folders: dict[str, Path]) -> None:
    """Version 2 hears 16 kHz and says 48, version 1.5 has 44.1 both ways: nobody types them."""
    told = {name: info.info(name, folder) for name, folder in folders.items()}
    assert (told[FIRST].sample_rate, told[SECOND].sample_rate) == (44_100, 16_000)
    assert (told[FIRST].title, told[SECOND].title) == ("VoxCPM 1.5", "VoxCPM 2")
    assert {name: load(folders, name).speak([row("a")])[0].sample_rate for name in folders} == {
        FIRST: 44_100,
        SECOND: 48_000,
    }


def test_defaults_are_those_of_the_package() -> None:
    """What a config does not say is what upstream's classes take for it."""
    from voxcpm.model import voxcpm, voxcpm2

    for name, module, codec in ((FIRST, voxcpm, voxcpm.AudioVAEConfig), (SECOND, voxcpm2, voxcpm2.AudioVAEConfigV2)):
        fields = module.VoxCPMConfig.model_fields
        assert fields["patch_size"].default == info.PATCH_SIZE[name]
        assert fields["max_length"].default == info.MAX_LENGTH[name]
        assert {key: getattr(codec(), key) for key in info.CODEC[name]} == {
            key: list(value) if isinstance(value, tuple) else value for key, value in info.CODEC[name].items()
        }
        assert tuple(module.LoRAConfig().target_proj_modules) == info.PROJECTIONS[name]


BROKEN = {
    "another architecture": ("config.json", {"architecture": "voxcpm3"}, BadInput, "voxcpm3"),
    "the other version": ("config.json", {"architecture": "voxcpm"}, BadInput, "choose voxcpm"),
    "no codec": ("audiovae.safetensors", None, NotFound, "no codec"),
    "no weights": ("model.safetensors", None, NotFound, r"model\.safetensors is missing"),
    "a pickle of weights": ("model.safetensors", "pytorch_model.bin", BadInput, "is a pickle"),
    "no tokenizer": ("tokenizer.json", None, NotFound, r"tokenizer\.json is missing"),
    "a damaged codec config": ("config.json", {"audio_vae_config": {"sample_rate": "fast"}}, BadInput, "damaged"),
    "weights of another config": (
        "config.json",
        {"residual_lm_num_layers": 2},
        BadInput,
        "lacks .* residual_lm.layers.1",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_folder_that_is_not_whole_is_named(folders: dict[str, Path], tmp_path: Path, fault: str) -> None:
    """Each fault of a model folder is a sentence with its mend, not a traceback of a library's, nor random weights."""
    file, change, error, words = BROKEN[fault]
    folder = shutil.copytree(folders[SECOND], tmp_path / "model")
    if change is None:
        (folder / file).unlink()
    elif isinstance(change, str):
        (folder / file).rename(folder / change)
    else:
        (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | change))
    with pytest.raises(error, match=words), contextlib.redirect_stderr(io.StringIO()):
        speech_model.load(SECOND, folder, "cpu")


def test_a_folder_as_upstream_ships_it(folders: dict[str, Path], tmp_path: Path) -> None:
    """With bfloat16 in its config and the codec as a pickle of weights it says the same, in single precision: its own
    class fails with such a config on a CPU.
    """
    folder = shutil.copytree(folders[SECOND], tmp_path / "model")
    told = json.loads((folder / "config.json").read_text()) | {"dtype": "bfloat16", "device": "cuda"}
    (folder / "config.json").write_text(json.dumps(told))
    codec = load_file(folder / "audiovae.safetensors")
    (folder / "audiovae.safetensors").unlink()
    torch.save({"state_dict": codec}, folder / "audiovae.pth")
    with contextlib.redirect_stderr(io.StringIO()):
        found = speech_model.load(SECOND, folder, "cpu")
    assert np.array_equal(found.speak([row()])[0].samples, load(folders, SECOND).speak([row()])[0].samples)
    torch.save({"state_dict": dict(list(codec.items())[1:])}, folder / "audiovae.pth")
    with pytest.raises(BadInput, match=r"audiovae\.pth lacks 1 weights"), contextlib.redirect_stderr(io.StringIO()):
        speech_model.load(SECOND, folder, "cpu")


def test_what_is_told_before_loading_is_so(model: speech_model.VoxcpmModel) -> None:
    """Lists and forms load nothing, and say what the loaded model says."""
    assert_told(info.info(model.name, _home(model)), model)


def test_sizes_are_those_of_the_loaded_model(model: speech_model.VoxcpmModel) -> None:
    """What a memory estimate counts in the header is what is there once loaded, part by part, adapters as well."""
    told = info.size(model.name, _home(model))
    for part, lora in zip(told.parts, model.lora_parts(), strict=True):
        module = model.part(part.name)
        assert part.parameters == sum(p.numel() for p in module.parameters())
        shapes = [
            (m.in_features, m.out_features)
            for name, m in module.named_modules()
            if isinstance(m, torch.nn.Linear) and name.rpartition(".")[2] in lora.target_modules
        ]
        assert sorted(shapes) == sorted(shape for name in part.targets for shape in part.linears[name])
    everything = sum(tensor.numel() for tensor in model._net.state_dict().values())
    assert told.parameters == everything
    seconds = 4.0
    assert told.feature_bytes_a_second * seconds == pytest.approx(
        seconds
        * info.read(model.name, _home(model)).patches_a_second
        * voxcpm_factory.PATCH
        * 4
        * voxcpm_factory.FEAT_DIM,
        rel=0.01,
    )


def test_limits_are_those_that_data_is_cleaned_for(folders: dict[str, Path]) -> None:
    """A dataset that was cleaned before anybody named a model folder suits the model that is named then."""
    for need in needs.ELSEWHERE:
        if need.name in folders:
            told = info.info(need.name, folders[need.name])
            assert (need.min_sec, need.max_sec) == (info.MIN_SEC, info.MAX_SEC)
            assert (told.title, told.sample_rate) == (need.title, need.sample_rate)
            assert told.min_sec < told.max_sec <= need.max_sec


def test_the_page_says_what_is_so(repository: Path) -> None:
    """The model's page names the package that is pinned, the variables, the parts, the rates and the presets as they
    are, and what was not run.
    """
    page = (repository / "docs/models/voxcpm.md").read_text(encoding="utf-8")
    pinned = (repository / "engine/backends/voxcpm/requirements.txt").read_text(encoding="utf-8")
    assert "voxcpm==2.0.3" in pinned
    assert info.INSTALL.removeprefix("pip") in page
    for said in (
        "voxcpm 2.0.3",
        *(backends.FOLDERS[name] for name in (FIRST, SECOND)),
        "What has not been run",
        *info.CODEC_FILES,
    ):
        assert said in page, said
    for part in info.PARTS:
        assert f"| `{part}` |" in page
    for name in (FIRST, SECOND):
        config = presets.default(name)
        assert f"rank {config.rank}, alpha {config.alpha:g}" in page
        assert f"{needs.of(name).sample_rate / 1000:g} kHz" in page
        for preset in presets.of(name):
            assert f"| {preset.name} |" in page or f"`{name}` {preset.name}" in page, preset.name
            assert set(preset.config.parts) <= set(info.PARTS)
