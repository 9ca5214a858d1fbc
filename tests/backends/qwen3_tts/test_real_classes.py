"""Qwen3-TTS keeps every SpeechModel invariant on tiny random weights of the real classes, and says and learns what
upstream's own code does.

Runs in the voice's own environment (`make test-voices`); elsewhere it is skipped.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine import audio, events, importing
from engine.adapter_files import write_adapter
from engine.adapters import AdapterHost
from engine.backends.qwen3_tts import exporting, generation, info, layout, loading, native, speech_model, teaching
from engine.backends.qwen3_tts.info import PARTS
from engine.backends.qwen3_tts.speech_model import Qwen3TtsModel
from engine.backends.qwen3_tts.teaching import Example
from engine.backends.speech_model import SpeechModel
from engine.types import Adapter, BadInput, GenerationSettings, NotFound, Reference, Refused, SpeakRow, Speech, Stop
from tests import qwen3_tts_factory
from tests.backends.invariants import Case, SpeechModelInvariants
from tests.qwen3_tts_factory import GROUPS, NAME, RATE, TEXTS

pytest.importorskip("qwen_tts", reason="it has an environment of its own: make test-voices", exc_type=ImportError)
SETTINGS = GenerationSettings(temperature=0.8, max_factor=0.4)
GREEDY = replace(SETTINGS, temperature=0.0)


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return qwen3_tts_factory.make(tmp_path_factory.mktemp("qwen3") / "base")


@pytest.fixture(scope="module", name="custom")
def _custom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return qwen3_tts_factory.make(tmp_path_factory.mktemp("qwen3") / "custom", kind="custom_voice")


@pytest.fixture(name="model")
def _model(folder: Path) -> Qwen3TtsModel:
    return load(folder)


def load(folder: Path) -> Qwen3TtsModel:
    return speech_model.load(NAME, folder, "cpu")


def row(text: str = TEXTS[0], **changes: object) -> SpeakRow:
    return replace(SpeakRow(text=text, voice="default", seed=3, settings=SETTINGS), **changes)  # type: ignore[arg-type]


def spoken_example(model: Qwen3TtsModel, one: SpeakRow, _speech: Speech) -> Example:
    """The text with the codes that were said for it."""
    drawn = model.draw([one])[0]
    return Example(
        "", layout.text_ids(model._ids, one.text), generation.stacked(drawn.codes, GROUPS), model.target(one).speaker
    )


class TestInvariants(SpeechModelInvariants):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
        work = tmp_path_factory.mktemp("case")
        return Case(
            make=lambda: load(folder),
            voice="default",
            texts=TEXTS,
            utterances=qwen3_tts_factory.make_utterances(work / "clips"),
            folder=work,
            example_of=spoken_example,
            settings=SETTINGS,
        )

    def test_teacher_forcing_predicts_what_was_generated(self, case: Case, model: SpeechModel) -> None:
        """Training and speaking agree about which code follows which: every code of every group, where a loss would
        also count the end that a capped row never said.
        """
        assert isinstance(model, Qwen3TtsModel)
        for one in case.rows():
            greedy = replace(one, settings=replace(case.settings, temperature=0.0))
            example = case.example_of(model, greedy, model.speak([greedy])[0])
            assert teaching.agreement(model._net, example, model.target(greedy)) == 1.0


# ------------------------------------------------------------------------------------------------ upstream's own answer
def upstream(model: Qwen3TtsModel, folder: Path) -> Any:
    """Upstream's wrapper over its own loaded model."""
    from qwen_tts import Qwen3TTSModel

    return Qwen3TTSModel.from_pretrained(str(folder), dtype=torch.float32, attn_implementation="sdpa")


GREEDILY = {"do_sample": False, "subtalker_dosample": False, "repetition_penalty": 1.05, "non_streaming_mode": True}
PENALISED = replace(GREEDY, repetition_penalty=1.05)


def greedy_codes(model: Qwen3TtsModel, **changes: object) -> torch.Tensor:
    return generation.stacked(model.draw([row(settings=PENALISED, **changes)])[0].codes, GROUPS)


@pytest.mark.parametrize("voice", ["default", "default@english"])
@pytest.mark.parametrize("words", ["", "no"])
def test_a_reference_is_heard_as_upstream_hears_it(
    model: Qwen3TtsModel, folder: Path, tmp_path: Path, voice: str, words: str
) -> None:
    """By its vector alone, and gone on from with its words: code for code what upstream's class says greedily."""
    clip = qwen3_tts_factory.make_utterances(tmp_path, count=1)[0].audio_path
    found = greedy_codes(model, voice=voice, reference=Reference(audio_path=clip, text=words, sha256="1"))
    said: list[torch.Tensor] = []
    theirs = upstream(model, folder)
    decode = theirs.model.speech_tokenizer.decode
    theirs.model.speech_tokenizer.decode = lambda codes: (said.append(codes[0]["audio_codes"]), decode(codes))[1]
    theirs.generate_voice_clone(
        TEXTS[0],
        language=info.speaker_and_language(voice)[1] or "Auto",
        ref_audio=(audio.read(clip, RATE)[0], RATE),
        ref_text=words or None,
        x_vector_only_mode=not words,
        max_new_tokens=len(found) + 1,  # its last token makes no frame
        **GREEDILY,
    )
    assert torch.equal(found, said[0][-len(found) :])


@pytest.mark.parametrize("voice", ["ryan", "ryan@english", "dylan"])
def test_speakers_are_upstreams(custom: Path, voice: str) -> None:
    """A CustomVoice model's own speakers, with a language, without, and with a dialect that stands for it."""
    model = load(custom)
    found = greedy_codes(model, voice=voice)
    theirs = upstream(model, custom).model
    ids = torch.tensor([model._ids("<|im_start|>assistant\nhello<|im_end|>\n<|im_start|>assistant\n")])
    speaker, language = info.speaker_and_language(voice)
    told, _ = theirs.generate(
        input_ids=[ids], languages=[language or "auto"], speakers=[speaker], max_new_tokens=len(found) + 1, **GREEDILY
    )
    assert torch.equal(found, told[0])


def test_the_training_step_teaches_what_is_spoken(model: Qwen3TtsModel) -> None:
    """Teacher forcing over greedily spoken codes gives them back, all of them, in every group."""
    for text in TEXTS:
        for voice in ("default", "default@english"):
            assert model.agreement(text, voice) == 1.0


def test_each_public_fault_breaks_the_agreement(model: Qwen3TtsModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that is not projected, labels that are shifted twice, a predictor that sees its own frame, labels of the
    predictor that are shifted again: each would be found by the check, so that none can come back unseen.
    """
    example = spoken_example(model, row(settings=GREEDY), None)  # type: ignore[arg-type]
    target = model.target(row())
    right = teaching.predict(model._net, [example], [target])

    def agreement(first: torch.Tensor, others: torch.Tensor) -> float:
        shifted = replace(right, first=first, others=others)
        monkeypatch.setattr(teaching, "predict", lambda *_: shifted)
        found = teaching.agreement(model._net, example, target)
        monkeypatch.undo()
        return found

    assert agreement(right.first, right.others) == 1.0
    assert agreement(right.first.roll(-1, 0), right.others) < 0.9  # shifted twice
    own_frame = teaching._others(model._net.talker, _states(model, example)[1:], example.codes).float()
    assert agreement(right.first, own_frame) < 0.9
    assert agreement(right.first, right.others.roll(-1, 1)) < 0.9
    projection = model._net.talker.text_projection
    cut = torch.nn.Linear(qwen3_tts_factory.TEXT_WIDTH, qwen3_tts_factory.WIDTH, bias=False)
    torch.nn.init.eye_(cut.weight)
    model._net.talker.text_projection = cut
    assert teaching.agreement(model._net, example, target) < 0.9
    model._net.talker.text_projection = projection


def _states(model: Qwen3TtsModel, example: Example) -> torch.Tensor:
    """The talker's states from the one before the first frame to the last frame's own."""
    prompt = model._layout.prompt(example.text, model.target(row()))
    inputs = torch.cat([prompt, model._layout.frames(example.codes)])[None]
    states: torch.Tensor = model._net.talker.model(inputs_embeds=inputs, use_cache=False).last_hidden_state[0]
    return states[len(prompt) - 1 :]


def test_logits_are_those_of_upstreams_classes(model: Qwen3TtsModel) -> None:
    """What the losses are taken of is what its own `forward` and `forward_sub_talker_finetune` give, to the bit."""
    example = spoken_example(model, row(settings=GREEDY), None)  # type: ignore[arg-type]
    found = teaching.predict(model._net, [example], [model.target(row())])
    states = _states(model, example)
    logits, _ = model._net.talker.forward_sub_talker_finetune(example.codes, states[:-1])
    assert torch.equal(found.others, logits)
    assert torch.equal(found.first, model._net.talker.codec_head(states))
    assert found.wanted.tolist() == [*example.codes[:, 0].tolist(), 1070]


# ------------------------------------------------------------------------------------------------------------ the guard
def test_only_pairs_that_were_compared_are_loaded() -> None:
    """Another transformers loads it and is silently wrong: the refusal says what to install."""
    loading.versions_must_fit({"qwen-tts": "0.1.1", "transformers": "4.57.3"})
    loading.versions_must_fit({"qwen-tts-hf": "0.1.1.post1", "transformers": "5.16.1"})
    for installed in (
        {"qwen-tts": "0.1.1", "transformers": "5.23.0"},
        {"qwen-tts": "0.2.0", "transformers": "4.57.3"},
        {"qwen-tts-hf": "0.1.1.post1", "transformers": "5.17.0"},
    ):
        with pytest.raises(Refused, match="voices install qwen3_tts"):
            loading.versions_must_fit(installed)
    with pytest.raises(NotFound, match="voices install qwen3_tts"):
        loading.versions_must_fit({"transformers": "5.23.0"})


def test_a_model_that_was_loaded_wrong_is_refused(model: Qwen3TtsModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotary table of uninitialised memory and a cache that loses its place: both are silent otherwise."""
    net = model._net
    loading.must_be_sound(net)
    table = net.talker.model.rotary_emb.inv_freq
    good = table.clone()
    table[0] = 0.25
    with pytest.raises(Refused, match=r"talker\.model\.rotary_emb\.inv_freq begins with 0\.25"):
        loading.must_be_sound(net)
    table.copy_(good)
    forward = net.talker.model.forward
    monkeypatch.setattr(
        net.talker.model, "forward", lambda **given: forward(**{k: v for k, v in given.items() if k != "position_ids"})
    )
    loading.must_be_sound(net)  # one position after the other needs no places to be told
    monkeypatch.setattr(net.talker.model, "forward", lambda **given: forward(**given | {"past_key_values": None}))
    with pytest.raises(Refused, match="step by step and in one pass differ"):
        loading.must_be_sound(net)


def test_weights_that_are_missing_are_named(folder: Path, tmp_path: Path) -> None:
    """What a file lacks would stay random: of the model and of its codec alike."""
    for file, lacking in (
        ("model.safetensors", "talker.text_projection.linear_fc1.weight"),
        ("speech_tokenizer/model.safetensors", "decoder.pre_conv.conv.weight"),
    ):
        broken = shutil.copytree(folder, tmp_path / file.replace("/", "-"))
        tensors = load_file(broken / file)
        del tensors[lacking]
        save_file(tensors, broken / file, metadata={"format": "pt"})
        with pytest.raises(BadInput, match=lacking.replace(".", r"\.")):
            load(broken)


# ------------------------------------------------------------------------------------------------------------- speaking
def test_an_utterance_begins_after_silence(model: Qwen3TtsModel) -> None:
    """A few frames of silence are decoded before the first ones and cut off to the sample: the decoder has no past."""
    codes = generation.stacked(model.draw([row()])[0].codes, GROUPS)
    decoder = model._net.speech_tokenizer.model.decoder
    silence = model._codec.silence
    assert len(silence) == 4
    with torch.no_grad():
        whole = decoder(torch.cat([silence, codes]).T[None])[0, 0].numpy()
        bare = decoder(codes.T[None])[0, 0].numpy()
    spoken = model.speak([row()])[0].samples
    assert len(spoken) == 1920 * len(codes)
    assert np.array_equal(spoken, whole[4 * 1920 :])
    assert not np.allclose(spoken[:1920], bare[:1920], atol=1e-3)


def test_a_reference_is_cut_off_again(model: Qwen3TtsModel, tmp_path: Path) -> None:
    """What is gone on from is not part of the clip, and its own last sounds lead into it."""
    clip = qwen3_tts_factory.make_utterances(tmp_path, count=1)[0].audio_path
    spoken = model.speak([row(reference=Reference(audio_path=clip, text="no", sha256="1"))])[0]
    assert len(spoken.samples) == 1920 * spoken.tokens


def test_an_end_is_told_from_a_cut_and_the_cap_follows_the_text(model: Qwen3TtsModel) -> None:
    """A missing end costs the time of a few sentences, not of 164 s, and says so."""
    short, long = model.speak([row("a", seed=1), row("it is mine " * 2, seed=1)])
    for speech, text in ((short, "a"), (long, "it is mine " * 2)):
        most = int(np.ceil(len(text) * 4.2 * SETTINGS.max_factor)) + 12
        assert speech.tokens <= most
        assert (speech.stop is Stop.CAP) == (speech.tokens == most)
    endless = model._prompt(row("word " * 200, settings=replace(SETTINGS, max_factor=9.0)))
    assert endless.cap == info.MAX_FRAMES


def test_speaking_can_be_watched_and_given_up(model: Qwen3TtsModel) -> None:
    """Every frame tells how far it is; what the watcher raises ends the batch, and the next one is as it would be."""
    before = model.speak([row()])[0]
    told: list[tuple[int, int]] = []
    model.on_step = lambda done, most: told.append((done, most))
    model.speak([row()])
    assert [done for done, _ in told] == list(range(len(told)))
    assert len(told) >= before.tokens

    def give_up(done: int, _most: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    model.on_step = give_up
    with pytest.raises(KeyboardInterrupt):
        model.speak([row()])
    model.on_step = None
    assert np.array_equal(model.speak([row()])[0].samples, before.samples)


def test_what_cannot_be_said_is_named(model: Qwen3TtsModel, custom: Path, tmp_path: Path) -> None:
    """No words, another voice, a reference for a model without an ear: a sentence before anything is computed."""
    with pytest.raises(BadInput, match="nothing to say"):
        model.speak([row("...")])
    for voice in ("ryan", "default@klingon"):
        with pytest.raises(NotFound, match="choose one of: default, default@chinese, default@english"):
            model.speak([row(voice=voice)])
    with pytest.raises(Refused, match="AdapterHost"):
        model.speak([row(adapter_sha256="1" * 64, lora_scale=1.0)])
    clip = qwen3_tts_factory.make_utterances(tmp_path, count=1)[0].audio_path
    with pytest.raises(Refused, match="cannot hear a reference"):
        load(custom).speak([row(voice="ryan", reference=Reference(audio_path=clip, text="", sha256="1"))])


# ------------------------------------------------------------------------------------------------------------- training
def test_the_speakers_vector_is_the_mean_of_the_clips(model: Qwen3TtsModel, tmp_path: Path) -> None:
    """Training and speaking use one vector: the mean over the clips, or over the reference files, each once; it comes
    back through the voice's settings to the bit.
    """
    rows = qwen3_tts_factory.make_utterances(tmp_path)
    examples = model.features(rows, "default", tmp_path / "cache")
    each = [model._net.extract_speaker_embedding(audio.read(one.audio_path, RATE)[0], RATE).double() for one in rows]
    assert torch.equal(examples[0].speaker, torch.stack(each).mean(0).float())  # type: ignore[arg-type]
    settings = model.voice_settings(examples, "default")
    assert torch.equal(model.target(row(voice_settings=settings)).speaker, examples[0].speaker)  # type: ignore[arg-type]
    named = [replace(one, reference_audio=rows[2].audio_path) for one in rows]
    assert torch.equal(model.features(named, "default", tmp_path / "cache")[0].speaker, each[2].float())  # type: ignore[arg-type]
    plain, voiced = model.speak([row(), row(voice_settings=settings)])
    assert not np.array_equal(plain.samples, voiced.samples)


def test_validation_does_not_depend_on_what_shares_a_batch(model: Qwen3TtsModel, tmp_path: Path) -> None:
    """An example counts by its length in any batch: checkpoints and runs compare on one axis."""
    examples = model.features(qwen3_tts_factory.make_utterances(tmp_path), "default", tmp_path / "cache")
    with torch.no_grad():
        together = model.loss(examples, "default", ("talker",), None)
        alone = [model.loss([one], "default", ("talker",), None) for one in examples]
    counts = [model.loss_tokens(one) for one in examples]
    for name in model.loss_names(("talker",)):
        mean = sum(float(one[name]) * count for one, count in zip(alone, counts, strict=True)) / sum(counts)
        assert float(together[name]) == pytest.approx(mean, rel=1e-5)


def test_rows_that_cannot_be_trained_are_named(model: Qwen3TtsModel, tmp_path: Path) -> None:
    """Another rate (upstream resamples in silence), no words, a clip of more than 24 s; a clip is encoded once."""
    rows = qwen3_tts_factory.make_utterances(tmp_path, count=2)
    first = model.features(rows[:1], "default", tmp_path / "cache")[0]
    model._cache._measure = None  # type: ignore[assignment]
    assert torch.equal(model.features(rows[:1], "default", tmp_path / "cache")[0].codes, first.codes)
    with pytest.raises(BadInput, match="clip0 has no text"):
        model.features([replace(rows[0], text=" ")], "default", tmp_path / "cache")
    slow = qwen3_tts_factory.make_utterances(tmp_path / "slow", count=1, sample_rate=16_000)
    with pytest.raises(BadInput, match="clip0 has 16000 Hz"):
        model.features(slow, "default", tmp_path / "cache")


def test_sizes_are_those_of_the_loaded_model(model: Qwen3TtsModel, folder: Path) -> None:
    """What a memory estimate counts in the headers is what is there once loaded, part by part."""
    told = info.size(NAME, folder)
    for part in told.parts:
        module = model.part(part.name)
        assert part.parameters == sum(p.numel() for p in module.parameters())
        linears = [
            (m.in_features, m.out_features)
            for name, m in module.named_modules()
            if isinstance(m, torch.nn.Linear) and name.rpartition(".")[2] in part.targets
        ]
        assert sorted(linears) == sorted(shape for name in part.targets for shape in part.linears[name])
    codec = model._net.speech_tokenizer.model.state_dict()
    assert told.parameters == sum(t.numel() for t in (*model._net.state_dict().values(), *codec.values()))


# ---------------------------------------------------------------------------------------- export and other trainers
def trained(model: Qwen3TtsModel, folder: Path, *, parts: tuple[str, ...] = PARTS) -> Adapter:
    """An adapter that PEFT wrote, with the voice's vector."""
    torch.manual_seed(5)
    for part in model.lora_parts():
        if part.name in parts:
            told = peft.LoraConfig(r=4, lora_alpha=8, target_modules=list(part.target_modules), init_lora_weights=False)
            peft.get_peft_model(model.part(part.name), told).save_pretrained(str(folder / part.name))  # type: ignore[arg-type]
    vector = {f"speaker.{place:04}": float(number) for place, number in enumerate(torch.randn(qwen3_tts_factory.WIDTH))}
    return write_adapter(
        folder,
        backend=NAME,
        base_sha256=model.base_sha256,
        voice="default",
        parts=parts,
        rank=4,
        alpha=8.0,
        voice_settings=vector,
    )


def test_an_export_speaks_in_upstreams_class(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CustomVoice folder at a scale, loaded as anybody loads it: one speaker in lower case, and the codes that the
    host says greedily at that scale.
    """
    monkeypatch.setenv("EARMARK_QWEN3_TTS", str(folder))
    adapter = trained(load(folder), tmp_path / "adapter")
    assert exporting.write_native(adapter, 0.6, tmp_path / "native")
    host = AdapterHost(load(folder))
    host.add(adapter)
    asked = row(
        adapter_sha256=adapter.sha256, lora_scale=0.6, voice_settings=adapter.voice_settings, settings=PENALISED
    )
    assert isinstance(host.model, Qwen3TtsModel)
    expected = generation.stacked(host.model.draw([asked], host)[0].codes, GROUPS)
    theirs = upstream(host.model, tmp_path / "native").model
    assert list(theirs.get_supported_speakers()) == [native.SPEAKER] == [native.SPEAKER.lower()]
    ids = torch.tensor([host.model._ids("<|im_start|>assistant\nhello<|im_end|>\n<|im_start|>assistant\n")])
    told, _ = theirs.generate(
        input_ids=[ids], languages=["auto"], speakers=[native.SPEAKER], max_new_tokens=len(expected) + 1, **GREEDILY
    )
    assert torch.equal(told[0], expected)
    again = speech_model.load(NAME, tmp_path / "native", "cpu")
    assert again.capabilities.voices[0] == native.SPEAKER
    assert not exporting.write_native(replace(adapter, base_sha256="0" * 64), 1.0, tmp_path / "other")
    assert not exporting.write_native(replace(adapter, voice_settings={}), 1.0, tmp_path / "other")


@pytest.mark.parametrize("trainer", ["instavar", "alexandria"])
def test_adapters_of_other_trainers_are_brought_in(folder: Path, tmp_path: Path, trainer: str) -> None:
    """Their names are mapped, the vector comes along, they sound as in upstream's class, and the run says what is known
    to be wrong with their training.
    """
    net = load(folder)._net
    whole = net if trainer == "instavar" else net.talker
    torch.manual_seed(6)
    names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    told = peft.LoraConfig(r=4, lora_alpha=8, target_modules=names, init_lora_weights=False)
    peft.get_peft_model(whole, told).save_pretrained(str(tmp_path / "theirs"))
    vector = torch.randn(qwen3_tts_factory.WIDTH)
    if trainer == "instavar":
        save_file({"speaker_embedding": vector}, tmp_path / "theirs" / "speaker_embedding.safetensors")
    host = AdapterHost(load(folder))
    made = importing.bring_in(
        tmp_path / "theirs", model=host.model, runs_root=tmp_path / "runs", name="old", now=1.0, voice="default"
    )
    assert made.adapter.parts == PARTS
    host.add(made.adapter)
    spoken = host.speak(
        [row(adapter_sha256=made.adapter.sha256, lora_scale=1.0, voice_settings=made.adapter.voice_settings)]
    )[0]
    adapted = load(folder)
    adapted._net = net  # with PEFT's own layers in it
    adapted._layout = layout.Layout(net)
    settings = made.adapter.voice_settings
    assert np.allclose(adapted.speak([row(voice_settings=settings)])[0].samples, spoken.samples, atol=1e-3)
    notes = " ".join(str(event.data.get("text", "")) for event in events.read(made.path.parent.parent / "events.jsonl"))
    assert "labels a second time" in notes
    assert ("no label for the end" in notes) == (trainer == "alexandria")
    assert (len(settings) == qwen3_tts_factory.WIDTH) == (trainer == "instavar")
