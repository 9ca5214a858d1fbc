"""The code of the IndexTTS2 backend, over a stand-in for upstream's classes: the tests of the voice's own environment
show that the real ones behave so.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from engine import backends, environments, importing, needs, presets
from engine.adapter_files import write_adapter
from engine.backends.indextts2 import checkout, emotions, exporting, info, loading, native, teaching
from engine.backends.indextts2.speech_model import IndexTts2Model
from engine.backends.indextts2.teaching import Example
from engine.backends.speech_model import SpeechModel
from engine.types import BadInput, GenerationSettings, NotFound, Reference, Refused, SpeakRow, Speech, Stop
from tests import indextts2_double, indextts2_factory
from tests.backends.invariants import Case, SpeechModelInvariants, train
from tests.indextts2_factory import NAME, TEXTS

SETTINGS = GenerationSettings(temperature=0.8, max_factor=0.15)


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return indextts2_double.make(tmp_path_factory.mktemp("index") / "base")


@pytest.fixture(scope="module", name="reference")
def _reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return indextts2_factory.reference(tmp_path_factory.mktemp("index"))


@pytest.fixture(name="model")
def _model(folder: Path) -> IndexTts2Model:
    return indextts2_double.load(folder)


@pytest.fixture(name="code")
def _code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like a checkout which is no git checkout."""
    (tmp_path / "code" / "indextts" / "gpt").mkdir(parents=True)
    (tmp_path / "code" / checkout.GPT_FILE).touch()
    monkeypatch.setenv(checkout.VARIABLE, str(tmp_path / "code"))
    return tmp_path / "code"


def row(reference: Reference | None, text: str = TEXTS[0], **changes: object) -> SpeakRow:
    made = SpeakRow(text=text, voice="default", seed=3, settings=SETTINGS, reference=reference)
    return replace(made, **changes)  # type: ignore[arg-type]


def spoken_example(model: IndexTts2Model, one: SpeakRow, _speech: Speech | None) -> Example:
    """The text with the codes that were said for it, after the conditioning that it was said with."""
    told = model._told(model._prompt(one).conditioning, one.voice)
    return Example("", tuple(model._text(one)), torch.tensor(model.draw([one])[0].codes), (told,))


class TestInvariants(SpeechModelInvariants):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, folder: Path, reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Case:
        work = tmp_path_factory.mktemp("case")
        return Case(
            make=lambda: indextts2_double.load(folder),
            voice="default",
            texts=TEXTS,
            utterances=indextts2_factory.make_utterances(work / "clips"),
            folder=work,
            example_of=spoken_example,
            settings=SETTINGS,
            reference=reference,
        )

    def test_teacher_forcing_predicts_what_was_generated(self, case: Case, model: SpeechModel) -> None:
        """Training and speaking agree about which code follows which, where a loss would also count the end that a
        capped row never said.
        """
        assert isinstance(model, IndexTts2Model)
        for one in case.rows():
            greedy = replace(one, settings=replace(case.settings, temperature=0.0))
            example = case.example_of(model, greedy, model.speak([greedy])[0])
            assert teaching.agreement(model._nets.voice, example) == 1.0


def test_the_training_step_teaches_what_is_spoken(model: IndexTts2Model) -> None:
    """Teacher forcing over greedily spoken codes gives them back, without a recording, in every emotion."""
    assert [model.agreement(text, voice) for text in TEXTS for voice in ("default", "default@happy")] == [1.0] * 8


def test_codes_at_other_positions_break_the_agreement(
    model: IndexTts2Model, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels one place too far, or the positions of upstream's forward pass in training: the check finds each."""
    example = spoken_example(model, row(reference, settings=replace(SETTINGS, temperature=0.0)), None)
    right = teaching.predict(model._nets.voice, [example], example.prompts)
    monkeypatch.setattr(teaching, "predict", lambda *_: replace(right, codes=right.codes.roll(-1, 0)))
    assert teaching.agreement(model._nets.voice, example) < 0.9
    monkeypatch.undo()
    codes = teaching.Layout.codes
    monkeypatch.setattr(teaching.Layout, "codes", lambda self, told, as_spoken: codes(self, told, as_spoken=False))
    assert teaching.agreement(model._nets.voice, example) < 0.95


# ------------------------------------------------------------------------------------------------------------- training
def test_a_clip_is_learned_after_other_clips_of_its_speaker(model: IndexTts2Model, tmp_path: Path) -> None:
    """Never after itself, never after a clip that is held out or another's; the same choice whenever it is made."""
    rows = indextts2_factory.make_utterances(tmp_path, count=6)
    rows = [replace(one, speaker="Ada", split="train") for one in rows]
    rows[4] = replace(rows[4], split="validation")
    rows[5] = replace(rows[5], speaker="Bo")
    rows.append(replace(rows[5], id="again"))  # the same recording
    with pytest.raises(BadInput, match="clip5 is the only clip of speaker 'Bo'"):
        model.features(rows, "default", tmp_path / "cache")
    made = model.features(rows[:5], "default", tmp_path / "cache")
    own = {one.id: model._cache.measured(one.audio_path, one.id, tmp_path / "cache")[1] for one in rows}
    for one, example in zip(rows, made, strict=False):
        told = {name for name, kept in own.items() for p in example.prompts if torch.equal(p.latents, kept["latents"])}
        assert told <= {"clip0", "clip1", "clip2", "clip3"} - {one.id}
        assert len(told) == len(example.prompts) >= 3
    again = model.features(rows[4::-1], "default", tmp_path / "cache")[::-1]
    for example, other in zip(made, again, strict=True):
        assert [p.latents.tolist() for p in example.prompts] == [p.latents.tolist() for p in other.prompts]
    named = replace(rows[5], reference_audio=rows[0].audio_path)
    found = model.features([named], "default", tmp_path / "cache")[0].prompts
    assert len(found) == 1
    assert torch.equal(found[0].latents, own["clip0"]["latents"])


def test_what_is_heard_is_computed_once(model: IndexTts2Model, tmp_path: Path) -> None:
    """Codes and conditioning of a clip come from the cache the second time, whatever its text is then."""
    rows = indextts2_factory.make_utterances(tmp_path)
    first = model.features(rows, "default", tmp_path / "cache")
    model._cache._measure = None  # type: ignore[assignment]
    second = model.features([replace(one, text="other words") for one in rows], "default", tmp_path / "cache")
    assert all(torch.equal(a.codes, b.codes) for a, b in zip(first, second, strict=True))
    with pytest.raises(BadInput, match="clip0 has no text"):
        model.features([replace(rows[0], text=" "), *rows[1:]], "default", tmp_path / "cache")
    with pytest.raises(BadInput, match="clip0 has 121 text tokens"):
        model.features([replace(rows[0], text="a" * 121), *rows[1:]], "default", tmp_path / "cache")


def test_losses_are_of_each_token_and_unscaled(model: IndexTts2Model, tmp_path: Path) -> None:
    """Text and codes in nats a token, both ends included, whatever shares a batch; the text's gradient counts less."""
    examples = model.features(indextts2_factory.make_utterances(tmp_path), "default", tmp_path / "cache")
    voice, heads = model._nets.voice, ("text_head", "mel_head")
    found = teaching.predict(voice, examples, [one.prompts[0] for one in examples])
    assert found.wanted_text.tolist().count(voice.stop_text_token) == len(examples)
    assert found.wanted_codes.tolist().count(voice.stop_mel_token) == len(examples)
    with torch.no_grad():
        alone = [model.loss([one], "default", ("gpt",), None) for one in examples]
        together = model.loss(examples, "default", ("gpt",), None)
    counts = {"codes": [len(e.codes) + 1 for e in examples], "text": [len(e.text) + 1 for e in examples]}
    assert [model.loss_tokens(one) for one in examples] == counts["codes"]
    for name in model.loss_names(("gpt",)):
        mean = sum(float(one[name]) * n for one, n in zip(alone, counts[name], strict=True)) / sum(counts[name])
        assert float(together[name]) == pytest.approx(mean, rel=1e-4)
    for name, share in zip(heads, (teaching.TEXT_SHARE, 1.0), strict=True):
        head = getattr(voice, name)
        head.requires_grad_(True)
        kind, logits = ("text", found.text) if name == "text_head" else ("codes", found.codes)
        model.loss(examples, "default", ("gpt",), None)[kind].backward()
        wanted = found.wanted_text if kind == "text" else found.wanted_codes
        hit = torch.nn.functional.one_hot(wanted, logits.shape[1])
        slope = (logits.softmax(1) - hit).mean(0)  # of a mean cross entropy, by the head's bias
        assert torch.allclose(head.bias.grad, share * slope, atol=1e-5)


def test_what_hears_is_not_trained(model: IndexTts2Model, tmp_path: Path) -> None:
    """With all weights free, the encoders of references and emotions, the flow and the vocoder get no gradient: the
    examples hold their answers, and the part leaves them out.
    """
    nets = model._nets
    for net in (nets.voice, nets.s2mel, nets.codec, nets.vocoder):
        net.requires_grad_(True)
    examples = model.features(indextts2_factory.make_utterances(tmp_path), "default", tmp_path / "cache")
    torch.stack(list(model.loss(examples, "default", ("gpt",), 1).values())).sum().backward()
    inside = {id(parameter) for parameter in model.part("gpt").parameters()}
    for net in (nets.voice, nets.s2mel, nets.codec, nets.vocoder):
        for name, parameter in net.named_parameters():
            assert (parameter.grad is not None) == (id(parameter) in inside), name
    outside = {name for name, _ in nets.voice.named_children()} - set(loading.TRAINED)
    assert outside == {"conditioning_encoder", "emo_conditioning_encoder"}


# ------------------------------------------------------------------------------------------------------------- speaking
def test_an_emotion_is_part_of_the_voice(model: IndexTts2Model, reference: Reference) -> None:
    """Upstream's biases, its cap of 0.8 and the closest speaker's vector; the name says all of it."""
    assert emotions.weights("default") == (0.0,) * 8
    assert emotions.weights("default@happy")[0] == 0.8
    assert emotions.weights("default@calm:0.5")[7] == 0.5 * 0.5625
    assert set(emotions.VOICES) >= {"default", "default@sad", "default@sad:0.5"}
    own, style = torch.zeros(2), torch.tensor([1.0, 0.0])
    tables: dict[str, Any] = {
        "emotions": [torch.tensor([[1.0, 0.0], [0.0, 1.0]])] * 8,
        "speakers": [torch.tensor([[0.0, 1.0], [2.0, 0.1]])] * 8,
    }
    assert emotions.vector(own + 1, style, "default@sad:0.5", **tables).tolist() == pytest.approx([0.5, 1.0])
    assert torch.equal(emotions.vector(own, style, "default", **tables), own)
    spoken = model.speak([row(reference, voice=voice) for voice in ("default", "default@happy", "default@happy:0.5")])
    assert len({speech.samples.tobytes() for speech in spoken}) == 3
    for voice in ("happy", "default@jolly", "default@happy:2", "default@happy:x"):
        with pytest.raises(NotFound, match="no voice"):
            model.speak([row(reference, voice=voice)])


def test_what_cannot_be_said_is_named(model: IndexTts2Model, reference: Reference) -> None:
    """No reference, no words, too many, an adapter without a host: a sentence before anything is computed."""
    with pytest.raises(BadInput, match="only after a reference"):
        model.speak([row(None)])
    with pytest.raises(BadInput, match="nothing to say"):
        model.speak([row(reference, "...")])
    with pytest.raises(BadInput, match="130 tokens"):
        model.speak([row(reference, "a" * 130)])
    with pytest.raises(Refused, match="AdapterHost"):
        model.speak([row(reference, adapter_sha256="1" * 64, lora_scale=1.0)])


def test_rows_end_and_are_cut_apart(model: IndexTts2Model, reference: Reference) -> None:
    """Each by its own end or its own cap; the clip is the take alone, 256 samples a frame, 1.72 frames a code."""
    rows = [row(reference, text, seed=seed) for seed in range(6) for text in ("a", TEXTS[0])]
    spoken = model.speak(rows)
    assert {speech.stop for speech in spoken} == {Stop.EOS, Stop.CAP}
    for one, speech in zip(rows, spoken, strict=True):
        most = int(np.ceil(len(one.text) * 13 * 0.15)) + 25
        assert (speech.stop is Stop.CAP) == (speech.tokens == most)
        assert len(speech.samples) == 256 * max(1, int(1.72 * max(1, speech.tokens)))
        assert speech.sample_rate == 22_050


def test_speaking_can_be_watched_and_given_up(model: IndexTts2Model, reference: Reference) -> None:
    """Every code tells how far it is; what the watcher raises ends the batch, and the next one is as it would be."""
    before = model.speak([row(reference)])[0]

    def give_up(done: int, _most: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    model.on_step = give_up
    with pytest.raises(KeyboardInterrupt):
        model.speak([row(reference)])
    model.on_step = None
    assert np.array_equal(model.speak([row(reference)])[0].samples, before.samples)


# --------------------------------------------------------------------------------------------------------------- export
def test_an_export_is_upstreams_gpt_with_the_strength_in_it(
    model: IndexTts2Model,
    folder: Path,
    code: Path,
    reference: Reference,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`gpt.pth` merged at a scale, each Conv1D's weight the right way round, says what the adapter says there."""
    from engine.adapters import AdapterHost

    monkeypatch.setenv("EARMARK_INDEXTTS2", str(folder))
    case = Case(
        make=lambda: indextts2_double.load(folder),
        voice="default",
        texts=TEXTS,
        utterances=indextts2_factory.make_utterances(tmp_path / "clips"),
        folder=tmp_path,
        example_of=spoken_example,
        settings=SETTINGS,
        reference=reference,
    )
    adapter = replace(train(case, tmp_path / "adapter", seed=1).adapter, voice="default@sad")
    assert exporting.write_native(adapter, 0.6, tmp_path / "native")
    host = AdapterHost(model)
    host.add(adapter)
    spoken = host.speak([row(reference, adapter_sha256=adapter.sha256, lora_scale=0.6)])[0]
    merged = indextts2_double.load(folder)
    merged._nets.voice.load_state_dict(torch.load(tmp_path / "native" / "gpt.pth", weights_only=True))
    assert np.allclose(merged.speak([row(reference)])[0].samples, spoken.samples, atol=1e-4)
    assert "default@sad" in (tmp_path / "native" / native.VOICE_FILE).read_text()
    assert not exporting.write_native(replace(adapter, base_sha256="0" * 64), 1.0, tmp_path / "other")


def test_full_weights_are_exported_at_a_scale(
    model: IndexTts2Model, folder: Path, code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full checkpoint at half its strength lies half way; at its whole strength it is the checkpoint's bytes."""
    from safetensors.torch import save_file

    own_folder = shutil.copytree(folder, tmp_path / "base")
    monkeypatch.setenv("EARMARK_INDEXTTS2", str(own_folder))
    torch.save({"model": model._nets.voice.state_dict()}, own_folder / "gpt.pth")
    (tmp_path / "whole" / "gpt").mkdir(parents=True)
    full = {name: tensor + 1 for name, tensor in model.part("gpt").named_parameters()}
    save_file(full, tmp_path / "whole" / "gpt" / native.FULL_FILE)
    sha256 = info.base_sha256(info.read(own_folder))
    told: dict[str, Any] = {"backend": NAME, "base_sha256": sha256, "voice": "default", "parts": ("gpt",)}
    adapter = write_adapter(tmp_path / "whole", **told, rank=0, alpha=0.0, voice_settings={}, kind="full")
    own = dict(model.part("gpt").named_parameters())
    for scale in (0.5, 1.0):
        assert exporting.write_full(adapter, scale, tmp_path / f"at{scale}")
        written = torch.load(tmp_path / f"at{scale}" / "gpt.pth", weights_only=True)
        assert written.keys() == model._nets.voice.state_dict().keys()
        assert all(torch.allclose(written[name], own[name] + scale, atol=1e-6) for name in own)


def test_a_community_checkpoint_comes_in_as_the_page_says(
    model: IndexTts2Model, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's own lines, run over a pickle of upstream's names with an optimizer beside them, make a folder that is
    brought in, weight for weight; the pickle itself is refused.
    """
    theirs = {name: tensor + 0.5 for name, tensor in model._nets.voice.state_dict().items()}
    monkeypatch.chdir(tmp_path)
    torch.save({"model": theirs, "optimizer": {"state": {}}, "step": 14000}, "model_step14000.pth")
    page = Path(__file__).parents[3] / "docs" / "models" / f"{NAME}.md"
    exec(page.read_text(encoding="utf-8").split("```python")[1].split("```")[0], {})
    told: dict[str, Any] = {"model": model, "runs_root": tmp_path / "runs", "name": "theirs", "now": 1.0}
    made = importing.bring_in(tmp_path / "tuned", voice="default", **told)
    stored = load_file(made.path / "gpt" / "full.safetensors")
    assert stored.keys() == dict(model.part("gpt").named_parameters()).keys()
    assert all(torch.equal(stored[name], theirs[name]) for name in stored)
    with pytest.raises(BadInput, match="is a pickle"):
        importing.bring_in(tmp_path / "model_step14000.pth", voice="default", **told)


# ------------------------------------------------------------------------------------------------- folder and checkout
def test_a_folder_is_known_without_its_classes(
    folder: Path, code: Path, monkeypatch: pytest.MonkeyPatch, model: IndexTts2Model
) -> None:
    """Lists and forms need no environment: voices with emotions, rates, sizes, licence."""
    monkeypatch.setenv("EARMARK_INDEXTTS2", str(folder))
    told = backends.info(NAME)
    assert (told.sample_rate, told.parts, told.reference) == (24_000, ("gpt",), "required")
    assert told.voices == model.capabilities.voices == emotions.VOICES
    assert (told.version, told.full_sft) == ("unknown-1", True)
    size = info.size(NAME, folder).parts[0]
    assert size.parameters == sum(p.numel() for p in model.part("gpt").parameters())
    assert sorted(size.tensors) == sorted(p.numel() for p in model.part("gpt").parameters())
    assert size.adapter_tensors(4, ("c_proj",)) == (4 * 64, 64 * 4, 4 * 256, 64 * 4) * 2


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"version": 2.5}, Refused, "of IndexTTS version 2.5, and 2.0 is known here"),
        ({"gpt": {"spk_cond_mode": "campplus"}}, Refused, "whose speaker comes from campplus"),
        ({"gpt": 3}, BadInput, "no entry `gpt`"),
        ({"dataset": {}}, BadInput, "lacks or misnames 'sample_rate'"),
    ],
)
def test_a_folder_that_is_another_models_is_named(
    tmp_path: Path, change: Mapping[str, Any], error: type[Exception], words: str
) -> None:
    """IndexTTS 2.5 and damaged configs are refused with a sentence, before anything is loaded."""
    folder = indextts2_double.make(tmp_path / "model")
    config = yaml.safe_load((folder / info.CONFIG_FILE).read_text())
    (folder / info.CONFIG_FILE).write_text(yaml.safe_dump(config | change))
    with pytest.raises(error, match=words):
        info.read(folder)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    """Upstream's own files and those of others that lie beside them."""
    folder = indextts2_double.make(tmp_path / "model")
    for file in ("gpt.pth", "bpe.model", info.CODEC_FILE, info.VOCODER_FILES[1], info.CONFIG_FILE):
        kept = (folder / file).read_bytes()
        (folder / file).unlink()
        with pytest.raises(NotFound, match=f"{Path(file).name} is missing"):
            info.read(folder)
        (folder / file).write_bytes(kept)


def test_a_checkout_is_asked_for_and_old_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: Path
) -> None:
    """Where to get it, what is no checkout, and a commit before the pinned one."""
    with pytest.raises(NotFound, match=f"git clone .*{checkout.PINNED[:12]}.* and set {checkout.VARIABLE}"):
        checkout.path({})
    with pytest.raises(NotFound, match="is no checkout of IndexTTS2"):
        checkout.path({checkout.VARIABLE: str(tmp_path)})
    assert checkout.path({checkout.VARIABLE: str(code)}) == code
    (code / ".git").mkdir()
    monkeypatch.setattr(checkout, "_git", lambda *_: type("Told", (), {"returncode": 1, "stdout": ""}))
    with pytest.raises(Refused, match="older than 90ca4d608209"):
        checkout.path({checkout.VARIABLE: str(code)})


def test_only_the_version_that_was_tried_is_loaded() -> None:
    """Upstream's copies of transformers' code fail with others, or worse: the refusal says what to install."""
    pinned = environments.requirements(NAME).packages()["transformers"].removeprefix("==")
    loading.versions_must_fit(pinned)
    with pytest.raises(Refused, match="voices install indextts2"):
        loading.versions_must_fit("5.23.0")


def test_a_model_that_was_loaded_wrong_is_refused(model: IndexTts2Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that loses its past is silent otherwise."""
    voice = model._nets.voice
    loading.must_be_sound(voice)
    forward = voice.gpt.forward
    forgetful = {"past_key_values": None, "attention_mask": None}
    monkeypatch.setattr(voice.gpt, "forward", lambda **given: forward(**given | forgetful))
    with pytest.raises(Refused, match="step by step and in one pass differ"):
        loading.must_be_sound(voice)


def test_limits_are_those_that_data_is_cleaned_for(folder: Path, code: Path) -> None:
    """A dataset that was cleaned before anybody named a model folder suits the model that is named then."""
    need = next(one for one in needs.ELSEWHERE if one.name == NAME)
    told = info.info(NAME, folder)
    assert (need.min_sec, need.max_sec, need.sample_rate) == (told.min_sec, told.max_sec, told.sample_rate)
    assert need.languages == told.languages


def test_the_page_says_what_is_so(repository: Path) -> None:
    """The model's page names the versions that are loaded, the commit, the licence, parts, limits and presets as they
    are, the settings of the environment, and what was not run.
    """
    page = (repository / "docs/models/indextts2.md").read_text(encoding="utf-8")
    pinned = environments.requirements(NAME).packages()
    for package in ("transformers", "torch"):
        assert f"{package} {pinned[package].removeprefix('==')}" in page
    assert "What has not been run" in page
    assert "bilibili Model Use License Agreement" in page
    for told in (
        checkout.PINNED[:7],
        checkout.VARIABLE,
        backends.FOLDERS[NAME],
        f"{info.MIN_SEC:g} to {info.MAX_SEC:g} s",
    ):
        assert told in page
    assert all(f"`{name}`" in page for name in (*info.PARTS, *info.PROJECTIONS, *loading.TRAINED))
    for preset in presets.of(NAME):
        assert f"| {preset.name} |" in page, preset.name
        assert preset.config.method == "full" or preset.config.target_modules == info.PROJECTIONS
