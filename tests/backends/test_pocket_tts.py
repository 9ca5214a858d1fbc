"""Pocket TTS keeps every SpeechModel invariant on tiny random weights of transformers' own classes, and trains and
speaks as these do.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine import audio
from engine.adapters import AdapterHost
from engine.backends.speech_model import SpeechModel
from engine.backends.transformers_tts import info, speech_model
from engine.backends.transformers_tts.pocket_tts import Example, PocketTtsModel
from engine.types import BadInput, GenerationSettings, NotFound, Reference, Refused, SpeakRow, Speech, Stop
from tests import transformers_factory
from tests.backends.invariants import Case, SpeechModelInvariants
from tests.backends.transformers_case import case_of

TEXTS = transformers_factory.TEXTS
SETTINGS = GenerationSettings(temperature=0.8, max_factor=0.6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return transformers_factory.write_pocket_tts(tmp_path_factory.mktemp("pocket") / "model")


@pytest.fixture(scope="module")
def model(folder: Path) -> PocketTtsModel:
    return load(folder)


def load(folder: Path) -> PocketTtsModel:
    found = speech_model.load("pocket_tts", folder, "cpu")
    assert isinstance(found, PocketTtsModel)
    return found


def spoken_example(model: PocketTtsModel, row: SpeakRow, speech: Speech) -> Example:
    """The text with the latents that were drawn for it."""
    latents, _ = model.drawn([row])[0]
    assert len(latents) == speech.tokens
    asked = model._prompt(row).ids
    ids = torch.cat([asked, torch.full((len(latents),), model._net.config.audio_latent_token_id)])
    return Example("0" * 64, ids, latents, None)


class TestInvariants(SpeechModelInvariants):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
        return case_of(lambda: load(folder), tmp_path_factory.mktemp("case"), spoken_example, SETTINGS)

    def test_teacher_forcing_predicts_what_was_generated(self, case: Case, model: SpeechModel) -> None:
        """From the positions whose losses they are, the flow head draws exactly the frames that were spoken, and the
        end of speech is where it was heard; a shifted frame would be another one.
        """
        assert isinstance(model, PocketTtsModel)
        stops = []
        for row in case.rows():
            greedy = replace(row, settings=replace(case.settings, temperature=0.0, max_factor=1.0))
            example = spoken_example(model, greedy, model.speak([greedy])[0])
            drawn, logits = _teacher_forced(model, example)
            spoken = _normalised(model, example.latents)
            assert torch.allclose(drawn[:-1], spoken, atol=1e-4)
            assert not torch.allclose(drawn[1:], spoken, atol=1e-2)
            stops.append(model.drawn([greedy])[0][1])
            ends = (logits[:-1] > -4.0).nonzero()[:, 0]
            ends = ends[ends >= 2]  # the generation config ignores the first two
            assert bool(len(ends)) == (stops[-1] is Stop.EOS)
            if len(ends):
                assert len(example.latents) == int(ends[0]) + 1 + model._prompt(greedy).tail
        assert Stop.EOS in stops


def _normalised(model: PocketTtsModel, latents: torch.Tensor) -> torch.Tensor:
    net = model._net
    found: torch.Tensor = (latents - net.latent_mean) / net.latent_std
    return found


@torch.no_grad()
def _teacher_forced(model: PocketTtsModel, example: Example) -> tuple[torch.Tensor, torch.Tensor]:
    """What the flow head draws without noise, and the end's logits, at each speaking position of a training batch."""
    net, batch = model._net, model.collated([example])
    told = net(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        audio_latents=_normalised(model, batch["labels"]),
    )
    hidden = told.last_hidden_state[0, -len(example.latents) - 1 :]
    drawn = net.sample_latent(hidden, torch.zeros(len(hidden), net.config.latent_dim), 1)
    return drawn, told.logits[0, -len(example.latents) - 1 :, 0]


def row(text: str = TEXTS[0], **changes: Any) -> SpeakRow:
    return replace(SpeakRow(text=text, voice="default", seed=7, settings=SETTINGS), **changes)


# ----------------------------------------------------------------------------------------------------- as upstream does
def test_a_row_is_what_upstream_says_after_setting_its_seed(folder: Path, model: PocketTtsModel) -> None:
    """Seeds mean the same elsewhere: transformers' own `generate` draws the same latents, and decodes the same
    samples.
    """
    for text in TEXTS:
        asked = row(text, settings=replace(SETTINGS, max_factor=3.0))
        batch = model._processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "text", "text": text}]}],
            tokenize=True,
            return_dict=True,
            processor_kwargs={"return_tensors": "pt"},
        )
        net = type(model._net).from_pretrained(str(folder))
        torch.manual_seed(asked.seed)
        told = net.generate(**batch, do_sample=True, temperature=asked.settings.temperature)
        latents, stop = model.drawn([asked])[0]
        assert stop is Stop.EOS
        assert torch.equal(told.audio_latents[0], latents)
        samples = model._processor.decode(told.audio_latents, told.audio_latents_mask)[0]
        assert np.array_equal(samples.clamp(-1, 1).numpy(), model.speak([asked])[0].samples)


def test_the_losses_add_up_to_upstreams(model: PocketTtsModel, tmp_path: Path) -> None:
    """Flow and end are upstream's loss taken apart: nothing is lost or weighed anew."""
    examples = model.features(transformers_factory.make_utterances(tmp_path / "clips"), "default", tmp_path / "cache")
    found = model.loss(examples, "default", ("lm", "flow"), seed=3)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model._net.distill_generator.manual_seed(3)
        model._net.train()
        upstream = model._net(**model.collated(examples)).loss
        model._net.eval()
    assert float(sum(found.values())) == pytest.approx(float(upstream), rel=1e-6)
    assert tuple(found) == model.loss_names(("lm",)) == ("flow", "end")


def test_the_processors_own_batch_gives_the_same_sequences(model: PocketTtsModel, tmp_path: Path) -> None:
    """Cached features are what upstream's processor makes of a conversation with its audio."""
    utterance = transformers_factory.make_utterances(tmp_path / "clips")[2]
    example = model.features([utterance], "default", tmp_path / "cache")[0]
    samples, _ = audio.read(utterance.audio_path, 24_000)
    rendered = model._processor.apply_chat_template(
        [
            {"role": "user", "content": [{"type": "text", "text": utterance.text}]},
            {"role": "assistant", "content": [{"type": "audio", "audio": "target"}]},
        ]
    )
    batch = model._processor(text=[rendered], audio=[samples], sampling_rate=24_000, return_tensors="pt")
    assert torch.equal(batch["input_ids"][0], example.ids)
    assert torch.allclose(batch["labels"][0], example.latents)


# ---------------------------------------------------------------------------------------------------------------- traps
def test_training_moves_no_statistics(folder: Path, tmp_path: Path) -> None:
    """Upstream moves two buffers in the first training steps, which no adapter keeps; here they stay, and the loss of
    a step does not depend on how many were taken before it.
    """
    model = load(folder)
    before = (model._net.latent_mean.clone(), model._net.latent_std.clone())
    examples = model.features(transformers_factory.make_utterances(tmp_path / "clips"), "default", tmp_path / "cache")
    first = float(model.loss(examples, "default", ("lm",), seed=5)["flow"])
    for seed in range(4):
        model.loss(examples, "default", ("lm",), seed=seed)
    assert float(model.loss(examples, "default", ("lm",), seed=5)["flow"]) == first
    assert torch.equal(model._net.latent_mean, before[0])
    assert torch.equal(model._net.latent_std, before[1])
    untouched = type(model._net).from_pretrained(str(folder)).train()
    untouched(**model.collated(examples))
    assert not torch.equal(untouched.latent_mean, before[0])  # the trap is still there


def test_a_reference_and_a_voice_of_the_folder_are_heard(folder: Path, tmp_path: Path) -> None:
    """An audio prompt changes what is said, a named one as well as a row's own, also in a batch with rows that have
    none; training takes the same prompt.
    """
    own = shutil.copytree(folder, tmp_path / "model")
    clips = transformers_factory.make_utterances(tmp_path / "clips")
    (own / "voices").mkdir()
    shutil.copy(clips[0].audio_path, own / "voices" / "anna.wav")
    model = load(own)
    assert model.capabilities.voices == ("default", "anna")
    assert model.base_sha256 != load(folder).base_sha256
    reference = Reference(audio_path=clips[1].audio_path, text="", sha256="x")
    rows = [row(), row(voice="anna"), row(reference=reference), row(TEXTS[2])]
    together = model.speak(rows)
    for one, alone in zip(together, (model.speak([each])[0] for each in rows), strict=True):
        assert one.tokens == alone.tokens
        assert np.allclose(one.samples, alone.samples, atol=1e-4)
    for other in together[1:3]:
        assert len(other.samples) != len(together[0].samples) or not np.array_equal(other.samples, together[0].samples)
    plain, prompted = (model.features(clips[2:3], voice, tmp_path / "cache")[0] for voice in ("default", "anna"))
    assert len(prompted.ids) > len(plain.ids)
    assert prompted.prompt is not None
    with pytest.raises(NotFound, match="anna"):
        model.speak([row(voice="nobody")])


def test_features_are_read_back_and_follow_audio_text_and_prompt(
    model: PocketTtsModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was cached is not computed again; another text or clip is another entry."""
    clips = transformers_factory.make_utterances(tmp_path / "clips")[:2]
    first = model.features(clips, "default", tmp_path / "cache")
    with monkeypatch.context() as patched:
        patched.setattr(model, "_encode", None)
        again = model.features(clips, "default", tmp_path / "cache")
    assert all(
        torch.equal(a.latents, b.latents) and torch.equal(a.ids, b.ids) for a, b in zip(first, again, strict=True)
    )
    model.features([replace(clips[0], text="Other words.")], "default", tmp_path / "cache")
    model.features(clips[:1], "default", tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_bf16_products_train(folder: Path, tmp_path: Path) -> None:
    """The run's precision reaches the forward-mode derivative in the flow's loss, too."""
    model = load(folder)
    examples = model.features(transformers_factory.make_utterances(tmp_path / "clips"), "default", tmp_path / "cache")
    config = peft.LoraConfig(r=2, target_modules=["fc1", "fc2"], init_lora_weights=False)
    wrapped = peft.get_peft_model(model.part("flow"), config)  # type: ignore[arg-type]
    model._net.config.lsd_distill_probability = 1.0
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(examples, "default", ("flow",), seed=1)["flow"]
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in wrapped.parameters() if p.requires_grad)


# ------------------------------------------------------------------------------------------------------------ bad input
@pytest.fixture
def spoiled(folder: Path, tmp_path: Path) -> Path:
    """A copy of the folder to break."""
    return shutil.copytree(folder, tmp_path / "spoiled")


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_config_of_another_model_or_version_is_named(spoiled: Path) -> None:
    """Before anything is loaded or trained, with what to do."""
    edit(spoiled / "config.json", model_type="csm")
    with pytest.raises(BadInput, match="choose csm"):
        info.info("pocket_tts", spoiled)
    edit(spoiled / "config.json", model_type="parrot")
    with pytest.raises(BadInput, match="name the folder of a pocket_tts model"):
        info.info("pocket_tts", spoiled)
    edit(spoiled / "config.json", model_type="pocket_tts", flow_head_config={"flow_type": "drifting"})
    with pytest.raises(BadInput, match="drifting"):
        info.info("pocket_tts", spoiled)


def test_a_setting_of_a_newer_version_is_not_passed_over(spoiled: Path) -> None:
    """transformers leaves aside what it does not know; here it is named with both versions."""
    edit(spoiled / "config.json", transformers_version="99.0.0")
    load(spoiled)  # nothing in it is new
    edit(spoiled / "config.json", louder_than_before=True)
    with pytest.raises(BadInput, match=r"99\.0\.0.*louder_than_before"):
        load(spoiled)


@pytest.mark.parametrize(
    ("file", "error"),
    [
        ("config.json", r"config\.json is missing"),
        ("tokenizer.json", r"tokenizer\.json is missing"),
        ("processor_config.json", r"processor_config\.json is missing"),
        ("chat_template.jinja", r"chat_template\.jinja is missing"),
        ("model.safetensors", "no model.safetensors"),
        ("audio_tokenizer/model.safetensors", "download the codec again"),
        ("audio_tokenizer/config.json", r"Download somebody/pocket-tts-audio-tokenizer into .*audio_tokenizer"),
    ],
)
def test_a_missing_file_is_named_with_its_mend(spoiled: Path, file: str, error: str) -> None:
    """Processor, template and codec too: transformers would ask a hub for them, or go on without."""
    (spoiled / file).unlink()
    with pytest.raises(NotFound, match=error):
        info.info("pocket_tts", spoiled)


def test_rates_and_codecs_that_contradict_one_another_are_named(spoiled: Path) -> None:
    """A processor or a codec of another model makes noise, never an error, in upstream."""
    told = json.loads((spoiled / "processor_config.json").read_text())
    edit(spoiled / "processor_config.json", feature_extractor=told["feature_extractor"] | {"sampling_rate": 16_000})
    with pytest.raises(BadInput, match="16000 Hz and its codec at 24000 Hz"):
        info.info("pocket_tts", spoiled)
    edit(spoiled / "processor_config.json", **told)
    edit(spoiled / "audio_tokenizer" / "config.json", latent_dim=8)
    with pytest.raises(BadInput, match="latents of 16 numbers"):
        info.info("pocket_tts", spoiled)
    edit(spoiled / "audio_tokenizer" / "config.json", latent_dim=16, latent_stride=8)
    with pytest.raises(BadInput, match="frames a second"):
        info.info("pocket_tts", spoiled)


def test_every_expected_tensor_is_loaded_and_no_other(spoiled: Path) -> None:
    """One that is missing would stay random; what only training needs may be missing."""
    state = load_file(str(spoiled / "model.safetensors"))
    assert not any(name.startswith("loss_weighting") for name in state)
    lost = {name: tensor for name, tensor in state.items() if not name.endswith("layers.1.mlp.fc1.weight")}
    save_file(lost, str(spoiled / "model.safetensors"), metadata={"format": "pt"})
    with pytest.raises(BadInput, match=r"lacks 1 tensors.*layers\.1\.mlp\.fc1"):
        load(spoiled)
    save_file(state | {"extra": torch.zeros(2)}, str(spoiled / "model.safetensors"), metadata={"format": "pt"})
    with pytest.raises(BadInput, match=r"beyond its config, 1 tensors.*extra"):
        load(spoiled)
    shaped = state | {"eos_head.bias": torch.zeros(3)}
    save_file(shaped, str(spoiled / "model.safetensors"), metadata={"format": "pt"})
    with pytest.raises(BadInput, match="download it again"):
        load(spoiled)


def test_rows_that_cannot_be_trained_on_are_named(model: PocketTtsModel, tmp_path: Path) -> None:
    """Longer than the model's positions, without words, with a mark of the model's own, or without a file."""
    clip = transformers_factory.make_utterances(tmp_path / "clips", seconds=1.0)[0]
    long = replace(clip, id="long", text="word " * 100)
    for utterance, error in (
        (long, r"Row long takes \d+ positions.*has 400"),
        (replace(clip, text=" - "), "no word"),
        (replace(clip, text="Hear <audio_bos> this."), "<audio_bos>"),
        (replace(clip, audio_path=tmp_path / "gone.wav"), "gone.wav of row u0 is missing"),
    ):
        with pytest.raises(BadInput, match=error):
            model.features([utterance], "default", tmp_path / "cache")
    with pytest.raises(BadInput, match="too long to be said in one go"):
        model.speak([row("word " * 100)])
    with pytest.raises(Refused, match="AdapterHost"):
        model.speak([row(adapter_sha256="a" * 64, lora_scale=1.0)])


def test_a_template_that_begins_otherwise_in_training_is_named(spoiled: Path, tmp_path: Path) -> None:
    """Speaking would start from something that was never trained."""
    told = (spoiled / "chat_template.jinja").read_text()
    (spoiled / "chat_template.jinja").write_text("{%- if messages | length > 1 -%}Hm. {%- endif -%}" + told)
    clips = transformers_factory.make_utterances(tmp_path / "clips")
    with pytest.raises(BadInput, match=r"Row u0.*chat template"):
        load(spoiled).features(clips, "default", tmp_path / "cache")
    (spoiled / "chat_template.jinja").write_text("{{ messages[0]['content'][0]['text'] }}")
    with pytest.raises(BadInput, match="does not end a text with <audio_bos>"):
        load(spoiled).speak([row()])


def test_an_adapter_of_another_base_or_rank_is_refused(folder: Path, tmp_path: Path, model: PocketTtsModel) -> None:
    """Another folder's weights, or tensors that are not what the config says: never spoken with."""
    from engine.adapter_files import write_adapter

    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], init_lora_weights=False)
    fresh = load(folder)
    peft.get_peft_model(fresh.part("lm"), config).save_pretrained(str(tmp_path / "lm"))  # type: ignore[arg-type]
    told = {"backend": "pocket_tts", "voice": "default", "parts": ("lm",), "alpha": 8.0, "voice_settings": {}}
    host = AdapterHost(model)
    with pytest.raises(Refused, match="trained on pocket_tts"):
        host.add(write_adapter(tmp_path, base_sha256="0" * 64, rank=4, **told))
    edit(tmp_path / "lm" / "adapter_config.json", r=8)
    with pytest.raises(Refused, match="has shape"):
        host.add(write_adapter(tmp_path, base_sha256=model.base_sha256, rank=8, **told))


def test_sizes_are_those_of_the_loaded_parts(folder: Path, model: PocketTtsModel) -> None:
    """The memory estimate counts the same weights that are trained, without loading them."""
    size = info.size("pocket_tts", folder)
    for part in size.parts:
        assert sorted(part.tensors) == sorted(p.numel() for p in model.part(part.name).parameters())
        assert all(part.linears[target] for target in part.targets)
