"""What CosyVoice hears and reads: speech tokens, a speaker's vector and a spectrogram of a file, token ids of a text.

Knows the two models in ONNX that come with the weights, the rates that each wants, and the mark that ends a prompt.
Reads audio with soundfile: upstream's own reader needs a decoder library.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import audio
from engine.backends.cosyvoice import checkout, info, recipe
from engine.backends.cosyvoice.info import ModelFolder
from engine.types import BadInput, NotFound

HEARING_RATE = 16_000  # Hz, of tokens and speakers
MELS = 128  # that the tokenizer hears
END_OF_PROMPT = "<|endofprompt|>"
# Upstream's template for every text of version 3 (example.py); its language model wants the mark once in each.
ASSISTANT = "You are a helpful assistant."
TEMPLATE = f"{ASSISTANT}{END_OF_PROMPT}"


@dataclass(frozen=True, eq=False)
class Features:
    """Of one recording: `tokens` (n,), `mel` (n * ratio, 80) in natural log, `speaker` (192,)."""

    tokens: Tensor
    mel: Tensor
    speaker: Tensor


class Frontend:
    """The ears of one model. Sessions are opened when they are first needed."""

    def __init__(self, folder: ModelFolder, code: Path) -> None:
        self._folder = folder
        with checkout.importable(code):
            self._mel = recipe.build(folder.told["feat_extractor"])
            self._tokenizer = recipe.build(
                recipe.Call(
                    folder.told["get_tokenizer"].path,
                    {**folder.told["get_tokenizer"].arguments, "token_path": str(folder.qwen)},
                    False,
                )
            )

    # --------------------------------------------------------------------------------------------------------- text
    def ids(self, text: str) -> list[int]:
        """Token ids of a text as it stands."""
        found: list[int] = self._tokenizer.encode(text)
        return found

    def prompt_ids(self, transcript: str = "", instruction: str = "") -> list[int]:
        """What stands before a text: upstream's template, its mark exactly once, and the words of the reference, which
        version 2 has alone. With an instruction it stands in their place, within version 3's template.
        """
        said = transcript.replace(END_OF_PROMPT, "").strip()
        if instruction:
            words = instruction.replace(END_OF_PROMPT, "").strip()
            if self._folder.name == "cosyvoice3":
                words = f"{ASSISTANT} {words.removeprefix(ASSISTANT).strip()}"
            return self.ids(f"{words}{END_OF_PROMPT}")
        if self._folder.name == "cosyvoice3":
            return self.ids(TEMPLATE + said)
        return self.ids(said) if said else []

    def text_ids(self, text: str) -> list[int]:
        """A text to be said: without a mark of its own, which belongs to the prompt."""
        return self.ids(" ".join(text.replace(END_OF_PROMPT, " ").split()))

    # -------------------------------------------------------------------------------------------------------- audio
    def features(self, path: Path) -> Features:
        """Of a recording, cut to a whole number of tokens: the flow wants exactly `mel_ratio` frames a token.

        Raises BadInput for one that is too long for the tokenizer, or has not a single token.
        """
        heard, _ = audio.read(path, HEARING_RATE)
        if len(heard) > info.MAX_SEC * HEARING_RATE:
            raise BadInput(
                f"{path.name} is {len(heard) / HEARING_RATE:.1f} s long and at most {info.MAX_SEC:g} s are heard: "
                "cut it at a pause, text and all."
            )
        sounding, _ = audio.read(path, self._folder.sample_rate)
        tokens = self._tokens(heard)
        mel = self._mel(torch.from_numpy(sounding)[None])[0].T.float()
        count = min(len(tokens), len(mel) // self._folder.mel_ratio)
        if not count:
            raise BadInput(f"{path.name} is too short to be heard; leave it out.")
        return Features(
            tokens=tokens[:count], mel=mel[: count * self._folder.mel_ratio].contiguous(), speaker=self._speaker(heard)
        )

    def _tokens(self, samples: np.ndarray[Any, np.dtype[np.float32]]) -> Tensor:
        mel = _whisper_mel(samples)
        session = self._session(info.TOKENIZERS[self._folder.name])
        names = [one.name for one in session.get_inputs()]
        found = session.run(None, {names[0]: mel[None], names[1]: np.array([mel.shape[1]], np.int32)})[0]
        return torch.from_numpy(np.asarray(found).reshape(-1)).long()

    def _speaker(self, samples: np.ndarray[Any, np.dtype[np.float32]]) -> Tensor:
        from torchaudio.compliance import kaldi

        wave = torch.from_numpy(samples)[None]
        found: Tensor = kaldi.fbank(wave, num_mel_bins=80, dither=0.0, sample_frequency=HEARING_RATE)
        found = found - found.mean(dim=0, keepdim=True)
        session = self._session(info.SPEAKER_MODEL)
        vector = session.run(None, {session.get_inputs()[0].name: found[None].numpy()})[0]
        return torch.from_numpy(np.asarray(vector, np.float32).reshape(-1))

    @functools.lru_cache(maxsize=2)  # noqa: B019  # lives as long as the model
    def _session(self, name: str) -> Any:
        try:
            import onnxruntime
        except ImportError as error:
            raise NotFound(f"CosyVoice's ears need onnxruntime ({error}): run `{checkout.INSTALL}`.") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            return onnxruntime.InferenceSession(
                str(self._folder.path / name), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime raises classes of its own
            raise checkout.damaged(self._folder.path / name, error) from error


def _whisper_mel(samples: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Whisper's log mel spectrogram (128, frames), of the samples alone, as its own package computes it."""
    from transformers import WhisperFeatureExtractor

    made: Any = WhisperFeatureExtractor
    told = made(feature_size=MELS)(samples, sampling_rate=HEARING_RATE, padding="do_not_pad", return_tensors="np")
    found: np.ndarray[Any, np.dtype[np.float32]] = told["input_features"][0].astype(np.float32)
    return found
