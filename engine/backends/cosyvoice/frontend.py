"""What CosyVoice hears and reads: speech tokens, a speaker's vector and a spectrogram of a file, token ids of a text.

Knows the two models in ONNX that come with the weights, the rates that each wants, and the mark that ends a prompt.
Reads audio with soundfile: upstream's own reader needs a decoder library.
"""

from __future__ import annotations

import functools
import math
import sys
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
_ENDS = (END_OF_PROMPT, "<endofprompt>")


@dataclass(frozen=True, eq=False)
class Features:
    """Of one recording: `tokens` (n,), `mel` (frames of n tokens, 80) in natural log, `speaker` (192,)."""

    tokens: Tensor
    mel: Tensor
    speaker: Tensor


class Frontend:
    """The ears of one model. Sessions are opened when they are first needed."""

    def __init__(self, folder: ModelFolder, code: Path) -> None:
        self._folder = folder
        told = folder.told["get_tokenizer"]
        own = {"token_path": str(folder.qwen)} if folder.qwen else {}
        try:
            with checkout.importable(code):
                self._mel = recipe.build(folder.told["feat_extractor"])
                self._tokenizer = recipe.build(recipe.Call(told.path, {**told.arguments, **own}, False))
        except AttributeError as error:  # an empty stand-in, where a package is not installed
            raise NotFound(
                f"{folder.version.title}'s tokenizer needs {told.path}: run `{checkout.INSTALL}`."
            ) from error
        self._filters: tuple[dict[str, Any], dict[str, Any]] = ({}, {})

    # --------------------------------------------------------------------------------------------------------- text
    def ids(self, text: str) -> list[int]:
        """Token ids of a text as it stands, marks and all."""
        found: list[int] = self._tokenizer.encode(text, allowed_special="all")
        return found

    def prompt_ids(self, transcript: str = "", instruction: str = "") -> list[int]:
        """What stands before a text: version 3's template, its mark exactly once, and the words of the reference, which
        1 and 2 have alone. An instruction stands in their place, within that template.
        """
        said, version = _unmarked(transcript).strip(), self._folder.version
        if instruction:
            words = _unmarked(instruction).strip()
            if version.assistant:
                words = f"{version.assistant} {words.removeprefix(version.assistant).strip()}"
            return self.ids(f"{words}{version.end_of_prompt}")
        if version.assistant:
            return self.ids(f"{version.assistant}{version.end_of_prompt}{said}")
        return self.ids(said) if said else []

    def text_ids(self, text: str) -> list[int]:
        """A text to be said: without a mark of its own, which belongs to the prompt."""
        return self.ids(" ".join(_unmarked(text, " ").split()))

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
        mel = self._spectrogram(sounding)
        count = min(len(tokens), math.floor(len(mel) / self._folder.mel_ratio))
        frames = self._folder.frames(count)
        if not frames:
            raise BadInput(f"{path.name} is too short to be heard; leave it out.")
        return Features(tokens=tokens[:count], mel=mel[:frames].contiguous(), speaker=self._speaker(heard))

    def _spectrogram(self, samples: np.ndarray[Any, np.dtype[np.float32]]) -> Tensor:
        """(frames, 80) in natural log. Upstream's function keeps filters and a window for the process, by one number
        that versions share: another version's would be used. So each model has its own.
        """
        module: Any = sys.modules[getattr(self._mel, "func", self._mel).__module__]
        module.mel_basis, module.hann_window = self._filters
        found: Tensor = self._mel(torch.from_numpy(samples)[None])[0].T.float()
        return found

    def _tokens(self, samples: np.ndarray[Any, np.dtype[np.float32]]) -> Tensor:
        mel = _whisper_mel(samples)
        session = self._session(self._folder.version.tokenizer)
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


def _unmarked(text: str, instead: str = "") -> str:
    for mark in _ENDS:
        text = text.replace(mark, instead)
    return text
