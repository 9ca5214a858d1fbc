"""What CosyVoice 1 alone has: voices that its folder brings, a speaker in the language model, frames that are no whole
number a token, a model that can be told something and others that cannot.
"""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from engine.backends.cosyvoice import generation, info, rendering, speakers, speech_model, versions
from engine.train.recompute import recompute
from engine.types import BadInput, NotFound, Reference
from tests import cosyvoice_factory
from tests.cosyvoice_factory import FIRST, GREEDY, SECOND, SPEAKERS, TEXTS, load, row


def test_voices_of_the_folder_are_spoken_with_their_vectors(
    first: speech_model.CosyVoiceModel, folders: dict[str, Path]
) -> None:
    """Upstream's sft mode: flow and language model hear the vector that the folder brings for a name."""
    assert info.info(FIRST, folders[FIRST]).voices == first.capabilities.voices == ("default", *SPEAKERS)
    robin, wren = (first._asked(row(voice=name)) for name in SPEAKERS)
    kept = torch.load(folders[FIRST] / versions.SPEAKERS, weights_only=True)
    assert torch.equal(robin.speaker, kept["robin"]["embedding"][0])
    assert not torch.equal(robin.speaker, wren.speaker)
    plain, spoken = first.speak([row(), row(voice="robin")])
    assert plain.tokens != spoken.tokens or (plain.samples != spoken.samples).any()
    with pytest.raises(NotFound, match="it has default, robin, wren"):
        first.speak([row(voice="blackbird")])


def test_a_file_of_voices_is_read_as_tensors_alone(tmp_path: Path) -> None:
    """It is a pickle of somebody's: whatever else is in it is refused and not run."""
    torch.save(
        {"robin": {"embedding": torch.zeros(1, 192)}, "prompt": {"llm_embedding": torch.ones(1, 192)}}, tmp_path / "a"
    )
    assert speakers.names(tmp_path / "a") == ("robin",)
    torch.save({"robin": {"embedding": Path("x")}}, tmp_path / "b")
    with pytest.raises(BadInput, match="b is damaged"):
        speakers.names(tmp_path / "b")
    assert speakers.names(tmp_path / "none") == ()


def test_only_the_model_that_was_taught_to_listen_is_told_something(folders: dict[str, Path], tmp_path: Path) -> None:
    """The three models of version 1 differ in their folder's name alone; another would say an instruction aloud."""
    deaf = tmp_path / "CosyVoice-300M"
    shutil.copytree(folders[FIRST], deaf)
    assert info.info(FIRST, folders[FIRST]).has_voice("robin@Speak slowly.")
    assert not info.info(FIRST, deaf).has_voice("robin@Speak slowly.")
    with pytest.raises(NotFound, match=r"in a folder named .*-Instruct alone"):
        load(deaf, FIRST).speak([row(voice="robin@Speak slowly.")])
    cached = tmp_path / "models--FunAudioLLM--CosyVoice-300M-Instruct" / "snapshots" / "ab12"
    shutil.copytree(deaf, cached)
    assert info.read(FIRST, cached).instructs


def test_a_base_that_is_told_who_speaks_hears_nobody(first: speech_model.CosyVoiceModel) -> None:
    """Upstream takes the speaker out of an instructed sequence; a tuned voice was taught with both."""
    assert first._asked(row(voice="robin@Speak slowly.")).speaker is None
    assert first._asked(row(voice="robin")).speaker is not None
    tuned = row(voice="default@Speak slowly.", adapter_sha256="1", lora_scale=0.5)
    assert first._asked(tuned).speaker is not None
    words = first._frontend.prompt_ids(instruction="slowly<|endofprompt|>")
    assert words == first._frontend.ids("slowly<endofprompt>")


def test_rows_with_and_without_a_speaker_share_a_batch(first: speech_model.CosyVoiceModel, tmp_path: Path) -> None:
    """Sequences that begin otherwise, a reference among them, give the tokens that each gives alone."""
    clip = cosyvoice_factory.make_utterances(tmp_path, count=1)[0].audio_path
    told = Reference(audio_path=clip, text="a cat", sha256="1")
    rows = [
        row(TEXTS[0], settings=GREEDY),
        row(TEXTS[1], settings=GREEDY, voice="robin@Speak slowly."),
        row(TEXTS[2], settings=GREEDY, reference=told),
        row(TEXTS[3], settings=GREEDY, voice="wren"),
    ]
    assert first.drawn(rows) == [first.drawn([one])[0] for one in rows]


def test_a_language_is_one_token(first: speech_model.CosyVoiceModel) -> None:
    """A mark such as <|en|> tells its language model which language follows; read as words it would be said."""
    assert len(first._frontend.ids("<|en|>")) == 1
    assert first._frontend.ids("<|en|>go")[1:] == first._frontend.ids("go")


def test_frames_fit_tokens(first: speech_model.CosyVoiceModel, folders: dict[str, Path], tmp_path: Path) -> None:
    """Frames are as many as upstream makes of so many tokens, in training and in speaking: 441 for 256."""
    folder = info.read(FIRST, folders[FIRST])
    assert (folder.sample_rate, folder.token_rate, folder.frames(256)) == (22_050, 50, 441)
    example = first.features(cosyvoice_factory.make_utterances(tmp_path, count=1), "default", tmp_path / "cache")[0]
    assert len(example.mel) == folder.frames(len(example.tokens))
    assert abs(len(example.tokens) / 50 - 1.0) < 0.1
    mel = rendering.spectrogram(first._nets.flow, [3] * 60, rendering.nothing(), device="cpu", rate=50, seed=1)
    assert mel.shape == (1, 80, folder.frames(60))


def test_the_flows_noise_follows_the_rows_seed(first: speech_model.CosyVoiceModel) -> None:
    """Upstream draws it from the global generator: two chunks would not be the same alone and after another."""
    made = [
        rendering.spectrogram(first._nets.flow, [3] * 9, rendering.nothing(), device="cpu", rate=50, seed=seed)
        for seed in (1, 2, 1)
    ]
    assert torch.equal(made[0], made[2])
    assert not torch.equal(made[0], made[1])


def test_spectrograms_are_the_same_beside_another_version(folders: dict[str, Path], tmp_path: Path) -> None:
    """Upstream's function keeps one window for the process, and the versions' windows are of other lengths."""
    clip = cosyvoice_factory.make_utterances(tmp_path, count=1)[0].audio_path
    alone = load(folders[FIRST], FIRST)._frontend.features(clip)
    first, second = load(folders[FIRST], FIRST), load(folders[SECOND], SECOND)
    second._frontend.features(clip)
    assert torch.equal(first._frontend.features(clip).mel, alone.mel)


def test_more_positions_than_upstream_keeps_are_made(first: speech_model.CosyVoiceModel, tmp_path: Path) -> None:
    """A long reference and a long text have more positions than its class was built for; what is made while speaking
    can be trained on afterwards.
    """
    llm, most = first._nets.llm, first._nets.llm.llm.embed.pos_enc.pe.shape[1] // 2 + 10
    asked = generation.Asked(
        prompt=(), text=(1, 2), speech=torch.full((most,), 3), least=0, most=3, speaker=torch.zeros(192)
    )
    drawn = generation.generate(llm, [asked], [row(settings=GREEDY)], lambda places: nullcontext())
    assert len(drawn[0].codes) <= 3
    llm.requires_grad_(True)
    example = first.features(cosyvoice_factory.make_utterances(tmp_path, count=1), "default", tmp_path / "cache")
    first.loss(example, "default", ("llm",), 1)["llm"].backward()


def test_layers_that_are_computed_twice_teach_the_same(folders: dict[str, Path], tmp_path: Path) -> None:
    """On a small card both stacks of layers are computed twice: losses and gradients stay what they were."""
    found = []
    for twice in (False, True):
        model = load(folders[FIRST], FIRST)
        examples = model.features(cosyvoice_factory.make_utterances(tmp_path), "default", tmp_path / "cache")
        model.part("llm").requires_grad_(True)
        if twice:
            recompute(model, ("llm",))
        loss = model.loss(examples, "default", ("llm",), 3)["llm"]
        loss.backward()
        named = {name: p.grad for name, p in model.part("llm").named_parameters() if p.grad is not None}
        found.append((float(loss.detach()), named))
    (once, grown), (again, twice_grown) = found
    assert once == again
    assert len(model.checkpointed_layers("llm")) == 3
    for name, gradient in grown.items():
        assert torch.allclose(gradient, twice_grown[name], atol=1e-6), name
