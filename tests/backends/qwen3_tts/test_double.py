"""The code of the Qwen3-TTS backend, over a stand-in for upstream's classes: the tests of the voice's own environment
show that the real ones behave so.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import backends, environments, needs, presets, speaking_settings
from engine.backends.qwen3_tts import generation, info, layout, loading, native, teaching
from engine.backends.qwen3_tts.speech_model import Qwen3TtsModel
from engine.backends.qwen3_tts.teaching import Example
from engine.backends.speech_model import SpeechModel
from engine.types import BadInput, GenerationSettings, NotFound, Reference, SpeakRow, Speech, Stop
from tests import qwen3_tts_double, qwen3_tts_factory
from tests.backends.invariants import Case, SpeechModelInvariants
from tests.qwen3_tts_factory import GROUPS, NAME, TEXTS

SETTINGS = GenerationSettings(temperature=0.8, max_factor=0.4)


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return qwen3_tts_double.make(tmp_path_factory.mktemp("qwen3") / "base")


@pytest.fixture(name="model")
def _model(folder: Path) -> Qwen3TtsModel:
    return qwen3_tts_double.load(folder)


def row(text: str = TEXTS[0], **changes: object) -> SpeakRow:
    return replace(SpeakRow(text=text, voice="default", seed=3, settings=SETTINGS), **changes)  # type: ignore[arg-type]


def spoken_example(model: Qwen3TtsModel, one: SpeakRow, _speech: Speech | None) -> Example:
    """The text with the codes that were said for it."""
    codes = generation.stacked(model.draw([one])[0].codes, GROUPS)
    return Example("", layout.text_ids(model._ids, one.text), codes, model.target(one).speaker)


class TestInvariants(SpeechModelInvariants):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
        work = tmp_path_factory.mktemp("case")
        return Case(
            make=lambda: qwen3_tts_double.load(folder),
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


def test_a_frames_further_codes_are_drawn_by_settings_of_their_own(model: Qwen3TtsModel) -> None:
    """The sub-talker's temperature changes what is drawn within a frame and not the first frame's first code; greedy it
    has no chance in it, and without a setting it follows the row's temperature.
    """

    def first(own: dict[str, float], seed: int = 3) -> list[int]:
        asked = row(seed=seed, settings=replace(SETTINGS, temperature=0.0, own=own))
        codes: list[int] = generation.stacked(model.draw([asked])[0].codes, GROUPS)[0].tolist()
        return codes

    plain, warm = first({}), first({"subtalker_temperature": 5.0})
    assert (plain[0], plain[1:] == warm[1:]) == (warm[0], False)
    assert first({"subtalker_temperature": 0.0}) == plain == first({"subtalker_temperature": 5.0, "subtalker_top_k": 1})
    assert len({tuple(first({"subtalker_temperature": 5.0}, seed)) for seed in range(3)}) == 3


def test_it_is_drawn_from_as_its_folder_says(folder: Path) -> None:
    """Upstream's numbers where `generation_config.json` is silent; its own names for the sub-talker's."""
    found = speaking_settings.usual(info.info("qwen3_tts", folder))
    told = {"subtalker_temperature": 0.9, "subtalker_top_k": 50, "subtalker_top_p": 1.0}
    assert found == GenerationSettings(temperature=0.9, top_k=50, repetition_penalty=1.05, own=told)


def test_the_training_step_teaches_what_is_spoken(model: Qwen3TtsModel) -> None:
    """Teacher forcing over greedily spoken codes gives them back, all of them, in every group."""
    assert [model.agreement(text, voice) for text in TEXTS for voice in ("default", "default@english")] == [1.0] * 8


def test_a_shifted_label_breaks_the_agreement(model: Qwen3TtsModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels one place too far, of the talker or of the predictor: the check finds each."""
    example = spoken_example(model, row(settings=replace(SETTINGS, temperature=0.0)), None)
    target = model.target(row())
    right = teaching.predict(model._net, [example], [target])
    for wrong in (
        replace(right, first=right.first.roll(-1, 0)),
        replace(right, others=right.others.roll(-1, 1)),
        replace(right, others=right.others.roll(-1, 0)),
    ):
        monkeypatch.setattr(teaching, "predict", lambda *_, wrong=wrong: wrong)
        assert teaching.agreement(model._net, example, target) < 0.95


def test_training_never_asks_for_upstreams_own_loss(model: Qwen3TtsModel, tmp_path: Path) -> None:
    """Its classes shift labels that are shifted already: no `labels` reach them, and the end of a clip is trained."""
    asked: list[set[str]] = []
    for module in (model._net.talker.model, model._net.talker.code_predictor.model):
        module.register_forward_pre_hook(lambda _m, _a, given: asked.append(set(given)), with_kwargs=True)
    examples = model.features(qwen3_tts_factory.make_utterances(tmp_path), "default", tmp_path / "cache")
    model.loss(examples, "default", ("talker",), None)
    assert asked
    assert all("labels" not in given for given in asked)
    found = teaching.predict(model._net, examples, [model.target(row())] * 3)
    assert found.wanted.tolist().count(1070) == len(examples)
    assert found.wanted[-1] == 1070


def test_the_language_is_told_in_training_as_in_speaking(model: Qwen3TtsModel) -> None:
    """The voice's name says it, and stays with run, adapter, candidate and clip: no tag, or one position more."""
    ids = layout.text_ids(model._ids, "hello")
    plain = model._layout.prompt(ids, model.target(row()))
    told = model._layout.prompt(ids, model.target(row(voice="default@english")))
    assert len(told) == len(plain) + 1
    assert model._target("default@english", None).language == qwen3_tts_factory.LANGUAGES["english"]
    assert info.speaker_and_language("default") == ("default", "")


def test_modes_of_speaking(model: Qwen3TtsModel, tmp_path: Path) -> None:
    """A vector alone, a reference that is gone on from, and none: three prompts, and the clip is the take alone."""
    clip = qwen3_tts_factory.make_utterances(tmp_path, count=1)[0].audio_path
    vector = Reference(audio_path=clip, text="", sha256="1")
    spoken = model.speak([row(), row(reference=vector), row(reference=replace(vector, text="no", sha256="2"))])
    assert len({speech.samples.tobytes() for speech in spoken}) == 3
    assert all(len(speech.samples) == info.FRAME_SAMPLES * speech.tokens for speech in spoken)
    told = [speech.speech_tokens.reference for speech in spoken if speech.speech_tokens]
    assert [bool(heard) for heard in told] == [False, False, True], "a vector is heard without tokens"


def test_rows_end_and_are_cut_apart(model: Qwen3TtsModel) -> None:
    """Each by its own end or its own cap, whatever shares the batch, and no row has a frame after its end."""
    rows = [row(text, seed=seed) for seed in range(6) for text in ("a", "mine a z")]
    spoken = model.speak(rows)
    assert {speech.stop for speech in spoken} == {Stop.EOS, Stop.CAP}
    for one, speech in zip(rows, spoken, strict=True):
        most = int(np.ceil(len(one.text) * 4.2 * 0.4)) + 12
        assert (speech.stop is Stop.CAP) == (speech.tokens == most)
        alone = model.speak([one])[0]
        assert (speech.tokens, speech.stop) == (alone.tokens, alone.stop)
        assert np.allclose(speech.samples, alone.samples, atol=1e-5)


def test_the_vector_of_an_adapter_is_heard_at_scale_0(model: Qwen3TtsModel, tmp_path: Path) -> None:
    """Scale 0 is the base's weights with the voice's own vector: a control that differs in nothing but the adapter."""
    examples = model.features(qwen3_tts_factory.make_utterances(tmp_path), "default", tmp_path / "cache")
    settings = model.voice_settings(examples, "default")
    assert json.loads(json.dumps(settings)) == settings
    at_0 = model.speak([row(voice_settings=settings)])[0]
    assert not np.array_equal(at_0.samples, model.speak([row()])[0].samples)
    assert torch.equal(model.target(row(voice_settings=settings)).speaker, examples[0].speaker)  # type: ignore[arg-type]


def test_a_folder_is_known_without_its_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists and forms need no environment: voices with their language tags, rates, and what is wrong with a folder."""
    monkeypatch.setenv("EARMARK_QWEN3_TTS", str(folder))
    told = backends.info(NAME)
    assert told.voices == ("default", "default@chinese", "default@english")
    assert (told.sample_rate, told.parts, told.title) == (24_000, ("talker", "predictor"), "Qwen3-TTS TINY Base")
    assert told.max_sec * info.FRAMES_A_SECOND < info.MAX_FRAMES


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"model_type": "qwen2"}, BadInput, "Qwen3-TTS model in its original format"),
        ({"tts_model_type": "voice_design"}, BadInput, "Base models are fine-tuned"),
        ({"tokenizer_type": "qwen3_tts_tokenizer_25hz"}, BadInput, "only qwen3_tts_tokenizer_12hz"),
        ({"talker_config": {"codec_language_id": None}}, BadInput, "damaged"),
        ({"talker_config": 3}, BadInput, "damaged"),
    ],
)
def test_a_folder_that_is_another_models_is_named(
    tmp_path: Path, change: dict[str, object], error: type[Exception], words: str
) -> None:
    """Each fault of a model folder is a sentence with its mend."""
    folder = qwen3_tts_double.make(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(error, match=words):
        info.read(folder)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    """Weights, tokenizer, codec: before anything is loaded."""
    for number, file in enumerate(("merges.txt", "model.safetensors", "speech_tokenizer/config.json")):
        folder = qwen3_tts_double.make(tmp_path / str(number))
        (folder / file).unlink()
        with pytest.raises(NotFound, match=file):
            info.read(folder)


def test_limits_are_those_that_data_is_cleaned_for(folder: Path) -> None:
    """A dataset that was cleaned before anybody named a model folder suits the model that is named then."""
    need = next(one for one in needs.ELSEWHERE if one.name == NAME)
    told = info.info(NAME, folder)
    assert (need.min_sec, need.max_sec, need.sample_rate) == (told.min_sec, told.max_sec, told.sample_rate)
    assert (need.max_sec + need.append_silence_sec) * info.FRAMES_A_SECOND <= info.MAX_FRAMES


def test_the_page_says_what_is_so(repository: Path) -> None:
    """The model's page names the versions that are loaded, the parts, limits and presets as they are, the settings of
    the environment, and what was not run.
    """
    page = (repository / "docs/models/qwen3_tts.md").read_text(encoding="utf-8")
    pinned = environments.requirements(NAME).packages()
    for package in ("qwen-tts", "transformers", "torch"):
        assert f"{package} {pinned[package].removeprefix('==')}" in page
    for (package, version), transformers in loading.SUPPORTED.items():
        assert package in page
        assert version in page
        assert all(one in page for one in transformers)
    assert "What has not been run" in page
    assert f"{info.MIN_SEC:g} to {info.MAX_SEC:g} s" in page
    assert backends.FOLDERS[NAME] in page
    for part in info.PARTS:
        assert f"| `{part}` |" in page
    config = presets.default(NAME)
    assert (
        f"rank {config.rank}, alpha {config.alpha:g}, dropout {config.dropout:g}, {config.learning_rate:g}".replace(
            "e-06", "e-6"
        )
        in page
    )
    assert config.parts == ("talker",)
    assert config.target_modules == info.PROJECTIONS
    for preset in presets.of(NAME):
        assert f"| {preset.name} |" in page, preset.name
    assert f"`{native.SPEAKER}`" in page
