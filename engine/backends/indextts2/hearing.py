"""What IndexTTS2 hears of a recording and reads of a text: states, codes, a spectrogram, a style; token ids.

Knows w2v-BERT and the speaker model that come beside the weights, the rates that each wants, and that upstream hears 15
s of a reference. Reads audio with soundfile. Knows neither training nor adapters.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine import audio
from engine.backends.indextts2 import checkout, info, loading
from engine.backends.indextts2.info import ModelFolder
from engine.backends.indextts2.loading import STYLE_SIZE, Nets
from engine.types import BadInput

HEARING_RATE = 16_000  # Hz, of states and styles
STATE_LAYER = 17  # of w2v-BERT: the states that the codec was trained on
LEAST_SEC = 0.5


class Ears(Protocol):
    """What hears and reads, whatever it is made of."""

    def text_ids(self, text: str) -> list[int]:
        """Token ids of a text, normalised as upstream does it."""
        ...

    def states(self, samples: NDArray[np.float32]) -> Tensor:
        """(1, frames, width) of 16 kHz samples, 50 a second."""
        ...

    def style(self, samples: NDArray[np.float32]) -> Tensor:
        """(192,) of 16 kHz samples: who speaks."""
        ...

    def mel(self, samples: NDArray[np.float32]) -> Tensor:
        """(1, 80, frames) in natural log of 22.05 kHz samples."""
        ...


@dataclass(frozen=True, eq=False)
class Conditioning:
    """What the GPT is told of a recording: `latents` (32, width), `emotion` (width,); and its `style` (192,)."""

    latents: Tensor
    emotion: Tensor
    style: Tensor


@dataclass(frozen=True, eq=False)
class Prompt:
    """All that speaking after a reference needs: beyond the conditioning its `mel` (1, 80, frames), what the flow was
    told of it, `regulated` (1, frames, width), and the semantic `codes` that this was made of.
    """

    conditioning: Conditioning
    mel: Tensor
    regulated: Tensor
    codes: tuple[int, ...]


@torch.no_grad()
def codes(path: Path, ears: Ears, nets: Nets) -> Tensor:
    """Semantic codes (n,) of a whole recording, in main memory."""
    found: Tensor = nets.codec.quantize(ears.states(_samples(path, HEARING_RATE)))[0]
    return found.reshape(-1).cpu().long()


@torch.no_grad()
def conditioning(path: Path, ears: Ears, nets: Nets) -> Conditioning:
    """What the GPT is told of the first 15 s of a recording; in main memory."""
    samples = _samples(path, HEARING_RATE)[: int(info.REFERENCE_SEC * HEARING_RATE)]
    return _conditioning(ears.states(samples), ears.style(samples), nets)


@torch.no_grad()
def prompt(path: Path, ears: Ears, nets: Nets) -> Prompt:
    """Of the first 15 s of a reference, on the nets' device."""
    sounding = _samples(path, info.SPEAKING_RATE)[: int(info.REFERENCE_SEC * info.SPEAKING_RATE)]
    heard = _samples(path, HEARING_RATE)[: int(info.REFERENCE_SEC * HEARING_RATE)]
    states = ears.states(heard)
    heard_codes, quantized = nets.codec.quantize(states)
    mel = ears.mel(sounding).to(states.device)
    regulated = nets.s2mel.models["length_regulator"](
        quantized, ylens=torch.tensor([mel.shape[2]], device=mel.device), n_quantizers=3, f0=None
    )[0]
    told = tuple(heard_codes.reshape(-1).tolist())
    return Prompt(_conditioning(states, ears.style(heard), nets), mel, regulated, told)


def _conditioning(states: Tensor, style: Tensor, nets: Nets) -> Conditioning:
    lengths = torch.tensor([states.shape[1]], device=states.device)
    heard = states.transpose(1, 2)
    latents: Tensor = nets.voice.get_conditioning(heard, lengths)[0]
    emotion: Tensor = nets.voice.get_emovec(states, lengths)[0]
    return Conditioning(latents.cpu(), emotion.cpu(), style.cpu())


def _samples(path: Path, rate: int) -> NDArray[np.float32]:
    samples, _ = audio.read(path, rate)
    if len(samples) < LEAST_SEC * rate:
        raise BadInput(f"{path.name} is {len(samples) / rate:.2f} s long, too short to be heard; leave it out.")
    return samples


class UpstreamEars:
    """Over the models of a folder. Each is loaded when it is first needed: a voice that is only trained, its clips in
    the cache, hears nothing.
    """

    def __init__(self, folder: ModelFolder, code: Path, device: str) -> None:
        self._folder = folder
        self._code = code
        self._device = device

    # --------------------------------------------------------------------------------------------------------- text
    def text_ids(self, text: str) -> list[int]:
        """Token ids of a text, normalised as upstream does it."""
        tokenizer = self._tokenizer
        return [int(one) for one in tokenizer.convert_tokens_to_ids(tokenizer.tokenize(" ".join(text.split())))]

    @functools.cached_property
    def _tokenizer(self) -> Any:
        with checkout.importable(self._code):
            normalizer = checkout.named("indextts.utils.front", "TextNormalizer")(enable_glossary=True)
            glossary = self._folder.path / "glossary.yaml"
            if glossary.is_file():
                normalizer.load_glossary_from_yaml(str(glossary))
            return checkout.named("indextts.utils.front", "TextTokenizer")(
                str(self._folder.file("bpe_model")), normalizer
            )

    # -------------------------------------------------------------------------------------------------------- audio
    @torch.no_grad()
    def states(self, samples: NDArray[np.float32]) -> Tensor:
        """(1, frames, 1024) of 16 kHz samples: w2v-BERT's 17th layer, made even by upstream's statistics."""
        extract, net, mean, deviation = self._w2v
        told = extract(samples, sampling_rate=HEARING_RATE, return_tensors="pt").to(self._device)
        found = net(
            input_features=told["input_features"], attention_mask=told["attention_mask"], output_hidden_states=True
        )
        states: Tensor = (found.hidden_states[STATE_LAYER] - mean) / deviation
        return states

    @torch.no_grad()
    def style(self, samples: NDArray[np.float32]) -> Tensor:
        """(192,) of 16 kHz samples."""
        from torchaudio.compliance import kaldi

        wave = torch.from_numpy(samples)[None]
        found: Tensor = kaldi.fbank(wave, num_mel_bins=80, dither=0.0, sample_frequency=HEARING_RATE)
        style: Tensor = self._speaker((found - found.mean(dim=0, keepdim=True))[None].to(self._device))[0]
        return style

    def mel(self, samples: NDArray[np.float32]) -> Tensor:
        """(1, 80, frames) in natural log of 22.05 kHz samples, by the config's own settings."""
        told = self._folder.told["s2mel"]["preprocess_params"]
        spect = told["spect_params"]
        found: Tensor = self._spectrogram(
            torch.from_numpy(samples)[None],
            n_fft=spect["n_fft"],
            win_size=spect["win_length"],
            hop_size=spect["hop_length"],
            num_mels=spect["n_mels"],
            sampling_rate=told["sr"],
            fmin=spect.get("fmin", 0),
            fmax=None if spect.get("fmax", "None") == "None" else 8000,  # upstream's own reading of it
            center=False,
        )
        return found

    @functools.cached_property
    def _spectrogram(self) -> Callable[..., Tensor]:
        with checkout.importable(self._code):
            spectrogram: Callable[..., Tensor] = checkout.named("indextts.s2mel.modules.audio", "mel_spectrogram")
        return spectrogram

    @functools.cached_property
    def _w2v(self) -> tuple[Any, Any, Tensor, Tensor]:
        from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertModel

        path = self._folder.path / info.W2V_FOLDER
        model_class: Any = Wav2Vec2BertModel
        try:
            extract = SeamlessM4TFeatureExtractor.from_pretrained(str(path), local_files_only=True)
            net, told = model_class.from_pretrained(
                str(path), local_files_only=True, output_loading_info=True, torch_dtype=torch.float32
            )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise checkout.damaged(path, error) from error
        if lacking := sorted(told["missing_keys"]):
            raise BadInput(f"{path} lacks {len(lacking)} weights, for example {lacking[0]}; download it again.")
        net.encoder.layers = net.encoder.layers[:STATE_LAYER]  # what is above is never heard
        stats = loading.read_tensors(self._folder.file("w2v_stat"))
        mean, deviation = stats["mean"].float().to(self._device), stats["var"].float().sqrt().to(self._device)
        return extract, net.to(self._device).eval().requires_grad_(False), mean, deviation

    @functools.cached_property
    def _speaker(self) -> Any:
        with checkout.importable(self._code), torch.random.fork_rng():
            net = checkout.named("indextts.s2mel.modules.campplus.DTDNN", "CAMPPlus")(
                feat_dim=80, embedding_size=STYLE_SIZE
            )
        path = self._folder.path / info.SPEAKER_FILE
        try:
            net.load_state_dict(loading.read_tensors(path))
        except RuntimeError as error:
            raise checkout.damaged(path, error) from error
        return net.to(self._device).eval().requires_grad_(False)
