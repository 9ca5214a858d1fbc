"""Qwen3-TTS as a `SpeechModel`: what training and speaking ask of it, over upstream's own classes.

Knows which of their modules make a part, who speaks in a row and what the model is told of it. Knows neither adapters
(a `RowMixer` serves them) nor files of runs.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from engine import audio
from engine.backends.drawn_rows import Drawn
from engine.backends.qwen3_tts import generation, info, layout, loading, teaching
from engine.backends.qwen3_tts.codec import Codec
from engine.backends.qwen3_tts.feature_cache import FeatureCache
from engine.backends.qwen3_tts.info import CUSTOM_VOICE, MAX_FRAMES, PARTS, PROJECTIONS, SAMPLE_RATE, ModelFolder
from engine.backends.qwen3_tts.layout import Heard, Layout, Target
from engine.backends.qwen3_tts.loading import Loaded
from engine.backends.qwen3_tts.teaching import Example
from engine.backends.speech_model import Capabilities, LoraPart, RowMixer
from engine.types import (
    BadInput,
    GenerationSettings,
    NotFound,
    Reference,
    Refused,
    SpeakRow,
    Speech,
    SpeechTokens,
    Stop,
    Utterance,
)

REFERENCES = 8  # audio prompts that are remembered
# Where the harness expects nothing, a text token is about a third of a second; and a second is given in any case.
FRAMES_A_TOKEN, SPARE_FRAMES = 4.2, 12
SPEAKER = "speaker."  # the names of a speaker vector's numbers among the settings of a voice


def load(name: str, folder: Path, device: str) -> Qwen3TtsModel:
    """Qwen3-TTS with the weights in `folder`. `device` is "cpu", "cuda:0" and the like, or "auto": the first GPU if
    there is one. Raises NotFound, BadInput or Refused for a folder or an environment that cannot be trusted.
    """
    if device == "auto":
        device = "cuda:0" if torch.cuda.is_available() else "cpu"
    found = info.read(folder)
    return Qwen3TtsModel(name, loading.load(found, device), found, info.base_sha256(found), device)


def must_be_usable() -> None:
    """Raises NotFound or Refused where upstream's package is missing or its versions were not compared."""
    loading.must_be_usable()


class Qwen3TtsModel:
    """Qwen3-TTS, Base or CustomVoice. The talker, with its text projection and head, and the predictor of a frame's
    other codes can be trained; the speaker encoder and the codec are frozen.
    """

    def __init__(self, name: str, loaded: Loaded, folder: ModelFolder, sha256: str, device: str) -> None:
        self.name = name
        self.device = device
        self.base_sha256 = sha256
        self.sample_rate = SAMPLE_RATE
        self.capabilities = Capabilities(
            parts=PARTS,
            voices=folder.voices,
            languages=tuple(info.CODES[name] for name in folder.languages if name in info.CODES),
            full_sft=True,
            reference="none" if folder.kind == CUSTOM_VOICE else "optional",
        )
        self.on_step: Callable[[int, int], None] | None = None
        self._net = loaded.net
        self._ids = loaded.ids
        self._folder = folder
        self._layout = Layout(loaded.net)
        self._codec = Codec(loaded.net.speech_tokenizer)
        talker = loaded.net.talker
        own = {"model": talker.model, "text_projection": talker.text_projection, "codec_head": talker.codec_head}
        self._parts: dict[str, nn.Module] = {"talker": nn.ModuleDict(own), "predictor": talker.code_predictor}
        ids = functools.partial(layout.text_ids, loaded.ids)
        self._cache = FeatureCache(sha256, measure=self._measure, ids=ids)
        self._heard = functools.lru_cache(maxsize=REFERENCES)(self._hear)

    # ------------------------------------------------------------------------------------------------------- adapters
    def part(self, name: str) -> nn.Module:
        """The module of a LoRA part; adapters are injected into it in place."""
        return self._parts[name]

    def lora_parts(self) -> tuple[LoraPart, ...]:
        """Attention and feed-forward of both stacks, each stack a part of its own."""
        return tuple(LoraPart(name=part, target_modules=PROJECTIONS) for part in PARTS)

    def checkpointed_layers(self, part: str) -> Sequence[nn.Module]:
        """The transformer layers of a part: what activations are kept for."""
        talker = self._net.talker
        return tuple(talker.model.layers if part == "talker" else talker.code_predictor.model.layers)

    # ------------------------------------------------------------------------------------------------------- training
    def closest_voice(self, utterances: Sequence[Utterance]) -> str:
        """The first one, without a language tag: what upstream trains."""
        return self._folder.voices[0]

    def measure(self, utterances: Sequence[Utterance], cache: Path) -> None:
        """Put these clips' codes and speaker vectors into `cache`, where they are not there yet."""
        for row in utterances:
            self._cache.measured(row.audio_path, row.id, cache)
            if row.reference_audio is not None:
                self._cache.measured(row.reference_audio, row.id, cache)

    def features(self, utterances: Sequence[Utterance], voice: str, cache: Path) -> list[Example]:
        """One training example an utterance, in order; of a Base model all with the mean vector of their speaker."""
        return self._cache.examples(utterances, cache)

    def voice_settings(self, examples: Sequence[Example], voice: str) -> Mapping[str, float]:
        """The speaker vector, a number a name. It is the voice's at every scale: at scale 0 the base speaks with it."""
        speaker = examples[0].speaker if examples else None
        if speaker is None:
            return {}
        return {f"{SPEAKER}{place:04}": float(number) for place, number in enumerate(speaker)}

    def length(self, example: Example) -> int:
        """Positions of the sequence: text tokens, frames and the marks around them."""
        return example.positions

    def loss_tokens(self, example: Example) -> int:
        """Frames and the end: what the talker's loss is a mean over."""
        return len(example.codes) + 1

    def loss_names(self, parts: Sequence[str]) -> tuple[str, ...]:
        """Both losses teach the talker, whose states the predictor gets."""
        return PARTS

    def loss(
        self, examples: Sequence[Example], voice: str, parts: Sequence[str], seed: int | None
    ) -> Mapping[str, Tensor]:
        """`talker` and `predictor` (its share of 0.3 in it), in nats; see `teaching.losses`. Dropout follows `seed`."""
        targets = [self._target(voice, example.speaker) for example in examples]
        with self._mode(seed):
            return teaching.losses(self._net, examples, targets)

    @contextmanager
    def _mode(self, seed: int | None) -> Iterator[None]:
        """Training mode follows `seed` and leaves the global generators as they were."""
        devices = [self.device] if self.device.startswith("cuda") else []
        with torch.random.fork_rng(devices):
            if seed is not None:
                torch.manual_seed(seed)
            self._net.talker.train(seed is not None)
            try:
                yield
            finally:
                self._net.talker.eval()

    def _measure(self, path: Path) -> dict[str, Tensor]:
        samples, _ = audio.read(path, SAMPLE_RATE)
        measured = {"codes": self._codec.encode(samples)}
        if self._net.speaker_encoder is not None:
            vector = self._net.extract_speaker_embedding(samples, SAMPLE_RATE)
            measured["speaker"] = vector.float().cpu().clone()
        return measured

    # ------------------------------------------------------------------------------------------------------- speaking
    def speak(self, rows: Sequence[SpeakRow], mixer: RowMixer | None = None) -> list[Speech]:
        """Render all rows in one batch. Row i's audio depends on row i alone.

        Raises BadInput for a text that cannot be said, NotFound for an unknown voice or language, Refused for a row
        with an adapter when there is no mixer to serve it.
        """
        if mixer is None and any(row.adapter_sha256 is not None and row.lora_scale for row in rows):
            raise Refused("A row names an adapter and nothing serves adapters; speak through an AdapterHost.")
        if not rows:
            return []
        started = time.perf_counter()
        drawn = self.draw(rows, mixer)
        groups = self._net.config.talker_config.num_code_groups
        spoken = []
        for row, said in zip(rows, drawn, strict=True):
            heard = self._prompted(row)
            codes = generation.stacked(said.codes, groups)
            before = heard.codes[:, 0].tolist() if heard else []
            tokens = SpeechTokens(
                said=tuple(codes[:, 0].tolist()), reference=tuple(before), rate_hz=info.FRAMES_A_SECOND
            )
            spoken.append((self._codec.decode(codes, heard.codes if heard else None), said, tokens))
        each = (time.perf_counter() - started) / len(rows)
        return [
            Speech(
                samples=samples,
                sample_rate=SAMPLE_RATE,
                tokens=len(said.codes),
                stop=said.stop or Stop.CAP,
                render_sec=each,
                speech_tokens=tokens,
            )
            for samples, said, tokens in spoken
        ]

    def draw(self, rows: Sequence[SpeakRow], mixer: RowMixer | None = None) -> list[Drawn[Tensor]]:
        """The codes of every row."""

        def serving(some: Sequence[int]) -> AbstractContextManager[None]:
            return mixer.using([rows[place] for place in some]) if mixer else nullcontext()

        with torch.inference_mode():  # the prompt has neither adapted modules nor gradients
            prompts = [self._prompt(row) for row in rows]
        return generation.generate(self._net, prompts, serving, self.on_step)

    def _prompt(self, row: SpeakRow) -> generation.Prompt:
        if info.unpronounceable(row.text):
            raise BadInput(f"The text {row.text!r} has nothing to say; give it words.")
        ids = layout.text_ids(self._ids, row.text)
        expected = row.expected_sec * info.FRAMES_A_SECOND or (len(ids) - layout.ROLE) * FRAMES_A_TOKEN
        cap = math.ceil(expected * row.settings.max_factor) + SPARE_FRAMES
        inputs = self._layout.prompt(ids, self.target(row), self._prompted(row))
        return generation.Prompt(inputs=inputs, cap=min(cap, MAX_FRAMES), row=row)

    def target(self, row: SpeakRow) -> Target:
        """Who speaks a row: its reference, or else the adapter's own vector, or else the voice that it names."""
        if row.reference is not None:
            return self._target(row.voice, self._heard(row.reference)[0])
        numbers = [value for name, value in sorted(row.voice_settings.items()) if name.startswith(SPEAKER)]
        return self._target(row.voice, torch.tensor(numbers) if numbers else None)

    def _target(self, voice: str, speaker: Tensor | None) -> Target:
        name, language = info.speaker_and_language(voice)
        folder = self._folder
        if name not in (folder.speakers or (info.UNNAMED,)) or (language and language not in folder.languages):
            raise NotFound(f"{self.name} has no voice {voice!r}; choose one of: {', '.join(folder.voices)}.")
        dialect = folder.dialects.get(name) if language in ("", "chinese") else None
        tag = folder.languages.get(dialect or language)
        if speaker is None and name in folder.speakers:
            speaker = self._layout.speaker(folder.speakers[name])
        return Target(speaker=speaker, language=tag)

    def _prompted(self, row: SpeakRow) -> Heard | None:
        """What a row goes on from: a reference with its words. One without them lends its vector alone."""
        return self._heard(row.reference)[1] if row.reference is not None else None

    def _hear(self, reference: Reference) -> tuple[Tensor, Heard | None]:
        if self._net.speaker_encoder is None:
            raise Refused(
                f"{info.title(self._folder)} cannot hear a reference: it was made without its speaker encoder; use a "
                "Base model, or a voice of its own."
            )
        samples, _ = audio.read(reference.audio_path, SAMPLE_RATE)
        vector = self._net.extract_speaker_embedding(samples, SAMPLE_RATE).float()
        if not reference.text.strip():
            return vector, None
        words = layout.reference_ids(self._ids, reference.text.strip())
        return vector, Heard(words, self._codec.encode(samples))

    # ---------------------------------------------------------------------------------------------------------- check
    def agreement(self, text: str, voice: str, *, frames: int = 24) -> float:
        """The share of greedily spoken codes that the training step predicts where it puts them: 1.0 when training
        teaches what is spoken, whatever the weights are.
        """
        settings = GenerationSettings(temperature=0.0, repetition_penalty=1.0)
        row = SpeakRow(text=text, voice=voice, seed=0, settings=settings)
        prompt = self._prompt(row)
        short = generation.Prompt(inputs=prompt.inputs, cap=min(frames, prompt.cap), row=row)
        drawn = generation.generate(self._net, [short], lambda _rows: nullcontext())[0]
        codes = generation.stacked(drawn.codes, self._net.config.talker_config.num_code_groups)
        return teaching.agreement(self._net, Example("", layout.text_ids(self._ids, text), codes), self.target(row))
