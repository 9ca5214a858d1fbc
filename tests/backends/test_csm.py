"""CSM keeps every SpeechModel invariant on tiny random weights of transformers' own classes, and trains and speaks as
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
from engine.backends.transformers_tts.csm import CsmModel, Example
from engine.types import BadInput, GenerationSettings, NotFound, Reference, SpeakRow, Speech, Stop
from tests import transformers_factory
from tests.backends.invariants import Case, SpeechModelInvariants, assert_told
from tests.backends.transformers_case import case_of

TEXTS = transformers_factory.TEXTS
SETTINGS = GenerationSettings(temperature=3.0, top_k=0, max_factor=0.25)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return transformers_factory.write_csm(tmp_path_factory.mktemp("csm") / "model")


@pytest.fixture(scope="module")
def model(folder: Path) -> CsmModel:
    return load(folder)


def load(folder: Path) -> CsmModel:
    found = speech_model.load("csm", folder, "cpu")
    assert isinstance(found, CsmModel)
    return found


def spoken_example(model: CsmModel, row: SpeakRow, speech: Speech) -> Example:
    """The text with the codes that were drawn for it; it did not end, so no end is taught."""
    drawn = model.drawn([row])[0]
    assert len(drawn.codes) == speech.tokens
    ids = torch.cat([model._prompt(row).ids, torch.full((len(drawn.codes),), model._net.config.audio_token_id)])
    return Example("0" * 64, ids, drawn.codes)


class TestInvariants(SpeechModelInvariants):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
        return case_of(lambda: load(folder), tmp_path_factory.mktemp("case"), spoken_example, SETTINGS)


def row(text: str = TEXTS[0], **changes: Any) -> SpeakRow:
    return replace(SpeakRow(text=text, voice="default", seed=7, settings=SETTINGS), **changes)


def as_upstream_takes_it(model: CsmModel, text: str, path: Path | None) -> Any:
    """A conversation through upstream's processor, which has its codec run in the model."""
    content = [{"type": "text", "text": text}, *([{"type": "audio", "audio": "x"}] if path else [])]
    rendered = model._processor.apply_chat_template([{"role": "0", "content": content}])
    if path is None:
        return model._processor(text=[rendered], return_tensors="pt")
    samples, _ = audio.read(path, 24_000)
    return model._processor(
        text=[rendered], audio=[samples], output_labels=True, sampling_rate=24_000, return_tensors="pt"
    )


# ----------------------------------------------------------------------------------------------------- as upstream does
def test_without_noise_it_says_what_upstream_generates(folder: Path, model: CsmModel) -> None:
    """The loop over frames and codebooks is upstream's: the same codes, and the same samples, as its own class gives
    untouched.
    """
    untouched = type(model._net).from_pretrained(str(folder))
    for text in TEXTS[:2]:
        asked = row(text, settings=replace(SETTINGS, temperature=0.0))
        drawn = model.drawn([asked])[0]
        batch = as_upstream_takes_it(model, text, None)
        told = untouched.generate(
            **batch,
            do_sample=False,
            depth_decoder_do_sample=False,
            max_new_tokens=len(drawn.codes),
            output_audio=True,
            return_dict_in_generate=True,
        )
        assert torch.equal(told.sequences[0], drawn.codes)
        samples = told.audio[0].clamp(-1, 1).numpy()
        assert np.allclose(samples, model.speak([asked])[0].samples, atol=1e-5)


def test_the_losses_are_upstreams(model: CsmModel, tmp_path: Path) -> None:
    """From cached codes, what upstream computes from its processor's batch with the audio in it."""
    for utterance in transformers_factory.make_utterances(tmp_path / "clips")[:2]:
        example = model.features([utterance], "default", tmp_path / "cache")[0]
        found = model.loss([example], "default", ("lm", "depth"), None)
        with torch.no_grad():
            told = model._net(**as_upstream_takes_it(model, utterance.text, utterance.audio_path))
        assert float(found["lm"]) == pytest.approx(float(told.backbone_loss), rel=1e-5)
        assert float(found["depth"]) == pytest.approx(float(told.depth_decoder_loss), rel=1e-5)


def test_a_row_ends_where_the_model_ends_it(folder: Path) -> None:
    """A frame of nothing but the end code is the end: nothing of it is heard, and the row says so."""
    model = load(folder)
    with torch.no_grad():  # no code is likelier than the end, so that greedy takes it
        model._net.lm_head.weight.zero_()
        model._net.depth_decoder.codebooks_head.weight.zero_()
    spoken = model.speak([row(settings=replace(SETTINGS, temperature=0.0))])[0]
    assert (spoken.stop, spoken.tokens) == (Stop.EOS, 0)
    assert not spoken.samples.any()
    assert len(spoken.samples) == 1920


# ---------------------------------------------------------------------------------------------------------------- traps
def test_the_shared_embedding_is_trained_once(folder: Path) -> None:
    """Both nets use one embedding of codes; in two parts, two optimizers would step it."""
    model = load(folder)
    lm, depth = ({id(p) for p in model.part(part).parameters()} for part in ("lm", "depth"))
    assert not lm & depth
    everything = {id(p) for name, p in model._net.named_parameters() if not name.startswith("codec_model.")}
    assert lm | depth == everything


def test_padding_is_no_audio(folder: Path, tmp_path: Path) -> None:
    """The released config pads with the audio token's own id: rows of other lengths would be filled with frames."""
    own = shutil.copytree(folder, tmp_path / "model")
    told = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps(told | {"pad_token_id": told["audio_token_id"]}))
    model = load(own)
    examples = model.features(transformers_factory.make_utterances(tmp_path / "clips"), "default", tmp_path / "cache")
    together = model.loss(examples, "default", ("lm",), None)
    alone = [model.loss([example], "default", ("lm",), None) for example in examples]
    counts = [model.loss_tokens(example) for example in examples]
    for name, loss in together.items():
        mean = sum(float(one[name]) * count for one, count in zip(alone, counts, strict=True)) / sum(counts)
        assert float(loss) == pytest.approx(mean, rel=1e-4)


def test_the_depth_decoder_is_trained_on_some_frames_and_judged_on_all(
    model: CsmModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame in sixteen, as CSM's authors do it, drawn by the step's seed; a validation leaves none out."""
    monkeypatch.setattr("engine.backends.transformers_tts.csm.DEPTH_LEAST", 1)
    examples = model.features(transformers_factory.make_utterances(tmp_path / "clips"), "default", tmp_path / "cache")
    for every_frame in (False, True):
        labels = model.collated(examples, every_frame=every_frame)["labels"]
        first, rest = ((labels[..., part] != -100).sum(1).tolist() for part in (0, 1))
        assert first == [len(example.codes) + 1 for example in examples]
        assert rest == (first if every_frame else [1] * len(examples))
    found = [float(model.loss(examples, "default", ("lm",), seed)["depth"]) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


def test_as_many_frames_as_codebooks_are_trained_on(model: CsmModel, tmp_path: Path) -> None:
    """transformers 5.24 takes such a batch of its depth decoder for packed sequences, and fails."""
    example = model.features(transformers_factory.make_utterances(tmp_path / "clips"), "default", tmp_path / "cache")[0]
    books = model._net.config.num_codebooks
    found = []
    for frames in (books - 2, books - 1):  # the end is another one
        ids = torch.cat([example.ids[: -len(example.codes) - 1], example.ids[-frames - 1 :]])
        found.append(float(model.loss([Example("0", ids, example.codes[:frames])], "default", ("lm",), None)["depth"]))
    assert found[0] == pytest.approx(found[1], rel=0.5)


def test_codes_that_the_codec_does_not_have_are_never_drawn(model: CsmModel) -> None:
    """The vocabulary has ids beyond the codec's codes, on which decoding would fail."""
    hot = row(settings=replace(SETTINGS, temperature=1e4, max_factor=1.0))
    assert int(model.drawn([hot])[0].codes.max()) < model._net.config.codec_config.codebook_size


def test_a_reference_goes_before_the_text(model: CsmModel, tmp_path: Path) -> None:
    """It needs its transcript, changes what is said, and leaves the other rows of a batch alone."""
    clip = transformers_factory.make_utterances(tmp_path / "clips")[1]
    reference = Reference(audio_path=clip.audio_path, text=clip.text, sha256="x")
    rows = [row(), row(reference=reference)]
    together = model.speak(rows)
    for one, alone in zip(together, (model.speak([each])[0] for each in rows), strict=True):
        assert np.allclose(one.samples, alone.samples, atol=1e-4)
    assert not np.array_equal(together[0].samples, together[1].samples)
    told = [each.speech_tokens for each in together]
    assert told[0] is not None
    assert told[1] is not None
    assert (told[0].reference, told[1].reference) == ((), tuple(model._encode(clip.audio_path)[:, 0].tolist()))
    with pytest.raises(BadInput, match="no transcript"):
        model.speak([row(reference=replace(reference, text=" "))])
    with pytest.raises(NotFound, match="no voice"):
        model.speak([row(voice="anna")])


# ------------------------------------------------------------------------------------------------------------ bad input
def test_rows_and_templates_that_cannot_be_used_are_named(folder: Path, model: CsmModel, tmp_path: Path) -> None:
    """Marks of the model's own in a text, a row that is too long, a template that puts audio otherwise."""
    clip = transformers_factory.make_utterances(tmp_path / "clips")[0]
    for utterance, error in (
        (replace(clip, text="Hear <|AUDIO|> this."), "AUDIO"),
        (replace(clip, id="long", text="word " * 100), r"Row long takes \d+ positions.*has 400"),
    ):
        with pytest.raises(BadInput, match=error):
            model.features([utterance], "default", tmp_path / "cache")
    own = shutil.copytree(folder, tmp_path / "model")
    (own / "chat_template.jinja").write_text("{{ messages[0]['content'][0]['text'] }}")
    with pytest.raises(BadInput, match=r"Row u0|does not put audio"):
        load(own).features([clip], "default", tmp_path / "other")


def test_missing_files_and_other_rates_are_named(folder: Path, tmp_path: Path) -> None:
    """A shard of the weights, the template, and a processor for another rate than the codec's."""
    own = shutil.copytree(folder, tmp_path / "model")
    told = json.loads((own / "processor_config.json").read_text())
    told["feature_extractor"]["sampling_rate"] = 16_000
    (own / "processor_config.json").write_text(json.dumps(told))
    with pytest.raises(BadInput, match="16000 Hz and its codec at 24000 Hz"):
        info.info("csm", own)
    shutil.copy(folder / "processor_config.json", own)
    (own / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (own / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(NotFound, match=r"model-00001-of-00002\.safetensors is missing"):
        info.info("csm", own)


def test_the_weights_that_the_config_names_are_read(folder: Path, tmp_path: Path) -> None:
    """CSM's repository has a model.safetensors in its authors' own format beside those of transformers."""
    own = shutil.copytree(folder, tmp_path / "model")
    (own / "model.safetensors").rename(own / "transformers-00001-of-00001.safetensors")
    (own / "model.safetensors").write_bytes(b"another format")
    told = json.loads((own / "config.json").read_text()) | {
        "transformers_weights": "transformers.safetensors.index.json"
    }
    (own / "config.json").write_text(json.dumps(told))
    with pytest.raises(NotFound, match=r"no transformers\.safetensors\.index\.json"):
        info.info("csm", own)
    names = info.sizes.shapes(own / "transformers-00001-of-00001.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "transformers-00001-of-00001.safetensors")}
    (own / "transformers.safetensors.index.json").write_text(json.dumps(index))
    assert load(own).speak([row()])[0].tokens == load(folder).speak([row()])[0].tokens
    assert info.size("csm", own) == info.size("csm", folder)


def test_what_is_told_before_loading_is_so(folder: Path, model: CsmModel) -> None:
    """Lists and forms load nothing, and say what the loaded model says."""
    assert_told(info.info("csm", folder), model)


def test_sizes_are_those_of_the_loaded_parts(folder: Path, model: CsmModel) -> None:
    """The memory estimate counts the same weights that are trained, without loading them."""
    size = info.size("csm", folder)
    for part in size.parts:
        assert sorted(part.tensors) == sorted(p.numel() for p in model.part(part.name).parameters())
        assert all(part.linears[target] for target in part.targets)
    codec = sum(t.numel() for name, t in model._net.state_dict().items() if name.startswith("codec_model."))
    assert size.frozen_parameters == codec
