"""CosyVoice 2 and 3 keep every SpeechModel invariant, and say and learn what upstream's own code does.

The classes are upstream's where COSYVOICE_DIR names a checkout, else a stand-in with the same names and habits.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import speaking_settings
from engine.backends.cosyvoice import checkout, drawing, generation, info, loading, rendering, sequences, speech_model
from engine.backends.cosyvoice.frontend import END_OF_PROMPT
from engine.backends.cosyvoice.sequences import Example
from engine.types import BadInput, GenerationSettings, NotFound, Reference, SpeakRow, Speech, Stop
from tests import cosyvoice_factory
from tests.backends.invariants import Case, SpeechModelInvariants
from tests.cosyvoice_factory import CODE, SECOND, TEXTS, THIRD

SHORT = GenerationSettings(temperature=0.9, top_k=25, top_p=0.8, max_factor=0.4)
GREEDY = GenerationSettings(temperature=0.0, max_factor=1.0)


@pytest.fixture(scope="module", name="folders")
def _folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("cosyvoice")
    return {name: cosyvoice_factory.make(root / name, name) for name in (SECOND, THIRD)}


@pytest.fixture(autouse=True, scope="module")
def _checkout() -> Any:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("EARMARK_COSYVOICE_CHECKOUT", str(CODE))
        yield


@pytest.fixture(name="model", params=[SECOND, THIRD])
def _model(request: pytest.FixtureRequest, folders: dict[str, Path]) -> speech_model.CosyVoiceModel:
    return load(folders, request.param)


@pytest.fixture(name="third")
def _third(folders: dict[str, Path]) -> speech_model.CosyVoiceModel:
    return load(folders, THIRD)


def load(folders: dict[str, Path], name: str) -> speech_model.CosyVoiceModel:
    made: speech_model.CosyVoiceModel = cosyvoice_factory.hear(speech_model.load(name, folders[name], "cpu"))
    return made


def row(text: str = TEXTS[0], **changes: object) -> SpeakRow:
    return replace(SpeakRow(text=text, voice="default", seed=3, settings=SHORT), **changes)  # type: ignore[arg-type]


def spoken_example(model: speech_model.CosyVoiceModel, row: SpeakRow, _speech: Speech) -> Example:
    """The text with the tokens that were drawn for it. Its spectrogram is the flow's own."""
    asked, drawn = model._asked(row), model.drawn([row])[0]
    mel = rendering.spectrogram(model._nets.flow, drawn.tokens, rendering.nothing(), device="cpu", rate=25)
    return Example(
        key="0" * 64,
        prompt=asked.prompt,
        text=asked.text,
        tokens=torch.tensor(drawn.tokens),
        mel=mel[0].T.clone(),
        speaker=rendering.nothing().speaker,
    )


class Invariants(SpeechModelInvariants):
    kind = THIRD

    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Case:
        work = tmp_path_factory.mktemp("case")
        return Case(
            make=lambda: load(folders, cls.kind),
            voice="default",
            texts=TEXTS,
            utterances=cosyvoice_factory.make_utterances(work / "clips"),
            folder=work,
            example_of=spoken_example,
            learning_rate=2e-3 if cosyvoice_factory.WIDTHS[cls.kind] > 100 else 2e-2,
            settings=SHORT,
        )

    def test_teacher_forcing_predicts_what_was_generated(self, case: Case, model: Any) -> None:
        """Training and speaking agree about which token follows which: its own greedy words are what the model thinks
        most probable at every place, and its end where it ended.
        """
        for one in case.rows()[:3]:
            greedy = replace(one, settings=GREEDY)
            asked = replace(model._asked(greedy), least=0)
            drawn = generation.generate(model._nets.llm, [asked], [greedy])[0]
            example = Example(
                "0" * 64,
                asked.prompt,
                asked.text,
                torch.tensor(drawn.tokens, dtype=torch.long),
                torch.zeros(0, 80),
                torch.zeros(192),
            )
            with torch.no_grad():
                told = model._nets.llm(sequences.for_llm([example]), torch.device("cpu"))
            places = len(drawn.tokens) + 1
            assert float(told["acc"]) * places >= places - (drawn.stop is Stop.CAP) - 1e-4


class TestSecond(Invariants):
    kind = SECOND


class TestThird(Invariants):
    kind = THIRD


# ------------------------------------------------------------------------------------------------ upstream's own answer
needs_upstream = pytest.mark.skipif(not cosyvoice_factory.IS_REAL, reason="COSYVOICE_DIR names no checkout")


@needs_upstream
def test_tokens_are_those_of_upstreams_own_decoding(model: speech_model.CosyVoiceModel) -> None:
    """Greedy tokens of a batch are those of upstream's `inference`, one text at a time, with its mask mended."""
    rows = [row(text, settings=GREEDY) for text in TEXTS]
    asked = [replace(model._asked(one), least=0) for one in rows]
    ours = generation.generate(model._nets.llm, asked, rows)
    llm: Any = model._nets.llm
    llm.sampling = lambda scores, *_: int(scores.argmax())
    for one, drawn in zip(asked, ours, strict=True):
        told = llm.inference(
            text=torch.tensor([one.text]),
            text_len=torch.tensor([len(one.text)], dtype=torch.int32),
            prompt_text=torch.tensor([one.prompt], dtype=torch.long),
            prompt_text_len=torch.tensor([len(one.prompt)], dtype=torch.int32),
            prompt_speech_token=torch.zeros(1, 0, dtype=torch.long),
            prompt_speech_token_len=torch.tensor([0], dtype=torch.int32),
            embedding=torch.zeros(0, 192),
            max_token_text_ratio=one.most / len(one.text) + 1e-6,
            min_token_text_ratio=0,
        )
        assert tuple(told) == drawn.tokens


@needs_upstream
def test_sound_is_upstreams_own(model: speech_model.CosyVoiceModel, tmp_path: Path) -> None:
    """Given the same tokens, reference and seed, flow and vocoder say what upstream's pipeline says."""
    with checkout.importable(CODE):
        from cosyvoice.cli import model as upstream
    kind = upstream.CosyVoice2Model if model.name == SECOND else upstream.CosyVoice3Model
    theirs = kind(model._nets.llm, model._nets.flow, model._nets.hift)
    clip = cosyvoice_factory.make_utterances(tmp_path, count=1)[0].audio_path
    prompt, tokens = model._frontend.features(clip), [5, 7, 9, 11, 40, 41] * 3
    ours = rendering.samples(
        model._nets.hift, rendering.spectrogram(model._nets.flow, tokens, prompt, device="cpu", rate=25), seed=4
    )
    theirs.hift_cache_dict["one"] = None
    torch.manual_seed(4)
    said = theirs.token2wav(
        torch.tensor([tokens]),
        prompt.tokens[None],
        prompt.mel[None],
        prompt.speaker[None],
        token_offset=0,
        uuid="one",
        finalize=True,
    )
    assert np.allclose(ours, said.reshape(-1).numpy(), atol=1e-6)


# ------------------------------------------------------------------------------------------------------ how it is asked
def test_the_mark_that_ends_a_prompt_is_there_once(third: speech_model.CosyVoiceModel) -> None:
    """Version 3 fails without the mark and garbles with two: whatever text and transcript bring, there is one."""
    mark = third._frontend.ids(END_OF_PROMPT)
    assert len(mark) == 1
    for words in ("a cat", f"a{END_OF_PROMPT}cat", f"{END_OF_PROMPT}"):
        ids = [*third._frontend.prompt_ids(words), *third._frontend.text_ids(f"we{END_OF_PROMPT} go")]
        assert ids.count(mark[0]) == 1
    told = third._frontend.prompt_ids(instruction="slowly")
    assert told.count(mark[0]) == 1
    assert told == third._frontend.prompt_ids(instruction=f"You are a helpful assistant. slowly{END_OF_PROMPT}")


def test_what_a_voice_is_told_stands_in_the_place_of_the_references_words(
    model: speech_model.CosyVoiceModel, tmp_path: Path
) -> None:
    """Upstream's instruct mode, in training and in speaking: words are read, the reference is heard by the flow."""
    utterances = cosyvoice_factory.make_utterances(tmp_path, count=1)
    told = Reference(audio_path=utterances[0].audio_path, text="a cat", sha256="1")
    asked = model._asked(row(voice="default@Speak slowly.", reference=told))
    assert asked.prompt == tuple(model._frontend.prompt_ids(instruction="Speak slowly."))
    assert len(asked.speech) == 0
    plain, slow = model.speak([row(reference=told), row(voice="default@Speak slowly.", reference=told)])
    assert plain.tokens != slow.tokens or not np.array_equal(plain.samples, slow.samples)
    taught = model.features(utterances, "default@Speak slowly.", tmp_path / "cache")[0]
    assert taught.prompt == asked.prompt
    with pytest.raises(NotFound, match="has no voice 'default@'"):
        model.speak([row(voice="default@")])


def test_long_silences_are_kept_where_that_is_asked_for(
    model: speech_model.CosyVoiceModel, folders: dict[str, Path]
) -> None:
    """Each row says it, of version 3 alone, and as upstream does it where it says nothing: two clips that differ in
    nothing else are told apart by their settings.
    """
    told = info.info(model.name, folders[model.name])
    drawn = generation.Drawn((1,) * 12, Stop.EOS)
    kept, shortened = (speaking_settings.in_force({info.SHORTEN_SILENCES: value}, told) for value in (0, 1))
    long, short, unsaid = (
        len(model._speech(row(settings=settings), rendering.nothing(), drawn, 0.0).samples)
        for settings in (kept, shortened, SHORT)
    )
    is_third = model.name == THIRD
    assert (long / short, unsaid) == (pytest.approx(12 / 5 if is_third else 1), short)
    assert speaking_settings.usual(told).own == ({info.SHORTEN_SILENCES: 1} if is_third else {})


def test_instructed_voices_are_known_before_loading(folders: dict[str, Path]) -> None:
    """The only voice may be told something; there is no other."""
    told = info.info(THIRD, folders[THIRD])
    assert told.has_voice("default@Speak slowly.")
    assert not told.has_voice("robin@Speak slowly.")


def test_a_reference_is_gone_on_from_with_its_words_and_sounded_like_without(
    model: speech_model.CosyVoiceModel, tmp_path: Path
) -> None:
    """With a transcript the language model goes on from the reference's tokens; without one only the flow hears it."""
    clip = cosyvoice_factory.make_utterances(tmp_path, count=1)[0].audio_path
    told = Reference(audio_path=clip, text="a cat", sha256="1")
    known, unknown = row(reference=told), row(reference=replace(told, text=""))
    assert len(model._asked(known).speech) > 0
    assert len(model._asked(unknown).speech) == 0
    assert model.drawn([unknown]) == model.drawn([row()])
    plain, like = model.speak([row(), unknown])
    assert plain.speech_tokens is not None
    assert like.speech_tokens is not None
    assert plain.speech_tokens.reference == ()
    assert like.speech_tokens.said == plain.speech_tokens.said == model.drawn([row()])[0].tokens
    assert like.speech_tokens.reference == tuple(model._asked(known).speech.tolist())
    assert plain.tokens == like.tokens
    assert not np.array_equal(plain.samples, like.samples)


def test_a_voice_without_a_reference_has_its_own_speaker(model: speech_model.CosyVoiceModel, tmp_path: Path) -> None:
    """The mean speaker vector of the training rows is kept with the adapter and heard at any scale but 0."""
    examples = model.features(cosyvoice_factory.make_utterances(tmp_path / "clips"), "default", tmp_path / "cache")
    settings = model.voice_settings(examples, "default")
    assert len(settings) == 192
    assert sum(value**2 for value in settings.values()) == pytest.approx(1.0)
    host_row = row(voice_settings=settings, lora_scale=0.5)
    base, own = model.speak([row(voice_settings=settings), host_row])
    assert base.tokens == own.tokens
    assert not np.array_equal(base.samples, own.samples)
    assert np.array_equal(base.samples, model.speak([row()])[0].samples)
    with pytest.raises(BadInput, match="bring in the adapter again"):
        model.speak([replace(host_row, voice_settings={"speaker_000": 1.0})])


def test_a_flow_without_weights_is_known_by_the_runs_own_clips(
    model: speech_model.CosyVoiceModel, tmp_path: Path
) -> None:
    """Zero, one mean and a mean a bin lose what they are computed to lose under upstream's own draw of noise, so that a
    first loss can be held against them.
    """
    examples = model.features(cosyvoice_factory.make_utterances(tmp_path / "clips"), "default", tmp_path / "cache")
    told = sequences.ladder(examples)
    mel = torch.cat([example.mel for example in examples])
    torch.manual_seed(0)
    lost = {
        name: float(torch.stack([(mel - torch.randn_like(mel) - answer).square().mean() for _ in range(20)]).mean())
        for name, answer in (("zero", 0.0), ("mean", mel.mean()), ("bins", mel.mean(dim=0)))
    }
    assert lost == pytest.approx({"zero": told.zero, "mean": told.mean, "bins": told.bins}, rel=0.01)
    assert told.zero > told.mean > told.bins
    assert model.unloaded_loss(examples) == {"flow": told.bins}


def test_sizes_are_those_of_the_loaded_model(model: speech_model.CosyVoiceModel, folders: dict[str, Path]) -> None:
    """What a memory estimate counts in files, without reading their numbers, is what is there once loaded."""
    told = info.size(model.name, folders[model.name])
    for part, lora in zip(told.parts, model.lora_parts(), strict=True):
        module = model.part(part.name)
        assert part.parameters == sum(p.numel() for p in module.parameters())
        shapes = [
            (m.in_features, m.out_features)
            for name, m in module.named_modules()
            if isinstance(m, torch.nn.Linear) and name.endswith(lora.target_modules)
        ]
        assert sorted(shapes) == sorted(shape for name in part.targets for shape in part.linears[name])
        assert part.saved.trained > part.saved.frozen > 0
    assert told.frozen_parameters == sum(p.numel() for p in model._nets.hift.parameters())


def test_one_net_at_a_time_is_on_the_device(model: speech_model.CosyVoiceModel, tmp_path: Path) -> None:
    """Where a card has room for one part, whatever is computed sends the others to main memory first, and the losses
    are the same.
    """
    examples = model.features(cosyvoice_factory.make_utterances(tmp_path / "clips"), "default", tmp_path / "cache")
    together = model.loss(examples, "default", ("llm", "flow"), 5)
    where: dict[str, str] = {}
    most = 0

    def watched(name: str, net: Any) -> Any:
        original = net.to

        def to(device: str) -> Any:
            nonlocal most
            where[name] = str(device)
            most = max(most, list(where.values()).count("cpu:0"))
            return original(device)

        return to

    for name in ("llm", "flow", "hift"):
        net = getattr(model._nets, name)
        net.to = watched(name, net)
    model.device = "cpu:0"
    model.keep_one_part()
    alone = {part: model.loss(examples, "default", (part,), 5)[part] for part in ("llm", "flow")}
    assert {name: float(one) for name, one in alone.items()} == {name: float(one) for name, one in together.items()}
    model.speak([row()])
    assert where == {"llm": "cpu", "flow": "cpu", "hift": "cpu:0"}
    assert most == 1


def test_rows_that_cannot_be_spoken_are_named(model: speech_model.CosyVoiceModel) -> None:
    """A text without words, a voice that is not there: each with what to do."""
    with pytest.raises(BadInput, match="give it words"):
        model.speak([row("?!")])
    with pytest.raises(NotFound, match="a reference makes others"):
        model.speak([row(voice="robin")])


def test_clips_that_are_too_long_are_named_and_never_cut(model: speech_model.CosyVoiceModel, tmp_path: Path) -> None:
    """Upstream drops long clips and long texts in silence, and others cut the audio against its text."""
    utterance = cosyvoice_factory.make_utterances(tmp_path, count=1)[0]
    from engine import audio

    long = tmp_path / "long.wav"
    audio.write(long, np.zeros(24_000 * 31, np.float32), 24_000)
    with pytest.raises(BadInput, match=r"Row clip0: long.wav is 31.0 s long.*cut it at a pause"):
        model.features([replace(utterance, audio_path=long)], "default", tmp_path / "cache")
    with pytest.raises(BadInput, match="a text is never cut by itself"):
        model.features([replace(utterance, text="word " * 300)], "default", tmp_path / "cache")


# ---------------------------------------------------------------------------------------------------------- the loading
def test_cached_decoding_that_is_off_is_refused(third: speech_model.CosyVoiceModel) -> None:
    """A mask of one token, as upstream has it, garbles every word after the first under newer transformers."""
    llm: Any = third._nets.llm
    loading.check_cached_decoding(llm)

    def upstreams(xs: Any, masks: Any, cache: Any = None) -> Any:
        told = llm.llm.model(inputs_embeds=xs, attention_mask=None, output_hidden_states=True, use_cache=True)
        return told.hidden_states[-1], told.cache

    llm.llm.forward_one_step = upstreams
    with pytest.raises(Exception, match="speech would be garbled"):
        loading.check_cached_decoding(llm)


def test_weights_that_are_missing_or_too_many_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    """A silent mismatch would sound like a bad checkpoint."""
    import shutil

    for change, told in (("lacks", "lacks 1 weights"), ("has", "has 1 weights")):
        broken = tmp_path / change
        shutil.copytree(folders[THIRD], broken)
        state = torch.load(broken / "flow.pt", weights_only=True)
        if change == "lacks":
            state.pop(next(iter(state)))
        else:
            state["strange.weight"] = torch.zeros(1)
        torch.save(state, broken / "flow.pt")
        with pytest.raises(BadInput, match=told):
            speech_model.load(THIRD, broken, "cpu")


def test_a_folder_of_another_version_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    """Each fault of a folder says which file, and what to do."""
    with pytest.raises(BadInput, match="choose cosyvoice2"):
        info.read(THIRD, folders[SECOND])
    with pytest.raises(NotFound, match="no folder of CosyVoice's weights"):
        info.read(THIRD, tmp_path)
    (tmp_path / "cosyvoice.yaml").write_text("sample_rate: 22050\n", encoding="utf-8")
    with pytest.raises(BadInput, match="holds CosyVoice 1"):
        info.read(THIRD, tmp_path)
    found = info.info(THIRD, folders[THIRD])
    assert (found.sample_rate, found.parts, found.reference) == (24_000, ("llm", "flow"), "optional")


# --------------------------------------------------------------------------------------------------------- the drawing
def test_a_token_that_was_just_said_is_drawn_again_from_all() -> None:
    """Upstream's repetition-aware sampling: the nucleus, and where its token is among the last ten, all others."""
    scores = torch.full((1, 8), -20.0)
    scores[0, 3], scores[0, 5] = 8.0, 1.0
    asked = row(settings=GenerationSettings(temperature=1.0, top_k=25, top_p=0.8))
    for seed in range(20):
        fresh = drawing.Chooser([replace(asked, seed=seed)], 8).choose(scores, [[]], [False], 8)
        again = drawing.Chooser([replace(asked, seed=seed)], 8).choose(scores, [[3]], [False], 8)
        assert (fresh, again) == ([3], [5])
        long_ago = drawing.Chooser([replace(asked, seed=seed)], 8).choose(scores, [[3, *[0] * 10]], [False], 8)
        assert long_ago == [3]


def test_nothing_ends_before_its_time() -> None:
    """All of version 3's ends are kept from a row that has not said its fewest tokens; upstream keeps one of them."""
    scores = torch.zeros(2, 10)
    scores[:, 6:] = 50.0
    rows = [row(seed=1), row(seed=2)]
    early, late = drawing.Chooser(rows, 10).choose(scores, [[], []], [True, False], 6)
    assert early < 6 <= late


def test_long_silences_are_shortened_as_upstream_does() -> None:
    """Five silent tokens in a row are kept, and other tokens all."""
    assert rendering.shortened([7, *[1] * 9, 8, 28, 29]) == [7, *[1] * 5, 8, 28, 29]


def test_a_text_has_bounds_that_grow_with_it() -> None:
    """At the usual factor they are upstream's: 2 to 20 speech tokens a text token."""
    assert generation.bounds(10, 3.0) == (20, 200)
    assert generation.bounds(10, 1.0)[1] == 67
    least, most = generation.bounds(1, 0.1)
    assert 1 <= least <= most or most == 1
