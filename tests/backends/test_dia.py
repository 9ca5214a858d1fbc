"""Dia keeps every SpeechModel invariant on tiny random weights of transformers' own classes, and trains and speaks as
these do.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import audio
from engine.backends.transformers_tts import info, speech_model
from engine.backends.transformers_tts.dia import DiaModel, Example
from engine.backends.transformers_tts.dia_generation import straightened
from engine.types import BadInput, GenerationSettings, NotFound, Reference, SpeakRow, Speech, Stop
from tests import transformers_factory
from tests.backends.invariants import Case, SpeechModelInvariants, assert_told
from tests.backends.transformers_case import case_of

TEXTS = transformers_factory.TEXTS
SETTINGS = GenerationSettings(temperature=3.0, top_k=30, max_factor=0.25)
MARKS = {"delay_pattern": [0, 2, 3], "bos_token_id": 34, "eos_token_id": 32, "pad_token_id": 33}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return transformers_factory.write_dia(tmp_path_factory.mktemp("dia") / "model")


@pytest.fixture(scope="module")
def model(folder: Path) -> DiaModel:
    return load(folder)


def load(folder: Path) -> DiaModel:
    found = speech_model.load("dia", folder, "cpu")
    assert isinstance(found, DiaModel)
    return found


def spoken_example(model: DiaModel, row: SpeakRow, speech: Speech) -> Example:
    """The text with the codes that were drawn for it."""
    drawn = model.drawn([row])[0]
    assert len(drawn.codes) == speech.tokens
    return Example("0" * 64, model._prompt(row).ids, drawn.codes)


class TestInvariants(SpeechModelInvariants):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
        return case_of(lambda: load(folder), tmp_path_factory.mktemp("case"), spoken_example, SETTINGS)

    def test_teacher_forcing_predicts_what_was_generated(self, case: Case, model: Any) -> None:
        """Training and speaking agree about which code follows which: with its text and without guidance, before each
        frame the net thinks in training what it thought in speaking. Codes were drawn without chance, so each of them
        but those of the forced ends is the likeliest one.
        """
        model._net.generation_config.guidance_scale = 1.0
        for row in case.rows()[:3]:
            greedy = replace(row, settings=replace(case.settings, temperature=0.0))
            example = case.example_of(model, greedy, model.speak([greedy])[0])
            with torch.no_grad():
                batch = model.collated([example], without_text=0.0)
                logits = model._net(**batch).logits[:, :, :32]
            labels = batch["labels"]
            spoken = (labels >= 0) & (labels < 32)
            assert int(spoken.sum()) == example.codes.numel()
            assert torch.equal(logits.argmax(-1)[spoken], labels[spoken])


def row(text: str = TEXTS[0], **changes: Any) -> SpeakRow:
    return replace(SpeakRow(text=text, voice="default", seed=7, settings=SETTINGS), **changes)


# ----------------------------------------------------------------------------------------------------- as upstream does
@pytest.mark.parametrize("top_k", [0, 20])
def test_without_noise_it_says_what_upstream_generates(folder: Path, model: DiaModel, top_k: int) -> None:
    """The loop over frames, delays and guidance is upstream's: the same codes as its own class gives untouched, and the
    same samples, guided as it is and filtered as it is.
    """
    untouched = type(model._net).from_pretrained(str(folder))
    for text in TEXTS[:2]:
        asked = row(text, settings=replace(SETTINGS, temperature=0.0, top_k=top_k))
        drawn = model.drawn([asked])[0]
        batch = model._processor(text=[f"[S1] {text}"], return_tensors="pt", **MARKS)
        told = untouched.generate(**batch, do_sample=False, top_k=top_k or None, max_new_tokens=len(drawn.codes) + 4)
        assert torch.equal(straightened(told[0], 1, len(drawn.codes), (0, 2, 3)), drawn.codes)
        samples = model._processor.batch_decode(told, **MARKS)[0].clamp(-1, 1).numpy()
        spoken = model.speak([asked])[0].samples
        assert len(samples) == len(spoken)
        assert np.allclose(samples, spoken, atol=1e-5)


def test_after_a_reference_it_says_what_upstream_generates(folder: Path, model: DiaModel, tmp_path: Path) -> None:
    """The reference's words before the text and its audio before what is said, as upstream's processor puts them."""
    clip = transformers_factory.make_utterances(tmp_path / "clips")[1]
    samples, _ = audio.read(clip.audio_path, 44_100)
    untouched = type(model._net).from_pretrained(str(folder))
    reference = Reference(audio_path=clip.audio_path, text=clip.text, sha256="x")
    drawn = model.drawn([row(reference=reference, settings=replace(SETTINGS, temperature=0.0))])[0]
    batch = model._processor(
        text=[f"[S1] {clip.text} {TEXTS[0]}"], audio=[samples], sampling_rate=44_100, return_tensors="pt", **MARKS
    )
    before = model._processor.get_audio_prompt_len(batch["decoder_attention_mask"], **MARKS)
    told = untouched.generate(**batch, do_sample=False, top_k=30, max_new_tokens=len(drawn.codes) + 4)
    assert torch.equal(straightened(told[0], before, len(drawn.codes), (0, 2, 3)), drawn.codes)


def test_the_loss_is_upstreams(model: DiaModel, tmp_path: Path) -> None:
    """From cached codes, what upstream computes from its processor's batch with the audio in it."""
    for utterance in transformers_factory.make_utterances(tmp_path / "clips")[:2]:
        example = model.features([utterance], "default", tmp_path / "cache")[0]
        samples, _ = audio.read(utterance.audio_path, 44_100)
        asked = {"output_labels": True, "generation": False, "sampling_rate": 44_100, "return_tensors": "pt", **MARKS}
        batch = model._processor(text=[f"[S1] {utterance.text}"], audio=[samples], **asked)
        with torch.no_grad():
            told = float(model._net(**batch).loss)
        assert float(model.loss([example], "default", ("lm",), None)["lm"]) == pytest.approx(told, rel=1e-5)


def test_the_end_is_channel_0s_and_a_cut_says_so(folder: Path) -> None:
    """When the end is likeliest in the first channel the row ends there, whatever the others want; else at its cap."""
    model = load(folder)
    head = model._net.logits_dense
    with torch.no_grad():
        head.weight.zero_()
        head.bias = torch.nn.Parameter(torch.zeros(3 * 36))
        head.bias[32] = 5.0
    spoken = model.speak([row()])[0]
    assert (spoken.stop, spoken.tokens) == (Stop.EOS, 0)
    assert not spoken.samples.any()
    assert len(spoken.samples) == 2048
    with torch.no_grad():
        head.bias[32], head.bias[36 + 32] = -5.0, 50.0
    drawn = model.drawn([row()])[0]
    assert drawn.stop is Stop.CAP
    assert int(drawn.codes.max()) < 32


# ---------------------------------------------------------------------------------------------------------------- traps
def test_some_rows_are_trained_without_their_text_and_judged_with_it(model: DiaModel, tmp_path: Path) -> None:
    """Guidance needs a net that knows what to do without a text; which rows those are follows the step's seed."""
    examples = model.features(transformers_factory.make_utterances(tmp_path / "clips"), "default", tmp_path / "cache")
    torch.manual_seed(1)
    ids = [model.collated(examples, without_text=share)["input_ids"] for share in (0.0, 1.0)]
    assert ids[0].any(dim=1).all()
    assert not ids[1].any()
    found = [float(model.loss(examples, "default", ("lm",), seed)["lm"]) for seed in range(40)]
    assert len(set(found)) > 1
    assert found[3] == float(model.loss(examples, "default", ("lm",), 3)["lm"])


def test_rows_with_and_without_references_share_a_call(model: DiaModel, tmp_path: Path) -> None:
    """A reference needs its transcript, changes what is said, and leaves the other rows alone."""
    clips = transformers_factory.make_utterances(tmp_path / "clips")
    references = [Reference(audio_path=c.audio_path, text=c.text, sha256=c.id) for c in clips[:2]]
    rows = [row(), row(reference=references[0]), row(reference=references[1]), row(TEXTS[1])]
    together = model.speak(rows)
    for one, alone in zip(together, (model.speak([each])[0] for each in rows), strict=True):
        assert np.allclose(one.samples, alone.samples, atol=1e-4)
    assert not np.array_equal(together[0].samples, together[1].samples)
    assert not np.array_equal(together[1].samples, together[2].samples)
    told = [each.speech_tokens.reference for each in together if each.speech_tokens]
    own = [tuple(model._encode(clip.audio_path)[:, 0].tolist()) for clip in clips[:2]]
    assert told == [(), *own, ()]
    with pytest.raises(BadInput, match="no transcript"):
        model.speak([row(reference=replace(references[0], text=" "))])
    with pytest.raises(NotFound, match="no voice"):
        model.speak([row(voice="anna")])


def test_a_text_names_its_speaker(model: DiaModel) -> None:
    """One that names none is the first speaker's, as everything that the model was trained on names one."""
    plain, first, second = (model._ids(text, "x").tolist() for text in ("Hello.", "[S1] Hello.", "[S2] Hello."))
    assert plain == first != second
    assert plain[0] == model._processor.tokenizer.convert_tokens_to_ids("[S1]")


# ------------------------------------------------------------------------------------------------------------ bad input
def test_rows_that_cannot_be_used_are_named(model: DiaModel, tmp_path: Path) -> None:
    """A text of too many bytes, a clip of too many frames, a text without words."""
    clips = transformers_factory.make_utterances(tmp_path / "clips", seconds=10.0)
    short = transformers_factory.make_utterances(tmp_path / "short")[0]
    for utterance, error in (
        (clips[0], r"Row u0 takes \d+ positions of audio and the model has 200"),
        (replace(short, id="long", text="word " * 60), r"Row long takes \d+ positions.*has 120"),
        (replace(short, text=" ... "), "no word"),
    ):
        with pytest.raises(BadInput, match=error):
            model.features([utterance], "default", tmp_path / "cache")
    with pytest.raises(BadInput, match="too long to be said in one go"):
        model.speak([row("word " * 30)])


def test_another_models_codec_is_named(folder: Path, tmp_path: Path) -> None:
    """Other channels or codes, another kind, another rate: noise, no error, in upstream."""
    own = shutil.copytree(folder, tmp_path / "model")

    def edit(file: str, **changes: Any) -> None:
        path = own / file
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    edit("audio_tokenizer/config.json", n_codebooks=9)
    with pytest.raises(BadInput, match=r"speaks in 3 channels of 32 codes and the codec .* in 9 of 32"):
        info.info("dia", own)
    edit("audio_tokenizer/config.json", n_codebooks=3, model_type="encodec")
    with pytest.raises(BadInput, match="'encodec', and Dia needs its own"):
        info.info("dia", own)
    edit("audio_tokenizer/config.json", model_type="dac", sampling_rate=16_000)
    with pytest.raises(BadInput, match="44100 Hz and its codec at 16000 Hz"):
        info.info("dia", own)
    shutil.rmtree(own / "audio_tokenizer")
    with pytest.raises(NotFound, match="has no codec"):
        info.info("dia", own)


def test_what_is_told_before_loading_is_so(folder: Path, model: DiaModel) -> None:
    """Lists and forms load nothing, and say what the loaded model says; sizes are those of the loaded parts."""
    assert_told(info.info("dia", folder), model)
    size = info.size("dia", folder)
    for part in size.parts:
        assert sorted(part.tensors) == sorted(p.numel() for p in model.part(part.name).parameters())
        assert all(part.linears[target] for target in part.targets)
    assert size.frozen_parameters == sum(p.numel() for p in model._codec.state_dict().values())
