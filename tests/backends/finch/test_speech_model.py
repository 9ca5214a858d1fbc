"""The built-in voice keeps every SpeechModel invariant, and its own promises about weights, clocks, caps and caches."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine import audio
from engine.adapters import AdapterHost
from engine.backends.finch import feature_cache, generation, phonemes, speech_model, tuning
from engine.backends.finch.info import base_sha256, info, stored_config
from engine.types import BadInput, GenerationSettings, NotFound, Refused, SpeakRow, Speech, Stop
from tests import finch_factory
from tests.backends.invariants import Case, SpeechModelInvariants

TEXTS = finch_factory.TEXTS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a taught tiny Finch."""
    return finch_factory.write_weights(tmp_path_factory.mktemp("finch") / "weights", taught=True)


@pytest.fixture
def finch(folder: Path) -> speech_model.FinchModel:
    return speech_model.load(base_model=str(folder))


def spoken_example(model: speech_model.FinchModel, row: SpeakRow, speech: Speech) -> tuning.Example:
    """The text with the tokens that were drawn for it; only the language model's view of it is used."""
    ids = model._inventory.encode(phonemes.pronounce(row.text).symbols)
    drawn = generation.generate(
        model._nets.language_model, model._vocabulary, [model._prompt(row)], lambda _: speech_model.nullcontext()
    )[0]
    assert len(drawn.codes) == speech.tokens
    return tuning.Example(tuple(ids), torch.tensor(drawn.codes), torch.zeros(4 * speech.tokens, 30))


class TestInvariants(SpeechModelInvariants):
    batch_tolerance = 0.0  # given its tokens, a row is decoded and vocoded by itself

    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
        work = tmp_path_factory.mktemp("case")
        return Case(
            make=lambda: speech_model.load(base_model=str(folder)),
            voice="low",
            texts=TEXTS,
            utterances=finch_factory.make_utterances(work / "clips", f0_hz=180.0),
            folder=work,
            example_of=spoken_example,
        )


def row(text: str = TEXTS[0], **changes: object) -> SpeakRow:
    return replace(SpeakRow(text=text, voice="low", seed=1), **changes)  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------------------------------- generation
def test_the_taught_voice_says_its_lesson_and_stops_by_itself(finch: speech_model.FinchModel) -> None:
    """A language model that knows the answer gives exactly its tokens, then EOS: no token is lost at either end."""
    for text in TEXTS:
        drawn = generation.generate(
            finch._nets.language_model,
            finch._vocabulary,
            [finch._prompt(row(text, settings=GenerationSettings(temperature=0.0)))],
            lambda _: speech_model.nullcontext(),
        )[0]
        assert tuple(drawn.codes) == finch_factory.lesson(text, finch._nets.config).tokens
        assert drawn.stop is Stop.EOS


def test_every_generation_step_sees_what_teacher_forcing_sees(
    finch: speech_model.FinchModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cached, left-padded step by step pass gives the logits of one plain pass over the whole sequence."""
    seen: list[torch.Tensor] = []
    plain = generation.Sampler.choose

    def spy(self: generation.Sampler, logits: torch.Tensor, step: int) -> torch.Tensor:
        seen.append(logits[0].clone())
        return plain(self, logits, step)

    monkeypatch.setattr(generation.Sampler, "choose", spy)
    prompts = [finch._prompt(row(text)) for text in (TEXTS[4], TEXTS[2])]  # the first one is padded, and ends first
    vocabulary, lm = finch._vocabulary, finch._nets.language_model
    drawn = generation.generate(lm, vocabulary, prompts, lambda _: speech_model.nullcontext())
    tokens = [vocabulary.first_token + token for token in drawn[0].codes]
    ids = torch.tensor([[*prompts[0].ids, *tokens]])
    positions = torch.tensor([[*prompts[0].positions, *range(1, len(tokens) + 1)]])
    with torch.inference_mode():
        whole = lm(input_ids=ids, position_ids=positions, attention_mask=torch.ones_like(ids)).logits[0]
    expected = whole[len(prompts[0].ids) - 1 :, vocabulary.eos :]
    for step in range(len(tokens) + 1):
        got = seen[step].clone()
        got[1] = expected[step, 1]  # padding, which is never drawn
        torch.testing.assert_close(got, expected[step], atol=2e-4, rtol=1e-4)


def test_a_runaway_is_cut_at_its_cap_and_said_to_be_one(tmp_path: Path) -> None:
    """A voice that never ends is cut at `max_factor` times the expected length, and the clip says so."""
    model = finch_factory.make_finch(tmp_path / "untaught")
    with torch.no_grad():  # an embedding that no hidden state is close to: EOS is never drawn
        model._nets.language_model.model.embed_tokens.weight[model._vocabulary.eos] = 0.0
    settings = GenerationSettings(temperature=1.0, top_k=5, max_factor=2.0)
    text = TEXTS[2]
    expected = model._vocabulary.expected_tokens(
        model._inventory.encode(phonemes.pronounce(text).symbols), model._nets.config.voices[0].clock
    )
    speech = model.speak([row(text, settings=settings)])[0]
    assert speech.stop is Stop.CAP
    assert speech.tokens == int(np.ceil(2.0 * expected))


def test_a_voice_that_ends_at_once_still_gives_samples(
    finch: speech_model.FinchModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No tokens at all are a moment of silence that ended by itself, not an error in the vocoder."""
    plain = generation._logits

    def eager_to_end(*inputs: object, **flags: object) -> torch.Tensor:
        logits = plain(*inputs, **flags)  # type: ignore[arg-type]
        logits[:, finch._vocabulary.eos] = 1e6
        return logits

    monkeypatch.setattr(generation, "_logits", eager_to_end)
    speech = finch.speak([row()])[0]
    assert (speech.tokens, speech.stop) == (0, Stop.EOS)
    assert len(speech.samples) > 0
    assert not speech.samples.any()


# ---------------------------------------------------------------------------------------------------------------- clock
@pytest.mark.parametrize(("scale", "expected"), [(0.0, 0.9), (0.5, 1.15), (1.0, 1.4)])
def test_the_clock_goes_from_the_base_voice_to_the_adapter_with_the_scale(
    finch: speech_model.FinchModel, scale: float, expected: float
) -> None:
    """An adapter at half its strength speaks at the pace half way between the base voice's and the target's."""
    one = row(adapter_sha256="a" * 64, lora_scale=scale, voice_settings={"clock": 1.4})
    ids = finch._inventory.encode(phonemes.pronounce(one.text).symbols)
    assert finch._prompt(one).positions == finch._vocabulary.prefix_positions(ids, expected)


def test_the_base_ignores_settings_of_an_adapter(finch: speech_model.FinchModel) -> None:
    """A row of the base is not moved by voice settings that came along."""
    assert finch._prompt(row(voice_settings={"clock": 2.0}, lora_scale=1.0)) == finch._prompt(row())


def test_the_settings_of_a_voice_are_its_mean_pace(finch: speech_model.FinchModel) -> None:
    """The clock is tokens spoken over tokens expected, over all examples together."""
    ids = finch._inventory.encode(phonemes.pronounce(TEXTS[0]).symbols)
    expected = finch._vocabulary.expected_tokens(ids)
    examples = [tuning.Example(tuple(ids), torch.zeros(n, dtype=torch.long), torch.zeros(4 * n, 30)) for n in (40, 60)]
    assert finch.voice_settings(examples, "low") == {"clock": pytest.approx(50 / expected)}


# ------------------------------------------------------------------------------------------------------------ bad input
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"text": "Привет"}, BadInput, "cannot be said"),
        ({"text": "so 😀 nice"}, BadInput, "cannot be said"),
        ({"text": " ... "}, BadInput, "nothing to say"),
        ({"text": "The old lamp is warm. " * 300}, BadInput, "split it"),
        ({"voice": "none"}, NotFound, "low, high"),
        ({"adapter_sha256": "a" * 64, "lora_scale": 0.5}, Refused, "AdapterHost"),
    ],
    ids=["script", "emoji", "nothing", "too-long", "voice", "no-host"],
)
def test_a_row_that_cannot_be_spoken_is_refused_with_a_sentence(
    finch: speech_model.FinchModel, change: dict[str, object], error: type[Exception], words: str
) -> None:
    """What is wrong and what to do, before anything is rendered."""
    with pytest.raises(error, match=words):
        finch.speak([row(), row(**change)])


# ------------------------------------------------------------------------------------------------------------- features
def test_features_come_from_the_cache_the_second_time_and_are_the_same(
    folder: Path, finch: speech_model.FinchModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Audio and text are measured once; a changed text, a changed recording or a torn cache file is measured again."""
    utterances = finch_factory.make_utterances(tmp_path / "clips", TEXTS[:3])
    measured: list[str] = []
    plain = feature_cache._measure

    def spy(utterance, nets):  # type: ignore[no-untyped-def]
        measured.append(utterance.id)
        return plain(utterance, nets)

    monkeypatch.setattr(feature_cache, "_measure", spy)
    cache = tmp_path / "cache"
    finch.measure(utterances[:2], cache)
    assert measured == ["u0", "u1"]
    first = finch.features(utterances, "low", cache)
    assert measured == ["u0", "u1", "u2"]
    with monkeypatch.context() as patch:  # tokens come from the cache as well
        patch.setattr(finch._nets.encoder, "tokens", lambda *_: pytest.fail("the encoder was asked again"))
        again = finch.features(utterances, "low", cache)
    assert measured == ["u0", "u1", "u2"]
    for a, b in zip(first, again, strict=True):
        assert a.phonemes == b.phonemes
        assert torch.equal(a.tokens, b.tokens)
        assert torch.equal(a.target, b.target)
        assert len(a.target) == 4 * len(a.tokens)
    torn = cache / f"{feature_cache.cache_key(utterances[2], finch.base_sha256)}.safetensors"
    torn.write_bytes(torn.read_bytes()[:100])
    shutil.copy(utterances[2].audio_path, utterances[0].audio_path)
    finch.features([utterances[0], replace(utterances[1], text="Close the door."), utterances[2]], "low", cache)
    assert measured[3:] == ["u0", "u1", "u2"]


def test_long_silences_at_the_ends_of_a_recording_are_no_tokens(finch: speech_model.FinchModel, tmp_path: Path) -> None:
    """Seconds of room tone before and after the words would teach the voice to say nothing, and stretch its clock."""
    utterance = finch_factory.make_utterances(tmp_path / "clips", TEXTS[:1])[0]
    plain = finch.features([utterance], "low", tmp_path / "cache")[0]
    samples, rate = audio.read(utterance.audio_path)
    silence = np.zeros(2 * rate, np.float32)
    audio.write(utterance.audio_path, np.concatenate([silence, samples, silence]), rate)
    padded = finch.features([utterance], "low", tmp_path / "cache")[0]
    kept = (feature_cache.MAX_LEAD_SEC + feature_cache.MAX_TAIL_SEC) * 25
    assert len(plain.tokens) < len(padded.tokens) <= len(plain.tokens) + kept + 1


@pytest.mark.parametrize("fault", ["missing", "short", "text"])
def test_an_utterance_that_cannot_be_used_is_named(finch: speech_model.FinchModel, tmp_path: Path, fault: str) -> None:
    """The sentence names the file or the row, so that it can be put right."""
    utterance = finch_factory.make_utterances(tmp_path / "clips", TEXTS[:1])[0]
    if fault == "missing":
        utterance.audio_path.unlink()
    elif fault == "short":
        utterance = finch_factory.make_utterances(tmp_path / "clips", ["a"])[0]
    else:
        utterance = replace(utterance, text="早上好")
    with pytest.raises(BadInput, match="u0" if fault == "text" else "000.wav"):
        finch.features([utterance], "low", tmp_path / "cache")


@pytest.mark.parametrize(("f0_hz", "voice"), [(95.0, "low"), (140.0, "low"), (160.0, "high"), (250.0, "high")])
def test_the_closest_voice_is_the_one_of_the_nearest_pitch(
    finch: speech_model.FinchModel, tmp_path: Path, f0_hz: float, voice: str
) -> None:
    """Voices of 100 and 210 Hz divide at their geometric mean, 145 Hz: pitch is heard on a log scale."""
    assert finch.closest_voice(finch_factory.make_utterances(tmp_path / "clips", f0_hz=f0_hz)) == voice


# -------------------------------------------------------------------------------------------------------------- weights
def _rename(tensors: dict[str, torch.Tensor]) -> None:
    key = max(tensors)
    tensors[f"{key}.other"] = tensors.pop(key)


@pytest.mark.parametrize(
    "change",
    [lambda t: t.pop(max(t)), lambda t: t.update(extra=torch.zeros(1)), _rename],
    ids=["missing", "unexpected", "renamed"],
)
@pytest.mark.parametrize("net", ["language_model", "encoder", "decoder", "vocoder"])
def test_weights_with_a_tensor_too_few_or_too_many_are_refused(
    folder: Path, tmp_path: Path, net: str, change: Callable[[dict[str, torch.Tensor]], object]
) -> None:
    """Every expected tensor is loaded and no unexpected one, even when the files are otherwise whole."""
    damaged = tmp_path / "weights"
    shutil.copytree(folder, damaged)
    tensors = load_file(str(damaged / f"{net}.safetensors"))
    change(tensors)
    save_file(tensors, str(damaged / f"{net}.safetensors"))
    config = stored_config(damaged)
    config["sha256"][net] = speech_model.weights.hashlib.sha256(
        (damaged / f"{net}.safetensors").read_bytes()
    ).hexdigest()
    (damaged / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadInput, match="cannot be used"):
        speech_model.load(base_model=str(damaged))


def test_altered_or_missing_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    """A flipped bit in a weight file is found, and weights that are not there are said to be missing."""
    altered = tmp_path / "weights"
    shutil.copytree(folder, altered)
    data = bytearray((altered / "decoder.safetensors").read_bytes())
    data[-1] ^= 1
    (altered / "decoder.safetensors").write_bytes(bytes(data))
    with pytest.raises(BadInput, match=r"decoder\.safetensors"):
        speech_model.load(base_model=str(altered))
    with pytest.raises(NotFound, match="no Finch weights"):
        speech_model.load(base_model=str(tmp_path / "nowhere"))


def test_the_base_hash_covers_what_speaks_and_not_what_listens(folder: Path) -> None:
    """Another ear leaves adapters and clips valid; another decoder, or another clock of a voice, is another base."""
    config = stored_config(folder)
    same = base_sha256(config)
    assert info(folder).base_sha256 == speech_model.load(base_model=str(folder)).base_sha256 == same
    assert base_sha256(config | {"sha256": config["sha256"] | {"ear": "0" * 64}}) == same
    assert base_sha256(config | {"sha256": config["sha256"] | {"decoder": "0" * 64}}) != same
    assert base_sha256(config | {"voices": [config["voices"][0] | {"clock": 1.3}]}) != same


def test_what_is_known_without_loading_is_what_loading_says(folder: Path, finch: speech_model.FinchModel) -> None:
    """Forms and audits that never load the voice name its voices, parts and rate, and know what it cannot say."""
    known = info(folder)
    assert (known.voices, known.parts) == (finch.capabilities.voices, finch.capabilities.parts)
    assert known.sample_rate == finch.sample_rate
    assert known.unpronounceable(TEXTS[0]) is None
    assert "cannot pronounce" in str(known.unpronounceable("naïve 中文"))


def test_adapters_of_other_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    """An adapter knows the hash of the base it was trained on."""
    from tests.adapter_factory import make_adapter

    other = finch_factory.make_finch(tmp_path / "other", seed=5)
    targets = {part.name: part.target_modules for part in other.lora_parts()}
    adapter = make_adapter(tmp_path / "adapter", other, seed=1, targets=targets)
    with pytest.raises(Refused, match="load its own base"):
        AdapterHost(speech_model.load(base_model=str(folder))).add(adapter)
