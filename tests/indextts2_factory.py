"""A tiny IndexTTS2 of the real classes with random weights, as a folder like the one that people download.

Needs upstream's checkout, which INDEXTTS_DIR names, and the voice's own environment; only `make` does. Two things are
upstream's real size, since its classes have them written down: the states that w2v-BERT gives (1024 wide, of its 17th
layer) and the speaker model. `make` leaves w2v-BERT out unless it is asked for; `StandInEars` gives such states then.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from engine import audio
from engine.backends.indextts2 import checkout, info, loading
from engine.backends.indextts2.hearing import STATE_LAYER
from engine.types import Reference, Utterance

NAME = "indextts2"
CODE = Path(os.environ.get("INDEXTTS_DIR", ""))
CODES, WIDTH, STATES, LATENTS = 48, 64, 1024, 32
TEXT_TOKENS = 40
W2V_LAYERS = STATE_LAYER + 1  # one more than is heard, so that leaving it out is seen to be right
RATE = 24_000
TEXTS = ("it is a big dog", "we go", "a cat sat on it", "no")
EMOTIONS = [2, 1, 2, 1, 2, 1, 2, 1]
ENCODER = {
    "output_size": 32,
    "linear_units": 32,
    "attention_heads": 2,
    "num_blocks": 1,
    "input_layer": "conv2d2",
    "perceiver_mult": 1,
}


def config() -> dict[str, Any]:
    """`config.yaml` of a tiny model."""
    return {
        "dataset": {"bpe_model": "bpe.model", "sample_rate": RATE},
        "gpt": {
            "model_dim": WIDTH,
            "max_mel_tokens": 400,
            "max_text_tokens": 120,
            "heads": 4,
            "use_mel_codes_as_input": True,
            "mel_length_compression": 1024,
            "layers": 2,
            "number_text_tokens": TEXT_TOKENS,
            "number_mel_codes": CODES + 2,
            "start_mel_token": CODES,
            "stop_mel_token": CODES + 1,
            "start_text_token": 0,
            "stop_text_token": 1,
            "train_solo_embeddings": False,
            "condition_type": "conformer_perceiver",
            "condition_module": dict(ENCODER),
            "emo_condition_module": dict(ENCODER),
        },
        "semantic_codec": {
            "codebook_size": CODES,
            "hidden_size": STATES,
            "codebook_dim": 8,
            "vocos_dim": 16,
            "vocos_intermediate_dim": 16,
            "vocos_num_layers": 1,
        },
        "s2mel": _s2mel(),
        "gpt_checkpoint": "gpt.pth",
        "w2v_stat": "wav2vec2bert_stats.pt",
        "s2mel_checkpoint": "s2mel.pth",
        "emo_matrix": "feat2.pt",
        "spk_matrix": "feat1.pt",
        "emo_num": EMOTIONS,
        "qwen_emo_path": "qwen0.6bemo4-merge/",
        "version": 2.0,
    }


def _s2mel() -> dict[str, Any]:
    spect = {"n_fft": 1024, "win_length": 1024, "hop_length": 256, "n_mels": 80, "fmin": 0, "fmax": "None"}
    return {
        "preprocess_params": {"sr": 22050, "spect_params": spect},
        "dit_type": "DiT",
        "reg_loss_type": "l1",
        "style_encoder": {"dim": 192},
        "length_regulator": {
            "channels": 32,
            "is_discrete": False,
            "in_channels": STATES,
            "content_codebook_size": 8,
            "sampling_ratios": [1, 1],
        },
        "DiT": {
            "hidden_dim": 32,
            "num_heads": 2,
            "depth": 3,
            "class_dropout_prob": 0.1,
            "in_channels": 80,
            "style_condition": True,
            "final_layer_type": "wavenet",
            "content_dim": 32,
            "content_codebook_size": 8,
            "content_type": "discrete",
            "is_causal": False,
            "long_skip_connection": True,
            "uvit_skip_connection": True,
        },
        "wavenet": {
            "hidden_dim": 32,
            "num_layers": 2,
            "kernel_size": 5,
            "dilation_rate": 1,
            "p_dropout": 0.2,
            "style_condition": True,
        },
    }


def vocoder_config() -> dict[str, Any]:
    """256 samples a frame, as the real one."""
    return {
        "num_mels": 80,
        "upsample_initial_channel": 32,
        "upsample_rates": [8, 8, 4],
        "upsample_kernel_sizes": [16, 16, 8],
        "resblock": "1",
        "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1, 3, 5]],
        "activation": "snakebeta",
        "snake_logscale": True,
        "use_bias_at_final": False,
        "use_tanh_at_final": False,
    }


def w2v_config(layers: int) -> dict[str, Any]:
    """As wide as the real one, since upstream's classes want its states, and as thin as can be elsewhere."""
    return {
        "model_type": "wav2vec2-bert",
        "hidden_size": STATES,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": 8,
        "feature_projection_input_dim": 160,
        "conv_depthwise_kernel_size": 3,
        "add_adapter": False,
    }


def describe(folder: Path, told: dict[str, Any] | None = None) -> Path:
    """Write all of a model's files but its weights."""
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    (folder / info.CONFIG_FILE).write_text(yaml.safe_dump(told or config()), encoding="utf-8")
    for name in (info.W2V_FOLDER, info.VOCODER_FOLDER):
        (folder / name).mkdir(parents=True)
    _write_json(folder / info.W2V_FILES[0], w2v_config(W2V_LAYERS))
    extractor = {"feature_extractor_type": "SeamlessM4TFeatureExtractor", "sampling_rate": 16_000, "stride": 2}
    _write_json(folder / info.W2V_FILES[1], {**extractor, "num_mel_bins": 80, "padding_value": 1})
    _write_json(folder / info.VOCODER_FILES[0], vocoder_config())
    return folder


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


def make(folder: Path, *, seed: int = 4, w2v: bool = False, told: dict[str, Any] | None = None) -> Path:
    """Write config (`told`, or the tiny one), tokenizer and weights."""
    from munch import munchify

    told = told or config()
    width = told["gpt"]["model_dim"]
    describe(folder, told)
    _write_tokenizer(folder)
    with torch.random.fork_rng(), checkout.importable(CODE):
        torch.manual_seed(seed)
        from indextts.gpt.model_v2 import UnifiedVoice
        from indextts.s2mel.modules.bigvgan import bigvgan
        from indextts.s2mel.modules.bigvgan.env import AttrDict
        from indextts.s2mel.modules.campplus.DTDNN import CAMPPlus
        from indextts.s2mel.modules.commons import MyModel
        from indextts.utils.maskgct.models.codec.kmeans.repcodec_model import RepCodec

        voice = UnifiedVoice(**munchify(told["gpt"]))
        make_lively(voice)
        torch.save(voice.state_dict(), folder / "gpt.pth")
        s2mel = MyModel(munchify(told["s2mel"]), use_gpt_latent=True)
        s2mel.models["gpt_layer"][0] = torch.nn.Linear(width, 256)
        torch.save({"net": {name: net.state_dict() for name, net in s2mel.models.items()}}, folder / "s2mel.pth")
        codec = RepCodec(cfg=munchify(told["semantic_codec"]))
        _make_heard(codec)
        save_file({k: t.contiguous() for k, t in codec.state_dict().items()}, folder / info.CODEC_FILE)
        torch.save(CAMPPlus(feat_dim=80, embedding_size=192).state_dict(), folder / info.SPEAKER_FILE)
        vocoder = bigvgan.BigVGAN(AttrDict(vocoder_config()))
        torch.save({"generator": vocoder.state_dict()}, folder / info.VOCODER_FILES[1])
        torch.save({"mean": torch.zeros(STATES), "var": torch.ones(STATES)}, folder / "wav2vec2bert_stats.pt")
        torch.save(torch.randn(sum(EMOTIONS), width), folder / "feat2.pt")
        torch.save(torch.randn(sum(EMOTIONS), loading.STYLE_SIZE), folder / "feat1.pt")
        _write_w2v(folder, whole=w2v)
    return folder


def _write_w2v(folder: Path, *, whole: bool) -> None:
    path = folder / info.W2V_WEIGHTS
    if not whole:
        save_file({"none": torch.zeros(1)}, path)
        return
    from transformers import Wav2Vec2BertConfig, Wav2Vec2BertModel

    net = Wav2Vec2BertModel(Wav2Vec2BertConfig(**w2v_config(W2V_LAYERS)))
    save_file({k: t.half().clone().contiguous() for k, t in net.state_dict().items()}, path, metadata={"format": "pt"})


@torch.no_grad()
def make_lively(voice: Any) -> None:
    """Fresh weights say nearly the same whatever they are given; stronger ones let texts, seeds and adapters be heard,
    and let ends come at different times.
    """
    for key, parameter in voice.named_parameters():
        if key.startswith("gpt.") and parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.25)
    for table in (voice.text_embedding, voice.mel_embedding, voice.mel_pos_embedding.emb, voice.text_pos_embedding.emb):
        torch.nn.init.normal_(table.weight, std=0.6)
    torch.nn.init.normal_(voice.mel_head.weight, std=0.6)
    voice.mel_head.weight[CODES].zero_()  # the start is never said


@torch.no_grad()
def _make_heard(codec: Any) -> None:
    """Fresh projections give nearly one code for everything."""
    for key, parameter in codec.named_parameters():
        if parameter.ndim > 1 and "encoder" in key:
            torch.nn.init.normal_(parameter, std=1.0 / parameter[0].numel() ** 0.5)


def _write_tokenizer(folder: Path) -> None:
    """SentencePiece's own, learned from the few words of the tests; its first two ids are start and stop."""
    import sentencepiece

    letters = [
        " ".join(t.upper() for t in TEXTS),
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ .,'",
        "PLEASE GO HOME. THE LAMP IS WARM.",
    ]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(letters * 20),
        model_prefix=str(folder / "bpe"),
        vocab_size=TEXT_TOKENS,
        model_type="char",
        character_coverage=1.0,
        bos_id=0,
        eos_id=1,
        unk_id=2,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (folder / "bpe.vocab").unlink()


class StandInEars:
    """Ears without w2v-BERT, a normaliser or a speaker model: states that follow the sound, letters as tokens."""

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(8)
            self._bands = torch.randn(16, STATES)
            self._styles = torch.randn(16, loading.STYLE_SIZE)
            self._basis = torch.randn(16, 80)

    def text_ids(self, text: str) -> list[int]:
        """A letter a token."""
        return [3 + (ord(letter) - 97) % 30 for letter in text.lower() if letter.isalpha() or letter == " "]

    def states(self, samples: NDArray[np.float32]) -> Tensor:
        """(1, frames, 1024), 50 a second."""
        return (_bands(samples, 320) @ self._bands)[None]

    def style(self, samples: NDArray[np.float32]) -> Tensor:
        """(192,)."""
        return _bands(samples, 320).mean(0) @ self._styles

    def mel(self, samples: NDArray[np.float32]) -> Tensor:
        """(1, 80, frames)."""
        return (_bands(samples, 256) @ self._basis).T[None]


def _bands(samples: NDArray[np.float32], hop: int) -> Tensor:
    """(frames, 16): how loud each of 16 bands is, of windows of `hop` samples."""
    windows = torch.from_numpy(samples[: len(samples) // hop * hop].copy()).view(-1, hop)
    spectrum = torch.fft.rfft(windows, dim=1).abs()[:, 1:129]
    return torch.log(spectrum.view(len(windows), 16, -1).mean(2) + 1e-3) / 3


def make_utterances(folder: Path, *, count: int = 3, sample_rate: int = RATE) -> list[Utterance]:
    """Short clips with something like a voice in them, of lengths that are no whole frames."""
    made = []
    for index in range(count):
        seconds = 0.61 + 0.11 * index
        time = np.arange(int(seconds * sample_rate)) / sample_rate
        samples = 0.3 * np.sin(2 * np.pi * (150 + 60 * index) * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))
        path = folder / f"clip{index}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        audio.write(path, samples.astype(np.float32), sample_rate)
        made.append(Utterance(id=f"clip{index}", audio_path=path, text=TEXTS[index % len(TEXTS)], duration_sec=seconds))
    return made


def reference(folder: Path) -> Reference:
    """An audio prompt."""
    clip = make_utterances(folder / "prompt", count=3)[2]
    return Reference(audio_path=clip.audio_path, text="", sha256="1" * 64)
