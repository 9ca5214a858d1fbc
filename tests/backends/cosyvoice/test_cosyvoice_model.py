"""How CosyVoice 1, 2 and 3 are asked, what they refuse, and what they are told before a word is drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import speaking_settings
from engine.backends.cosyvoice import drawing, generation, info, loading, rendering, sequences, speech_model, steps
from engine.backends.cosyvoice.frontend import END_OF_PROMPT
from engine.backends.drawn_rows import Drawn
from engine.types import BadInput, GenerationSettings, NotFound, Reference, Refused, Stop
from tests import cosyvoice_factory
from tests.cosyvoice_factory import FIRST, SECOND, SHORT, THIRD, row


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
    told_otherwise = model.features(utterances, "default@Speak fast.", tmp_path / "cache")
    losses = [float(model.loss([one], "default", ("llm",), None)["llm"]) for one in (taught, *told_otherwise)]
    assert losses[0] != losses[1], "the class was not given the instruction"
    with pytest.raises(NotFound, match="has no voice 'default@'"):
        model.speak([row(voice="default@")])


def test_long_silences_are_kept_where_that_is_asked_for(
    model: speech_model.CosyVoiceModel, folders: dict[str, Path]
) -> None:
    """Each row says it, of version 3 alone, and as upstream does it where it says nothing: two clips that differ in
    nothing else are told apart by their settings.
    """
    told = info.info(model.name, folders[model.name])
    drawn = Drawn([1] * 12, Stop.EOS)
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
    assert not told.has_voice("wren@Speak slowly.")


def test_a_reference_is_gone_on_from_with_its_words_and_sounded_like_without(
    model: speech_model.CosyVoiceModel, tmp_path: Path
) -> None:
    """With a transcript the language model goes on from the reference's tokens; without one only the flow hears it."""
    clip = cosyvoice_factory.make_utterances(tmp_path, count=1)[0].audio_path
    told = Reference(audio_path=clip, text="a cat", sha256="1")
    known, unknown = row(reference=told), row(reference=replace(told, text=""))
    assert len(model._asked(known).speech) > 0
    assert len(model._asked(unknown).speech) == 0
    plain, like = model.speak([row(), unknown])
    assert plain.speech_tokens is not None
    assert like.speech_tokens is not None
    assert plain.speech_tokens.reference == ()
    assert plain.speech_tokens.said == tuple(model.drawn([row()])[0].codes)
    assert like.speech_tokens.said == tuple(model.drawn([unknown])[0].codes)
    assert like.speech_tokens.reference == tuple(model._asked(known).speech.tolist())
    if model.name == FIRST:  # its language model hears who speaks
        assert torch.equal(model._asked(unknown).speaker, model._frontend.features(clip).speaker)
    else:
        assert like.speech_tokens.said == plain.speech_tokens.said
    assert not np.array_equal(plain.samples, like.samples)


def test_a_voice_without_a_reference_has_its_own_speaker(model: speech_model.CosyVoiceModel, tmp_path: Path) -> None:
    """The mean speaker vector of the training rows is kept with the adapter and heard at any scale but 0."""
    examples = model.features(cosyvoice_factory.make_utterances(tmp_path / "clips"), "default", tmp_path / "cache")
    settings = model.voice_settings(examples, "default")
    assert len(settings) == 192
    assert sum(value**2 for value in settings.values()) == pytest.approx(1.0)
    host_row = row(voice_settings=settings, lora_scale=0.5)
    base, own = model.speak([row(voice_settings=settings), host_row])
    assert base.tokens == own.tokens or model.name == FIRST  # whose language model hears who speaks
    assert not np.array_equal(base.samples, own.samples)
    assert np.array_equal(base.samples, model.speak([row()])[0].samples)
    with pytest.raises(BadInput, match="bring in the adapter again"):
        model.speak([replace(host_row, voice_settings={"speaker_000": 1.0})])


def test_a_flow_without_weights_is_known_by_the_runs_own_clips(
    model: speech_model.CosyVoiceModel, folders: dict[str, Path], tmp_path: Path
) -> None:
    """Zero, one mean and a mean a bin lose what they are computed to lose under upstream's own draw of noise, so that a
    first loss can be held against them: a base that starts there is refused.
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
    assert info.info(model.name, folders[model.name]).refuses_unloaded


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
        assert model.checkpointed_layers(part.name), "both can be computed twice, in every version"
        assert part.saved.trained > part.saved.boundary + part.saved.layer > part.saved.layer > 0
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
        model.speak([row(voice="blackbird")])


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
def test_cached_decoding_that_is_off_is_refused(
    model: speech_model.CosyVoiceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mask of one token, as upstream has it, garbles every word after the first under newer transformers, and so
    would a cache that is lost on the way.
    """
    llm: Any = model._nets.llm
    loading.check_cached_decoding(llm)
    for kind in (steps.QwenSteps, steps.OwnSteps):
        whole = kind.forward

        def forgetful(self: Any, embeds: torch.Tensor, whole: Any = whole) -> torch.Tensor:
            self.__init__(llm, torch.ones(1, embeds.shape[1], dtype=torch.long))
            found: torch.Tensor = whole(self, embeds)
            return found

        monkeypatch.setattr(kind, "forward", forgetful)
    with pytest.raises(Refused, match="speech would be garbled"):
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
    with pytest.raises(BadInput, match="choose cosyvoice1"):
        info.read(THIRD, folders[FIRST])
    (tmp_path / "cosyvoice.yaml").write_text((folders[SECOND] / "cosyvoice2.yaml").read_text(), encoding="utf-8")
    with pytest.raises(NotFound, match=r"llm.pt is missing"):
        info.read(FIRST, tmp_path)
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
