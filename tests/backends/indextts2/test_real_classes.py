"""IndexTTS2 keeps every SpeechModel invariant on tiny random weights of the real classes, and says what upstream's own
code says.

Runs in the voice's own environment with upstream's checkout named by INDEXTTS_DIR (`make test-voices`); elsewhere it is
skipped.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import audio
from engine.backends.indextts2 import checkout, hearing, info, loading, rendering, speech_model, teaching
from engine.backends.indextts2.hearing import UpstreamEars
from engine.backends.indextts2.speech_model import IndexTts2Model
from engine.backends.indextts2.teaching import Example
from engine.backends.speech_model import SpeechModel
from engine.types import BadInput, GenerationSettings, Reference, Refused, SpeakRow, Speech
from tests import indextts2_factory
from tests.backends.invariants import Case, SpeechModelInvariants, assert_told
from tests.indextts2_factory import CODE, NAME, TEXTS, StandInEars

pytestmark = pytest.mark.skipif(
    not os.environ.get("INDEXTTS_DIR"), reason="needs upstream's checkout in INDEXTTS_DIR: make test-voices"
)
pytest.importorskip("munch", reason="it has an environment of its own: make test-voices")
SETTINGS = GenerationSettings(temperature=0.8, max_factor=0.15)


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return indextts2_factory.make(tmp_path_factory.mktemp("index") / "base")


@pytest.fixture(scope="module", name="whole")
def _whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return indextts2_factory.make(tmp_path_factory.mktemp("index") / "whole", w2v=True)


@pytest.fixture(scope="module", name="reference")
def _reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return indextts2_factory.reference(tmp_path_factory.mktemp("index"))


def load(folder: Path) -> IndexTts2Model:
    """The real classes, with ears that need no w2v-BERT."""
    found = info.read(folder)
    nets = loading.load(found, CODE, "cpu")
    return IndexTts2Model(NAME, nets, StandInEars(), found, info.base_sha256(found), "cpu")


@pytest.fixture(name="model")
def _model(folder: Path) -> IndexTts2Model:
    return load(folder)


def row(reference: Reference, text: str = TEXTS[0], **changes: object) -> SpeakRow:
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
            make=lambda: load(folder),
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


# ------------------------------------------------------------------------------------------------ upstream's own answer
def greedy(reference: Reference, **changes: object) -> SpeakRow:
    return row(reference, settings=replace(SETTINGS, temperature=0.0), **changes)


@pytest.mark.parametrize("text", TEXTS[:3])
def test_codes_and_states_are_upstreams(folder: Path, reference: Reference, text: str) -> None:
    """Code for code what upstream's `inference_speech` says without chance and without beams, and number for number the
    states of its second pass: what is spoken here is what upstream speaks, its positions included.
    """
    model, theirs = load(folder), load(folder)._nets.voice
    one = greedy(reference, text=text)
    drawn = model.draw([one])[0]
    ids = torch.tensor([model._text(one)])
    samples = audio.read(reference.audio_path, hearing.HEARING_RATE)[0]
    states = model._ears.states(samples)
    lengths = torch.tensor([states.shape[1]])
    theirs.post_init_gpt2_config(kv_cache=True)
    asked: dict[str, Any] = {"do_sample": False, "num_beams": 1, "max_generate_length": len(drawn.codes)}
    codes, latents = theirs.inference_speech(states, ids, states, lengths, lengths, **asked)
    assert codes[0].tolist()[: len(drawn.codes)] == drawn.codes
    assert len(set(drawn.codes)) > 3
    told = theirs.forward(
        latents,
        ids,
        torch.tensor([ids.shape[1]]),
        codes,
        torch.tensor([codes.shape[1]]),
        states,
        lengths,
        lengths,
        use_speed=torch.zeros(1).long(),
    )
    heard = model._prompt(one).conditioning
    before = model._layout.before(heard.latents, heard.emotion, model._text(one))
    assert torch.allclose(rendering.states(model._nets.voice, before, codes[0].tolist()), told, atol=1e-4)


def test_sounds_are_upstreams(model: IndexTts2Model, reference: Reference) -> None:
    """Flow and vocoder as upstream's `infer` calls them, after its seed: the same samples."""
    codes, prompt, nets = [5, 9, 9, 2, 30, 11, 7], model._prompt(row(reference)), model._nets
    states = torch.randn(1, len(codes), indextts2_factory.WIDTH, generator=torch.Generator().manual_seed(1))
    found = rendering.samples(nets, codes, states, prompt, seed=7)
    with torch.no_grad(), torch.random.fork_rng():
        content = nets.codec.quantizer.vq2emb(torch.tensor([codes]).unsqueeze(1)).transpose(1, 2)
        content = content + nets.s2mel.models["gpt_layer"](states)
        lengths = (torch.tensor([len(codes)]) * 1.72).long()
        condition = nets.s2mel.models["length_regulator"](content, ylens=lengths, n_quantizers=3, f0=None)[0]
        whole = torch.cat([prompt.regulated, condition], dim=1)
        torch.manual_seed(7)
        mel = nets.s2mel.models["cfm"].inference(
            whole,
            torch.LongTensor([whole.size(1)]),
            prompt.mel,
            prompt.conditioning.style[None],
            None,
            25,
            inference_cfg_rate=0.7,
        )
        wave = nets.vocoder(mel[:, :, prompt.mel.size(-1) :]).squeeze()
    assert np.array_equal(found, wave.clamp(-1, 1).numpy())
    assert np.abs(found).max() > 1e-3


def test_the_ears_are_upstreams(whole: Path, reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole model as people load it: w2v-BERT's 17th layer with nothing above it, text through upstream's
    normaliser, and a clip from text to sound.
    """
    monkeypatch.setenv(checkout.VARIABLE, str(CODE))
    model = speech_model.load(NAME, whole, "cpu")
    assert isinstance(model._ears, UpstreamEars)
    samples = audio.read(reference.audio_path, hearing.HEARING_RATE)[0]
    extract, net, mean, deviation = model._ears._w2v
    assert len(net.encoder.layers) == hearing.STATE_LAYER
    from transformers import Wav2Vec2BertModel

    theirs = Wav2Vec2BertModel.from_pretrained(str(whole / info.W2V_FOLDER), torch_dtype=torch.float32).eval()
    told = extract(samples, sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        expected = (theirs(**told, output_hidden_states=True).hidden_states[17] - mean) / deviation
    assert torch.equal(model._ears.states(samples), expected)
    assert model._ears.text_ids("It's 3 big dogs.") == model._ears.text_ids("it is three big dogs.")
    assert model._ears.text_ids("go") != model._ears.text_ids("no")
    rows = indextts2_factory.make_utterances(whole / "clips", count=2)
    examples = model.features(rows, "default@sad", whole / "cache")
    assert all(len(one.codes) > 20 and len(one.prompts) == 1 for one in examples)
    spoken = model.speak([row(reference)])[0]
    assert len(spoken.samples) == 256 * max(1, int(1.72 * spoken.tokens))
    assert_told(info.info(NAME, whole), model)


def test_weights_that_are_missing_are_named(folder: Path, tmp_path: Path) -> None:
    """Upstream leaves what a file lacks random and says nothing: here the weight is named."""
    for file, lacking, words in (
        ("gpt.pth", "mel_head.weight", r"lacks 1 weights .* mel_head\.weight"),
        ("s2mel.pth", "estimator.conv1.weight", r"of cfm .* estimator\.conv1\.weight"),
    ):
        broken = shutil.copytree(folder, tmp_path / file)
        told = torch.load(broken / file, weights_only=True)
        del (told["net"]["cfm"] if "net" in told else told)[lacking]
        torch.save(told, broken / file)
        with pytest.raises(BadInput, match=words):
            load(broken)
    told["net"]["cfm"][lacking] = torch.zeros(3, 3)
    torch.save(told, broken / file)
    with pytest.raises(BadInput, match="does not fit its config"):
        load(broken)


def test_sizes_are_those_of_the_loaded_model(model: IndexTts2Model, folder: Path) -> None:
    """What a memory estimate counts by the config is what is there once loaded."""
    told = info.size(NAME, folder).parts[0]
    assert sorted(told.tensors) == sorted(parameter.numel() for parameter in model.part("gpt").parameters())


def test_another_checkout_in_one_process_is_refused(tmp_path: Path) -> None:
    """Classes of two commits would mix."""
    with pytest.raises(Refused, match="restart Earmark"), checkout.importable(tmp_path):
        pass


def test_what_hears_is_no_part(model: IndexTts2Model) -> None:
    """What hears references stays as it was loaded: nothing of it is in the part that is trained."""
    names = {name.split(".")[0] for name, _ in model.part("gpt").named_parameters()}
    assert names == set(loading.TRAINED)
    assert {"conditioning_encoder", "perceiver_encoder", "emo_conditioning_encoder"}.isdisjoint(names)
