"""What transformers' own models have in common as a `SpeechModel`: parts, features, modes, and rows that are served.

Knows neither adapters (a `RowMixer` serves them) nor files of runs, and no single model: a subclass says how a row
becomes an example, what its losses are, and how rows are spoken.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine import audio
from engine.backends.drawn_rows import OnStep
from engine.backends.speech_model import Capabilities, LoraPart, RowMixer
from engine.backends.transformers_tts.feature_cache import FeatureCache
from engine.backends.transformers_tts.info import VOICE, ModelFolder
from engine.types import BadInput, NotFound, Refused, SpeakRow, Speech, Utterance

# Rows, one for each of the net's own -> a block in which they have their adapters.
Serving = Callable[[Sequence[SpeakRow]], AbstractContextManager[None]]


class NativeModel(ABC):
    """A loaded model of transformers with its processor. Everything is frozen until somebody trains a part."""

    def __init__(
        self, net: Any, processor: Any, folder: ModelFolder, sha256: str, device: str, parts: Mapping[str, nn.Module]
    ) -> None:
        self.name = folder.name
        self.device = device
        self.base_sha256 = sha256
        self.on_step: OnStep | None = None
        self.sample_rate = folder.sample_rate
        self.capabilities = Capabilities(
            parts=folder.family.parts,
            voices=(VOICE, *folder.voices),
            languages=folder.family.languages,
            full_sft=True,
            reference="optional",
        )
        self._net = net
        self._processor = processor
        self._folder = folder
        self._parts = dict(parts)
        self._cache = FeatureCache(sha256, self._made, max_positions=self._sequence_positions)

    @property
    def _sequence_positions(self) -> int:
        """The most that the `ids` of a row may be."""
        return self._folder.max_positions

    # ------------------------------------------------------------------------------------------------------- adapters
    def part(self, name: str) -> nn.Module:
        """The module of a LoRA part; adapters are injected into it in place."""
        return self._parts[name]

    def lora_parts(self) -> tuple[LoraPart, ...]:
        """Attention, and the feed-forward where the model is small enough for it."""
        return tuple(LoraPart(name=part, target_modules=t) for part, t in self._folder.family.targets.items())

    # ------------------------------------------------------------------------------------------------------- training
    def closest_voice(self, utterances: Sequence[Utterance]) -> str:
        """None of the audio prompts: what is trained is to be in the weights."""
        return VOICE

    def features(self, utterances: Sequence[Utterance], voice: str, cache: Path) -> list[Any]:
        """One training example an utterance, in order; each depends on its row and the voice alone."""
        examples = []
        for utterance in utterances:
            prompt = self._training_prompt(utterance, self._voice_path(voice))
            examples.append(self._example(*self._cache.read(utterance, prompt, cache)))
        return examples

    def voice_settings(self, examples: Sequence[Any], voice: str) -> Mapping[str, float]:
        """None: all of the voice is in the weights."""
        return {}

    @abstractmethod
    def length(self, example: Any) -> int:
        """Positions of an example, for packing batches."""

    @abstractmethod
    def loss(self, examples: Sequence[Any], voice: str, parts: Sequence[str], seed: int | None) -> Mapping[str, Tensor]:
        """The scalar losses of a batch by name; nothing is random where the seed is None."""

    @abstractmethod
    def _training_prompt(self, utterance: Utterance, voice: Path | None) -> Path | None:
        """The audio prompt that a row is trained after."""

    @abstractmethod
    def _made(self, utterance: Utterance, prompt: Path | None) -> dict[str, Tensor]:
        """A row's features: `ids` of its whole sequence, and what else its example takes."""

    @abstractmethod
    def _example(self, key: str, features: Mapping[str, Tensor]) -> Any:
        """An example of features."""

    @contextmanager
    def _mode(self, *, training: bool) -> Iterator[None]:
        """All of the model in one mode, and the global generators afterwards as they were."""
        devices = [self.device] if self.device.startswith("cuda") else []
        with torch.random.fork_rng(devices):
            self._net.train(training)
            try:
                yield
            finally:
                self._net.eval()

    def _samples(self, path: Path) -> Tensor:
        """Samples (n,) of a file at the codec's rate. Raises BadInput naming a file that is shorter than a frame."""
        samples, _ = audio.read(path, self.sample_rate)
        if len(samples) < self._folder.frame_samples:
            raise BadInput(
                f"{path} is shorter than a frame of {self._folder.frame_samples / self.sample_rate:g} s; leave it out."
            )
        return torch.from_numpy(samples)

    # ------------------------------------------------------------------------------------------------------- speaking
    def speak(self, rows: Sequence[SpeakRow], mixer: RowMixer | None = None) -> list[Speech]:
        """Render all rows in one batch. Row i's audio depends on row i alone: its noise has its own generator.

        Raises BadInput for a text that cannot be said, NotFound for an unknown voice, Refused for a row with an
        adapter when there is no mixer to serve it.
        """
        if mixer is None and any(row.adapter_sha256 is not None and row.lora_scale for row in rows):
            raise Refused("A row names an adapter and nothing serves adapters; speak through an AdapterHost.")
        if not rows:
            return []
        return self._spoken(rows, mixer.using if mixer else lambda _rows: nullcontext())

    @abstractmethod
    def _spoken(self, rows: Sequence[SpeakRow], serving: Serving) -> list[Speech]:
        """The rows, in batches; adapters are those of the rows of a batch inside `serving(rows)`."""

    def _voice_path(self, name: str) -> Path | None:
        """A voice's audio prompt; None for the one without."""
        if name == VOICE:
            return None
        if name not in self._folder.voices:
            raise NotFound(f"{self.name} has no voice {name!r}; it has: {', '.join(self.capabilities.voices)}.")
        return self._folder.voices[name]

    def _must_fit(self, text: str, prompt: int, cap: int) -> None:
        """Raises BadInput for a row whose prompt and longest answer are more than the model's positions."""
        if prompt + cap > self._folder.max_positions:
            raise BadInput(
                f"The text {text[:40]!r}… is too long to be said in one go: with its audio it may take {prompt + cap} "
                f"positions and the model has {self._folder.max_positions}; split it into chunks, or shorten the "
                "reference."
            )
