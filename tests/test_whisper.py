"""Whisper from a local folder: only safetensors, long audio in windows, texts held against what was written down."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import numpy as np
import pytest

from engine import whisper
from engine.types import BadInput
from engine.whisper import Whisper, WordsHeard

SPECIAL = (
    "<|endoftext|> <|startoftranscript|> <|en|> <|zh|> <|translate|> <|transcribe|> <|startoflm|> <|startofprev|> "
    "<|nospeech|> <|notimestamps|>"
).split()


def tiny(folder: Path) -> Path:
    """A Whisper of the real classes with random weights and a tokenizer of single bytes."""
    import torch
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizer,
    )

    letters = {chr(code): place for place, code in enumerate([*range(33, 127), 0x120])}
    vocabulary = letters | {token: len(letters) + place for place, token in enumerate(SPECIAL)}
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": SPECIAL[1:]})
    at = vocabulary.__getitem__
    config = WhisperConfig(
        vocab_size=len(vocabulary),
        num_mel_bins=80,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        d_model=16,
        max_target_positions=40,
        pad_token_id=at("<|endoftext|>"),
        bos_token_id=at("<|endoftext|>"),
        eos_token_id=at("<|endoftext|>"),
        decoder_start_token_id=at("<|startoftranscript|>"),
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        is_multilingual=True,
        lang_to_id={"<|en|>": at("<|en|>"), "<|zh|>": at("<|zh|>")},
        task_to_id={"transcribe": at("<|transcribe|>"), "translate": at("<|translate|>")},
        no_timestamps_token_id=at("<|notimestamps|>"),
        decoder_start_token_id=at("<|startoftranscript|>"),
        eos_token_id=at("<|endoftext|>"),
        pad_token_id=at("<|endoftext|>"),
        max_length=24,
        alignment_heads=[[0, 0], [0, 1]],
    )
    model.save_pretrained(folder)
    WhisperProcessor(WhisperFeatureExtractor(feature_size=80), tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module", name="model")
def _model(folder: Path) -> Whisper:
    return whisper.load(folder, device="cpu")


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, int(16000 * seconds)).astype(np.float32)


def test_it_writes_something_down(model: Whisper) -> None:
    """The real classes load from a folder and give text, the same one each time, at any sample rate."""
    heard = model.transcribe(noise(2), 16000, "en")
    assert heard
    assert "<|" not in heard
    assert heard == model.transcribe(noise(2), 16000, "en")
    assert model.transcribe(noise(2), 22050)


def test_loading_reaches_for_no_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything comes from the folder."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert whisper.load(folder, device="cpu").name == "Whisper"


def test_an_unknown_language_is_named(model: Whisper) -> None:
    """A language that no Whisper knows is an error that names it."""
    with pytest.raises(BadInput, match="'klingon'"):
        model.transcribe(noise(1), 16000, "klingon")


def test_long_audio_is_heard_in_windows(model: Whisper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sample of a long recording is heard, in pieces that end in silence."""
    samples = noise(70)
    for second in (27, 52):
        samples[second * 16000 : second * 16000 + 4000] = 0
    pieces = whisper.windows(samples)
    assert [round(len(piece) / 16000) for piece in pieces] == [27, 25, 18]
    np.testing.assert_array_equal(np.concatenate(pieces), samples)
    monkeypatch.setattr(model, "_one_window", lambda piece, language: f"{len(piece) / 16000:.0f}")
    assert model.transcribe(samples, 16000, "en") == "27 25 18"
    assert model.transcribe(samples, 16000, "zh") == "272518"


def test_pickled_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    """A pickle can run any code: it is not opened, and the sentence says what to get instead."""
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(BadInput, match=r"pickle \(pytorch_model.bin\).*safetensors"):
        whisper.load(tmp_path)


def test_what_is_no_whisper_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    """A hub's name, a missing folder, another model and a damaged one each say what is wrong."""
    with pytest.raises(BadInput, match="is no folder"):
        whisper.load(Path("openai/whisper-tiny"))
    with pytest.raises(BadInput, match=r"no readable config\.json"):
        whisper.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(BadInput, match="'bert'"):
        whisper.load(tmp_path)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(BadInput, match="no weights"):
        whisper.load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(BadInput, match="cannot be loaded"):
        whisper.load(tmp_path)


@pytest.mark.parametrize(
    ("heard", "text", "rate"),
    [("a b c d", "a b c d", 0.0), ("a b c d", "a x c", 2 / 3), ("", "a b", 1.0), ("a b c", "c", 2.0)],
)
def test_the_error_rate_counts_edits(heard: str, text: str, rate: float) -> None:
    """Cost is Levenshtein's distance a unit of the text."""
    (cost,) = WordsHeard(heard.split()).costs([text.split()])
    assert cost == pytest.approx(rate)


def test_units_are_words_or_characters() -> None:
    """Case and punctuation do not count; Chinese is compared by characters."""
    assert whisper.units_of("Don't stop, Ann!", "en") == ["dont", "stop", "ann"]
    assert whisper.units_of("你好\u3002世界", "zh-CN") == list("你好世界")


def test_the_worst_stretch_is_where_words_differ() -> None:
    """Missing, added and other words are found where they are."""
    text = "one two three four five six seven eight".split()
    assert WordsHeard(text).stretch(text, 0.5).excess == 0
    missing = WordsHeard(text[:4]).stretch(text, 0.5)
    assert (missing.begin, missing.end, missing.heard) == (4, 8, 0)
    added = WordsHeard([*text, *"and many more words here".split()]).stretch(text, 0.5)
    assert (added.end, added.heard) == (8, 6)
    assert added.excess > 5
    other = WordsHeard([*text[:2], "x", "y", "z", *text[5:]]).stretch(text, 0.5)
    assert (other.begin, other.end, other.heard) == (2, 5, 3)
    assert WordsHeard([]).stretch(text, 0.5).heard == 0


def test_a_text_is_read_with_its_words(model: Whisper) -> None:
    """Units remember the written words that they belong to."""
    reading = model.read("Well, don't!", "en")
    assert reading.part(1, 2) == "don't!"
    assert model.read("你好 世界", "zh").part(2, 3) == "世界"
    assert model.hear(noise(1), 16000, "en").costs([["a"]]).shape == (1,)
